/* This machine's own keys: a path that carries their word but was not built here tells of a stolen key, or of a hand. */
#include "client/audit.h"

#include <stdlib.h>

#include "client/built.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/nixrun.h"

enum { OWN_MAX = sizeof((struct audit_own *)NULL)->keys / sizeof(struct nix_key) };

/* The builder's public key, beside its secret one. Where there is none, this machine has no key in the log. */
static enum err load_vkey(struct audit *audit, struct why *why)
{
    struct audit_own *own = &audit->own;
    struct buf path = BUF_EMPTY, text = BUF_EMPTY;
    struct why trouble;
    bool found = false;
    if (audit->local.config.key_file == NULL)
        return OK;
    buf_fmt(&path, "%s.pub", audit->local.config.key_file);
    buf_byte(&path, '\0');
    enum err err = buf_done(&path, why);
    if (err == OK && file_read_if((const char *)path.data, POLICY_BYTES_MAX, &text, &found, &trouble) != OK)
        buf_fmt(&audit->troubles, "  own key: %s\n", trouble.text);
    else if (err == OK && found) {
        if (text.len > 0 && text.data[text.len - 1] == '\n')
            text.len--;
        own->vkey_text = span_dup_str(span_buf(&text));
        if (own->vkey_text == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        else if (vkey_parse(&own->vkey, span_str(own->vkey_text), SIG_ED25519, &trouble) != OK)
            buf_fmt(&audit->troubles, "  own key %s: %s\n", (const char *)path.data, trouble.text);
        else
            own->has_vkey = true;
    }
    if (own->has_vkey) {
        /* Nix's keys are of the same curve, and may be the same (`stele keygen --from-nix`). */
        own->keys[own->n].name = own->vkey.name;
        memcpy(own->keys[own->n++].key, own->vkey.key, 32);
    }
    buf_free(&path);
    buf_free(&text);
    return err;
}

/* The keys with which this machine's Nix signs what it builds. */
static void load_nix_keys(struct audit *audit)
{
    struct audit_own *own = &audit->own;
    struct nixconf conf = { 0 };
    struct why trouble;
    struct span files, file;
    if (nixrun_config(&conf, &trouble) != OK || !nixconf_get(&conf, "secret-key-files", &files))
        files = span_str("");
    while (own->n < OWN_MAX && span_word(&files, &file)) {
        struct nix_secret_key *key = NULL;
        char *path = span_dup_str(file);
        if (path == NULL || nix_secret_key_load(&key, path, &trouble) != OK) {
            buf_fmt(&audit->troubles, "  own Nix key: %s; what it signed cannot be told\n",
                    path == NULL ? "out of memory" : trouble.text);
        } else {
            struct nix_key public = nix_secret_key_public(key);
            own->names[own->n] = span_dup_str(public.name);
            if (own->names[own->n] != NULL) {
                public.name = span_str(own->names[own->n]);
                own->keys[own->n++] = public;
            }
        }
        nix_secret_key_free(key);
        free(path);
    }
    nixconf_free(&conf);
}

enum err audit_own_load(struct audit *audit, struct why *why)
{
    enum err err = load_vkey(audit, why);
    if (err == OK)
        load_nix_keys(audit);
    return err;
}

void audit_own_free(struct audit_own *own)
{
    free(own->vkey_text);
    for (size_t i = 0; i < OWN_MAX; i++)
        free(own->names[i]);
}

static enum err take_built(void *ctx, struct span path, const struct hash *nar_hash, struct why *why)
{
    struct audit_item *item = audit_find(ctx, path);
    (void)why;
    if (item == NULL)
        return OK;
    item->built |= hash_eq(nar_hash, &item->info.nar_hash) && !item->other_references;
    for (struct audit_fact *fact = item->facts; fact != NULL; fact = fact->next)
        fact->built |= hash_eq(nar_hash, &fact->evidence.subject->nar_hash);
    return OK;
}

/* What this store built is as well built here when a cache has it, but not with other references: no NAR tells of those. */
static enum err compare_own(const struct audit *audit, struct audit_item *item, struct why *why)
{
    static const struct trust nobody;
    struct nixdb_info own = { 0 };
    struct local_path path = { 0 };
    bool found = false;
    enum err err = nixdb_path(audit->local.db, item->info.path, &own, &found, why);
    if (err == OK && found)
        err = local_path_load(&nobody, &own, &path, why);
    if (err == OK && found && own.ultimate && hash_eq(&own.nar_hash, &item->info.nar_hash)) {
        item->other_references = !hash_eq(&path.path.references_digest, &item->path.path.references_digest);
        item->info.ultimate = !item->other_references;
    }
    local_path_free(&path);
    nixdb_info_free(&own);
    return err;
}

/* The database forgets what was collected, and knows one result of each path alone. */
enum err audit_own_built(struct audit *audit, struct audit_batch *batch, struct why *why)
{
    struct why trouble;
    enum err err = OK;
    for (size_t i = 0; i < batch->n && err == OK; i++) {
        if (audit->cache != NULL)
            err = compare_own(audit, &batch->items[i], why);
        if (batch->items[i].info.ultimate)
            take_built(batch, span_str(batch->items[i].info.path), &batch->items[i].info.nar_hash, why);
    }
    if (err != OK)
        return err;
    if (built_each(&audit->local.config, take_built, batch, &trouble) != OK && audit->troubles.len < (1 << 16))
        buf_fmt(&audit->troubles, "  what was built here: %s\n", trouble.text);
    return buf_done(&audit->troubles, why);
}

void audit_own_check(const struct audit *audit, struct audit_item *item)
{
    const struct audit_own *own = &audit->own;
    bool by[OWN_MAX] = { false };
    if (!item->built && own->n > 0 && item->info.sigs != NULL)
        local_signed_by(&item->info, &item->path, own->keys, own->n, by);
    for (size_t i = 0; i < own->n && !item->own; i++)
        if (by[i]) {
            item->own = true;
            fail(&item->why_own, OK, "it carries the signature of this machine's key %.*s, but was not built here",
                 SPAN_FMT(own->keys[i].name));
        }
    for (const struct audit_fact *fact = item->facts; fact != NULL && own->has_vkey && !item->own; fact = fact->next)
        if (!fact->built && memcmp(fact->evidence.key->key, own->vkey.key, sizeof own->vkey.key) == 0) {
            item->own = true;
            fail(&item->why_own, OK,
                 "it stands in the log %.*s, index %llu, under this machine's key %.*s, but was not built here%s",
                 SPAN_FMT(fact->evidence.origin), (unsigned long long)fact->evidence.index, SPAN_FMT(own->vkey.name),
                 item->built ? " with those bytes" : "");
        }
}
