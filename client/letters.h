/*
 * Letters: the files of the outbox (client/outbox.h) on their way to a log. A round lists some of them, batches of it are read
 * and posted; all of it is bounded, however many wait.
 */
#ifndef STELE_CLIENT_LETTERS_H
#define STELE_CLIENT_LETTERS_H

#include <limits.h>

#include "client/outbox.h"

enum {
    NAMES_MAX = 16384,          /* held at once */
    BATCH_LETTERS_MAX = 512,    /* posted at once; a log takes 4,096 lines, and a letter has two at most */
    BATCH_BYTES_MAX = 1 << 20,  /* likewise, but for a letter that is larger by itself */
    LETTER_BYTES_MAX = 3 << 20, /* an input list of 2 MiB in base64, and an envelope */
    DEFERRED_MAX = 4096,        /* letters that wait for a moment of their own; more of them are tried too early */
};

/* Letters that are not to be tried before their time, by the hash of their names: what one letter waits for holds up no other.
 * A place is given to the later of two names that want it. */
struct deferred {
    bool any;
    struct {
        uint64_t name;
        uint64_t until_ms, wait_ms;
    } places[DEFERRED_MAX];
};
/* Twice as long as the last time, from `first_ms` to `most_ms`; clock_monotonic_ms. */
void deferred_add(struct deferred *deferred, const char *name, uint64_t first_ms, uint64_t most_ms);

/* Goes once over the outbox, in the order of names. */
struct round {
    char **names; /* sorted: the next ones, not all */
    size_t n, next;
    bool ended;              /* nothing comes behind them */
    size_t waiting;          /* all letters that were there, listed or not */
    uint64_t due_ms;         /* when the first of the deferred is due, clock_monotonic_ms; 0 where none is */
    char last[NAME_MAX + 1]; /* the name taken last: the next round goes on behind it, and then from the front; empty for none */
};
/* Begins a round with the letters that may be tried now; round->n is 0 where there is none. Free with round_free. */
enum err round_begin(struct round *round, const char *outbox, const struct deferred *deferred, struct why *why);
/* Is there to be listed what comes behind those that it handed out? Then round_more does that. Never a name that was taken. */
bool round_wants_more(const struct round *round);
enum err round_more(struct round *round, const char *outbox, const struct deferred *deferred, struct why *why);
/* Takes the next name, for the caller to free; NULL at the end. */
char *round_take(struct round *round);
void round_free(struct round *round);

enum letter_state {
    LETTER_WAITS,
    LETTER_PROVEN,  /* its proof verified */
    LETTER_REFUSED, /* by a log, for good: it will be set aside unless another takes it */
};

struct letter {
    char *name;
    size_t at, len;                  /* of its lines in batch->lines */
    struct span lines, envelope;     /* what is posted; its last line */
    char *subject;                   /* the first path that it is about */
    uint8_t (*parts)[HASH_PART_LEN]; /* the hash parts of all of them */
    size_t parts_n;
    enum letter_state state;
    bool later;   /* some log may take it another time */
    char *reason; /* why it is refused */
    bool indexed; /* some log has it, at `index`, by a proof that does not satisfy the policy yet */
    uint64_t index;
};

/* What the letter of these lines is about: its subject and the hash parts. ERR_MALFORMED where it is no attestation as stele writes
 * it. Free with letter_free, also then. */
enum err letter_open(struct letter *letter, struct span lines, struct why *why);
void letter_free(struct letter *letter);

struct batch {
    struct letter *letters; /* BATCH_LETTERS_MAX */
    size_t n, bytes_max;
    struct buf lines; /* of all letters, one after another */
};
/* Empties the batch, and frees what its letters own. */
void batch_clear(struct batch *batch);
void batch_free(struct batch *batch);
/* Reads one more letter; passes over one that is no more. *full, and nothing is taken, where the batch has no room for it: an empty
 * one always has. ERR_MALFORMED where it is no attestation as stele writes it; ERR_ENV where it cannot be read. */
enum err batch_take(struct batch *batch, const char *outbox, const char *name, bool *full, struct why *why);
/* After the last one: sets the spans. */
void batch_seal(struct batch *batch);

#endif
