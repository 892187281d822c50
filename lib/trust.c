/* Reading trust files; lib/trust_judge.c applies them. */
#include "lib/trust.h"

#include <stdlib.h>

#include "lib/config.h"
#include "lib/lines.h"
#include "lib/merkle.h"

struct reading {
    struct trust *trust;
    struct lines lines;
    unsigned backfill_line, fixed_line, divergence_line, inputs_line, default_line;
    struct why *why;
};

static enum err in_line(const struct reading *reading, enum err err)
{
    return err == OK ? OK : fail_in(reading->why, err, "%s line %u", reading->lines.file, reading->lines.number);
}

/* A growing list of anything: room for one more. */
static enum err more(void **items, size_t n, size_t item_bytes, struct why *why)
{
    void *grown = array_more(*items, n, item_bytes);
    if (grown == NULL)
        return fail(why, ERR_ENV, "out of memory");
    *items = grown;
    memset((char *)grown + n * item_bytes, 0, item_bytes);
    return OK;
}

static enum err take_party(struct reading *reading, struct span rest, bool cache)
{
    struct trust *trust = reading->trust;
    struct span name, key, extra;
    uint32_t node;
    if (!span_word(&rest, &name) || !span_word(&rest, &key) || span_word(&rest, &extra))
        return lines_fail(&reading->lines, reading->why,
                          cache ? "a cache is: cache NAME NIXKEY" : "a builder is: builder NAME VKEY");
    if (trust->parties_n == TRUST_BUILDERS_MAX)
        return lines_fail(&reading->lines, reading->why, "more than %d builders and caches", TRUST_BUILDERS_MAX);
    struct trust_party *party = &trust->parties[trust->parties_n];
    *party = (struct trust_party){ .name = name, .cache = cache };
    enum err err =
        cache ? nix_key_parse(&party->nix_key, key, reading->why) : vkey_parse(&party->key, key, SIG_ED25519, reading->why);
    if (err != OK)
        return in_line(reading, err);
    const uint8_t *bytes = cache ? party->nix_key.key : party->key.key;
    for (size_t i = 0; i < trust->parties_n; i++) {
        const struct trust_party *other = &trust->parties[i];
        if (memcmp(other->cache ? other->nix_key.key : other->key.key, bytes, 32) == 0)
            return lines_fail(&reading->lines, reading->why, "this public key stands in the file already, as %.*s",
                              SPAN_FMT(other->name));
    }
    err = in_line(reading, quorum_leaf(&trust->quorum, name, &node, reading->why));
    trust->parties_n += err == OK;
    return err;
}

static enum err take_group(struct reading *reading, struct span rest)
{
    struct span name;
    uint32_t node;
    if (!span_word(&rest, &name))
        return lines_fail(&reading->lines, reading->why, "a group is: group NAME all|any|K MEMBER...");
    return in_line(reading, quorum_group(&reading->trust->quorum, name, rest, &node, reading->why));
}

static enum err take_quorum(struct reading *reading, struct span rest)
{
    struct trust *trust = reading->trust;
    struct span name, globs;
    if (!span_word(&rest, &name))
        return lines_fail(&reading->lines, reading->why, "a quorum is: quorum NAME [GLOB...]");
    int64_t node = quorum_find(&trust->quorum, name);
    if (node < 0)
        return lines_fail(&reading->lines, reading->why, "%.*s is not defined on a line before", SPAN_FMT(name));
    enum err err = in_line(reading, quorum_reach_once(&trust->quorum, (uint32_t)node, reading->why));
    void *items = trust->quorums;
    if (err == OK)
        err = more(&items, trust->quorums_n, sizeof *trust->quorums, reading->why);
    trust->quorums = items;
    if (err != OK)
        return err;
    struct span word, look = rest;
    globs = span_word(&look, &word) ? rest : span_of(NULL, 0);
    if (globs.len == 0 && reading->default_line != 0)
        return lines_fail(&reading->lines, reading->why, "a second quorum without a glob: line %u has the default",
                          reading->default_line);
    if (globs.len == 0)
        reading->default_line = reading->lines.number;
    trust->quorums[trust->quorums_n++] = (struct trust_quorum){ (uint32_t)node, globs, reading->lines.number };
    return OK;
}

/* "from INDEX ORIGIN" or "before INDEX ORIGIN". */
static bool take_bound(struct span *rest, const char *word, uint64_t *index, struct span *origin)
{
    struct span first, number, extra;
    return span_word(rest, &first) && span_is(first, word) && span_word(rest, &number) &&
           span_decimal(number, TREE_SIZE_MAX, index) && span_word(rest, origin) && !span_word(rest, &extra);
}

static enum err take_revoke(struct reading *reading, struct span rest)
{
    struct trust *trust = reading->trust;
    struct span name, look, word;
    if (!span_word(&rest, &name))
        return lines_fail(&reading->lines, reading->why, "a revocation is: revoke NAME [from INDEX ORIGIN]");
    int64_t node = quorum_find(&trust->quorum, name);
    if (node < 0 || trust->quorum.nodes[node].group)
        return lines_fail(&reading->lines, reading->why, "%.*s is no builder or cache of a line before", SPAN_FMT(name));
    struct trust_revocation one = { .party = trust->quorum.nodes[node].leaf };
    look = rest;
    one.all = !span_word(&look, &word);
    if (!one.all && !take_bound(&rest, "from", &one.from_index, &one.origin))
        return lines_fail(&reading->lines, reading->why, "a revocation is: revoke NAME [from INDEX ORIGIN]");
    for (size_t i = 0; i < trust->revocations_n; i++)
        if (trust->revocations[i].party == one.party &&
            (one.all ? trust->revocations[i].all : !trust->revocations[i].all && span_eq(trust->revocations[i].origin, one.origin)))
            return lines_fail(&reading->lines, reading->why, "%.*s is revoked in the same way on a line before", SPAN_FMT(name));
    void *items = trust->revocations;
    enum err err = more(&items, trust->revocations_n, sizeof *trust->revocations, reading->why);
    trust->revocations = items;
    if (err == OK)
        trust->revocations[trust->revocations_n++] = one;
    return err;
}

static enum err take_exempt(struct reading *reading, struct span rest)
{
    struct trust *trust = reading->trust;
    struct span glob, extra;
    if (!span_word(&rest, &glob) || span_word(&rest, &extra))
        return lines_fail(&reading->lines, reading->why, "an exemption is: exempt GLOB");
    void *items = trust->exempt;
    enum err err = more(&items, trust->exempt_n, sizeof *trust->exempt, reading->why);
    trust->exempt = items;
    if (err == OK)
        trust->exempt[trust->exempt_n++] = glob;
    return err;
}

/* A line that may stand once, of one word out of two: whether it is the second. */
static enum err take_choice(struct reading *reading, struct span rest, unsigned *line, const char *key, const char *first,
                            const char *second, bool *out)
{
    struct span word, extra;
    if (*line != 0)
        return lines_fail(&reading->lines, reading->why, "`%s` stands on line %u already", key, *line);
    *line = reading->lines.number;
    if (!span_word(&rest, &word) || (!span_is(word, first) && !span_is(word, second)) || span_word(&rest, &extra))
        return lines_fail(&reading->lines, reading->why, "wanted: %s %s|%s", key, first, second);
    *out = span_is(word, second);
    return OK;
}

static enum err take_backfill(struct reading *reading, struct span rest)
{
    struct trust *trust = reading->trust;
    struct span word, look, extra;
    if (reading->backfill_line != 0)
        return lines_fail(&reading->lines, reading->why, "`backfill` stands on line %u already", reading->backfill_line);
    reading->backfill_line = reading->lines.number;
    if (!span_word(&rest, &word) || (!span_is(word, "refuse") && !span_is(word, "accept")))
        return lines_fail(&reading->lines, reading->why, "wanted: backfill refuse | accept [before INDEX ORIGIN]");
    trust->backfill_accept = span_is(word, "accept");
    look = rest;
    if (!span_word(&look, &extra))
        return OK;
    trust->backfill_bounded = true;
    if (!trust->backfill_accept || !take_bound(&rest, "before", &trust->backfill_before, &trust->backfill_origin))
        return lines_fail(&reading->lines, reading->why, "wanted: backfill refuse | accept [before INDEX ORIGIN]");
    return OK;
}

static enum err take_line(struct reading *reading, struct span rest)
{
    struct trust *trust = reading->trust;
    struct span word;
    span_word(&rest, &word);
    if (span_is(word, "builder") || span_is(word, "cache"))
        return take_party(reading, rest, span_is(word, "cache"));
    if (span_is(word, "group"))
        return take_group(reading, rest);
    if (span_is(word, "quorum"))
        return take_quorum(reading, rest);
    if (span_is(word, "revoke"))
        return take_revoke(reading, rest);
    if (span_is(word, "exempt"))
        return take_exempt(reading, rest);
    if (span_is(word, "backfill"))
        return take_backfill(reading, rest);
    if (span_is(word, "fixed-output"))
        return take_choice(reading, rest, &reading->fixed_line, "fixed-output", "accept", "require", &trust->fixed_output_require);
    if (span_is(word, "divergence"))
        return take_choice(reading, rest, &reading->divergence_line, "divergence", "warn", "refuse", &trust->divergence_refuse);
    if (span_is(word, "inputs"))
        return take_choice(reading, rest, &reading->inputs_line, "inputs", "any", "attested", &trust->inputs_attested);
    return lines_fail(&reading->lines, reading->why,
                      "`%.*s` is none of builder, cache, group, quorum, revoke, exempt, backfill, fixed-output, divergence, inputs",
                      SPAN_FMT(word));
}

enum err trust_parse(struct trust *out, struct span text, const char *file, struct why *why)
{
    *out = (struct trust){ .quorum.shared_members = true };
    struct reading reading = { .trust = out, .why = why };
    struct span line;
    if (text.len > POLICY_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "%s: more than %d bytes", file, POLICY_BYTES_MAX);
    out->text = span_dup_str(text);
    out->parties = calloc(TRUST_BUILDERS_MAX, sizeof *out->parties);
    enum err err = out->text == NULL || out->parties == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = lines_start(&reading.lines, span_of(out->text, text.len), file, why);
    for (size_t n = 0; err == OK && lines_next(&reading.lines, &line); n++)
        err = n == TRUST_LINES_MAX ? lines_fail(&reading.lines, why, "more than %d lines", TRUST_LINES_MAX)
                                   : take_line(&reading, line);
    if (err == OK && reading.default_line == 0)
        err =
            fail(why, ERR_MALFORMED,
                 "%s: no default: exactly one line `quorum NAME` without a glob says who must agree where no other matches", file);
    if (err != OK)
        trust_free(out);
    return err;
}

void trust_free(struct trust *trust)
{
    free(trust->text);
    free(trust->parties);
    quorum_free(&trust->quorum);
    free(trust->quorums);
    free(trust->revocations);
    free(trust->exempt);
    *trust = (struct trust){ 0 };
}

int64_t trust_builder(const struct trust *trust, const struct vkey *key)
{
    for (size_t i = 0; i < trust->parties_n; i++) {
        const struct trust_party *party = &trust->parties[i];
        if (!party->cache && memcmp(party->key.key, key->key, sizeof key->key) == 0 && span_eq(party->key.name, key->name))
            return (int64_t)i;
    }
    return -1;
}

const struct trust_quorum *trust_quorum_for(const struct trust *trust, struct span name)
{
    const struct trust_quorum *found = NULL, *fallback = NULL;
    for (size_t i = 0; i < trust->quorums_n; i++) {
        struct span globs = trust->quorums[i].globs, glob;
        if (globs.len == 0)
            fallback = &trust->quorums[i];
        while (span_word(&globs, &glob))
            if (glob_match(glob, name))
                found = &trust->quorums[i];
    }
    return found != NULL ? found : fallback;
}

size_t trust_cache_keys(const struct trust *trust, struct nix_key *keys, uint32_t *parties, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < trust->parties_n && n < max; i++)
        if (trust->parties[i].cache) {
            keys[n] = trust->parties[i].nix_key;
            parties[n++] = (uint32_t)i;
        }
    return n;
}
