/*
 * The gate's signer process (spec/invariants.md, 2): holds the gate's key, the policy and the trust file, judges what the
 * front fetched, and signs a narinfo of its own only for what passes. The front, which parses HTTP, never has the key.
 */
#ifndef STELE_CLIENT_GATE_SIGNER_H
#define STELE_CLIENT_GATE_SIGNER_H

#include "client/config.h"
#include "client/judge.h"
#include "client/trail_fetch.h"
#include "lib/sys/child.h"

struct gate_signer;

struct gate_answer {
    bool passes, by_warning;
    bool wants_trail; /* what it lacks is the trail of its inputs: gate_signer_follow */
    struct hash nar_hash;
    uint64_t nar_size;
    struct buf storage;  /* the spans below lie in it */
    struct span why;     /* one sentence */
    struct span tree;    /* the reasoning */
    struct span summary; /* who attested it, where, under which witnesses; may be empty */
    struct span narinfo; /* the gate's own, where it passes */
    struct span proofs;  /* the proof bundles that counted */
    struct span origins; /* the logs that these are of, a line each */
    struct span heads;   /* those that the signer met for the first time (client/gate_heads.h) */
};

/* Forks; call before starting threads. `dir` is the store folder. */
enum err gate_signer_start(struct gate_signer **out, const struct client_config *config, const char *dir, struct why *why);
void gate_signer_stop(struct gate_signer *signer);
/* ERR_ENV where its process ended without a word: see child_lives. */
enum err gate_signer_lives(const struct gate_signer *signer, struct why *why);
/* "name:base64": what nix.conf's trusted-public-keys must hold. Borrowed. */
const char *gate_signer_public_key(const struct gate_signer *signer);
/* `question->dir` is not looked at. Heads that proofs brought are in the client's memory when this returns, and what rests on a log
 * that forked does not pass. ERR_ENV where the signer died. Safe from several threads. Free the answer with gate_answer_free. */
enum err gate_signer_judge(struct gate_signer *signer, const struct judge_question *question, struct gate_answer *out,
                           struct why *why);
/* The same after its inputs were followed (`inputs attested`): what the signer wants is fetched from `sources`, round by round, and
 * verified by it. What is found complete is remembered, and wants nothing the next time: with `sources` NULL nobody is asked, and
 * the answer is `wants_trail` where that does not suffice. Paths wait for each other only as client/gate_turns.h says. Appends to
 * `troubles` a line for each source that could not be asked. */
enum err gate_signer_follow(struct gate_signer *signer, const struct judge_question *question, const struct trail_sources *sources,
                            struct gate_answer *out, struct buf *troubles, struct why *why);
void gate_answer_free(struct gate_answer *answer);

/* The URL that the gate hands out for a NAR: "nar/<hash part>-<nix32 of the NAR hash>.nar". */
void gate_nar_url(struct buf *out, struct span hash_part, const struct hash *nar_hash);

#endif
