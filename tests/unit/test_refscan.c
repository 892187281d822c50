/* References found by their hash parts, wherever the text is cut. */
#include "tests/unit/support.h"

#include <stdlib.h>

#include "lib/refscan.h"

#define A "0123456789abcdfghijklmnpqrsvwxyz"
#define B "00000000000000000000000000000000"
#define C "zyxwvsrqpnmlkjihgfdcba9876543210"

static bool found[3];

static void scan(const char *text, size_t chunk)
{
    const struct span parts[] = { { (const uint8_t *)B, 32 }, { (const uint8_t *)A, 32 }, { (const uint8_t *)C, 32 } };
    struct refscan scanning;
    struct why why;
    assert_int_equal(refscan_start(&scanning, parts, 3, &why), OK);
    for (size_t at = 0, len = strlen(text); at < len; at += chunk)
        refscan_add(&scanning, span_of(text + at, chunk < len - at ? chunk : len - at));
    memcpy(found, scanning.found, sizeof found);
    refscan_free(&scanning);
}

static void finds(const char *text, bool b, bool a, bool c)
{
    for (size_t chunk = 1; chunk <= strlen(text) + 1; chunk++) {
        scan(text, chunk);
        assert_int_equal(found[0], b);
        assert_int_equal(found[1], a);
        assert_int_equal(found[2], c);
    }
}

static void everywhere(void **state)
{
    (void)state;
    finds("", false, false, false);
    finds(A, false, true, false);
    finds("/nix/store/" A "-name/bin " C "-x", false, true, true);
    finds("x" A, false, true, false);
    finds(B B, true, false, false);
    finds(A B C, true, true, true);
    finds("1" B, true, false, false);
}

static void not_quite(void **state)
{
    (void)state;
    finds("0123456789abcdfghijklmnpqrsvwxy", false, false, false);
    finds("0123456789abcdfghijklmnpqrsvwxy-z", false, false, false);
    finds("0123456789ABCDFGHIJKLMNPQRSVWXYZ", false, false, false);
    finds("e123456789abcdfghijklmnpqrsvwxyz", false, false, false);
}

/* Beside a search that looks at every place. */
static void beside_plain_search(void **state)
{
    static char text[4096];
    const char *parts[] = { B, A, C };
    (void)state;
    srand(1);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i + 1 < sizeof text; i++)
            text[i] = rand() % 40 == 0 ? '/' : A[rand() % 32];
        for (int i = 0; i < 3; i++)
            if (rand() % 2 == 0)
                memcpy(text + (size_t)rand() % (sizeof text - 33), parts[i], 32);
        scan(text, 1 + (size_t)rand() % 200);
        for (int i = 0; i < 3; i++)
            assert_int_equal(found[i], strstr(text, parts[i]) != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everywhere),
        cmocka_unit_test(not_quite),
        cmocka_unit_test(beside_plain_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
