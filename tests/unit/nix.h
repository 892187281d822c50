/*
 * A hermetic store of the real Nix for the tests that compare with it: everything lies in one scratch folder, and nothing
 * is fetched.
 */
#ifndef STELE_TESTS_NIX_H
#define STELE_TESTS_NIX_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static char nix_world[256]; /* the folder, with store/ and var/ in it; empty where there is none */

/* The standard output of a shell command, which must succeed, without its last newline; the caller frees it. */
static inline char *nix_run(const char *command)
{
    struct buf out = BUF_EMPTY;
    char chunk[4096];
    size_t len;
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while ((len = fread(chunk, 1, sizeof chunk, pipe)) > 0)
        buf_add(&out, chunk, len);
    int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        print_error("failed: %s\n", command);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (out.len > 0 && out.data[out.len - 1] == '\n')
        out.len--;
    buf_byte(&out, '\0');
    assert_false(out.failed);
    return (char *)out.data;
}

static inline void nix_do(const char *command)
{
    free(nix_run(command));
}

/* A new, empty store in the environment of this process and its children; $W is the folder. Skips the test, with a line,
 * where Nix is absent. nix_world_end is the test's teardown. */
static inline void nix_world_make(void)
{
    static const char *const folders[][2] = { { "NIX_STORE_DIR", "/store" },
                                              { "NIX_STATE_DIR", "/var" },
                                              { "NIX_LOG_DIR", "/log" },
                                              { "NIX_CONF_DIR", "/conf" },
                                              { "HOME", "/home" },
                                              { "XDG_CACHE_HOME", "/home/cache" },
                                              { "W", "" } };
    if (system("command -v nix-store >/dev/null 2>&1") != 0) {
        fprintf(stderr, "SKIPPED: Nix is not installed\n");
        skip();
    }
    const char *scratch = getenv("TMPDIR");
    snprintf(nix_world, sizeof nix_world, "%s/stele-nix.XXXXXX", scratch != NULL && *scratch == '/' ? scratch : "/tmp");
    assert_non_null(mkdtemp(nix_world));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s%s", nix_world, folders[i][1]);
        setenv(folders[i][0], path, 1);
    }
    setenv("NIX_CONFIG",
           "experimental-features = nix-command ca-derivations\nbuild-users-group =\nsandbox = false\nsubstituters =", 1);
    unsetenv("NIX_STORE");
    unsetenv("NIX_PATH");
    unsetenv("NIX_REMOTE");
    nix_do("mkdir -p \"$HOME\" && nix-store --init");
}

static inline int nix_world_end(void **state)
{
    (void)state;
    if (nix_world[0] != '\0')
        nix_do("chmod -R u+w \"$W\" && rm -rf \"$W\"");
    nix_world[0] = '\0';
    return 0;
}

#endif
