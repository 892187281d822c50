/* The queue before the sequencer is bounded, in submissions and in bytes: spec/invariants.md, 9. */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "log/limits.h"
#include "log/pipeline.h"

/* A pipeline whose sequencer does not run: what is queued stays. */
static void stand_still(struct pipeline *pipeline, const struct log_config *config)
{
    *pipeline = (struct pipeline){ .config = config };
    pthread_mutex_init(&pipeline->lock, NULL);
    pthread_cond_init(&pipeline->queued, NULL);
}

static void assert_full(struct pipeline *pipeline, struct submission *one_more)
{
    struct why why = { "" };
    assert_false(pipeline_submit(pipeline, one_more, &why));
    assert_non_null(strstr(why.text, "queue is full"));
    why.text[0] = '\0';
    assert_false(pipeline_takes(pipeline, &why)); /* so that the next is not even parsed */
    assert_non_null(strstr(why.text, "queue is full"));
}

static void bounds_submissions(void **state)
{
    (void)state;
    const struct log_config config = { .quorum_timeout_ms = 1000 };
    struct pipeline pipeline;
    struct submission *many = calloc(QUEUE_SUBMISSIONS_MAX + 1, sizeof *many);
    struct why why = { "" };
    assert_non_null(many);
    stand_still(&pipeline, &config);
    for (size_t i = 0; i < QUEUE_SUBMISSIONS_MAX; i++)
        assert_true(pipeline_submit(&pipeline, &many[i], &why));
    struct submission *last = &many[QUEUE_SUBMISSIONS_MAX];
    assert_full(&pipeline, last);
    assert_int_equal(pipeline.queue.n, QUEUE_SUBMISSIONS_MAX);
    assert_ptr_equal(submission_list_take(&pipeline.queue), &many[0]);
    assert_true(pipeline_submit(&pipeline, last, &why)); /* there is room again */
    assert_full(&pipeline, &many[0]);
    free(many);
}

static void bounds_bytes(void **state)
{
    (void)state;
    const struct log_config config = { .quorum_timeout_ms = 1000 };
    struct pipeline pipeline;
    struct submission few[3] = { { .bytes = QUEUE_BYTES_MAX - 1 }, { .bytes = 1 }, { .bytes = 1 } };
    struct why why = { "" };
    stand_still(&pipeline, &config);
    assert_true(pipeline_submit(&pipeline, &few[0], &why));
    assert_true(pipeline_submit(&pipeline, &few[1], &why));
    assert_full(&pipeline, &few[2]);
    assert_int_equal(pipeline.queue_bytes, QUEUE_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bounds_submissions), cmocka_unit_test(bounds_bytes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
