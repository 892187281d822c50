/*
 * `stele setup builder|consumer`: the files and steps that make this machine one. Printed; written only with --write.
 *
 * setup.c looks at the machine and prints or writes; setup_builder.c and setup_consumer.c say what.
 */
#ifndef STELE_CLIENT_SETUP_H
#define STELE_CLIENT_SETUP_H

#include "client/config.h"
#include "lib/nixconf.h"

#define SETUP_NIX_CONF "/etc/nix"

struct setup {
    struct client_config config; /* all default where there is none yet */
    char *config_file;           /* where it is, or will be */
    bool config_found, write, nixos;
    const char *root;    /* files go below it; "" for this machine */
    char *bin;           /* the folder of the programs */
    const char *nix_dir; /* of nix.conf */
    struct nixconf nix;  /* effective; empty where there is no Nix */
    struct buf steps;    /* what is left to be done by hand, a line each */
    unsigned steps_n;
};

/* What stands at `path`: OURS is replaced by --write, THEIRS is written only where nothing is there. */
enum setup_owner { OURS, THEIRS };
enum err setup_file(struct setup *setup, const char *path, enum setup_owner owner, struct span content, struct why *why);
/* A line at the end of a file that is somebody's; nothing where it stands there already. */
enum err setup_line(struct setup *setup, const char *path, const char *line, struct why *why);
void setup_step(struct setup *setup, const char *fmt, ...) STELE_PRINTF(2, 3);
/* The last step: the doctor, with the configuration that is there then. */
void setup_doctor(struct setup *setup, const char *side, const char *config_file);
/* Does the file exist (below --root)? */
bool setup_exists(const struct setup *setup, const char *path);

struct setup_unit {
    const char *name, *text;
};
extern const struct setup_unit setup_gate_units[], setup_deliver_units[], setup_agent_units[]; /* ended by a NULL name */
/* The units, for the programs, configuration, state folder and address of this machine. */
enum err setup_units(struct setup *setup, const struct setup_unit *units, struct why *why);
/* nix.conf's lines in a file of their own beside it, and the line that includes it. */
enum err setup_nix_conf(struct setup *setup, const char *name, struct span lines, struct why *why);

enum err setup_builder(struct setup *setup, struct why *why);
enum err setup_consumer(struct setup *setup, struct why *why);

/* "name:base64", what Nix is to trust, from `signing-key`; ERR_ENV where the key is not there or not ours to read. */
enum err setup_gate_key(const struct client_config *config, struct buf *out, struct why *why);
/* The post-build-hook that stands in Nix's configuration: false where there is none. *ours: it is stele-hook. */
bool setup_found_hook(const struct nixconf *nix, struct span *hook, bool *ours);

#endif
