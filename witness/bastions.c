#include "witness/bastions.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "witness/limits.h"

struct bastions {
    struct bastions_config config;
    struct secret_key *key;
    char name[65];
    pthread_mutex_t lock;
    struct bastion *items[BASTIONS_MAX]; /* under it, as the next */
    size_t n;
};

enum err bastion_key_take(struct secret_key **key, const char *dir, struct why *why)
{
    char *path = path_join(dir, "bastion-key");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    *key = NULL;
    if (err == OK && access(path, F_OK) != 0) {
        err = secret_key_new(key, span_str("bastion"), SIG_ED25519, why);
        if (err == OK)
            err = secret_key_save(*key, path, why);
    } else if (err == OK) {
        err = secret_key_load(key, path, SIG_ED25519, why);
    }
    free(path);
    return err;
}

/* "https://HOST[:PORT][/...]" as "HOST:PORT". */
static bool address_of(struct span name, struct buf *out)
{
    bool url = span_skip(&name, "https://");
    ptrdiff_t slash = span_find(name, '/');
    if (url && slash >= 0)
        name = span_cut(name, 0, (size_t)slash);
    buf_span(out, name);
    if (url && !bastion_address_ok(name))
        buf_str(out, ":443");
    return !out->failed && bastion_address_ok(span_buf(out));
}

/* Under the lock. One that is there already is no error. */
static enum err connect_to(struct bastions *bastions, const char *address, struct why *why)
{
    const struct bastion_config config = {
        .address = address,
        .ca_file = bastions->config.ca_file,
        .key = bastions->key,
        .body_bytes_max = REQUEST_BYTES_MAX,
        .streams_max = BASTION_STREAMS_MAX,
        .request_timeout_s = HTTP_REQUEST_TIMEOUT_S,
        .connect_timeout_ms = BASTION_CONNECT_TIMEOUT_MS,
        .keepalive_ms = BASTION_KEEPALIVE_MS,
        .retry_min_ms = BASTION_RETRY_MIN_MS,
        .retry_max_ms = BASTION_RETRY_MAX_MS,
        .handle = bastions->config.handle,
        .ctx = bastions->config.ctx,
    };
    for (size_t i = 0; i < bastions->n; i++) {
        struct bastion_status status;
        bastion_status(bastions->items[i], &status);
        if (strcmp(status.address, address) == 0)
            return OK;
    }
    if (bastions->n == BASTIONS_MAX)
        return fail(why, ERR_REFUSED, "more than %d bastions", BASTIONS_MAX);
    enum err err = bastion_start(&bastions->items[bastions->n], &config, why);
    bastions->n += err == OK;
    return err;
}

void bastions_add(struct bastions *bastions, struct span name)
{
    struct buf address = BUF_EMPTY;
    struct why why;
    if (bastions == NULL || !bastions->config.of_lists)
        return;
    enum err err = address_of(name, &address) ? OK : fail(&why, ERR_MALFORMED, "no HOST:PORT, and no https URL");
    buf_byte(&address, '\0');
    if (err == OK)
        err = buf_done(&address, &why);
    if (err == OK) {
        pthread_mutex_lock(&bastions->lock);
        err = connect_to(bastions, (const char *)address.data, &why);
        pthread_mutex_unlock(&bastions->lock);
    }
    char *shown = err == OK ? NULL : span_dup_str(name);
    if (shown != NULL)
        report(REPORT_WARN, "list-bastion-unusable", "bastion=%s why=%s", report_quote(shown), report_quote(why.text));
    free(shown);
    buf_free(&address);
}

enum err bastions_start(struct bastions **out, const struct bastions_config *config, struct why *why)
{
    *out = NULL;
    if (config->own->n == 0 && !config->of_lists)
        return OK;
    struct bastions *bastions = calloc(1, sizeof *bastions);
    if (bastions == NULL)
        return fail(why, ERR_ENV, "out of memory");
    bastions->config = *config;
    pthread_mutex_init(&bastions->lock, NULL);
    enum err err = bastion_key_take(&bastions->key, config->dir, why);
    if (err == OK) {
        bastion_name(bastions->key, bastions->name);
        report(REPORT_INFO, "bastion-key", "hash=%s", bastions->name);
    }
    for (size_t i = 0; i < config->own->n && err == OK; i++)
        err = connect_to(bastions, config->own->items[i], why);
    if (err == OK)
        *out = bastions;
    else
        bastions_stop(bastions, 0);
    return err;
}

void bastions_stop(struct bastions *bastions, unsigned grace_ms)
{
    uint64_t end_ms = clock_monotonic_ms() + grace_ms, now_ms;
    if (bastions == NULL)
        return;
    /* From here on none is shown: one that is not stopped yet may still be asked for the page. */
    pthread_mutex_lock(&bastions->lock);
    size_t n = bastions->n;
    bastions->n = 0;
    pthread_mutex_unlock(&bastions->lock);
    for (size_t i = 0; i < n; i++) {
        now_ms = clock_monotonic_ms();
        bastion_stop(bastions->items[i], now_ms < end_ms ? (unsigned)(end_ms - now_ms) : 0);
    }
    secret_key_free(bastions->key);
    pthread_mutex_destroy(&bastions->lock);
    free(bastions);
}

const char *bastions_name(const struct bastions *bastions)
{
    return bastions->name;
}

size_t bastions_status(struct bastions *bastions, struct bastion_status *out)
{
    if (bastions == NULL)
        return 0;
    pthread_mutex_lock(&bastions->lock);
    size_t n = bastions->n;
    for (size_t i = 0; i < n; i++)
        bastion_status(bastions->items[i], &out[i]);
    pthread_mutex_unlock(&bastions->lock);
    return n;
}
