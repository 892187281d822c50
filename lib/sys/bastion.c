#include "lib/sys/bastion.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>
#include <sys/eventfd.h>

#include "lib/sys/clock.h"
#include "lib/sys/http2.h"
#include "lib/sys/report.h"
#include "lib/sys/tls.h"

enum {
    READ_BYTES = 16 << 10,
    READS_A_ROUND = 16,  /* then what was given is answered first */
    TICK_MS = 250,       /* how exact deadlines are */
    IDLE_TICK_MS = 5000, /* while there are none but that of silence */
};

struct bastion {
    struct bastion_config config;
    char address[BASTION_ADDRESS_BYTES], host[256], port[8];
    pthread_t thread;
    int wake_fd, stop_fd;
    atomic_bool stopping;
    unsigned grace_ms; /* set before `stopping` */
    pthread_mutex_t lock;
    struct bastion_status status;                              /* under it */
    uint64_t requests_before, refused_before, too_slow_before; /* of the connections before this one; the thread's */
    unsigned retry_ms;                                         /* the thread's */
};

/* One connection. */
struct link {
    struct bastion *bastion;
    struct tls *tls;
    struct http2 *http2;
    uint64_t heard_ms;   /* when the peer last sent something */
    uint64_t stalled_ms; /* since when it takes nothing; 0: it does */
    uint64_t end_ms;     /* where we are stopping: when patience is over */
    bool pinged, known;  /* `known`: shown as connected */
    struct why why;
};

static bool split(struct span address, char host[256], char port[8])
{
    uint64_t number;
    struct span name = address, digits;
    while (name.len > 0 && name.data[name.len - 1] != ':')
        name.len--;
    digits = span_cut(address, name.len, address.len - name.len);
    if (name.len < 2 || !span_decimal(digits, 65535, &number) || number == 0)
        return false;
    name.len--;
    bool brackets = name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']';
    if (brackets)
        name = span_cut(name, 1, name.len - 2);
    if (name.len > 255 || (!brackets && span_find(name, ':') >= 0))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f || strchr("/@[]", name.data[i]) != NULL)
            return false;
    memcpy(host, name.data, name.len);
    host[name.len] = '\0';
    memcpy(port, digits.data, digits.len);
    port[digits.len] = '\0';
    return true;
}

bool bastion_address_ok(struct span address)
{
    char host[256], port[8];
    return split(address, host, port);
}

void bastion_name(const struct secret_key *key, char out[65])
{
    struct vkey vkey = secret_key_vkey(key);
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, vkey.key, sizeof vkey.key);
    sodium_bin2hex(out, 65, hash, sizeof hash);
}

static void show(struct link *link, bool connected)
{
    struct bastion *bastion = link->bastion;
    struct http2_counts counts = { 0 };
    if (link->http2 != NULL)
        http2_counts(link->http2, &counts);
    pthread_mutex_lock(&bastion->lock);
    struct bastion_status *status = &bastion->status;
    status->requests = bastion->requests_before + counts.requests;
    status->refused = bastion->refused_before + counts.refused;
    status->too_slow = bastion->too_slow_before + counts.too_slow;
    bool changed = status->connected != connected;
    if (changed)
        status->since_s = clock_posix_s();
    status->connected = connected;
    if (changed && connected) {
        status->connects++;
        status->why.text[0] = '\0';
    }
    pthread_mutex_unlock(&bastion->lock);
    if (changed && connected)
        report(REPORT_INFO, "bastion-connected", "bastion=%s", report_quote(bastion->address));
}

static void show_failure(struct bastion *bastion, const struct why *why)
{
    pthread_mutex_lock(&bastion->lock);
    bool said = strcmp(bastion->status.why.text, why->text) == 0;
    bastion->status.why = *why;
    bastion->status.failures++;
    pthread_mutex_unlock(&bastion->lock);
    if (!said) /* not again and again */
        report(REPORT_WARN, "bastion-not-connected", "bastion=%s why=%s", report_quote(bastion->address), report_quote(why->text));
}

/* Sends what there is, as long as the peer takes it. False where the connection is over. */
static bool write_out(struct link *link, uint64_t now_ms)
{
    for (struct span out; (out = http2_output(link->http2)).len > 0;) {
        ptrdiff_t put = tls_write(link->tls, out, &link->why);
        if (put == -2)
            return false;
        if (put == -1) {
            if (link->stalled_ms == 0)
                link->stalled_ms = now_ms;
            if (now_ms - link->stalled_ms <= link->bastion->config.keepalive_ms * 2ull)
                return true;
            fail(&link->why, ERR_ENV, "the bastion takes nothing that is sent to it");
            return false;
        }
        link->stalled_ms = 0;
        http2_sent(link->http2, (size_t)put);
    }
    link->stalled_ms = 0;
    return true;
}

static bool read_in(struct link *link, uint64_t now_ms)
{
    uint8_t bytes[READ_BYTES];
    for (int i = 0; i < READS_A_ROUND; i++) {
        ptrdiff_t got = tls_read(link->tls, bytes, sizeof bytes, &link->why);
        if (got == -1)
            return true;
        if (got == 0)
            fail(&link->why, ERR_ENV, "the bastion closed the connection");
        if (got <= 0 || http2_receive(link->http2, span_of(bytes, (size_t)got), &link->why) != OK)
            return false;
        link->heard_ms = now_ms;
        link->pinged = false;
    }
    return true;
}

static bool still_alive(struct link *link, uint64_t now_ms)
{
    uint64_t silent_ms = now_ms - link->heard_ms, patience_ms = link->bastion->config.keepalive_ms;
    if (silent_ms > patience_ms * 2) {
        fail(&link->why, ERR_ENV, "the bastion does not answer a PING");
        return false;
    }
    if (silent_ms > patience_ms && !link->pinged) {
        link->pinged = true;
        http2_ping(link->http2);
    }
    return true;
}

/* Are we stopping, and done? */
static bool stopped(struct link *link, uint64_t now_ms)
{
    struct http2_counts counts;
    if (!atomic_load(&link->bastion->stopping))
        return false;
    if (link->end_ms == 0) {
        link->end_ms = now_ms + link->bastion->grace_ms;
        http2_goaway(link->http2);
    }
    http2_counts(link->http2, &counts);
    return now_ms >= link->end_ms || (counts.streams == 0 && http2_output(link->http2).len == 0);
}

/* How long to wait for something to happen. */
static int tick_ms(const struct link *link)
{
    struct http2_counts counts;
    unsigned quarter_ms = link->bastion->config.keepalive_ms / 4;
    http2_counts(link->http2, &counts);
    if (counts.streams > 0 || link->stalled_ms != 0 || link->end_ms != 0)
        return TICK_MS;
    return quarter_ms < IDLE_TICK_MS ? (int)quarter_ms + 1 : IDLE_TICK_MS;
}

static void drain(int fd)
{
    uint64_t wakes;
    ssize_t got = read(fd, &wakes, sizeof wakes);
    (void)got;
}

/* Until the connection is over. */
static void serve(struct link *link)
{
    struct bastion *bastion = link->bastion;
    link->heard_ms = clock_monotonic_ms();
    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        http2_tick(link->http2, now_ms);
        http2_answers(link->http2);
        bool alive = read_in(link, now_ms);
        http2_answers(link->http2);
        alive = alive && write_out(link, now_ms) && still_alive(link, now_ms);
        link->known |= http2_begun(link->http2);
        show(link, link->known);
        if (!alive || http2_ended(link->http2) || stopped(link, now_ms))
            return;
        struct pollfd wait[2] = { { .fd = tls_fd(link->tls), .events = POLLIN }, { .fd = bastion->wake_fd, .events = POLLIN } };
        if (http2_output(link->http2).len > 0)
            wait[0].events |= POLLOUT;
        if (poll(wait, 2, tick_ms(link)) > 0 && wait[1].revents != 0)
            drain(bastion->wake_fd);
    }
}

static void connect_once(struct bastion *bastion)
{
    struct link link = { .bastion = bastion };
    const struct tls_config config = {
        .host = bastion->host,
        .port = bastion->port,
        .alpn = "bastion/0",
        .ca_file = bastion->config.ca_file,
        .key = bastion->config.key,
        .timeout_ms = bastion->config.connect_timeout_ms,
        .cancel_fd = bastion->stop_fd,
    };
    fail(&link.why, ERR_ENV, "the bastion ended HTTP/2");
    uint64_t started_ms = clock_monotonic_ms();
    enum err err = tls_connect(&link.tls, &config, &link.why);
    if (err == OK) {
        const struct http2_config http2 = {
            .body_bytes_max = bastion->config.body_bytes_max,
            .streams_max = bastion->config.streams_max,
            .request_timeout_s = bastion->config.request_timeout_s,
            .remote = tls_remote(link.tls),
            .wake_fd = bastion->wake_fd,
            .handle = bastion->config.handle,
            .ctx = bastion->config.ctx,
        };
        err = http2_new(&link.http2, &http2, &link.why);
    }
    if (err == OK)
        serve(&link);
    show(&link, false);
    bastion->requests_before = bastion->status.requests;
    bastion->refused_before = bastion->status.refused;
    bastion->too_slow_before = bastion->status.too_slow;
    http2_free(link.http2);
    tls_close(link.tls);
    if (atomic_load(&bastion->stopping))
        return;
    show_failure(bastion, &link.why);
    /* A connection that held is one that breaks once; others are tried less and less often. */
    if (link.known && clock_monotonic_ms() - started_ms >= bastion->config.retry_max_ms)
        bastion->retry_ms = bastion->config.retry_min_ms;
}

static void *run(void *ctx)
{
    struct bastion *bastion = ctx;
    bastion->retry_ms = bastion->config.retry_min_ms;
    while (!atomic_load(&bastion->stopping)) {
        connect_once(bastion);
        struct pollfd wait = { .fd = bastion->stop_fd, .events = POLLIN };
        poll(&wait, 1, (int)(bastion->retry_ms / 2 + randombytes_uniform(bastion->retry_ms / 2 + 1)));
        bool most = bastion->retry_ms > bastion->config.retry_max_ms / 2;
        bastion->retry_ms = most ? bastion->config.retry_max_ms : 2 * bastion->retry_ms;
    }
    return NULL;
}

static void bastion_free(struct bastion *bastion)
{
    if (bastion->wake_fd >= 0)
        close(bastion->wake_fd);
    if (bastion->stop_fd >= 0)
        close(bastion->stop_fd);
    pthread_mutex_destroy(&bastion->lock);
    free(bastion);
}

enum err bastion_start(struct bastion **out, const struct bastion_config *config, struct why *why)
{
    struct bastion *bastion = calloc(1, sizeof *bastion);
    *out = NULL;
    if (bastion == NULL)
        return fail(why, ERR_ENV, "out of memory");
    bastion->config = *config;
    pthread_mutex_init(&bastion->lock, NULL);
    bastion->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bastion->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bastion->status.since_s = clock_posix_s();
    enum err err = OK;
    if (!split(span_str(config->address), bastion->host, bastion->port) || strlen(config->address) >= sizeof bastion->address)
        err = fail(why, ERR_USAGE, "`%s` is no bastion: wanted HOST:PORT", config->address);
    else if (bastion->wake_fd < 0 || bastion->stop_fd < 0)
        err = fail(why, ERR_ENV, "no connection to a bastion: %s", strerror(errno));
    if (err == OK) {
        memcpy(bastion->address, config->address, strlen(config->address));
        memcpy(bastion->status.address, bastion->address, sizeof bastion->address);
        if (pthread_create(&bastion->thread, NULL, run, bastion) != 0)
            err = fail(why, ERR_ENV, "no thread for a bastion");
    }
    if (err != OK) {
        bastion_free(bastion);
        return err;
    }
    *out = bastion;
    return OK;
}

void bastion_stop(struct bastion *bastion, unsigned grace_ms)
{
    uint64_t one = 1;
    if (bastion == NULL)
        return;
    bastion->grace_ms = grace_ms;
    atomic_store(&bastion->stopping, true);
    ssize_t woken = write(bastion->stop_fd, &one, sizeof one);
    woken += write(bastion->wake_fd, &one, sizeof one);
    (void)woken; /* an eventfd that is full wakes as well */
    pthread_join(bastion->thread, NULL);
    bastion_free(bastion);
}

void bastion_status(struct bastion *bastion, struct bastion_status *out)
{
    pthread_mutex_lock(&bastion->lock);
    *out = bastion->status;
    pthread_mutex_unlock(&bastion->lock);
}
