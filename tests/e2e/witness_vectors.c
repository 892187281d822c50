/*
 * Drives the program stele-witness (of PATH) over HTTP, for test_witness.sh; folders are made under SCRATCH.
 *
 *   witness_vectors vectors FILE SCRATCH     every case of witness.json, each against a fresh witness
 *   witness_vectors lasting SCRATCH          what it said stays said: killed and restarted, and under racing requests
 *
 * Prints "# …" lines; exits 1 where an answer is not what it must be.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include <jansson.h>

#include "lib/addcheckpoint.h"
#include "lib/cosignature.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/http_client.h"
#include "lib/sys/key.h"

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

static void die(const char *what, const struct why *why)
{
    printf("# %s: %s\n", what, why != NULL ? why->text : strerror(errno));
    exit(1);
}

/* A stele-witness in its folder. */
struct peer {
    char dir[512];
    pid_t pid;
    char url[128];
    char vkey_text[512];
    struct vkey key;
};

/* Runs `stele-witness ARGUMENTS...`; its standard output goes to `out` where that is not -1. */
static pid_t spawn(const char *const *arguments, int out)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int null = open("/dev/null", O_RDWR);
    dup2(out >= 0 ? out : null, 1);
    dup2(null, 2);
    execvp("stele-witness", (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const char *const *arguments)
{
    return wait_for(spawn(arguments, -1));
}

static void peer_make(struct peer *peer, const char *scratch, const char *name)
{
    struct why why;
    struct buf text = BUF_EMPTY;
    snprintf(peer->dir, sizeof peer->dir, "%s/%s", scratch, name);
    if (run((const char *const[]){ "stele-witness", "init", peer->dir, "--name", "w.example/witness", NULL }) != 0)
        die("init", NULL);
    char *path = path_join(peer->dir, "key.pub");
    if (file_read(path, sizeof peer->vkey_text - 1, &text, &why) != OK)
        die("key.pub", &why);
    memcpy(peer->vkey_text, text.data, text.len);
    peer->vkey_text[strcspn(peer->vkey_text, "\n")] = '\0';
    if (vkey_parse(&peer->key, span_str(peer->vkey_text), SIG_COSIGNATURE, &why) != OK)
        die("key.pub", &why);
    free(path);
    buf_free(&text);
}

static void peer_add_log(const struct peer *peer, const char *vkey, const char *origin)
{
    if (run((const char *const[]){ "stele-witness", "add-log", peer->dir, vkey, "--origin", origin, NULL }) != 0)
        die("add-log", NULL);
}

static void peer_start(struct peer *peer)
{
    int ends[2];
    char line[256] = "";
    size_t len = 0;
    if (pipe(ends) != 0)
        die("pipe", NULL);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    peer->pid = spawn((const char *const[]){ "stele-witness", "serve", peer->dir, "--listen", "127.0.0.1:0", NULL }, ends[1]);
    close(ends[1]);
    while (len + 1 < sizeof line && read(ends[0], line + len, 1) == 1 && line[len] != '\n')
        line[++len] = '\0';
    close(ends[0]);
    if (sscanf(line, "listening on %127s", peer->url) != 1)
        die("the witness does not start", NULL);
}

static int peer_stop(struct peer *peer, int signal_number)
{
    kill(peer->pid, signal_number);
    return wait_for(peer->pid);
}

static const char *peer_url(const struct peer *peer, const char *path)
{
    static char text[512];
    snprintf(text, sizeof text, "%s/%s", peer->url, path);
    return text;
}

/* The size of the note that the monitoring route serves for `origin`, -1 where there is none; the note is verified. */
static int64_t note_size(struct http_client *client, const struct peer *peer, const char *name, struct span origin,
                         const struct vkey *keys, size_t n)
{
    struct http_response response = { 0 };
    struct buf path = BUF_EMPTY;
    struct hash hash = sha256_of(origin);
    struct why why;
    struct note note;
    struct checkpoint checkpoint;
    bool cosigned = false;
    uint64_t time_s;
    int64_t size = -1;
    hex_encode(&path, span_of(hash.b, sizeof hash.b));
    buf_str(&path, "/checkpoint");
    buf_byte(&path, '\0');
    if (http_get(client, peer_url(peer, (const char *)path.data), NULL, NOTE_BYTES_MAX, &response, &why) != OK)
        die("GET checkpoint", &why);
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
    buf_free(&path);
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
        die("POST add-checkpoint", &why);
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
                                                                                 SIG_ED25519, &why) != OK) die(name, &why);
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
        die(error.text, NULL);
    json_array_foreach(cases, i, object)
    {
        one_case(client, object, scratch, i);
        steps += json_array_size(json_object_get(object, "steps"));
        open += json_object_get(object, "level") != NULL;
    }
    printf("# witness.json: %zu cases (%zu \"may\"), %zu requests, %u failed\n", json_array_size(cases), open, steps, failures);
    json_decref(cases);
}

/* A log of our own: its key, and all nodes of a tree of TREE_LEAVES leaves. */
struct own_log {
    struct secret_key *key;
    struct vkey vkey;
    char vkey_text[256];
    struct hash nodes[8][TREE_LEAVES];
};

static enum err read_nodes(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    const struct own_log *log = ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = log->nodes[nodes[i].level][nodes[i].index];
    return OK;
}

static void own_log_make(struct own_log *log)
{
    struct why why;
    struct buf text = BUF_EMPTY;
    if (secret_key_new(&log->key, span_str("own.example/log"), SIG_ED25519, &why) != OK)
        die("a key", &why);
    log->vkey = secret_key_vkey(log->key);
    vkey_render(&text, &log->vkey);
    memcpy(log->vkey_text, text.data, text.len);
    for (size_t i = 0; i < TREE_LEAVES; i++)
        log->nodes[0][i] = merkle_leaf_hash(span_of(&i, sizeof i));
    for (size_t level = 1; level < 8; level++)
        for (size_t i = 0; i < (size_t)TREE_LEAVES >> level; i++)
            log->nodes[level][i] = merkle_node_hash(&log->nodes[level - 1][2 * i], &log->nodes[level - 1][2 * i + 1]);
    buf_free(&text);
}

/* The request that takes the log from `old` to `size`. */
static void own_request(struct own_log *log, uint64_t old, uint64_t size, struct buf *out)
{
    struct hash_reader reader = { read_nodes, log };
    struct checkpoint checkpoint = { .origin = log->vkey.name, .size = size };
    struct hash proof[PROOF_HASHES_MAX];
    struct buf text = BUF_EMPTY;
    struct why why;
    uint8_t sig[64];
    size_t n = 0;
    checkpoint.extensions = span_of("", 0);
    if (merkle_root(size, &reader, &checkpoint.root, &why) != OK)
        die("a root", &why);
    if (old <= size && merkle_consistency_prove(old, size, &reader, proof, &n, &why) != OK)
        die("a proof", &why);
    checkpoint_render(&text, &checkpoint);
    if (secret_key_sign(log->key, span_buf(&text), sig, &why) != OK)
        die("a signature", &why);
    buf_clear(out);
    buf_fmt(out, "old %llu\n", (unsigned long long)old);
    for (size_t i = 0; i < n; i++) {
        base64_encode(out, span_of(proof[i].b, sizeof proof[i].b));
        buf_byte(out, '\n');
    }
    buf_byte(out, '\n');
    buf_span(out, span_buf(&text));
    buf_byte(out, '\n');
    note_sig_render(out, &log->vkey, span_of(sig, sizeof sig));
    buf_free(&text);
}

static void expect(struct http_client *client, const struct peer *peer, struct own_log *log, uint64_t old, uint64_t size,
                   unsigned status, const char *reply, const char *what)
{
    struct http_response response = { 0 };
    struct buf body = BUF_EMPTY;
    struct why why;
    own_request(log, old, size, &body);
    if (http_post(client, peer_url(peer, "add-checkpoint"), "text/plain", span_buf(&body), 1 << 20, &response, &why) != OK)
        die(what, &why);
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
        die("a racing request", why);
    race->statuses[response->status < 600 ? response->status : 0]++;
    race->ended++;
}

/* Many extend the same head at once, to different sizes: one of them may. */
static void race(const struct peer *peer, struct own_log *log, uint64_t old)
{
    struct race result = { .ended = 0 };
    struct http_posts *posts;
    struct buf body = BUF_EMPTY;
    struct why why;
    if (http_posts_new(&posts, RACERS, &why) != OK)
        die("posts", &why);
    for (size_t i = 0; i < RACERS; i++) {
        own_request(log, old, old + 1 + i, &body);
        if (http_posts_start(posts, i, peer_url(peer, "add-checkpoint"), span_buf(&body), 20000, 1 << 20, &why) != OK)
            die("posts", &why);
    }
    while (result.ended < RACERS)
        if (http_posts_wait(posts, 20000, race_done, &result, &why) != OK)
            die("posts", &why);
    if (result.statuses[200] != 1 || result.statuses[409] != RACERS - 1)
        failed("racing requests", "%u were cosigned, %u in conflict", result.statuses[200], result.statuses[409]);
    http_posts_free(posts);
    buf_free(&body);
}

static void lasting(struct http_client *client, const char *scratch)
{
    struct peer peer = { .pid = -1 };
    static struct own_log log;
    own_log_make(&log);
    peer_make(&peer, scratch, "lasting");
    peer_start(&peer);
    expect(client, &peer, &log, 0, 10, 404, NULL, "before add-log");
    peer_add_log(&peer, log.vkey_text, "own.example/log");
    kill(peer.pid, SIGHUP);
    for (int i = 0; i < 100 && note_size(client, &peer, "after SIGHUP", log.vkey.name, &log.vkey, 1) != 10; i++) {
        struct http_response response = { 0 };
        struct buf body = BUF_EMPTY;
        own_request(&log, 0, 10, &body);
        http_post(client, peer_url(&peer, "add-checkpoint"), "text/plain", span_buf(&body), 1 << 20, &response, NULL);
        buf_free(&body);
        http_response_free(&response);
        usleep(50 * 1000);
    }
    expect(client, &peer, &log, 10, 20, 200, NULL, "10 to 20");
    /* The note reaches the disk within a second. */
    usleep(1000 * 1000);
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
    secret_key_free(log.key);
}

int main(int argc, char **argv)
{
    struct why why;
    struct http_client *client = NULL;
    signal(SIGALRM, SIG_DFL);
    alarm(300); /* a witness that hangs ends the test */
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    if (key_system_start(&why) != OK || http_client_system_start(&why) != OK ||
        http_client_new(&client, &(struct http_client_config){ 0 }, &why) != OK)
        die("start", &why);
    if (argc == 4 && strcmp(argv[1], "vectors") == 0)
        vectors(client, argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "lasting") == 0)
        lasting(client, argv[2]);
    else
        die("usage: vectors FILE SCRATCH | lasting SCRATCH", NULL);
    http_client_free(client);
    return failures > 0;
}
