/* spec/vectors/bundle.json: proof bundles, one or several, under a policy that wants both of its witnesses. */
#include "lib/cosignature.h"
#include "lib/dsse.h"
#include "lib/proof.h"
#include "tests/vectors/vector.h"

/* A tree of three entries, of which the second is the attestation. */
struct world {
    struct secret_key *keys[3]; /* the log's, and its witnesses' */
    struct buf policy, note, out;
    struct span entry;
    struct hash leaves[3];
};

/* What may be another than usual in a note. */
struct note_kind {
    const char *origin, *extensions;
    bool unsigned_by_log, one_witness;
};

static void put_text(struct buf *out, const struct world *world, const struct note_kind *kind)
{
    struct frontier tree;
    frontier_start(&tree);
    for (size_t i = 0; i < 3; i++)
        frontier_append(&tree, &world->leaves[i]);
    struct checkpoint head = { .origin = kind->origin != NULL ? span_str(kind->origin) : secret_key_vkey(world->keys[0]).name,
                               .size = 3,
                               .root = frontier_root(&tree),
                               .extensions = span_str(kind->extensions != NULL ? kind->extensions : "") };
    checkpoint_render(out, &head);
}

static void put_line(struct buf *out, const struct secret_key *key, struct span text)
{
    struct vkey vkey = secret_key_vkey(key);
    uint8_t sig[COSIGNATURE_BYTES];
    struct why why;
    bool witness = vkey.type == SIG_COSIGNATURE;
    must(witness ? secret_key_cosign(key, 1700000000, text, true, sig, &why) : secret_key_sign(key, text, sig, &why), &why);
    note_sig_render(out, &vkey, span_of(sig, witness ? COSIGNATURE_BYTES : 64));
}

static struct span make_note(struct world *world, const struct note_kind *kind)
{
    struct buf text = BUF_EMPTY, *note = &world->note;
    put_text(&text, world, kind);
    buf_clear(note);
    buf_span(note, span_buf(&text));
    buf_byte(note, '\n');
    for (size_t i = kind->unsigned_by_log ? 1 : 0; i < (kind->one_witness ? 2 : 3); i++)
        put_line(note, world->keys[i], span_buf(&text));
    buf_free(&text);
    return span_buf(note);
}

/* The bundle of the attestation, under the note at hand. */
static void put_bundle(struct buf *out, const struct world *world)
{
    const struct hash path[] = { world->leaves[0], world->leaves[2] };
    proof_render(out, &world->entry, 1, path, 2, span_buf(&world->note));
}

/* `count`: how many bundles there are, where they are to be accepted. */
static void put_case(struct world *world, const char *name, unsigned count, const struct buf *bundle)
{
    vector_open(&world->out, name, count > 0);
    vector_member(&world->out, "policy", span_buf(&world->policy));
    vector_member(&world->out, "bundle", span_buf(bundle));
    if (count > 0)
        buf_fmt(&world->out, ",\n  \"count\": %u", count);
    vector_close(&world->out);
}

static void other_proofs(struct world *world, struct buf *bundle)
{
    const struct hash path[] = { world->leaves[0], world->leaves[2], world->leaves[2] };
    static const struct {
        const char *name;
        uint64_t index;
        size_t n;
        bool bare;
    } wrong[] = { { "another index", 0, 2, false },
                  { "an index beyond the tree", 3, 2, false },
                  { "a hash too few", 1, 1, false },
                  { "a hash too many", 1, 3, false },
                  { "a bundle without its attestation", 1, 2, true } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        buf_clear(bundle);
        proof_render(bundle, wrong[i].bare ? NULL : &world->entry, wrong[i].index, path, wrong[i].n, span_buf(&world->note));
        put_case(world, wrong[i].name, 0, bundle);
    }
}

static void other_notes(struct world *world, struct buf *bundle)
{
    static const struct {
        const char *name;
        struct note_kind kind;
    } wrong[] = { { "a witness too few", { .one_witness = true } },
                  { "witnesses alone", { .unsigned_by_log = true } },
                  { "another origin than the log's", { .origin = "log.example.org/other" } } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        buf_clear(bundle);
        make_note(world, &wrong[i].kind);
        put_bundle(bundle, world);
        put_case(world, wrong[i].name, 0, bundle);
    }
    /* Beside all lines that are wanted one more, which is over another text; of a stranger's nobody can tell. */
    struct secret_key *stranger = vector_key("w3.example.com", SIG_COSIGNATURE);
    make_note(world, &(struct note_kind){ 0 });
    put_line(&world->note, stranger, span_str("another text\n"));
    buf_clear(bundle);
    put_bundle(bundle, world);
    put_case(world, "a line by a key that the policy does not name", 1, bundle);
    make_note(world, &(struct note_kind){ 0 });
    put_line(&world->note, world->keys[2], span_str("another text\n"));
    buf_clear(bundle);
    put_bundle(bundle, world);
    put_case(world, "a line by a known key that does not verify, beside enough that do", 0, bundle);
    secret_key_free(stranger);
}

/* `end` takes the place of the last newline. */
static void two(struct world *world, const char *name, unsigned count, const char *between, const char *end, struct buf *bundle)
{
    buf_clear(bundle);
    put_bundle(bundle, world);
    buf_str(bundle, between);
    put_bundle(bundle, world);
    bundle->len--;
    buf_str(bundle, end);
    put_case(world, name, count, bundle);
}

static void several(struct world *world, struct buf *bundle)
{
    make_note(world, &(struct note_kind){ 0 });
    two(world, "two bundles", 2, "", "\n", bundle);
    two(world, "an empty line between two", 0, "\n", "\n", bundle);
    two(world, "no newline at the end", 0, "", "", bundle);
    two(world, "more behind the last", 0, "", "\nmore\n", bundle);
    make_note(world, &(struct note_kind){ .extensions = "c2sp.org/tlog-proof@v1\n" });
    two(world, "the header line stands in the checkpoints", 2, "", "\n", bundle);
    make_note(world, &(struct note_kind){ 0 });
}

/* An attestation that is in the tree, and whose own signature does not verify. */
static void forged(struct world *world, struct buf *bundle)
{
    struct buf entry = BUF_EMPTY;
    struct span honest = world->entry;
    vector_altered(&entry, honest, "\"sig\":\"", "==\"}]}",
                   "\"sig\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    world->entry = span_buf(&entry);
    world->leaves[1] = merkle_leaf_hash(world->entry);
    make_note(world, &(struct note_kind){ 0 });
    buf_clear(bundle);
    put_bundle(bundle, world);
    put_case(world, "an attestation that its builder did not sign", 0, bundle);
    world->entry = honest;
    world->leaves[1] = merkle_leaf_hash(honest);
    buf_free(&entry);
}

void vectors_bundle(const char *folder, struct span entry)
{
    struct world world = { .keys = { vector_key("log.example.org/stele", SIG_ED25519),
                                     vector_key("w1.example.org", SIG_COSIGNATURE), vector_key("w2.example.net", SIG_COSIGNATURE) },
                           .entry = entry,
                           .leaves = { vector_hash("first"), merkle_leaf_hash(entry), vector_hash("third") } };
    struct buf bundle = BUF_EMPTY, zero = BUF_EMPTY;
    static const char *const words[] = { "log ", "\nwitness w1 ", "\nwitness w2 " };
    for (size_t i = 0; i < 3; i++) {
        buf_str(&world.policy, words[i]);
        vector_put_vkey(&world.policy, world.keys[i]);
    }
    buf_str(&world.policy, "\ngroup both all w1 w2\nquorum both\n");
    make_note(&world, &(struct note_kind){ 0 });
    put_bundle(&bundle, &world);
    put_case(&world, "a bundle", 1, &bundle);
    vector_altered(&zero, span_buf(&bundle), "\nindex 1", NULL, "\nindex 01");
    put_case(&world, "an index with a leading zero", 0, &zero);
    other_proofs(&world, &bundle);
    other_notes(&world, &bundle);
    several(&world, &bundle);
    forged(&world, &bundle);
    vector_write(folder, "bundle.json", &world.out);
    buf_free(&bundle);
    buf_free(&zero);
    buf_free(&world.policy);
    buf_free(&world.note);
    for (size_t i = 0; i < 3; i++)
        secret_key_free(world.keys[i]);
}
