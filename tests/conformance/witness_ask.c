#include "tests/conformance/witness_ask.h"

#include <stdio.h>

#include "lib/addcheckpoint.h"
#include "lib/cosignature.h"

enum { MLDSA_COSIGNATURE_BYTES = 8 + 2420 };

const struct witness_under_test *under_test;
struct buf body;

unsigned post(void)
{
    return ask_post(under_test->submission, "add-checkpoint", span_buf(&body));
}

bool refused(unsigned status)
{
    return status >= 400;
}

unsigned add(const struct own_log *log, uint64_t old, uint64_t size)
{
    own_request(&body, log, old, size);
    return post();
}

unsigned get_note(const struct own_log *log)
{
    char path[64 + sizeof "/checkpoint"];
    own_note_path(log->vkey.name, path);
    return ask_get(under_test->monitoring, path, NULL);
}

bool stands_at(const struct own_log *log, uint64_t size)
{
    char want[24];
    snprintf(want, sizeof want, "%llu\n", (unsigned long long)size);
    return add(log, size + 1, LEAVES) == 409 && span_is(span_buf(&last.body), want);
}

uint64_t standing(const struct own_log *log, uint64_t otherwise)
{
    uint64_t size = otherwise;
    if (add(log, LEAVES, LEAVES) == 409 && last.body.len > 0)
        span_decimal(span_cut(span_buf(&last.body), 0, last.body.len - 1), LEAVES, &size);
    return size;
}

void whole(const char *front, struct span text, struct span signatures)
{
    buf_clear(&body);
    buf_str(&body, front);
    buf_span(&body, text);
    buf_byte(&body, '\n');
    buf_span(&body, signatures);
}

void stray_line(struct buf *out, const struct own_log *log, bool known)
{
    struct vkey key = log->vkey;
    uint8_t sig[64] = { 1, 2, 3 };
    if (!known)
        key.id ^= 0x5a5a5a5a;
    note_sig_render(out, &key, span_of(sig, sizeof sig));
}

bool cosigned_well(const char *which_case)
{
    struct add_checkpoint parsed;
    struct buf line = BUF_EMPTY;
    struct span rest = span_buf(&last.body), one;
    struct note_sig sig;
    struct why why;
    uint64_t time_s = 0;
    check(UPDATES, last.status == 200, which_case);
    if (last.status != 200)
        return false;
    bool whole_lines = rest.len > 0, mldsa = false;
    while (span_line(&rest, &one))
        whole_lines = whole_lines && span_starts(one, "\xe2\x80\x94 ");
    check(ANSWER_LINES, whole_lines && rest.len == 0, which_case);
    for (rest = span_buf(&last.body); whole_lines && note_next_sig(&rest, &sig);)
        mldsa = mldsa || sig.sig_bytes == MLDSA_COSIGNATURE_BYTES;
    if (mldsa)
        untested(ANSWER_MLDSA, "there is a line of its length; " SAY_MLDSA);
    else
        check(ANSWER_MLDSA, false, which_case);
    bool well = add_checkpoint_parse(&parsed, span_buf(&body), &why) == OK &&
                cosignature_from_reply(span_buf(&last.body), parsed.note.text, &under_test->key, &line, &time_s, &why) == OK;
    static const enum clause shown[] = { ANSWER_COSIGNS, COSIGNER_ID, COSIGNATURE, COSIGNED_TIME, MESSAGE, MESSAGE_HEAD };
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        check(shown[i], well, which_case);
    check(ANSWER_TIME, well && time_s > 0, which_case);
    buf_free(&line);
    return well && whole_lines;
}
