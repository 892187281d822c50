#include "client/trace.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

static enum err out_of_memory(struct why *why)
{
    return fail(why, ERR_ENV, "out of memory");
}

const char *trace_state(const struct trail_node *node)
{
    switch (node->basis) {
    case BASIS_ATTESTED: return "attested";
    case BASIS_VOUCHED: return "vouched";
    case BASIS_EXEMPT: return "exempt";
    case BASIS_GROUND: return "ground";
    case BASIS_REMEMBERED: return "remembered";
    case NOTHING: break;
    }
    return "broken";
}

/* Each version once, in the order in which a reader meets them: what an attestation that may count was built from, after it. Calls
 * `each` with its depth, and again, with `seen`, for every further mention. */
struct walk {
    const struct trail *trail;
    enum err (*each)(struct walk *walk, uint32_t node, unsigned depth, bool seen, struct why *why);
    void *ctx;
};

struct mention {
    uint32_t node;
    unsigned depth;
};

/* The inputs of a version's attestations, each once, pushed so that they come in order. */
static bool push_inputs(const struct trail *trail, uint32_t number, unsigned depth, bool *listed, struct table *stack)
{
    const struct trail_node *node = node_at(trail, number);
    uint32_t from = stack->n;
    bool had = true;
    for (uint32_t s = place_at(trail, node->place)->step; s != NONE && had; s = step_at(trail, s)->next) {
        const struct trail_build *build = build_at(trail, step_at(trail, s)->build);
        for (uint32_t i = 0; i < build->inputs_n && trail_step_counts(step_at(trail, s), node) && had; i++) {
            uint32_t input = input_at(trail, build->input + build->inputs_n - 1 - i)->node;
            if (input == NONE || listed[input])
                continue;
            listed[input] = true;
            had = table_room(stack, sizeof(struct mention), 1);
            if (had)
                ((struct mention *)stack->items)[stack->n++] = (struct mention){ input, depth + 1 };
        }
    }
    for (uint32_t i = from; i < stack->n; i++)
        listed[((struct mention *)stack->items)[i].node] = false;
    return had;
}

static enum err walk(struct walk *walk, struct why *why)
{
    const struct trail *trail = walk->trail;
    bool *seen = calloc((size_t)trail->nodes.n + 1, 1), *listed = calloc((size_t)trail->nodes.n + 1, 1);
    struct table stack = { 0 };
    bool had = seen != NULL && listed != NULL && table_room(&stack, sizeof(struct mention), 1);
    enum err err = had ? OK : out_of_memory(why);
    if (had)
        ((struct mention *)stack.items)[stack.n++] = (struct mention){ trail->root, 0 };
    while (err == OK && stack.n > 0) {
        struct mention at = ((struct mention *)stack.items)[--stack.n];
        err = walk->each(walk, at.node, at.depth, seen[at.node], why);
        if (err == OK && !seen[at.node] && node_at(trail, at.node)->basis != BASIS_GROUND &&
            !push_inputs(trail, at.node, at.depth, listed, &stack))
            err = out_of_memory(why);
        seen[at.node] = true;
    }
    free(seen);
    free(listed);
    free(stack.items);
    return err;
}

static void print_builders(const struct trail *trail, const struct trail_node *node)
{
    for (uint32_t s = place_at(trail, node->place)->step; s != NONE; s = step_at(trail, s)->next) {
        const struct trail_build *build = build_at(trail, step_at(trail, s)->build);
        struct why why;
        if (!trail_step_counts(step_at(trail, s), node))
            continue;
        printf("; builder %.*s, %s, index %llu in %.*s", SPAN_FMT(trail->config.trust->parties[build->party].name),
               claim_name(build->claim), (unsigned long long)build->index,
               SPAN_FMT(trail->config.policy->logs[build->origin].key.name));
        trail_build_why(trail, step_at(trail, s)->build, &why);
        if (build->state != BUILD_COMPLETE)
            printf(" (%s)", why.text);
    }
}

enum { INDENT_MAX = 60 };

static enum err print_line(struct walk *walk, uint32_t number, unsigned depth, bool seen, struct why *why)
{
    const struct trail *trail = walk->trail;
    const struct trail_node *node = node_at(trail, number);
    struct why text;
    (void)why;
    unsigned indent = 2 * depth > INDENT_MAX ? INDENT_MAX : 2 * depth;
    printf("%*s%s%.*s: ", (int)indent, "", 2 * depth > INDENT_MAX ? "… " : "", SPAN_FMT(place_at(trail, node->place)->path.base));
    trail_node_why(trail, number, &text);
    if (seen) {
        printf("%s, as above\n", trace_state(node));
        return OK;
    }
    printf("%s%s", node->basis == NOTHING ? "BROKEN: " : "", text.text);
    if (node->basis != BASIS_GROUND)
        print_builders(trail, node);
    printf("\n");
    return OK;
}

enum err trace_show_text(const struct trail *trail, struct why *why)
{
    static const char *const names[] = { "broken", "attested", "vouched", "exempt", "ground", "remembered" };
    size_t counts[sizeof names / sizeof *names] = { 0 };
    struct walk printing = { trail, print_line, NULL };
    const char *join = "";
    enum err err = walk(&printing, why);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < trail->nodes.n; i++)
        counts[node_at(trail, i)->basis]++;
    printf("%u paths: ", trail->nodes.n);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (counts[i] > 0) {
            printf("%s%zu %s", join, counts[i], names[i]);
            join = ", ";
        }
    printf("\n");
    return OK;
}

static json_t *json_span(struct span s)
{
    return json_stringn((const char *)s.data, s.len);
}

static json_t *json_build(const struct trail *trail, uint32_t number)
{
    const struct trail_build *build = build_at(trail, number);
    struct why why;
    json_t *inputs = json_array();
    trail_build_why(trail, number, &why);
    for (uint32_t i = build->input; i < build->input + build->inputs_n; i++)
        if (input_at(trail, i)->node != NONE)
            json_array_append_new(inputs, json_integer(input_at(trail, i)->node));
    return json_pack("{s:o, s:o, s:I, s:s, s:o, s:o, s:b, s:s, s:b, s:o}", "builder",
                     json_span(trail->config.trust->parties[build->party].name), "origin",
                     json_span(trail->config.policy->logs[build->origin].key.name), "index", (json_int_t)build->index, "claim",
                     claim_name(build->claim), "derivation", json_span(build->derivation), "witnesses", json_span(build->witnesses),
                     "complete", build->state == BUILD_COMPLETE, "why", why.text, "recorded", build->recorded, "inputs", inputs);
}

static json_t *json_node(const struct trail *trail, uint32_t number)
{
    const struct trail_node *node = node_at(trail, number);
    struct why why;
    struct buf hex = BUF_EMPTY;
    json_t *builds = json_array();
    trail_node_why(trail, number, &why);
    hex_encode(&hex, span_of(node->nar_hash.b, 32));
    for (uint32_t s = place_at(trail, node->place)->step; s != NONE; s = step_at(trail, s)->next)
        if (trail_step_counts(step_at(trail, s), node))
            json_array_append_new(builds, json_build(trail, step_at(trail, s)->build));
    const char *kind = node->claims & AS_OUTPUT   ? "output"
                       : node->claims & AS_FIXED  ? "fixed"
                       : node->claims & AS_SOURCE ? "source"
                                                  : "";
    json_t *object =
        json_pack("{s:o, s:o, s:s, s:s, s:s, s:o}", "path", json_span(place_at(trail, node->place)->path.path), "narHash",
                  json_span(span_buf(&hex)), "kind", kind, "state", trace_state(node), "why", why.text, "attestations", builds);
    buf_free(&hex);
    return object;
}

enum err trace_show_json(const struct trail *trail, bool complete, struct why *why)
{
    struct why end;
    json_t *nodes = json_array(), *report;
    bool had = nodes != NULL;
    trail_why(trail, &end);
    for (uint32_t i = 0; i < trail->nodes.n && had; i++)
        had = json_array_append_new(nodes, json_node(trail, i)) == 0;
    report = json_pack("{s:b, s:s, s:I, s:o}", "complete", complete, "why", end.text, "asked",
                       (json_int_t)(trail->root == NONE ? 0 : trail->root), "paths", nodes);
    if (!had || report == NULL) {
        json_decref(report);
        return out_of_memory(why);
    }
    json_dumpf(report, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(report);
    return OK;
}

enum err trace_show_dot(const struct trail *trail, struct why *why)
{
    static const char *const colours[] = { "red", "darkgreen", "orange", "gray", "black", "darkgreen" };
    (void)why;
    /* Store paths have none of the characters that would need escaping. */
    printf("digraph trail {\n  rankdir=LR;\n  node [shape=box, fontname=monospace];\n");
    for (uint32_t i = 0; i < trail->nodes.n; i++) {
        const struct trail_node *node = node_at(trail, i);
        printf("  n%u [label=\"%.*s\\n%s\", color=%s];\n", i, SPAN_FMT(place_at(trail, node->place)->path.base), trace_state(node),
               colours[node->basis]);
        for (uint32_t s = place_at(trail, node->place)->step; s != NONE; s = step_at(trail, s)->next) {
            const struct trail_build *build = build_at(trail, step_at(trail, s)->build);
            for (uint32_t k = 0; k < build->inputs_n && trail_step_counts(step_at(trail, s), node); k++)
                if (input_at(trail, build->input + k)->node != NONE)
                    printf("  n%u -> n%u [label=\"%.*s\"];\n", i, input_at(trail, build->input + k)->node,
                           SPAN_FMT(trail->config.trust->parties[build->party].name));
        }
    }
    printf("}\n");
    return OK;
}
