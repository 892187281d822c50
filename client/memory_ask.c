/* The log's own word: what it shows now must hold all that is remembered of it. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/memory_internal.h"
#include "client/proofs.h"
#include "client/shown_log.h"
#include "lib/sys/clock.h"
#include "lib/sys/report.h"

enum {
    ASK_EVERY_MS = 60 * 1000,
    ASK_AGAIN_MS = 5 * 1000, /* where the log gave no answer; or as long as it was waited for */
};

/* What each log said last, for all threads: a closure of a thousand paths asks it once. */
static struct asked {
    struct hash origin;
    uint64_t until_ms; /* monotonic */
    bool busy;         /* a thread is asking: the others wait for what it learns */
    enum err err;
    struct why why;
} asked[POLICY_LOGS_MAX];
static size_t asked_n;
static pthread_mutex_t asked_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked_done = PTHREAD_COND_INITIALIZER;

struct asking {
    const struct client_config *config;
    const struct policy *policy;
    size_t log;
    struct shown_log shown;
    struct policy_view *view; /* of what it shows */
    struct memory_head now;
};

static enum err rolled_back(const struct asking *asking, uint64_t shown_before, struct why *why)
{
    fail(why, ERR_REFUSED,
         "the log %.*s was ROLLED BACK: it showed %llu entries before, and shows %llu now; it is not looked up until it shows them "
         "again, and proofs from elsewhere still count",
         SPAN_FMT(asking->now.checkpoint.origin), (unsigned long long)shown_before,
         (unsigned long long)asking->now.checkpoint.size);
    report_why(REPORT_ERROR, "log-rolled-back", why);
    return ERR_REFUSED;
}

/* Is a remembered head part of the tree that is shown? A larger one than that cannot be told from it yet. */
static enum err hold_against(struct asking *asking, const struct memory_head *head, bool *tied, struct why *why)
{
    const struct checkpoint *now = &asking->now.checkpoint;
    *tied = false;
    if (head->checkpoint.size > now->size)
        return OK;
    struct forkfile *file = calloc(1, sizeof *file);
    if (file == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = shown_log_root(&asking->shown, head->checkpoint.size, &file->root, file->proof, &file->proof_n, why);
    *tied = err == OK && hash_eq(&file->root, &head->checkpoint.root);
    if (err == OK && !*tied) {
        file->origin = now->origin;
        file->notes[0] = head->note;
        file->notes[1] = asking->now.note;
        file->has_root = head->checkpoint.size < now->size;
        err = memory_fork_found(asking->config, file, why);
        *tied = true; /* no fork after all: a head of another key, which goes */
    }
    free(file);
    return err;
}

/* Which heads are proven, by size; of what was read before the log was asked. */
struct tied {
    struct memoryfile file;
    bool head, loose[MEMORY_LOOSE_MAX];
};

static enum err tie(struct asking *asking, struct tied *tied, struct why *why)
{
    enum err err = hold_against(asking, &tied->file.head, &tied->head, why);
    for (size_t i = 0; i < tied->file.loose_n && err == OK; i++)
        err = hold_against(asking, &tied->file.loose[i], &tied->loose[i], why);
    return err;
}

static bool was_tied(const struct tied *tied, const struct memory_head *head)
{
    const struct checkpoint *checkpoint = &head->checkpoint;
    if (tied->head && tied->file.head.checkpoint.size == checkpoint->size)
        return hash_eq(&tied->file.head.checkpoint.root, &checkpoint->root);
    for (size_t i = 0; i < tied->file.loose_n; i++)
        if (tied->loose[i] && tied->file.loose[i].checkpoint.size == checkpoint->size)
            return hash_eq(&tied->file.loose[i].checkpoint.root, &checkpoint->root);
    return false;
}

/* What was proven is taken out, in favour of the head that it was proven to belong to; what others remembered since stays. */
static enum err settle(const struct asking *asking, const struct tied *tied, struct why *why)
{
    const struct client_config *config = asking->config;
    const struct checkpoint *now = &asking->now.checkpoint;
    struct buf text = BUF_EMPTY, again = BUF_EMPTY;
    struct memoryfile file;
    bool found = false;
    int fd = -1;
    enum err err = memory_lock(config, &fd, why);
    if (err == OK)
        err = memory_load(config, now->origin, &text, &file, &found, why);
    if (err != OK)
        goto out;
    if (!found)
        file = (struct memoryfile){ .origin = now->origin, .head = asking->now };
    /* The head that is shown now was not there when the others were read: it was remembered since, as seen for the first time. */
    for (size_t i = 0; i < file.loose_n;)
        if (was_tied(tied, &file.loose[i]) || file.loose[i].checkpoint.size == now->size)
            memoryfile_drop(&file, i);
        else
            i++;
    if (was_tied(tied, &file.head) || file.head.checkpoint.size == now->size)
        file.head = asking->now;
    else
        memoryfile_add(&file, &asking->now);
    if (file.shown < now->size)
        file.shown = now->size;
    memoryfile_render(&again, &file);
    err = buf_done(&again, why);
    if (err == OK && !span_eq(span_buf(&again), span_buf(&text)))
        err = memory_store(config, &file, why);
out:
    if (fd >= 0)
        close(fd);
    buf_free(&text);
    buf_free(&again);
    return err;
}

/* A head under the quorum: seen like any other, and then everything is held against it. */
static enum err take_witnessed(struct asking *asking, struct tied *tied, bool found, struct why *why)
{
    enum err err = memory_see(asking->config, &asking->now.checkpoint, asking->now.note, why);
    if (err == ERR_REFUSED)
        return err;
    shown_log_believe(&asking->shown, &asking->now.checkpoint);
    err = found ? tie(asking, tied, why) : OK;
    /* A disk that is full, or not ours to write, makes nothing untrue. */
    struct why trouble;
    if (err == OK && settle(asking, tied, &trouble) != OK)
        report_why(REPORT_WARN, "head-not-remembered", &trouble);
    return err;
}

static enum err take_shown(struct asking *asking, struct why *why)
{
    struct tied *tied = calloc(1, sizeof *tied);
    struct buf text = BUF_EMPTY;
    bool found = false, quorum_short = false, conflict;
    struct why what;
    enum err err = tied == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = policy_check(asking->policy, asking->now.note, asking->view, &quorum_short, why);
    if (err != OK && !quorum_short)
        goto out;
    if (asking->view->log != asking->log) {
        err = fail(why, ERR_ENV, "%s shows the log %.*s", asking->shown.url, SPAN_FMT(asking->view->checkpoint.origin));
        goto out;
    }
    err = memory_head_parse(&asking->now, asking->now.note, asking->view->checkpoint.origin, why);
    if (err == OK)
        err = memory_load(asking->config, asking->view->checkpoint.origin, &text, &tied->file, &found, why);
    if (err == OK && found && asking->now.checkpoint.size < tied->file.shown)
        err = rolled_back(asking, tied->file.shown, why);
    else if (err == OK && quorum_short)
        err = memory_hear(asking->config, &asking->now.checkpoint, asking->now.note, &conflict, &what, why);
    else if (err == OK)
        err = take_witnessed(asking, tied, found, why);
out:
    buf_free(&text);
    free(tied);
    return err;
}

static enum err ask(const struct client_config *config, const struct policy *policy, size_t log, struct http_client *client,
                    struct why *why)
{
    struct span base;
    if (!proofs_log_url(config, policy, log, &base))
        return fail(why, ERR_ENV, "the policy gives no address of the log %.*s", SPAN_FMT(policy->logs[log].key.name));
    char *url = span_dup_str(base);
    struct asking asking = { .config = config, .policy = policy, .log = log, .shown = { .url = url, .client = client } };
    asking.view = calloc(1, sizeof *asking.view);
    enum err err = url == NULL || asking.view == NULL ? fail(why, ERR_ENV, "out of memory") : shown_log_ask(&asking.shown, why);
    if (err == OK) {
        asking.now.note = span_buf(&asking.shown.checkpoint.body);
        err = take_shown(&asking, why);
    }
    shown_log_free(&asking.shown);
    free(asking.view);
    free(url);
    return err;
}

/* Where the log gave no answer since then: until when is it left alone? */
static uint64_t silent_until_ms(uint64_t from_ms, uint64_t at_least_ms)
{
    uint64_t now_ms = clock_monotonic_ms(), waited_ms = now_ms - from_ms;
    return now_ms + (waited_ms > at_least_ms ? waited_ms : at_least_ms);
}

/* The entry of this log; NULL where there are more logs than any policy has. */
static struct asked *entry_of(const struct hash *origin)
{
    for (size_t i = 0; i < asked_n; i++)
        if (hash_eq(&asked[i].origin, origin))
            return &asked[i];
    if (asked_n == POLICY_LOGS_MAX)
        return NULL;
    asked[asked_n].origin = *origin;
    return &asked[asked_n++];
}

enum err memory_ask(const struct client_config *config, const struct policy *policy, size_t log, struct http_client *client,
                    struct why *why)
{
    struct hash origin = sha256_of(policy->logs[log].key.name);
    struct why learnt = { "" };
    if (policy->logs[log].forked || memory_forked(config, policy->logs[log].key.name))
        return memory_refuse_forked(policy->logs[log].key.name, why);
    pthread_mutex_lock(&asked_lock);
    struct asked *entry = entry_of(&origin);
    while (entry != NULL && entry->busy)
        pthread_cond_wait(&asked_done, &asked_lock);
    bool fresh = entry != NULL && entry->until_ms > clock_monotonic_ms();
    enum err err = fresh ? entry->err : OK;
    if (fresh)
        learnt = entry->why;
    else if (entry != NULL)
        entry->busy = true;
    pthread_mutex_unlock(&asked_lock);
    if (!fresh) {
        uint64_t from_ms = clock_monotonic_ms();
        err = ask(config, policy, log, client, &learnt);
        uint64_t until_ms = err == ERR_ENV ? silent_until_ms(from_ms, ASK_AGAIN_MS) : clock_monotonic_ms() + ASK_EVERY_MS;
        pthread_mutex_lock(&asked_lock);
        if (entry != NULL)
            *entry = (struct asked){ origin, until_ms, false, err, learnt };
        pthread_cond_broadcast(&asked_done);
        pthread_mutex_unlock(&asked_lock);
    }
    return err == OK ? OK : fail(why, err, "%s", learnt.text);
}

void memory_silent(const struct policy *policy, size_t log, uint64_t from_ms, const struct why *why)
{
    struct hash origin = sha256_of(policy->logs[log].key.name);
    pthread_mutex_lock(&asked_lock);
    struct asked *entry = entry_of(&origin);
    if (entry != NULL && !entry->busy)
        *entry = (struct asked){ origin, silent_until_ms(from_ms, 0), false, ERR_ENV, *why };
    pthread_mutex_unlock(&asked_lock);
}
