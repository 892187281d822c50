/* `stele verify`: proof files, offline; or a path of the store, by own proofs and the logs. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "client/memory.h"
#include "client/verbs.h"
#include "client/verify_paths.h"
#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/nixpath.h"

struct verifying {
    const char *config_file, *root;
    struct client_config config;
    struct policy policy;
    struct trust trust;
    bool has_trust, json;
    json_t *report;
    size_t good, bad;
    struct verify_paths paths;
};

/* Who signed, in the words of the trust file where there is one. */
static void describe_signer(const struct verifying *verifying, const struct evidence_item *item, struct buf *out)
{
    int64_t party = verifying->has_trust ? trust_builder(&verifying->trust, &item->key) : -1;
    if (party >= 0)
        buf_fmt(out, "builder %.*s (%.*s)", SPAN_FMT(verifying->trust.parties[party].name), SPAN_FMT(item->key.name));
    else
        buf_fmt(out, "%.*s%s", SPAN_FMT(item->key.name), verifying->has_trust ? " (no builder of the trust file)" : "");
}

/* What one proof showed, to be printed in the order of the files when all that was seen has gone through the memory. */
struct outcome {
    const struct evidence_head *head; /* NULL: not verified */
    struct buf text;                  /* for people: what it shows, or why it is not verified */
    json_t *object;                   /* with --json */
};

/* A file's, filled by one thread. */
struct job {
    const char *file;
    struct outcome *outcomes;
    size_t n;
    enum err err; /* the file could not be read */
    struct why why;
    const struct evidence_heads *heads; /* its thread's: from number heads_from on heads_n that the thread met in this file first */
    size_t heads_from, heads_n;
};

static void render_item(const struct verifying *verifying, const char *file, const struct evidence_item *item, struct buf *out)
{
    struct buf signer = BUF_EMPTY;
    char time[CLOCK_TEXT_BYTES];
    describe_signer(verifying, item, &signer);
    clock_text(item->newest_time_s, time);
    buf_fmt(out, "%s: index %llu in %s (tree of %llu), cosigned by %s%s%s\n", file, (unsigned long long)item->index, item->origin,
            (unsigned long long)item->tree_size, *item->witnesses != '\0' ? item->witnesses : "nobody (the policy wants none)",
            *time != '\0' ? " at " : "", time);
    const char *claim = item->statement.foreign ? "foreign statement" : claim_name(item->statement.claim);
    for (size_t i = 0; i < item->statement.subjects_n; i++) {
        buf_fmt(out, "  %.*s  sha256 ", SPAN_FMT(item->statement.subjects[i].path));
        hex_encode(out, span_of(item->statement.subjects[i].nar_hash.b, 32));
        buf_fmt(out, "  %s by %.*s\n", claim, SPAN_FMT(span_buf(&signer)));
    }
    buf_free(&signer);
}

static json_t *item_object(const struct verifying *verifying, const char *file, const struct evidence_item *item)
{
    json_t *subjects = json_array();
    for (size_t i = 0; i < item->statement.subjects_n; i++) {
        struct buf hex = BUF_EMPTY;
        hex_encode(&hex, span_of(item->statement.subjects[i].nar_hash.b, 32));
        struct span path = item->statement.subjects[i].path;
        json_array_append_new(subjects, json_pack("{s:s%, s:s%}", "path", path.data, path.len, "sha256", hex.data, hex.len));
        buf_free(&hex);
    }
    int64_t party = verifying->has_trust ? trust_builder(&verifying->trust, &item->key) : -1;
    struct span builder = party >= 0 ? verifying->trust.parties[party].name : span_str("");
    return json_pack("{s:s, s:b, s:I, s:s, s:I, s:s, s:I, s:s%, s:o, s:s, s:o}", "file", file, "verified", true, "index",
                     (json_int_t)item->index, "origin", item->origin, "treeSize", (json_int_t)item->tree_size, "witnesses",
                     item->witnesses, "newestCosignature", (json_int_t)item->newest_time_s, "key", item->key.name.data,
                     item->key.name.len, "builder",
                     party >= 0 ? json_stringn((const char *)builder.data, builder.len) : json_null(), "claim",
                     item->statement.foreign ? "foreign" : claim_name(item->statement.claim), "subjects", subjects);
}

static json_t *failure_object(const char *file, const char *reason)
{
    return json_pack("{s:s, s:b, s:s}", "file", file, "verified", false, "why", reason);
}

static enum err take_item(const struct verifying *verifying, struct job *job, const struct evidence_item *item)
{
    struct outcome *outcomes = array_more(job->outcomes, job->n, sizeof *outcomes);
    if (outcomes == NULL)
        return fail(&job->why, ERR_ENV, "out of memory");
    job->outcomes = outcomes;
    struct outcome *outcome = &job->outcomes[job->n++];
    *outcome = (struct outcome){ .head = item->proven ? item->head : NULL };
    if (item->proven && verifying->json)
        outcome->object = item_object(verifying, job->file, item);
    else if (item->proven)
        render_item(verifying, job->file, item, &outcome->text);
    else
        buf_fmt(&outcome->text, "%s", item->why_not.text);
    if (verifying->json && item->proven && outcome->object == NULL)
        return fail(&job->why, ERR_ENV, "out of memory");
    return buf_done(&outcome->text, &job->why);
}

/* Bundle after bundle: a file of many needs the memory of one. */
static enum err verify_file(const struct verifying *verifying, struct evidence_heads *heads, struct job *job)
{
    struct evidence evidence = { .heads = heads, .lean = true };
    struct buf text = BUF_EMPTY;
    enum err err = file_read(job->file, BUNDLES_BYTES_MAX, &text, &job->why);
    struct span rest = span_buf(&text);
    if (err == OK && rest.len == 0)
        err = fail(&job->why, ERR_MALFORMED, "%s is empty", job->file);
    while (err == OK && rest.len > 0) {
        err = evidence_add_one(&evidence, &rest, job->file, &verifying->policy, NULL, &job->why);
        if (err == OK)
            err = take_item(verifying, job, evidence.items[0]);
        evidence_clear(&evidence);
    }
    evidence_free(&evidence);
    buf_free(&text);
    return err;
}

/* The threads take file after file; each has its own heads, so that they share nothing but the count. */
enum { THREADS_MAX = 16 };

struct worker {
    pthread_t thread;
    const struct verifying *verifying;
    struct job *jobs;
    size_t jobs_n;
    atomic_size_t *next;
    struct evidence_heads heads;
};

static void *work(void *ctx)
{
    struct worker *worker = ctx;
    size_t i;
    while ((i = atomic_fetch_add(worker->next, 1)) < worker->jobs_n) {
        struct job *job = &worker->jobs[i];
        job->heads = &worker->heads;
        job->heads_from = worker->heads.n;
        job->err = verify_file(worker->verifying, &worker->heads, job);
        job->heads_n = worker->heads.n - job->heads_from;
    }
    return NULL;
}

static void run_workers(struct worker workers[THREADS_MAX], const struct verifying *verifying, struct job *jobs, size_t jobs_n)
{
    atomic_size_t next = 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (size_t)cores, started = 0;
    for (size_t i = 0; i < THREADS_MAX; i++)
        workers[i] = (struct worker){ .verifying = verifying, .jobs = jobs, .jobs_n = jobs_n, .next = &next };
    while (started + 1 < wanted && started + 1 < jobs_n &&
           pthread_create(&workers[started + 1].thread, NULL, work, &workers[started + 1]) == 0)
        started++;
    work(&workers[0]);
    for (size_t i = 1; i <= started; i++)
        pthread_join(workers[i].thread, NULL);
}

/* In the order of the files, whichever thread had them: what is remembered and which head contradicts another is not left to chance. */
static void show_heads(const struct verifying *verifying, const struct job *jobs, size_t jobs_n)
{
    for (size_t i = 0; i < jobs_n; i++) {
        if (jobs[i].heads_n == 0)
            continue;
        struct evidence_heads heads = { jobs[i].heads->items + jobs[i].heads_from, jobs[i].heads_n };
        memory_show(&verifying->config, &heads, NULL);
    }
}

static enum err append_object(struct verifying *verifying, json_t *object, struct why *why)
{
    return object == NULL || json_array_append_new(verifying->report, object) != 0 ? fail(why, ERR_ENV, "out of memory") : OK;
}

static enum err print_outcome(struct verifying *verifying, const char *file, struct outcome *outcome, struct why *why)
{
    bool proven = outcome->head != NULL && outcome->head->proven;
    *(proven ? &verifying->good : &verifying->bad) += 1;
    if (proven && verifying->json)
        return append_object(verifying, json_incref(outcome->object), why);
    if (proven) {
        printf("%.*s", (int)outcome->text.len, (const char *)outcome->text.data);
        return OK;
    }
    struct why reason;
    if (outcome->head != NULL)
        reason = outcome->head->why_not;
    else
        fail(&reason, OK, "%.*s", SPAN_FMT(span_buf(&outcome->text)));
    fprintf(stderr, "%s: NOT verified: %s\n", file, reason.text);
    return verifying->json ? append_object(verifying, failure_object(file, reason.text), why) : OK;
}

static enum err print_job(struct verifying *verifying, struct job *job, struct why *why)
{
    enum err err = OK;
    for (size_t i = 0; i < job->n && err == OK; i++)
        err = print_outcome(verifying, job->file, &job->outcomes[i], why);
    if (err == OK && job->err != OK)
        err = fail(why, job->err, "%s", job->why.text);
    return err;
}

static void free_job(struct job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        buf_free(&job->outcomes[i].text);
        json_decref(job->outcomes[i].object);
    }
    free(job->outcomes);
}

static enum err print_path_item(struct verifying *verifying, const char *path, const struct evidence_item *item, struct why *why)
{
    if (verifying->json)
        return append_object(verifying, item_object(verifying, path, item), why);
    struct buf text = BUF_EMPTY;
    render_item(verifying, path, item, &text);
    printf("%.*s", (int)text.len, (const char *)text.data);
    enum err err = buf_done(&text, why);
    buf_free(&text);
    return err;
}

/* What the trust file says of a path, after its attestations. */
static enum err report_verdict(struct verifying *verifying, const char *path, const struct trust_result *result, struct why *why)
{
    bool passes = result->verdict != TRUST_REFUSED;
    if (!verifying->json) {
        printf("%s: %s: %s\n", path, trust_verdict_name(result->verdict), result->why.text);
        return OK;
    }
    return append_object(verifying,
                         json_pack("{s:s, s:b, s:s, s:s}", "path", path, "passes", passes, "verdict",
                                   trust_verdict_name(result->verdict), "why", result->why.text),
                         why);
}

static bool is_file(const char *argument)
{
    return span_ends(span_str(argument), ".tlog-proof");
}

/* A path of the store, argument number `from`: as audit judges it, with each attestation shown. Those that come after it are judged
 * with it. */
static enum err verify_path(struct verifying *verifying, const struct cli_args *args, size_t from, struct why *why)
{
    struct verify_paths *paths = &verifying->paths;
    enum err err = OK;
    if (paths->next == paths->n) {
        verify_paths_clear(paths);
        for (size_t i = from; i < args->n && paths->n < VERIFY_PATHS_MAX && err == OK; i++)
            if (!is_file(args->items[i]))
                err = nix_path_named(args->items[i], &paths->paths[paths->n++].path, why);
        if (err == OK)
            err = verify_paths_judge(paths, verifying->config_file, verifying->root, why);
    }
    const struct verify_path *path = &paths->paths[paths->next++];
    if (err == OK && path->err != OK)
        err = fail(why, path->err, "%s", path->why.text);
    for (size_t i = 0; i < path->verdict.evidence.n && err == OK; i++)
        if (path->verdict.evidence.items[i]->proven)
            err = print_path_item(verifying, path->path, path->verdict.evidence.items[i], why);
    if (err == OK) {
        err = report_verdict(verifying, path->path, &path->verdict.result, why);
        *(path->verdict.result.verdict != TRUST_REFUSED ? &verifying->good : &verifying->bad) += 1;
        fprintf(stderr, "%.*s", SPAN_FMT(span_buf(&path->verdict.troubles)));
    }
    return err;
}

/* All files by all threads, then what they saw through the memory, then everything printed in the order that it was asked. */
static enum err verify_arguments(struct verifying *verifying, const struct cli_args *args, struct why *why)
{
    struct worker workers[THREADS_MAX];
    struct job *jobs = calloc(args->n + 1, sizeof *jobs);
    size_t jobs_n = 0, printed = 0;
    if (jobs == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < args->n; i++)
        if (is_file(args->items[i]))
            jobs[jobs_n++].file = args->items[i];
    run_workers(workers, verifying, jobs, jobs_n);
    show_heads(verifying, jobs, jobs_n);
    show_heads(verifying, jobs, jobs_n); /* one file's heads may have shown that those of an earlier one are of a fork */
    enum err err = OK;
    for (size_t i = 0; i < args->n && err == OK; i++)
        err = is_file(args->items[i]) ? print_job(verifying, &jobs[printed++], why) : verify_path(verifying, args, i, why);
    for (size_t i = 0; i < THREADS_MAX; i++)
        evidence_heads_free(&workers[i].heads);
    for (size_t i = 0; i < jobs_n; i++)
        free_job(&jobs[i]);
    free(jobs);
    return err;
}

static enum err verify_all(struct verifying *verifying, const struct cli_args *args, struct why *why)
{
    enum err err = key_system_start(why);
    if (err == OK)
        err = client_config_load(&verifying->config, verifying->config_file, why);
    if (err == OK)
        err = client_policy_load(&verifying->config, &verifying->policy, why);
    if (err == OK && verifying->config.trust_file != NULL) {
        err = client_trust_load(&verifying->config, &verifying->trust, why);
        verifying->has_trust = err == OK;
    }
    if (err == OK && (verifying->report = json_array()) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = verify_arguments(verifying, args, why);
    if (err == OK && verifying->json) {
        json_dumpf(verifying->report, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    if (err == OK && verifying->bad > 0)
        err = fail(why, ERR_REFUSED, "%zu verified, %zu not", verifying->good, verifying->bad);
    return err;
}

enum err run_verify(int argc, char **argv, struct why *why)
{
    struct verifying verifying = { 0 };
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &verifying.config_file, NULL },
        { "--store", "ROOT", "for paths: the store in ROOT/nix/store", &verifying.root, NULL },
        { "--json", NULL, "as JSON", NULL, &verifying.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = verify_all(&verifying, &args, why);
    json_decref(verifying.report);
    verify_paths_free(&verifying.paths);
    if (verifying.has_trust)
        trust_free(&verifying.trust);
    policy_free(&verifying.policy);
    client_config_free(&verifying.config);
    free(args.items);
    return err;
}
