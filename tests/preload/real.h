/*
 * The functions that a preload stands before, as the libraries have them.
 */
#ifndef STELE_TESTS_PRELOAD_REAL_H
#define STELE_TESTS_PRELOAD_REAL_H

#include <dlfcn.h>
#include <stddef.h>

/* DECLARE(name) once, then REAL(name)(…) calls it. */
#define REAL(name)    ((__typeof__(&name))real(&real_##name, #name))
#define DECLARE(name) static void *real_##name

static void *real(void **at, const char *name)
{
    if (*at == NULL)
        *at = dlsym(RTLD_NEXT, name);
    return *at;
}

#endif
