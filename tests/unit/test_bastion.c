/* The connection up to a bastion, and what it may do with us: right, wrong and hostile bastions over real TLS. */
#include "tests/unit/support.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/bastion.h"
#include "lib/sys/clock.h"
#include "tests/bastion_peer.h"

enum { STREAMS = 100, BODY_MAX = 100000, BIG = 300000 };

static char folder[] = "/tmp/stele.bastion.XXXXXX", ca[64], other_ca[64];
static struct secret_key *key;

/* Requests for /later wait here. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_request *kept[4096];

/* Of the next connections. */
static unsigned request_timeout_s = 30, keepalive_ms = 15000;
static size_t kept_n;

static void reply_text(struct http_request *request, const char *text)
{
    http_reply(request, 200, NULL, span_str(text == NULL ? "none" : text));
}

static void handle(void *ctx, struct http_request *request)
{
    static const struct http_header headers[] = { { "Content-Type", "text/plain" }, { NULL, NULL } };
    struct span path = http_path(request);
    struct buf body = BUF_EMPTY;
    char party[32];
    (void)ctx;
    if (span_is(path, "/echo")) {
        http_reply(request, 200, headers, http_body(request));
    } else if (span_is(path, "/big")) {
        memset(buf_grow(&body, BIG), 'b', BIG);
        http_reply_take(request, 200, headers, &body);
    } else if (span_is(path, "/shared")) {
        buf_str(&body, "shared");
        struct http_shared *shared = http_shared_new(200, headers, &body);
        http_reply_shared(request, shared);
        http_shared_release(shared);
    } else if (span_is(path, "/who")) {
        snprintf(party, sizeof party, "%llx", (unsigned long long)http_party(request, NULL));
        reply_text(request, party);
    } else if (span_is(path, "/query")) {
        reply_text(request, http_query(request, "q"));
    } else if (span_is(path, "/header")) {
        reply_text(request, http_request_header(request, "X-Some"));
    } else if (span_is(path, "/later")) {
        pthread_mutex_lock(&lock);
        kept[kept_n++] = request;
        pthread_mutex_unlock(&lock);
    } else {
        http_reply_problem(request, 404, 7, "nothing at %.*s", SPAN_FMT(path));
    }
}

/* Answers what waits, from this thread, when there are so many. */
static void answer_kept(size_t wanted)
{
    for (size_t n = 0; n < wanted;) {
        pthread_mutex_lock(&lock);
        n = kept_n;
        if (n >= wanted)
            kept_n = 0;
        pthread_mutex_unlock(&lock);
        poll(NULL, 0, n < wanted ? 10 : 0);
        for (size_t i = 0; i < n && n >= wanted; i++)
            reply_text(kept[i], "late");
    }
}

static struct bastion *start_to(unsigned port, const char *host, const char *ca_file)
{
    char address[64];
    struct bastion *bastion;
    struct why why;
    snprintf(address, sizeof address, "%s:%u", host, port);
    const struct bastion_config config = {
        .address = address,
        .ca_file = ca_file,
        .key = key,
        .body_bytes_max = BODY_MAX,
        .streams_max = STREAMS,
        .request_timeout_s = request_timeout_s,
        .connect_timeout_ms = 5000,
        .keepalive_ms = keepalive_ms,
        .retry_min_ms = 10,
        .retry_max_ms = 100,
        .handle = handle,
    };
    assert_int_equal(bastion_start(&bastion, &config, &why), OK);
    return bastion;
}

/* Both, connected. */
static void connect_both(struct bastion_peer **peer, struct bastion **bastion)
{
    char name[65];
    *peer = bastion_peer_new(ca, "localhost", "bastion/0");
    *bastion = start_to(bastion_peer_port(*peer), "localhost", ca);
    assert_true(bastion_peer_accept(*peer, name));
}

static void end_both(struct bastion_peer *peer, struct bastion *bastion)
{
    bastion_stop(bastion, 0);
    bastion_peer_free(peer);
}

static const struct peer_answer *ask(struct bastion_peer *peer, const char *method, const char *path, const char *const *headers,
                                     const char *body)
{
    size_t number = bastion_peer_ask(peer, method, path, headers, span_str(body), true);
    assert_true(bastion_peer_wait(peer, number));
    return bastion_peer_answer(peer, number);
}

static void says(const struct peer_answer *answer, unsigned status, const char *body)
{
    assert_int_equal(answer->status, status);
    if (!span_is(span_buf(&answer->body), body))
        printf("# %.*s, not %s\n", SPAN_FMT(answer->body), body);
    assert_true(span_is(span_buf(&answer->body), body));
}

/* Until the status shows so many failures; the last one's reason. */
static struct bastion_status after_failures(struct bastion *bastion, uint64_t n)
{
    struct bastion_status status;
    for (uint64_t until_ms = clock_monotonic_ms() + 20000;;) {
        bastion_status(bastion, &status);
        if (status.failures >= n)
            return status;
        assert_true(clock_monotonic_ms() < until_ms);
        poll(NULL, 0, 10);
    }
}

static void answers(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    struct bastion_status status;
    char name[65], want[65];
    (void)state;
    peer = bastion_peer_new(ca, "localhost", "bastion/0");
    bastion = start_to(bastion_peer_port(peer), "localhost", ca);
    assert_true(bastion_peer_accept(peer, name));
    bastion_name(key, want);
    assert_string_equal(name, want);
    const struct peer_answer *answer = ask(peer, "POST", "/echo", NULL, "a body");
    says(answer, 200, "a body");
    assert_string_equal(answer->type, "text/plain");
    says(ask(peer, "GET", "/echo", NULL, ""), 200, "");
    says(ask(peer, "HEAD", "/big", NULL, ""), 200, "");
    says(ask(peer, "GET", "/shared", NULL, ""), 200, "shared");
    says(ask(peer, "GET", "/query?p=1&q=a%20b%2", NULL, ""), 200, "a b%2");
    says(ask(peer, "GET", "/query?qq=1", NULL, ""), 200, "none");
    says(ask(peer, "GET", "/header", (const char *[]){ "x-some", "thing", NULL }, ""), 200, "thing");
    says(ask(peer, "GET", "/who", (const char *[]){ "x-forwarded-for", "10.9.8.7", NULL }, ""), 200, "10a090807");
    says(ask(peer, "GET", "/who", NULL, ""), 200, "17f000001");
    answer = ask(peer, "GET", "/nowhere?x", NULL, "");
    assert_int_equal(answer->status, 404);
    assert_string_equal(answer->type, "application/problem+json");
    answer = ask(peer, "GET", "/big", NULL, "");
    assert_int_equal(answer->body.len, BIG);
    assert_int_equal(answer->error, 0);
    size_t late = bastion_peer_ask(peer, "GET", "/later", NULL, span_str(""), true);
    says(ask(peer, "GET", "/echo", NULL, ""), 200, "");
    answer_kept(1);
    assert_true(bastion_peer_wait(peer, late));
    says(bastion_peer_answer(peer, late), 200, "late");
    bastion_status(bastion, &status);
    assert_true(status.connected);
    assert_int_equal(status.connects, 1);
    assert_int_equal(status.requests, 13);
    assert_int_equal(status.refused, 0);
    end_both(peer, bastion);
}

/* What is not to be trusted is not spoken with; the reason can be read. */
static void refuses_the_wrong(void **state)
{
    char name[65];
    (void)state;
    struct bastion_peer *right = bastion_peer_new(ca, "localhost", "bastion/0");
    struct bastion_peer *other = bastion_peer_new(other_ca, "elsewhere.example", "bastion/0");
    struct bastion *bastion = start_to(bastion_peer_port(right), "localhost", other_ca);
    assert_false(bastion_peer_accept(right, name));
    assert_non_null(strstr(after_failures(bastion, 1).why.text, "is not to be trusted"));
    bastion_stop(bastion, 0);
    bastion = start_to(bastion_peer_port(right), "localhost", NULL); /* no system knows our authority */
    assert_false(bastion_peer_accept(right, name));
    bastion_stop(bastion, 0);
    bastion = start_to(bastion_peer_port(other), "localhost", other_ca); /* another's name */
    assert_false(bastion_peer_accept(other, name));
    assert_non_null(strstr(after_failures(bastion, 1).why.text, "is not to be trusted"));
    assert_false(after_failures(bastion, 1).connected);
    bastion_stop(bastion, 0);
    bastion = start_to(bastion_peer_port(right), "localhost", "/nonexistent/ca.pem");
    assert_non_null(strstr(after_failures(bastion, 2).why.text, "no certificate authorities in /nonexistent/ca.pem"));
    end_both(right, bastion);
    bastion_peer_free(other);
    struct bastion_peer *web = bastion_peer_new(ca, "localhost", "h2");
    bastion = start_to(bastion_peer_port(web), "localhost", ca);
    bastion_peer_accept(web, name); /* it may take the handshake: the protocol is ours to insist on */
    assert_int_equal(after_failures(bastion, 1).connects, 0);
    end_both(web, bastion);
}

static void comes_back(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    char name[65];
    (void)state;
    connect_both(&peer, &bastion);
    says(ask(peer, "POST", "/echo", NULL, "1"), 200, "1");
    bastion_peer_hang_up(peer);
    for (int i = 0; i < 5; i++)
        bastion_peer_refuse(peer);
    for (int i = 0; i < 5; i++) {
        assert_true(bastion_peer_accept(peer, name));
        says(ask(peer, "POST", "/echo", NULL, "2"), 200, "2");
        /* With a request under way, whose answer then comes too late. */
        bastion_peer_ask(peer, "GET", "/later", NULL, span_str(""), true);
        says(ask(peer, "POST", "/echo", NULL, "3"), 200, "3");
        bastion_peer_hang_up(peer);
        answer_kept(1);
    }
    struct bastion_status status = after_failures(bastion, 11);
    assert_int_equal(status.connects, 6);
    assert_int_equal(status.requests, 16);
    assert_false(status.connected);
    end_both(peer, bastion);
}

/* Where nobody listens: twice as long each time, and up to half shorter by chance: 10, 20, 40, 80, 100 and 100 ms, or half of that. */
static void tries_less_and_less(void **state)
{
    (void)state;
    struct bastion_peer *peer = bastion_peer_new(ca, "localhost", "bastion/0");
    unsigned port = bastion_peer_port(peer);
    bastion_peer_free(peer);
    uint64_t began_ms = clock_monotonic_ms();
    struct bastion *bastion = start_to(port, "localhost", ca);
    struct bastion_status status = after_failures(bastion, 7);
    assert_true(clock_monotonic_ms() - began_ms >= 175);
    assert_int_equal(status.connects, 0);
    bastion_stop(bastion, 0);
}

static void notices_silence(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    (void)state;
    keepalive_ms = 1500;
    connect_both(&peer, &bastion);
    keepalive_ms = 15000;
    bastion_peer_wait_ping(peer);
    says(ask(peer, "POST", "/echo", NULL, "1"), 200, "1");
    bastion_peer_deaf(peer, 10000);
    assert_non_null(strstr(after_failures(bastion, 1).why.text, "PING"));
    end_both(peer, bastion);
}

static void bounds_what_comes(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    char *large = calloc(1, BODY_MAX + 2), *value = calloc(1, 20001);
    (void)state;
    memset(large, 'b', BODY_MAX + 1);
    memset(value, 'v', 20000);
    connect_both(&peer, &bastion);
    /* A body that says its length, one that does not, and the largest that is taken. */
    assert_int_equal(ask(peer, "POST", "/echo", (const char *[]){ "content-length", "100001", NULL }, large)->status, 413);
    assert_int_equal(ask(peer, "POST", "/echo", NULL, large)->status, 413);
    large[BODY_MAX] = '\0';
    const struct peer_answer *answer = ask(peer, "POST", "/echo", NULL, large);
    assert_int_equal(answer->status, 200);
    assert_int_equal(answer->body.len, BODY_MAX);
    /* Heads: one giant header, and many. */
    assert_int_equal(ask(peer, "GET", "/echo", (const char *[]){ "x-giant", value, NULL }, "")->status, 431);
    const char *many[601];
    for (size_t i = 0; i < 600; i += 2)
        many[i] = "x-many", many[i + 1] = "0123456789012345678901234567";
    many[600] = NULL;
    assert_int_equal(ask(peer, "GET", "/echo", many, "")->status, 431);
    assert_int_equal(ask(peer, "GET", "/echo", (const char *[]){ "x-small", "v", NULL }, "")->status, 200);
    assert_int_equal(ask(peer, "OPTIONS", "*", NULL, "")->status, 400);
    end_both(peer, bastion);
    free(large);
    free(value);
}

/* Never more than STREAMS at once, whether the bastion keeps to that or not, and everything answered or reset. */
static void bounds_how_many(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    size_t answered = 0;
    (void)state;
    connect_both(&peer, &bastion);
    says(ask(peer, "POST", "/echo", NULL, "1"), 200, "1"); /* both know the other's settings */
    for (int i = 0; i < 1000; i++)
        bastion_peer_ask(peer, "POST", "/echo", NULL, span_str("x"), true);
    for (size_t i = 1; i <= 1000; i++) {
        assert_true(bastion_peer_wait(peer, i));
        answered += bastion_peer_answer(peer, i)->status == 200;
    }
    assert_int_equal(answered, 1000);
    end_both(peer, bastion);
}

static void survives_early_floods(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    size_t good = 0;
    (void)state;
    connect_both(&peer, &bastion);
    /* All at once, before it has read how many it may. */
    for (int i = 0; i < 1000; i++)
        bastion_peer_ask(peer, "GET", "/later", NULL, span_str(""), true);
    assert_true(bastion_peer_wait(peer, 999));
    answer_kept(STREAMS);
    for (size_t i = 0; i < 1000; i++) {
        assert_true(bastion_peer_wait(peer, i));
        const struct peer_answer *answer = bastion_peer_answer(peer, i);
        assert_true(answer->status == 200 || answer->error == 7 /* REFUSED_STREAM */);
        good += answer->status == 200;
    }
    assert_int_equal(good, STREAMS);
    end_both(peer, bastion);
}

/* "Rapid reset": the connection ends, and what was handed over before is bounded. */
static void survives_resets(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    char name[65];
    (void)state;
    connect_both(&peer, &bastion);
    says(ask(peer, "POST", "/echo", NULL, "1"), 200, "1");
    for (size_t round = 0; round < 30; round++) {
        size_t first = 0;
        for (size_t i = 0; i < STREAMS; i++) {
            size_t number = bastion_peer_ask(peer, "GET", "/later", NULL, span_str(""), true);
            first = i == 0 ? number : first;
        }
        for (size_t i = 0; i < STREAMS; i++)
            bastion_peer_reset(peer, first + i);
        if (!bastion_peer_wait(peer, first))
            break;
    }
    bastion_peer_wait_end(peer);
    pthread_mutex_lock(&lock);
    size_t taken = kept_n;
    pthread_mutex_unlock(&lock);
    assert_true(taken <= STREAMS);
    answer_kept(taken);
    assert_true(bastion_peer_accept(peer, name));
    says(ask(peer, "POST", "/echo", NULL, "2"), 200, "2");
    end_both(peer, bastion);
}

/* A peer that takes no body: the answer is given up in time, and others get theirs. */
static void gives_up_the_slow(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    char name[65];
    (void)state;
    peer = bastion_peer_new(ca, "localhost", "bastion/0");
    bastion_peer_window(peer, 0);
    request_timeout_s = 1;
    bastion = start_to(bastion_peer_port(peer), "localhost", ca);
    request_timeout_s = 30;
    assert_true(bastion_peer_accept(peer, name));
    says(ask(peer, "GET", "/echo", NULL, ""), 200, "");
    const struct peer_answer *answer = ask(peer, "POST", "/echo", NULL, "never taken");
    assert_int_equal(answer->error, 8 /* CANCEL */);
    assert_int_equal(answer->body.len, 0);
    /* And what never comes whole. */
    size_t slow = bastion_peer_ask(peer, "POST", "/echo", NULL, span_str("begin"), false);
    says(ask(peer, "GET", "/echo", NULL, ""), 200, "");
    assert_true(bastion_peer_wait(peer, slow));
    assert_int_equal(bastion_peer_answer(peer, slow)->status, 0);
    assert_int_equal(bastion_peer_answer(peer, slow)->error, 8 /* CANCEL */);
    says(ask(peer, "GET", "/echo", NULL, ""), 200, "");
    end_both(peer, bastion);
}

static void stops_gracefully(void **state)
{
    struct bastion_peer *peer;
    struct bastion *bastion;
    (void)state;
    connect_both(&peer, &bastion);
    size_t late = bastion_peer_ask(peer, "GET", "/later", NULL, span_str(""), true);
    says(ask(peer, "POST", "/echo", NULL, "1"), 200, "1");
    answer_kept(1);
    bastion_stop(bastion, 5000);
    assert_true(bastion_peer_wait(peer, late));
    says(bastion_peer_answer(peer, late), 200, "late");
    bastion_peer_free(peer);
}

static void checks_addresses(void **state)
{
    static const char *const good[] = { "a:1", "bastion.example:443", "[::1]:65535", "127.0.0.1:80" };
    static const char *const bad[] = {
        "", ":", "a", "a:", ":1", "a:0", "a:65536", "a:01", "::1:80", "[]:1", "http://a:1", "a b:1"
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(bastion_address_ok(span_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bastion_address_ok(span_str(bad[i])));
}

static int set_up(void **state)
{
    struct why why;
    (void)state;
    if (mkdtemp(folder) == NULL || key_system_start(&why) != OK ||
        secret_key_new(&key, span_str("backend.example"), SIG_ED25519, &why) != OK)
        return -1;
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    snprintf(other_ca, sizeof other_ca, "%s/other.pem", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    secret_key_free(key);
    unlink(ca);
    unlink(other_ca);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_addresses),  cmocka_unit_test(answers),
        cmocka_unit_test(refuses_the_wrong), cmocka_unit_test(comes_back),
        cmocka_unit_test(notices_silence),   cmocka_unit_test(bounds_what_comes),
        cmocka_unit_test(bounds_how_many),   cmocka_unit_test(survives_early_floods),
        cmocka_unit_test(survives_resets),   cmocka_unit_test(gives_up_the_slow),
        cmocka_unit_test(stops_gracefully),  cmocka_unit_test(tries_less_and_less),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
