#include "lib/sys/nixenv.h"

#include <stdlib.h>

#include "lib/storepath.h"
#include "lib/sys/file.h"

/* As Nix reads it, so that it is what store paths start with. */
static enum err canonical(char **out, const char *name, const char *value, struct why *why)
{
    struct buf path = BUF_EMPTY;
    if (*value != '/')
        return fail(why, ERR_ENV, "%s is \"%s\": give an absolute path", name, value);
    storepath_clean(&path, span_str(value));
    enum err err = buf_done(&path, why);
    if (err == OK && (*out = span_dup_str(span_buf(&path))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    buf_free(&path);
    return err;
}

/* An empty variable counts as none, as it does for newer versions of Nix (2.8 aborts). */
static const char *set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

enum err nix_env_load(struct nix_env *out, const char *root, struct why *why)
{
    *out = (struct nix_env){ 0 };
    const char *store_name = set("NIX_STORE_DIR") == NULL && set("NIX_STORE") != NULL ? "NIX_STORE" : "NIX_STORE_DIR";
    const char *store = set(store_name), *state = set("NIX_STATE_DIR");
    enum err err = canonical(&out->store_dir, store_name, store != NULL ? store : "/nix/store", why);
    if (err == OK && root != NULL) {
        out->real_store_dir = path_join(root, "nix/store");
        out->state_dir = path_join(root, "nix/var/nix");
    } else if (err == OK) {
        out->real_store_dir = span_dup_str(span_str(out->store_dir));
        err = canonical(&out->state_dir, "NIX_STATE_DIR", state != NULL ? state : "/nix/var/nix", why);
    }
    if (err == OK && (out->real_store_dir == NULL || out->state_dir == NULL))
        err = fail(why, ERR_ENV, "out of memory");
    if (err != OK)
        nix_env_free(out);
    return err;
}

void nix_env_free(struct nix_env *env)
{
    free(env->store_dir);
    free(env->real_store_dir);
    free(env->state_dir);
    *env = (struct nix_env){ 0 };
}

char *nix_env_real_path(const struct nix_env *env, struct span base)
{
    char *name = span_dup_str(base), *path = name == NULL ? NULL : path_join(env->real_store_dir, name);
    free(name);
    return path;
}
