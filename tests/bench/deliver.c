/*
 * Fills an outbox with attestations of about 1.9 KB, as the hook would have left them.
 *
 *   deliver OUTBOX KEYFILE FIRST N      numbered from FIRST; the outbox is made
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/file.h"
#include "tests/attestation.h"

enum { ATTESTATION_INPUTS = 2 };

static enum err put(const char *outbox, const struct secret_key *key, uint64_t number, struct buf *lines, struct buf *path,
                    struct why *why)
{
    bool exists;
    buf_clear(lines);
    buf_clear(path);
    enum err err = test_attestation(lines, key, number, ATTESTATION_INPUTS, why);
    struct hash hash = sha256_of(span_buf(lines));
    buf_fmt(path, "%s/", outbox);
    nix32_encode(path, span_of(hash.b, 20));
    buf_byte(path, '-');
    hex_encode(path, span_of(hash.b + 20, 8));
    buf_str(path, ".jsonl");
    buf_byte(path, '\0');
    if (err == OK)
        err = buf_done(path, why);
    return err == OK ? file_create_soft((const char *)path->data, 0600, span_buf(lines), &exists, why) : err;
}

int main(int argc, char **argv)
{
    uint64_t first, n;
    struct secret_key *key = NULL;
    struct buf lines = BUF_EMPTY, path = BUF_EMPTY;
    struct why why;
    if (argc != 5 || !span_decimal(span_str(argv[3]), UINT32_MAX, &first) || !span_decimal(span_str(argv[4]), UINT32_MAX, &n)) {
        fprintf(stderr, "usage: deliver OUTBOX KEYFILE FIRST N\n");
        return ERR_USAGE;
    }
    enum err err = key_system_start(&why);
    if (err == OK)
        err = secret_key_load(&key, argv[2], SIG_ED25519, &why);
    if (err == OK)
        err = dir_make(argv[1], 0700, &why);
    for (uint64_t i = first; i < first + n && err == OK; i++)
        err = put(argv[1], key, i, &lines, &path, &why);
    if (err == OK)
        err = dir_sync_all(argv[1], &why);
    if (err != OK)
        fprintf(stderr, "deliver: %s\n", why.text);
    secret_key_free(key);
    buf_free(&lines);
    buf_free(&path);
    return (int)err;
}
