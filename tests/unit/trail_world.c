#include "tests/unit/support.h"
#include "tests/unit/trail_world.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/dsse.h"
#include "lib/sys/file.h"
#include "lib/wire.h"
#include "tests/must.h"

struct secret_key *builder, *friend, *stranger;
struct nix_secret_key *cache;
char scratch[] = "/tmp/stele-trail.XXXXXX";

int trail_world_set_up(void **state)
{
    struct why why;
    uint8_t public[32], secret[64];
    struct buf text = BUF_EMPTY;
    char file[64];
    (void)state;
    assert_int_equal(key_system_start(&why), OK);
    builder = new_key("ci.example/builder", SIG_ED25519);
    friend = new_key("friend.example/builder", SIG_ED25519);
    stranger = new_key("stranger.example/builder", SIG_ED25519);
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

int trail_world_tear_down(void **state)
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

void make(struct world *world)
{
    *world = (struct world){ .threads = 1 };
    graph_add(&world->graph, INPUT_SOURCE, NULL, 0, NULL, 0);
    graph_add(&world->graph, INPUT_FIXED, NULL, 0, NULL, 0);
    graph_add(&world->graph, INPUT_OUTPUT, (uint32_t[]){ SOURCE, FIXED }, 2, NULL, 0);
    graph_add(&world->graph, INPUT_OUTPUT, (uint32_t[]){ LIBRARY, SOURCE }, 2, (uint32_t[]){ LIBRARY }, 1);
    graph_add(&world->graph, INPUT_OUTPUT, (uint32_t[]){ TOOL }, 1, (uint32_t[]){ TOOL }, 1);
}

void world_free(struct world *world)
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

void flip(struct world *world, uint32_t node)
{
    world->graph.nodes[node].nar_hash.b[0] ^= 1;
}

void attest(struct world *world, uint32_t node, const struct secret_key *key)
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

void add_info(struct world *world, uint32_t number, bool bend)
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

static const struct graph *sorting;
static int by_base(const void *a, const void *b)
{
    return strcmp(sorting->nodes[*(const uint32_t *)a].base, sorting->nodes[*(const uint32_t *)b].base);
}

void publish(struct world *world)
{
    memory_log_make(&world->log, world->entries, world->n);
    world->sorted = calloc(world->graph.n + 1, sizeof *world->sorted);
    for (uint32_t i = 0; i < world->graph.n; i++)
        world->sorted[i] = i;
    sorting = &world->graph;
    qsort(world->sorted, world->graph.n, sizeof *world->sorted, by_base);
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

struct trust parse_trust(const char *text)
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

/* Each head that proofs brought is given out once, with its note. */
static void count_heads(struct world *world, struct trail *trail)
{
    struct buf heads = BUF_EMPTY;
    uint64_t proven;
    struct span note;
    trail_heads(trail, &heads);
    struct span rest = span_buf(&heads);
    for (world->heads = 0; rest.len > 0; world->heads++) {
        assert_true(wire_take_u64(&rest, &proven) && wire_take(&rest, &note));
        assert_true(proven == 1 && span_eq(note, span_buf(&world->log.note)));
    }
    buf_clear(&heads);
    trail_heads(trail, &heads);
    assert_int_equal(heads.len, 0);
    buf_free(&heads);
}

enum trail_state ask(struct world *world, uint32_t root, const char *trust_text)
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
    count_heads(world, trail);
    trail_why(trail, &world->why);
    trail_free(trail);
    trust_free(&trust);
    free(names);
    return wants.state;
}

void comes_out(struct world *world, uint32_t root, const char *trust)
{
    enum trail_state state = ask(world, root, trust);
    if (state != TRAIL_COMPLETE)
        print_error("%s\n", world->why.text);
    assert_int_equal(state, TRAIL_COMPLETE);
}

void ends(struct world *world, uint32_t root, const char *trust, const char *reason)
{
    assert_int_equal(ask(world, root, trust), TRAIL_BROKEN);
    if (strstr(world->why.text, reason) == NULL)
        print_error("\"%s\", not \"%s\"\n", world->why.text, reason);
    assert_non_null(strstr(world->why.text, reason));
}
