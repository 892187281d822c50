/* Trails over made-up builds: for each way in which one ends, its reason, beside the same trail that comes out. */
#include "tests/unit/support.h"

#include <stdio.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/trail.h"
#include "client/trail_memory.h"
#include "lib/dsse.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "tests/graph.h"
#include "tests/memory_log.h"

static struct secret_key *builder, *friend, *stranger;
static struct nix_secret_key *cache;
static char scratch[] = "/tmp/stele-trail.XXXXXX";

/* A graph, and the log of what was attested of it. */
struct world {
    struct graph graph;
    struct buf *entries, *lists;
    uint32_t *subjects; /* of each entry */
    size_t n, lists_n, cap;
    struct memory_log log;
    uint32_t *sorted; /* nodes by hash part */
    struct buf infos[8];
    uint32_t infos_of[8];
    size_t infos_n;
    size_t asked, lists_asked, infos_asked, rounds;
    bool hide_lists, bend_lists;
    unsigned threads;
    struct trail_memory *memory;
    struct why why; /* the last verdict's sentence */
};

static void attest(struct world *world, uint32_t node, const struct secret_key *key)
{
    struct buf lines = BUF_EMPTY;
    struct span rest, line;
    if (world->n == world->cap) {
        world->cap = 2 * world->cap + 64;
        world->entries = realloc(world->entries, world->cap * sizeof *world->entries);
        world->lists = realloc(world->lists, world->cap * sizeof *world->lists);
        world->subjects = realloc(world->subjects, world->cap * sizeof *world->subjects);
    }
    graph_attest(&world->graph, node, key, &lines);
    rest = span_buf(&lines);
    while (span_line(&rest, &line)) {
        if (span_skip(&line, "{\"inputs\":\"")) {
            world->lists[world->lists_n] = BUF_EMPTY;
            assert_true(base64_decode(span_cut(line, 0, line.len - 2), &world->lists[world->lists_n++]));
            continue;
        }
        world->entries[world->n] = BUF_EMPTY;
        buf_span(&world->entries[world->n], line);
        world->subjects[world->n++] = node;
    }
    buf_free(&lines);
}

static const struct graph *sorting;
static int by_base(const void *a, const void *b)
{
    return strcmp(sorting->nodes[*(const uint32_t *)a].base, sorting->nodes[*(const uint32_t *)b].base);
}

/* The log is closed: from now on it is asked. */
static void publish(struct world *world)
{
    memory_log_make(&world->log, world->entries, world->n);
    world->sorted = calloc(world->graph.n + 1, sizeof *world->sorted);
    for (uint32_t i = 0; i < world->graph.n; i++)
        world->sorted[i] = i;
    sorting = &world->graph;
    qsort(world->sorted, world->graph.n, sizeof *world->sorted, by_base);
}

static void world_free(struct world *world)
{
    for (size_t i = 0; i < world->n; i++)
        buf_free(&world->entries[i]);
    for (size_t i = 0; i < world->lists_n; i++)
        buf_free(&world->lists[i]);
    for (size_t i = 0; i < world->infos_n; i++)
        buf_free(&world->infos[i]);
    free(world->entries);
    free(world->lists);
    free(world->subjects);
    free(world->sorted);
    graph_free(&world->graph);
    memory_log_free(&world->log);
}

static uint32_t node_of(const struct world *world, struct span part)
{
    size_t from = 0, to = world->graph.n;
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = memcmp(world->graph.nodes[world->sorted[middle]].base, part.data, part.len);
        if (order == 0)
            return world->sorted[middle];
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return UINT32_MAX;
}

/* Entries of each node, so that 50,000 are answered for in one go. */
static void answer_outputs(struct world *world, struct trail *trail, struct span asked)
{
    struct buf bundles = BUF_EMPTY;
    struct span rest = asked, part;
    struct why why;
    bool *wanted = calloc(world->graph.n + 1, sizeof *wanted);
    while (span_line(&rest, &part)) {
        uint32_t node = node_of(world, part);
        assert_int_not_equal(node, UINT32_MAX);
        assert_false(wanted[node]);
        wanted[node] = true;
        world->asked++;
    }
    for (size_t i = 0; i < world->n; i++)
        if (wanted[world->subjects[i]])
            memory_log_bundle(&world->log, i, &bundles);
    free(wanted);
    assert_int_equal(trail_feed_proofs(trail, asked, span_buf(&bundles), "test", &why), OK);
    buf_free(&bundles);
}

static void answer_lists(struct world *world, struct trail *trail, struct span asked)
{
    struct span hex;
    struct why why;
    while (span_line(&asked, &hex)) {
        struct span list = span_str("");
        world->lists_asked++;
        for (size_t i = 0; i < world->lists_n && !world->hide_lists; i++) {
            struct hash hash = sha256_of(span_buf(&world->lists[i])), want;
            assert_true(hex_decode(hex, want.b, 32));
            if (hash_eq(&hash, &want))
                list = span_buf(&world->lists[i]);
        }
        if (world->bend_lists)
            list.len -= 1;
        assert_int_equal(trail_feed_list(trail, hex, list, &why), OK);
    }
}

static void answer_infos(struct world *world, struct trail *trail, struct span asked)
{
    struct span part;
    struct why why;
    while (span_line(&asked, &part)) {
        uint32_t node = node_of(world, part);
        struct span info = span_str("");
        world->infos_asked++;
        for (size_t i = 0; i < world->infos_n; i++)
            if (world->infos_of[i] == node)
                info = span_buf(&world->infos[i]);
        assert_int_equal(trail_feed_info(trail, part, info, &why), OK);
    }
}

static struct trust parse_trust(const char *text)
{
    struct trust trust;
    struct why why = { "" };
    struct buf file = BUF_EMPTY;
    struct {
        const char *name;
        const struct secret_key *key;
    } builders[] = { { "ci", builder }, { "friend", friend } };
    for (size_t i = 0; i < 2; i++) {
        struct vkey key = secret_key_vkey(builders[i].key);
        buf_fmt(&file, "builder %s ", builders[i].name);
        vkey_render(&file, &key);
        buf_byte(&file, '\n');
    }
    struct nix_key nix = nix_secret_key_public(cache);
    buf_fmt(&file, "cache c %.*s:", SPAN_FMT(nix.name));
    base64_encode(&file, span_of(nix.key, 32));
    buf_fmt(&file, "\n%s\n", text);
    enum err err = trust_parse(&trust, span_buf(&file), "trust", &why);
    if (err != OK)
        print_error("%s\n", why.text);
    assert_int_equal(err, OK);
    buf_free(&file);
    return trust;
}

static enum trail_state ask(struct world *world, uint32_t root, const char *trust_text)
{
    struct trust trust = parse_trust(trust_text);
    struct trail_config config = { &world->log.policy, &trust, world->memory, world->threads, NULL };
    struct graph_node *node = &world->graph.nodes[root];
    struct trust_path path = { .nar_hash = node->nar_hash, .nar_size = 4096 };
    struct span *names = calloc(node->references_n + 1, sizeof *names);
    struct trail *trail;
    struct trail_wants wants;
    struct why why = { "" };
    for (size_t i = 0; i < node->references_n; i++)
        names[i] = span_str(world->graph.nodes[node->references[i]].base);
    path.references_digest = references_digest(names, node->references_n); /* at most one in these tests */
    assert_int_equal(storepath_parse(&path.path, span_str(node->path), &why), OK);
    assert_int_equal(trail_new(&trail, &config, &why), OK);
    assert_int_equal(trail_ask(trail, &path, &why), OK);
    world->asked = world->lists_asked = world->infos_asked = world->rounds = 0;
    for (;;) {
        assert_int_equal(trail_step(trail, &wants, &why), OK);
        if (wants.state != TRAIL_WANTS)
            break;
        world->rounds++;
        if (wants.outputs.len > 0)
            answer_outputs(world, trail, wants.outputs);
        answer_lists(world, trail, wants.lists);
        answer_infos(world, trail, wants.infos);
    }
    trail_why(trail, &world->why);
    trail_free(trail);
    trust_free(&trust);
    free(names);
    return wants.state;
}

#define COMES_OUT(world, root, trust)                                                                                              \
    do {                                                                                                                           \
        if (ask(world, root, trust) != TRAIL_COMPLETE)                                                                             \
            print_error("%s\n", (world)->why.text);                                                                                \
        assert_int_equal(ask(world, root, trust), TRAIL_COMPLETE);                                                                 \
    } while (0)

static void ends(struct world *world, uint32_t root, const char *trust, const char *reason)
{
    assert_int_equal(ask(world, root, trust), TRAIL_BROKEN);
    if (strstr(world->why.text, reason) == NULL)
        print_error("\"%s\", not \"%s\"\n", world->why.text, reason);
    assert_non_null(strstr(world->why.text, reason));
}

#define QUORUM "quorum ci"

/* source, fixed -> library -> tool (refers to library) -> app (refers to tool) */
enum { SOURCE, FIXED, LIBRARY, TOOL, APP };
static void make(struct world *world)
{
    *world = (struct world){ .threads = 1 };
    graph_add(&world->graph, INPUT_SOURCE, NULL, 0, NULL, 0);
    graph_add(&world->graph, INPUT_FIXED, NULL, 0, NULL, 0);
    graph_add(&world->graph, INPUT_OUTPUT, (uint32_t[]){ SOURCE, FIXED }, 2, NULL, 0);
    graph_add(&world->graph, INPUT_OUTPUT, (uint32_t[]){ LIBRARY, SOURCE }, 2, (uint32_t[]){ LIBRARY }, 1);
    graph_add(&world->graph, INPUT_OUTPUT, (uint32_t[]){ TOOL }, 1, (uint32_t[]){ TOOL }, 1);
}

static void flip(struct world *world, uint32_t node)
{
    world->graph.nodes[node].nar_hash.b[0] ^= 1;
}

static void test_comes_out(void **state)
{
    struct world world;
    (void)state;
    make(&world);
    for (uint32_t i = LIBRARY; i <= APP; i++)
        attest(&world, i, builder);
    attest(&world, FIXED, stranger); /* nobody needs it */
    publish(&world);
    COMES_OUT(&world, APP, QUORUM);
    assert_int_equal(world.asked, 5);
    world.threads = 4;
    COMES_OUT(&world, APP, QUORUM);
    COMES_OUT(&world, APP, QUORUM "\ninputs attested");
    ends(&world, APP, "quorum friend", "not attested");
    ends(&world, APP, QUORUM "\nfixed-output require", "not attested: only by an unknown builder");
    ends(&world, APP, QUORUM "\nrevoke ci from 1 test.example/log", "revoked");
    COMES_OUT(&world, LIBRARY, QUORUM "\nrevoke ci from 1 test.example/log");
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
    COMES_OUT(&world, APP, QUORUM "\nexempt node-2");
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
    COMES_OUT(&world, TOOL, QUORUM);
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
    COMES_OUT(&world, APP, QUORUM);
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
    COMES_OUT(&world, TOOL, "quorum friend");
    world_free(&world);

    make(&world); /* two contents of one source */
    attest(&world, LIBRARY, builder);
    flip(&world, SOURCE);
    attest(&world, TOOL, builder);
    attest(&world, APP, builder);
    publish(&world);
    ends(&world, APP, QUORUM, "one of them is false");
    COMES_OUT(&world, TOOL, QUORUM "\nexempt node-2\nexempt node-0");
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
    COMES_OUT(&world, APP, "group any any ci friend\nquorum ci\nquorum any node-3");
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
    COMES_OUT(&world, 0, QUORUM "\nexempt node-1");
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
    COMES_OUT(&world, top, QUORUM);
    assert_int_equal(world.lists_asked, 1);
    world.bend_lists = true;
    ends(&world, top, QUORUM, "input list cannot be had");
    world.bend_lists = false;
    world.hide_lists = true;
    ends(&world, top, QUORUM, "input list cannot be had");
    world_free(&world);
}

/* A narinfo of a node, signed by the cache. */
static void add_info(struct world *world, uint32_t number, bool bend)
{
    const struct graph_node *node = &world->graph.nodes[number];
    struct buf fingerprint = BUF_EMPTY, *out = &world->infos[world->infos_n];
    struct nix_sig sig;
    struct why why;
    struct span references[4];
    struct narinfo info = { .url = span_str("nar/x.nar"),
                            .compression = span_str("none"),
                            .nar_hash = node->nar_hash,
                            .nar_size = 4096,
                            .references = references,
                            .references_n = node->references_n,
                            .sigs = &sig,
                            .sigs_n = 1 };
    for (size_t i = 0; i < node->references_n; i++)
        references[i] = span_str(world->graph.nodes[node->references[i]].base);
    assert_int_equal(storepath_parse(&info.path, span_str(node->path), &why), OK);
    narinfo_fingerprint(&fingerprint, &info);
    assert_int_equal(nix_secret_key_sign(cache, span_buf(&fingerprint), &sig, &why), OK);
    sig.sig[0] ^= bend;
    narinfo_render(out, &info);
    world->infos_of[world->infos_n++] = number;
    buf_free(&fingerprint);
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
            COMES_OUT(&world, APP, trust);
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

/* Many paths, each of three below it. The benchmark has 50,000. */
static void test_large(void **state)
{
    enum { N = 4000, LAYER = 100 };
    struct world world = { .threads = 2 };
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t inputs[3];
        for (uint32_t k = 0; i >= LAYER && k < 3; k++)
            inputs[k] = i / LAYER * LAYER - LAYER + (i * 7 + k * 101) % LAYER;
        graph_add(&world.graph, i < LAYER ? INPUT_SOURCE : INPUT_OUTPUT, inputs, i < LAYER ? 0 : 3, NULL, 0);
    }
    for (uint32_t i = LAYER; i < N; i++)
        attest(&world, i, builder);
    uint32_t all[LAYER];
    for (uint32_t k = 0; k < LAYER; k++)
        all[k] = N - LAYER + k;
    uint32_t top = graph_add(&world.graph, INPUT_OUTPUT, all, LAYER, NULL, 0);
    attest(&world, top, builder);
    publish(&world);
    uint64_t from_us = clock_monotonic_us();
    assert_int_equal(ask(&world, top, QUORUM), TRAIL_COMPLETE);
    print_message("# %zu paths in %zu rounds: %llu ms\n", world.asked, world.rounds,
                  (unsigned long long)(clock_monotonic_us() - from_us) / 1000);
    world_free(&world);
}

static int set_up(void **state)
{
    struct why why;
    uint8_t public[32], secret[64];
    struct buf text = BUF_EMPTY;
    char file[64];
    (void)state;
    assert_int_equal(key_system_start(&why), OK);
    assert_int_equal(secret_key_new(&builder, span_str("ci.example/builder"), SIG_ED25519, &why), OK);
    assert_int_equal(secret_key_new(&friend, span_str("friend.example/builder"), SIG_ED25519, &why), OK);
    assert_int_equal(secret_key_new(&stranger, span_str("stranger.example/builder"), SIG_ED25519, &why), OK);
    assert_non_null(mkdtemp(scratch));
    snprintf(file, sizeof file, "%s/nix.secret", scratch);
    crypto_sign_keypair(public, secret);
    buf_str(&text, "cache.example-1:");
    base64_encode(&text, span_of(secret, sizeof secret));
    assert_int_equal(file_create(file, 0600, span_buf(&text), &why), OK);
    assert_int_equal(nix_secret_key_load(&cache, file, &why), OK);
    buf_free(&text);
    return 0;
}

static int tear_down(void **state)
{
    char command[64];
    (void)state;
    secret_key_free(builder);
    secret_key_free(friend);
    secret_key_free(stranger);
    nix_secret_key_free(cache);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_out),  cmocka_unit_test(test_not_attested), cmocka_unit_test(test_closure_digest),
        cmocka_unit_test(test_swapped),    cmocka_unit_test(test_versions),     cmocka_unit_test(test_poses_as_ground),
        cmocka_unit_test(test_unrecorded), cmocka_unit_test(test_circle),       cmocka_unit_test(test_input_lists),
        cmocka_unit_test(test_vouched),    cmocka_unit_test(test_memory),       cmocka_unit_test(test_memory_of_ground),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
