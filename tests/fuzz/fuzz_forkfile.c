/* Evidence files: what parses renders to the same bytes, and what verifies holds two heads that differ. */
#include <assert.h>

#include "lib/forkfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct forkfile file;
    struct checkpoint heads[2];
    struct buf again = BUF_EMPTY;
    struct why why = { "" };
    enum err err = forkfile_parse(&file, span_of(data, len), &why);
    if (err != OK) {
        assert(err == ERR_MALFORMED && why.text[0] != '\0');
        return 0;
    }
    forkfile_render(&again, &file);
    assert(!again.failed && span_eq(span_buf(&again), span_of(data, len)));
    buf_free(&again);
    err = forkfile_verify(&file, heads, &why);
    if (err != OK)
        assert((err == ERR_MALFORMED || err == ERR_REFUSED) && why.text[0] != '\0');
    else
        assert(file.suspect || heads[0].size < heads[1].size || !hash_eq(&heads[0].root, &heads[1].root));
    return 0;
}
