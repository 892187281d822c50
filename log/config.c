#include "log/config.h"

#include <stdlib.h>

#include "lib/limits.h"
#include "lib/sys/address.h"
#include "lib/sys/file.h"
#include "log/limits.h"

#define NOT_GIVEN UINT64_MAX

/* A file's path, relative ones from DIR. */
static enum err take_path(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    struct log_config *config = ctx;
    char **path = (char **)((char *)ctx + key->offset);
    char *text = span_dup_str(value);
    if (text == NULL)
        return fail(why, ERR_ENV, "out of memory");
    *path = path_from(config->dir, text);
    free(text);
    return *path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

static enum err take_builders(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    struct log_config *config = ctx;
    config->builders_open = span_is(value, "open");
    return config->builders_open ? OK : take_path(ctx, key, value, why);
}

#define KEY(text, take_it, member)                                                                                                 \
    {                                                                                                                              \
        .name = (text), .take = (take_it), .offset = offsetof(struct log_config, member)                                           \
    }

static const struct config_key keys[] = {
    KEY("origin", config_take_str, origin),
    KEY("listen", config_take_str, listen),
    KEY("policy", take_path, policy_file),
    KEY("builders", take_builders, builders_file),
    KEY("head-interval-ms", config_take_count, head_interval_ms),
    KEY("quorum-timeout-ms", config_take_count, quorum_timeout_ms),
    KEY("free-space-floor", config_take_count, free_space_floor_bytes),
    KEY("connections-max", config_take_count, connections_max),
    KEY("connections-per-address-max", config_take_count, connections_per_ip_max),
    KEY("builder-rate", config_take_count, builder_rate),
    KEY("builder-burst", config_take_count, builder_burst),
    KEY("address-rate", config_take_count, address_rate),
    KEY("address-burst", config_take_count, address_burst),
    KEY("heads-max", config_take_count, heads_max),
    KEY("proxy", config_take_str, proxy),
};

/* What was not given: no limit for builders that the operator chose, one for anybody. */
static enum err check_rate(const char *file, const char *name, bool open, uint64_t *rate, uint64_t *burst, struct why *why)
{
    if (*rate == NOT_GIVEN)
        *rate = open ? OPEN_RATE : 0;
    if (*burst == NOT_GIVEN)
        *burst = *rate > BURST_MAX / BURST_SECONDS   ? BURST_MAX
                 : *rate > BURST_MIN / BURST_SECONDS ? *rate * BURST_SECONDS
                                                     : BURST_MIN;
    if (*rate <= RATE_MAX && *burst >= 1 && *burst <= BURST_MAX)
        return OK;
    return fail(why, ERR_MALFORMED, "%s: `%s-rate` is from 0 to %d, `%s-burst` from 1 to %d", file, name, RATE_MAX, name,
                BURST_MAX);
}

static enum err check(struct log_config *config, const char *file, struct why *why)
{
    if (config->origin == NULL)
        return fail(why, ERR_MALFORMED, "%s: no `origin`", file);
    if (!key_name_ok(span_str(config->origin)))
        return fail(why, ERR_MALFORMED, "%s: `origin` is no key name (signed-note, \"Format\")", file);
    if (config->policy_file == NULL)
        return fail(why, ERR_MALFORMED, "%s: no `policy`", file);
    if (config->builders_file == NULL && !config->builders_open)
        return fail(why, ERR_MALFORMED, "%s: no `builders` (a file, or `builders open`)", file);
    if (config->quorum_timeout_ms < 100 || config->quorum_timeout_ms > 600000)
        return fail(why, ERR_MALFORMED, "%s: `quorum-timeout-ms` is not from 100 to 600000", file);
    if (config->head_interval_ms > 86400000)
        return fail(why, ERR_MALFORMED, "%s: `head-interval-ms` is above a day", file);
    if (config->connections_max == 0 || config->connections_max > HTTP_CONNECTIONS_LIMIT || config->connections_per_ip_max == 0 ||
        config->connections_per_ip_max > config->connections_max)
        return fail(why, ERR_MALFORMED, "%s: `connections-max` is from 1 to 65536, `connections-per-address-max` from 1 to that",
                    file);
    if (config->heads_max < HEADS_MAX_MIN)
        return fail(why, ERR_MALFORMED, "%s: `heads-max` is %d or more", file, HEADS_MAX_MIN);
    if (config->proxy != NULL && address_party(config->proxy) == 0)
        return fail(why, ERR_MALFORMED, "%s: `proxy` is no address", file);
    enum err err = check_rate(file, "builder", config->builders_open, &config->builder_rate, &config->builder_burst, why);
    if (err == OK)
        err = check_rate(file, "address", config->builders_open, &config->address_rate, &config->address_burst, why);
    if (err != OK)
        return err;
    if (config->listen == NULL && (config->listen = span_dup_str(span_str(LOG_LISTEN))) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    return OK;
}

enum err log_config_load(struct log_config *out, const char *dir, struct why *why)
{
    *out = (struct log_config){
        .quorum_timeout_ms = 10000,
        .free_space_floor_bytes = 64 << 20,
        .heads_max = HEADS_MAX,
        .connections_max = HTTP_CONNECTIONS_MAX,
        .connections_per_ip_max = HTTP_CONNECTIONS_PER_IP_MAX,
        .builder_rate = NOT_GIVEN,
        .builder_burst = NOT_GIVEN,
        .address_rate = NOT_GIVEN,
        .address_burst = NOT_GIVEN,
        .dir = span_dup_str(span_str(dir)),
    };
    struct buf text = BUF_EMPTY;
    char *file = path_join(dir, "config");
    enum err err =
        out->dir == NULL || file == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(file, CONFIG_BYTES_MAX, &text, why);
    if (err == OK)
        err = config_parse(span_buf(&text), file, keys, sizeof keys / sizeof keys[0], out, why);
    if (err == OK)
        err = check(out, file, why);
    buf_free(&text);
    free(file);
    if (err != OK)
        log_config_free(out);
    return err;
}

void log_config_free(struct log_config *config)
{
    free(config->dir);
    free(config->origin);
    free(config->listen);
    free(config->policy_file);
    free(config->builders_file);
    free(config->proxy);
    *config = (struct log_config){ 0 };
}

enum err log_policy_load(const struct log_config *config, struct policy *out, struct why *why)
{
    struct buf text = BUF_EMPTY;
    enum err err = file_read(config->policy_file, POLICY_BYTES_MAX, &text, why);
    if (err == OK)
        err = policy_parse(out, span_buf(&text), config->policy_file, why);
    buf_free(&text);
    if (err == OK && out->witnesses_n > LOG_WITNESSES_MAX) {
        policy_free(out);
        return fail(why, ERR_MALFORMED, "%s: more than %d witnesses: a note has room for no more", config->policy_file,
                    LOG_WITNESSES_MAX);
    }
    return err;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

enum err builders_load(const struct log_config *config, struct builders *out, struct why *why)
{
    *out = (struct builders){ .open = config->builders_open };
    if (out->open)
        return OK;
    struct buf text = BUF_EMPTY, hashes = BUF_EMPTY;
    struct lines lines;
    struct span line;
    enum err err = file_read(config->builders_file, BUILDERS_BYTES_MAX, &text, why);
    if (err == OK)
        err = lines_start(&lines, span_buf(&text), config->builders_file, why);
    while (err == OK && lines_next(&lines, &line)) {
        struct vkey key;
        struct why reason;
        if (vkey_parse(&key, line, SIG_ED25519, &reason) != OK) {
            err = lines_fail(&lines, why, "no builder's vkey: %s", reason.text);
            break;
        }
        struct hash hash = vkey_hash(&key);
        buf_add(&hashes, hash.b, sizeof hash.b);
    }
    if (err == OK)
        err = buf_done(&hashes, why);
    if (err == OK && hashes.len > 0) {
        out->n = hashes.len / sizeof(struct hash);
        out->keys = malloc(hashes.len);
        if (out->keys == NULL) {
            err = fail(why, ERR_ENV, "out of memory");
        } else {
            memcpy(out->keys, hashes.data, hashes.len);
            qsort(out->keys, out->n, sizeof(struct hash), by_bytes);
        }
    }
    buf_free(&text);
    buf_free(&hashes);
    if (err != OK)
        builders_free(out);
    return err;
}

void builders_free(struct builders *builders)
{
    free(builders->keys);
    *builders = (struct builders){ 0 };
}

bool builders_allow(const struct builders *builders, const struct hash *builder)
{
    if (builders->open)
        return true;
    return builders->n > 0 && bsearch(builder, builders->keys, builders->n, sizeof(struct hash), by_bytes) != NULL;
}
