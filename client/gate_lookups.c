#include "client/gate_lookups.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/gather.h"
#include "client/memory.h"
#include "client/proofs_trim.h"
#include "client/proofs.h"
#include "lib/dsse.h"
#include "lib/statement.h"
#include "lib/sys/clock.h"
#include "lib/sys/report.h"

enum {
    KNOWN_MAX = 65536,           /* answers remembered, */
    KNOWN_BYTES_MAX = 128 << 20, /* and their proofs */
    FOUND_MS = 60 * 1000,        /* for so long; */
    NOTHING_MS = 5 * 1000,       /* a path that is about to be logged should not wait */
    DOWN_MS = 10 * 1000,         /* a log that gave no answer is left alone */
    TIMEOUT_MS = 15 * 1000,
    BUCKETS = 4096,
};

enum state { WANTED, ASKED, ANSWERED };

struct answer {
    struct answer *next; /* in its bucket */
    char hash_part[HASH_PART_LEN];
    enum state state;
    uint64_t until_ms; /* of an ANSWERED one */
    struct buf bundles;
    struct buf hashes; /* of those in it, while it is ASKED for */
};

/* One log's answers. One thread at a time asks; the others wait. */
struct desk {
    struct gate_lookups *lookups;
    size_t log;
    struct http_client *client;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool asking;
    size_t known_n, bytes, wanted_n;
    struct answer *buckets[BUCKETS];
    uint64_t down_until_ms, failures;
    struct why why_down;
};

struct gate_lookups {
    const struct client_config *config;
    const struct policy *policy;
    struct buf builders; /* of the trust file: all that they attested is wanted */
    size_t n;
    struct desk desks[];
};

enum err gate_lookups_new(struct gate_lookups **out, const struct client_config *config, const struct policy *policy,
                          struct why *why)
{
    struct http_client_config client = { .total_timeout_ms = TIMEOUT_MS };
    struct gate_lookups *lookups = calloc(1, sizeof *lookups + policy->logs_n * sizeof lookups->desks[0]);
    if (lookups == NULL)
        return fail(why, ERR_ENV, "out of memory");
    lookups->config = config;
    lookups->policy = policy;
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
        pthread_mutex_init(&desk->lock, NULL);
        pthread_cond_init(&desk->changed, NULL);
        err = http_client_new(&desk->client, &client, why);
    }
    if (err == OK)
        *out = lookups;
    else
        gate_lookups_free(lookups);
    return err;
}

/* All that are answered, or those alone that are too old. */
static void drop(struct desk *desk, bool all)
{
    uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct answer **at = &desk->buckets[i]; *at != NULL;) {
            struct answer *answer = *at;
            if (answer->state != ANSWERED || (!all && answer->until_ms > now_ms)) {
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

void gate_lookups_free(struct gate_lookups *lookups)
{
    for (size_t i = 0; lookups != NULL && i < lookups->n; i++) {
        struct desk *desk = &lookups->desks[i];
        for (size_t b = 0; b < BUCKETS; b++)
            for (struct answer *answer = desk->buckets[b]; answer != NULL; answer = answer->next)
                answer->state = ANSWERED;
        drop(desk, true);
        http_client_free(desk->client);
        pthread_cond_destroy(&desk->changed);
        pthread_mutex_destroy(&desk->lock);
    }
    if (lookups != NULL)
        buf_free(&lookups->builders);
    free(lookups);
}

static struct answer **find(struct desk *desk, struct span hash_part)
{
    struct answer **at = &desk->buckets[get_be32(hash_part.data) * 2654435761u % BUCKETS];
    while (*at != NULL && !span_eq(hash_part, span_of((*at)->hash_part, HASH_PART_LEN)))
        at = &(*at)->next;
    return at;
}

/* The answer for a hash part, to be asked for where there is none, or none that is new enough. NULL where memory is short. */
static struct answer *want(struct desk *desk, struct span hash_part)
{
    if (desk->known_n >= KNOWN_MAX || desk->bytes >= KNOWN_BYTES_MAX)
        drop(desk, true);
    struct answer **at = find(desk, hash_part), *answer = *at;
    if (answer == NULL) {
        if ((answer = *at = calloc(1, sizeof *answer)) == NULL)
            return NULL;
        memcpy(answer->hash_part, hash_part.data, HASH_PART_LEN);
        desk->known_n++;
    } else if (answer->state != ANSWERED || answer->until_ms > clock_monotonic_ms()) {
        return answer;
    }
    desk->bytes -= answer->bundles.len;
    buf_clear(&answer->bundles);
    answer->state = WANTED;
    desk->wanted_n++;
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

/* To whom does this proof belong? Nothing is verified here: the signer does that. */
static void sort_proof(struct desk *desk, const struct proof *proof)
{
    struct buf entry = BUF_EMPTY, payload = BUF_EMPTY;
    struct envelope envelope;
    struct statement statement = { 0 };
    if (proof_extra(proof, &entry) && envelope_parse(&envelope, span_buf(&entry), &payload, NULL) == OK &&
        statement_parse(&statement, envelope.payload, NULL) == OK) {
        struct hash hash = sha256_of(proof->text);
        for (size_t i = 0; i < statement.subjects_n; i++)
            add_proof(desk, statement.subjects[i].path, proof->text, &hash);
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
    pthread_mutex_lock(&desk->lock);
    enum err err = sort_all(desk, bundles, why);
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

/* All that is wanted now, as lines. */
static void take_wanted(struct desk *desk, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < BUCKETS && n < LOOKUP_PARTS_MAX && desk->wanted_n > 0; i++)
        for (struct answer *answer = desk->buckets[i]; answer != NULL && n < LOOKUP_PARTS_MAX; answer = answer->next) {
            if (answer->state != WANTED)
                continue;
            answer->state = ASKED;
            desk->wanted_n--;
            n++;
            buf_add(out, answer->hash_part, HASH_PART_LEN);
            buf_byte(out, '\n');
        }
}

/* What was not answered is nobody's any more. */
static void give_up(struct desk *desk)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct answer *answer = desk->buckets[i]; answer != NULL; answer = answer->next)
            if (answer->state == ASKED)
                end_answer(answer, 0);
}

/* Asks for all that is wanted; with the lock held before and after. */
static void ask(struct desk *desk)
{
    struct gate_lookups *lookups = desk->lookups;
    struct proofs_taker taker = { take, desk };
    struct buf lines = BUF_EMPTY;
    struct why why = { "out of memory" };
    desk->asking = true;
    take_wanted(desk, &lines);
    pthread_mutex_unlock(&desk->lock);
    const struct proofs_asked asked = { .hash_parts = span_buf(&lines), .builders = span_buf(&lookups->builders) };
    enum err err = lines.failed ? ERR_ENV : memory_ask(lookups->config, lookups->policy, desk->log, desk->client, &why);
    if (err == OK)
        err = proofs_log_many(desk->client, lookups->config, lookups->policy, desk->log, &asked, &taker, &why);
    buf_free(&lines);
    pthread_mutex_lock(&desk->lock);
    if (err != OK) {
        report_why(REPORT_WARN, "log-down", &why);
        desk->failures++;
        desk->why_down = why;
        desk->down_until_ms = clock_monotonic_ms() + DOWN_MS;
    }
    give_up(desk);
    desk->asking = false;
    pthread_cond_broadcast(&desk->changed);
}

enum err gate_lookups_ask(struct gate_lookups *lookups, size_t log, struct span hash_part, const struct span *ahead, size_t n,
                          struct buf *bundles, struct why *why)
{
    struct desk *desk = &lookups->desks[log];
    enum err err = OK;
    pthread_mutex_lock(&desk->lock);
    uint64_t failures = desk->failures;
    struct answer *answer = NULL;
    for (bool first = true;; first = false) {
        /* Found anew each time: while this waited, it may have been dropped. */
        if (clock_monotonic_ms() < desk->down_until_ms || desk->failures != failures) {
            err = fail(why, ERR_ENV, "%s", desk->why_down.text);
            break;
        }
        if ((answer = want(desk, hash_part)) == NULL) {
            err = fail(why, ERR_ENV, "out of memory");
            break;
        }
        if (answer->state == ANSWERED)
            break;
        for (size_t i = 0; first && i < n && desk->known_n < KNOWN_MAX; i++)
            want(desk, ahead[i]);
        if (desk->asking)
            pthread_cond_wait(&desk->changed, &desk->lock);
        else
            ask(desk);
    }
    if (err == OK) {
        buf_span(bundles, span_buf(&answer->bundles));
        err = buf_done(bundles, why);
    }
    pthread_mutex_unlock(&desk->lock);
    return err;
}
