#include "tests/unit/support.h"

#include "lib/checkpoint.h"

static void check_values(const json_t *object, const struct checkpoint *checkpoint)
{
    struct hash root;
    vector_hex(object, "root", root.b, sizeof root.b);
    assert_true(hash_eq(&root, &checkpoint->root));
    assert_true(span_is(checkpoint->origin, vector_text(object, "origin")));
    assert_int_equal(checkpoint->size, vector_number(object, "size"));
}

static bool parse_text(const json_t *object)
{
    struct buf text = BUF_EMPTY, again = BUF_EMPTY;
    struct checkpoint checkpoint;
    assert_true(vector_bytes(object, "text", &text));
    /* A checkpoint's text is a note's: without control characters, in UTF-8. */
    bool note_text = span_utf8(span_buf(&text));
    for (size_t i = 0; i < text.len; i++)
        note_text &= text.data[i] >= 0x20 || text.data[i] == '\n';
    bool accepted = note_text && checkpoint_parse(&checkpoint, span_buf(&text), NULL) == OK;
    if (accepted && json_is_true(json_object_get(object, "ok"))) {
        check_values(object, &checkpoint);
        struct span rest = checkpoint.extensions, line;
        size_t i;
        const json_t *item;
        json_array_foreach(json_object_get(object, "extensions"), i, item)
        {
            assert_true(span_line(&rest, &line));
            assert_true(span_eq(line, span_of(json_string_value(item), json_string_length(item))));
        }
        assert_int_equal(rest.len, 0);
        checkpoint_render(&again, &checkpoint);
        assert_true(span_eq(span_buf(&again), span_buf(&text)));
    }
    buf_free(&text);
    buf_free(&again);
    return accepted;
}

static bool open_signed(const json_t *object)
{
    struct buf text = BUF_EMPTY;
    struct note note;
    struct checkpoint checkpoint;
    struct vkey key;
    struct why why;
    assert_true(vector_bytes(object, "note", &text));
    assert_int_equal(vkey_parse(&key, span_str(vector_text(object, "log_vkey")), SIG_ED25519, &why), OK);
    bool accepted = note_parse(&note, span_buf(&text), &why) == OK &&
                    checkpoint_open(&checkpoint, &note, span_str(vector_text(object, "origin")), &key, 1, &why) == OK;
    if (accepted && json_is_true(json_object_get(object, "ok")))
        check_values(object, &checkpoint);
    buf_free(&text);
    return accepted;
}

static bool one(const json_t *object)
{
    return strcmp(vector_text(object, "kind"), "text") == 0 ? parse_text(object) : open_signed(object);
}

static const struct exception exceptions[] = {
    { NULL, NULL },
};

static void checkpoints(void **state)
{
    (void)state;
    run_vectors("checkpoints.json", exceptions, one);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(checkpoints) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
