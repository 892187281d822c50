#include "client/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/file.h"

enum { HOOK_HASH_MAX_BYTES = 64 << 20, FRESH_FOR_S = 3600, UPSTREAM_TIMEOUT_S = 15, UPSTREAM_TIMEOUT_S_MAX = 3600 };

/* A value that names a file: relative ones are relative to the configuration's folder. */
static char *resolve(const struct client_config *config, struct span value)
{
    struct buf path = BUF_EMPTY;
    const char *slash = config->file == NULL ? NULL : strrchr(config->file, '/');
    if (value.len > 0 && value.data[0] != '/' && slash != NULL)
        buf_add(&path, config->file, (size_t)(slash - config->file) + 1);
    buf_span(&path, value);
    buf_byte(&path, '\0');
    if (!path.failed)
        return (char *)path.data;
    buf_free(&path);
    return NULL;
}

static enum err take_path(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    char **out = (char **)(void *)((char *)ctx + key->offset);
    *out = resolve(ctx, value);
    return *out == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

static enum err take_url_item(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    if (!span_starts(value, "http://") && !span_starts(value, "https://") && !span_starts(value, "file://"))
        return fail(why, ERR_MALFORMED, "%.*s is no http://, https:// or file:// URL", SPAN_FMT(value));
    if (span_find(value, ' ') >= 0 || span_find(value, '?') >= 0 || span_find(value, '#') >= 0)
        return fail(why, ERR_MALFORMED,
                    "%.*s: a space is written %%20 here, and what Nix has after a `?` is left out: the order of the lines is "
                    "their priority",
                    SPAN_FMT(value));
    struct span authority = value;
    while (!span_skip(&authority, "://"))
        authority = span_cut(authority, 1, authority.len - 1);
    ptrdiff_t slash = span_find(authority, '/');
    if (span_find(slash < 0 ? authority : span_cut(authority, 0, (size_t)slash), '@') >= 0)
        return fail(why, ERR_MALFORMED, "a URL with a password in it would be shown in messages: put it into a `netrc-file`");
    while (value.len > 0 && value.data[value.len - 1] == '/')
        value.len--;
    return config_take_item(ctx, key, value, why);
}

static enum err take_mode(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    (void)key;
    if (!span_is(value, "enforce") && !span_is(value, "warn"))
        return fail(why, ERR_MALFORMED, "%.*s is neither enforce nor warn", SPAN_FMT(value));
    ((struct client_config *)ctx)->warn = span_is(value, "warn");
    return OK;
}

static enum err take_refuse_with(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    (void)key;
    if (!span_is(value, "404") && !span_is(value, "451"))
        return fail(why, ERR_MALFORMED, "%.*s is neither 404 (Nix goes on) nor 451 (Nix stops)", SPAN_FMT(value));
    ((struct client_config *)ctx)->refuse_with = span_is(value, "404") ? 404 : 451;
    return OK;
}

static enum err take_timeout(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    uint64_t *out = (uint64_t *)(void *)((char *)ctx + key->offset);
    if (!span_decimal(value, UPSTREAM_TIMEOUT_S_MAX, out) || *out == 0)
        return fail(why, ERR_MALFORMED, "%.*s is no number of seconds from 1 to %d", SPAN_FMT(value), UPSTREAM_TIMEOUT_S_MAX);
    return OK;
}

#define AT(member) offsetof(struct client_config, member)
static const struct config_key keys[] = {
    { "policy", false, take_path, AT(policy_file) },
    { "trust", false, take_path, AT(trust_file) },
    { "key", false, take_path, AT(key_file) },
    { "outbox", false, take_path, AT(outbox) },
    { "state", false, take_path, AT(state) },
    { "signing-key", false, take_path, AT(signing_key_file) },
    { "netrc-file", false, take_path, AT(netrc_file) },
    { "sign-agent", false, take_path, AT(sign_agent) },
    { "next-hook", false, take_path, AT(next_hook) },
    { "listen", false, config_take_str, AT(listen) },
    { "store-dir", false, config_take_str, AT(store_dir) },
    { "log", false, config_take_str, AT(log_url) },
    { "upstream", true, take_url_item, AT(upstreams) },
    { "redirect-to", true, take_url_item, AT(redirects) },
    { "upstream-timeout", false, take_timeout, AT(upstream_timeout_s) },
    { "attest", true, config_take_item, AT(attest_globs) },
    { "skip", true, config_take_item, AT(skip_globs) },
    { "mode", false, take_mode, 0 },
    { "refuse-with", false, take_refuse_with, 0 },
    { "hook-hash-max", false, config_take_count, AT(hook_hash_max_bytes) },
    { "fresh-for", false, config_take_count, AT(fresh_for_s) },
};
#undef AT

static bool readable(const char *path)
{
    return path != NULL && access(path, R_OK) == 0;
}

/* The first of the usual places that exists; NULL where none does. What memory was short for is not absent. */
static enum err find_file(char **out, struct why *why)
{
    const char *named = getenv("STELE_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    bool is_named = named != NULL && *named != '\0';
    bool has_xdg = xdg != NULL && *xdg != '\0', has_home = home != NULL && *home != '\0';
    *out = NULL;
    if (is_named)
        *out = span_dup_str(span_str(named));
    else if (has_xdg || has_home)
        *out = has_xdg ? path_join(xdg, "stele/stele.conf") : path_join(home, ".config/stele/stele.conf");
    if (*out == NULL && (is_named || has_xdg || has_home))
        return fail(why, ERR_ENV, "out of memory");
    if (is_named || readable(*out))
        return OK;
    free(*out);
    *out = NULL;
    if (!readable(CLIENT_CONFIG))
        return OK;
    *out = span_dup_str(span_str(CLIENT_CONFIG));
    return *out == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

static char *default_state(void)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (geteuid() == 0)
        return span_dup_str(span_str("/var/lib/stele"));
    if (xdg != NULL && *xdg != '\0')
        return path_join(xdg, "stele");
    return path_join(home != NULL ? home : "/", ".local/state/stele");
}

static enum err set_defaults(struct client_config *out, struct why *why)
{
    if (out->state == NULL)
        out->state = default_state();
    if (out->outbox == NULL && out->state != NULL)
        out->outbox = path_join(out->state, "outbox");
    if (out->listen == NULL)
        out->listen = span_dup_str(span_str(GATE_LISTEN));
    return out->state == NULL || out->outbox == NULL || out->listen == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

enum err client_config_load(struct client_config *out, const char *file, struct why *why)
{
    struct buf text = BUF_EMPTY;
    *out = (struct client_config){ .refuse_with = 404,
                                   .hook_hash_max_bytes = HOOK_HASH_MAX_BYTES,
                                   .fresh_for_s = FRESH_FOR_S,
                                   .upstream_timeout_s = UPSTREAM_TIMEOUT_S };
    enum err err = OK;
    if (file == NULL)
        err = find_file(&out->file, why);
    else if ((out->file = span_dup_str(span_str(file))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK && out->file != NULL)
        err = file_read(out->file, CONFIG_BYTES_MAX, &text, why);
    if (err == OK)
        err = config_parse(span_buf(&text), out->file != NULL ? out->file : "", keys, sizeof keys / sizeof *keys, out, why);
    if (err == OK)
        err = set_defaults(out, why);
    buf_free(&text);
    if (err != OK)
        client_config_free(out);
    return err;
}

void client_config_free(struct client_config *config)
{
    char *const owned[] = { config->file,    config->policy_file, config->trust_file, config->key_file,  config->outbox,
                            config->state,   config->listen,      config->netrc_file, config->store_dir, config->signing_key_file,
                            config->log_url, config->next_hook,   config->sign_agent };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    config_list_free(&config->upstreams);
    config_list_free(&config->redirects);
    config_list_free(&config->attest_globs);
    config_list_free(&config->skip_globs);
    *config = (struct client_config){ 0 };
}

static enum err read_named(const struct client_config *config, const char *key, const char *path, struct buf *out, struct why *why)
{
    if (path == NULL)
        return fail(why, ERR_ENV, "no `%s FILE` in %s", key,
                    config->file != NULL ? config->file : "the configuration: there is none in the usual places (see --config)");
    return file_read(path, POLICY_BYTES_MAX, out, why);
}

enum err client_policy_read(const struct client_config *config, struct policy *out, struct why *why)
{
    struct buf text = BUF_EMPTY;
    enum err err = read_named(config, "policy", config->policy_file, &text, why);
    if (err == OK)
        err = policy_parse(out, span_buf(&text), config->policy_file, why);
    buf_free(&text);
    return err;
}

char *client_evidence_path(const struct client_config *config, struct span origin, const char *suffix)
{
    struct hash hash = sha256_of(origin);
    struct buf path = BUF_EMPTY;
    buf_fmt(&path, "%s/evidence/", config->state);
    hex_encode(&path, span_of(hash.b, sizeof hash.b));
    buf_str(&path, suffix);
    buf_byte(&path, '\0');
    if (!path.failed)
        return (char *)path.data;
    buf_free(&path);
    return NULL;
}

/* Is there a file that speaks against the log? Then the user is told, whatever he asked for. What cannot be looked at for any
 * other reason than that it is not there counts as well: a fork is not forgotten by a mistake. */
static enum err look_for_evidence(const struct client_config *config, struct span origin, const char *suffix, const char *what,
                                  bool *there, struct why *why)
{
    char *path = client_evidence_path(config, origin, suffix);
    if (path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    *there = access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    if (*there)
        fprintf(stderr, "WARNING: the log %.*s %s (%s; see `stele verify-evidence`)\n", SPAN_FMT(origin), what, path);
    free(path);
    return OK;
}

enum err client_policy_load(const struct client_config *config, struct policy *out, struct why *why)
{
    enum err err = client_policy_read(config, out, why);
    if (err != OK)
        return err;
    for (size_t i = 0; err == OK && i < out->logs_n; i++) {
        struct policy_log *log = &out->logs[i];
        bool ignored;
        err = look_for_evidence(config, log->key.name, "",
                                "FORKED: it signed two histories under the quorum, and nothing in it counts", &log->forked, why);
        if (err == OK)
            err = look_for_evidence(config, log->key.name, ".unwitnessed",
                                    "signed a second history, which the quorum of witnesses did not see", &ignored, why);
    }
    if (err != OK)
        policy_free(out);
    return err;
}

enum err client_trust_load(const struct client_config *config, struct trust *out, struct why *why)
{
    struct buf text = BUF_EMPTY;
    enum err err = read_named(config, "trust", config->trust_file, &text, why);
    if (err == OK)
        err = trust_parse(out, span_buf(&text), config->trust_file, why);
    buf_free(&text);
    return err;
}
