/* The environment: opened, grown, copied, and its transactions. lib/sys/kv_pairs.c reads and writes in them. */
#include "lib/sys/kv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "lib/sys/kv_internal.h"

enum {
    MAP_BYTES_MIN = 1 << 16,
    READER_CHECK_WRITES = 64, /* after so many, the slots of readers that died are freed: they keep every page since alive */
};
static const uint64_t MAP_STEP_BYTES_MAX = UINT64_C(4) << 30;

void kv_kill(struct kv *kv, const struct why *why)
{
    pthread_mutex_lock(&kv->dead_lock);
    if (!kv->dead) {
        kv->dead = true;
        kv->why_dead = *why;
    }
    pthread_mutex_unlock(&kv->dead_lock);
}

bool kv_dead(struct kv *kv, struct why *why)
{
    pthread_mutex_lock(&kv->dead_lock);
    bool dead = kv->dead;
    if (dead && why != NULL)
        *why = kv->why_dead;
    pthread_mutex_unlock(&kv->dead_lock);
    return dead;
}

enum err kv_fail(struct kv *kv, const char *what, int code, struct why *why)
{
    struct why own;
    fail(&own, ERR_ENV, "%s: %s: %s", kv->path, what, mdb_strerror(code));
    if (code != MDB_READERS_FULL && code != MDB_TXN_FULL)
        kv_kill(kv, &own);
    return fail(why, ERR_ENV, "%s", own.text);
}

/* LMDB calls it an I/O error, too, where a full disk cut a write short: what is free there tells. */
static enum err commit_failed(struct kv *kv, int code, struct why *why)
{
    uint64_t free_bytes;
    char what[64] = "commit";
    if (disk_free(kv->path, &free_bytes, why) == OK)
        snprintf(what, sizeof what, "commit, with %llu bytes free on the disk", (unsigned long long)free_bytes);
    return kv_fail(kv, what, code, why);
}

static enum err open_tables(struct kv *kv, const struct kv_config *config, struct why *why)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(kv->env, NULL, config->read_only ? MDB_RDONLY : 0, &txn);
    if (code != 0)
        return kv_fail(kv, "begin", code, why);
    for (size_t i = 0; i < config->tables_n; i++) {
        code = mdb_dbi_open(txn, config->tables[i], config->read_only ? 0 : MDB_CREATE, &kv->tables[i]);
        if (code != 0) {
            mdb_txn_abort(txn);
            return kv_fail(kv, config->tables[i], code, why);
        }
    }
    kv->tables_n = config->tables_n;
    if ((code = mdb_dbi_open(txn, NULL, 0, &kv->main)) != 0) {
        mdb_txn_abort(txn);
        return kv_fail(kv, "tables", code, why);
    }
    code = mdb_txn_commit(txn);
    return code == 0 ? OK : commit_failed(kv, code, why);
}

static uint64_t round_to_pages(uint64_t bytes)
{
    return (bytes < MAP_BYTES_MIN ? MAP_BYTES_MIN : bytes + 4095) & ~UINT64_C(4095);
}

/* Opens `path`, with the tables. */
static enum err open_env(struct kv *kv, const struct kv_config *config, const char *path, unsigned flags, struct why *why)
{
    int code = mdb_env_create(&kv->env);
    if (code != 0)
        return kv_fail(kv, "create", code, why);
    if ((code = mdb_env_set_mapsize(kv->env, round_to_pages(config->map_bytes))) != 0 ||
        (code = mdb_env_set_maxdbs(kv->env, (MDB_dbi)config->tables_n)) != 0 ||
        (code = mdb_env_set_maxreaders(kv->env, config->readers_max)) != 0)
        return kv_fail(kv, "settings", code, why);
    /* No flag that trades durability; no read-ahead, because look-ups are random. */
    code = mdb_env_open(kv->env, path, MDB_NORDAHEAD | flags, 0600);
    if (code != 0)
        return kv_fail(kv, "open", code, why);
    int dead_readers;
    code = mdb_reader_check(kv->env, &dead_readers);
    if (code != 0)
        return kv_fail(kv, "reader check", code, why);
    return open_tables(kv, config, why);
}

/* What an earlier process wrote last, and did not live to see on the disk, must be there before anybody relies on it. */
static enum err settle(struct kv *kv, struct why *why)
{
    int code = mdb_env_sync(kv->env, 1);
    return code == 0 ? dir_sync(kv->path, why) : kv_fail(kv, "sync", code, why);
}

/* Removes what make_env made, or a power cut left of it. */
static enum err clear_fresh(const char *dir, const char *data, struct why *why)
{
    if ((unlink(data) != 0 && errno != ENOENT) || (rmdir(dir) != 0 && errno != ENOENT))
        return fail(why, ERR_ENV, "cannot remove %s: %s", dir, strerror(errno));
    return OK;
}

/* An environment that a power cut leaves half-made does not open again: it is made in a folder beside, and put in place whole. */
static enum err make_env(struct kv *kv, const struct kv_config *config, const char *data, struct why *why)
{
    char *dir = path_join(config->path, "new"), *fresh = dir == NULL ? NULL : path_join(dir, "data.mdb");
    enum err err = fresh == NULL ? fail(why, ERR_ENV, "out of memory") : clear_fresh(dir, fresh, why);
    if (err == OK && mkdir(dir, 0700) != 0)
        err = fail(why, ERR_ENV, "cannot create %s: %s", dir, strerror(errno));
    if (err == OK)
        err = open_env(kv, config, dir, MDB_NOLOCK, why);
    if (kv->env != NULL)
        mdb_env_close(kv->env);
    kv->env = NULL;
    if (err == OK && rename(fresh, data) != 0)
        err = fail(why, ERR_ENV, "cannot rename %s: %s", fresh, strerror(errno));
    if (err == OK)
        err = clear_fresh(dir, fresh, why);
    free(fresh);
    free(dir);
    return err;
}

static enum err open_whole(struct kv *kv, const struct kv_config *config, struct why *why)
{
    struct stat st;
    char *data = path_join(config->path, "data.mdb");
    kv->path = span_dup_str(span_str(config->path));
    kv->read_only = config->read_only;
    enum err err = data == NULL || kv->path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK && !config->read_only && stat(data, &st) != 0)
        err = make_env(kv, config, data, why);
    if (err == OK)
        err = open_env(kv, config, config->path, config->read_only ? MDB_RDONLY : 0, why);
    if (err == OK && !config->read_only)
        err = settle(kv, why);
    if (err == OK && config->read_only)
        kv_direct_open(kv);
    free(data);
    return err;
}

static void init_locks(struct kv *kv)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&kv->map_lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&kv->write_lock, NULL);
    pthread_mutex_init(&kv->dead_lock, NULL);
}

enum err kv_open(struct kv **out, const struct kv_config *config, struct why *why)
{
    assert(config->tables_n <= KV_TABLES_MAX);
    *out = NULL;
    struct kv *kv = calloc(1, sizeof *kv);
    if (kv == NULL)
        return fail(why, ERR_ENV, "out of memory");
    kv->direct = -1;
    kv_explain_crashes();
    init_locks(kv);
    enum err err = open_whole(kv, config, why);
    if (err != OK) {
        kv_close(kv);
        return err;
    }
    *out = kv;
    return OK;
}

void kv_close(struct kv *kv)
{
    if (kv == NULL)
        return;
    if (kv->env != NULL)
        mdb_env_close(kv->env);
    if (kv->direct >= 0)
        close(kv->direct);
    pthread_rwlock_destroy(&kv->map_lock);
    pthread_mutex_destroy(&kv->write_lock);
    pthread_mutex_destroy(&kv->dead_lock);
    free(kv->path);
    free(kv);
}

uint64_t kv_used_bytes(struct kv *kv)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(kv->env, &info) != 0 || mdb_env_stat(kv->env, &stat) != 0)
        return 0;
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

/* Takes over the size to which the writing process let the map grow. */
static int follow_growth(struct kv *kv)
{
    pthread_rwlock_wrlock(&kv->map_lock);
    int code = mdb_env_set_mapsize(kv->env, 0);
    pthread_rwlock_unlock(&kv->map_lock);
    return code;
}

/* Where the writing process has just let the map grow, LMDB has made the file before it says so. */
static bool copy_again(struct kv *kv, const char *path, int *code)
{
    struct buf file = BUF_EMPTY;
    if (*code != MDB_MAP_RESIZED || !kv->read_only || (*code = follow_growth(kv)) != 0)
        return false;
    buf_fmt(&file, "%s/data.mdb", path);
    buf_byte(&file, '\0');
    *code = file.failed ? ENOMEM : 0;
    if (!file.failed)
        unlink((const char *)file.data);
    buf_free(&file);
    return *code == 0;
}

enum err kv_copy(struct kv *kv, const char *path, struct why *why)
{
    int code;
    do {
        pthread_rwlock_rdlock(&kv->map_lock);
        code = mdb_env_copy2(kv->env, path, MDB_CP_COMPACT);
        pthread_rwlock_unlock(&kv->map_lock);
    } while (copy_again(kv, path, &code));
    if (code != 0)
        return fail(why, ERR_ENV, "%s: copy to %s: %s", kv->path, path, mdb_strerror(code));
    /* LMDB has not synced it. */
    char *data = path_join(path, "data.mdb");
    enum err err = data == NULL ? fail(why, ERR_ENV, "out of memory") : file_sync(data, why);
    free(data);
    return err == OK ? dir_sync(path, why) : err;
}

enum err kv_read(struct kv *kv, struct kv_txn *txn, struct why *why)
{
    *txn = (struct kv_txn){ .kv = kv };
    int code;
    for (;;) {
        pthread_rwlock_rdlock(&kv->map_lock);
        code = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn->txn);
        if (code == 0)
            return OK;
        if (code != MDB_MAP_RESIZED || !kv->read_only)
            break;
        pthread_rwlock_unlock(&kv->map_lock);
        if ((code = follow_growth(kv)) != 0)
            return kv_fail(kv, "follow the map's growth", code, why);
    }
    pthread_rwlock_unlock(&kv->map_lock);
    txn->txn = NULL;
    return kv_fail(kv, "begin to read", code, why);
}

void kv_read_end(struct kv_txn *txn)
{
    if (txn->txn == NULL)
        return;
    mdb_txn_abort(txn->txn);
    txn->txn = NULL;
    pthread_rwlock_unlock(&txn->kv->map_lock);
}

/* Doubles the map, by at most MAP_STEP_BYTES_MAX, with no transaction open in this process. */
static enum err grow(struct kv *kv, struct why *why)
{
    MDB_envinfo info;
    int code = mdb_env_info(kv->env, &info);
    if (code != 0)
        return kv_fail(kv, "info", code, why);
    uint64_t now = info.me_mapsize;
    uint64_t more = now < MAP_STEP_BYTES_MAX ? now : MAP_STEP_BYTES_MAX;
    pthread_rwlock_wrlock(&kv->map_lock);
    code = mdb_env_set_mapsize(kv->env, round_to_pages(now + more));
    pthread_rwlock_unlock(&kv->map_lock);
    return code == 0 ? OK : kv_fail(kv, "grow the map", code, why);
}

/* One run of `body`; *full asks for a larger map and another. */
static enum err write_once(struct kv *kv, enum err (*body)(void *, struct kv_txn *, struct why *), void *ctx, bool *full,
                           struct why *why)
{
    *full = false;
    if (kv->read_only)
        return fail(why, ERR_ENV, "%s was opened to be read", kv->path);
    if (kv_dead(kv, why))
        return fail_in(why, ERR_ENV, "no write after a storage error");
    struct kv_txn txn = { .kv = kv };
    int code = 0, dead_readers;
    if (++kv->writes % READER_CHECK_WRITES == 0)
        code = mdb_reader_check(kv->env, &dead_readers);
    if (code == 0)
        code = mdb_txn_begin(kv->env, NULL, 0, &txn.txn);
    if (code != 0)
        return kv_fail(kv, "begin to write", code, why);
    enum err err = body(ctx, &txn, why);
    if (err != OK || txn.full) {
        mdb_txn_abort(txn.txn);
        *full = txn.full;
        return err;
    }
    code = mdb_txn_commit(txn.txn);
    if (code == MDB_MAP_FULL) { /* found while saving the free list, before anything was written */
        *full = true;
        return OK;
    }
    return code == 0 ? OK : commit_failed(kv, code, why);
}

enum err kv_write(struct kv *kv, enum err (*body)(void *ctx, struct kv_txn *txn, struct why *why), void *ctx, struct why *why)
{
    pthread_mutex_lock(&kv->write_lock);
    bool full;
    enum err err;
    while ((err = write_once(kv, body, ctx, &full, why)), full)
        if ((err = grow(kv, why)) != OK)
            break;
    pthread_mutex_unlock(&kv->write_lock);
    return err;
}
