/*
 * Whatever comes to the log's signer from a process that was taken over (spec/invariants.md, 2): a series of requests, each a field
 * of lib/wire.h, to a signer that has signed nothing yet. Whatever they are, no log's heads fall, and none has two roots at a size.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/checkpoint.h"
#include "lib/sys/signer.h"
#include "lib/wire.h"
#include "tests/fuzz/still.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { OP_SIGN = 1, ORIGINS_MAX = 1024 };

static char key_path[128], heads_path[128];
static struct signer *signer;

static struct signed_origin {
    struct hash origin;
    struct head last;
} origins[ORIGINS_MAX];
static size_t origins_n;

static void begin(void)
{
    struct why why;
    struct secret_key *key;
    must(key_system_start(&why), &why);
    key = new_key("log.example/fuzz", SIG_ED25519);
    snprintf(key_path, sizeof key_path, "%s/key", still_folder());
    snprintf(heads_path, sizeof heads_path, "%s/heads", still_folder());
    must(secret_key_save(key, key_path, &why), &why);
    secret_key_free(key);
}

static void start_anew(void)
{
    const struct signer_config config = { .key_path = key_path, .heads_path = heads_path, .type = SIG_ED25519 };
    struct why why;
    if (key_path[0] == '\0')
        begin();
    signer_stop(signer);
    remove(heads_path);
    must(heads_create(heads_path, &why), &why);
    must(signer_start(&signer, &config, &why), &why);
    origins_n = 0;
}

/* A signature left the signer. */
static void check_signed(struct span text, struct span sig)
{
    struct checkpoint checkpoint;
    struct why why;
    size_t i = 0;
    assert(checkpoint_parse(&checkpoint, text, &why) == OK);
    assert(sig.len == 64 && ed25519_verify(sig.data, text, signer_key(signer)->key));
    struct hash origin = sha256_of(checkpoint.origin);
    while (i < origins_n && !hash_eq(&origins[i].origin, &origin))
        i++;
    if (i == ORIGINS_MAX)
        return;
    struct head *last = &origins[i].last;
    assert(i == origins_n || checkpoint.size > last->size ||
           (checkpoint.size == last->size && hash_eq(&checkpoint.root, &last->root)));
    origins[i] = (struct signed_origin){ origin, { checkpoint.size, checkpoint.root } };
    origins_n += i == origins_n;
}

/* The answers to a request to sign, beside what was asked. */
static void check_answers(struct span request, struct span reply)
{
    uint64_t op, n, old, verdict, behind, size, time_s;
    struct span text, proof, root, sig, why;
    assert(wire_take_u64(&request, &op));
    if (op != OP_SIGN)
        return;
    assert(wire_take_u64(&request, &n));
    for (uint64_t i = 0; i < n; i++) {
        assert(wire_take(&request, &text) && wire_take_u64(&request, &old) && wire_take(&request, &proof));
        assert(wire_take_u64(&reply, &verdict) && wire_take_u64(&reply, &behind) && wire_take_u64(&reply, &size));
        assert(wire_take(&reply, &root) && wire_take_u64(&reply, &time_s) && wire_take(&reply, &sig) && wire_take(&reply, &why));
        if (verdict == HEAD_OK && !behind)
            check_signed(text, sig);
        else
            assert(why.len > 0);
    }
    assert(reply.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len), request;
    if (signer == NULL || origins_n > 0)
        start_anew();
    while (wire_take(&input, &request)) {
        struct buf reply = BUF_EMPTY;
        struct why why = { "" };
        enum err err = still_ask(request, &reply, &why);
        if (err == OK)
            check_answers(request, span_buf(&reply));
        else
            assert(err == ERR_MALFORMED && why.text[0] != '\0');
        buf_free(&reply);
    }
    return 0;
}
