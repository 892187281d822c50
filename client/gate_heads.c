#include "client/gate_heads.h"

#include "client/memory.h"
#include "lib/sys/report.h"
#include "lib/wire.h"

void gate_heads_put(struct buf *out, const struct evidence_head *head)
{
    if (!head->proven && !head->quorum_short)
        return;
    wire_put_u64(out, head->proven);
    wire_put(out, span_of(head->note, head->note_len));
}

static enum err show(const struct client_config *config, struct span text, bool proven, struct why *why)
{
    struct note note;
    struct checkpoint checkpoint;
    struct why what;
    bool conflict;
    enum err err = note_parse(&note, text, why);
    if (err == OK)
        err = checkpoint_parse(&checkpoint, note.text, why);
    if (err != OK)
        return err;
    return proven ? memory_see(config, &checkpoint, text, why) : memory_hear(config, &checkpoint, text, &conflict, &what, why);
}

bool gate_heads_show(const struct client_config *config, struct span heads)
{
    uint64_t proven;
    struct span note;
    struct why why;
    bool kept = true;
    while (heads.len > 0 && wire_take_u64(&heads, &proven) && wire_take(&heads, &note)) {
        /* ERR_REFUSED is a fork: told, kept on the disk, and found by gate_heads_check. A full disk must not open the gate, nor
         * close it: what was proven is proven. */
        enum err err = show(config, note, proven != 0, &why);
        if (err != OK && err != ERR_REFUSED)
            report_why(REPORT_WARN, "head-not-kept", &why);
        kept &= err == OK || err == ERR_REFUSED;
    }
    return kept;
}

enum err gate_heads_check(const struct client_config *config, struct span origins, struct why *why)
{
    struct span origin;
    while (span_line(&origins, &origin))
        if (memory_forked(config, origin))
            return fail(why, ERR_REFUSED, "the log %.*s has FORKED, and is not believed any more", SPAN_FMT(origin));
    return OK;
}
