/*
 * The trail of a build: its recorded inputs, followed through the logs down to ground (spec/trust.md, "Judging"). Is the trail of
 * this path complete under this trust file? That is what `inputs attested` demands, and what `stele trace` shows.
 *
 * An attestation counts here where its inputs are recorded, every input satisfies the trust file itself, with the very
 * bytes that this build used, and the closure digest comes out over paths that all do. A path is complete where the trust
 * file is satisfied by such attestations alone. Ground is a source or a fixed output; where an attestation of the trail
 * calls it the output of a build, or a named builder attested to have built what was called a source, it is none. Exempt
 * and vouched paths end the trail. What rests on itself is not complete.
 *
 * No file, no network, one thread unless more are asked for: the gate's signer can use it behind its sandbox. The caller
 * fetches what is wanted (client/trail_fetch.h does, from logs and caches):
 *
 *     trail_new(&trail, &config); trail_ask(trail, &path);
 *     trail_feed_proofs(trail, hash part of the path, bundles that are at hand …)     if it has some
 *     while (trail_step(trail, &wants) == OK && wants.state == TRAIL_WANTS)
 *         … trail_feed_proofs, trail_feed_list, trail_feed_info: everything that is wanted, also where there is none. Not all of
 *         it at once: after every bit another step may want more, so that whoever fetches never has to wait.
 *     TRAIL_COMPLETE, or TRAIL_BROKEN and trail_why
 *
 * No recursion; bounded in paths, inputs and work (the limits in client/trail.c): what goes beyond is broken, and says so.
 */
#ifndef STELE_CLIENT_TRAIL_H
#define STELE_CLIENT_TRAIL_H

#include "client/config.h"
#include "client/evidence.h"

struct trail;        /* one question, about one path */
struct trail_memory; /* what was complete before (client/trail_memory.h): a second closure costs nothing */

enum trail_state { TRAIL_WANTS, TRAIL_COMPLETE, TRAIL_BROKEN };

struct trail_config {
    const struct policy *policy;
    const struct trust *trust;
    struct trail_memory *memory;       /* NULL: nothing is remembered */
    unsigned threads;                  /* that verify proofs; 0 and 1: the caller's alone */
    const struct client_config *heads; /* whose memory is shown the logs' heads; NULL: they wait for trail_heads */
};

/* Borrowed until the next call. Lines. */
struct trail_wants {
    enum trail_state state;
    struct span outputs; /* hash parts, at most 10,000: as POST /outputs takes them */
    struct span lists;   /* HEX of input lists: GET /inputs/HEX */
    struct span infos;   /* hash parts of paths whose narinfo may help: a cache's signature, references */
};

/* Borrows what the configuration points to. ERR_ENV where memory is short: so in all that follow. */
enum err trail_new(struct trail **out, const struct trail_config *config, struct why *why);
void trail_free(struct trail *trail);
/* The path asked about, as its narinfo or the database describes it; once. */
enum err trail_ask(struct trail *trail, const struct trust_path *path, struct why *why);
/* Proof bundles about any paths, in any order: each is verified here, by the trail's threads while the caller goes on, and what
 * does not hold is passed over. `asked` are the hash parts, one a line, of which everything was fed now or before; they are not
 * wanted again. */
enum err trail_feed_proofs(struct trail *trail, struct span asked, struct span bundles, const char *source, struct why *why);
/* Some log of the policy could not be asked: under `divergence refuse` nothing that it may contradict counts. */
void trail_not_asked(struct trail *trail);
/* The input list with this SHA-256, or an empty span where it cannot be had. It is hashed here. */
enum err trail_feed_list(struct trail *trail, struct span hex, struct span list, struct why *why);
/* A narinfo of this hash part (its signatures are verified here), or an empty span where there is none. */
enum err trail_feed_info(struct trail *trail, struct span hash_part, struct span narinfo, struct why *why);
/* Waits until all that was fed is verified. */
enum err trail_absorb(struct trail *trail, struct why *why);
/* From now on `verified` is called, by whatever thread, when another step may get further without being fed: then no step waits
 * for the trail's threads while something that was wanted is not fed yet. NULL: as before. */
void trail_notify(struct trail *trail, void (*verified)(void *ctx), void *ctx);
/* Goes as far as it can with what it has: what is wanted besides what was wanted before, or the verdict. It wants nothing where
 * it cannot go on before some of that is fed. What is complete goes into the memory. */
enum err trail_step(struct trail *trail, struct trail_wants *wants, struct why *why);
/* Appends the heads that proofs brought since it was called last, as gate_heads_put (client/gate_heads.h) does: for who has no
 * memory to show them to, but knows one that has. */
void trail_heads(struct trail *trail, struct buf *out);
/* For trust_judge, once there is a verdict: does the trail of an attestation of the path asked about come out? */
struct trust_inputs trail_inputs(struct trail *trail);
/* One sentence: why the path asked about is complete, or where its trail ends. */
void trail_why(const struct trail *trail, struct why *why);

#endif
