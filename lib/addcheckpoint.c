#include "lib/addcheckpoint.h"

enum err add_checkpoint_parse(struct add_checkpoint *out, struct span body, struct why *why)
{
    struct span rest = body, line;
    if (!span_line(&rest, &line) || !span_skip(&line, "old ") || !span_decimal(line, TREE_SIZE_MAX, &out->old))
        return fail(why, ERR_MALFORMED, "line 1 is not `old` and a tree size in decimal (tlog-witness, \"add-checkpoint\")");
    out->proof_n = 0;
    for (;;) {
        if (!span_line(&rest, &line))
            return fail(why, ERR_MALFORMED, "no empty line before the checkpoint (tlog-witness, \"add-checkpoint\")");
        if (line.len == 0)
            break;
        if (out->proof_n == PROOF_HASHES_MAX)
            return fail(why, ERR_MALFORMED, "more than %d proof lines (tlog-witness, \"add-checkpoint\")", PROOF_HASHES_MAX);
        struct hash *hash = &out->proof[out->proof_n++];
        if (!base64_decode_to(line, hash->b, sizeof hash->b))
            return fail(why, ERR_MALFORMED, "line %zu is not a hash in base64 (tlog-witness, \"add-checkpoint\")",
                        out->proof_n + 1);
    }
    enum err err = note_parse(&out->note, rest, why);
    return err == OK ? checkpoint_parse(&out->checkpoint, out->note.text, why) : err;
}

bool add_checkpoint_conflict_parse(struct span body, uint64_t *size)
{
    struct span number;
    return span_line(&body, &number) && body.len == 0 && span_decimal(number, TREE_SIZE_MAX, size);
}
