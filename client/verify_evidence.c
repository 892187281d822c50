/* `stele verify-evidence`: what a witness kept against a log, checked by anybody (spec/witness.md, "Evidence"). */
#include <stdio.h>
#include <stdlib.h>

#include "client/shown_log.h"
#include "client/verbs.h"
#include "lib/forkfile.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"

/* The log's checkpoint, under the file's keys. */
static enum err open_shown(struct shown_log *shown, const struct forkfile *file, struct why *why)
{
    struct note note;
    struct checkpoint head;
    enum err err = shown_log_ask(shown, why);
    if (err != OK)
        return err;
    err = note_parse(&note, span_buf(&shown->checkpoint.body), why);
    if (err == OK)
        err = checkpoint_open(&head, &note, file->origin, file->keys, file->keys_n, why);
    if (err != OK)
        return err == ERR_ENV ? err : fail_in(why, err, "the checkpoint at %s", shown->url);
    shown_log_believe(shown, &head);
    return OK;
}

/* Holds one head against the tree that the log shows. *proven where it is no part of it: then `out` is the evidence. */
static enum err hold_against(struct shown_log *shown, const struct forkfile *file, struct span note, const struct checkpoint *head,
                             struct forkfile *out, bool *proven, struct why *why)
{
    *out = *file;
    out->suspect = false;
    out->notes[0] = note;
    out->notes[1] = span_buf(&shown->checkpoint.body);
    enum err err = shown_log_root(shown, head->size, &out->root, out->proof, &out->proof_n, why);
    *proven = err == OK && !hash_eq(&out->root, &head->root);
    out->has_root = head->size < shown->head.size;
    return err;
}

/* Does the log's own tree settle what the file suspects? *proven, with the evidence in `out`; OK and not proven: the tree holds
 * both heads. ERR_REFUSED where it is too small to tell. */
static enum err settle(struct shown_log *shown, const struct forkfile *file, const struct checkpoint heads[2], struct forkfile *out,
                       bool *proven, struct why *why)
{
    enum err err = open_shown(shown, file, why);
    bool beyond = false;
    *proven = false;
    for (size_t i = 0; i < 2 && err == OK && !*proven; i++) {
        if (heads[i].size > shown->head.size)
            beyond = true;
        else
            err = hold_against(shown, file, file->notes[i], &heads[i], out, proven, why);
    }
    if (err == OK && !*proven && beyond)
        err = fail(why, ERR_REFUSED, "not settled: %s shows %llu entries, fewer than the suspected head has", shown->url,
                   (unsigned long long)shown->head.size);
    return err;
}

static void print_head(const char *which, const struct checkpoint *head)
{
    struct buf root = BUF_EMPTY;
    base64_encode(&root, span_of(head->root.b, sizeof head->root.b));
    printf("  %s: %llu entries, root %.*s\n", which, (unsigned long long)head->size, SPAN_FMT(root));
    buf_free(&root);
}

/* Evidence: what was proven, and under which keys, which the reader must know for the log's. */
static void print_proven(const char *name, const struct forkfile *file, const struct checkpoint heads[2])
{
    printf("%s: PROVEN: the log %.*s signed two histories\n", name, SPAN_FMT(file->origin));
    print_head("first head", &heads[0]);
    print_head("second head", &heads[1]);
    if (file->has_root) {
        struct checkpoint other = { .size = heads[0].size, .root = file->root };
        print_head("the second's tree had", &other);
    }
    for (size_t i = 0; i < file->keys_n; i++) {
        struct buf key = BUF_EMPTY;
        vkey_render(&key, &file->keys[i]);
        printf("  if this is the log's key: %.*s\n", SPAN_FMT(key));
        buf_free(&key);
    }
}

static enum err write_evidence(const char *path, const struct forkfile *file, struct why *why)
{
    struct buf text = BUF_EMPTY;
    forkfile_render(&text, file);
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = file_create(path, 0644, span_buf(&text), why);
    buf_free(&text);
    return err;
}

static enum err ask_log(const char *name, const struct forkfile *file, const struct checkpoint heads[2], const char *url,
                        const char *out_file, struct why *why)
{
    static struct forkfile evidence;
    struct shown_log shown = { .url = url };
    struct checkpoint proven_heads[2];
    bool proven = false;
    enum err err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&shown.client, &(struct http_client_config){ 0 }, why);
    if (err == OK)
        err = settle(&shown, file, heads, &evidence, &proven, why);
    if (err == OK && !proven)
        err = fail(why, ERR_REFUSED, "no fork: the tree at %s holds both heads; whoever sent the proof sent a bad one", url);
    if (err == OK)
        err = forkfile_verify(&evidence, proven_heads, why);
    if (err == OK)
        print_proven(name, &evidence, proven_heads);
    if (err == OK && out_file != NULL)
        err = write_evidence(out_file, &evidence, why);
    shown_log_free(&shown);
    http_client_free(shown.client);
    return err;
}

static enum err verify(const char *name, const char *url, const char *out_file, struct why *why)
{
    static struct forkfile file;
    struct buf text = BUF_EMPTY;
    struct checkpoint heads[2];
    enum err err = file_read(name, FORKFILE_BYTES_MAX, &text, why);
    if (err == OK)
        err = forkfile_parse(&file, span_buf(&text), why);
    if (err == OK)
        err = forkfile_verify(&file, heads, why);
    if (err == OK && !file.suspect)
        print_proven(name, &file, heads);
    else if (err == OK && url == NULL)
        err = fail(why, ERR_REFUSED,
                   "a suspect: the log signed both heads, of %llu and %llu entries, and whether one extends the other only its "
                   "tiles tell: --from URL",
                   (unsigned long long)heads[0].size, (unsigned long long)heads[1].size);
    else if (err == OK)
        err = ask_log(name, &file, heads, url, out_file, why);
    buf_free(&text);
    return err == OK ? OK : fail_in(why, err, "%s", name);
}

enum err run_verify_evidence(int argc, char **argv, struct why *why)
{
    const char *url = NULL, *out_file = NULL;
    const struct cli_option options[] = {
        { "--from", "URL", "the log's tiles, to settle a suspect", &url, NULL },
        { "--out", "FILE", "where to put the evidence that they give", &out_file, NULL },
        { 0 },
    };
    struct cli_args args;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (out_file != NULL && url == NULL)
        err = fail(why, ERR_USAGE, "--out goes with --from");
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = verify(args.items[0], url, out_file, why);
    free(args.items);
    return err;
}
