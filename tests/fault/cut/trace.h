/*
 * What the recorder writes and `powercut` reads: every write, sync, change of a folder and word to the outside of some real
 * programs, in the order in which they happened.
 *
 * One file, mapped by all processes. Records follow the header; their order is the order in which they were begun. A position is
 * an offset into the file, and serves as the time: a record begins at its own, and `end` is where the file ended when the system
 * call had returned, 0 where it never did.
 */
#ifndef STELE_TESTS_FAULT_CUT_TRACE_H
#define STELE_TESTS_FAULT_CUT_TRACE_H

#include <stdint.h>

enum { TRACE_FRAMES_MAX = 12 };

enum trace_kind {
    TRACE_PROGRAM = 1, /* text: the program's file */
    TRACE_OPEN,        /* text: path; inode */
    TRACE_CREATE,      /* the same, for a file that was not there */
    TRACE_MKDIR,       /* the same, for a folder */
    TRACE_WRITE,       /* text: what was written; inode, at */
    TRACE_WRITE_SYNC,  /* the same, by a descriptor with O_DSYNC: a write and the sync of itself alone. Only LMDB has such */
    TRACE_RESIZE,      /* inode, at: the new size */
    TRACE_SYNC,        /* inode; at: 1 where a library asked for it, not the program itself */
    TRACE_SYNC_ALL,    /* the same, of everything under the root: syncfs, by a descriptor of any file or folder there */
    TRACE_RENAME,      /* text: from, NUL, to */
    TRACE_UNLINK,      /* text: path, of a file or folder */
    TRACE_SEND,        /* text: what went into a socket */
    TRACE_SAY,         /* text: what went to standard output */
};

struct trace_record {
    uint32_t bytes; /* of the whole record, a multiple of 8 */
    uint16_t kind;
    uint16_t frames_n;
    uint64_t end;
    int64_t result; /* of the system call; valid where `end` is not 0 */
    uint64_t inode;
    uint64_t at;
    uint32_t program; /* position of its TRACE_PROGRAM record, in units of 8 */
    uint32_t text_bytes;
    uint64_t frames[]; /* who called: addresses in the program's file, innermost first; then the text */
};

struct trace_header {
    uint64_t magic;
    _Atomic uint64_t used; /* where the next record goes */
    _Atomic uint64_t full; /* not 0: something found no room, and the trace is worthless */
};

#define TRACE_MAGIC UINT64_C(0x7374656c65747231)

#endif
