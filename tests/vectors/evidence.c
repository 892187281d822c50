/* spec/vectors/evidence.json: files that prove that a log forked, and files that do not. */
#include "lib/forkfile.h"
#include "tests/vectors/vector.h"

enum { LEAVES = 5, OLD = 3 };

/* Two histories of one log: they differ in their second entry. */
struct history {
    struct hash leaves[LEAVES];
};

static struct hash root_of(const struct history *history, size_t size)
{
    struct frontier tree;
    frontier_start(&tree);
    for (size_t i = 0; i < size; i++)
        frontier_append(&tree, &history->leaves[i]);
    return frontier_root(&tree);
}

static struct span put_note(struct buf *out, const struct secret_key *log, const struct history *history, size_t size)
{
    struct buf text = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(log);
    struct checkpoint head = { .origin = span_str("log.example.org/stele"), .size = size, .root = root_of(history, size) };
    uint8_t sig[64];
    struct why why;
    buf_clear(out);
    checkpoint_render(&text, &head);
    buf_span(out, span_buf(&text));
    buf_byte(out, '\n');
    must(secret_key_sign(log, span_buf(&text), sig, &why), &why);
    note_sig_render(out, &vkey, span_of(sig, sizeof sig));
    buf_free(&text);
    return span_buf(out);
}

static void put_case(struct buf *out, const char *name, bool ok, const struct forkfile *file)
{
    struct buf text = BUF_EMPTY;
    forkfile_render(&text, file);
    vector_open(out, name, ok);
    vector_member(out, "evidence", span_buf(&text));
    vector_close(out);
    buf_free(&text);
}

/* Two heads of one size. */
static void one_size(struct buf *out, struct forkfile *file, const struct secret_key *log, const struct secret_key *other,
                     const struct history histories[2])
{
    struct buf first = BUF_EMPTY, second = BUF_EMPTY, text = BUF_EMPTY;
    file->notes[0] = put_note(&first, log, &histories[0], LEAVES);
    file->notes[1] = put_note(&second, log, &histories[1], LEAVES);
    put_case(out, "two heads of one size", true, file);
    file->suspect = true;
    put_case(out, "the same as a suspect, which proves nothing", false, file);
    file->suspect = false;
    forkfile_render(&text, file);
    vector_open(out, "a byte more behind it", false);
    buf_byte(&text, '\n');
    vector_member(out, "evidence", span_buf(&text));
    vector_close(out);
    file->notes[1] = file->notes[0];
    put_case(out, "the same head twice", false, file);
    file->notes[1] = put_note(&second, log, &histories[0], OLD);
    put_case(out, "two sizes without what the root was", false, file);
    file->notes[1] = put_note(&second, other, &histories[1], LEAVES);
    put_case(out, "a head that another key signed", false, file);
    buf_free(&first);
    buf_free(&second);
    buf_free(&text);
}

/* A head of 3 entries, and one of 5 whose tree had another root at 3. */
static void two_sizes(struct buf *out, struct forkfile *file, const struct secret_key *log, const struct history histories[2])
{
    const struct hash *leaves = histories[1].leaves;
    struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    file->has_root = true;
    file->root = root_of(&histories[1], OLD);
    file->proof_n = 4;
    file->proof[0] = leaves[2];
    file->proof[1] = leaves[3];
    file->proof[2] = merkle_node_hash(&leaves[0], &leaves[1]);
    file->proof[3] = leaves[4];
    file->notes[0] = put_note(&first, log, &histories[0], OLD);
    file->notes[1] = put_note(&second, log, &histories[1], LEAVES);
    put_case(out, "a head, and a larger one with another history", true, file);
    file->proof_n = 3;
    put_case(out, "a hash too few", false, file);
    file->proof_n = 4;
    file->root.b[0] ^= 1;
    put_case(out, "a root that the proof does not lead from", false, file);
    file->root.b[0] ^= 1;
    file->notes[0] = put_note(&first, log, &histories[1], OLD);
    put_case(out, "a head, and a larger one that grew out of it", false, file);
    file->notes[1] = put_note(&second, log, &histories[0], OLD);
    file->notes[0] = put_note(&first, log, &histories[1], LEAVES);
    put_case(out, "the larger head first", false, file);
    buf_free(&first);
    buf_free(&second);
}

void vectors_evidence(const char *folder)
{
    struct secret_key *log = vector_key("log.example.org/stele", SIG_ED25519),
                      *other = vector_key("other.example.org", SIG_ED25519);
    struct history histories[2];
    struct buf out = BUF_EMPTY;
    struct forkfile file = { .origin = span_str("log.example.org/stele"), .keys = { secret_key_vkey(log) }, .keys_n = 1 };
    for (size_t h = 0; h < 2; h++)
        for (size_t i = 0; i < LEAVES; i++)
            histories[h].leaves[i] = vector_hash(h == 1 && i == 1 ? "another" : (const char *[]){ "1", "2", "3", "4", "5" }[i]);
    one_size(&out, &file, log, other, histories);
    two_sizes(&out, &file, log, histories);
    vector_write(folder, "evidence.json", &out);
    secret_key_free(log);
    secret_key_free(other);
}
