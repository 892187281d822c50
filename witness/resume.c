/*
 * `stele-witness resume`: a person's word for what the witness itself cannot know. It wants it stopped, since the heads file is the
 * signer's while it runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/cosignature.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "lib/sys/http_client.h"
#include "lib/sys/key.h"
#include "lib/sys/service.h"
#include "witness/commands.h"
#include "witness/limits.h"
#include "witness/logs_file.h"

/* One log, as it is taken up again. */
struct resuming {
    struct span origin;
    struct vkey keys[ORIGIN_KEYS_MAX]; /* the log's */
    size_t keys_n;
    struct vkey own;
    struct head_record newest; /* found under the witness's own cosignature */
    bool found;
};

static enum err read_keys(struct resuming *resuming, const struct logs_edit *edit, struct why *why)
{
    const struct logsfile_line *line = logs_lines_of(edit->lines, edit->n, resuming->origin), *end = edit->lines + edit->n;
    for (; line != NULL && line < end && line->kind == LOGSFILE_LOG && span_eq(line->origin, resuming->origin); line++)
        resuming->keys[resuming->keys_n++] = line->key;
    if (resuming->keys_n == 0)
        return fail(why, ERR_REFUSED, "%s knows no log %.*s", edit->path, SPAN_FMT(resuming->origin));
    return OK;
}

/* A note counts that the log signed and this witness cosigned. */
static enum err see_note(struct resuming *resuming, struct span text, struct why *why)
{
    struct note note;
    struct checkpoint checkpoint = { 0 };
    bool cosigned = false;
    uint64_t time_s = 0;
    enum err err = note_parse(&note, text, why);
    if (err == OK)
        err = checkpoint_open(&checkpoint, &note, resuming->origin, resuming->keys, resuming->keys_n, why);
    if (err == OK)
        err = cosignature_verify(&note, &resuming->own, 1, &cosigned, &time_s, why);
    if (err == OK && !cosigned)
        err = fail(why, ERR_REFUSED, "it has no cosignature of this witness");
    if (err == OK && resuming->found && resuming->newest.head.size == checkpoint.size &&
        !hash_eq(&resuming->newest.head.root, &checkpoint.root))
        return fail(why, ERR_REFUSED, "this witness cosigned two heads of %llu entries: its key has served two histories",
                    (unsigned long long)checkpoint.size);
    if (err == OK && (!resuming->found || checkpoint.size >= resuming->newest.head.size)) {
        resuming->newest = (struct head_record){ .head = { checkpoint.size, checkpoint.root }, .time_s = time_s };
        resuming->found = true;
    }
    return err;
}

static enum err see_url(struct resuming *resuming, struct http_client *client, const char *url, struct why *why)
{
    struct http_response response = { 0 };
    enum err err = http_get(client, url, NULL, NOTE_BYTES_MAX, &response, why);
    if (err == OK && response.status != 200)
        err = fail(why, ERR_ENV, "it answered %u: wanted is where the log's checkpoint is, as in LOG/checkpoint", response.status);
    if (err == OK)
        err = see_note(resuming, span_buf(&response.body), why);
    http_response_free(&response);
    return err == OK ? OK : fail_in(why, err, "%s", url);
}

/* All of them must answer: one that does not may be the one that has the newest. */
static enum err see_urls(struct resuming *resuming, const char *const *urls, size_t n, struct why *why)
{
    struct http_client *client = NULL;
    if (n == 0)
        return OK;
    enum err err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&client, &(struct http_client_config){ 0 }, why);
    for (size_t i = 0; i < n && err == OK; i++)
        err = see_url(resuming, client, urls[i], why);
    http_client_free(client);
    return err;
}

/* The record that takes the log up: the newest head found, else the one remembered, else an empty tree. */
static enum err choose(const struct resuming *resuming, struct heads *heads, struct head_record *out, struct why *why)
{
    struct hash origin_hash = sha256_of(resuming->origin);
    const struct head_record *last = heads_find(heads, &origin_hash);
    if (!heads_suspended(heads, &origin_hash))
        return fail(why, ERR_REFUSED, "the log %.*s is not suspended", SPAN_FMT(resuming->origin));
    *out = resuming->newest;
    if (last != NULL && resuming->found && resuming->newest.head.size == last->head.size &&
        !hash_eq(&resuming->newest.head.root, &last->head.root))
        return fail(why, ERR_REFUSED, "the head found and the one remembered, both of %llu entries, have different roots",
                    (unsigned long long)last->head.size);
    if (last != NULL && (!resuming->found || resuming->newest.head.size < last->head.size))
        *out = *last;
    else if (last == NULL && !resuming->found)
        *out = (struct head_record){ .head = { 0, merkle_empty_root() } };
    if (last != NULL && out->time_s < last->time_s)
        out->time_s = last->time_s;
    out->origin_hash = origin_hash;
    out->suspended = false;
    return OK;
}

static void say(const struct resuming *resuming, const struct head_record *record)
{
    printf("%.*s: taken up at %llu entries\n", SPAN_FMT(resuming->origin), (unsigned long long)record->head.size);
    fputs(resuming->found
              ? "If this witness cosigned a larger head that none of these URLs shows, it can now cosign another history "
                "beyond this one.\n"
              : "Nothing was asked for a newer head. If this witness cosigned a larger one after the backup was made, it can now "
                "cosign another history: two cosignatures that contradict each other, and nobody has a reason to believe it any "
                "more.\n",
          stderr);
}

static enum err resume_one(const struct cli_args *args, struct why *why)
{
    struct logs_edit edit = { .lock = -1 };
    struct buf vkey = BUF_EMPTY;
    struct heads *heads = NULL;
    struct head_record record;
    struct resuming *resuming = calloc(1, sizeof *resuming);
    if (resuming == NULL)
        return fail(why, ERR_ENV, "out of memory");
    const char *dir = args->items[0];
    resuming->origin = span_str(args->items[1]);
    enum err err = key_system_start(why);
    if (err == OK)
        err = service_vkey(dir, SIG_COSIGNATURE, &vkey, why);
    if (err == OK)
        err = vkey_parse(&resuming->own, span_buf(&vkey), SIG_COSIGNATURE, why);
    if (err == OK)
        err = logs_edit_start(&edit, dir, why);
    if (err == OK)
        err = read_keys(resuming, &edit, why);
    if (err == OK)
        err = heads_take(&heads, dir, why);
    if (err == OK)
        err = see_urls(resuming, args->items + 2, args->n - 2, why);
    if (err == OK)
        err = choose(resuming, heads, &record, why);
    if (err == OK)
        err = heads_add(heads, &record, 1, why);
    if (err == OK)
        say(resuming, &record);
    heads_close(heads);
    logs_edit_end(&edit);
    buf_free(&vkey);
    free(resuming);
    return err;
}

static enum err resume_others(const char *dir, struct why *why)
{
    struct heads *heads = NULL;
    enum err err = heads_take(&heads, dir, why);
    if (err == OK)
        err = heads_resume_others(heads, why);
    if (err == OK)
        fputs("Logs that the backup has no head of start anew. If this witness cosigned one of them after the backup was made, "
              "it can now cosign another history of it.\n",
              stderr);
    heads_close(heads);
    return err;
}

enum err cmd_resume(int argc, char **argv, struct why *why)
{
    bool others = false;
    const struct cli_option options[] = {
        { "--others", NULL, "instead of ORIGIN: all logs that the backup has no head of", NULL, &others },
        { 0 },
    };
    struct cli_args args;
    enum err err = cli_parse(options, 1, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (others != (args.n == 1))
        err = fail(why, ERR_USAGE, "wanted is DIR ORIGIN [URL...], or DIR --others");
    else
        err = others ? resume_others(args.items[0], why) : resume_one(&args, why);
    free(args.items);
    return err;
}
