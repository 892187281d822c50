/*
 * A witness (stele-witness of PATH) that is killed again and again under load, by logs that fork whenever they can. Every
 * cosignature ever received is kept, and at the end all are held against each other: one root for a size, one history for a
 * log, no time that goes back.
 *
 *   witness_kills random SCRATCH KILLS            SIGKILL at any moment, of the witness or of its signer alone
 *   witness_kills inject SCRATCH SYSCALL KIND MAX  each of the first MAX calls of SYSCALL once under strace with KIND
 *                                                 (signal=KILL, error=EIO, …), until there is no such call any more
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/cosignature.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/http_calls.h"
#include "tests/witness_driver.h"

enum {
    LOGS = 6,
    RACERS = 4,
    SLOTS = LOGS * RACERS,
    LEAVES = 1 << 16,
    GROWTH_MAX = 3,
    ROUND_MS_MAX = 40,
    INJECT_MS_MAX = 1500,
    LAST_LINE_MS_MAX = 10000
};

/* A head that a racer asks for: after `base` entries, leaves of its own up to `size`. */
struct proposal {
    bool out; /* asked, and no answer seen */
    uint64_t base, size, salt;
    struct buf body;
};

struct cosigned {
    size_t log;
    uint64_t size, time_s;
    struct hash root;
    size_t number; /* in the order of receipt */
};

static struct http_client *client;
static struct http_calls *calls;
static struct peer peer;
static struct own_log logs[LOGS];
static uint64_t sizes[LOGS]; /* what each log believes to be cosigned */
static struct proposal proposals[SLOTS];
static struct cosigned *seen;
static size_t seen_n, seen_cap;
static uint64_t salts;
static unsigned failures, forks_refused;

static void failed(const char *what, size_t log, uint64_t size)
{
    printf("# FAILED: %s: log %zu, size %llu\n", what, log, (unsigned long long)size);
    failures++;
}

/* Makes the log's tree that of a proposal. */
static void take_leaves(struct own_log *log, const struct proposal *proposal)
{
    for (uint64_t i = proposal->base; i < proposal->size; i++) {
        uint64_t content[2] = { proposal->salt, i };
        log->nodes[0][i] = merkle_leaf_hash(span_of(content, sizeof content));
    }
    log->leaves_n = proposal->size;
    own_log_hash(log, proposal->base);
}

/* Keeps the cosignature that an answer carries, whatever was asked. */
static void keep(size_t log, uint64_t size, const struct hash *root, const struct http_response *response)
{
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    struct why why;
    uint64_t time_s = 0;
    own_text(&text, &logs[log], size, root);
    if (cosignature_from_reply(span_buf(&response->body), span_buf(&text), &peer.key, &line, &time_s, &why) != OK) {
        failed(why.text, log, size);
    } else {
        if (seen_n == seen_cap && (seen = realloc(seen, (seen_cap += 4096) * sizeof *seen)) == NULL)
            driver_die("memory", NULL);
        seen[seen_n] = (struct cosigned){ .log = log, .size = size, .time_s = time_s, .root = *root, .number = seen_n };
        seen_n++;
    }
    buf_free(&text);
    buf_free(&line);
}

static void ask(size_t slot)
{
    struct proposal *proposal = &proposals[slot];
    struct own_log *log = &logs[slot / RACERS];
    struct why why;
    proposal->base = sizes[slot / RACERS];
    proposal->size = proposal->base + 1 + (uint64_t)rand() % GROWTH_MAX;
    proposal->salt = ++salts;
    if (proposal->size > LEAVES)
        driver_die("the logs are full: fewer kills, or more leaves", NULL);
    take_leaves(log, proposal);
    own_request(&proposal->body, log, proposal->base, proposal->size);
    proposal->out = true;
    if (http_calls_post(calls, slot, peer_url(&peer, "add-checkpoint"), span_buf(&proposal->body), 20000, 1 << 16, &why) != OK)
        driver_die("a request", &why);
}

static bool asking; /* new requests follow on answers */

static void on_answer(void *ctx, size_t slot, const struct http_response *response, const struct why *why)
{
    struct proposal *proposal = &proposals[slot];
    size_t log = slot / RACERS;
    (void)ctx, (void)why;
    if (response == NULL || response->status == 503)
        return; /* killed under it: it may have been cosigned */
    proposal->out = false;
    if (response->status == 200) {
        take_leaves(&logs[log], proposal);
        struct hash root = own_root(&logs[log], proposal->size);
        keep(log, proposal->size, &root, response);
        sizes[log] = proposal->size;
    } else if (response->status == 409) {
        forks_refused++;
    } else {
        failed("an answer that is none of 200, 409, 503", log, response->status);
    }
    if (asking)
        ask(slot);
}

static bool any_busy(void)
{
    for (size_t slot = 0; slot < SLOTS; slot++)
        if (http_calls_busy(calls, slot))
            return true;
    return false;
}

static void wait_some(unsigned ms)
{
    struct why why;
    if (http_calls_wait(calls, ms, on_answer, NULL, &why) != OK)
        driver_die("waiting", &why);
}

/* Posts a request that stands in `body`; 0 where there is no answer. */
static unsigned post(struct span body, struct http_response *response)
{
    struct why why;
    return http_post(client, peer_url(&peer, "add-checkpoint"), "text/plain", body, 1 << 16, response, &why) == OK
               ? response->status
               : 0;
}

/* The head again that the log believes in: 200, or 409 with the size that was cosigned without our seeing it. */
static void find_head(size_t log)
{
    struct http_response response = { 0 };
    struct buf body = BUF_EMPTY;
    struct span line;
    uint64_t size = 0;
    /* The tree of the last proposal is another one: its leaves go. */
    struct proposal none = { .base = sizes[log], .size = sizes[log] };
    take_leaves(&logs[log], &none);
    own_request(&body, &logs[log], sizes[log], sizes[log]);
    unsigned status = post(span_buf(&body), &response);
    struct hash root = own_root(&logs[log], sizes[log]);
    struct span rest = span_buf(&response.body);
    if (status == 200) {
        keep(log, sizes[log], &root, &response);
    } else if (status != 409 || !span_line(&rest, &line) || !span_decimal(line, TREE_SIZE_MAX, &size) || size <= sizes[log]) {
        failed("after a restart the last head is not there", log, sizes[log]);
    } else {
        bool found = false;
        for (size_t slot = log * RACERS; slot < (log + 1) * RACERS && !found; slot++) {
            struct proposal *proposal = &proposals[slot];
            if (!proposal->out || proposal->size != size || proposal->base != sizes[log])
                continue;
            take_leaves(&logs[log], proposal);
            own_request(&body, &logs[log], size, size);
            found = post(span_buf(&body), &response) == 200;
            root = own_root(&logs[log], size);
            if (found)
                keep(log, size, &root, &response);
        }
        if (found)
            sizes[log] = size;
        else
            failed("the witness stands at a head that is none of those under way", log, size);
    }
    buf_free(&body);
    http_response_free(&response);
}

/* Tries to have an older head cosigned again, and another root of the newest one: what comes back is kept all the same. */
static void try_forks(size_t log)
{
    struct http_response response = { 0 };
    struct buf body = BUF_EMPTY;
    uint64_t size = sizes[log];
    struct hash root = merkle_leaf_hash(span_str("another history"));
    for (int back = 0; back < 2 && size > 1; back++) {
        struct buf text = BUF_EMPTY;
        buf_clear(&body);
        own_text(&text, &logs[log], size - (uint64_t)back, &root);
        own_front(&body, &logs[log], size - (uint64_t)back, size - (uint64_t)back);
        buf_span(&body, span_buf(&text));
        buf_byte(&body, '\n');
        own_line(&body, &logs[log], span_buf(&text));
        unsigned status = post(span_buf(&body), &response);
        if (status == 200)
            keep(log, size - (uint64_t)back, &root, &response);
        if (status != (back ? 409 : 422))
            failed("another root is not refused", log, size);
        forks_refused += status != 200;
        buf_free(&text);
    }
    buf_free(&body);
    http_response_free(&response);
}

/* What was under way is settled: each log knows where it stands. */
static void settle(void)
{
    for (size_t log = 0; log < LOGS; log++) {
        find_head(log);
        try_forks(log);
    }
    for (size_t slot = 0; slot < SLOTS; slot++)
        proposals[slot].out = false;
}

/* The witness's only child; 0 where there is none to be seen. */
static pid_t signer_pid(void)
{
    char path[64];
    struct buf text = BUF_EMPTY;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)peer.pid, (int)peer.pid);
    FILE *file = fopen(path, "r");
    int pid = 0;
    if (file != NULL) {
        if (fscanf(file, "%d", &pid) != 1)
            pid = 0;
        fclose(file);
    }
    buf_free(&text);
    return pid;
}

/* Load until `ms` have passed or nobody answers any more. */
static void load(unsigned ms)
{
    uint64_t until_ms = clock_monotonic_ms() + ms;
    asking = true;
    for (size_t slot = 0; slot < SLOTS; slot++)
        ask(slot);
    while (clock_monotonic_ms() < until_ms && any_busy())
        wait_some(1 + (unsigned)rand() % 3);
}

/* Takes what came before the end: answers that were sent count. */
static void drain(void)
{
    asking = false;
    while (any_busy())
        wait_some(1000);
}

static void random_kills(unsigned kills)
{
    for (unsigned i = 0; i < kills; i++) {
        peer_start(&peer);
        settle();
        load((unsigned)rand() % ROUND_MS_MAX);
        pid_t signer = rand() % 4 == 0 ? signer_pid() : 0;
        if (signer > 0) {
            kill(signer, SIGKILL);
            wait_some(1 + (unsigned)rand() % 5);
        }
        peer_stop(&peer, SIGKILL);
        drain();
    }
    printf("# %u kills\n", kills);
}

static bool was_hit(const char *trace)
{
    struct buf text = BUF_EMPTY;
    bool hit = false;
    if (file_read(trace, 64 << 20, &text, NULL) == OK) {
        buf_byte(&text, '\0');
        hit = strstr((const char *)text.data, "(INJECTED)") != NULL || strstr((const char *)text.data, "killed by SIGKILL") != NULL;
    }
    buf_free(&text);
    return hit;
}

static void injections(const char *scratch, const char *syscall_name, const char *kind, unsigned max)
{
    char injection[128], trace[600];
    unsigned hits = 0;
    snprintf(trace, sizeof trace, "%s/trace", scratch);
    for (unsigned n = 1; n <= max; n++) {
        snprintf(injection, sizeof injection, "%s:%s:when=%u", syscall_name, kind, n);
        unlink(trace);
        bool hit = true; /* it does not even start */
        if (peer_start_traced(&peer, injection, trace)) {
            load(INJECT_MS_MAX / 10);
            for (int i = 0; i < 9 && !was_hit(trace) && any_busy(); i++) {
                uint64_t until_ms = clock_monotonic_ms() + INJECT_MS_MAX / 10;
                while (clock_monotonic_ms() < until_ms && any_busy())
                    wait_some(5);
            }
            /* Where nobody answers any more strace has yet to write its last line; and it writes one of our own kill, too. */
            for (int i = 0; i < LAST_LINE_MS_MAX && !was_hit(trace) && !any_busy(); i++)
                usleep(1000);
            hit = was_hit(trace);
            peer_stop(&peer, SIGKILL);
            drain();
        }
        hits += hit;
        peer_start(&peer);
        settle();
        peer_stop(&peer, SIGKILL);
        if (!hit)
            break;
    }
    if (hits == 0)
        failed("no call was hit", 0, 0);
    printf("# %s %s: %u calls\n", syscall_name, kind, hits);
}

static int by_size(const void *a, const void *b)
{
    const struct cosigned *x = a, *y = b;
    if (x->log != y->log)
        return x->log < y->log ? -1 : 1;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* All against each other: in the order of size, each root is one, and the end of the history that the log now has. A log's heads
 * were received in the order in which they were cosigned, so their times go up with their sizes. */
static void check_all(void)
{
    if (seen_n > 0)
        qsort(seen, seen_n, sizeof *seen, by_size);
    for (size_t i = 0; i < seen_n; i++) {
        struct hash root = own_root(&logs[seen[i].log], seen[i].size);
        if (!hash_eq(&root, &seen[i].root))
            failed("cosigned, and no part of the history", seen[i].log, seen[i].size);
        if (i == 0 || seen[i - 1].log != seen[i].log)
            continue;
        if (seen[i - 1].size == seen[i].size && !hash_eq(&seen[i - 1].root, &seen[i].root))
            failed("TWO HEADS OF ONE SIZE COSIGNED", seen[i].log, seen[i].size);
        if (seen[i - 1].time_s > seen[i].time_s)
            failed("a time went back", seen[i].log, seen[i].size);
        if (seen[i - 1].number > seen[i].number)
            failed("a size went back", seen[i].log, seen[i].size);
    }
    printf("# %zu cosignatures of %d logs held against each other, %u forks refused, %u failures\n", seen_n, LOGS, forks_refused,
           failures);
}

int main(int argc, char **argv)
{
    struct why why;
    bool inject = argc == 6 && strcmp(argv[1], "inject") == 0;
    if (!inject && (argc != 4 || strcmp(argv[1], "random") != 0))
        driver_die("usage: see the source", NULL);
    client = driver_start(3600);
    signal(SIGPIPE, SIG_IGN);
    unsigned seed = (unsigned)clock_posix_ms();
    srand(seed);
    printf("# seed %u\n", seed);
    if (http_calls_new(&calls, SLOTS, &why) != OK)
        driver_die("calls", &why);
    peer_make(&peer, argv[2], "w");
    for (size_t i = 0; i < LOGS; i++) {
        char origin[32];
        snprintf(origin, sizeof origin, "log-%zu.example", i);
        own_log_make(&logs[i], origin, 0, LEAVES);
        peer_add_log(&peer, logs[i].vkey_text, origin);
    }
    peer_start(&peer);
    settle();
    peer_stop(&peer, SIGKILL);
    if (inject)
        injections(argv[2], argv[3], argv[4], (unsigned)atoi(argv[5]));
    else
        random_kills((unsigned)atoi(argv[3]));
    peer_start(&peer);
    settle();
    if (peer_stop(&peer, SIGTERM) != 0)
        failed("the witness does not end in good order", 0, 0);
    check_all();
    http_calls_free(calls);
    http_client_free(client);
    for (size_t i = 0; i < LOGS; i++)
        own_log_free(&logs[i]);
    for (size_t slot = 0; slot < SLOTS; slot++)
        buf_free(&proposals[slot].body);
    free(seen);
    return failures > 0;
}
