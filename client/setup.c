#include "client/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/nixrun.h"

bool setup_exists(const struct setup *setup, const char *path)
{
    char *full = path_join(setup->root, path + 1);
    bool there = full != NULL && access(full, F_OK) == 0;
    free(full);
    return there;
}

void setup_step(struct setup *setup, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_fmt(&setup->steps, "%u. %s\n", ++setup->steps_n, text);
}

/* What makes a command line about this configuration: nothing where that lies in its usual place. */
static const char *config_word(const char *config_file)
{
    return strcmp(config_file, CLIENT_CONFIG) == 0 ? "" : " --config ";
}
static const char *config_value(const char *config_file)
{
    return strcmp(config_file, CLIENT_CONFIG) == 0 ? "" : config_file;
}

void setup_doctor(struct setup *setup, const char *side, const char *config_file)
{
    setup_step(setup, "stele doctor %s%s%s", side, config_word(config_file), config_value(config_file));
}

static void print_file(const char *path, const char *what, struct span content)
{
    printf("--- %s (%s)\n%.*s%s\n", path, what, (int)content.len, (const char *)content.data, span_ends(content, "\n") ? "" : "\n");
}

static enum err put(const char *full, struct span content, struct why *why)
{
    char *folder = span_dup_str(span_str(full)), *slash = folder == NULL ? NULL : strrchr(folder, '/');
    if (slash == NULL) {
        free(folder);
        return fail(why, ERR_ENV, "out of memory");
    }
    *slash = '\0';
    enum err err = dir_make(folder[0] == '\0' ? "/" : folder, 0755, why);
    if (err == OK)
        err = file_replace(full, 0644, content, why);
    free(folder);
    return err;
}

enum err setup_file(struct setup *setup, const char *path, enum setup_owner owner, struct span content, struct why *why)
{
    struct buf old = BUF_EMPTY;
    bool found = false;
    char *full = path_join(setup->root, path + 1);
    enum err err = full == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(full, CONFIG_BYTES_MAX, &old, &found, why);
    bool same = found && span_eq(span_buf(&old), content), left = found && owner == THEIRS;
    if (err == OK && setup->write && !same && !left) {
        err = put(full, content, why);
        if (err == OK)
            printf("written: %s\n", full);
    } else if (err == OK && setup->write) {
        printf("left as it is: %s\n", full);
    } else if (err == OK && !left) {
        print_file(path, same ? "as it is" : found ? "takes the place of another" : "new", content);
    }
    buf_free(&old);
    free(full);
    return err;
}

static bool has_line(struct span text, const char *wanted)
{
    struct span line;
    while (span_line(&text, &line))
        if (span_is(line, wanted))
            return true;
    return span_is(text, wanted);
}

enum err setup_line(struct setup *setup, const char *path, const char *line, struct why *why)
{
    struct buf text = BUF_EMPTY;
    bool found = false;
    char *full = path_join(setup->root, path + 1);
    enum err err = full == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(full, CONFIG_BYTES_MAX, &text, &found, why);
    bool there = has_line(span_buf(&text), line);
    if (err == OK && !there && !setup->write)
        print_file(path, found ? "to be added at its end" : "new", span_str(line));
    if (err == OK && !there && setup->write) {
        if (text.len > 0 && text.data[text.len - 1] != '\n')
            buf_byte(&text, '\n');
        buf_fmt(&text, "%s\n", line);
        err = buf_done(&text, why);
        if (err == OK)
            err = put(full, span_buf(&text), why);
        if (err == OK)
            printf("added to %s: %s\n", full, line);
    }
    buf_free(&text);
    free(full);
    return err;
}

/* All `from` in `text` as `to`. */
static void replace_all(struct buf *out, struct span text, const char *from, const char *to)
{
    size_t len = strlen(from);
    while (text.len > 0) {
        bool here = span_starts(text, from);
        if (here)
            buf_str(out, to);
        else
            buf_byte(out, text.data[0]);
        text = span_cut(text, here ? len : 1, text.len - (here ? len : 1));
    }
}

/* Which folder systemd makes for the service, or may be written to. */
static void state_lines(struct buf *out, const char *state)
{
    struct span rest = span_str(state);
    if (span_skip(&rest, "/var/lib/") && rest.len > 0)
        buf_fmt(out, "StateDirectory=%.*s\n", SPAN_FMT(rest));
    else
        buf_fmt(out, "ReadWritePaths=%s\n", state);
}

static enum err one_unit(struct setup *setup, const struct setup_unit *unit, struct why *why)
{
    struct buf text = BUF_EMPTY, path = BUF_EMPTY;
    struct span rest = span_str(unit->text), line;
    char socket[512], exec[512];
    snprintf(exec, sizeof exec, "%s/stele", setup->bin);
    snprintf(socket, sizeof socket, "ListenStream=%s\n", setup->config.listen);
    while (span_line(&rest, &line)) {
        if (span_starts(line, "StateDirectory=")) {
            state_lines(&text, setup->config.state);
        } else if (span_starts(line, "ListenStream=")) {
            buf_str(&text, socket);
        } else if (span_starts(line, "ExecStart=")) {
            bool named = span_ends(line, CLIENT_CONFIG);
            replace_all(&text, line, "@PREFIX@/bin/stele", exec);
            if (named)
                text.len -= strlen(CLIENT_CONFIG);
            if (named || strcmp(setup->config_file, CLIENT_CONFIG) != 0)
                buf_fmt(&text, "%s%s", named ? "" : " --config ", setup->config_file);
            buf_byte(&text, '\n');
        } else {
            replace_all(&text, line, CLIENT_CONFIG, setup->config_file);
            buf_byte(&text, '\n');
        }
    }
    buf_fmt(&path, "/etc/systemd/system/%s", unit->name);
    buf_byte(&path, '\0');
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = buf_done(&path, why);
    if (err == OK)
        err = setup_file(setup, (const char *)path.data, OURS, span_buf(&text), why);
    buf_free(&text);
    buf_free(&path);
    return err;
}

enum err setup_units(struct setup *setup, const struct setup_unit *units, struct why *why)
{
    enum err err = OK;
    for (; units->name != NULL && err == OK; units++)
        err = one_unit(setup, units, why);
    return err;
}

enum err setup_nix_conf(struct setup *setup, const char *name, struct span lines, struct why *why)
{
    char path[4096], nix_conf[4096], include[256];
    snprintf(path, sizeof path, "%s/%s", setup->nix_dir, name);
    snprintf(nix_conf, sizeof nix_conf, "%s/nix.conf", setup->nix_dir);
    /* A plain `include`: where the file is lost Nix says so, and does not go on without these lines. */
    snprintf(include, sizeof include, "include %s", name);
    enum err err = setup_file(setup, path, OURS, lines, why);
    return err == OK ? setup_line(setup, nix_conf, include, why) : err;
}

bool setup_found_hook(const struct nixconf *nix, struct span *hook, bool *ours)
{
    *ours = nixconf_get(nix, "post-build-hook", hook) && (span_ends(*hook, "/stele-hook") || span_is(*hook, "stele-hook"));
    return hook->len > 0;
}

static enum err own_folder(char **out, struct why *why)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0)
        return fail(why, ERR_ENV, "cannot tell where this program is (/proc/self/exe)");
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    *out = span_dup_str(span_str(path));
    return *out == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

/* Paths go into units and into lines for a shell as they are. */
static enum err plain_paths(const struct setup *setup, struct why *why)
{
    const struct client_config *config = &setup->config;
    const char *const paths[] = { setup->config_file,       setup->bin,         config->state,
                                  config->outbox,           config->key_file,   config->policy_file,
                                  config->signing_key_file, config->trust_file, config->sign_agent };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i] != NULL && paths[i][strcspn(paths[i], " \t\"'`$%&|;<>()[]{}*?\\")] != '\0')
            return fail(why, ERR_REFUSED,
                        "%s: a space, a quote or a sign that means something to a shell or to systemd is in this path: give it a "
                        "plain one, since units and command lines name it",
                        paths[i]);
    return OK;
}

static enum err look(struct setup *setup, const char *config_file, struct why *why)
{
    struct why none = { "" };
    const char *nix_dir = getenv("NIX_CONF_DIR");
    setup->nix_dir = nix_dir != NULL && *nix_dir == '/' ? nix_dir : SETUP_NIX_CONF;
    /* One that is named may be yet to be written. */
    bool missing = config_file != NULL && access(config_file, F_OK) != 0;
    enum err err = config_file != NULL && *config_file != '/' ? fail(why, ERR_USAGE, "--config wants an absolute path") : OK;
    if (err == OK && !missing)
        err = client_config_load(&setup->config, config_file, why);
    setup->config_found = setup->config.file != NULL;
    if (err == OK && (missing || !setup->config_found)) {
        client_config_free(&setup->config);
        setup->config.listen = span_dup_str(span_str(GATE_LISTEN));
    }
    const char *file = setup->config_found ? setup->config.file : config_file != NULL ? config_file : CLIENT_CONFIG;
    if (err == OK && ((setup->config_file = span_dup_str(span_str(file))) == NULL || setup->config.listen == NULL))
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = own_folder(&setup->bin, why);
    if (err == OK)
        err = plain_paths(setup, why);
    if (err == OK && nixrun_config(&setup->nix, &none) != OK)
        fprintf(stderr, "stele setup: %s; taken as unset\n", none.text);
    setup->nixos |= setup_exists(setup, "/etc/NIXOS");
    return err;
}

enum err run_setup(int argc, char **argv, struct why *why)
{
    const char *config_file = NULL, *root = NULL;
    struct setup setup = { 0 };
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--write", NULL, "write the files; without it nothing is changed", NULL, &setup.write },
        { "--root", "DIR", "write below DIR: a machine that is yet to start", &root, NULL },
        { "--nixos", NULL, "a NixOS module, also where this is no NixOS", NULL, &setup.nixos },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    bool builder = strcmp(args.items[0], "builder") == 0;
    if (!builder && strcmp(args.items[0], "consumer") != 0)
        err = fail(why, ERR_USAGE, "there is `stele setup builder` and `stele setup consumer`");
    setup.root = root != NULL ? root : "";
    if (err == OK)
        err = look(&setup, config_file, why);
    if (err == OK)
        err = builder ? setup_builder(&setup, why) : setup_consumer(&setup, why);
    if (err == OK)
        err = buf_done(&setup.steps, why);
    if (err == OK && !setup.write)
        printf("--- nothing was changed: `stele setup %s%s%s%s%s%s --write` writes these files. Then:\n", args.items[0],
               config_word(setup.config_file), config_value(setup.config_file), *setup.root == '\0' ? "" : " --root ", setup.root,
               setup.nixos ? " --nixos" : "");
    else if (err == OK)
        printf("--- left to do:\n");
    if (err == OK)
        printf("%.*s", SPAN_FMT(span_buf(&setup.steps)));
    nixconf_free(&setup.nix);
    buf_free(&setup.steps);
    free(setup.bin);
    free(setup.config_file);
    client_config_free(&setup.config);
    free(args.items);
    return err;
}
