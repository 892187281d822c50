#include "log/entry.h"

#include <stdlib.h>

#include "lib/statement.h"

void entry_start(struct store_entry *out, const struct envelope *envelope)
{
    *out = (struct store_entry){ .bytes = envelope->entry,
                                 .leaf = merkle_leaf_hash(envelope->entry),
                                 .builder = vkey_hash(&envelope->key) };
}

static bool decode_hash_part(struct span path, uint8_t out[HASH_PART_BYTES])
{
    struct storepath parsed;
    return storepath_parse(&parsed, path, NULL) == OK && nix32_decode(parsed.hash_part, out, HASH_PART_BYTES);
}

static enum err describe(struct store_entry *out, const struct statement *statement, struct why *why)
{
    out->outputs = calloc(statement->subjects_n + 1, sizeof *out->outputs);
    if (out->outputs == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < statement->subjects_n; i++)
        if (decode_hash_part(statement->subjects[i].path, out->outputs[out->outputs_n]))
            out->outputs_n++;
    if (statement->foreign)
        return OK;
    out->has_derivation = decode_hash_part(statement->derivation, out->derivation);
    out->has_input_list = statement->has_input_list;
    out->input_list = statement->input_list;
    return OK;
}

enum err entry_describe(struct store_entry *out, const struct envelope *envelope, struct why *why)
{
    struct statement statement;
    enum err err = statement_parse(&statement, envelope->payload, why);
    if (err != OK)
        return err;
    err = statement_check_key(&statement, envelope->key.name, why);
    if (err == OK)
        err = describe(out, &statement, why);
    statement_free(&statement);
    return err;
}

enum err entry_read(struct store_entry *out, struct span bytes, struct why *why)
{
    struct buf payload = BUF_EMPTY;
    struct envelope envelope;
    enum err err = envelope_parse(&envelope, bytes, &payload, why);
    if (err == OK) {
        entry_start(out, &envelope);
        err = entry_describe(out, &envelope, why);
        if (err != OK)
            entry_free(out);
    }
    buf_free(&payload);
    return err;
}

enum err entry_verify(struct store_entry *out, struct span bytes, uint64_t index, struct buf *payload, struct why *why)
{
    struct envelope envelope;
    buf_clear(payload);
    enum err err = envelope_parse(&envelope, bytes, payload, why);
    if (err == OK)
        err = envelope_verify(&envelope, why);
    if (err == OK) {
        entry_start(out, &envelope);
        out->index = index;
        err = entry_describe(out, &envelope, why);
        if (err != OK)
            entry_free(out);
    }
    return err == OK ? OK : fail_in(why, err, "entry %llu", (unsigned long long)index);
}

void entry_free(struct store_entry *entry)
{
    free(entry->outputs);
}
