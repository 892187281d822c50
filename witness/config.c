#include "witness/config.h"

#include <stdlib.h>

#include "lib/sys/address.h"
#include "lib/sys/bastion.h"
#include "lib/sys/file.h"
#include "witness/commands.h"
#include "witness/limits.h"

/* One more of a repeatable key's. */
static enum err take_one(void *ctx, const struct config_key *key, struct span value, size_t max, struct why *why)
{
    const struct config_list *list = (const struct config_list *)(void *)((char *)ctx + key->offset);
    if (list->n == max)
        return fail(why, ERR_MALFORMED, "more than %zu lines of `%s`", max, key->name);
    return config_take_item(ctx, key, value, why);
}

static enum err take_list(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    return take_one(ctx, key, value, LISTS_MAX, why);
}

static enum err take_bastion(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    struct witness_config *config = ctx;
    if (span_is(value, "lists")) {
        config->bastions_of_lists = true;
        return OK;
    }
    if (!bastion_address_ok(value))
        return fail(why, ERR_MALFORMED, "`%s` wants HOST:PORT, or `lists`", key->name);
    return take_one(ctx, key, value, BASTIONS_MAX, why);
}

static enum err take_defaults(struct witness_config *config, const char *dir, const char *file, struct why *why)
{
    if (config->listen == NULL)
        config->listen = span_dup_str(span_str(WITNESS_LISTEN));
    if (config->proxy == NULL)
        config->proxy = span_dup_str(span_str("127.0.0.1"));
    if (config->listen == NULL || config->proxy == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (config->bastion_ca != NULL) {
        char *path = path_from(dir, config->bastion_ca);
        free(config->bastion_ca);
        if ((config->bastion_ca = path) == NULL)
            return fail(why, ERR_ENV, "out of memory");
    }
    if (config->address_rate > ADDRESS_RATE_MAX)
        return fail(why, ERR_MALFORMED, "%s: `address-rate` is from 0 to %d", file, ADDRESS_RATE_MAX);
    if (config->heads_max < HEADS_MAX_MIN)
        return fail(why, ERR_MALFORMED, "%s: `heads-max` is %d or more", file, HEADS_MAX_MIN);
    if (address_party(config->proxy) == 0)
        return fail(why, ERR_MALFORMED, "%s: `proxy` is no address", file);
    return OK;
}

enum err witness_config_load(struct witness_config *config, const char *dir, struct why *why)
{
    static const struct config_key keys[] = {
        { "listen", false, config_take_str, offsetof(struct witness_config, listen) },
        { "log-list", true, take_list, offsetof(struct witness_config, lists) },
        { "bastion", true, take_bastion, offsetof(struct witness_config, bastions) },
        { "bastion-ca", false, config_take_str, offsetof(struct witness_config, bastion_ca) },
        { "requests-per-day", false, config_take_count, offsetof(struct witness_config, qpd) },
        { "address-rate", false, config_take_count, offsetof(struct witness_config, address_rate) },
        { "heads-max", false, config_take_count, offsetof(struct witness_config, heads_max) },
        { "proxy", false, config_take_str, offsetof(struct witness_config, proxy) },
    };
    struct buf text = BUF_EMPTY;
    char *path = path_join(dir, "config");
    *config = (struct witness_config){ .address_rate = ADDRESS_RATE, .heads_max = HEADS_MAX };
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, CONFIG_BYTES_MAX, &text, why);
    if (err == OK)
        err = config_parse(span_buf(&text), path, keys, sizeof keys / sizeof keys[0], config, why);
    if (err == OK)
        err = take_defaults(config, dir, path, why);
    buf_free(&text);
    free(path);
    return err;
}

void witness_config_free(struct witness_config *config)
{
    config_list_free(&config->lists);
    config_list_free(&config->bastions);
    free(config->bastion_ca);
    free(config->listen);
    free(config->proxy);
    *config = (struct witness_config){ 0 };
}
