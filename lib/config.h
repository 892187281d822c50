/*
 * Configuration files: `key value` lines (lib/lines.h), an unknown or repeated key is an error that names file and line.
 */
#ifndef STELE_CONFIG_H
#define STELE_CONFIG_H

#include "lib/lines.h"

/* One key that a program knows. `value` is the rest of the line, borrowed from the text. */
struct config_key {
    const char *name;
    bool repeatable;
    enum err (*take)(void *ctx, const struct config_key *key, struct span value, struct why *why);
    size_t offset; /* free for `take`: where in `ctx` the value belongs */
};

/* Calls `take` for each line in turn. ERR_MALFORMED with file and line; a failure of `take` gets them in front. */
enum err config_parse(struct span text, const char *file, const struct config_key *keys, size_t n, void *ctx, struct why *why);

/* Ready-made `take` functions; ctx + offset points at the type named. */
enum err config_take_str(void *ctx, const struct config_key *key, struct span value, struct why *why);   /* char *, malloc'd */
enum err config_take_count(void *ctx, const struct config_key *key, struct span value, struct why *why); /* uint64_t */
/* struct config_list: appends to it; of a repeatable key. */
enum err config_take_item(void *ctx, const struct config_key *key, struct span value, struct why *why);
struct config_list {
    char **items;
    size_t n;
};
void config_list_free(struct config_list *list);

/* Does `text` match `glob` (`*` any run, `?` any one byte; no other special characters)? Linear in glob times text. */
bool glob_match(struct span glob, struct span text);

#endif
