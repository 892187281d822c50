/* The body of POST /outputs, and the arguments of the other look-ups. */
#include <assert.h>
#include <stdlib.h>

#include "lib/encode.h"
#include "log/lookups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_builders(const struct lookup_builders *builders)
{
    assert(builders->n <= LOOKUP_BUILDERS_MAX);
    for (size_t i = 1; i < builders->n; i++)
        assert(memcmp(&builders->hashes[i - 1], &builders->hashes[i], sizeof(struct hash)) < 0);
}

/* The hash parts are the end of the body, but for a last newline. */
static void check_list(const struct lookup_list *list, struct span body)
{
    struct buf text = BUF_EMPTY;
    struct span parts = list->parts;
    uint8_t part[HASH_PART_BYTES];
    size_t n = 0;
    check_builders(&list->builders);
    for (; lookup_list_next(&parts, part); n++) {
        nix32_encode(&text, span_of(part, sizeof part));
        buf_byte(&text, '\n');
    }
    assert(n == list->n && n > 0 && n <= LOOKUP_PARTS_MAX);
    if (body.data[body.len - 1] != '\n')
        text.len--;
    assert(buf_done(&text, NULL) == OK && text.len <= body.len);
    assert(span_eq(span_buf(&text), span_cut(body, body.len - text.len, text.len)));
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct lookup_list list;
    static struct lookup_builders builders;
    struct span body = span_of(data, len);
    struct why why = { "" };
    uint64_t from;
    if (lookup_list_parse(&list, body, &why) == OK)
        check_list(&list, body);
    else
        assert(why.text[0] != '\0');
    char *text = span_dup_str(body);
    assert(text != NULL);
    if (lookup_builders(&builders, text, &why) == OK) {
        check_builders(&builders);
        assert(builders.n > 0 && builders.n <= (strlen(text) + 1) / 65);
    }
    if (lookup_after(&from, text, &why) == OK) {
        struct buf again = BUF_EMPTY;
        buf_fmt(&again, "%llu", (unsigned long long)from - 1);
        assert(span_is(span_buf(&again), text));
        buf_free(&again);
    }
    free(text);
    return 0;
}
