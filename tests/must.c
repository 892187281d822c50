#include "tests/must.h"

#include <stdio.h>
#include <stdlib.h>

void must(enum err err, const struct why *why)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s\n", why->text);
    exit(1);
}

struct secret_key *new_key(const char *name, enum sig_type type)
{
    struct secret_key *key;
    struct why why;
    must(secret_key_new(&key, span_str(name), type, &why), &why);
    return key;
}
