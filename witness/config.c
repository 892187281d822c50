#include "witness/config.h"

#include <stdlib.h>

#include "lib/config.h"
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

enum err witness_config_load(struct witness_config *config, const char *dir, struct why *why)
{
    static const struct config_key keys[] = {
        { "listen", false, config_take_str, offsetof(struct witness_config, listen) },
        { "log-list", true, take_list, 0 },
        { "requests-per-day", false, config_take_count, offsetof(struct witness_config, qpd) },
        { "address-requests-per-second", false, config_take_count, offsetof(struct witness_config, address_per_s) },
    };
    struct buf text = BUF_EMPTY;
    char *path = path_join(dir, "config");
    *config = (struct witness_config){ .address_per_s = ADDRESS_PER_S };
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, CONFIG_BYTES_MAX, &text, why);
    if (err == OK)
        err = config_parse(span_buf(&text), path, keys, sizeof keys / sizeof keys[0], config, why);
    if (err == OK && config->listen == NULL && (config->listen = span_dup_str(span_str(WITNESS_LISTEN))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
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
    *config = (struct witness_config){ 0 };
}
