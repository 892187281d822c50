/* `stele status`: what waits in the outbox and why, and what the hook could not do. It reads this machine's files alone; what may
 * be wrong beyond them, `stele doctor` finds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "client/agent.h"
#include "client/counts.h"
#include "client/delivery_report.h"
#include "client/outbox.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"

enum {
    TROUBLE_NEW_S = 86400,  /* trouble of the hook's that is older does not count as being wrong now */
    WAITING_LONG_S = 86400, /* attestations that wait for longer do */
    REASON_BYTES_MAX = 4096,
};

struct folder {
    char *path;
    const char *suffix;
    size_t n;
    uint64_t oldest_s, newest_s; /* POSIX times */
    char *newest;                /* its name */
};

struct status {
    struct client_config config;
    bool json, wrong;
    json_t *report, *troubles, *logs, *hook;
    struct folder letters, tickets, refused;
};

/* A line of text, or a member of the report, that somebody should do something about. */
static void complain(struct status *status, const char *fmt, ...) STELE_PRINTF(2, 3);
static void complain(struct status *status, const char *fmt, ...)
{
    struct why line;
    char text[sizeof line.text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fail(&line, ERR_REFUSED, "%s", text); /* without control characters */
    status->wrong = true;
    if (status->json)
        json_array_append_new(status->troubles, json_string(line.text));
    else
        printf("! %s\n", line.text);
}

static enum err look_at_file(void *ctx, const char *name, struct why *why)
{
    struct folder *folder = ctx;
    struct stat st;
    if (!span_ends(span_str(name), folder->suffix))
        return OK;
    char *path = path_join(folder->path, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK && stat(path, &st) == 0) {
        uint64_t time_s = (uint64_t)st.st_mtime;
        folder->n++;
        if (folder->oldest_s == 0 || time_s < folder->oldest_s)
            folder->oldest_s = time_s;
        if (time_s >= folder->newest_s) {
            folder->newest_s = time_s;
            free(folder->newest);
            folder->newest = span_dup_str(span_str(name));
        }
    }
    free(path);
    return err;
}

/* A folder that is not there is empty: the hook makes it. */
static enum err look_at(struct status *status, struct folder *folder, const char *name, const char *suffix, struct why *why)
{
    struct why trouble;
    folder->suffix = suffix;
    folder->path = *name == '\0' ? span_dup_str(span_str(status->config.outbox)) : path_join(status->config.outbox, name);
    if (folder->path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (access(folder->path, F_OK) != 0 && errno == ENOENT)
        return OK;
    if (dir_each(folder->path, look_at_file, folder, &trouble) != OK)
        complain(status, "%s: ask as who builds (root under nix-daemon)", trouble.text);
    return OK;
}

static void show_outbox(struct status *status)
{
    const struct folder *letters = &status->letters;
    uint64_t now_s = clock_posix_s(), age_s = letters->n > 0 && now_s > letters->oldest_s ? now_s - letters->oldest_s : 0;
    char since[CLOCK_TEXT_BYTES];
    if (!status->json) {
        printf("outbox %s: %zu attestations wait", status->config.outbox, letters->n);
        if (letters->n > 0)
            printf(", the oldest since %s", clock_text(letters->oldest_s, since));
        printf("\n%zu tickets, for outputs that are still to be hashed\n%zu set aside\n", status->tickets.n, status->refused.n);
    }
    json_object_set_new(status->report, "outbox",
                        json_pack("{s:s, s:I, s:I, s:I, s:I}", "path", status->config.outbox, "waiting", (json_int_t)letters->n,
                                  "oldestSeconds", (json_int_t)age_s, "tickets", (json_int_t)status->tickets.n, "setAside",
                                  (json_int_t)status->refused.n));
    if (age_s > WAITING_LONG_S)
        complain(status, "attestations wait since %s: see that `stele deliver` runs, and what it says", since);
}

/* The reason of what was set aside last. */
static void show_refused(struct status *status)
{
    struct buf reason = BUF_EMPTY;
    if (status->refused.n == 0 || status->refused.newest == NULL)
        return;
    char *path = path_join(status->refused.path, status->refused.newest);
    if (path != NULL && file_read(path, REASON_BYTES_MAX, &reason, NULL) == OK)
        complain(status, "%zu set aside in %s; the last: %.*s; with the reason gone, move them back to %s", status->refused.n,
                 status->refused.path, SPAN_FMT(span_buf(&reason)), status->config.outbox);
    buf_free(&reason);
    free(path);
}

/* Can what the hook needs be had? */
static void show_means(struct status *status)
{
    struct secret_key *key = NULL;
    struct why trouble;
    if (status->config.sign_agent != NULL) {
        if (!agent_listens(status->config.sign_agent))
            complain(status, "nothing is attested: nobody listens at %s; is `stele sign-agent` running?",
                     status->config.sign_agent);
    } else if (status->config.key_file == NULL) {
        complain(status, "the configuration has no `key FILE`: nothing is attested");
    } else if (secret_key_load(&key, status->config.key_file, SIG_ED25519, &trouble) != OK) {
        complain(status, "nothing is attested: %s", trouble.text);
    }
    secret_key_free(key);
    if (outbox_room(&status->config, &trouble) != OK)
        complain(status, "%s", trouble.text);
}

static void show_delivery_line(struct status *status, const struct delivery_line *line, uint64_t *delivered_s)
{
    if (line->word == DELIVERED_AT) {
        *delivered_s = line->time_s;
    } else if (line->word == DELIVERY_LOG) {
        json_array_append_new(status->logs, json_pack("{s:s%, s:s%}", "url", line->url.data, line->url.len, "why", line->why.data,
                                                      line->why.len));
        if (line->why.len > 0 && status->letters.n > 0)
            complain(status, "the log %.*s takes nothing: %.*s", SPAN_FMT(line->url), SPAN_FMT(line->why));
        else if (!status->json)
            printf("log %.*s\n", SPAN_FMT(line->url));
    } else if (status->letters.n > 0 && !status->json) {
        printf("they wait: %.*s\n", SPAN_FMT(line->why));
    }
}

static enum err show_deliverer(struct status *status, struct why *why)
{
    struct buf text = BUF_EMPTY;
    bool found, running = dir_locked(status->config.outbox);
    uint64_t delivered_s = 0;
    char time[CLOCK_TEXT_BYTES], *path = path_join(status->config.state, "delivery");
    enum err err =
        path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, DELIVERY_REPORT_BYTES_MAX, &text, &found, why);
    struct span rest = span_buf(&text), text_line;
    struct delivery_line line;
    while (err == OK && span_line(&rest, &text_line))
        if (delivery_line_parse(&line, text_line))
            show_delivery_line(status, &line, &delivered_s);
    if (!status->json)
        printf("`stele deliver` %s; it delivered last: %s\n", running ? "runs" : "does not run",
               delivered_s == 0 ? "never" : clock_text(delivered_s, time));
    json_object_set_new(status->report, "deliverer",
                        json_pack("{s:b, s:I, s:O}", "running", running, "lastDelivery", (json_int_t)delivered_s, "logs",
                                  status->logs));
    buf_free(&text);
    free(path);
    return err;
}

static enum err show_count(void *ctx, const struct count *count, struct why *why)
{
    struct status *status = ctx;
    char time[CLOCK_TEXT_BYTES];
    (void)why;
    json_array_append_new(status->hook, json_pack("{s:s%, s:I, s:I, s:s%}", "reason", count->reason.data, count->reason.len,
                                                  "count", (json_int_t)count->n, "last", (json_int_t)count->last_s, "sentence",
                                                  count->sentence.data, count->sentence.len));
    clock_text(count->last_s, time);
    if (span_is(count->reason, "trouble") && count->last_s + TROUBLE_NEW_S > clock_posix_s())
        complain(status, "stele-hook had trouble %llu times, last at %s: %.*s", (unsigned long long)count->n, time,
                 SPAN_FMT(count->sentence));
    else if (!status->json)
        printf("not attested (%.*s) %llu times, last at %s: %.*s\n", SPAN_FMT(count->reason), (unsigned long long)count->n, time,
               SPAN_FMT(count->sentence));
    return OK;
}

static enum err show(struct status *status, struct why *why)
{
    enum err err = look_at(status, &status->letters, "", ".jsonl", why);
    if (err == OK)
        err = look_at(status, &status->tickets, "tickets", ".ticket", why);
    if (err == OK)
        err = look_at(status, &status->refused, "refused", ".why", why);
    if (err != OK)
        return err;
    show_outbox(status);
    show_refused(status);
    show_means(status);
    err = show_deliverer(status, why);
    if (err == OK)
        err = counts_each(&status->config, show_count, status, why);
    json_object_set(status->report, "hook", status->hook);
    json_object_set(status->report, "wrong", status->troubles);
    if (err == OK && status->json) {
        json_dumpf(status->report, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    return err == OK && status->wrong ? fail(why, ERR_REFUSED, "something is to be done") : err;
}

enum err run_status(int argc, char **argv, struct why *why)
{
    struct status status = { 0 };
    const char *config_file = NULL;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--json", NULL, "as JSON", NULL, &status.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, 0, argc, argv, &args, why);
    free(args.items);
    if (err != OK)
        return err;
    status.report = json_object();
    status.troubles = json_array();
    status.logs = json_array();
    status.hook = json_array();
    if (status.report == NULL || status.troubles == NULL || status.logs == NULL || status.hook == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = client_config_load(&status.config, config_file, why);
    if (err == OK)
        err = show(&status, why);
    struct folder *const folders[] = { &status.letters, &status.tickets, &status.refused };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        free(folders[i]->path);
        free(folders[i]->newest);
    }
    json_decref(status.report);
    json_decref(status.troubles);
    json_decref(status.logs);
    json_decref(status.hook);
    client_config_free(&status.config);
    return err;
}
