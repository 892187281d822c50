/*
 * A database of so many paths, each with five references and a cache's signature: audit STORE_DIR SECRET_KEY_FILE N
 * prints SQL for an empty database of Nix's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/encode.h"
#include "lib/narinfo.h"
#include "lib/sys/key.h"

enum { REFERENCES = 5 };

static void base_of(char out[80], unsigned long i)
{
    snprintf(out, 80, "%032lu-pkg-%lu", i, i);
}

/* "sha256:…" is the number, in hex. */
static void put_path(const char *dir, unsigned long i, struct nix_secret_key *key)
{
    char bases[REFERENCES + 1][80], path[400];
    struct span references[REFERENCES];
    struct nix_sig sig;
    struct buf text = BUF_EMPTY, base64 = BUF_EMPTY;
    struct why why;
    size_t n = i > REFERENCES ? REFERENCES : 0;
    base_of(bases[REFERENCES], i);
    snprintf(path, sizeof path, "%s/%s", dir, bases[REFERENCES]);
    struct narinfo info = { .nar_size = 4096 + i, .references = references, .references_n = n };
    put_be64(info.nar_hash.b + 24, i);
    for (size_t r = 0; r < n; r++) {
        base_of(bases[r], i - REFERENCES + r);
        references[r] = span_str(bases[r]);
    }
    if (storepath_parse(&info.path, span_str(path), &why) != OK)
        exit(1);
    narinfo_fingerprint(&text, &info);
    if (nix_secret_key_sign(key, span_buf(&text), &sig, &why) != OK)
        exit(1);
    base64_encode(&base64, span_of(sig.sig, 64));
    printf("insert into ValidPaths (id, path, hash, registrationTime, narSize, sigs) values (%lu, '%s', 'sha256:%064lx', 1, %lu, "
           "'%.*s:%.*s');\n",
           i, path, i, 4096 + i, SPAN_FMT(sig.name), SPAN_FMT(span_buf(&base64)));
    for (size_t r = 0; r < n; r++)
        printf("insert into Refs values (%lu, %lu);\n", i, (unsigned long)(i - REFERENCES + r));
    buf_free(&text);
    buf_free(&base64);
}

int main(int argc, char **argv)
{
    struct nix_secret_key *key;
    struct why why;
    if (argc != 4)
        return 2;
    if (key_system_start(&why) != OK || nix_secret_key_load(&key, argv[2], &why) != OK) {
        fprintf(stderr, "audit: %s\n", why.text);
        return 1;
    }
    printf("begin;\n");
    for (unsigned long i = 1; i <= strtoul(argv[3], NULL, 10); i++)
        put_path(argv[1], i, key);
    printf("commit;\n");
    nix_secret_key_free(key);
    return 0;
}
