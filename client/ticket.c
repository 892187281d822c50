#include "client/ticket.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/file.h"

enum { TICKET_BYTES_MAX = (SUBJECTS_MAX + 1) * (STORE_PATH_BYTES_MAX + 1) };

enum err ticket_put(const struct client_config *config, const char *drv_path, const struct attestation *attestation,
                    struct why *why)
{
    struct buf path = BUF_EMPTY, text = BUF_EMPTY;
    struct storepath drv;
    char *dir = path_join(config->outbox, "tickets");
    enum err err = dir == NULL ? fail(why, ERR_ENV, "out of memory") : storepath_parse(&drv, span_str(drv_path), why);
    if (err == OK)
        err = dir_make(dir, 0700, why);
    if (err == OK) {
        buf_fmt(&text, "%s\n", drv_path);
        for (size_t i = 0; i < attestation->subjects_n; i++)
            buf_fmt(&text, "%s\n", attestation->subjects[i]);
        err = buf_done(&text, why);
    }
    if (err == OK) {
        struct hash hash = sha256_of(span_buf(&text));
        buf_fmt(&path, "%s/%.*s-", dir, SPAN_FMT(drv.hash_part));
        hex_encode(&path, span_of(hash.b, 8));
        buf_str(&path, ".ticket");
        buf_byte(&path, '\0');
        err = buf_done(&path, why);
    }
    if (err == OK)
        err = file_replace((const char *)path.data, 0600, span_buf(&text), why);
    buf_free(&path);
    buf_free(&text);
    free(dir);
    return err;
}

/* What a ticket needs to be redeemed; opened for the first one. */
struct redeeming {
    const struct client_config *config;
    struct secret_key *key;
    struct nix_env env;
    struct nixdb *db;
    size_t *refused, *left;
    struct why *why_left;
};

static enum err open_for(struct redeeming *redeeming, struct why *why)
{
    enum err err = OK;
    if (redeeming->db != NULL)
        return OK;
    if (redeeming->config->key_file == NULL)
        err = fail(why, ERR_ENV, "no `key FILE` in the configuration");
    if (err == OK && redeeming->key == NULL)
        err = secret_key_load(&redeeming->key, redeeming->config->key_file, SIG_ED25519, why);
    if (err == OK && redeeming->env.store_dir == NULL)
        err = nix_env_load(&redeeming->env, NULL, why);
    return err == OK ? nixdb_open(&redeeming->db, &redeeming->env, why) : err;
}

/* The ticket's lines as strings in *storage: the derivation, then the outputs. */
static enum err read_ticket(const char *path, struct buf *storage, const char ***lines, size_t *n, struct why *why)
{
    enum err err = file_read(path, TICKET_BYTES_MAX, storage, why);
    if (err == OK &&
        (storage->len == 0 || storage->data[storage->len - 1] != '\n' || memchr(storage->data, '\0', storage->len) != NULL))
        err = fail(why, ERR_MALFORMED, "%s is not a ticket as stele-hook writes it", path);
    *n = 0;
    *lines = err == OK ? calloc(SUBJECTS_MAX + 2, sizeof **lines) : NULL;
    if (err == OK && *lines == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    for (size_t from = 0, i = 0; i < storage->len && err == OK; i++) {
        if (storage->data[i] != '\n')
            continue;
        storage->data[i] = '\0';
        if (*n == SUBJECTS_MAX + 1)
            err = fail(why, ERR_MALFORMED, "%s names more than %d outputs", path, SUBJECTS_MAX);
        else
            (*lines)[(*n)++] = (const char *)storage->data + from;
        from = i + 1;
    }
    if (err == OK && *n < 2)
        err = fail(why, ERR_MALFORMED, "%s names no output", path);
    return err;
}

static enum err redeem(struct redeeming *redeeming, const char *path, struct why *why)
{
    struct attestation attestation = { 0 };
    struct buf storage = BUF_EMPTY;
    const char **lines = NULL;
    size_t n = 0;
    enum err err = open_for(redeeming, why);
    if (err == OK)
        err = read_ticket(path, &storage, &lines, &n, why);
    const char *store_dir = redeeming->env.store_dir;
    if (err == OK && (!span_starts(span_str(lines[0]), store_dir) || lines[0][strlen(store_dir)] != '/'))
        err = fail(why, ERR_ENV, "%s is not of the store %s (see NIX_STORE_DIR)", lines[0], store_dir);
    if (err == OK) {
        struct build build = {
            .db = redeeming->db,
            .env = &redeeming->env,
            .key = redeeming->key,
            .claim = CLAIM_BUILD,
            .drv_path = lines[0],
            .outputs = lines + 1,
            .outputs_n = n - 1,
            .hash_bytes_max = UINT64_MAX,
        };
        err = build_attest(&build, &attestation, why);
    }
    if (err == OK)
        err = outbox_put(redeeming->config, lines[0], &attestation, why);
    if (err == OK)
        err = file_remove(path, why);
    attestation_free(&attestation);
    free(lines);
    buf_free(&storage);
    return err;
}

static enum err take_ticket(void *ctx, const char *name, struct why *why)
{
    struct redeeming *redeeming = ctx;
    struct why reason;
    struct buf inside = BUF_EMPTY;
    if (!span_ends(span_str(name), ".ticket"))
        return OK;
    buf_fmt(&inside, "tickets/%s", name);
    buf_byte(&inside, '\0');
    enum err err = buf_done(&inside, why);
    char *path = err == OK ? path_join(redeeming->config->outbox, (const char *)inside.data) : NULL;
    if (path == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK) {
        enum err redeemed = redeem(redeeming, path, &reason);
        if (redeemed == ERR_ENV) {
            ++*redeeming->left;
            *redeeming->why_left = reason;
        } else if (redeemed != OK) {
            ++*redeeming->refused;
            fprintf(stderr, "not attested, and set aside in %s/refused: %s: %s\n", redeeming->config->outbox, name, reason.text);
            err = outbox_set_aside(redeeming->config, (const char *)inside.data, reason.text, why);
        }
    }
    free(path);
    buf_free(&inside);
    return err;
}

enum err tickets_redeem(const struct client_config *config, size_t *refused, size_t *left, struct why *why_left, struct why *why)
{
    struct redeeming redeeming = { .config = config, .refused = refused, .left = left, .why_left = why_left };
    char *dir = path_join(config->outbox, "tickets");
    *left = 0;
    enum err err = dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(dir, 0700, why);
    if (err == OK)
        err = dir_each(dir, take_ticket, &redeeming, why);
    nixdb_close(redeeming.db);
    nix_env_free(&redeeming.env);
    secret_key_free(redeeming.key);
    free(dir);
    return err;
}
