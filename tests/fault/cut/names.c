#include "tests/fault/cut/names.h"

#include <stdlib.h>

static size_t place_of(const struct names *names, size_t folder, struct span text)
{
    size_t i = 0;
    while (i < names->n && (names->items[i].folder != folder || !span_eq(names->items[i].text, text)))
        i++;
    return i;
}

const struct name *names_find(const struct names *names, size_t folder, struct span text)
{
    size_t i = place_of(names, folder, text);
    return i < names->n ? &names->items[i] : NULL;
}

void names_drop(struct names *names, size_t folder, struct span text)
{
    size_t i = place_of(names, folder, text);
    if (i < names->n)
        names->items[i] = names->items[--names->n];
}

enum err names_put(struct names *names, size_t folder, struct span text, size_t child, struct why *why)
{
    names_drop(names, folder, text);
    return APPEND(names->items, names->n, (struct name){ folder, child, text });
}
