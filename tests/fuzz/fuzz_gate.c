/*
 * Whatever comes over a connection to a gate, and whatever the cache behind it and the log answer it: parts of the input, divided
 * by lines "====": the requests, the narinfo, the proofs, the NAR as it is in the cache. Front and signer answer, all in this thread.
 * A narinfo that comes out is under the gate's key, and a NAR that comes out whole is the one that was asked for.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/gate.h"
#include "lib/encode.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/report.h"
#include "tests/fuzz/still.h"
#include "tests/fuzz/upstream.h"
#include "tests/fuzz/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Those of spec/vectors/bundle.json, so that its bundle is a proof; and a path that needs none. */
static const char policy_text[] =
    "log log.example.org/stele+d8a57f8f+AZ1OZqaJgyy8vbNdGEZ6UdIIRtjQ2bTyVolQ8w/BWY+Z http://log.example\n"
    "witness w1 w1.example.org+85e10473+BP0RwkK25g1AvdPQW1VM8Xtbu3G8VBvq4gvv+c4MA6kP\n"
    "witness w2 w2.example.net+89dab278+BC9yybEVSPOoADwp6ezYmo4ZNCxitnESWT70s5KjU5Nn\n"
    "group both all w1 w2\n"
    "quorum both\n";
static const char trust_text[] = "builder ci ci.example.org/builder+42ba9744+AcXKr1uwez5pqgJQJnJ5bu1jPV7j3koR3L7lz7AA2I4H\n"
                                 "cache c cache.example-1:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n"
                                 "quorum ci\n"
                                 "exempt exempt-*\n";
static const char config_text[] = "policy policy\ntrust trust\nstate state\nstore-dir /nix/store\nsigning-key secret\n"
                                  "listen 127.0.0.1:0\nupstream http://cache.example\n";
static const char secret_text[] =
    "gate.example-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ==\n";

static struct client_config client_config;
static struct gate gate = { .config = &client_config, .dir = "/nix/store", .lock = PTHREAD_MUTEX_INITIALIZER };
static struct nix_key gate_key;
static unsigned requests; /* of the input at hand; the last one's: */
static bool is_nar;
static struct hash asked;

static void must(enum err err, const struct why *why)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s\n", why->text);
    abort();
}

static void put(const char *name, mode_t mode, const char *text)
{
    struct why why;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", still_folder(), name);
    must(file_create(path, mode, span_str(text), &why), &why);
}

static void begin(void)
{
    struct why why;
    char path[128];
    report_start("fuzz", REPORT_ERROR);
    put("policy", 0644, policy_text);
    put("trust", 0644, trust_text);
    put("secret", 0600, secret_text);
    put("config", 0644, config_text);
    snprintf(path, sizeof path, "%s/config", still_folder());
    must(key_system_start(&why), &why);
    must(client_config_load(&client_config, path, &why), &why);
    must(gate_signer_start(&gate.signer, &client_config, gate.dir, &why), &why);
    must(nix_key_parse(&gate_key, span_str(gate_signer_public_key(gate.signer)), &why), &why);
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
    must(gate_lookups_new(&gate.lookups, &client_config, &gate.policy, &why), &why);
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

static void check_narinfo(struct span body)
{
    struct narinfo info;
    struct why why;
    must(narinfo_parse(&info, body, span_str(gate.dir), &why), &why);
    assert(narinfo_verify(&info, &gate_key, 1, NULL) == 1);
    narinfo_free(&info);
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
        check_narinfo(rest);
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
