/*
 * Memory that runs out: call number NOMEM_AT of the program's own code to malloc, calloc or realloc fails, once, and puts an x into the
 * file NOMEM_HIT: which is mapped, for a process in a sandbox may not open it. What its libraries ask for is given to them: what they do about it is theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static uintptr_t from, to; /* the program's own code */
static unsigned long fails_at;
static volatile char *hit;
static atomic_ulong calls;

/* The first object is the program. */
static int find_program(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0)
            continue;
        from = info->dlpi_addr + part->p_vaddr;
        to = from + part->p_memsz;
    }
    return 1;
}

__attribute__((constructor)) static void start(void)
{
    const char *at = getenv("NOMEM_AT"), *hit_file = getenv("NOMEM_HIT");
    int fd = at == NULL || hit_file == NULL ? -1 : open(hit_file, O_RDWR | O_CREAT, 0666);
    if (fd < 0)
        return;
    void *map = ftruncate(fd, 1) != 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return;
    hit = map;
    fails_at = strtoul(at, NULL, 10);
    dl_iterate_phdr(find_program, NULL);
}

static bool fails(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (fails_at == 0 || at < from || at >= to || atomic_fetch_add(&calls, 1) + 1 != fails_at)
        return false;
    *hit = 'x';
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}
