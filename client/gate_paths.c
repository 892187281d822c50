#include "client/gate.h"

#include <stdlib.h>

#include "client/memory.h"
#include "client/refusals.h"
#include "lib/sys/clock.h"
#include "lib/sys/report.h"

void gate_path_free(struct gate_path *path)
{
    free(path->nar_url);
    free(path->compression);
    buf_free(&path->narinfo);
    *path = (struct gate_path){ 0 };
}

static enum err copy_path(struct gate_path *out, const struct gate_path *path, struct why *why)
{
    *out = *path;
    out->next = NULL;
    out->narinfo = BUF_EMPTY;
    buf_span(&out->narinfo, span_buf(&path->narinfo));
    out->nar_url = span_dup_str(span_str(path->nar_url));
    out->compression = span_dup_str(span_str(path->compression));
    if (out->nar_url != NULL && out->compression != NULL && !out->narinfo.failed)
        return OK;
    gate_path_free(out);
    return fail(why, ERR_ENV, "out of memory");
}

static struct gate_path **bucket_of(struct gate *gate, struct span hash_part)
{
    struct hash digest = sha256_of(hash_part);
    return &gate->buckets[get_be32(digest.b) % (sizeof gate->buckets / sizeof *gate->buckets)];
}

static bool remembered(struct gate *gate, struct span hash_part, struct gate_path *out)
{
    bool found = false;
    pthread_mutex_lock(&gate->lock);
    for (struct gate_path *p = *bucket_of(gate, hash_part); p != NULL && !found; p = p->next)
        if (span_is(hash_part, p->hash_part) && p->until_ms > clock_monotonic_ms())
            found = copy_path(out, p, NULL) == OK;
    pthread_mutex_unlock(&gate->lock);
    return found;
}

static void drop_paths(struct gate *gate)
{
    for (size_t i = 0; i < sizeof gate->buckets / sizeof *gate->buckets; i++)
        while (gate->buckets[i] != NULL) {
            struct gate_path *path = gate->buckets[i];
            gate->buckets[i] = path->next;
            gate_path_free(path);
            free(path);
        }
    gate->paths_n = 0;
}

/* Best effort: what is not remembered is judged again. */
static void remember(struct gate *gate, const struct gate_path *path)
{
    struct gate_path *copy = malloc(sizeof *copy);
    if (copy == NULL || copy_path(copy, path, NULL) != OK) {
        free(copy);
        return;
    }
    pthread_mutex_lock(&gate->lock);
    if (gate->paths_n == GATE_PATHS_MAX)
        drop_paths(gate);
    struct gate_path **at = bucket_of(gate, span_str(path->hash_part));
    while (*at != NULL && strcmp((*at)->hash_part, path->hash_part) != 0)
        at = &(*at)->next;
    if (*at != NULL) {
        struct gate_path *old = *at;
        copy->next = old->next;
        gate_path_free(old);
        free(old);
    } else {
        gate->paths_n++;
    }
    *at = copy;
    pthread_mutex_unlock(&gate->lock);
}

void gate_forget(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    drop_paths(gate);
    while (gate->idle_n > 0)
        http_client_free(gate->idle[--gate->idle_n]);
    pthread_mutex_unlock(&gate->lock);
}

static struct http_client *take_client(struct gate *gate, struct why *why)
{
    struct http_client *client = NULL;
    pthread_mutex_lock(&gate->lock);
    if (gate->idle_n > 0)
        client = gate->idle[--gate->idle_n];
    pthread_mutex_unlock(&gate->lock);
    if (client != NULL)
        return client;
    struct http_client_config config = { .netrc_file = gate->config->netrc_file, .allow_file = true };
    return http_client_new(&client, &config, why) == OK ? client : NULL;
}

static void give_client(struct gate *gate, struct http_client *client)
{
    pthread_mutex_lock(&gate->lock);
    bool kept = gate->idle_n < GATE_CONNECTIONS_MAX;
    if (kept)
        gate->idle[gate->idle_n++] = client;
    pthread_mutex_unlock(&gate->lock);
    if (!kept)
        http_client_free(client);
}

/* Shows the client's memory every checkpoint that a verdict rests on, and keeps the proofs for audits and look-ups while
 * logs are away. ERR_REFUSED where a log forked. */
static enum err settle_proofs(const struct gate *gate, struct span hash_part, struct span proofs, struct why *why)
{
    enum err err = OK;
    while (proofs.len > 0 && err == OK) {
        struct proof proof;
        struct note note;
        struct checkpoint checkpoint;
        err = proof_next(&proof, &proofs, why);
        if (err == OK)
            err = note_parse(&note, proof.checkpoint, why);
        if (err == OK)
            err = checkpoint_parse(&checkpoint, note.text, why);
        if (err == OK)
            err = memory_see(gate->config, &checkpoint, proof.checkpoint, why);
        if (err == OK)
            err = proofs_keep(gate->config, hash_part, &proof, why);
    }
    if (err == ERR_ENV) {
        /* A full disk must not open the gate, nor close it: what was proven is proven. */
        report_why(REPORT_WARN, "proof-not-kept", why);
        err = OK;
    }
    return err;
}

static enum err accept(struct gate *gate, const char *upstream, const struct gathered *gathered, const struct gate_answer *answer,
                       struct gate_path *out, struct why *why)
{
    struct narinfo info = { 0 };
    struct buf url = BUF_EMPTY;
    enum err err = narinfo_parse(&info, span_buf(&gathered->narinfo), span_str(gate->dir), why);
    if (err == OK)
        err = gather_url(&url, upstream, info.url, why);
    if (err == OK)
        err = settle_proofs(gate, info.path.hash_part, answer->proofs, why);
    if (err != OK)
        goto out;
    *out = (struct gate_path){ .until_ms = clock_monotonic_ms() + GATE_VERDICT_S * 1000,
                               .nar_hash = answer->nar_hash,
                               .nar_size = answer->nar_size };
    memcpy(out->hash_part, info.path.hash_part.data, HASH_PART_LEN);
    out->nar_url = span_dup_str(span_buf(&url));
    out->compression = span_dup_str(info.compression);
    buf_span(&out->narinfo, answer->narinfo);
    if (out->nar_url == NULL || out->compression == NULL || out->narinfo.failed) {
        gate_path_free(out);
        err = fail(why, ERR_ENV, "out of memory");
        goto out;
    }
    report(answer->by_warning ? REPORT_WARN : REPORT_INFO, answer->by_warning ? "passed-by-warning" : "passed",
           "path=%.*s why=\"%.*s\" by=\"%.*s\"", SPAN_FMT(info.path.path), SPAN_FMT(answer->why), SPAN_FMT(answer->summary));
    if (answer->by_warning)
        refusals_add_warned(gate->config, info.path.hash_part, answer->why, answer->tree);
out:
    narinfo_free(&info);
    buf_free(&url);
    return err;
}

static enum err ask_signer(struct gate *gate, const struct gathered *gathered, struct span hash_part, struct gate_answer *answer,
                           struct why *why)
{
    struct judge_question question = {
        .narinfo = span_buf(&gathered->narinfo),
        .hash_part = hash_part,
        .sources = gathered->sources,
        .n = gathered->n,
        .looked_up = gathered->looked_up,
    };
    return gate_signer_judge(gate->signer, &question, answer, why);
}

/* One upstream. First with the proofs that are near; the logs are asked only where those do not suffice. */
static enum err try_upstream(struct gate *gate, struct http_client *client, const char *upstream, struct span hash_part,
                             struct gate_path *out, bool *known, struct why *refusal)
{
    struct gathered gathered = { 0 };
    struct gate_answer answer = { 0 };
    struct why trouble;
    bool found;
    enum err err = gather_narinfo(&gathered, client, upstream, hash_part, &found, &trouble);
    if (err != OK || !found) {
        /* An upstream that is down is as good as one without the path: the next is asked, or Nix builds. */
        if (err != OK) {
            report_why(REPORT_WARN, "upstream-down", &trouble);
            fail(refusal, ERR_REFUSED, "%s", trouble.text);
        }
        err = ERR_REFUSED;
        goto out;
    }
    *known = true;
    err = gather_near(&gathered, client, gate->config, upstream, hash_part, refusal);
    if (err == OK)
        err = ask_signer(gate, &gathered, hash_part, &answer, refusal);
    if (err == OK && (!answer.passes || answer.by_warning)) {
        err = gather_logs(&gathered, client, gate->config, &gate->policy, hash_part, refusal);
        gate_answer_free(&answer);
        if (err == OK)
            err = ask_signer(gate, &gathered, hash_part, &answer, refusal);
    }
    if (err == OK && answer.passes)
        err = accept(gate, upstream, &gathered, &answer, out, refusal);
    else if (err == OK)
        err = fail(refusal, ERR_REFUSED, "%.*s", SPAN_FMT(answer.why));
    if (err == ERR_REFUSED || err == ERR_MALFORMED) {
        struct buf tree = BUF_EMPTY;
        buf_span(&tree, answer.tree);
        buf_span(&tree, span_buf(&gathered.troubles));
        refusals_add(gate->config, hash_part, span_str(refusal->text), span_buf(&tree));
        report(REPORT_WARN, "refused", "hash-part=%.*s upstream=%s why=%s", SPAN_FMT(hash_part), upstream,
               report_quote(refusal->text));
        buf_free(&tree);
        err = ERR_REFUSED;
    }
out:
    gate_answer_free(&answer);
    gathered_free(&gathered);
    return err;
}

enum err gate_resolve(struct gate *gate, struct span hash_part, bool remembered_will_do, struct gate_path *out, bool *known,
                      struct why *refusal)
{
    *known = false;
    fail(refusal, ERR_REFUSED, "no upstream cache has it");
    if (remembered_will_do && remembered(gate, hash_part, out)) {
        *known = true;
        return OK;
    }
    struct http_client *client = take_client(gate, refusal);
    if (client == NULL)
        return ERR_ENV;
    enum err err = ERR_REFUSED;
    for (size_t i = 0; i < gate->config->upstreams.n && err == ERR_REFUSED; i++)
        err = try_upstream(gate, client, gate->config->upstreams.items[i], hash_part, out, known, refusal);
    give_client(gate, client);
    if (err == OK)
        remember(gate, out);
    return err;
}
