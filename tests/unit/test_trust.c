/* The grammar of trust files, and what comes of them: who says what of a path, and the verdict. */
#include "tests/unit/support.h"
#include "tests/unit/trust_file.h"

#include <stdio.h>

static void grammar(void **state)
{
    static const char *const right[] = {
        "quorum a\n",
        "quorum a",
        "group g any a b\nquorum g\n",
        "group g all a b x\ngroup h 1 g c\nquorum h\n",
        "quorum a x* y?\nquorum b\n",
        "# comment\n\n  quorum \t a  \n",
        "quorum a\nrevoke a\n",
        "quorum a\nrevoke a from 5 log.example\nrevoke a from 6 other.example\n",
        "quorum a\nexempt x*\nexempt y\n",
        "quorum a\nbackfill refuse\n",
        "quorum a\nbackfill accept\n",
        "quorum a\nbackfill accept before 9 log.example\n",
        "quorum a\nfixed-output require\ndivergence refuse\ninputs attested\n",
        "quorum a\nfixed-output accept\ndivergence warn\ninputs any\n",
        /* Different lines may share builders. */
        "group g any a b\ngroup h all b c\nquorum g\nquorum h acme-*\n",
    };
    static const struct {
        const char *text, *why;
    } wrong[] = {
        /* Comments stand on lines of their own: here `#` and `why` are globs. */
        { "", "no default" },
        { "quorum a x*\n", "no default" },
        { "quorum a\nquorum b\n", "line 7" },
        { "quorum z\n", "not defined" },
        { "quorum none\n", "not defined" },
        { "quorum\n", "quorum NAME" },
        { "builder e\nquorum a\n", "builder NAME VKEY" },
        { "builder none x+y+z\nquorum a\n", "line 6" },
        { "group g any z\nquorum g\n", "not defined" },
        { "group g 0 a\nquorum g\n", "threshold" },
        { "group g 3 a b\nquorum g\n", "threshold" },
        { "group g any\nquorum g\n", "no member" },
        { "group a any b\nquorum a\n", "taken" },
        { "group g any a a\nquorum g\n", "twice" },
        { "group g any a b\ngroup h any g a\nquorum h\n", "more than one way" },
        { "quorum a\nrevoke z\n", "no builder" },
        { "quorum a\nrevoke a since 5 log\n", "revoke NAME" },
        { "quorum a\nrevoke a from 05 log\n", "revoke NAME" },
        { "quorum a\nrevoke a\nrevoke a\n", "same way" },
        { "quorum a\nexempt\n", "exempt GLOB" },
        { "quorum a\nexempt x y\n", "exempt GLOB" },
        { "quorum a\nbackfill\n", "backfill refuse" },
        { "quorum a\nbackfill maybe\n", "backfill refuse" },
        { "quorum a\nbackfill refuse before 5 log\n", "backfill refuse" },
        { "quorum a\nbackfill accept\nbackfill accept\n", "already" },
        { "quorum a\nfixed-output maybe\n", "wanted" },
        { "quorum a\ndivergence warn\ndivergence warn\n", "already" },
        { "quorum a\ninputs any x\n", "wanted" },
        { "quorum a\nnonsense\n", "nonsense" },
        { "quorum a # why\n", "no default" },
        { "quorum a\r\n", "control character" },
        { "quorum a\n\x7f\n", "control character" },
    };
    struct trust trust;
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        why.text[0] = '\0';
        if (read_file(&trust, right[i], &why) != OK)
            fprintf(stderr, "%s: %s\n", right[i], why.text);
        assert_string_equal(why.text, "");
        trust_free(&trust);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (read_file(&trust, wrong[i].text, &why) != ERR_MALFORMED || strstr(why.text, wrong[i].why) == NULL ||
            strstr(why.text, "trust") == NULL) {
            fprintf(stderr, "%s: %s\n", wrong[i].text, why.text);
            assert_null(wrong[i].text);
        }
    }
}

static void one_key_twice(void **state)
{
    struct buf text = BUF_EMPTY;
    struct trust trust;
    struct why why;
    struct vkey key = key_of(0);
    (void)state;
    put_file(&text, "builder again ");
    key.name = span_str("other.example");
    key = vkey_make(key.name, SIG_ED25519, key.key);
    vkey_render(&text, &key);
    buf_str(&text, "\nquorum a\n");
    assert_int_equal(trust_parse(&trust, span_buf(&text), "trust", &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "already, as a"));
    buf_free(&text);
}

/* One judgement: who says what, and what comes of it. */
struct said {
    unsigned builder;
    uint64_t index;
    enum claim claim;
    bool foreign, other_bytes, other_size, other_references, other_path;
    const char *origin; /* NULL: log.example */
    bool unrecorded;    /* the inputs */
    bool trail_ends;    /* before ground */
};

enum { SAID_MAX = 8 };

struct judged {
    struct trust_result result;
    enum trust_reason reasons[SAID_MAX];
};

static struct trust_path the_path(bool content_addressed, const bool *cache_signed)
{
    struct trust_path path = { .nar_hash = sha256_of(span_str("nar")),
                               .nar_size = 100,
                               .references_digest = references_digest(NULL, 0),
                               .content_addressed = content_addressed,
                               .cache_signed = cache_signed,
                               .looked_up = true };
    struct why why;
    assert_int_equal(storepath_parse(&path.path, span_str("/nix/store/00000000000000000000000000000000-hello-2.12"), &why), OK);
    return path;
}

/* What follows the trails here: it must be asked only of what would count otherwise. */
static enum err follow(void *ctx, const struct trust_evidence *evidence, bool *out, struct why *reason, struct why *why)
{
    const struct said *said = ctx;
    (void)why;
    assert_true(evidence->statement->inputs_recorded);
    while (said->index != evidence->index)
        said++;
    assert_false(said->foreign || said->other_bytes || said->other_path);
    *out = !said->trail_ends;
    if (!*out)
        fail(reason, ERR_REFUSED, "gcc is not attested");
    return OK;
}

static struct judged judge_following(const char *rest, const struct trust_path *path, const struct said *said, size_t n,
                                     bool follows)
{
    struct trust trust;
    struct why why = { "" };
    struct vkey keys[SAID_MAX];
    struct statement statements[SAID_MAX] = { 0 };
    struct subject subjects[SAID_MAX] = { 0 };
    struct trust_evidence evidence[SAID_MAX];
    struct judged out;
    if (read_file(&trust, rest, &why) != OK)
        assert_string_equal(why.text, "");
    for (size_t i = 0; i < n; i++) {
        keys[i] = key_of(said[i].builder);
        statements[i].claim = said[i].claim;
        statements[i].foreign = said[i].foreign;
        statements[i].inputs_recorded = !said[i].unrecorded;
        subjects[i].path = said[i].other_path ? span_str("/nix/store/00000000000000000000000000000000-other") : path->path.path;
        subjects[i].nar_hash = said[i].other_bytes ? sha256_of(span_str("other")) : path->nar_hash;
        subjects[i].nar_size = path->nar_size + said[i].other_size;
        subjects[i].references_digest = said[i].other_references ? sha256_of(span_str("refs")) : path->references_digest;
        evidence[i] = (struct trust_evidence){ &keys[i], &statements[i], &subjects[i],
                                               span_str(said[i].origin ? said[i].origin : "log.example"), said[i].index };
    }
    struct trust_inputs inputs = { follow, (void *)(uintptr_t)said };
    assert_int_equal(trust_judge(&trust, path, evidence, n, follows ? &inputs : NULL, out.reasons, &out.result, &why), OK);
    out.result.quorum = NULL; /* goes with the trust file */
    assert_true(out.result.why.text[0] != '\0');
    trust_free(&trust);
    return out;
}

static struct judged judge(const char *rest, const struct trust_path *path, const struct said *said, size_t n)
{
    return judge_following(rest, path, said, n, true);
}

static enum trust_verdict verdict(const char *rest, const struct said *said, size_t n)
{
    struct trust_path path = the_path(false, NULL);
    return judge(rest, &path, said, n).result.verdict;
}

static enum trust_reason reason(const char *rest, struct said said)
{
    struct trust_path path = the_path(false, NULL);
    return judge(rest, &path, &said, 1).reasons[0];
}

static void reasons(void **state)
{
    (void)state;
    assert_int_equal(reason("quorum a\n", (struct said){ 0 }), COUNTS);
    assert_int_equal(reason("quorum a\n", (struct said){ .claim = CLAIM_REBUILD }), COUNTS);
    assert_int_equal(reason("quorum a\n", (struct said){ .builder = 1 }), NOT_IN_QUORUM);
    assert_int_equal(reason("quorum a\n", (struct said){ .foreign = true }), FOREIGN);
    assert_int_equal(reason("quorum a\n", (struct said){ .other_bytes = true }), OTHER_BYTES);
    assert_int_equal(reason("quorum a\n", (struct said){ .other_size = true }), OTHER_BYTES);
    assert_int_equal(reason("quorum a\n", (struct said){ .other_references = true }), OTHER_REFERENCES);
    assert_int_equal(reason("quorum a\n", (struct said){ .other_path = true }), OTHER_PATH);
    assert_int_equal(reason("quorum a\n", (struct said){ .claim = CLAIM_BACKFILL }), BACKFILL_REFUSED);
    assert_int_equal(reason("quorum a\nbackfill accept\n", (struct said){ .claim = CLAIM_BACKFILL }), COUNTS);
    assert_int_equal(reason("quorum a\nbackfill accept before 7 log.example\n",
                            (struct said){ .claim = CLAIM_BACKFILL, .index = 6 }),
                     COUNTS);
    assert_int_equal(reason("quorum a\nbackfill accept before 7 log.example\n",
                            (struct said){ .claim = CLAIM_BACKFILL, .index = 7 }),
                     BACKFILL_REFUSED);
    assert_int_equal(reason("quorum a\nbackfill accept before 7 log.example\n",
                            (struct said){ .claim = CLAIM_BACKFILL, .origin = "other" }),
                     BACKFILL_REFUSED);
    assert_int_equal(reason("quorum a\nrevoke a\n", (struct said){ 0 }), REVOKED);
    assert_int_equal(reason("quorum a\nrevoke a from 5 log.example\n", (struct said){ .index = 4 }), COUNTS);
    assert_int_equal(reason("quorum a\nrevoke a from 5 log.example\n", (struct said){ .index = 5 }), REVOKED);
    /* In an origin that no line names, nothing of a revoked builder counts: a thief would log elsewhere. */
    assert_int_equal(reason("quorum a\nrevoke a from 5 log.example\n", (struct said){ .index = 4, .origin = "other" }), REVOKED);
    assert_int_equal(reason("quorum a\nrevoke b\n", (struct said){ 0 }), COUNTS);
    struct trust trust;
    struct why why;
    struct vkey stranger = vkey_make(span_str("stranger"), SIG_ED25519, (const uint8_t[32]){ 77 });
    assert_int_equal(read_file(&trust, "quorum a\n", &why), OK);
    assert_int_equal(trust_builder(&trust, &stranger), -1);
    trust_free(&trust);
}

static void thresholds(void **state)
{
    static const char two_of_three[] = "group g 2 a b c\nquorum g\n";
    const struct said one[] = { { .builder = 0 } }, two[] = { { .builder = 0 }, { .builder = 2 } };
    const struct said twice[] = { { .builder = 0, .index = 1 }, { .builder = 0, .index = 2 } };
    const struct said outsider[] = { { .builder = 0 }, { .builder = 3 } };
    const struct said differ[] = { { .builder = 0 }, { .builder = 1, .other_bytes = true } };
    (void)state;
    assert_int_equal(verdict(two_of_three, NULL, 0), TRUST_REFUSED);
    assert_int_equal(verdict(two_of_three, one, 1), TRUST_REFUSED);
    assert_int_equal(verdict(two_of_three, two, 2), TRUST_ATTESTED);
    assert_int_equal(verdict(two_of_three, twice, 2), TRUST_REFUSED);
    assert_int_equal(verdict(two_of_three, outsider, 2), TRUST_REFUSED);
    assert_int_equal(verdict(two_of_three, differ, 2), TRUST_REFUSED);
    assert_int_equal(verdict("group g any a b\ngroup h all g c\nquorum h\n", two, 2), TRUST_ATTESTED);
    assert_int_equal(verdict("group g any a b\ngroup h all g c\nquorum h\n", one, 1), TRUST_REFUSED);
}

static void globs(void **state)
{
    const struct said a[] = { { .builder = 0 } }, b[] = { { .builder = 1 } };
    (void)state;
    assert_int_equal(verdict("quorum a\nquorum b hello-*\n", a, 1), TRUST_REFUSED);
    assert_int_equal(verdict("quorum a\nquorum b hello-*\n", b, 1), TRUST_ATTESTED);
    assert_int_equal(verdict("quorum b hello-*\nquorum a\n", b, 1), TRUST_ATTESTED);
    assert_int_equal(verdict("quorum b other-*\nquorum a\n", a, 1), TRUST_ATTESTED);
    /* The last line that matches wins. */
    assert_int_equal(verdict("quorum a\nquorum b hello-*\nquorum a *-2.12\n", a, 1), TRUST_ATTESTED);
    assert_int_equal(verdict("quorum a\nquorum b x hello-2.1?\n", b, 1), TRUST_ATTESTED);
    assert_int_equal(verdict("quorum a\nquorum b hello-2.1\n", b, 1), TRUST_REFUSED);
}

static void divergence(void **state)
{
    const struct said both[] = { { .builder = 0 }, { .builder = 0, .other_bytes = true, .index = 1 } };
    const struct said other[] = { { .builder = 0 }, { .builder = 1, .other_bytes = true } };
    struct trust_path path = the_path(false, NULL);
    (void)state;
    struct judged judged = judge("quorum a\n", &path, both, 2);
    assert_int_equal(judged.result.verdict, TRUST_ATTESTED);
    assert_true(judged.result.divergence);
    judged = judge("quorum a\ndivergence refuse\n", &path, both, 2);
    assert_int_equal(judged.result.verdict, TRUST_REFUSED);
    assert_int_equal(judged.reasons[0], CONTRADICTS_ITSELF);
    assert_int_equal(verdict("group g any a b\nquorum g\n", other, 2), TRUST_ATTESTED);
    assert_int_equal(verdict("group g any a b\nquorum g\ndivergence refuse\n", other, 2), TRUST_REFUSED);
    assert_int_equal(verdict("group g any a b\nquorum g\ndivergence refuse\n", other, 1), TRUST_ATTESTED);
    /* Without the logs' word nobody knows whether somebody contradicts. */
    path.looked_up = false;
    judged = judge("group g any a b\nquorum g\ndivergence refuse\n", &path, other, 1);
    assert_int_equal(judged.result.verdict, TRUST_REFUSED);
    assert_true(judged.result.wants_look_up);
    assert_non_null(strstr(judged.result.why.text, "not every log answered"));
    judged = judge("group g any a b\nquorum g\n", &path, other, 1);
    assert_int_equal(judged.result.verdict, TRUST_ATTESTED);
    assert_false(judged.result.wants_look_up);
}

/* `inputs attested`: what has no trail down to ground does not count, and the rest is counted as ever. */
static void inputs(void **state)
{
    static const char rest[] = "group g 2 a b c\nquorum g\ninputs attested\n";
    const struct said whole[] = { { .builder = 0 }, { .builder = 1, .index = 1 } };
    const struct said one_ends[] = { { .builder = 0 },
                                     { .builder = 1, .index = 1, .trail_ends = true },
                                     { .builder = 2, .index = 2 } };
    const struct said unrecorded[] = { { .builder = 0 }, { .builder = 1, .index = 1, .unrecorded = true } };
    bool cache_signed[TRUST_BUILDERS_MAX] = { [4] = true };
    struct trust_path path = the_path(false, NULL), vouched = the_path(false, cache_signed), addressed = the_path(true, NULL);
    (void)state;
    assert_int_equal(verdict(rest, whole, 2), TRUST_ATTESTED);
    assert_int_equal(verdict(rest, one_ends, 3), TRUST_ATTESTED);
    struct judged judged = judge(rest, &path, one_ends, 2);
    assert_int_equal(judged.result.verdict, TRUST_REFUSED);
    assert_int_equal(judged.reasons[0], COUNTS);
    assert_int_equal(judged.reasons[1], INPUTS_UNATTESTED);
    assert_string_equal(judged.result.trail.text, "gcc is not attested");
    assert_non_null(strstr(judged.result.why.text, "gcc is not attested"));
    judged = judge(rest, &path, unrecorded, 2);
    assert_int_equal(judged.result.verdict, TRUST_REFUSED);
    assert_int_equal(judged.reasons[1], INPUTS_UNATTESTED);
    assert_non_null(strstr(judged.result.trail.text, "did not record"));
    /* With nobody to follow it, no trail is whole. */
    judged = judge_following(rest, &path, whole, 2, false);
    assert_int_equal(judged.result.verdict, TRUST_REFUSED);
    assert_int_equal(judged.reasons[0], INPUTS_UNATTESTED);
    assert_int_equal(judge_following("group g 2 a b c\nquorum g\n", &path, whole, 2, false).result.verdict, TRUST_ATTESTED);
    /* What ends a trail needs none. */
    assert_int_equal(judge("quorum x\ninputs attested\n", &vouched, NULL, 0).result.verdict, TRUST_VOUCHED);
    assert_int_equal(judge("quorum a\nexempt hello-*\ninputs attested\n", &path, NULL, 0).result.verdict, TRUST_EXEMPT);
    assert_int_equal(judge("quorum a\ninputs attested\n", &addressed, NULL, 0).result.verdict, TRUST_FIXED);
}

static void without_builders(void **state)
{
    bool cache_signed[TRUST_BUILDERS_MAX] = { [4] = true };
    struct trust_path plain = the_path(false, NULL), vouched = the_path(false, cache_signed), addressed = the_path(true, NULL);
    const struct said a[] = { { .builder = 0 } };
    (void)state;
    assert_int_equal(judge("quorum a\n", &plain, NULL, 0).result.verdict, TRUST_REFUSED);
    assert_int_equal(judge("quorum a\nexempt hello-*\n", &plain, NULL, 0).result.verdict, TRUST_EXEMPT);
    assert_int_equal(judge("quorum a\nexempt 0000*-hello-2.12\n", &plain, NULL, 0).result.verdict, TRUST_EXEMPT);
    assert_int_equal(judge("quorum a\nexempt hello-*\n", &plain, a, 1).result.verdict, TRUST_ATTESTED);
    assert_int_equal(judge("quorum a\n", &addressed, NULL, 0).result.verdict, TRUST_FIXED);
    assert_int_equal(judge("quorum a\nfixed-output require\n", &addressed, NULL, 0).result.verdict, TRUST_REFUSED);
    assert_int_equal(judge("quorum a\nfixed-output require\n", &addressed, a, 1).result.verdict, TRUST_ATTESTED);
    /* A cache vouches, and no more: with it the quorum may be met, but never attested. */
    assert_int_equal(judge("quorum a\n", &vouched, NULL, 0).result.verdict, TRUST_REFUSED);
    assert_int_equal(judge("quorum x\n", &vouched, NULL, 0).result.verdict, TRUST_VOUCHED);
    assert_int_equal(judge("quorum x\n", &plain, NULL, 0).result.verdict, TRUST_REFUSED);
    assert_int_equal(judge("group g any a x\nquorum g\n", &vouched, a, 1).result.verdict, TRUST_ATTESTED);
    assert_int_equal(judge("group g all a x\nquorum g\n", &vouched, a, 1).result.verdict, TRUST_VOUCHED);
    assert_int_equal(judge("quorum x\nrevoke x\n", &vouched, NULL, 0).result.verdict, TRUST_REFUSED);
}

/* What is missing, from the top down, as `stele why` shows it. */
static void missing(void **state)
{
    const struct said a[] = { { .builder = 0 } };
    struct trust_path path = the_path(false, NULL);
    struct trust trust;
    struct buf out = BUF_EMPTY;
    struct why why;
    (void)state;
    assert_int_equal(read_file(&trust, "group g all a b\ngroup h any c d\ngroup top all g h x\nquorum top\n", &why), OK);
    struct trust_result result = { .quorum = trust_quorum_for(&trust, path.path.name), .counted = { true } };
    assert_int_equal(trust_missing(&out, &trust, &result, &why), OK);
    buf_byte(&out, '\0');
    assert_string_equal((const char *)out.data, "3 more of g, h, x: top wants all of g, h, x\n"
                                                "1 more of c, d: h wants any of c, d\n"
                                                "1 more of b: g wants all of a, b, and has a\n");
    buf_free(&out);
    trust_free(&trust);
    assert_int_equal(judge("quorum b\n", &path, a, 1).result.verdict, TRUST_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),          cmocka_unit_test(one_key_twice), cmocka_unit_test(reasons),
        cmocka_unit_test(thresholds),       cmocka_unit_test(globs),         cmocka_unit_test(divergence),
        cmocka_unit_test(without_builders), cmocka_unit_test(inputs),        cmocka_unit_test(missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
