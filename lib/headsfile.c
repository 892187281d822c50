#include "lib/headsfile.h"

static const char magic[] = "stele heads v1\n";

void headsfile_header(struct buf *out)
{
    uint8_t *at = buf_grow(out, HEADSFILE_RECORD_BYTES);
    if (at == NULL)
        return;
    memset(at, 0, HEADSFILE_RECORD_BYTES);
    memcpy(at, magic, sizeof magic - 1);
}

void headsfile_record(struct buf *out, const struct headsfile_record *record)
{
    uint8_t *at = buf_grow(out, HEADSFILE_RECORD_BYTES);
    if (at == NULL)
        return;
    memcpy(at, record->origin_hash.b, 32);
    put_be64(at + 32, record->head.size);
    memcpy(at + 40, record->head.root.b, 32);
    put_be64(at + 72, record->time_s);
    put_be64(at + 80, record->number);
    put_be64(at + 88, record->batch);
    struct hash check = sha256_of(span_of(at, 96));
    memcpy(at + 96, check.b, 32);
}

/* Does a record with a right check stand in these 128 bytes? */
static bool record_parse(struct headsfile_record *out, const uint8_t bytes[HEADSFILE_RECORD_BYTES])
{
    struct hash check = sha256_of(span_of(bytes, 96));
    if (memcmp(check.b, bytes + 96, 32) != 0)
        return false;
    memcpy(out->origin_hash.b, bytes, 32);
    out->head.size = get_be64(bytes + 32);
    memcpy(out->head.root.b, bytes + 40, 32);
    out->time_s = get_be64(bytes + 72);
    out->number = get_be64(bytes + 80);
    out->batch = get_be64(bytes + 88);
    return true;
}

/* A record that is invalid was torn in the last write only if nothing written after that write's sync follows. */
static bool later_batch_follows(struct span rest, uint64_t number)
{
    struct headsfile_record record;
    for (; rest.len >= HEADSFILE_RECORD_BYTES; rest = span_cut(rest, HEADSFILE_RECORD_BYTES, rest.len - HEADSFILE_RECORD_BYTES))
        if (record_parse(&record, rest.data) && record.batch > number)
            return true;
    return false;
}

/* A torn write leaves no record that is right but for one bit: that one was durable, and perhaps signed for, and turned later. */
static bool one_bit_turned(const uint8_t bytes[HEADSFILE_RECORD_BYTES], uint64_t number, unsigned *bit)
{
    struct headsfile_record record;
    uint8_t copy[HEADSFILE_RECORD_BYTES];
    memcpy(copy, bytes, sizeof copy);
    for (*bit = 0; *bit < 8 * sizeof copy; ++*bit) {
        copy[*bit / 8] ^= (uint8_t)(1u << *bit % 8);
        if (record_parse(&record, copy) && record.number == number)
            return true;
        copy[*bit / 8] ^= (uint8_t)(1u << *bit % 8);
    }
    return false;
}

enum err headsfile_parse(struct span file, enum err (*each)(void *ctx, const struct headsfile_record *record, struct why *why),
                         void *ctx, size_t *valid_len, struct why *why)
{
    struct buf header = BUF_EMPTY;
    headsfile_header(&header);
    bool right = !header.failed && file.len >= header.len && memcmp(file.data, header.data, header.len) == 0;
    enum err err = buf_done(&header, why);
    buf_free(&header);
    if (err != OK)
        return err;
    if (!right)
        return fail(why, ERR_MALFORMED, "it does not start as a heads file: put back the one that belongs to this key");
    *valid_len = HEADSFILE_RECORD_BYTES;
    unsigned bit;
    for (uint64_t number = 1; file.len - *valid_len >= HEADSFILE_RECORD_BYTES; number++) {
        struct headsfile_record record;
        struct span rest = span_cut(file, *valid_len, file.len - *valid_len);
        bool valid = record_parse(&record, rest.data);
        if (!valid && later_batch_follows(rest, number))
            return fail(why, ERR_MALFORMED,
                        "record %llu is damaged, and later ones are there: restore the file from a copy that is newer than this",
                        (unsigned long long)number);
        if (!valid && one_bit_turned(rest.data, number, &bit))
            return fail(why, ERR_MALFORMED,
                        "record %llu is damaged: turn back one bit, of value %u in byte %zu of the file, and it is right",
                        (unsigned long long)number, 1u << bit % 8, *valid_len + bit / 8);
        if (!valid)
            return OK;
        if (record.number != number || record.batch > number || record.batch == 0)
            return fail(why, ERR_MALFORMED,
                        "record %llu says that it is record %llu of batch %llu: put back the file that belongs to this key",
                        (unsigned long long)number, (unsigned long long)record.number, (unsigned long long)record.batch);
        err = each(ctx, &record, why);
        if (err != OK)
            return err;
        *valid_len += HEADSFILE_RECORD_BYTES;
    }
    return OK;
}
