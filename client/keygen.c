/* `stele keygen`: a new key, or a Nix key as one of ours. */
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"

enum { NIX_KEY_BYTES_MAX = 4096 };

static enum err from_nix(struct secret_key **out, const char *file, struct span name, enum sig_type type, struct why *why)
{
    struct buf text = BUF_EMPTY;
    buf_grow(&text, 2 * 65536); /* room at once, so that no copy is left behind */
    buf_clear(&text);
    enum err err = file_read(file, NIX_KEY_BYTES_MAX, &text, why);
    if (err == OK)
        err = secret_key_from_nix(out, span_buf(&text), name, type, why);
    if (text.data != NULL)
        sodium_memzero(text.data, text.cap);
    buf_free(&text);
    return err;
}

enum err run_keygen(int argc, char **argv, struct why *why)
{
    const char *out = NULL, *type_name = NULL, *nix_file = NULL;
    const struct cli_option options[] = {
        { "--out", "FILE", "where the secret key goes; FILE.pub gets the vkey", &out, NULL },
        { "--type", "TYPE", "builder (default), log or witness", &type_name, NULL },
        { "--from-nix", "FILE", "take over a Nix secret key (nix-store --generate-binary-cache-key)", &nix_file, NULL },
        { 0 },
    };
    struct cli_args args = { 0 };
    struct secret_key *key = NULL;
    struct buf vkey = BUF_EMPTY;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    bool witness = type_name != NULL && strcmp(type_name, "witness") == 0;
    enum sig_type type = witness ? SIG_COSIGNATURE : SIG_ED25519;
    if (out == NULL)
        err = fail(why, ERR_USAGE, "keygen wants --out FILE");
    else if (type_name != NULL && !witness && strcmp(type_name, "builder") != 0 && strcmp(type_name, "log") != 0)
        err = fail(why, ERR_USAGE, "--type is builder, log or witness");
    struct span name = span_str(args.items[0]);
    if (err == OK && (span_find(name, '"') >= 0 || span_find(name, '\\') >= 0 || span_ends(name, "/backfill")))
        err = fail(why, ERR_USAGE,
                   "a builder's key name has no quote and no backslash, and does not end in /backfill (spec/attestation.md)");
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = nix_file != NULL ? from_nix(&key, nix_file, name, type, why) : secret_key_new(&key, name, type, why);
    if (err == OK)
        err = secret_key_save(key, out, why);
    if (err == OK) {
        struct vkey public = secret_key_vkey(key);
        vkey_render(&vkey, &public);
        err = buf_done(&vkey, why);
    }
    if (err == OK)
        printf("%.*s\n", SPAN_FMT(span_buf(&vkey)));
    buf_free(&vkey);
    secret_key_free(key);
    free(args.items);
    return err;
}
