/* What a trail remembers of another one: on disk, and in one run; and a trail over thousands of paths. */
#include "tests/unit/support.h"
#include "tests/unit/trail_world.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"

static void test_memory(void **state)
{
    struct world world;
    struct client_config config = { .state = scratch };
    struct why why;
    (void)state;
    make(&world);
    for (uint32_t i = LIBRARY; i <= APP; i++)
        attest(&world, i, builder);
    publish(&world);
    struct trust trust = parse_trust(QUORUM), other = parse_trust(QUORUM "\nbackfill accept");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(trail_memory_open(&world.memory, &config, &world.log.policy, &trust, &why), OK);
        assert_int_equal(ask(&world, APP, QUORUM), TRAIL_COMPLETE);
        assert_int_equal(world.asked, round == 0 ? 5 : 1);
        trail_memory_close(world.memory);
        /* A torn end costs what it tore, no more. */
        char file[64];
        struct stat st;
        snprintf(file, sizeof file, "%s/trails", scratch);
        assert_int_equal(stat(file, &st), 0);
        if (round == 1)
            assert_int_equal(truncate(file, st.st_size - 3), 0);
        if (round == 0) {
            struct buf text = BUF_EMPTY;
            assert_int_equal(file_read(file, 1 << 20, &text, &why), OK);
            assert_true(text.len > 300);
            buf_free(&text);
        }
    }
    /* Another trust file: everything is asked again. */
    assert_int_equal(trail_memory_open(&world.memory, &config, &world.log.policy, &other, &why), OK);
    assert_null(trail_memory_find(world.memory, span_str(world.graph.nodes[LIBRARY].path)));
    assert_int_equal(ask(&world, APP, QUORUM "\nbackfill accept"), TRAIL_COMPLETE);
    assert_int_equal(world.asked, 5);
    trail_memory_close(world.memory);
    trust_free(&trust);
    trust_free(&other);
    world_free(&world);
}

/* What was remembered as ground does not pass for a build's output. */
static void test_memory_of_ground(void **state)
{
    struct world world;
    struct why why;
    (void)state;
    make(&world);
    graph_add(&world.graph, INPUT_OUTPUT, (uint32_t[]){ FIXED }, 1, NULL, 0);
    attest(&world, LIBRARY, builder);
    world.graph.nodes[FIXED].kind = INPUT_OUTPUT;
    attest(&world, APP + 1, builder);
    publish(&world);
    assert_int_equal(trail_memory_open(&world.memory, NULL, NULL, NULL, &why), OK);
    assert_int_equal(ask(&world, LIBRARY, QUORUM), TRAIL_COMPLETE);
    assert_non_null(trail_memory_find(world.memory, span_str(world.graph.nodes[FIXED].path)));
    ends(&world, APP + 1, QUORUM, "not attested");
    trail_memory_close(world.memory);
    world_free(&world);
}

/* Many paths, each of three below it; the lowest one, below others, was built from the highest: where it is
 * exempt the trail is as any other, where it is not it comes back to itself. */
static void test_large(void **state)
{
    enum { N = SANITIZED ? 4000 : 50000, LAYER = N / 40 };
    struct world world = { .threads = 2 };
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t inputs[3] = { N };
        size_t inputs_n = i >= LAYER ? 3 : i == 0;
        for (uint32_t k = 0; i >= LAYER && k < 3; k++)
            inputs[k] = i / LAYER * LAYER - LAYER + (i * 7 + k * 101) % LAYER;
        graph_add(&world.graph, inputs_n > 0 ? INPUT_OUTPUT : INPUT_SOURCE, inputs, inputs_n, NULL, 0);
    }
    uint32_t all[LAYER];
    for (uint32_t k = 0; k < LAYER; k++)
        all[k] = N - LAYER + k;
    uint32_t top = graph_add(&world.graph, INPUT_OUTPUT, all, LAYER, NULL, 0);
    for (uint32_t i = 0; i <= top; i++)
        if (world.graph.nodes[i].kind == INPUT_OUTPUT)
            attest(&world, i, builder);
    publish(&world);
    uint64_t from_us = clock_monotonic_us();
    assert_int_equal(ask(&world, top, QUORUM "\nexempt node-0"), TRAIL_COMPLETE);
    print_message("# %zu paths in %zu rounds: %llu ms\n", world.asked, world.rounds,
                  (unsigned long long)(clock_monotonic_us() - from_us) / 1000);
    assert_in_range(world.asked, N - 1, N + 1); /* each once */
    ends(&world, top, QUORUM, "comes back to itself");
    assert_in_range(world.asked, N - 1, N + 1);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_of_ground),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, trail_world_set_up, trail_world_tear_down);
}
