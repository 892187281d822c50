/*
 * What a trace's programs have told others, and must stand by after a power cut.
 *
 * Counted from the moment at which the bytes are handed to a socket: from then on somebody may have them.
 */
#ifndef STELE_TESTS_FAULT_CUT_WORDS_H
#define STELE_TESTS_FAULT_CUT_WORDS_H

#include "lib/head.h"
#include "lib/note.h"

/* A proof that was handed out: this leaf at this index of the tree with this root. */
struct word_proof {
    uint64_t at; /* the trace's position */
    struct hash leaf;
    uint64_t index;
    struct head head;
};

/* A head that went out under a signature of `signer`, which may be the log or a witness. */
struct word_head {
    uint64_t at;
    struct span signer, origin; /* borrowed from the trace */
    struct head head;
};

/* A line on standard output: the driver's marks. */
struct word_mark {
    uint64_t at;
    struct span text;
};

struct words {
    struct word_proof *proofs;
    struct word_head *heads;
    struct word_mark *marks;
    size_t proofs_n, heads_n, marks_n;
    size_t asked; /* of heads, the number of the one that a witness was asked for last; 0: none */
};

enum err words_load(struct words *words, struct span trace, struct why *why);

/* Writes what was said before `cut`: DIR/notes, "LEAF INDEX SIZE ROOT" a line (see log_driver); DIR/shown, "SIGNER ORIGIN SIZE
 * ROOT" a line, the largest of each; DIR/marks. */
enum err words_write(const struct words *words, uint64_t cut, const char *dir, struct why *why);

#endif
