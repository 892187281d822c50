/* `stele keygen`: a new key, or a Nix key as one of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/builder_state.h"
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

/* Notes since when this machine builds, so that what it builds from now on can be attested by hand. The key is good without:
 * where it is made for another machine, that one's hook notes it. */
static void note_machine(struct client_config *config)
{
    struct why why;
    enum err err = config->state == NULL ? client_config_load(config, NULL, &why) : OK;
    if (err != OK || builder_state_start(config, &why) != OK)
        fprintf(stderr, "not noted that this machine builds from now on (the hook notes it at its first build): %s\n", why.text);
}

static enum err print_vkey(const struct secret_key *key, const char *use, struct why *why)
{
    struct vkey public = secret_key_vkey(key);
    struct buf vkey = BUF_EMPTY;
    vkey_render(&vkey, &public);
    enum err err = buf_done(&vkey, why);
    if (err == OK) {
        printf("%.*s\n", SPAN_FMT(span_buf(&vkey)));
        fprintf(stderr, "%s\n", use);
    }
    buf_free(&vkey);
    return err;
}

enum err run_keygen(int argc, char **argv, struct why *why)
{
    const char *out = NULL, *type_name = NULL, *nix_file = NULL, *config_file = NULL;
    const struct cli_option options[] = {
        { "--out", "FILE", "where the secret key goes; FILE.pub gets the vkey", &out, NULL },
        { "--type", "TYPE", "builder (default), log or witness", &type_name, NULL },
        { "--from-nix", "FILE", "take over a Nix secret key (nix-store --generate-binary-cache-key)", &nix_file, NULL },
        { "--config", "FILE", "for a builder: where `state` notes that it builds here from now on", &config_file, NULL },
        { 0 },
    };
    struct cli_args args = { 0 };
    struct client_config config = { 0 };
    struct secret_key *key = NULL;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    bool witness = type_name != NULL && strcmp(type_name, "witness") == 0;
    bool for_log = type_name != NULL && strcmp(type_name, "log") == 0;
    enum sig_type type = witness ? SIG_COSIGNATURE : SIG_ED25519;
    if (out == NULL)
        err = fail(why, ERR_USAGE, "keygen wants --out FILE");
    else if (type_name != NULL && !witness && !for_log && strcmp(type_name, "builder") != 0)
        err = fail(why, ERR_USAGE, "--type is builder, log or witness");
    struct span name = span_str(args.items[0]);
    if (err == OK && (span_find(name, '"') >= 0 || span_find(name, '\\') >= 0 || span_ends(name, "/backfill")))
        err = fail(why, ERR_USAGE,
                   "a builder's key name has no quote and no backslash, and does not end in /backfill (spec/attestation.md)");
    if (err == OK && strstr(args.items[0], "://") != NULL)
        err = fail(why, ERR_USAGE, "a key's name is a URL without its schema: ci.example.org/builder");
    if (err == OK && config_file != NULL)
        err = client_config_load(&config, config_file, why);
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = nix_file != NULL ? from_nix(&key, nix_file, name, type, why) : secret_key_new(&key, name, type, why);
    if (err == OK)
        err = secret_key_save(key, out, why);
    if (err == OK)
        err = print_vkey(key,
                         witness   ? "for `witness NAME VKEY` lines of policies"
                         : for_log ? "for `log VKEY` lines of policies, and for witnesses"
                                   : "for the log's list of builders, and for `builder NAME VKEY` lines of trust files",
                         why);
    if (err == OK && !witness && !for_log)
        note_machine(&config);
    client_config_free(&config);
    secret_key_free(key);
    free(args.items);
    return err;
}
