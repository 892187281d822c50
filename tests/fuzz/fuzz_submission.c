/* The body of POST /attestations: envelopes and input lists, a line each. */
#include <assert.h>
#include <stdlib.h>

#include "log/submission.h"
#include "tests/fuzz/still.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct store *store;

static void end(void)
{
    store_close(store);
}

static void begin(void)
{
    struct why why;
    if (store_open(&store, &(struct store_config){ .dir = still_folder(), .origin = span_str("log.example") }, &why) != OK)
        abort();
    atexit(end);
}

/* What was taken is the body's lines, whole, each with what is derived from it. */
static void check(const struct submission *submission, struct span body)
{
    assert(submission->part.n > 0 && submission->part.n <= SUBMISSION_ENTRIES_MAX);
    assert(submission->bytes == body.len);
    const uint8_t *last = body.data;
    for (size_t i = 0; i < submission->part.n; i++) {
        const struct store_entry *entry = &submission->part.entries[i];
        struct hash leaf = merkle_leaf_hash(entry->bytes);
        assert(hash_eq(&leaf, &entry->leaf));
        assert(entry->bytes.data >= last && entry->bytes.len <= ENTRY_BYTES_MAX);
        last = entry->bytes.data + entry->bytes.len;
        assert(last == body.data + body.len || *last == '\n');
        assert(entry->outputs_n > 0);
    }
    for (size_t i = 0; i < submission->part.lists_n; i++) {
        struct hash hash = sha256_of(submission->lists[i].text);
        assert(hash_eq(&hash, &submission->lists[i].hash));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct builders anybody = { .open = true };
    if (store == NULL)
        begin();
    struct submission *submission;
    struct span body = span_of(data, len);
    struct why why = { "" };
    const struct submission_rules rules = { .builders = &anybody };
    struct submission_refusal refusal;
    if (submission_parse(&submission, body, &rules, store, &refusal, &why) == OK) {
        check(submission, body);
        submission_free(submission);
    } else {
        assert(refusal.status == 400 || refusal.status == 403 || refusal.status == 413);
        assert(why.text[0] != '\0');
    }
    return 0;
}
