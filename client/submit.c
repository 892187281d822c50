/* `stele submit`: DSSE envelopes in any form that DSSE allows, each signature one attestation; prints the proof bundles. */
#include <stdio.h>
#include <stdlib.h>

#include "client/post.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"

enum { FILE_BYTES_MAX = SUBMISSION_BYTES_MAX };

struct submission {
    struct client_config config;
    struct policy policy;
    struct http_client *client;
    const char *key_text;
    struct buf lines; /* envelopes in their one form, a line each */
    size_t n;
};

/* The signer: the envelope's own keyid where it is a vkey, else --key. */
static enum err find_key(const struct submission *submission, const struct dsse_signature *sig, struct vkey *out, struct why *why)
{
    if (sig->keyid.len > 0 && vkey_parse(out, sig->keyid, SIG_ED25519, NULL) == OK)
        return OK;
    if (submission->key_text != NULL)
        return vkey_parse(out, span_str(submission->key_text), SIG_ED25519, why);
    return fail(why, ERR_USAGE, "the envelope's keyid is no vkey: say with --key VKEY whose signature it is");
}

/* One signature: an envelope of its own, where it verifies and what it signs is something for the log. */
static enum err add_signature(struct submission *submission, const struct dsse *dsse, const struct dsse_signature *sig,
                              struct why *why)
{
    struct vkey key;
    struct statement statement = { 0 };
    enum err err = find_key(submission, sig, &key, why);
    if (err != OK)
        return err;
    struct envelope envelope = { .payload = span_buf(&dsse->payload), .key = key };
    memcpy(envelope.sig, sig->sig, sizeof envelope.sig);
    err = envelope_verify(&envelope, why);
    if (err != OK)
        return err;
    if (envelope.payload.len > envelope_payload_max(key.name))
        return fail(why, ERR_MALFORMED, "the statement has %zu bytes, more than the %zu that fit a log entry", envelope.payload.len,
                    envelope_payload_max(key.name));
    err = statement_parse(&statement, envelope.payload, why);
    if (err == OK && statement.foreign)
        fprintf(stderr, "a foreign statement, which is shown and never counts: %s\n", statement.why_foreign.text);
    statement_free(&statement);
    if (err != OK)
        return err;
    envelope_render(&submission->lines, envelope.payload, &key, envelope.sig);
    buf_byte(&submission->lines, '\n');
    submission->n++;
    return buf_done(&submission->lines, why);
}

/* Each Ed25519 signature that verifies; others', which nobody can be asked for, are passed over as long as there is one. */
static enum err add_envelope(struct submission *submission, struct span text, struct why *why)
{
    struct dsse dsse;
    size_t before = submission->n;
    enum err err = dsse_parse(&dsse, text, why), last = ERR_MALFORMED;
    if (err != OK)
        return err;
    struct why reason;
    fail(&reason, ERR_MALFORMED, "the envelope has no Ed25519 signature");
    for (size_t i = 0; i < dsse.n && err == OK; i++)
        if (dsse.signatures[i].ed25519 && (last = add_signature(submission, &dsse, &dsse.signatures[i], &reason)) == ERR_ENV)
            err = last;
    if (err == OK && submission->n == before)
        err = last;
    if (err != OK)
        *why = reason;
    dsse_free(&dsse);
    return err;
}

static enum err add_file(struct submission *submission, const char *path, struct why *why)
{
    struct buf text = BUF_EMPTY;
    enum err err = file_read(path, FILE_BYTES_MAX, &text, why);
    struct span rest = span_buf(&text), line;
    if (err == OK && span_ends(span_str(path), ".jsonl")) {
        for (unsigned n = 1; err == OK && rest.len > 0; n++) {
            if (!span_line(&rest, &line)) {
                line = rest;
                rest = span_of(NULL, 0);
            }
            if (line.len > 0 && (err = add_envelope(submission, line, why)) != OK)
                fail_in(why, err, "%s line %u", path, n);
        }
    } else if (err == OK && (err = add_envelope(submission, rest, why)) != OK) {
        fail_in(why, err, "%s", path);
    }
    buf_free(&text);
    return err;
}

/* Every proof must verify under the policy, and every envelope must have one, before anything is printed. */
static enum err check_and_print(struct submission *submission, struct span bundles, struct why *why)
{
    struct evidence evidence = { 0 };
    struct span rest = span_buf(&submission->lines), line;
    enum err err = evidence_add(&evidence, bundles, "the log's answer", &submission->policy, NULL, why);
    for (size_t i = 0; i < evidence.n && err == OK; i++)
        if (!evidence.items[i]->proven)
            err = fail(why, ERR_REFUSED, "a proof in the log's answer does not hold: %s", evidence.items[i]->why_not.text);
    while (err == OK && span_line(&rest, &line))
        if (post_find_proof(&evidence, line, why) < 0)
            err = ERR_REFUSED;
    if (err == OK && fwrite(bundles.data, 1, bundles.len, stdout) != bundles.len)
        err = fail(why, ERR_ENV, "cannot write the proofs");
    evidence_free(&evidence);
    return err;
}

static enum err submit(struct submission *submission, struct why *why)
{
    struct post_answer answer = { 0 };
    enum err err =
        post_attestations(submission->client, &submission->config, &submission->policy, span_buf(&submission->lines), &answer, why);
    if (err == OK && answer.outcome == POST_PROVEN)
        err = check_and_print(submission, span_buf(&answer.bundles), why);
    else if (err == OK)
        err = fail(why, answer.outcome == POST_LATER ? ERR_ENV : ERR_REFUSED, "%s", answer.why.text);
    post_answer_free(&answer);
    return err;
}

enum err run_submit(int argc, char **argv, struct why *why)
{
    struct submission submission = { 0 };
    const char *config_file = NULL;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--key", "VKEY", "the signer, where the envelope's keyid is no vkey", &submission.key_text, NULL },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = key_system_start(why);
    if (err == OK)
        err = client_config_load(&submission.config, config_file, why);
    if (err == OK)
        err = client_policy_load(&submission.config, &submission.policy, why);
    for (size_t i = 0; i < args.n && err == OK; i++)
        err = add_file(&submission, args.items[i], why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&submission.client, &(struct http_client_config){ 0 }, why);
    if (err == OK)
        err = submit(&submission, why);
    buf_free(&submission.lines);
    http_client_free(submission.client);
    policy_free(&submission.policy);
    client_config_free(&submission.config);
    free(args.items);
    return err;
}
