/* Evidence: what proof bundles show under a policy, with real keys made here; and for each way to be wrong its reason. */
#include "tests/unit/support.h"

#include <stdlib.h>

#include "client/evidence.h"
#include "lib/encode.h"
#include "tests/attestation.h"
#include "tests/must.h"

enum { ENTRIES = 6, GOOD = 3, BAD_SIG = 3, ODD_FORM = 4, OTHER_NAME = 5 };

/* A log of three good attestations and three that a careless log took: signed wrongly, in another form, under another's name. */
static struct secret_key *log_key, *witnesses[2], *builder, *stranger;
static struct buf entries[ENTRIES], policy_text;
static struct policy policy;

static void put_key(struct buf *out, const char *words, const struct secret_key *key)
{
    struct vkey vkey = secret_key_vkey(key);
    buf_str(out, words);
    vkey_render(out, &vkey);
    buf_byte(out, '\n');
}

/* The attestation of entry 0, its payload signed anew by `key`. */
static void sign_again(struct buf *out, const struct secret_key *key, bool flip)
{
    struct envelope envelope;
    struct buf payload = BUF_EMPTY, pae = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(key);
    struct why why;
    uint8_t sig[64];
    assert_int_equal(envelope_parse(&envelope, span_buf(&entries[0]), &payload, &why), OK);
    dsse_pae(&pae, span_str(IN_TOTO_TYPE), envelope.payload);
    assert_int_equal(secret_key_sign(key, span_buf(&pae), sig, &why), OK);
    sig[0] ^= flip;
    envelope_render(out, envelope.payload, &vkey, sig);
    buf_free(&payload);
    buf_free(&pae);
}

static int set_up(void **state)
{
    struct why why;
    (void)state;
    assert_int_equal(key_system_start(&why), OK);
    log_key = new_key("log.example", SIG_ED25519);
    witnesses[0] = new_key("w1.example", SIG_COSIGNATURE);
    witnesses[1] = new_key("w2.example", SIG_COSIGNATURE);
    builder = new_key("ci.example/builder", SIG_ED25519);
    stranger = new_key("stranger.example", SIG_ED25519);
    for (size_t i = 0; i < GOOD; i++) {
        assert_int_equal(test_attestation(&entries[i], builder, i, 2, &why), OK);
        entries[i].len--; /* the line's newline is not the entry's */
    }
    sign_again(&entries[BAD_SIG], builder, true);
    buf_byte(&entries[ODD_FORM], ' ');
    buf_span(&entries[ODD_FORM], span_buf(&entries[0]));
    sign_again(&entries[OTHER_NAME], stranger, false);
    put_key(&policy_text, "log ", log_key);
    put_key(&policy_text, "witness w1 ", witnesses[0]);
    put_key(&policy_text, "witness w2 ", witnesses[1]);
    buf_str(&policy_text, "group both all w1 w2\nquorum both\n");
    assert_int_equal(policy_parse(&policy, span_buf(&policy_text), "policy", &why), OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct secret_key *const keys[] = { log_key, witnesses[0], witnesses[1], builder, stranger };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        secret_key_free(keys[i]);
    for (size_t i = 0; i < ENTRIES; i++)
        buf_free(&entries[i]);
    buf_free(&policy_text);
    policy_free(&policy);
    return 0;
}

/* Any node of the tree, by its definition: slow, and other code than what is tested. */
static struct hash node_at(uint8_t level, uint64_t index)
{
    if (level == 0)
        return merkle_leaf_hash(span_buf(&entries[index]));
    struct hash left = node_at(level - 1, 2 * index), right = node_at(level - 1, 2 * index + 1);
    return merkle_node_hash(&left, &right);
}

static enum err read_nodes(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    (void)ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = node_at(nodes[i].level, nodes[i].index);
    return OK;
}

/* The signed head of the first `size` entries, cosigned by the first `n` witnesses at 1000 and 1001 seconds. */
static void put_head(struct buf *out, uint64_t size, size_t n)
{
    struct hash_reader reader = { read_nodes, NULL };
    struct checkpoint checkpoint = { .origin = span_str("log.example"), .size = size };
    struct vkey vkey = secret_key_vkey(log_key);
    struct buf text = BUF_EMPTY;
    struct why why;
    uint8_t sig[64], cosignature[COSIGNATURE_BYTES];
    assert_int_equal(merkle_root(size, &reader, &checkpoint.root, &why), OK);
    checkpoint_render(&text, &checkpoint);
    assert_int_equal(secret_key_sign(log_key, span_buf(&text), sig, &why), OK);
    buf_span(out, span_buf(&text));
    buf_byte(out, '\n');
    note_sig_render(out, &vkey, span_of(sig, sizeof sig));
    for (size_t i = 0; i < n; i++) {
        vkey = secret_key_vkey(witnesses[i]);
        assert_int_equal(secret_key_cosign(witnesses[i], 1000 + i, span_buf(&text), true, cosignature, &why), OK);
        note_sig_render(out, &vkey, span_of(cosignature, sizeof cosignature));
    }
    buf_free(&text);
}

/* A proof: of entry `index`, carrying entry `carried` (-1: none), stating index `stated`. */
struct made {
    uint64_t size, index, stated;
    int carried;
    size_t cosigned;
};

static void put_proof(struct buf *out, struct made made)
{
    struct hash_reader reader = { read_nodes, NULL };
    struct hash hashes[PROOF_HASHES_MAX];
    struct buf head = BUF_EMPTY;
    struct span extra;
    struct why why;
    size_t n;
    put_head(&head, made.size, made.cosigned);
    assert_int_equal(merkle_inclusion_prove(made.index, made.size, &reader, hashes, &n, &why), OK);
    if (made.carried >= 0)
        extra = span_buf(&entries[made.carried]);
    proof_render(out, made.carried >= 0 ? &extra : NULL, made.stated, hashes, n, span_buf(&head));
    buf_free(&head);
}

static void put_good(struct buf *out, uint64_t index)
{
    put_proof(out, (struct made){ ENTRIES, index, index, (int)index, 2 });
}

static void add(struct evidence *evidence, const struct buf *bundles, const struct storepath *path)
{
    struct why why;
    assert_int_equal(evidence_add(evidence, span_buf(bundles), "a test", &policy, path, &why), OK);
}

static void good_proofs(void **state)
{
    struct evidence evidence = { 0 };
    struct buf bundles = BUF_EMPTY;
    (void)state;
    for (uint64_t i = 0; i < GOOD; i++)
        put_good(&bundles, i);
    add(&evidence, &bundles, NULL);
    assert_int_equal(evidence.n, GOOD);
    size_t at = 0;
    for (uint64_t i = 0; i < GOOD; i++) {
        const struct evidence_item *item = evidence.items[i];
        assert_true(item->proven);
        assert_string_equal(item->source, "a test");
        assert_string_equal(item->origin, "log.example");
        assert_string_equal(item->witnesses, "w1, w2");
        assert_int_equal(item->index, i);
        assert_int_equal(item->tree_size, ENTRIES);
        assert_int_equal(item->cosignatures, 2);
        assert_int_equal(item->newest_time_s, 1001);
        assert_true(span_eq(span_buf(&item->entry), span_buf(&entries[i])));
        assert_true(span_is(item->key.name, "ci.example/builder"));
        assert_false(item->statement.foreign);
        assert_null(item->subject);
        /* Verbatim, and one after another all there is. */
        assert_memory_equal(item->proof_text, bundles.data + at, item->proof_len);
        at += item->proof_len;
    }
    assert_int_equal(at, bundles.len);
    evidence_free(&evidence);
    buf_free(&bundles);
}

/* Under the shared checkpoint the signatures are not verified again; another one is. */
static void shared_checkpoint(void **state)
{
    struct evidence evidence = { 0 };
    struct buf one = BUF_EMPTY, two = BUF_EMPTY, other = BUF_EMPTY;
    (void)state;
    put_good(&one, 0);
    put_good(&two, 1);
    put_proof(&other, (struct made){ 4, 2, 2, 2, 2 });
    add(&evidence, &one, NULL);
    assert_int_equal(evidence.items[0]->newest_time_s, 1001);
    evidence.own_heads.items[0]->view.newest_time_s = 5; /* shows whether what was found is used again */
    add(&evidence, &two, NULL);
    add(&evidence, &other, NULL);
    assert_int_equal(evidence.n, 3);
    assert_true(evidence.items[1]->proven && evidence.items[2]->proven);
    assert_int_equal(evidence.items[1]->newest_time_s, 5);
    assert_int_equal(evidence.items[1]->tree_size, ENTRIES);
    assert_int_equal(evidence.items[2]->newest_time_s, 1001);
    assert_int_equal(evidence.items[2]->tree_size, 4);
    assert_string_equal(evidence.items[1]->origin, "log.example");
    evidence_free(&evidence);
    buf_free(&one);
    buf_free(&two);
    buf_free(&other);
}

/* A checkpoint that fell short once must not pass for one that was verified. */
static void short_checkpoint_is_not_kept(void **state)
{
    struct evidence evidence = { 0 };
    struct buf bundles = BUF_EMPTY;
    (void)state;
    for (uint64_t i = 0; i < 2; i++)
        put_proof(&bundles, (struct made){ ENTRIES, i, i, (int)i, 1 });
    put_good(&bundles, 2);
    add(&evidence, &bundles, NULL);
    assert_int_equal(evidence.n, 3);
    assert_false(evidence.items[0]->proven || evidence.items[1]->proven);
    assert_true(evidence.items[2]->proven);
    evidence_free(&evidence);
    buf_free(&bundles);
}

/* Not proven, for this reason; the same with the defect mended is proven (good_proofs). */
static void expect_not(const struct buf *bundles, const char *reason)
{
    struct evidence evidence = { 0 };
    struct trust_evidence *counted = NULL;
    struct why why;
    size_t n;
    add(&evidence, bundles, NULL);
    assert_int_equal(evidence.n, 1);
    assert_false(evidence.items[0]->proven);
    if (strstr(evidence.items[0]->why_not.text, reason) == NULL)
        assert_string_equal(evidence.items[0]->why_not.text, reason);
    assert_int_equal(evidence_for_trust(&evidence, &counted, &n, NULL, &why), OK);
    assert_int_equal(n, 0);
    free(counted);
    evidence_free(&evidence);
}

static void wrong_proofs(void **state)
{
    static const struct {
        struct made made;
        const char *why;
    } cases[] = {
        { { ENTRIES, 0, 0, -1, 2 }, "no `extra` line" },
        { { ENTRIES, 0, 1, 0, 2 }, "inclusion" },
        { { ENTRIES, 0, ENTRIES, 0, 2 }, "not in a tree of 6" },
        { { ENTRIES, 0, 0, 1, 2 }, "inclusion" },
        { { ENTRIES, 0, 0, 0, 1 }, "quorum" },
        { { ENTRIES, 0, 0, 0, 0 }, "quorum" },
        { { ENTRIES, BAD_SIG, BAD_SIG, BAD_SIG, 2 }, "signature by ci.example/builder does not verify" },
        { { ENTRIES, ODD_FORM, ODD_FORM, ODD_FORM, 2 }, "not in the one byte form" },
        { { ENTRIES, OTHER_NAME, OTHER_NAME, OTHER_NAME, 2 }, "stranger.example" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf bundles = BUF_EMPTY;
        put_proof(&bundles, cases[i].made);
        expect_not(&bundles, cases[i].why);
        buf_free(&bundles);
    }
}

/* Another log's policy, whatever the witnesses are. */
static void unknown_log(void **state)
{
    struct buf text = BUF_EMPTY, bundles = BUF_EMPTY;
    struct evidence evidence = { 0 };
    struct policy other;
    struct why why;
    (void)state;
    put_key(&text, "log ", stranger);
    buf_str(&text, "quorum none\n");
    assert_int_equal(policy_parse(&other, span_buf(&text), "policy", &why), OK);
    put_good(&bundles, 0);
    assert_int_equal(evidence_add(&evidence, span_buf(&bundles), "a test", &other, NULL, &why), OK);
    assert_int_equal(evidence.n, 1);
    assert_false(evidence.items[0]->proven);
    assert_non_null(strstr(evidence.items[0]->why_not.text, "log.example"));
    evidence_free(&evidence);
    policy_free(&other);
    buf_free(&text);
    buf_free(&bundles);
}

static void expect_nothing_proven(const struct buf *bundles)
{
    struct evidence evidence = { 0 };
    add(&evidence, bundles, NULL);
    assert_true(evidence.n >= 1);
    for (size_t i = 0; i < evidence.n; i++)
        assert_false(evidence.items[i]->proven);
    evidence_free(&evidence);
}

/* One flipped bit in every byte of a good bundle, and every shorter one: never proven, never a crash. */
static void every_byte(void **state)
{
    struct buf good = BUF_EMPTY;
    (void)state;
    put_good(&good, 1);
    for (size_t i = 0; i < good.len; i++) {
        good.data[i] ^= 1;
        expect_nothing_proven(&good);
        good.data[i] ^= 1;
    }
    for (size_t len = 1; len < good.len; len++)
        expect_nothing_proven(&(struct buf){ .data = good.data, .len = len });
    buf_free(&good);
}

/* What cannot be split is one item with its reason; what stood before it counts. */
static void rubbish_after(void **state)
{
    struct evidence evidence = { 0 };
    struct buf bundles = BUF_EMPTY;
    (void)state;
    put_good(&bundles, 0);
    buf_str(&bundles, "rubbish\n");
    put_good(&bundles, 1);
    add(&evidence, &bundles, NULL);
    assert_int_equal(evidence.n, 2);
    assert_true(evidence.items[0]->proven);
    assert_false(evidence.items[1]->proven);
    assert_non_null(strstr(evidence.items[1]->why_not.text, "line 1 of the proof"));
    evidence_free(&evidence);
    buf_free(&bundles);
}

/* What is malformed between good ones is one item with its reason; they count. */
static void rubbish_between(void **state)
{
    static const struct {
        const char *from, *to, *reason;
    } cases[] = {
        { "extra ey", "extra !y", "the proof's extra line is not base64" },
        { "\nindex 1\n", "\nindex 1\n!\n", "hash 1 of the proof is not the base64 of 32 bytes" },
        { "\n6\n", "\n06\n", "size" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct evidence evidence = { 0 };
        struct buf bundles = BUF_EMPTY, bad = BUF_EMPTY;
        put_good(&bundles, 0);
        put_good(&bad, 1);
        buf_byte(&bad, '\0');
        const char *text = (const char *)bad.data, *at = strstr(text, cases[i].from);
        assert_non_null(at);
        buf_fmt(&bundles, "%.*s%s%s", (int)(at - text), text, cases[i].to, at + strlen(cases[i].from));
        put_good(&bundles, 2);
        add(&evidence, &bundles, NULL);
        assert_int_equal(evidence.n, 3);
        assert_true(evidence.items[0]->proven);
        assert_false(evidence.items[1]->proven);
        if (strstr(evidence.items[1]->why_not.text, cases[i].reason) == NULL)
            assert_string_equal(evidence.items[1]->why_not.text, cases[i].reason);
        assert_true(evidence.items[2]->proven);
        assert_int_equal(evidence.items[2]->index, 2);
        evidence_free(&evidence);
        buf_free(&bundles);
        buf_free(&bad);
    }
}

/* One place in one log is one attestation, also under two heads; a failed proof takes nobody's place. */
static void same_once(void **state)
{
    struct evidence evidence = { 0 };
    struct buf bundles = BUF_EMPTY;
    (void)state;
    put_proof(&bundles, (struct made){ ENTRIES, 1, 1, 1, 1 });
    put_good(&bundles, 1);
    put_good(&bundles, 1);
    put_proof(&bundles, (struct made){ 4, 1, 1, 1, 2 });
    add(&evidence, &bundles, NULL);
    assert_int_equal(evidence.n, 2);
    assert_false(evidence.items[0]->proven);
    assert_true(evidence.items[1]->proven);
    evidence_free(&evidence);
    buf_free(&bundles);
}

/* Only what is proven and names the path goes before the trust file, and the map says which item that is. */
static void for_trust(void **state)
{
    struct evidence evidence = { 0 };
    struct buf bundles = BUF_EMPTY, path_text = BUF_EMPTY;
    struct storepath path;
    struct trust_evidence *counted = NULL;
    size_t n, *map = NULL;
    struct why why;
    (void)state;
    test_attestation_path(&path_text, 0);
    assert_int_equal(storepath_parse(&path, span_buf(&path_text), &why), OK);
    put_good(&bundles, 1);                                              /* of another path */
    put_proof(&bundles, (struct made){ ENTRIES, 0, 0, 0, 1 });          /* short of quorum */
    put_proof(&bundles, (struct made){ ENTRIES, 5, 5, OTHER_NAME, 2 }); /* of this path, under another's name */
    put_good(&bundles, 0);                                              /* this one */
    add(&evidence, &bundles, &path);
    assert_int_equal(evidence.n, 4);
    assert_int_equal(evidence_for_trust(&evidence, &counted, &n, &map, &why), OK);
    assert_int_equal(n, 1);
    assert_int_equal(map[0], 3);
    assert_int_equal(counted[0].index, 0);
    assert_true(span_is(counted[0].origin, "log.example"));
    assert_true(span_eq(counted[0].subject->path, path.path));
    assert_ptr_equal(counted[0].statement, &evidence.items[3]->statement);
    free(counted);
    free(map);
    evidence_free(&evidence);
    buf_free(&bundles);
    buf_free(&path_text);
}

static void nothing(void **state)
{
    struct evidence evidence = { 0 };
    struct buf empty = BUF_EMPTY;
    (void)state;
    add(&evidence, &empty, NULL);
    assert_int_equal(evidence.n, 0);
    evidence_free(&evidence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_proofs),   cmocka_unit_test(shared_checkpoint), cmocka_unit_test(short_checkpoint_is_not_kept),
        cmocka_unit_test(wrong_proofs),  cmocka_unit_test(unknown_log),       cmocka_unit_test(every_byte),
        cmocka_unit_test(rubbish_after), cmocka_unit_test(rubbish_between),   cmocka_unit_test(same_once),
        cmocka_unit_test(for_trust),     cmocka_unit_test(nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
