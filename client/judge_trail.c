#include "client/judge_trail.h"

#include <stdlib.h>

void judge_trail_free(struct judge_trail *trail)
{
    trail_free(trail->trail);
    narinfo_free(&trail->info);
    free(trail->text);
    *trail = (struct judge_trail){ 0 };
}

enum err judge_trail_start(struct judge_trail *out, const struct judge *judge, struct trail_memory *memory,
                           const struct client_config *heads, struct span narinfo, struct span dir, struct why *why)
{
    struct trail_config config = { .policy = &judge->policy, .trust = &judge->trust, .memory = memory, .heads = heads };
    judge_trail_free(out);
    out->text = span_dup_str(narinfo);
    out->text_len = narinfo.len;
    if (out->text == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = narinfo_parse(&out->info, span_of(out->text, out->text_len), dir, why);
    if (err != OK)
        return err == ERR_ENV ? err : OK; /* malformed: the judge says so */
    struct trust_path path = judge_path(&out->info);
    err = trail_new(&out->trail, &config, why);
    return err == OK ? trail_ask(out->trail, &path, why) : err;
}

struct trust_inputs judge_trail_inputs(const struct judge_trail *trail, struct span narinfo)
{
    if (trail->trail == NULL || !span_eq(narinfo, span_of(trail->text, trail->text_len)))
        return (struct trust_inputs){ NULL, NULL };
    return trail_inputs(trail->trail);
}
