#include "tests/fuzz/gate_world.h"

#include <assert.h>
#include <stdio.h>

#include "lib/encode.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "tests/fuzz/bundle_policy.h"
#include "tests/fuzz/still.h"
#include "tests/must.h"

/* Of the bundle. */
#define PROVEN_PATH GATE_WORLD_DIR "/y7zw0pmm1sfvfs1lnnwkiw32jhr0m18q-hello-2.12.1"
static const char proven_hex[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; /* of its NAR */

static const char policy_text[] = BUNDLE_POLICY_LOG " http://log.example" BUNDLE_POLICY_WITNESSES;
static const char trust_text[] = "builder ci ci.example.org/builder+42ba9744+AcXKr1uwez5pqgJQJnJ5bu1jPV7j3koR3L7lz7AA2I4H\n"
                                 "cache c cache.example-1:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n"
                                 "quorum ci\n"
                                 "exempt exempt-*\n";
static const char config_text[] = "policy policy\ntrust trust\nstate state\nstore-dir /nix/store\nsigning-key secret\n"
                                  "listen 127.0.0.1:0\nupstream http://cache.example\n";
static const char secret_text[] =
    "gate.example-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ==\n";

static void put(const char *name, mode_t mode, const char *text)
{
    struct why why;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", still_folder(), name);
    must(file_create(path, mode, span_str(text), &why), &why);
}

void gate_world_start(struct client_config *config, struct gate_signer **signer)
{
    struct why why;
    char path[128];
    report_start("fuzz", REPORT_ERROR);
    put("policy", 0644, policy_text);
    put("trust", 0644, trust_text);
    put("secret", 0600, secret_text);
    put("config", 0644, config_text);
    snprintf(path, sizeof path, "%s/config", still_folder());
    must(key_system_start(&why), &why);
    must(client_config_load(config, path, &why), &why);
    must(gate_signer_start(signer, config, GATE_WORLD_DIR, &why), &why);
}

void gate_world_check(const struct gate_signer *signer, struct span narinfo)
{
    struct narinfo info;
    struct nix_key key;
    struct hash proven;
    struct why why;
    must(narinfo_parse(&info, narinfo, span_str(GATE_WORLD_DIR), &why), &why);
    must(nix_key_parse(&key, span_str(gate_signer_public_key(signer)), &why), &why);
    assert(narinfo_verify(&info, &key, 1, NULL) == 1 || info.ca.len > 0);
    assert(hex_decode(span_str(proven_hex), proven.b, sizeof proven.b));
    assert(info.ca.len > 0 || span_starts(info.path.name, "exempt-") ||
           (span_is(info.path.path, PROVEN_PATH) && hash_eq(&info.nar_hash, &proven)));
    narinfo_free(&info);
}
