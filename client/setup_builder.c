/* `stele setup builder`. */
#include <stdio.h>

#include "client/builder_state.h"
#include "client/setup.h"

static const char *or_default(const char *value, const char *usual)
{
    return value != NULL ? value : usual;
}

/* The operator's own hook goes on working: stele-hook runs it afterwards. */
static enum err chain(struct setup *setup, struct why *why)
{
    struct span hook;
    bool ours;
    if (!setup_found_hook(&setup->nix, &hook, &ours) || ours)
        return OK;
    const char *next = setup->config.next_hook;
    if (next != NULL && !span_is(hook, next)) {
        setup_step(setup,
                   "Nix runs %.*s after a build, and `next-hook` in %s names %s: name there the one that shall follow stele-hook.",
                   SPAN_FMT(hook), setup->config_file, next);
        return OK;
    }
    if (next != NULL || !setup->config_found)
        return OK;
    char line[4096];
    snprintf(line, sizeof line, "next-hook %.*s", SPAN_FMT(hook));
    return setup_line(setup, setup->config_file, line, why);
}

static enum err configuration(struct setup *setup, const char *key, const char *state, struct why *why)
{
    struct span hook;
    bool ours;
    struct buf text = BUF_EMPTY;
    buf_fmt(&text,
            "policy /etc/stele/policy\nkey %s\nstate %s\noutbox %s/outbox\n"
            "# Names of what is built here become public for ever. `skip GLOB` leaves paths out, `attest GLOB` all others.\n",
            key, state, state);
    if (setup_found_hook(&setup->nix, &hook, &ours) && !ours)
        buf_fmt(&text, "# It was Nix's post-build-hook, and is run after ours.\nnext-hook %.*s\n", SPAN_FMT(hook));
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = setup_file(setup, setup->config_file, THEIRS, span_buf(&text), why);
    buf_free(&text);
    return err;
}

static enum err nixos_module(struct setup *setup, const char *key, struct why *why)
{
    struct span hook;
    bool ours, found = setup_found_hook(&setup->nix, &hook, &ours) && !ours;
    struct buf text = BUF_EMPTY;
    buf_fmt(&text,
            "# By `stele setup builder`. Import it in configuration.nix; module.nix is in Stele's source.\n"
            "{\n  imports = [ ./stele/nix/module.nix ];\n  services.stele.builder = {\n    enable = true;\n"
            "    # Names of what is built here become public for ever; `skip` leaves paths out.\n    skip = [ ];\n"
            "    policy = \"/etc/stele/policy\";\n    key = \"%s\";\n",
            key);
    if (found)
        buf_fmt(&text, "    # It is nix.settings.post-build-hook now: take it out there.\n    nextHook = \"%.*s\";\n",
                SPAN_FMT(hook));
    buf_str(&text, "  };\n}\n");
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = setup_file(setup, "/etc/nixos/stele-builder.nix", OURS, span_buf(&text), why);
    buf_free(&text);
    setup_step(setup, "Import ./stele-builder.nix in /etc/nixos/configuration.nix, and run nixos-rebuild switch.");
    return err;
}

static enum err plain_files(struct setup *setup, const char *key, const char *state, struct why *why)
{
    struct buf lines = BUF_EMPTY;
    buf_fmt(&lines,
            "# By `stele setup builder`, which writes it anew. Attests what is built here; never breaks a build.\n"
            "post-build-hook = %s/stele-hook\n",
            setup->bin);
    /* Only the agent can attest for the diff-hook, which Nix runs as the build user. */
    if (setup->config.sign_agent != NULL)
        buf_fmt(&lines, "run-diff-hook = true\ndiff-hook = %s/stele-diff-hook\n", setup->bin);
    enum err err = buf_done(&lines, why);
    if (err == OK)
        err = configuration(setup, key, state, why);
    if (err == OK)
        err = chain(setup, why);
    if (err == OK)
        err = setup_nix_conf(setup, "stele-builder.conf", span_buf(&lines), why);
    if (err == OK)
        err = setup_units(setup, setup_deliver_units, why);
    bool agent = setup->config.sign_agent != NULL;
    if (err == OK && agent)
        err = setup_units(setup, setup_agent_units, why);
    buf_free(&lines);
    setup_step(setup, "systemctl daemon-reload; systemctl restart nix-daemon; systemctl enable --now stele-deliver%s",
               agent ? " stele-sign-agent" : "");
    return err;
}

enum err setup_builder(struct setup *setup, struct why *why)
{
    const char *key = or_default(setup->config.key_file, "/etc/stele/builder.key");
    const char *state = or_default(setup->config.state, "/var/lib/stele");
    bool here = *setup->root == '\0';
    if (setup->config.state == NULL && (setup->config.state = span_dup_str(span_str(state))) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    state = setup->config.state;
    printf(
        "The hook writes down what is built here, and `stele deliver` puts it into a public log: names of paths and of what they\n"
        "were built from become public FOR EVER. `skip GLOB` in the configuration leaves paths out.\n\n");
    if (!setup_exists(setup, key))
        setup_step(setup, "stele keygen NAME --out %s --type builder     # NAME: a URL without schema, ci.example.org/builder",
                   key);
    setup_step(setup, "Hand the line in %s.pub to the log's operator, and to whoever shall trust this builder.", key);
    if (!setup_exists(setup, or_default(setup->config.policy_file, "/etc/stele/policy")))
        setup_step(setup, "Put the log's policy at %s: its key and address, its witnesses, the quorum (tlog-policy).",
                   or_default(setup->config.policy_file, "/etc/stele/policy"));
    enum err err = setup->nixos ? nixos_module(setup, key, why) : plain_files(setup, key, state, why);
    /* From now on this machine builds with the key; a backfill of what is older is refused. */
    if (err == OK && setup->write && here && (err = builder_state_start(&setup->config, why)) == OK)
        printf("noted in %s/machine-id: this machine builds from now on\n", state);
    else if (err == OK)
        printf("--- %s/machine-id (%s)\n\n", state,
               here ? "notes which machine builds, since now" : "its first build will note it");
    setup_doctor(setup, "builder", setup->nixos ? CLIENT_CONFIG : setup->config_file);
    return err;
}
