#include "lib/sys/nixenv.h"

#include <stdlib.h>

#include "lib/sys/file.h"

static char *from_environment(const char *name, const char *other, const char *fallback)
{
    const char *value = getenv(name);
    if ((value == NULL || *value == '\0') && other != NULL)
        value = getenv(other);
    struct span text = span_str(value == NULL || *value == '\0' ? fallback : value);
    while (text.len > 1 && text.data[text.len - 1] == '/')
        text.len--;
    return span_dup_str(text);
}

enum err nix_env_load(struct nix_env *out, const char *root, struct why *why)
{
    out->store_dir = from_environment("NIX_STORE_DIR", "NIX_STORE", "/nix/store");
    out->real_store_dir =
        root != NULL ? path_join(root, "nix/store") : from_environment("NIX_STORE_DIR", "NIX_STORE", "/nix/store");
    out->state_dir = root != NULL ? path_join(root, "nix/var/nix") : from_environment("NIX_STATE_DIR", NULL, "/nix/var/nix");
    if (out->store_dir != NULL && out->real_store_dir != NULL && out->state_dir != NULL)
        return OK;
    nix_env_free(out);
    return fail(why, ERR_ENV, "out of memory");
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
