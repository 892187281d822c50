#include "witness/config.h"

#include <stdlib.h>

#include "lib/config.h"
#include "lib/sys/address.h"
#include "lib/sys/file.h"
#include "witness/commands.h"
#include "witness/limits.h"

static enum err take_list(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    struct list_sources *lists = &((struct witness_config *)ctx)->lists;
    if (lists->n == LISTS_MAX)
        return fail(why, ERR_MALFORMED, "more than %d lines of `%s`", LISTS_MAX, key->name);
    char **items = realloc(lists->items, (lists->n + 1) * sizeof *items);
    if (items == NULL)
        return fail(why, ERR_ENV, "out of memory");
    lists->items = items;
    if ((items[lists->n] = span_dup_str(value)) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    lists->n++;
    return OK;
}

static enum err take_defaults(struct witness_config *config, const char *file, struct why *why)
{
    if (config->listen == NULL)
        config->listen = span_dup_str(span_str(WITNESS_LISTEN));
    if (config->proxy == NULL)
        config->proxy = span_dup_str(span_str("127.0.0.1"));
    if (config->listen == NULL || config->proxy == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (config->address_rate > ADDRESS_RATE_MAX)
        return fail(why, ERR_MALFORMED, "%s: `address-rate` is from 0 to %d", file, ADDRESS_RATE_MAX);
    if (address_party(config->proxy) == 0)
        return fail(why, ERR_MALFORMED, "%s: `proxy` is no address", file);
    return OK;
}

enum err witness_config_load(struct witness_config *config, const char *dir, struct why *why)
{
    static const struct config_key keys[] = {
        { "listen", false, config_take_str, offsetof(struct witness_config, listen) },
        { "log-list", true, take_list, 0 },
        { "requests-per-day", false, config_take_count, offsetof(struct witness_config, qpd) },
        { "address-rate", false, config_take_count, offsetof(struct witness_config, address_rate) },
        { "proxy", false, config_take_str, offsetof(struct witness_config, proxy) },
    };
    struct buf text = BUF_EMPTY;
    char *path = path_join(dir, "config");
    *config = (struct witness_config){ .address_rate = ADDRESS_RATE };
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, CONFIG_BYTES_MAX, &text, why);
    if (err == OK)
        err = config_parse(span_buf(&text), path, keys, sizeof keys / sizeof keys[0], config, why);
    if (err == OK)
        err = take_defaults(config, path, why);
    buf_free(&text);
    free(path);
    return err;
}

void witness_config_free(struct witness_config *config)
{
    for (size_t i = 0; i < config->lists.n; i++)
        free(config->lists.items[i]);
    free(config->lists.items);
    free(config->listen);
    free(config->proxy);
    *config = (struct witness_config){ 0 };
}
