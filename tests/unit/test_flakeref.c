/* Flake references: what is kept, and that no secret is. */
#include "tests/unit/support.h"

#include "lib/flakeref.h"

#define REV "0123456789abcdef0123456789abcdef01234567"

static void kept(void **state)
{
    static const struct {
        const char *text, *kept, *revision, *attribute;
        bool left_out;
    } cases[] = {
        { "github:NixOS/nixpkgs/" REV "#hello", "github:NixOS/nixpkgs/" REV, REV, "hello", false },
        { "nixpkgs", "nixpkgs", "", "", false },
        { "path:/home/a@b/x", "path:/home/a@b/x", "", "", false },
        { "git+https://me:secret@example.org/r?ref=main&rev=" REV "#a.b", "git+https://example.org/r?ref=main&rev=" REV, REV, "a.b",
          true },
        { "git+ssh://git@example.org/r", "git+ssh://example.org/r", "", "", true },
        { "https://a@b@example.org/x.tar.gz", "https://example.org/x.tar.gz", "", "", true },
        { "https://example.org/x@y?dir=d", "https://example.org/x@y?dir=d", "", "", false },
        { "https://example.org/x?access_token=secret", "https://example.org/x", "", "", true },
        { "https://example.org/x?token=secret&dir=d&sig=secret&ref=r", "https://example.org/x?dir=d&ref=r", "", "", true },
        { "git+https://e.org/r?rev=main", "git+https://e.org/r?rev=main", "", "", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flakeref ref;
        struct why why;
        assert_int_equal(flakeref_parse(&ref, span_str(cases[i].text), &why), OK);
        assert_true(span_is(span_buf(&ref.text), cases[i].kept));
        assert_true(span_is(ref.revision, cases[i].revision));
        assert_true(span_is(ref.attribute, cases[i].attribute));
        assert_int_equal(ref.left_out, cases[i].left_out);
        flakeref_free(&ref);
    }
}

static void malformed(void **state)
{
    static const char *const texts[] = { "", "a b", "a\nb", "a\x7f", "\xff" };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct flakeref ref;
        struct why why;
        assert_int_equal(flakeref_parse(&ref, span_str(texts[i]), &why), ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kept), cmocka_unit_test(malformed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
