#include "lib/config.h"

#include <stdlib.h>

#include "lib/limits.h"

enum { CONFIG_KEYS_MAX = 64 };

enum err config_parse(struct span text, const char *file, const struct config_key *keys, size_t n, void *ctx, struct why *why)
{
    struct lines lines;
    struct span value, name;
    unsigned first_line[CONFIG_KEYS_MAX] = { 0 };
    if (n > CONFIG_KEYS_MAX)
        return fail(why, ERR_ENV, "more than %d configuration keys", CONFIG_KEYS_MAX);
    if (text.len > CONFIG_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "%s: more than %d bytes", file, CONFIG_BYTES_MAX);
    enum err err = lines_start(&lines, text, file, why);
    while (err == OK && lines_next(&lines, &value)) {
        size_t k = 0;
        span_word(&value, &name);
        while (k < n && !span_is(name, keys[k].name))
            k++;
        if (k == n)
            return lines_fail(&lines, why, "unknown key `%.*s`", SPAN_FMT(name));
        if (first_line[k] != 0 && !keys[k].repeatable)
            return lines_fail(&lines, why, "`%s` stands on line %u already", keys[k].name, first_line[k]);
        first_line[k] = lines.number;
        while (value.len > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
            value = span_of(value.data + 1, value.len - 1);
        if (value.len == 0)
            return lines_fail(&lines, why, "`%s` has no value", keys[k].name);
        err = keys[k].take(ctx, &keys[k], value, why);
        if (err != OK)
            return fail_in(why, err, "%s line %u: %s", file, lines.number, keys[k].name);
    }
    return err;
}

enum err config_take_str(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    char **out = (char **)(void *)((char *)ctx + key->offset);
    free(*out);
    *out = span_dup_str(value);
    return *out == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

enum err config_take_count(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    uint64_t *out = (uint64_t *)(void *)((char *)ctx + key->offset);
    if (!span_decimal(value, INT64_MAX, out))
        return fail(why, ERR_MALFORMED, "%.*s is not a whole number", SPAN_FMT(value));
    return OK;
}

enum err config_take_item(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    struct config_list *list = (struct config_list *)(void *)((char *)ctx + key->offset);
    char **items = array_more(list->items, list->n, sizeof *items);
    if (items == NULL)
        return fail(why, ERR_ENV, "out of memory");
    list->items = items;
    if ((items[list->n] = span_dup_str(value)) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    list->n++;
    return OK;
}

void config_list_free(struct config_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){ 0 };
}

bool glob_match(struct span glob, struct span text)
{
    size_t g = 0, t = 0, star = SIZE_MAX, retry = 0;
    while (t < text.len) {
        if (g < glob.len && glob.data[g] == '*') {
            star = g++;
            retry = t;
        } else if (g < glob.len && (glob.data[g] == '?' || glob.data[g] == text.data[t])) {
            g++;
            t++;
        } else if (star != SIZE_MAX) {
            /* Only the last star ever needs to take one more byte: earlier ones have matched as early as they can. */
            g = star + 1;
            t = ++retry;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.data[g] == '*')
        g++;
    return g == glob.len;
}
