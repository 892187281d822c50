/* `stele setup consumer`. */
#include <stdio.h>

#include "client/setup.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"

#define GATE_KEY   "/etc/stele/gate.key"
#define GATE_STATE "/var/lib/stele-gate"

enum err setup_gate_key(const struct client_config *config, struct buf *out, struct why *why)
{
    struct nix_secret_key *key = NULL;
    enum err err = key_system_start(why);
    if (err == OK)
        err = nix_secret_key_load(&key, config->signing_key_file != NULL ? config->signing_key_file : GATE_KEY, why);
    if (err == OK) {
        struct nix_key public = nix_secret_key_public(key);
        buf_span(out, public.name);
        buf_byte(out, ':');
        base64_encode(out, span_of(public.key, sizeof public.key));
        err = buf_done(out, why);
    }
    nix_secret_key_free(key);
    return err;
}

/* Is this substituter the gate itself? */
static bool is_gate(const struct setup *setup, struct span url)
{
    return span_skip(&url, "http://") && span_starts(url, setup->config.listen);
}

/* What Nix asks today becomes what the gate asks. */
static void put_upstreams(struct setup *setup, struct buf *text)
{
    struct span rest, word;
    bool any = false;
    nixconf_get(&setup->nix, "substituters", &rest);
    while (span_word(&rest, &word)) {
        ptrdiff_t query = span_find(word, '?');
        word = query < 0 ? word : span_cut(word, 0, (size_t)query);
        while (word.len > 0 && word.data[word.len - 1] == '/')
            word.len--;
        if (is_gate(setup, word) ||
            (!span_starts(word, "http://") && !span_starts(word, "https://") && !span_starts(word, "file://")))
            continue;
        buf_fmt(text, "upstream %.*s\n", SPAN_FMT(word));
        any = true;
    }
    if (!any)
        buf_str(text, "upstream https://cache.nixos.org\n");
}

static enum err configuration(struct setup *setup, struct why *why)
{
    struct buf text = BUF_EMPTY;
    buf_str(&text, "policy /etc/stele/policy\ntrust /etc/stele/trust\nstate " GATE_STATE "\nsigning-key " GATE_KEY "\n");
    put_upstreams(setup, &text);
    buf_str(
        &text,
        "# First `warn`: all passes that a cache vouches for, and what `enforce` would refuse is counted. Then take the line out.\n"
        "mode warn\n");
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = setup_file(setup, setup->config_file, THEIRS, span_buf(&text), why);
    buf_free(&text);
    return err;
}

/* A first trust file: the caches whose keys Nix trusts today vouch for what they serve. */
static enum err first_trust(struct setup *setup, const char *gate_key, struct why *why)
{
    struct buf text = BUF_EMPTY, names = BUF_EMPTY;
    struct span rest, word;
    nixconf_get(&setup->nix, "trusted-public-keys", &rest);
    buf_str(&text, "# Whom Nix trusted so far: caches, which say \"I served it\", not \"I built it\" (stele-trust(5)).\n");
    while (span_word(&rest, &word)) {
        ptrdiff_t colon = span_find(word, ':');
        if (colon <= 0 || span_is(word, gate_key))
            continue;
        buf_fmt(&text, "cache %.*s %.*s\n", (int)colon, (const char *)word.data, SPAN_FMT(word));
        buf_fmt(&names, " %.*s", (int)colon, (const char *)word.data);
    }
    if (names.len > 0)
        buf_fmt(&text, "group known-caches any%.*s\nquorum known-caches\n", SPAN_FMT(span_buf(&names)));
    buf_str(&text, "# Then whom you trust to build, for the names that he builds:\n"
                   "# builder ci VKEY\n# quorum ci acme-*\n");
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = buf_done(&names, why);
    if (err == OK)
        err = setup_file(setup, setup->config.trust_file != NULL ? setup->config.trust_file : "/etc/stele/trust", THEIRS,
                         span_buf(&text), why);
    buf_free(&text);
    buf_free(&names);
    return err;
}

static enum err nix_lines(struct setup *setup, const char *gate_key, struct why *why)
{
    struct buf lines = BUF_EMPTY;
    buf_fmt(
        &lines,
        "# By `stele setup consumer`, which writes it anew. The gate is the only way in, and its key the only one that is "
        "trusted:\n"
        "# that key, not the list of substituters, is what enforces.\n"
        "substituters = http://%s\ntrusted-public-keys = %s\ntrusted-substituters =\ntrusted-users = root\nrequire-sigs = true\n"
        "# What was refused may pass in a minute: a 404 is not remembered.\nnarinfo-cache-negative-ttl = 0\n",
        setup->config.listen, gate_key);
    enum err err = buf_done(&lines, why);
    if (err == OK)
        err = setup_nix_conf(setup, "stele-gate.conf", span_buf(&lines), why);
    buf_free(&lines);
    return err;
}

static enum err nixos_module(struct setup *setup, const char *gate_key, struct why *why)
{
    struct buf text = BUF_EMPTY, upstreams = BUF_EMPTY;
    struct span rest, line;
    put_upstreams(setup, &upstreams);
    buf_fmt(&text,
            "# By `stele setup consumer`. Import it in configuration.nix; module.nix is in Stele's source.\n"
            "{\n  imports = [ ./stele/nix/module.nix ];\n  services.stele.gate = {\n    enable = true;\n    listen = \"%s\";\n"
            "    publicKey = \"%s\";\n    signingKey = \"%s\";\n    policy = \"/etc/stele/policy\";\n    trust = "
            "\"/etc/stele/trust\";\n"
            "    mode = \"warn\"; # then \"enforce\"\n    upstreams = [",
            setup->config.listen, gate_key, setup->config.signing_key_file != NULL ? setup->config.signing_key_file : GATE_KEY);
    rest = span_buf(&upstreams);
    while (span_line(&rest, &line) && span_skip(&line, "upstream "))
        buf_fmt(&text, " \"%.*s\"", SPAN_FMT(line));
    buf_str(&text, " ];\n  };\n}\n");
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = setup_file(setup, "/etc/nixos/stele-consumer.nix", OURS, span_buf(&text), why);
    buf_free(&text);
    buf_free(&upstreams);
    setup_step(setup,
               "Import ./stele-consumer.nix in /etc/nixos/configuration.nix, take out nix.settings' own substituters and keys, "
               "and run nixos-rebuild switch.");
    return err;
}

static void explain(void)
{
    printf("What the gate refuses it answers with 404: Nix asks nobody else, for there is nobody else, and BUILDS the path itself. "
           "That\n"
           "is safe, and may be slow. With `refuse-with 451` in the configuration Nix stops at once and shows why. With `max-jobs "
           "= 0`\n"
           "in nix.conf (and no `builders`) nothing is built here, so that a refusal stops Nix, too.\n\n");
}

enum err setup_consumer(struct setup *setup, struct why *why)
{
    static const char no_key[] = "gate-1:THE-LINE-IN-" GATE_KEY ".pub";
    struct buf key = BUF_EMPTY;
    struct why trouble = { "" };
    const char *file = setup->config.signing_key_file != NULL ? setup->config.signing_key_file : GATE_KEY;
    if (setup->config_found && setup->config.key_file != NULL)
        return fail(why, ERR_REFUSED,
                    "%s is a builder's (it has `key`), whose folder the hook writes as root: give the gate a configuration of "
                    "its own, --config /etc/stele/gate.conf",
                    setup->config_file);
    if (setup->config.state == NULL && (setup->config.state = span_dup_str(span_str(GATE_STATE))) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    explain();
    bool known = setup_gate_key(&setup->config, &key, &trouble) == OK;
    if (!known && setup->write) {
        buf_free(&key);
        return fail(why, ERR_ENV, "%s; make the gate's key first: nix-store --generate-binary-cache-key gate-1 %s %s.pub",
                    trouble.text, file, file);
    }
    if (!known) {
        buf_clear(&key);
        buf_str(&key, no_key);
        setup_step(setup, "nix-store --generate-binary-cache-key gate-1 %s %s.pub", file, file);
    }
    buf_byte(&key, '\0');
    enum err err = buf_done(&key, why);
    const char *gate_key = err == OK ? (const char *)key.data : "";
    setup_step(setup, "Put the logs, their witnesses and the quorum into %s (tlog-policy), and read %s: it is yours to decide.",
               setup->config.policy_file != NULL ? setup->config.policy_file : "/etc/stele/policy",
               setup->config.trust_file != NULL ? setup->config.trust_file : "/etc/stele/trust");
    if (err == OK && !setup->nixos && !setup->config_found)
        err = configuration(setup, why);
    if (err == OK)
        err = first_trust(setup, gate_key, why);
    if (err == OK)
        err = setup->nixos ? nixos_module(setup, gate_key, why) : nix_lines(setup, gate_key, why);
    if (err == OK && !setup->nixos) {
        err = setup_units(setup, setup_gate_units, why);
        setup_step(setup, "systemd-sysusers; chown stele-gate %s", file);
        setup_step(setup, "systemctl daemon-reload; systemctl enable --now stele-gate.socket; systemctl restart nix-daemon");
    }
    setup_doctor(setup, "consumer", setup->nixos ? "/etc/stele/gate.conf" : setup->config_file); /* nix/module.nix */
    buf_free(&key);
    return err;
}
