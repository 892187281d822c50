#include "lib/sys/nixpath.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/storepath.h"
#include "lib/sys/nixenv.h"

enum { LINKS_MAX = 40, PATH_BYTES = 4096 };

/* `text`, from the folder `dir` where it is relative; with a NUL. */
static enum err absolute(struct buf *out, struct span dir, struct span text, struct why *why)
{
    struct buf whole = BUF_EMPTY;
    if (!span_starts(text, "/")) {
        buf_span(&whole, dir);
        buf_byte(&whole, '/');
    }
    buf_span(&whole, text);
    buf_clear(out); /* `dir` may be of it */
    storepath_clean(out, span_buf(&whole));
    buf_byte(out, '\0');
    out->failed |= whole.failed;
    buf_free(&whole);
    return buf_done(out, why);
}

static struct span folder_of(struct span path)
{
    while (path.len > 0 && path.data[path.len - 1] != '/')
        path.len--;
    return path;
}

/* A whole path may be of any store. What is found from here is of this one: nothing else in the current folder, or where a link
 * leads, is a store path for its name. */
enum err nix_path_named(const char *text, char **out, struct why *why)
{
    char cwd[PATH_BYTES] = "", target[PATH_BYTES];
    struct nix_env env;
    struct buf path = BUF_EMPTY;
    struct storepath holding;
    bool found = false, whole = *text == '/', more = whole || (*text != '\0' && getcwd(cwd, sizeof cwd) != NULL);
    enum err err = nix_env_load(&env, NULL, why);
    if (err == OK && more)
        err = absolute(&path, span_str(cwd), span_str(text), why);
    for (unsigned links = 0; err == OK && more && links <= LINKS_MAX; links++) {
        struct span now = span_str((const char *)path.data);
        found = storepath_holding(&holding, now) && ((whole && links == 0) || span_is(holding.dir, env.store_dir));
        ssize_t n = found ? 0 : readlink((const char *)path.data, target, sizeof target);
        more = n > 0 && (size_t)n < sizeof target;
        if (more)
            err = absolute(&path, folder_of(now), span_of(target, (size_t)n), why);
    }
    if (err == OK && (*out = span_dup_str(found ? holding.path : span_str(text))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    buf_free(&path);
    nix_env_free(&env);
    return err;
}

/* One block of memory holds the list and the texts behind it. */
enum err nix_paths_named(struct cli_args *args, size_t first, struct why *why)
{
    struct buf texts = BUF_EMPTY;
    size_t list_bytes = args->n * sizeof *args->items;
    enum err err = OK;
    for (size_t i = 0; i < args->n && err == OK; i++) {
        const char *text = args->items[i];
        char *named = NULL;
        if (i >= first && (err = nix_path_named(text, &named, why)) == OK)
            text = named;
        buf_add(&texts, text, strlen(text) + 1);
        free(named);
    }
    char *block = err == OK && !texts.failed ? malloc(list_bytes + texts.len + 1) : NULL;
    if (err == OK && block == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK) {
        const char **items = (const char **)(void *)block;
        char *text = block + list_bytes;
        if (texts.len > 0)
            memcpy(text, texts.data, texts.len);
        for (size_t i = 0; i < args->n; i++, text += strlen(text) + 1)
            items[i] = text;
        free(args->items);
        args->items = items;
    }
    buf_free(&texts);
    return err;
}
