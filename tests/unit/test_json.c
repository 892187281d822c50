/* JSON: the same verdicts and values as jansson's, on chosen texts, on made ones, and on both with bytes changed. */
#include "tests/unit/support.h"

#include <stdlib.h>

#include "lib/json.h"
#include "lib/limits.h"
#include "tests/json_peer.h"

static bool agrees(struct span text)
{
    bool taken;
    assert_true(json_peer_agrees(text, &taken));
    return taken;
}

static void chosen_texts(void **state)
{
    static const char *const right[] = {
        "{}",
        "[]",
        " \t\r\n[ 1 , 2 ]\n",
        " {\"a\" : \"b\\n\"} ",
        "{\"a\":{\"a\":1},\"\":[]}",
        "[true,false,null,-0,0,1.5,-1e3,2E+3,0.0e-5,9007199254740992]",
        "[9223372036854775807,-9223372036854775808]",
        "[1.7976931348623158e308,-1.7976931348623158e+308,179769313486231580000e288,1e-99999999999999999999,0e99999999999999]",
        "[0.00000000000000000000000000000000000000001e349,17976931348623158.07e292]",
        "[\"\\u0001\\u007f\\u00e9\\u20ac\\uD83D\\ude00\\udbff\\uDFFF\\ud800\\udc00\\/\\\"\\\\\\b\\f\\n\\r\\t\x7f\"]",
        "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"]",
        ("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,"
         "\"p\":1,\"q\":1,\"r\":{\"a\":[{}]}}"),
    };
    static const char *const wrong[] = {
        "",
        " ",
        "1",
        "\"a\"",
        "null",
        "{} {}",
        "{,}",
        "[,]",
        "[1,]",
        "[1",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{1:1}",
        "[\"a]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"x\":[{\"b\":1,\"\":2,\"\":3}]}",
        ("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,"
         "\"p\":1,\"q\":1,\"a\":{\"a\":[{}]}}"),
        "[\"\\u0000\"]",
        "{\"\\u0000\":1}",
        "[\"\\ud83d\"]",
        "[\"\\ud83d\\u0041\"]",
        "[\"\\ud83dx\"]",
        "[\"\\ude00\"]",
        "[\"\\u12\"]",
        "[\"\\u12",
        "[\"\\U0041\"]",
        "[\"\\a\"]",
        "[\"\\",
        "[\"\t\"]",
        "[\"\xff\"]",
        "[\"\xc3\"]",
        "[\"\xc3\\u00a9\"]",
        "[\"\xc0\x80\"]",
        "[\"\xed\xa0\x80\"]",
        "[\"\xf4\x90\x80\x80\"]",
        "\xef\xbb\xbf[]",
        "[01]",
        "[-]",
        "[+1]",
        "[.5]",
        "[1.]",
        "[1.e1]",
        "[1e]",
        "[1e+]",
        "[-01]",
        "[0x1]",
        "[1 2]",
        "[9223372036854775808]",
        "[-9223372036854775809]",
        "[1e999]",
        "[-1e309]",
        "[1.7976931348623159e308]",
        "[1e99999999999999999999]",
        "[tru]",
        "[truex]",
        "[nul",
        "[Null]",
        "[NaN]",
        "['a']",
        "[1]//",
        "[\f1]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        if (!agrees(span_str(right[i])))
            assert_string_equal(right[i], "");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (agrees(span_str(wrong[i])))
            assert_string_equal(wrong[i], "");
    assert_false(agrees(span_of("[1]\0", 4)) || agrees(span_of("[\0]", 3)) || agrees(span_of("[\"\0\"]", 5)));
}

/* The bound of a double, to the last of its 309 digits, with the point everywhere. */
static void the_largest_number(void **state)
{
    static const char bound[] = "17976931348623158079372897140530341507993413271003782693617377898044496829276475"
                                "09466490179775872070963302864166928879109465555478519404026306574886715058206819"
                                "08902000708383676273854845817711531764475730270069855571366959622842914819860834"
                                "936475292719074168444365510704342711559699508093042880177904174497792";
    struct buf text = BUF_EMPTY;
    (void)state;
    for (size_t point = 1; point < sizeof bound - 1; point += 11)
        for (char last = '0'; last <= '9'; last++) {
            buf_clear(&text);
            buf_fmt(&text, "[-0.%.*s%c000e309,%.*s.%.*s%c%se%zu]", (int)sizeof bound - 2, bound, last, (int)point, bound,
                    (int)(sizeof bound - 2 - point), bound + point, last, point % 2 != 0 ? "" : "99", sizeof bound - 1 - point);
            assert_int_equal(agrees(span_buf(&text)), last < '2');
        }
    buf_free(&text);
}

static void depth(void **state)
{
    struct buf text = BUF_EMPTY;
    (void)state;
    for (int n = JSON_DEPTH_MAX - 1; n <= JSON_DEPTH_MAX + 1; n++) {
        buf_clear(&text);
        for (int i = 0; i < n; i++)
            buf_str(&text, i % 2 == 0 ? "[" : "{\"a\":");
        /* Brackets in strings do not count. */
        buf_str(&text, "\"[[[[\\\"[[[[\"");
        for (int i = n; i-- > 0;)
            buf_str(&text, i % 2 == 0 ? "]" : "}");
        assert_int_equal(agrees(span_buf(&text)), n <= JSON_DEPTH_MAX);
    }
    buf_free(&text);
}

/* A small generator, the same in every run. */
static uint64_t seed = 0x9e3779b97f4a7c15;
static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static void put_any(struct buf *out, const char *const *pieces, size_t n)
{
    buf_str(out, pieces[any(n)]);
}
#define PUT_ANY(out, pieces) put_any(out, pieces, sizeof(pieces) / sizeof *(pieces))

static void put_string(struct buf *out)
{
    static const char *const pieces[] = { "a",
                                          "b",
                                          "hello",
                                          "\\n",
                                          "\\u0061",
                                          "\\ud83d\\ude00",
                                          "\xc3\xa9",
                                          "\\u00e9",
                                          "\\\\",
                                          "\\\"",
                                          "/",
                                          "\\/",
                                          "\xf0\x9f\x98\x80",
                                          " ",
                                          "\\u2028",
                                          "\xe2\x82\xac",
                                          "{",
                                          "[]",
                                          "0" };
    buf_byte(out, '"');
    for (uint64_t n = any(4); n > 0; n--)
        PUT_ANY(out, pieces);
    buf_byte(out, '"');
}

static void put_space(struct buf *out)
{
    static const char *const pieces[] = { "", "", "", "", " ", "\n", "\t\r" };
    PUT_ANY(out, pieces);
}

static void put_value(struct buf *out, unsigned deep)
{
    static const char *const scalars[] = { "true",
                                           "false",
                                           "null",
                                           "0",
                                           "-0",
                                           "1",
                                           "12345678901234567",
                                           "-17",
                                           "1.25",
                                           "1e308",
                                           "-2.5E-3",
                                           "1e400",
                                           "0.0e9",
                                           "9223372036854775807",
                                           "18446744073709551616" };
    uint64_t kind = any(deep > 5 ? 2 : 5);
    put_space(out);
    if (kind == 0)
        PUT_ANY(out, scalars);
    else if (kind == 1)
        put_string(out);
    else {
        buf_byte(out, kind == 2 ? '[' : '{');
        for (uint64_t n = any(any(20) == 0 ? 40 : 5), i = 0; i < n; i++) {
            buf_str(out, i > 0 ? "," : "");
            if (kind > 2) {
                put_string(out);
                if (any(4) != 0) { /* mostly unlike the others */
                    out->len--;
                    buf_fmt(out, "%u\"", (unsigned)i);
                }
                put_space(out);
                buf_byte(out, ':');
            }
            put_value(out, deep + 1);
        }
        buf_byte(out, kind == 2 ? ']' : '}');
    }
    put_space(out);
}

static void change(struct buf *text)
{
    static const char bytes[] = "\"\\{}[]:,0123456789.eE+-truefalsn u/\x80\xc3\xe2\xf0\xff\0\x1f";
    size_t at = (size_t)any(text->len + 1);
    uint8_t byte = (uint8_t)bytes[any(sizeof bytes)];
    if (at == text->len || any(3) == 0) {
        buf_byte(text, 0);
        memmove(text->data + at + 1, text->data + at, text->len - 1 - at);
        text->data[at] = byte;
    } else if (any(2) == 0) {
        text->data[at] = byte;
    } else {
        memmove(text->data + at, text->data + at + 1, text->len - 1 - at);
        text->len--;
    }
}

static void made_texts(void **state)
{
    enum { TEXTS = 20000, CHANGES = 4 };
    struct buf text = BUF_EMPTY;
    unsigned taken = 0, changed_taken = 0;
    (void)state;
    for (unsigned i = 0; i < TEXTS; i++) {
        buf_clear(&text);
        put_value(&text, 0);
        taken += agrees(span_buf(&text));
        for (unsigned k = 0; k < CHANGES; k++) {
            change(&text);
            changed_taken += agrees(span_buf(&text));
        }
    }
    /* Enough of either kind, or this says little. */
    print_message("# %u of %d taken; changed, %u of %d\n", taken, TEXTS, changed_taken, TEXTS * CHANGES);
    assert_in_range(taken, TEXTS / 4, TEXTS * 3 / 4);
    assert_in_range(changed_taken, TEXTS * CHANGES / 50, TEXTS * CHANGES / 2);
    buf_free(&text);
}

static void members(void **state)
{
    struct json json;
    struct why why;
    struct span text;
    uint64_t count;
    const struct json_value *list;
    (void)state;
    assert_int_equal(json_parse(&json,
                                span_str(
                                    "{\"s\":\"x\",\"n\":5,\"z\":-0,\"r\":5.0,\"m\":-1,\"big\":9007199254740992,\"l\":[1,[2],3],"
                                    "\"most\":9007199254740991}"),
                                "it", &why),
                     OK);
    const struct json_value *root = json_root(&json);
    assert_int_equal(json_get_string(root, "here", "s", &text, &why), OK);
    assert_true(span_is(text, "x"));
    assert_int_equal(json_get_count(root, "here", "n", &count, &why), OK);
    assert_int_equal(count, 5);
    assert_int_equal(json_get_count(root, "here", "z", &count, &why), OK);
    assert_int_equal(count, 0);
    assert_int_equal(json_get_count(root, "here", "most", &count, &why), OK);
    assert_int_equal(count, (UINT64_C(1) << 53) - 1);
    assert_int_equal(json_get_string(root, "here", "n", &text, &why), ERR_MALFORMED);
    assert_string_equal(why.text, "here.n is not a string");
    assert_int_equal(json_get_string(root, "", "x", &text, &why), ERR_MALFORMED);
    assert_string_equal(why.text, "x is missing");
    assert_int_equal(json_get_count(root, "", "r", &count, &why), ERR_MALFORMED);
    assert_int_equal(json_get_count(root, "", "m", &count, &why), ERR_MALFORMED);
    assert_int_equal(json_get_count(root, "", "big", &count, &why), ERR_MALFORMED);
    assert_int_equal(json_get_list(root, "", "l", &list, &why), OK);
    assert_int_equal(json_items(list), 3);
    assert_true(json_is(json_next(list, json_first(list)), KIND_LIST));
    assert_null(json_member(NULL, "a"));
    assert_null(json_member(list, "a"));
    assert_null(json_first(root));
    json_free(&json);
    assert_null(json_root(&json));
    assert_int_equal(json_parse(&json, span_str("[1,"), "the text", &why), ERR_MALFORMED);
    assert_string_equal(why.text, "the text is no JSON that is taken: a value is wanted, at byte 3");
    assert_null(json_root(&json));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_texts), cmocka_unit_test(the_largest_number), cmocka_unit_test(depth), cmocka_unit_test(made_texts),
        cmocka_unit_test(members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
