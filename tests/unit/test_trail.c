/* Trails over made-up builds: for each way in which one ends, its reason, beside the same trail that comes out. */
#include "tests/unit/support.h"
#include "tests/unit/trail_world.h"

static void test_comes_out(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    for (uint32_t i = LIBRARY; i <= APP; i++)
        attest(&world, i, builder);
    attest(&world, FIXED, stranger); /* nobody needs it */
    publish(&world);
    comes_out(&world, APP, QUORUM);
    assert_int_equal(world.asked, 5);
    assert_int_equal(world.heads, 1);
    world.threads = 4;
    comes_out(&world, APP, QUORUM);
    comes_out(&world, APP, QUORUM "\ninputs attested");
    ends(&world, APP, "quorum friend", "not attested");
    ends(&world, APP, QUORUM "\nfixed-output require", "not attested: only by an unknown builder");
    ends(&world, APP, QUORUM "\nrevoke ci from 1 test.example/log", "revoked");
    comes_out(&world, LIBRARY, QUORUM "\nrevoke ci from 1 test.example/log");
    world_free(&world);
}

static void test_own_references(void **state)
{
    struct world world;
    uint32_t unbuilt, sibling, user;
    (void)state;
    make(&world);
    unbuilt = graph_add(&world.graph, INPUT_OUTPUT, NULL, 0, NULL, 0);
    sibling = graph_add(&world.graph, INPUT_OUTPUT, (uint32_t[]){ LIBRARY }, 1, (uint32_t[]){ unbuilt }, 1);
    user = graph_add(&world.graph, INPUT_OUTPUT, (uint32_t[]){ sibling }, 1, NULL, 0);
    attest(&world, LIBRARY, builder);
    attest(&world, sibling, builder);
    attest(&world, user, builder);
    publish(&world);
    comes_out(&world, sibling, QUORUM);
    assert_int_equal(world.asked, 4); /* of what it was not built from nobody is asked: it stands in no closure */
    ends(&world, user, QUORUM, "not attested"); /* of what was built from it, it does */
    world_free(&world);
}

static void test_not_attested(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    attest(&world, TOOL, builder);
    attest(&world, APP, builder);
    attest(&world, LIBRARY, stranger);
    publish(&world);
    ends(&world, APP, QUORUM, "ends 2 steps down");
    ends(&world, APP, QUORUM, "unknown builder");
    comes_out(&world, APP, QUORUM "\nexempt node-2");
    world_free(&world);
}

static void test_closure_digest(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    attest(&world, LIBRARY, builder);
    attest(&world, TOOL, builder);
    flip(&world, LIBRARY); /* the builder of the app had another library under an honest tool */
    attest(&world, APP, builder);
    flip(&world, LIBRARY);
    publish(&world);
    ends(&world, APP, QUORUM, "closure digest does not come out");
    comes_out(&world, TOOL, QUORUM);
    world_free(&world);
}

static void test_swapped(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    attest(&world, LIBRARY, builder);
    attest(&world, TOOL, builder);
    flip(&world, TOOL);
    attest(&world, APP, builder);
    flip(&world, TOOL);
    publish(&world);
    ends(&world, APP, QUORUM, "other bytes than the build used");
    world_free(&world);
}

/* The library is not reproducible, and the friend's tool was built with his own. */
static void test_versions(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    attest(&world, LIBRARY, builder);
    attest(&world, TOOL, builder);
    flip(&world, LIBRARY);
    attest(&world, LIBRARY, builder);
    attest(&world, APP, builder); /* the tool is the same, whichever library it refers to */
    flip(&world, LIBRARY);
    publish(&world);
    comes_out(&world, APP, QUORUM);
    ends(&world, APP, QUORUM "\ndivergence refuse", "attests other bytes");
    world_free(&world);
}

static void test_poses_as_ground(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    world.graph.nodes[LIBRARY].unrecorded = true;
    attest(&world, LIBRARY, builder);
    world.graph.nodes[LIBRARY].kind = INPUT_SOURCE; /* says who built the tool */
    attest(&world, TOOL, builder);
    attest(&world, APP, builder);
    publish(&world);
    ends(&world, APP, QUORUM, "its inputs are unrecorded");
    world_free(&world);

    make(&world); /* the friend says fixed, the builder output */
    attest(&world, TOOL, builder);
    attest(&world, APP, builder);
    world.graph.nodes[LIBRARY].kind = INPUT_FIXED;
    attest(&world, TOOL, friend);
    publish(&world);
    ends(&world, APP, "group both all ci friend\nquorum ci\nquorum both node-3", "it is no ground");
    comes_out(&world, TOOL, "quorum friend");
    world_free(&world);

    make(&world); /* two contents of one source */
    attest(&world, LIBRARY, builder);
    flip(&world, SOURCE);
    attest(&world, TOOL, builder);
    attest(&world, APP, builder);
    publish(&world);
    ends(&world, APP, QUORUM, "one of them is false");
    comes_out(&world, TOOL, QUORUM "\nexempt node-2\nexempt node-0");
    world_free(&world);
}

static void test_unrecorded(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    world.graph.nodes[TOOL].unrecorded = true;
    for (uint32_t i = LIBRARY; i <= APP; i++)
        attest(&world, i, builder);
    world.graph.nodes[TOOL].unrecorded = false;
    attest(&world, TOOL, friend);
    publish(&world);
    ends(&world, APP, QUORUM, "its inputs are unrecorded");
    comes_out(&world, APP, "group any any ci friend\nquorum ci\nquorum any node-3");
    ends(&world, APP, "group both all ci friend\nquorum ci\nquorum both node-3", "unrecorded");
    world_free(&world);
}

static void test_circle(void **state)
{
    struct world world = { .threads = 1 };
    (void)state;
    graph_add(&world.graph, INPUT_OUTPUT, (uint32_t[]){ 1 }, 1, NULL, 0);
    graph_add(&world.graph, INPUT_OUTPUT, (uint32_t[]){ 0 }, 1, NULL, 0);
    graph_add(&world.graph, INPUT_OUTPUT, (uint32_t[]){ 2 }, 1, NULL, 0);
    for (uint32_t i = 0; i < 3; i++)
        attest(&world, i, builder);
    publish(&world);
    ends(&world, 0, QUORUM, "comes back to itself");
    ends(&world, 2, QUORUM, "comes back to itself");
    comes_out(&world, 0, QUORUM "\nexempt node-1");
    world_free(&world);
}

static void test_input_lists(void **state)
{
    struct world world = { .threads = 1 };
    uint32_t inputs[600];
    (void)state;
    for (uint32_t i = 0; i < 600; i++)
        inputs[i] = graph_add(&world.graph, INPUT_SOURCE, NULL, 0, NULL, 0);
    uint32_t top = graph_add(&world.graph, INPUT_OUTPUT, inputs, 600, NULL, 0);
    attest(&world, top, builder);
    publish(&world);
    assert_int_equal(world.lists_n, 1);
    comes_out(&world, top, QUORUM);
    assert_int_equal(world.lists_asked, 1);
    world.bend_lists = true;
    ends(&world, top, QUORUM, "input list cannot be had");
    world.bend_lists = false;
    world.hide_lists = true;
    ends(&world, top, QUORUM, "input list cannot be had");
    world_free(&world);
}

/* Two builders used the same inputs: one list, fetched once, for both. */
static void test_shared_list(void **state)
{
    struct world world = { .threads = 1 };
    uint32_t inputs[600];
    (void)state;
    for (uint32_t i = 0; i < 600; i++)
        inputs[i] = graph_add(&world.graph, INPUT_SOURCE, NULL, 0, NULL, 0);
    uint32_t top = graph_add(&world.graph, INPUT_OUTPUT, inputs, 600, NULL, 0);
    attest(&world, top, builder);
    attest(&world, top, friend);
    publish(&world);
    assert_int_equal(world.lists_n, 2); /* each came with its attestation */
    comes_out(&world, top, "group both all ci friend\nquorum both");
    assert_int_equal(world.lists_asked, 1);
    world.hide_lists = true;
    ends(&world, top, "group both all ci friend\nquorum both", "input list cannot be had");
    assert_int_equal(world.lists_asked, 1);
    world_free(&world);
}

static void test_vouched(void **state)
{
    static const char *const trust = "quorum c\nquorum ci node-4";
    struct world world;
    (void)state;
    for (int bend = 0; bend < 2; bend++) {
        make(&world);
        attest(&world, APP, builder);
        publish(&world);
        add_info(&world, TOOL, bend);
        add_info(&world, LIBRARY, false);
        if (bend)
            ends(&world, APP, trust, "not attested");
        else
            comes_out(&world, APP, trust);
        world_free(&world);
    }
    make(&world); /* a cache's library under an honest tool is not the one that the build saw */
    flip(&world, LIBRARY);
    attest(&world, APP, builder);
    flip(&world, LIBRARY);
    publish(&world);
    add_info(&world, TOOL, false);
    add_info(&world, LIBRARY, false);
    ends(&world, APP, trust, "closure digest does not come out");
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_out),       cmocka_unit_test(test_own_references), cmocka_unit_test(test_not_attested),
        cmocka_unit_test(test_closure_digest),  cmocka_unit_test(test_swapped),        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_poses_as_ground), cmocka_unit_test(test_unrecorded),     cmocka_unit_test(test_circle),
        cmocka_unit_test(test_input_lists),     cmocka_unit_test(test_shared_list),    cmocka_unit_test(test_vouched),
    };
    return cmocka_run_group_tests(tests, trail_world_set_up, trail_world_tear_down);
}
