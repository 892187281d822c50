/*
 * Names in folders, each with what it stands for: while a trace is read, and while a disk is written.
 */
#ifndef STELE_TESTS_FAULT_CUT_NAMES_H
#define STELE_TESTS_FAULT_CUT_NAMES_H

#include "lib/bytes.h"

struct name {
    size_t folder, child; /* objects, see cut/disk.h */
    struct span text;     /* borrowed */
};

struct names {
    struct name *items;
    size_t n;
};

/* Where memory is short the program ends. */
#define APPEND(array, n, ...)                                                                                                      \
    (((array) = array_more((array), (n), sizeof *(array))) != NULL ? ((array)[(n)++] = (__VA_ARGS__), OK)                          \
                                                                   : fail(why, ERR_ENV, "out of memory"))

const struct name *names_find(const struct names *names, size_t folder, struct span text);
void names_drop(struct names *names, size_t folder, struct span text);
/* In place of what has this name. */
enum err names_put(struct names *names, size_t folder, struct span text, size_t child, struct why *why);

#endif
