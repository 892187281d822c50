#include "client/gate_lookups.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "client/gather.h"
#include "client/look_up.h"
#include "client/proofs_trim.h"
#include "client/proofs.h"
#include "lib/dsse.h"
#include "lib/statement.h"
#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
#include "lib/sys/report.h"

enum {
    KNOWN_MAX = 65536,           /* answers remembered, */
    KNOWN_BYTES_MAX = 128 << 20, /* and their proofs */
    FOUND_MS = 60 * 1000,        /* for so long; */
    NOTHING_MS = 5 * 1000,       /* a path that is about to be logged should not wait, nor one whose answer was not whole */
    DOWN_MS = 10 * 1000,         /* a log that gave no answer is left alone */
    PATIENCE_MS = 250,           /* for an answer that may not be needed, */
    WAIT_S = 120,                /* and for one that is: it may be one of 10,000 that come in as many parts */
    TIMEOUT_MS = 15 * 1000,
    BUCKETS = 4096,
};

enum state { WANTED, ASKED, ANSWERED };

struct answer {
    struct answer *next;        /* in its bucket */
    struct answer *next_wanted; /* of a WANTED one */
    char hash_part[HASH_PART_LEN];
    enum state state;
    uint64_t until_ms;  /* an ANSWERED one is good for so long; whoever can do without waits for another no longer */
    unsigned awaited;   /* by so many: then it is not dropped */
    bool missed;        /* the log does not give all of it */
    struct buf bundles; /* or, where it was missed, why */
    struct buf hashes;  /* of those in it, while it is ASKED for */
};

/* One log's answers, and the thread that asks it. */
struct desk {
    struct gate_lookups *lookups;
    size_t log;
    struct http_client *client;
    pthread_t thread;
    bool started, ending;
    pthread_mutex_t lock;
    pthread_cond_t work, changed;
    struct answer *wanted, **wanted_end; /* the oldest first */
    size_t known_n, bytes;
    struct answer *buckets[BUCKETS];
    uint8_t secret[crypto_shorthash_KEYBYTES]; /* of the buckets: what a cache names must not all come into one */
    uint64_t down_until_ms, failures;
    struct why why_down;
};

struct gate_lookups {
    const struct client_config *config;
    const struct policy *policy;
    struct buf builders; /* of the trust file: all that they attested is wanted */
    const atomic_bool *stopping; /* the gate is: whoever waits need not any more */
    size_t n;
    struct desk desks[];
};

/* All that are answered, but for those that somebody is about to read. */
static void drop(struct desk *desk)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct answer **at = &desk->buckets[i]; *at != NULL;) {
            struct answer *answer = *at;
            if (answer->state != ANSWERED || answer->awaited > 0) {
                at = &answer->next;
                continue;
            }
            *at = answer->next;
            desk->known_n--;
            desk->bytes -= answer->bundles.len;
            buf_free(&answer->bundles);
            buf_free(&answer->hashes);
            free(answer);
        }
}

static struct answer **find(struct desk *desk, struct span hash_part)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, hash_part.data, hash_part.len, desk->secret);
    struct answer **at = &desk->buckets[get_be32(hash) % BUCKETS];
    while (*at != NULL && !span_eq(hash_part, span_of((*at)->hash_part, HASH_PART_LEN)))
        at = &(*at)->next;
    return at;
}

static bool is_good(const struct answer *answer)
{
    return answer->state == ANSWERED && answer->until_ms > clock_monotonic_ms();
}

/* The answer for a hash part, to be asked for where there is none, or none that is new enough. NULL where memory is short. */
static struct answer *want(struct desk *desk, struct span hash_part)
{
    struct answer **at = find(desk, hash_part), *answer = *at;
    if (answer != NULL && (answer->state != ANSWERED || is_good(answer)))
        return answer;
    if (desk->known_n >= KNOWN_MAX || desk->bytes >= KNOWN_BYTES_MAX) {
        drop(desk);
        answer = *(at = find(desk, hash_part));
    }
    if (answer == NULL) {
        if ((answer = *at = calloc(1, sizeof *answer)) == NULL)
            return NULL;
        memcpy(answer->hash_part, hash_part.data, HASH_PART_LEN);
        desk->known_n++;
    }
    desk->bytes -= answer->bundles.len;
    buf_clear(&answer->bundles);
    answer->state = WANTED;
    answer->missed = false;
    answer->until_ms = clock_monotonic_ms() + PATIENCE_MS;
    answer->next_wanted = NULL;
    *desk->wanted_end = answer;
    desk->wanted_end = &answer->next_wanted;
    pthread_cond_signal(&desk->work);
    return answer;
}

/* Adds a proof to the answer for one of its subjects. The same one comes once for each of its subjects that was asked for. */
static void add_proof(struct desk *desk, struct span path, struct span text, const struct hash *hash)
{
    struct storepath parsed;
    if (storepath_parse(&parsed, path, NULL) != OK)
        return;
    struct answer *answer = *find(desk, parsed.hash_part);
    if (answer == NULL || answer->state != ASKED)
        return;
    for (size_t at = 0; at < answer->hashes.len; at += sizeof hash->b)
        if (memcmp(answer->hashes.data + at, hash->b, sizeof hash->b) == 0)
            return;
    buf_add(&answer->hashes, hash->b, sizeof hash->b);
    buf_span(&answer->bundles, text);
    answer->bundles.failed |= answer->hashes.failed;
    desk->bytes += text.len;
}

/* Whoever asks again asks for all of it. */
static void end_answer(struct answer *answer, uint64_t until_ms)
{
    answer->state = ANSWERED;
    answer->until_ms = until_ms;
    buf_free(&answer->hashes);
}

/* To whom does this proof belong? Nothing is verified here: the signer does that. Without the lock: what is known already is not
 * waited for meanwhile. */
static void sort_proof(struct desk *desk, const struct proof *proof)
{
    struct buf entry = BUF_EMPTY, payload = BUF_EMPTY;
    struct envelope envelope;
    struct statement statement = { 0 };
    if (proof_extra(proof, &entry) && envelope_parse(&envelope, span_buf(&entry), &payload, NULL) == OK &&
        statement_parse(&statement, envelope.payload, NULL) == OK) {
        struct hash hash = sha256_of(proof->text);
        pthread_mutex_lock(&desk->lock);
        for (size_t i = 0; i < statement.subjects_n; i++)
            add_proof(desk, statement.subjects[i].path, proof->text, &hash);
        pthread_mutex_unlock(&desk->lock);
        statement_free(&statement);
    }
    buf_free(&entry);
    buf_free(&payload);
}

/* A proof that does not parse takes no other with it. Where its lines are no proof's, nobody can tell what the log meant. */
static enum err sort_all(struct desk *desk, struct span bundles, struct why *why)
{
    while (bundles.len > 0) {
        struct proof proof;
        struct proof_outline outline = { .text = bundles };
        struct why bad;
        bool outlined = proof_outline_next(&outline, &bundles);
        if (proof_next(&proof, &outline.text, &bad) == OK)
            sort_proof(desk, &proof);
        else if (outlined)
            report_why(REPORT_WARN, "bad-proof", &bad);
        else
            return fail(why, ERR_ENV, "the log's answer does not parse: %s", bad.text);
    }
    return OK;
}

static enum err take(void *ctx, struct span hash_parts, struct span bundles, struct why *why)
{
    struct desk *desk = ctx;
    struct span line;
    size_t room = proofs_room(desk->lookups->policy->logs_n);
    enum err err = sort_all(desk, bundles, why);
    pthread_mutex_lock(&desk->lock);
    uint64_t now_ms = clock_monotonic_ms();
    while (err == OK && span_line(&hash_parts, &line)) {
        struct answer *answer = *find(desk, line);
        if (answer == NULL || answer->state != ASKED)
            continue;
        size_t before = answer->bundles.len;
        err = proofs_trim(&answer->bundles, span_buf(&desk->lookups->builders), room, why);
        if (err == OK)
            err = buf_done(&answer->bundles, why);
        desk->bytes -= before - answer->bundles.len;
        end_answer(answer, now_ms + (answer->bundles.len > 0 ? FOUND_MS : NOTHING_MS));
    }
    pthread_cond_broadcast(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
    return err;
}

/* No answer of this path's; those of the others count. */
static void miss(void *ctx, struct span hash_part, const struct why *why)
{
    struct desk *desk = ctx;
    report_why(REPORT_WARN, "log-incomplete", why);
    pthread_mutex_lock(&desk->lock);
    struct answer *answer = *find(desk, hash_part);
    if (answer != NULL && answer->state == ASKED) {
        desk->bytes -= answer->bundles.len;
        buf_clear(&answer->bundles);
        buf_str(&answer->bundles, why->text);
        desk->bytes += answer->bundles.len;
        answer->missed = true;
        end_answer(answer, clock_monotonic_ms() + NOTHING_MS);
    }
    pthread_mutex_unlock(&desk->lock);
}

/* What is wanted, as lines, the oldest first. Where memory is short the rest is wanted still. */
static void take_wanted(struct desk *desk, struct buf *out)
{
    for (size_t n = 0; desk->wanted != NULL && n < LOOKUP_PARTS_MAX; n++) {
        struct answer *answer = desk->wanted;
        uint8_t *line = buf_grow(out, HASH_PART_LEN + 1);
        if (line == NULL)
            break;
        memcpy(line, answer->hash_part, HASH_PART_LEN);
        line[HASH_PART_LEN] = '\n';
        answer->state = ASKED;
        desk->wanted = answer->next_wanted;
    }
    if (desk->wanted == NULL)
        desk->wanted_end = &desk->wanted;
}

/* What was not answered is nobody's any more. */
static void give_up(struct desk *desk, struct span hash_parts)
{
    struct span line;
    while (span_line(&hash_parts, &line)) {
        struct answer *answer = *find(desk, line);
        if (answer != NULL && answer->state == ASKED)
            end_answer(answer, 0);
    }
}

static void fall_silent(struct desk *desk, const struct why *why)
{
    if (!*desk->lookups->stopping)
        report_why(REPORT_WARN, "log-down", why);
    desk->failures++;
    desk->why_down = *why;
    desk->down_until_ms = clock_monotonic_ms() + DOWN_MS;
    for (struct answer *answer = desk->wanted; answer != NULL; answer = answer->next_wanted)
        end_answer(answer, 0);
    desk->wanted = NULL;
    desk->wanted_end = &desk->wanted;
}

/* Asks for what is wanted; with the lock held before and after. */
static void ask(struct desk *desk)
{
    struct gate_lookups *lookups = desk->lookups;
    struct proofs_taker taker = { take, miss, desk };
    struct buf lines = BUF_EMPTY;
    struct why why = { "out of memory" };
    take_wanted(desk, &lines);
    pthread_mutex_unlock(&desk->lock);
    const struct proofs_asked asked = { .hash_parts = span_buf(&lines), .builders = span_buf(&lookups->builders) };
    enum err err = lines.failed ? ERR_ENV
                                : look_up_many(desk->client, lookups->config, lookups->policy, desk->log, &asked, &taker, &why);
    pthread_mutex_lock(&desk->lock);
    give_up(desk, span_buf(&lines));
    if (err != OK)
        fall_silent(desk, &why);
    pthread_cond_broadcast(&desk->changed);
    buf_free(&lines);
}

static void *run_desk(void *ctx)
{
    struct desk *desk = ctx;
    pthread_mutex_lock(&desk->lock);
    while (!desk->ending)
        if (desk->wanted != NULL)
            ask(desk);
        else
            pthread_cond_wait(&desk->work, &desk->lock);
    pthread_mutex_unlock(&desk->lock);
    return NULL;
}

enum err gate_lookups_new(struct gate_lookups **out, const struct client_config *config, const struct policy *policy,
                          const atomic_bool *stopping, struct why *why)
{
    struct gate_lookups *lookups = calloc(1, sizeof *lookups + policy->logs_n * sizeof lookups->desks[0]);
    if (lookups == NULL)
        return fail(why, ERR_ENV, "out of memory");
    struct http_client_config client = { .total_timeout_ms = TIMEOUT_MS, .stopping = stopping };
    lookups->config = config;
    lookups->policy = policy;
    lookups->stopping = stopping;
    struct trust trust = { 0 };
    enum err err = client_trust_load(config, &trust, why);
    if (err == OK) {
        proofs_builders(&lookups->builders, &trust);
        err = buf_done(&lookups->builders, why);
    }
    trust_free(&trust);
    for (size_t i = 0; i < policy->logs_n && err == OK; i++, lookups->n++) {
        struct desk *desk = &lookups->desks[i];
        desk->lookups = lookups;
        desk->log = i;
        desk->wanted_end = &desk->wanted;
        randombytes_buf(desk->secret, sizeof desk->secret);
        pthread_mutex_init(&desk->lock, NULL);
        pthread_cond_init(&desk->work, NULL);
        cond_init(&desk->changed);
        struct span url;
        if (!proofs_log_url(config, policy, i, &url))
            continue;
        err = http_client_new(&desk->client, &client, why);
        if (err == OK && !(desk->started = pthread_create(&desk->thread, NULL, run_desk, desk) == 0))
            err = fail(why, ERR_ENV, "no thread can be started");
    }
    if (err == OK)
        *out = lookups;
    else
        gate_lookups_free(lookups);
    return err;
}

void gate_lookups_free(struct gate_lookups *lookups)
{
    for (size_t i = 0; lookups != NULL && i < lookups->n; i++) {
        struct desk *desk = &lookups->desks[i];
        pthread_mutex_lock(&desk->lock);
        desk->ending = true;
        pthread_cond_signal(&desk->work);
        pthread_mutex_unlock(&desk->lock);
        if (desk->started)
            pthread_join(desk->thread, NULL);
        for (size_t b = 0; b < BUCKETS; b++)
            for (struct answer *answer = desk->buckets[b]; answer != NULL; answer = answer->next)
                answer->state = ANSWERED;
        drop(desk);
        http_client_free(desk->client);
        pthread_cond_destroy(&desk->work);
        pthread_cond_destroy(&desk->changed);
        pthread_mutex_destroy(&desk->lock);
    }
    if (lookups != NULL)
        buf_free(&lookups->builders);
    free(lookups);
}

/* What was missed may hold up the others again: only whoever waits for it asks for it anew. */
static void want_ahead(struct desk *desk, struct span hash_part)
{
    const struct answer *answer = *find(desk, hash_part);
    if (answer == NULL || !answer->missed)
        want(desk, hash_part);
}

void gate_lookups_want(struct gate_lookups *lookups, const struct span *hash_parts, size_t n)
{
    for (size_t i = 0; i < lookups->n; i++) {
        struct desk *desk = &lookups->desks[i];
        struct span url;
        if (!proofs_log_url(lookups->config, lookups->policy, i, &url))
            continue;
        pthread_mutex_lock(&desk->lock);
        for (size_t part = 0; part < n && desk->known_n < KNOWN_MAX && clock_monotonic_ms() >= desk->down_until_ms; part++)
            want_ahead(desk, hash_parts[part]);
        pthread_mutex_unlock(&desk->lock);
    }
}

static enum err await(struct desk *desk, struct span hash_part, struct buf *bundles, struct why *why)
{
    uint64_t failures = desk->failures, end_ms = clock_monotonic_ms() + WAIT_S * 1000;
    struct answer *answer = *find(desk, hash_part);
    while (answer == NULL || !is_good(answer)) {
        if (clock_monotonic_ms() < desk->down_until_ms || desk->failures != failures)
            return fail(why, ERR_ENV, "%s", desk->why_down.text);
        if ((answer = want(desk, hash_part)) == NULL)
            return fail(why, ERR_ENV, "out of memory");
        answer->awaited++;
        bool in_time = cond_wait_until(&desk->changed, &desk->lock, end_ms);
        answer->awaited--;
        if (!in_time && !is_good(answer))
            return fail(why, ERR_ENV, "the log takes more than %d s to answer", WAIT_S);
    }
    if (answer->missed)
        return fail(why, ERR_ENV, "%.*s", SPAN_FMT(span_buf(&answer->bundles)));
    buf_span(bundles, span_buf(&answer->bundles));
    return buf_done(bundles, why);
}

/* What it was asked for already, if that comes soon: a log that is slow holds up nobody who may do without. */
static enum err recall(struct desk *desk, struct span hash_part, struct buf *bundles, struct why *why)
{
    struct answer *answer = *find(desk, hash_part);
    if (answer == NULL)
        return OK;
    uint64_t until_ms = answer->until_ms;
    answer->awaited++;
    while (answer->state != ANSWERED && cond_wait_until(&desk->changed, &desk->lock, until_ms))
        continue;
    answer->awaited--;
    if (is_good(answer) && !answer->missed)
        buf_span(bundles, span_buf(&answer->bundles));
    return buf_done(bundles, why);
}

enum err gate_lookups_ask(struct gate_lookups *lookups, size_t log, struct span hash_part, bool anew, struct buf *bundles,
                          struct why *why)
{
    struct desk *desk = &lookups->desks[log];
    pthread_mutex_lock(&desk->lock);
    enum err err = (anew ? await : recall)(desk, hash_part, bundles, why);
    pthread_mutex_unlock(&desk->lock);
    return err;
}
