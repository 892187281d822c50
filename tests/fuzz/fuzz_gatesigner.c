/*
 * Whatever comes to the gate's signer from a front that was taken over (spec/invariants.md, 2): a series of requests, each a
 * field of lib/wire.h, to a signer that has met no head yet. What it signs is proven or exempt, whoever asks.
 */
#include <assert.h>

#include "client/gate_signer_child.h"
#include "lib/wire.h"
#include "tests/fuzz/gate_world.h"
#include "tests/fuzz/still.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NARINFO_FIELD = 6, LAST_FIELD = 9 };

static struct client_config config;
static struct gate_signer *signer;

static void start_anew(void)
{
    struct why why;
    if (signer == NULL) {
        gate_world_start(&config, &signer);
        return;
    }
    gate_signer_stop(signer);
    must(gate_signer_start(&signer, &config, GATE_WORLD_DIR, &why), &why);
}

/* The answer to a question: its flags, and then fields. */
static void check_verdict(struct span reply)
{
    struct span field, narinfo = { 0 };
    uint64_t flags;
    assert(wire_take_u64(&reply, &flags));
    for (size_t i = 0; i <= LAST_FIELD - 1; i++) {
        assert(wire_take(&reply, &field));
        if (i + 1 == NARINFO_FIELD)
            narinfo = field;
    }
    assert(reply.len == 0 && (flags & FLAG_PASSES) == (narinfo.len > 0));
    if (flags & FLAG_PASSES)
        gate_world_check(signer, narinfo);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len), request;
    start_anew();
    while (wire_take(&input, &request)) {
        struct buf reply = BUF_EMPTY;
        struct why why = { "" };
        uint64_t number;
        enum err err = still_ask(request, &reply, &why);
        if (err != OK)
            assert(err != ERR_ENV && why.text[0] != '\0');
        else if (wire_take_u64(&request, &number) && number % OPS == OP_JUDGE)
            check_verdict(span_buf(&reply));
        buf_free(&reply);
    }
    return 0;
}
