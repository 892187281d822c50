/*
 * The program stele-witness (of PATH) behind a bastion (tests/bastion_peer.h): its key, its routes, limits by address, what it
 * shows, that it comes back, and bastions that a log list names. Prints TAP; for test_witness_bastion.sh.
 *
 *   witness_bastion SCRATCH
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cosignature.h"
#include "lib/sys/bastion.h"
#include "lib/sys/clock.h"
#include "tests/bastion_peer.h"
#include "tests/witness_driver.h"

enum { LEAVES = 64, TOO_LARGE = 300 << 10 };

static struct http_client *client;
static struct peer peer;
static struct bastion_peer *bastion;
static struct http_response page;
static unsigned lines, lines_failed;

static void is(bool held, const char *what)
{
    printf("%s %u - %s\n", held ? "ok" : "not ok", ++lines, what);
    lines_failed += !held;
}

/* Through the bastion, for a client of that address. */
static const struct peer_answer *ask(const char *method, const char *path, const char *from, struct span body)
{
    const char *const headers[] = { "x-forwarded-for", from, NULL };
    size_t number = bastion_peer_ask(bastion, method, path, headers, body, true);
    if (!bastion_peer_wait(bastion, number))
        driver_die("the witness ended the connection", NULL);
    return bastion_peer_answer(bastion, number);
}

static const struct peer_answer *add(const struct own_log *log, uint64_t old, uint64_t size, const char *from)
{
    static struct buf body;
    own_request(&body, log, old, size);
    return ask("POST", "/add-checkpoint", from, span_buf(&body));
}

/* Past the bastion. */
static struct span get(const char *path)
{
    struct why why;
    if (http_get(client, peer_url(&peer, path), NULL, 1 << 20, &page, &why) != OK)
        driver_die(path, &why);
    return span_buf(&page.body);
}

static bool has(struct span text, const char *needle)
{
    for (size_t len = strlen(needle); text.len >= len; text = span_cut(text, 1, text.len - 1))
        if (memcmp(text.data, needle, len) == 0)
            return true;
    return false;
}

/* Does the page, or whatever is at `path`, show that within ten seconds? */
static bool soon_has(const char *path, const char *needle)
{
    for (uint64_t until_ms = clock_monotonic_ms() + 10000; clock_monotonic_ms() < until_ms; usleep(50000))
        if (has(get(path), needle))
            return true;
    printf("# %.*s\n", SPAN_FMT(page.body));
    return false;
}

STELE_PRINTF(1, 2)
static void configure(const char *fmt, ...)
{
    char path[600];
    va_list args;
    snprintf(path, sizeof path, "%s/config", peer.dir);
    FILE *file = fopen(path, "a");
    va_start(args, fmt);
    if (file == NULL || vfprintf(file, fmt, args) < 0 || fclose(file) != 0)
        driver_die(path, NULL);
    va_end(args);
}

/* The hash that `stele-witness key DIR --bastion` prints. */
static void printed_name(char name[65])
{
    char command[700];
    snprintf(command, sizeof command, "stele-witness key '%s' --bastion", peer.dir);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fscanf(pipe, "%64s", name) != 1 || pclose(pipe) != 0)
        driver_die(command, NULL);
}

static void check_routes(const struct own_log *log)
{
    static uint8_t large[TOO_LARGE];
    char path[1 + 64 + sizeof "/checkpoint"] = "/";
    const struct peer_answer *answer = add(log, 0, 5, "192.0.2.1");
    is(answer->status == 200 && has(span_buf(&answer->body), "\xe2\x80\x94 w.example/witness "), "a checkpoint is cosigned");
    answer = add(log, 0, 6, "192.0.2.1");
    is(answer->status == 409 && strcmp(answer->type, "text/x.tlog.size") == 0 && span_is(span_buf(&answer->body), "5\n"),
       "a conflict has the size and its content type");
    is(add(log, 5, 9, "192.0.2.1")->status == 200, "and the next checkpoint");
    own_note_path(log->vkey.name, path + 1);
    answer = ask("GET", path, "192.0.2.1", span_str(""));
    is(answer->status == 200 && span_eq(span_buf(&answer->body), get(path + 1)),
       "the monitoring route gives what it gives over HTTP/1.1");
    answer = ask("GET", "/add-checkpoint", "192.0.2.1", span_str(""));
    is(answer->status == 405, "GET add-checkpoint: 405");
    answer = ask("POST", "/add-checkpoint", "192.0.2.1", span_str("nonsense"));
    is(answer->status == 400 && strcmp(answer->type, "application/problem+json") == 0, "a malformed request: 400, with the reason");
    is(ask("POST", "/add-checkpoint", "192.0.2.1", span_of(large, sizeof large))->status == 413, "one too large: 413");
    is(ask("GET", "/healthz", "192.0.2.1", span_str(""))->status == 200, "healthz");
    is(ask("POST", "/sign-subtree", "192.0.2.1", span_str("x"))->status == 404, "sign-subtree: 404");
    is(has(get("metrics"), "stele_witness_bastion_connected{bastion=\"localhost:"), "the metrics have the bastion");
}

static void check_limits(const struct own_log *log)
{
    unsigned limited = 0;
    for (int i = 0; i < 60; i++)
        limited += add(log, 0, 5, "198.51.100.7")->status == 429;
    is(limited > 20, "an address behind the bastion may ask no more than any other");
    is(add(log, 0, 5, "203.0.113.9")->status == 409, "which does not concern another one behind it");
}

int main(int argc, char **argv)
{
    char ca[600], other_ca[600], list[600], key[600], name[65], want[65];
    struct own_log log, listed;
    struct stat st;
    if (argc != 2)
        driver_die("usage: see the source", NULL);
    client = driver_start(180);
    peer_make(&peer, argv[1], "w.example/witness");
    snprintf(ca, sizeof ca, "%s/ca.pem", peer.dir);
    snprintf(other_ca, sizeof other_ca, "%s/other.pem", argv[1]);
    snprintf(list, sizeof list, "%s/list", argv[1]);
    snprintf(key, sizeof key, "%s/bastion-key", peer.dir);
    own_log_make(&log, "log.example/a", 0, LEAVES);
    own_log_make(&listed, "log.example/listed", 0, LEAVES);
    peer_add_log(&peer, log.vkey_text, "log.example/a");

    bastion = bastion_peer_new(ca, "localhost", "bastion/0");
    printed_name(want);
    is(stat(key, &st) == 0 && (st.st_mode & 0777) == 0600, "the key for bastions is the owner's alone");
    configure("bastion localhost:%u\nbastion-ca ca.pem\n", bastion_peer_port(bastion));
    peer_start(&peer);
    is(bastion_peer_accept(bastion, name) && strcmp(name, want) == 0, "the witness connects with the key whose hash it prints");
    check_routes(&log);
    is(soon_has("", "connected for "), "the page shows the connection");
    is(has(get(""), want), "with the address");

    bastion_peer_hang_up(bastion);
    is(soon_has("", "not connected</span>"), "the page shows that it is gone");
    is(soon_has("metrics", "stele_witness_bastion_failures_total{bastion=\"localhost:"), "so do the metrics");
    is(bastion_peer_accept(bastion, name) && strcmp(name, want) == 0, "it comes back");
    is(add(&log, 9, 12, "192.0.2.1")->status == 200, "and cosigns");
    is(peer_stop(&peer, SIGTERM) == 0, "SIGTERM ends it with status 0");
    bastion_peer_wait_end(bastion);

    configure("address-rate 1\n");
    peer_start(&peer);
    is(bastion_peer_accept(bastion, name) && strcmp(name, want) == 0, "after a restart it has the same key");
    check_limits(&log);
    peer_stop(&peer, SIGTERM);

    /* A bastion that a list names, with the list's log. */
    FILE *file = fopen(list, "w");
    if (file == NULL ||
        fprintf(file, "logs/v0\nvkey %s\nbastion https://localhost:%u/\nqpd 100\ncontact a\n", listed.vkey_text,
                bastion_peer_port(bastion)) < 0 ||
        fclose(file) != 0)
        driver_die(list, NULL);
    char config[600];
    snprintf(config, sizeof config, "%s/config", peer.dir);
    unlink(config);
    configure("bastion lists\nbastion-ca %s\nlog-list %s\n", ca, list);
    peer_start(&peer);
    is(bastion_peer_accept(bastion, name) && strcmp(name, want) == 0, "a bastion that a log list names");
    const struct peer_answer *answer = add(&listed, 0, 3, "192.0.2.1");
    for (int i = 0; i < 100 && answer->status == 404; i++, usleep(50000)) /* the list's logs are taken up right after */
        answer = add(&listed, 0, 3, "192.0.2.1");
    is(answer->status == 200, "and the log that it is for");
    peer_stop(&peer, SIGTERM);

    /* One that is not to be trusted. */
    bastion_peer_free(bastion_peer_new(other_ca, "localhost", "bastion/0"));
    unlink(config);
    configure("bastion localhost:%u\nbastion-ca %s\n", bastion_peer_port(bastion), other_ca);
    peer_start(&peer);
    is(!bastion_peer_accept(bastion, name), "a bastion of another authority gets nothing");
    is(soon_has("", "is not to be trusted"), "and the page says why");
    is(has(get("healthz"), "ok"), "HTTP/1.1 goes on");
    peer_stop(&peer, SIGTERM);
    bastion_peer_free(bastion);
    own_log_free(&log);
    own_log_free(&listed);
    printf("1..%u\n", lines);
    return lines_failed > 0;
}
