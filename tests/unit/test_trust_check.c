/* What `stele trust` finds in a trust file: mistakes, and what is to be known. */
#include "tests/unit/support.h"
#include "tests/unit/trust_file.h"

#include <stdio.h>

#include "lib/config.h"
#include "lib/trust_check.h"

/* Every finding in one text, "MISTAKE: …\n" or "note: …\n". */
static enum err take_finding(void *ctx, bool mistake, const char *text, struct why *why)
{
    buf_fmt(ctx, "%s: %s\n", mistake ? "MISTAKE" : "note", text);
    return buf_done(ctx, why);
}

static void expect_findings(const char *rest, const char *wanted)
{
    struct trust trust;
    struct policy policy;
    struct buf found = BUF_EMPTY, text = BUF_EMPTY;
    struct trust_findings findings = { take_finding, &found };
    struct vkey log = vkey_make(span_str("log.example"), SIG_ED25519, (const uint8_t[32]){ 50 });
    struct why why = { "" };
    buf_str(&text, "log ");
    vkey_render(&text, &log);
    buf_str(&text, "\nquorum none\n");
    assert_int_equal(policy_parse(&policy, span_buf(&text), "policy", &why), OK);
    if (read_file(&trust, rest, &why) != OK)
        assert_string_equal(why.text, "");
    assert_int_equal(trust_check(&trust, &policy, &findings, &why), OK);
    buf_byte(&found, '\0');
    bool right = *wanted == '\0' ? found.len == 1 : strstr((const char *)found.data, wanted) != NULL;
    if (!right)
        fprintf(stderr, "%s: found:\n%swanted: %s\n", rest, (const char *)found.data, wanted);
    assert_true(right);
    trust_free(&trust);
    policy_free(&policy);
    buf_free(&found);
    buf_free(&text);
}

/* All builders and the cache are asked, so that only what the case is about is found. */
#define ALL "group all any a b c d x\nquorum all\n"

static void mistakes(void **state)
{
    static const struct {
        const char *rest, *found;
    } cases[] = {
        { ALL, "" },
        { ALL "quorum a acme-*\n", "" },
        { ALL "quorum a acme-*\nquorum b *\n", "MISTAKE: line 8: the glob acme-* is never reached: line 9" },
        { ALL "quorum a acme-*\nquorum b *\n", "MISTAKE: the default quorum is never reached" },
        { ALL "quorum a acme-web acme-*\nquorum b acme-???\n", "MISTAKE: line 8: the glob acme-web is never reached" },
        { ALL "quorum b acme-*\nquorum a acme-web\n", "" },
        { ALL "quorum a 0123456789abcdfghijklmnpqrsvwxyz-acme\n",
          "MISTAKE: line 8: the glob 0123456789abcdfghijklmnpqrsvwxyz-acme is never reached: it starts with" },
        { ALL "quorum a acme/web\n", "MISTAKE: line 8: the glob acme/web is never reached: no store" },
        { ALL "group g all a b\nquorum g acme-*\nrevoke a\n", "MISTAKE: line 9: the quorum `g` cannot be met" },
        { ALL "group g all a b\nquorum g acme-*\nrevoke a from 0 log.example\n", "MISTAKE: line 9: the quorum `g` cannot be met" },
        { ALL "group g all a b\nquorum g acme-*\nrevoke a from 1 log.example\n", "" },
        { ALL "group g any a b\nquorum g acme-*\nrevoke a\n", "" },
        { ALL "quorum x acme-*\n", "note: line 8: caches alone can meet `x`" },
        { ALL "quorum x acme-*\nrevoke x\n", "MISTAKE: line 8: the quorum `x` cannot be met" },
        { "group g any a b c\nquorum g\n", "MISTAKE: the builder d is named, but no quorum asks it" },
        { "group g any a b c\nquorum g\nrevoke d\n", "note: the cache x stands in no quorum" },
        { "group g any a b c d\nquorum g\nexempt y-*\n", "" },
        { ALL "group g any a b\n", "MISTAKE: the group g is used by no quorum" },
        { ALL "exempt *\n", "MISTAKE: `exempt *` lets every path through" },
        { ALL "quorum a acme-*\nexempt acme*\n", "MISTAKE: line 8 demands attestations of acme-*, and `exempt acme*`" },
        { ALL "quorum a acme-*\nexempt acme-web\n", "" },
        { ALL "revoke a from 5 other.example\n", "MISTAKE: revoke a: the policy names no log other.example" },
        { ALL "revoke a from 5 log.example\n", "" },
        { ALL "revoke x from 5 log.example\n", "MISTAKE: revoke x: a cache logs nothing" },
        { ALL "backfill accept before 5 other.example\n", "MISTAKE: backfill accept before: the policy names no log" },
        { ALL "backfill accept before 5 log.example\n", "" },
        { ALL "backfill accept\n", "note: `backfill accept` without `before`" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_findings(cases[i].rest, cases[i].found);
}

static void lengthen(char out[5], const char *text, char c)
{
    size_t n = strnlen(text, 3);
    memcpy(out, text, n);
    out[n] = c;
    out[n + 1] = '\0';
}

/* Whatever a covered glob matches its cover matches; and the plain cases are found. */
static void covers(void **state)
{
    static const char letters[] = "ab*?", plain[] = "ab";
    char globs[1 + 4 + 16 + 64 + 256][5] = { "" }, texts[1 + 2 + 4 + 8 + 16][5] = { "" };
    size_t globs_n = 1, texts_n = 1, covered = 0;
    (void)state;
    for (size_t i = 0; globs_n < sizeof globs / sizeof *globs; i++)
        for (const char *c = letters; *c != '\0' && strlen(globs[i]) < 4; c++)
            lengthen(globs[globs_n++], globs[i], *c);
    for (size_t i = 0; texts_n < sizeof texts / sizeof *texts; i++)
        for (const char *c = plain; *c != '\0' && strlen(texts[i]) < 4; c++)
            lengthen(texts[texts_n++], texts[i], *c);
    for (size_t w = 0; w < globs_n; w++)
        for (size_t n = 0; n < globs_n; n++) {
            if (!glob_covers(span_str(globs[w]), span_str(globs[n])))
                continue;
            covered++;
            for (size_t t = 0; t < texts_n; t++)
                if (glob_match(span_str(globs[n]), span_str(texts[t])))
                    assert_true(glob_match(span_str(globs[w]), span_str(texts[t])));
        }
    assert_true(covered > globs_n);
    for (size_t n = 0; n < globs_n; n++) {
        assert_true(glob_covers(span_str("*"), span_str(globs[n])));
        assert_true(glob_covers(span_str(globs[n]), span_str(globs[n])));
    }
    assert_true(glob_covers(span_str("acme-*"), span_str("acme-?*")));
    assert_false(glob_covers(span_str("acme-?*"), span_str("acme-*")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes),
        cmocka_unit_test(covers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
