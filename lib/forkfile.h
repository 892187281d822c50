/*
 * Evidence that a log forked, and suspicion of it, as a witness keeps them and others can check them (spec/witness.md,
 * "Evidence"): two heads that the log signed.
 *
 * Evidence: heads of one size with different roots; or a smaller head, and a proof that the larger one's tree had another root
 * at that size. A suspect is a pair of heads of which nothing is shown: that a proof was bad says nothing about the log, since
 * anybody can send a bad proof.
 *
 *   stele evidence v1          or: stele suspect v1
 *   origin ORIGIN
 *   key VKEY                   1 to 64 lines: the log's keys, as whoever made the file knew them
 *   first BYTES                of the first note
 *   second BYTES
 *   root BASE64                evidence of two sizes only: what the root was, and the consistency proof from there
 *   proof BASE64               0 to 63 lines
 *
 *   the first note, the second note
 */
#ifndef STELE_FORKFILE_H
#define STELE_FORKFILE_H

#include "lib/checkpoint.h"

enum { FORKFILE_KEYS_MAX = 64, FORKFILE_BYTES_MAX = 2 * NOTE_BYTES_MAX + (1 << 20) };

/* Borrows from the text. */
struct forkfile {
    bool suspect;
    struct span origin;
    struct vkey keys[FORKFILE_KEYS_MAX];
    size_t keys_n;
    struct span notes[2];
    bool has_root;
    struct hash root;
    struct hash proof[PROOF_HASHES_MAX];
    size_t proof_n;
};

/* The form alone; the notes may be anything. ERR_MALFORMED unless rendering gives `text` again. */
enum err forkfile_parse(struct forkfile *out, struct span text, struct why *why);
void forkfile_render(struct buf *out, const struct forkfile *file);

/* Verifies both notes under the file's keys and origin, and, of evidence, that they contradict each other. `heads` borrow from
 * the notes. ERR_MALFORMED, or ERR_REFUSED with what does not hold. For a suspect OK says that the log signed both heads, no
 * more. */
enum err forkfile_verify(const struct forkfile *file, struct checkpoint heads[2], struct why *why);

#endif
