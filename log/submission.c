#include "log/submission.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/statement.h"
#include "lib/sys/clock.h"
#include "lib/sys/rate.h"
#include "log/entry.h"

#define INPUTS_PREFIX "{\"inputs\":\""
#define INPUTS_SUFFIX "\"}"

void submission_list_add(struct submission_list *list, struct submission *submission)
{
    submission->next = NULL;
    if (list->last == NULL)
        list->first = submission;
    else
        list->last->next = submission;
    list->last = submission;
    list->n++;
}

struct submission *submission_list_take(struct submission_list *list)
{
    struct submission *submission = list->first;
    if (submission == NULL)
        return NULL;
    list->first = submission->next;
    if (list->first == NULL)
        list->last = NULL;
    list->n--;
    submission->next = NULL;
    return submission;
}

void submission_free(struct submission *submission)
{
    if (submission == NULL)
        return;
    for (size_t i = 0; i < submission->part.n; i++)
        entry_free(&submission->part.entries[i]);
    for (size_t i = 0; i < submission->part.lists_n; i++)
        free((void *)(uintptr_t)submission->lists[i].text.data);
    free(submission->part.entries);
    free(submission->lists);
    free(submission);
}

/* One body on its way to a submission. */
struct reading {
    struct submission *out;
    const struct submission_rules *rules;
    struct store *store;
    bool *list_used;    /* of each list read */
    struct buf payload; /* of the envelope at hand */
    struct submission_refusal refusal;
};

static enum err refuse(struct reading *reading, unsigned status, struct why *why, const char *fmt, ...) STELE_PRINTF(4, 5);
static enum err refuse(struct reading *reading, unsigned status, struct why *why, const char *fmt, ...)
{
    char text[sizeof why->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    reading->refusal.status = status;
    return fail(why, status == 503 ? ERR_ENV : ERR_REFUSED, "%s", text);
}

/* The status of what a parser or check said: memory is our fault, a form is 400. */
static enum err refused(struct reading *reading, unsigned status, enum err err)
{
    if (err != OK)
        reading->refusal.status = err == ERR_ENV ? 503 : status;
    return err;
}

static bool is_list(struct span line)
{
    return span_starts(line, INPUTS_PREFIX);
}

static enum err read_list(struct reading *reading, struct span line, struct why *why)
{
    if (!span_skip(&line, INPUTS_PREFIX) || !span_ends(line, INPUTS_SUFFIX))
        return refuse(reading, 400, why, "an input list is exactly " INPUTS_PREFIX "BASE64" INPUTS_SUFFIX);
    line.len -= strlen(INPUTS_SUFFIX);
    if (base64_decoded_len(line) > INPUT_LIST_BYTES_MAX)
        return refuse(reading, 413, why, "an input list of more than %d bytes", INPUT_LIST_BYTES_MAX);
    struct buf text = BUF_EMPTY;
    struct input *inputs = NULL;
    size_t n;
    enum err err = OK;
    if (!base64_decode(line, &text))
        err = text.failed ? refuse(reading, 503, why, "out of memory")
                          : refuse(reading, 400, why, "an input list in no canonical base64");
    if (err == OK)
        err = refused(reading, 400, input_list_parse(span_buf(&text), &inputs, &n, why));
    free(inputs);
    if (err != OK) {
        buf_free(&text);
        return err;
    }
    struct store_list *list = &reading->out->lists[reading->out->part.lists_n++];
    *list = (struct store_list){ .hash = sha256_of(span_buf(&text)), .text = span_buf(&text) };
    return OK;
}

/* Is the list in this request, or stored already? */
static enum err find_list(struct reading *reading, const struct hash *hash, struct why *why)
{
    bool here = false;
    /* A list may come twice: two letters of a builder's outbox, joined in one request, each bring theirs. */
    for (size_t i = 0; i < reading->out->part.lists_n; i++)
        if (hash_eq(&reading->out->lists[i].hash, hash))
            here = reading->list_used[i] = true;
    if (here)
        return OK;
    struct store_view view;
    enum err err = store_view_begin(reading->store, &view, why);
    struct span text;
    uint64_t first;
    bool found = false;
    if (err == OK) {
        err = store_view_inputs(&view, hash, &text, &first, &found, why);
        store_view_end(&view);
    }
    if (err != OK)
        return refused(reading, 503, err);
    return found ? OK
                 : refuse(reading, 400, why,
                          "its input list does not come before it in this request ("
                          "spec/log.md, \"POST /attestations\")");
}

/* What is in the log already is answered whoever sends it: so a list that the log lost can be put back when the builder that named
 * it is gone. */
static enum err admit(struct reading *reading, const struct store_entry *entry, const struct envelope *envelope, struct why *why)
{
    const struct submission_rules *rules = reading->rules;
    bool may = builders_allow(rules->builders, &entry->builder);
    uint64_t index;
    if (!may) {
        enum err err = store_find(reading->store, &entry->leaf, &may, &index, why);
        if (err != OK)
            return refused(reading, 503, err);
    }
    if (!may)
        return refuse(reading, 403, why, "this log takes no attestations by %.*s: its operator lists the builders' vkeys",
                      SPAN_FMT(envelope->key.name));
    /* Once a run: many envelopes of one builder are the rule. */
    bool asked = reading->out->part.n > 1 && hash_eq(&entry[-1].builder, &entry->builder);
    if (rules->rate == NULL || asked)
        return OK;
    reading->refusal.wait_ms = rate_wait_ms(rules->rate, span_of(entry->builder.b, 32), clock_monotonic_us());
    return reading->refusal.wait_ms == 0 ? OK
                                         : refuse(reading, 429, why, "%.*s has submitted as much as this log takes of one builder",
                                                  SPAN_FMT(envelope->key.name));
}

/* Cheap checks first: nobody makes the log verify signatures of builders that it does not take. */
static enum err read_envelope(struct reading *reading, struct span line, struct why *why)
{
    struct store_entry *entry = &reading->out->part.entries[reading->out->part.n++];
    struct envelope envelope;
    buf_clear(&reading->payload);
    enum err err = refused(reading, 400, envelope_parse(&envelope, line, &reading->payload, why));
    if (err != OK)
        return err;
    entry_start(entry, &envelope);
    if ((err = admit(reading, entry, &envelope, why)) != OK)
        return err;
    err = refused(reading, 403, envelope_verify(&envelope, why));
    reading->refusal.forged = err == ERR_REFUSED;
    return err == OK ? refused(reading, 400, entry_describe(entry, &envelope, why)) : err;
}

/* Takes a line; the last one may lack its newline. */
static bool next_line(struct span *rest, struct span *line)
{
    if (span_line(rest, line))
        return true;
    *line = *rest;
    *rest = span_of(rest->data, 0);
    return line->len > 0;
}

static enum err allocate(struct reading *reading, struct span body, struct why *why)
{
    size_t envelopes = 0, lists = 0;
    struct span line;
    while (next_line(&body, &line))
        *(is_list(line) ? &lists : &envelopes) += 1;
    if (envelopes == 0)
        return refuse(reading, 400, why, "no envelope in the body");
    if (envelopes > SUBMISSION_ENTRIES_MAX || lists > SUBMISSION_ENTRIES_MAX)
        return refuse(reading, 413, why, "more than %d lines in one request", SUBMISSION_ENTRIES_MAX);
    struct submission *out = reading->out;
    out->part.entries = calloc(envelopes, sizeof *out->part.entries);
    out->lists = calloc(lists + 1, sizeof *out->lists);
    reading->list_used = calloc(lists + 1, sizeof *reading->list_used);
    if (out->part.entries == NULL || out->lists == NULL || reading->list_used == NULL)
        return refuse(reading, 503, why, "out of memory");
    out->part.lists = out->lists;
    return OK;
}

/* The envelopes, then the lists and who needs them: nobody makes the log read lists without a good signature. */
static enum err read_lines(struct reading *reading, struct span body, struct why *why)
{
    struct span line, rest = body;
    enum err err = OK;
    size_t number = 0, entry = 0;
    for (; err == OK && next_line(&rest, &line); number++)
        err = is_list(line) ? OK : read_envelope(reading, line, why);
    if (err != OK)
        return fail_in(why, err, "line %zu", number);
    for (rest = body, number = 0; err == OK && next_line(&rest, &line); number++) {
        if (is_list(line)) {
            err = read_list(reading, line, why);
        } else {
            const struct store_entry *named = &reading->out->part.entries[entry++];
            err = named->has_input_list ? find_list(reading, &named->input_list, why) : OK;
        }
    }
    if (err != OK)
        return fail_in(why, err, "line %zu", number);
    for (size_t i = 0; i < reading->out->part.lists_n; i++)
        if (!reading->list_used[i])
            return refuse(reading, 400, why, "input list %zu is named by no envelope after it", i + 1);
    return OK;
}

enum err submission_parse(struct submission **out, struct span body, const struct submission_rules *rules, struct store *store,
                          struct submission_refusal *refusal, struct why *why)
{
    *out = NULL;
    struct reading reading = { .rules = rules, .store = store, .out = calloc(1, sizeof *reading.out) };
    enum err err = reading.out == NULL ? refuse(&reading, 503, why, "out of memory") : allocate(&reading, body, why);
    if (err == OK)
        err = read_lines(&reading, body, why);
    free(reading.list_used);
    buf_free(&reading.payload);
    *refusal = reading.refusal;
    if (err != OK) {
        submission_free(reading.out);
        return err;
    }
    reading.out->bytes = body.len;
    *out = reading.out;
    return OK;
}
