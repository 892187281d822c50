/*
 * The signer process (spec/invariants.md, 2): holds the key and the last heads, and signs a checkpoint only where the head
 * rule (lib/head.h) lets it follow. The log and the witness use the same code. Whatever happens to the process that
 * parses HTTP, this one cannot be made to roll back or fork.
 */
#ifndef STELE_SYS_SIGNER_H
#define STELE_SYS_SIGNER_H

#include "lib/head.h"
#include "lib/note.h"
#include "lib/sys/heads.h"

enum { SIGNER_BATCH_MAX = 256 };

struct signer;

struct signer_config {
    const char *key_path;
    const char *heads_path;
    enum sig_type type;  /* SIG_ED25519: a log, signs note texts. SIG_COSIGNATURE: a witness, timestamps them */
    uint64_t growth_max; /* entries between two heads of one origin; 0 for no bound */
};

struct signer_request {
    struct span text; /* a checkpoint's note text; the signer parses and renders it anew */
    uint64_t old;
    const struct hash *proof; /* consistency from `old` */
    size_t proof_n;
};

struct signer_answer {
    enum head_verdict verdict;
    bool clock_behind; /* the clock is behind the last signature's time by too much: not signed, whatever the verdict */
    struct head last;  /* the last head signed before this request, size 0 where none */
    uint64_t time_s;   /* of the signature, where signed */
    uint8_t sig[64];   /* where verdict is HEAD_OK and the clock is not behind */
    struct why why;
};

/* Forks; call before starting threads. */
enum err signer_start(struct signer **out, const struct signer_config *config, struct why *why);
void signer_stop(struct signer *signer);
/* ERR_ENV where its process ended without a word: see child_lives. */
enum err signer_lives(const struct signer *signer, struct why *why);
/* The signer's public key; borrows from the signer. */
const struct vkey *signer_key(const struct signer *signer);
/* Judges up to SIGNER_BATCH_MAX requests, in order, makes their heads durable with one sync, and signs them; no signature leaves
 * the signer before that sync has returned. ERR_ENV where the signer died or its file failed: nothing more can be signed until a
 * restart. Safe from several threads. */
enum err signer_sign(struct signer *signer, const struct signer_request *requests, size_t n, struct signer_answer *answers,
                     struct why *why);
/* The last head signed for `origin`; *found is false where there is none, and then only `suspended` is told. */
enum err signer_last(struct signer *signer, struct span origin, bool *found, struct head_record *out, struct why *why);

/* "— <name> …\n" for an answer's signature: the log's note signature or the witness's cosignature. */
void signer_line(struct buf *out, const struct signer *signer, const struct signer_answer *answer);

#endif
