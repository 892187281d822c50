/* An LMDB data file: whatever it is, the check ends, within the file. */
#include <assert.h>

#include "lib/lmdbfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct lmdbfile_stat stat;
    struct why why;
    if (lmdbfile_check(span_of(data, len), LMDBFILE_VALUES_NOW, NULL, &stat, &why) == OK)
        assert(stat.pages >= 2 && stat.free_pages <= stat.pages - 2 && stat.pages <= len / stat.page_bytes);
    return 0;
}
