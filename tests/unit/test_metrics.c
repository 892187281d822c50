#include "tests/unit/support.h"

#include "lib/sys/metrics.h"

static void is(struct buf *out, const char *want)
{
    buf_byte(out, '\0');
    assert_string_equal((const char *)out->data, want);
    buf_free(out);
}

static void escapes_labels(void **state)
{
    (void)state;
    struct buf out = BUF_EMPTY;
    metrics_value(&out, "a", "who", "x\"y\\z\nw", 1);
    metrics_value2(&out, "a", (const char *[]){ "who", "\"", "kind", "k" }, 0);
    is(&out, "a{who=\"x\\\"y\\\\z\\nw\"} 1\na{who=\"\\\"\",kind=\"k\"} 0\n");
}

static void writes_numbers_whole(void **state)
{
    (void)state;
    struct buf out = BUF_EMPTY;
    metrics_one(&out, "b", "gauge", "Of it.", 9007199254740991.0);
    metrics_value(&out, "b", NULL, NULL, -3);
    metrics_value(&out, "b", NULL, NULL, 0.25);
    is(&out, "# HELP b Of it.\n# TYPE b gauge\nb 9007199254740991\nb -3.000000\nb 0.250000\n");
}

/* Each bucket holds what is not longer than its bound; the last one all. */
static void counts_into_buckets(void **state)
{
    (void)state;
    struct histogram histogram = { 0 };
    struct buf out = BUF_EMPTY;
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 100);
    histogram_add(&histogram, 101);
    histogram_add(&histogram, 30 * 1000 * 1000);
    histogram_add(&histogram, 30 * 1000 * 1000 + 1);
    metrics_histogram(&out, "c", "Of it.", &histogram);
    buf_byte(&out, '\0');
    static const char *const lines[] = {
        "# HELP c Of it.\n# TYPE c histogram\nc_bucket{le=\"0.0001\"} 2\nc_bucket{le=\"0.00025\"} 3\n",
        "c_bucket{le=\"10\"} 3\nc_bucket{le=\"30\"} 4\nc_bucket{le=\"+Inf\"} 5\nc_sum 60.000202\nc_count 5\n",
    };
    for (size_t i = 0; i < 2; i++)
        assert_non_null(strstr((const char *)out.data, lines[i]));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_labels),
        cmocka_unit_test(writes_numbers_whole),
        cmocka_unit_test(counts_into_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
