/*
 * Drives the program stele-witness (of PATH) over HTTP, for test_witness.sh; folders are made under SCRATCH.
 *
 *   witness_vectors vectors FILE SCRATCH     every case of witness.json, each against a fresh witness
 *   witness_vectors lasting SCRATCH          what it said stays said: killed and restarted, and under racing requests
 *
 * Prints "# …" lines; exits 1 where an answer is not what it must be.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/addcheckpoint.h"
#include "lib/cosignature.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/http_calls.h"
#include "tests/witness_driver.h"

enum { TREE_LEAVES = 128, RACERS = 32 };

static unsigned failures;

static void failed(const char *name, const char *fmt, ...) STELE_PRINTF(2, 3);
static void failed(const char *name, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    printf("# FAILED %s: %s\n", name, text);
    failures++;
}

/* The size of the note that the monitoring route serves for `origin`, -1 where there is none; the note is verified. */
static int64_t note_size(struct http_client *client, const struct peer *peer, const char *name, struct span origin,
                         const struct vkey *keys, size_t n)
{
    struct http_response response = { 0 };
    char path[64 + sizeof "/checkpoint"];
    struct why why;
    struct note note;
    struct checkpoint checkpoint;
    bool cosigned = false;
    uint64_t time_s;
    int64_t size = -1;
    own_note_path(origin, path);
    if (http_get(client, peer_url(peer, path), NULL, NOTE_BYTES_MAX, &response, &why) != OK)
        driver_die("GET checkpoint", &why);
    if (response.status == 200) {
        if (note_parse(&note, span_buf(&response.body), &why) != OK ||
            checkpoint_open(&checkpoint, &note, origin, keys, n, &why) != OK ||
            cosignature_verify(&note, &peer->key, 1, &cosigned, &time_s, &why) != OK || !cosigned)
            failed(name, "the note that is served: %s", why.text);
        else
            size = (int64_t)checkpoint.size;
    } else if (response.status != 404) {
        failed(name, "GET checkpoint: %u", response.status);
    }
    http_response_free(&response);
    return size;
}

static void check_cosignature(const struct peer *peer, const char *name, struct span body, const struct http_response *response)
{
    struct add_checkpoint parsed;
    struct buf line = BUF_EMPTY;
    struct why why = { "" };
    uint64_t time_s = 0, now_s = clock_posix_s();
    if (add_checkpoint_parse(&parsed, body, &why) != OK ||
        cosignature_from_reply(span_buf(&response->body), parsed.note.text, &peer->key, &line, &time_s, &why) != OK)
        failed(name, "the answer to 200: %s", why.text);
    else if (time_s > now_s || time_s + 60 < now_s)
        failed(name, "the cosignature's time is %llu", (unsigned long long)time_s);
    else if (strcmp(response->content_type, "text/plain; charset=utf-8") != 0)
        failed(name, "content type %s", response->content_type);
    buf_free(&line);
}

static void bytes_of(const json_t *object, const char *key, struct buf *out)
{
    char name[64];
    const json_t *plain = json_object_get(object, key);
    snprintf(name, sizeof name, "%s_b64", key);
    const json_t *encoded = json_object_get(object, name);
    if (plain != NULL)
        buf_add(out, json_string_value(plain), json_string_length(plain));
    else if (encoded != NULL)
        base64_decode(span_of(json_string_value(encoded), json_string_length(encoded)), out);
}

static void one_step(struct http_client *client, const struct peer *peer, const json_t *object, const json_t *step,
                     struct vkey *keys)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *level = json_string_value(json_object_get(object, "level"));
    const char *type = json_string_value(json_object_get(step, "content_type"));
    const char *reply = json_string_value(json_object_get(step, "reply"));
    unsigned want = (unsigned)json_integer_value(json_object_get(step, "status"));
    int64_t size_after = json_integer_value(json_object_get(step, "size_after"));
    struct http_response response = { 0 };
    struct buf body = BUF_EMPTY;
    struct add_checkpoint parsed;
    struct why why;
    bytes_of(step, "body", &body);
    if (http_post(client, peer_url(peer, "add-checkpoint"), "text/plain", span_buf(&body), 1 << 20, &response, &why) != OK)
        driver_die("POST add-checkpoint", &why);
    bool may = level != NULL && strcmp(level, "may") == 0 && want / 100 == 4 && response.status / 100 == 4;
    if (response.status != want && !may)
        failed(name, "%u instead of %u: %s", response.status, want, json_string_value(json_object_get(object, "why")));
    if (response.status == want && type != NULL && strcmp(response.content_type, type) != 0)
        failed(name, "content type %s instead of %s", response.content_type, type);
    if (response.status == want && reply != NULL && !span_is(span_buf(&response.body), reply))
        failed(name, "answer %.*s instead of %s", SPAN_FMT(response.body), reply);
    if (response.status == 200)
        check_cosignature(peer, name, span_buf(&body), &response);
    /* What the witness now shows for the log of this step; of a malformed one, for the case's first log. */
    const json_t *logs = json_object_get(object, "logs"), *log, *key;
    struct span origin = span_str("unknown");
    if (json_array_size(logs) > 0)
        origin = span_str(json_string_value(json_object_get(json_array_get(logs, 0), "origin")));
    if (add_checkpoint_parse(&parsed, span_buf(&body), &why) == OK)
        origin = parsed.checkpoint.origin;
    size_t i, k, n = 0;
    json_array_foreach(logs, i, log) if (span_is(origin, json_string_value(json_object_get(log, "origin"))))
        json_array_foreach(json_object_get(log, "vkeys"), k, key) if (vkey_parse(&keys[n++], span_str(json_string_value(key)),
                                                                                 SIG_ED25519, &why) != OK) driver_die(name, &why);
    int64_t size = note_size(client, peer, name, origin, keys, n);
    if (size != size_after && !(size == -1 && size_after == 0))
        failed(name, "the witness shows size %lld, not %lld", (long long)size, (long long)size_after);
    buf_free(&body);
    http_response_free(&response);
}

static void one_case(struct http_client *client, const json_t *object, const char *scratch, size_t number)
{
    struct peer peer = { .pid = -1 };
    struct vkey keys[64];
    char folder[32];
    size_t i, k;
    const json_t *log, *key, *step;
    snprintf(folder, sizeof folder, "case-%zu", number);
    peer_make(&peer, scratch, folder);
    json_array_foreach(json_object_get(object, "logs"), i, log) json_array_foreach(json_object_get(log, "vkeys"), k, key)
        peer_add_log(&peer, json_string_value(key), json_string_value(json_object_get(log, "origin")));
    peer_start(&peer);
    json_array_foreach(json_object_get(object, "steps"), i, step) one_step(client, &peer, object, step, keys);
    int code = peer_stop(&peer, SIGTERM);
    if (code != 0)
        failed(json_string_value(json_object_get(object, "name")), "the witness ended with status %d", code);
}

static void vectors(struct http_client *client, const char *file, const char *scratch)
{
    json_error_t error;
    json_t *cases = json_load_file(file, JSON_ALLOW_NUL, &error);
    size_t i, steps = 0, open = 0;
    const json_t *object;
    if (cases == NULL)
        driver_die(error.text, NULL);
    json_array_foreach(cases, i, object)
    {
        one_case(client, object, scratch, i);
        steps += json_array_size(json_object_get(object, "steps"));
        open += json_object_get(object, "level") != NULL;
    }
    printf("# witness.json: %zu cases (%zu \"may\"), %zu requests, %u failed\n", json_array_size(cases), open, steps, failures);
    json_decref(cases);
}

static void expect(struct http_client *client, const struct peer *peer, struct own_log *log, uint64_t old, uint64_t size,
                   unsigned status, const char *reply, const char *what)
{
    struct http_response response = { 0 };
    struct buf body = BUF_EMPTY;
    struct why why;
    own_request(&body, log, old, size);
    if (http_post(client, peer_url(peer, "add-checkpoint"), "text/plain", span_buf(&body), 1 << 20, &response, &why) != OK)
        driver_die(what, &why);
    if (response.status != status || (reply != NULL && !span_is(span_buf(&response.body), reply)))
        failed(what, "%u %.*s", response.status, SPAN_FMT(response.body));
    if (response.status == 200)
        check_cosignature(peer, what, span_buf(&body), &response);
    buf_free(&body);
    http_response_free(&response);
}

struct race {
    unsigned statuses[600];
    unsigned ended;
};

static void race_done(void *ctx, size_t slot, const struct http_response *response, const struct why *why)
{
    struct race *race = ctx;
    (void)slot;
    if (response == NULL)
        driver_die("a racing request", why);
    race->statuses[response->status < 600 ? response->status : 0]++;
    race->ended++;
}

/* Many extend the same head at once, to different sizes: one of them may. */
static void race(const struct peer *peer, struct own_log *log, uint64_t old)
{
    struct race result = { .ended = 0 };
    struct http_calls *calls;
    struct buf body = BUF_EMPTY;
    struct why why;
    if (http_calls_new(&calls, RACERS, &why) != OK)
        driver_die("calls", &why);
    for (size_t i = 0; i < RACERS; i++) {
        own_request(&body, log, old, old + 1 + i);
        if (http_calls_post(calls, i, peer_url(peer, "add-checkpoint"), span_buf(&body), 20000, 1 << 20, &why) != OK)
            driver_die("calls", &why);
    }
    while (result.ended < RACERS)
        if (http_calls_wait(calls, 20000, race_done, &result, &why) != OK)
            driver_die("calls", &why);
    if (result.statuses[200] != 1 || result.statuses[409] != RACERS - 1)
        failed("racing requests", "%u were cosigned, %u in conflict", result.statuses[200], result.statuses[409]);
    http_calls_free(calls);
    buf_free(&body);
}

/* Until the log's note on the disk has this text. */
static void wait_for_note(const struct peer *peer, const struct own_log *log, const char *text)
{
    char path[1024];
    bool found = false;
    struct hash hash = sha256_of(log->vkey.name);
    struct buf hex = BUF_EMPTY, note = BUF_EMPTY;
    struct why why;
    hex_encode(&hex, span_of(hash.b, sizeof hash.b));
    snprintf(path, sizeof path, "%s/checkpoints/%.*s", peer->dir, SPAN_FMT(span_buf(&hex)));
    for (int ms = 0; ms < 60000 && !found; ms++, usleep(1000)) {
        buf_clear(&note);
        if (file_read(path, 1 << 16, &note, &why) == OK)
            buf_byte(&note, 0);
        found = note.len > 1 && strstr((const char *)note.data, text) != NULL;
    }
    if (!found)
        failed("the note on the disk", "it does not come to be");
    buf_free(&hex);
    buf_free(&note);
}

static void lasting(struct http_client *client, const char *scratch)
{
    struct peer peer = { .pid = -1 };
    struct own_log log;
    own_log_make(&log, "own.example/log", 0, TREE_LEAVES);
    peer_make(&peer, scratch, "lasting");
    peer_start(&peer);
    expect(client, &peer, &log, 0, 10, 404, NULL, "before add-log");
    peer_add_log(&peer, log.vkey_text, "own.example/log");
    kill(peer.pid, SIGHUP);
    for (int i = 0; i < 100 && note_size(client, &peer, "after SIGHUP", log.vkey.name, &log.vkey, 1) != 10; i++) {
        struct http_response response = { 0 };
        struct buf body = BUF_EMPTY;
        own_request(&body, &log, 0, 10);
        http_post(client, peer_url(&peer, "add-checkpoint"), "text/plain", span_buf(&body), 1 << 20, &response, NULL);
        buf_free(&body);
        http_response_free(&response);
        usleep(50 * 1000);
    }
    expect(client, &peer, &log, 10, 20, 200, NULL, "10 to 20");
    /* The note reaches the disk by itself. */
    wait_for_note(&peer, &log, "\n20\n");
    expect(client, &peer, &log, 20, 30, 200, NULL, "20 to 30");
    peer_stop(&peer, SIGKILL);
    peer_start(&peer);
    expect(client, &peer, &log, 10, 15, 409, "30\n", "a rollback after SIGKILL");
    expect(client, &peer, &log, 20, 30, 409, "30\n", "the same growth again after SIGKILL");
    int64_t size = note_size(client, &peer, "the note after SIGKILL", log.vkey.name, &log.vkey, 1);
    if (size != 20 && size != 30)
        failed("the note after SIGKILL", "size %lld", (long long)size);
    expect(client, &peer, &log, 30, 30, 200, NULL, "the same head again");
    expect(client, &peer, &log, 30, 40, 200, NULL, "30 to 40");
    if (peer_stop(&peer, SIGTERM) != 0)
        failed("SIGTERM", "not a clean end");
    peer_start(&peer);
    if (note_size(client, &peer, "the note after SIGTERM", log.vkey.name, &log.vkey, 1) != 40)
        failed("the note after SIGTERM", "is not the last one");
    race(&peer, &log, 40);
    peer_stop(&peer, SIGTERM);
    printf("# lasting: %u failed\n", failures);
    own_log_free(&log);
}

int main(int argc, char **argv)
{
    struct http_client *client = driver_start(300);
    if (argc == 4 && strcmp(argv[1], "vectors") == 0)
        vectors(client, argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "lasting") == 0)
        lasting(client, argv[2]);
    else
        driver_die("usage: vectors FILE SCRATCH | lasting SCRATCH", NULL);
    http_client_free(client);
    return failures > 0;
}
