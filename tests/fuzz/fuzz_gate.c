/*
 * Whatever comes over a connection to a gate, and whatever the cache behind it and the log answer it: parts of the input, divided
 * by lines "====": the requests, the narinfo, the proofs, the NAR as it is in the cache. Front and signer answer, all in this thread.
 * A narinfo that comes out is under the gate's key, and a NAR that comes out whole is the one that was asked for.
 */
#include <assert.h>
#include <stdlib.h>

#include "client/gate.h"
#include "lib/encode.h"
#include "tests/fuzz/gate_world.h"
#include "tests/fuzz/upstream.h"
#include "tests/fuzz/wire.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct client_config client_config;
static struct gate gate = { .config = &client_config, .dir = GATE_WORLD_DIR, .lock = PTHREAD_MUTEX_INITIALIZER };
static unsigned requests; /* of the input at hand; the last one's: */
static bool is_nar;
static struct hash asked;

static void begin(void)
{
    struct why why;
    gate_world_start(&client_config, &gate.signer);
    must(client_policy_load(&client_config, &gate.policy, &why), &why);
    gate.upstreams = calloc(1, sizeof *gate.upstreams);
    assert(gate.upstreams != NULL);
}

/* A gate that remembers nothing. */
static void forget(void)
{
    struct why why;
    gate_forget(&gate);
    gate.shunned_n = gate.shunned_next = 0;
    *gate.upstreams = (struct gate_upstream){ .url = client_config.upstreams.items[0] };
    gate_lookups_free(gate.lookups);
    must(gate_lookups_new(&gate.lookups, &client_config, &gate.policy, &gate.stopping, &why), &why);
}

/* client/gate_keep.h: nothing is kept. */
void gate_keep(struct gate_keeper *keeper, struct span hash_part, struct span proofs)
{
    (void)keeper, (void)hash_part, (void)proofs;
}

enum err gate_keeper_start(struct gate_keeper **out, const struct client_config *config, struct why *why)
{
    (void)config, (void)why;
    *out = NULL;
    return OK;
}

void gate_keeper_stop(struct gate_keeper *keeper)
{
    (void)keeper;
}

/* client/gate_ahead.h: nothing is read ahead. */
void gate_ahead_offer(struct gate_ahead *ahead, const struct gate_path *path)
{
    (void)ahead, (void)path;
}

bool gate_ahead_take(struct gate_ahead *ahead, const struct gate_path *path, struct buf *whole)
{
    (void)ahead, (void)path, (void)whole;
    return false;
}

enum err gate_ahead_start(struct gate_ahead **out, struct gate *at, struct why *why)
{
    (void)at, (void)why;
    *out = NULL;
    return OK;
}

void gate_ahead_stop(struct gate_ahead *ahead)
{
    (void)ahead;
}

static void handle(void *ctx, struct http_request *request)
{
    struct span path = http_path(request);
    requests++;
    is_nar = span_skip(&path, "/nar/") && path.len == HASH_PART_LEN + 1 + nix32_len(32) + 4 &&
             nix32_decode(span_cut(path, HASH_PART_LEN + 1, nix32_len(32)), asked.b, sizeof asked.b);
    gate.server = wire_server();
    gate_handle(ctx, request);
}

/* The header's value in an answer's head. */
static bool header(struct span head, const char *name, struct span *value)
{
    struct span line;
    while (span_line(&head, &line))
        if (span_skip(&line, name) && span_skip(&line, ": ")) {
            *value = span_cut(line, 0, line.len - 1);
            return true;
        }
    return false;
}

/* The one answer to the one request. */
static void check_answer(struct span replies)
{
    struct span rest = replies, line, length, type;
    uint64_t n;
    while (span_line(&rest, &line) && line.len > 1)
        continue;
    if (!span_starts(replies, "HTTP/1.1 200 ") || !header(replies, "Content-Length", &length) ||
        !header(replies, "Content-Type", &type) || !span_decimal(length, UINT64_MAX, &n) || n != rest.len)
        return;
    if (span_is(type, "text/x-nix-narinfo"))
        gate_world_check(gate.signer, rest);
    if (span_is(type, "application/x-nix-nar")) {
        struct hash hash = sha256_of(rest);
        assert(is_nar && hash_eq(&hash, &asked));
    }
}

/* The part up to the next line "====", which is none where the input ends. */
static struct span take_part(struct span *rest)
{
    static const char bar[] = "====\n";
    struct span part = *rest;
    for (size_t i = 0; i + sizeof bar - 1 <= rest->len; i++)
        if (memcmp(rest->data + i, bar, sizeof bar - 1) == 0) {
            part.len = i;
            *rest = span_cut(*rest, i + sizeof bar - 1, rest->len - i - (sizeof bar - 1));
            return part;
        }
    *rest = span_of(NULL, 0);
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct http_server_config config = { .handle = handle, .ctx = &gate };
    struct span rest = span_of(data, len), request = take_part(&rest), narinfo = take_part(&rest), proofs = take_part(&rest);
    const struct upstream_answer answers[] = {
        { ".narinfo", narinfo }, { ".tlog-proof", proofs }, { "/outputs", proofs }, { "", rest }
    };
    struct buf replies = BUF_EMPTY;
    if (gate.signer == NULL)
        begin();
    forget();
    upstream_answers(answers, sizeof answers / sizeof *answers);
    requests = 0;
    wire_talk(&config, request, &replies);
    assert(replies.len == 0 || span_starts(span_buf(&replies), "HTTP/1.1 "));
    if (requests == 1)
        check_answer(span_buf(&replies));
    buf_free(&replies);
    return 0;
}
