#include "client/ticket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/counts.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"

enum {
    TICKET_BYTES_MAX = (SUBJECTS_MAX + 2) * (STORE_PATH_BYTES_MAX + 1),
    ORPHAN_S = 3600, /* a GC root without its ticket: no hook takes so long between the two */
};

/* STATE_DIR/gcroots/stele; or, of a ticket, …/<8 hex of the outbox>-<ticket>.<n>: several outboxes may share a store. */
static enum err root_path(struct buf *out, const struct client_config *config, const struct nix_env *env, const char *ticket,
                          size_t n, struct why *why)
{
    struct hash hash = sha256_of(span_str(config->outbox));
    buf_clear(out);
    buf_fmt(out, "%s/gcroots/stele", env->state_dir);
    if (ticket != NULL) {
        buf_byte(out, '/');
        hex_encode(out, span_of(hash.b, 4));
        buf_fmt(out, "-%s.%zu", ticket, n);
    }
    buf_byte(out, '\0');
    return buf_done(out, why);
}

static enum err put_roots(const struct client_config *config, const struct nix_env *env, const char *ticket,
                          const struct attestation *attestation, struct why *why)
{
    struct buf path = BUF_EMPTY;
    enum err err = root_path(&path, config, env, NULL, 0, why);
    if (err == OK)
        err = dir_make((const char *)path.data, 0755, why);
    for (size_t i = 0; i < attestation->subjects_n && err == OK; i++) {
        err = root_path(&path, config, env, ticket, i, why);
        if (err == OK && symlink(attestation->subjects[i], (const char *)path.data) != 0 && errno != EEXIST)
            err = fail(why, ERR_ENV, "cannot create %s: %s", (const char *)path.data, strerror(errno));
    }
    buf_free(&path);
    return err;
}

static enum err drop_roots(const struct client_config *config, const struct nix_env *env, const char *ticket, struct why *why)
{
    struct buf path = BUF_EMPTY;
    enum err err = OK;
    bool more = true;
    for (size_t i = 0; i < SUBJECTS_MAX && err == OK && more; i++) {
        err = root_path(&path, config, env, ticket, i, why);
        more = err == OK && unlink((const char *)path.data) == 0;
        if (err == OK && !more && errno != ENOENT && errno != ENOTDIR)
            err = fail(why, ERR_ENV, "cannot remove %s: %s", (const char *)path.data, strerror(errno));
    }
    buf_free(&path);
    return err;
}

enum err ticket_put(const struct client_config *config, const struct build *build, const struct attestation *attestation,
                    struct why *why)
{
    enum err rooted = OK;
    struct why why_not;
    struct buf path = BUF_EMPTY, text = BUF_EMPTY;
    struct storepath drv;
    char *dir = path_join(config->outbox, "tickets");
    enum err err = dir == NULL ? fail(why, ERR_ENV, "out of memory") : storepath_parse(&drv, span_str(build->drv_path), why);
    if (err == OK)
        err = dir_make(dir, 0700, why);
    if (err == OK) {
        const struct ticket ticket = { .drv_path = build->drv_path,
                                       .outputs = (const char *const *)attestation->subjects,
                                       .outputs_n = attestation->subjects_n,
                                       .sandbox = build->sandbox };
        ticket_render(&text, &ticket);
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
    if (err == OK) {
        rooted = put_roots(config, build->env, strrchr((const char *)path.data, '/') + 1, attestation, &why_not);
        err = file_replace((const char *)path.data, 0600, span_buf(&text), why);
    }
    if (err == OK && rooted != OK)
        err = fail(why, ERR_ENV, "its ticket waits, but a garbage collection may come before the deliverer: %s", why_not.text);
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
    struct tickets *counts;
    char *dir; /* OUTBOX/tickets */
    uint64_t until_ms;
    bool tried;
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

/* The ticket's strings lie in *storage. */
static enum err read_ticket(const char *path, struct buf *storage, struct ticket *ticket, struct why *why)
{
    enum err err = file_read(path, TICKET_BYTES_MAX, storage, why);
    if (err != OK)
        return err;
    err = ticket_parse(ticket, storage, why);
    return err == OK ? OK : fail_in(why, err, "%s is not a ticket as stele-hook writes it", path);
}

static enum err redeem(struct redeeming *redeeming, const char *path, struct why *why)
{
    struct attestation attestation = { 0 };
    struct buf storage = BUF_EMPTY;
    struct ticket ticket;
    enum err err = open_for(redeeming, why);
    if (err == OK)
        err = read_ticket(path, &storage, &ticket, why);
    const char *store_dir = redeeming->env.store_dir;
    if (err == OK && (!span_starts(span_str(ticket.drv_path), store_dir) || ticket.drv_path[strlen(store_dir)] != '/'))
        err = fail(why, ERR_ENV, "%s is not of the store %s (see NIX_STORE_DIR)", ticket.drv_path, store_dir);
    if (err == OK) {
        struct build build = {
            .db = redeeming->db,
            .env = &redeeming->env,
            .key = redeeming->key,
            .claim = CLAIM_BUILD,
            .drv_path = ticket.drv_path,
            .outputs = ticket.outputs,
            .outputs_n = ticket.outputs_n,
            .sandbox = ticket.sandbox,
            .hash_bytes_max = UINT64_MAX,
        };
        err = build_attest(&build, &attestation, why);
        if (err == ERR_REFUSED)
            counts_add(redeeming->config, build_refusal_name(attestation.refusal), why->text, NULL);
    }
    if (err == OK)
        err = outbox_put(redeeming->config, ticket.drv_path, &attestation, why);
    attestation_free(&attestation);
    buf_free(&storage);
    return err;
}

/* The ticket is redeemed: only now may its outputs be collected. */
static enum err take_off(struct redeeming *redeeming, const char *path, const char *name, struct why *why)
{
    enum err err = file_remove(path, why);
    return err == OK ? drop_roots(redeeming->config, &redeeming->env, name, why) : err;
}

static enum err set_aside(struct redeeming *redeeming, const char *name, const char *reason, struct why *why)
{
    struct buf inside = BUF_EMPTY;
    redeeming->counts->refused++;
    fprintf(stderr, "not attested, and set aside in %s/refused: %s: %s\n", redeeming->config->outbox, name, reason);
    buf_fmt(&inside, "tickets/%s", name);
    buf_byte(&inside, '\0');
    enum err err = buf_done(&inside, why);
    if (err == OK)
        err = outbox_set_aside(redeeming->config, (const char *)inside.data, reason, why);
    if (err == OK && redeeming->env.state_dir != NULL)
        err = drop_roots(redeeming->config, &redeeming->env, name, why);
    buf_free(&inside);
    return err;
}

static enum err take_ticket(void *ctx, const char *name, struct why *why)
{
    struct redeeming *redeeming = ctx;
    struct why reason;
    if (!span_ends(span_str(name), ".ticket"))
        return OK;
    if (redeeming->tried && clock_monotonic_ms() >= redeeming->until_ms) {
        redeeming->counts->untried++;
        return OK;
    }
    char *path = path_join(redeeming->dir, name);
    if (path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = redeem(redeeming, path, &reason);
    if (err == ERR_ENV) {
        redeeming->counts->left++;
        redeeming->counts->why_left = reason;
        err = OK;
    } else {
        redeeming->tried = true;
        err = err == OK ? take_off(redeeming, path, name, why) : set_aside(redeeming, name, reason.text, why);
    }
    free(path);
    return err;
}

/* A GC root whose ticket is gone: the deliverer ended between the two. */
static enum err sweep_root(void *ctx, const char *name, struct why *why)
{
    struct redeeming *redeeming = ctx;
    struct hash hash = sha256_of(span_str(redeeming->config->outbox));
    struct buf ours = BUF_EMPTY, path = BUF_EMPTY, ticket = BUF_EMPTY;
    const char *dot = strrchr(name, '.');
    struct stat st;
    hex_encode(&ours, span_of(hash.b, 4));
    buf_str(&ours, "-");
    buf_byte(&ours, '\0');
    enum err err = root_path(&path, redeeming->config, &redeeming->env, NULL, 0, why);
    if (err == OK && !ours.failed && dot != NULL && strncmp(name, (const char *)ours.data, ours.len - 1) == 0) {
        path.len--;
        buf_fmt(&path, "/%s", name);
        buf_byte(&path, '\0');
        buf_fmt(&ticket, "%s/%.*s", redeeming->dir, (int)(dot - name) - (int)(ours.len - 1), name + ours.len - 1);
        buf_byte(&ticket, '\0');
        if (!path.failed && !ticket.failed && access((const char *)ticket.data, F_OK) != 0 &&
            lstat((const char *)path.data, &st) == 0 && S_ISLNK(st.st_mode) &&
            (uint64_t)st.st_mtim.tv_sec + ORPHAN_S < clock_posix_s())
            unlink((const char *)path.data);
    }
    buf_free(&ours);
    buf_free(&path);
    buf_free(&ticket);
    return err;
}

static enum err sweep_roots(struct redeeming *redeeming, struct why *why)
{
    struct buf path = BUF_EMPTY;
    enum err err = redeeming->env.state_dir == NULL ? nix_env_load(&redeeming->env, NULL, why) : OK;
    if (err == OK)
        err = root_path(&path, redeeming->config, &redeeming->env, NULL, 0, why);
    if (err == OK && access((const char *)path.data, R_OK | X_OK) == 0)
        err = dir_each((const char *)path.data, sweep_root, redeeming, why);
    buf_free(&path);
    return err;
}

enum err tickets_redeem(const struct client_config *config, uint64_t until_ms, struct tickets *counts, struct why *why)
{
    *counts = (struct tickets){ 0 };
    struct redeeming redeeming = { .config = config, .counts = counts, .until_ms = until_ms };
    redeeming.dir = path_join(config->outbox, "tickets");
    enum err err = redeeming.dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(redeeming.dir, 0700, why);
    if (err == OK)
        err = dir_each(redeeming.dir, take_ticket, &redeeming, why);
    if (err == OK)
        err = sweep_roots(&redeeming, why);
    nixdb_close(redeeming.db);
    nix_env_free(&redeeming.env);
    secret_key_free(redeeming.key);
    free(redeeming.dir);
    return err;
}
