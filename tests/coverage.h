/* Before every source of what `make coverage` counts: a process that ends by _exit, or becomes another by execv, has its lines counted
 * as well, which takes files that it writes, so that none is sandboxed. Includes nothing: a source's own macros come first. */
#ifndef STELE_TESTS_COVERAGE_H
#define STELE_TESTS_COVERAGE_H

#define SANITIZED 1
#define _exit     exit_counted
#define execv     exec_counted

extern char **environ;
void _Exit(int code) __attribute__((noreturn));
int execve(const char *path, char *const argv[], char *const envp[]);
void __gcov_dump(void);

__attribute__((weak, noreturn)) void exit_counted(int code)
{
    __gcov_dump();
    _Exit(code);
}

__attribute__((weak)) int exec_counted(const char *path, char *const argv[])
{
    __gcov_dump();
    return execve(path, argv, environ);
}

#endif
