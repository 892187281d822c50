#include "witness/lists.h"

#include <stdlib.h>

#include "lib/loglist.h"
#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
#include "lib/sys/file.h"
#include "lib/sys/http_client.h"
#include "lib/sys/report.h"
#include "witness/bastions.h"
#include "witness/limits.h"
#include "witness/logs_file.h"

struct lists {
    struct logs *logs;
    const struct config_list *sources;
    struct bastions *bastions;
    struct http_client *client;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool due;
    atomic_bool stopping;
};

static enum err fetch(struct lists *lists, const char *source, struct buf *text, struct why *why)
{
    if (!span_starts(span_str(source), "http://") && !span_starts(span_str(source), "https://")) {
        char *path = path_from(lists->logs->dir, source);
        enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, LOGS_BYTES_MAX, text, why);
        free(path);
        return err;
    }
    struct http_response response = { 0 };
    enum err err = http_get(lists->client, source, NULL, LOGS_BYTES_MAX, &response, why);
    if (err == OK && response.status != 200)
        err = fail(why, ERR_ENV, "%s answered %u", source, response.status);
    if (err == OK) {
        buf_free(text);
        *text = response.body;
        response.body = BUF_EMPTY;
    }
    http_response_free(&response);
    return err;
}

/* The text is a list that holds its form. */
static void take_bastions(struct lists *lists, struct span text, const char *source)
{
    struct loglist_entry entry;
    struct lines walk;
    bool found = true;
    if (lists->bastions == NULL || loglist_start(&walk, text, source, NULL) != OK)
        return;
    while (loglist_next(&walk, &entry, &found, NULL) == OK && found)
        if (entry.usable && entry.bastion.len > 0)
            bastions_add(lists->bastions, entry.bastion);
}

/* What fails is said, and tried again in time; the logs that are known stay as they are. */
static void read_one(struct lists *lists, const char *source)
{
    struct buf text = BUF_EMPTY;
    struct why why;
    size_t added = 0;
    enum err err = fetch(lists, source, &text, &why);
    if (err == OK)
        err = logs_add_list(lists->logs->dir, span_buf(&text), source, &added, &why);
    if (err == OK)
        take_bastions(lists, span_buf(&text), source);
    if (err == OK && added > 0)
        err = logs_load(lists->logs, &why);
    if (err != OK)
        report(REPORT_ERROR, "list-not-read", "list=%s why=%s", report_quote(source), report_quote(why.text));
    else if (added > 0)
        report(REPORT_INFO, "list-read", "list=%s added=%zu", report_quote(source), added);
    buf_free(&text);
}

static void wait_until_due(struct lists *lists)
{
    uint64_t until_ms = clock_monotonic_ms() + (uint64_t)LIST_INTERVAL_S * 1000;
    pthread_mutex_lock(&lists->lock);
    while (!lists->due && !atomic_load(&lists->stopping))
        if (!cond_wait_until(&lists->changed, &lists->lock, until_ms))
            break;
    lists->due = false;
    pthread_mutex_unlock(&lists->lock);
}

static void *run(void *ctx)
{
    struct lists *lists = ctx;
    while (!atomic_load(&lists->stopping)) {
        for (size_t i = 0; i < lists->sources->n && !atomic_load(&lists->stopping); i++)
            read_one(lists, lists->sources->items[i]);
        wait_until_due(lists);
    }
    return NULL;
}

enum err lists_start(struct lists **out, struct logs *logs, const struct config_list *sources, struct bastions *bastions,
                     struct why *why)
{
    const struct http_client_config config = { .total_timeout_ms = LIST_TIMEOUT_MS };
    *out = NULL;
    if (sources->n == 0)
        return OK;
    struct lists *lists = calloc(1, sizeof *lists);
    if (lists == NULL)
        return fail(why, ERR_ENV, "out of memory");
    lists->logs = logs;
    lists->sources = sources;
    lists->bastions = bastions;
    enum err err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&lists->client, &config, why);
    if (err != OK) {
        free(lists);
        return err;
    }
    pthread_mutex_init(&lists->lock, NULL);
    cond_init(&lists->changed);
    if (pthread_create(&lists->thread, NULL, run, lists) != 0) {
        http_client_free(lists->client);
        free(lists);
        return fail(why, ERR_ENV, "no thread for the log lists");
    }
    *out = lists;
    return OK;
}

void lists_wake(struct lists *lists)
{
    if (lists == NULL)
        return;
    pthread_mutex_lock(&lists->lock);
    lists->due = true;
    pthread_cond_signal(&lists->changed);
    pthread_mutex_unlock(&lists->lock);
}

void lists_stop(struct lists *lists)
{
    if (lists == NULL)
        return;
    pthread_mutex_lock(&lists->lock);
    atomic_store(&lists->stopping, true);
    pthread_cond_signal(&lists->changed);
    pthread_mutex_unlock(&lists->lock);
    pthread_join(lists->thread, NULL);
    http_client_free(lists->client);
    pthread_mutex_destroy(&lists->lock);
    pthread_cond_destroy(&lists->changed);
    free(lists);
}
