/* The client's head memory: what parses renders to the same bytes, also after a head was put in and taken out. */
#include <assert.h>

#include "lib/memoryfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect(const struct memoryfile *file, struct span text)
{
    struct buf again = BUF_EMPTY;
    memoryfile_render(&again, file);
    assert(!again.failed && span_eq(span_buf(&again), text));
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct memoryfile file;
    struct why why = { "" };
    enum err err = memoryfile_parse(&file, span_of(data, len), &why);
    if (err != OK) {
        assert(err == ERR_MALFORMED && why.text[0] != '\0');
        return 0;
    }
    expect(&file, span_of(data, len));
    assert(memoryfile_find(&file, file.head.checkpoint.size) == &file.head);
    memoryfile_add(&file, &file.head);
    expect(&file, span_of(data, len));
    for (size_t i = 0; i < file.loose_n; i++) {
        struct memory_head loose = file.loose[i];
        assert(memoryfile_find(&file, loose.checkpoint.size) == &file.loose[i]);
        memoryfile_drop(&file, i);
        assert(memoryfile_find(&file, loose.checkpoint.size) == NULL);
        memoryfile_add(&file, &loose);
    }
    expect(&file, span_of(data, len));
    return 0;
}
