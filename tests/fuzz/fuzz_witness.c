/*
 * Whatever comes over a connection to a witness that knows one log: its routes, its committer and its signer answer, all in this
 * thread. What it cosigned at the end is a head that the log signed, under the witness's key.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/cosignature.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "lib/sys/service.h"
#include "tests/fuzz/still.h"
#include "tests/fuzz/wire.h"
#include "tests/must.h"
#include "tests/own_log.h"
#include "witness/limits.h"
#include "witness/logs_file.h"
#include "witness/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct own_log known; /* the log of the corpus: own_log_make("log.example/fuzz", 1, …) */
static struct witness witness;
static char key_path[128], heads_path[128];

static void begin(void)
{
    struct buf vkey = BUF_EMPTY, lines = BUF_EMPTY;
    struct why why;
    char path[128];
    report_start("fuzz", REPORT_ERROR);
    must(key_system_start(&why), &why);
    own_log_make(&known, "log.example/fuzz", 1, 0);
    must(service_init(still_folder(), "witness", "witness.example/fuzz", SIG_COSIGNATURE, &vkey, &why), &why);
    snprintf(path, sizeof path, "%s/logs", still_folder());
    snprintf(key_path, sizeof key_path, "%s/key", still_folder());
    snprintf(heads_path, sizeof heads_path, "%s/heads", still_folder());
    must(logsfile_render(&lines, &(struct logsfile_line){ .kind = LOGSFILE_LOG, .origin = known.vkey.name, .key = known.vkey },
                         &why),
         &why);
    must(file_create(path, 0644, span_buf(&lines), &why), &why);
    buf_free(&vkey);
    buf_free(&lines);
}

/* A witness that has signed nothing yet. */
static void start_anew(void)
{
    const struct signer_config config = { .key_path = key_path, .heads_path = heads_path, .type = SIG_COSIGNATURE };
    struct why why;
    if (witness.committer == NULL) {
        begin();
    } else {
        committer_free(witness.committer);
        signer_stop(witness.logs.signer);
        logs_free(&witness.logs);
        remove(heads_path);
        must(heads_create(heads_path, &why), &why);
    }
    struct signer *signer;
    must(signer_start(&signer, &config, &why), &why);
    logs_init(&witness.logs, still_folder(), signer, 0);
    must(logs_load(&witness.logs, &why), &why);
    witness.committer = committer_new(&witness.logs, UINT64_MAX);
    assert(witness.committer != NULL && witness.logs.n == 1);
}

static void handle(void *ctx, struct http_request *request)
{
    routes_handle(ctx, request);
    committer_run(witness.committer);
}

/* The newest note: the log's signature, and one cosignature of ours. */
static void check_note(const struct log *log)
{
    struct note note;
    struct checkpoint checkpoint;
    struct why why;
    uint64_t time_s;
    bool ours;
    must(note_parse(&note, span_buf(&log->note), &why), &why);
    must(checkpoint_open(&checkpoint, &note, known.vkey.name, &known.vkey, 1, &why), &why);
    assert(checkpoint.size == atomic_load(&log->size) && hash_eq(&checkpoint.root, &log->root));
    must(cosignature_verify(&note, signer_key(witness.logs.signer), 1, &ours, &time_s, &why), &why);
    assert(ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct http_server_config config = { .body_bytes_max = REQUEST_BYTES_MAX, .handle = handle, .ctx = &witness };
    struct buf replies = BUF_EMPTY;
    if (witness.committer == NULL)
        start_anew();
    const struct log *log = witness.logs.items[0];
    wire_talk(&config, span_of(data, len), &replies);
    assert(replies.len == 0 || span_starts(span_buf(&replies), "HTTP/1.1 "));
    assert(committer_works(witness.committer));
    buf_free(&replies);
    if (log->note.len > 0)
        check_note(log);
    if (log->note.len > 0 || log->suspect.len > 0 || log->forked)
        start_anew();
    return 0;
}
