/*
 * A run of the set of leaf hashes, as it lies on the disk: as it is, and with the hash that its bytes want, so that what stands in it
 * is read. A search ends within the run, whatever that is; in a sorted one it finds the first record that is not below.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/file.h"
#include "log/seen_run.h"
#include "tests/fuzz/still.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD_BYTES = 96, HASH_AT = 64 };

static uint64_t prefix_at(const struct seen_run *run, uint64_t i)
{
    return get_be64(run->records + i * SEEN_RECORD_BYTES);
}

static bool is_sorted(const struct seen_run *run)
{
    for (uint64_t i = 1; i < seen_run_entries(run); i++)
        if (prefix_at(run, i - 1) > prefix_at(run, i))
            return false;
    return true;
}

static void seek(const struct seen_run *run, uint64_t prefix, bool sorted)
{
    uint64_t n = seen_run_entries(run);
    seen_run_prepare(run, prefix);
    uint64_t at = seen_run_seek(run, prefix);
    assert(at <= n);
    if (sorted)
        assert((at == n || prefix_at(run, at) >= prefix) && (at == 0 || prefix_at(run, at - 1) < prefix));
}

/* Opens DIR/FROM-TO with this content; is it whole? */
static bool open_run(struct seen_run *run, uint64_t from, uint64_t to, struct span content)
{
    struct why why;
    char path[128];
    bool whole;
    snprintf(path, sizeof path, "%s/%llu-%llu", still_folder(), (unsigned long long)from, (unsigned long long)to);
    must(file_replace_soft(path, 0600, content, &why), &why);
    must(seen_run_open(run, still_folder(), from, to, &whole, &why), &why);
    assert(whole == (run->map != NULL));
    if (!whole)
        remove(path);
    return whole;
}

static void check(const struct seen_run *run)
{
    bool sorted = is_sorted(run);
    seek(run, 0, sorted);
    seek(run, UINT64_MAX, sorted);
    for (uint64_t i = 0; i < seen_run_entries(run); i++)
        for (uint64_t k = 0; k < 3; k++)
            seek(run, prefix_at(run, i) + k - 1, sorted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char magic[16] = "stele seen v1\n";
    struct seen_run run;
    struct buf content = BUF_EMPTY;
    uint64_t from = len >= HEAD_BYTES ? get_be64(data + 16) : 0, to = len >= HEAD_BYTES ? get_be64(data + 24) : 1;
    if (open_run(&run, from, to, span_of(data, len))) {
        assert(len >= HEAD_BYTES && memcmp(data, magic, sizeof magic) == 0);
        seen_run_close(&run, true);
    }
    if (len < HEAD_BYTES || memcmp(data, magic, sizeof magic) != 0)
        return 0;
    struct sha256 state;
    sha256_start(&state);
    sha256_add(&state, data, HASH_AT);
    sha256_add(&state, data + HEAD_BYTES, len - HEAD_BYTES);
    struct hash hash = sha256_end(&state);
    buf_add(&content, data, len);
    memcpy(content.data + HASH_AT, hash.b, sizeof hash.b);
    bool fits = to > from && to - from <= UINT32_MAX && (to - from) * SEEN_RECORD_BYTES == len - HEAD_BYTES;
    assert(open_run(&run, from, to, span_buf(&content)) == fits);
    if (fits) {
        check(&run);
        seen_run_close(&run, true);
    }
    buf_free(&content);
    return 0;
}
