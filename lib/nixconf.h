/*
 * Nix's effective configuration, as `nix config show` (`nix show-config` before 2.20) prints it: JSON with --json, an object of
 * `"name": {"value": ...}`; or plain `name = value` lines. Both come out as name and text: lists as words with one space between
 * them, switches as `true` and `false`.
 *
 * It may hold secrets (access-tokens): only what is asked for by name is ever shown.
 */
#ifndef STELE_NIXCONF_H
#define STELE_NIXCONF_H

#include "lib/bytes.h"

enum { NIXCONF_BYTES_MAX = 4 << 20 };

struct nixconf {
    struct buf text; /* lines "name = value"; a value has no line break */
};

/* Parses a copy. ERR_MALFORMED for what is neither form, ERR_ENV where memory is short. */
enum err nixconf_parse(struct nixconf *out, struct span text, struct why *why);
void nixconf_free(struct nixconf *conf);
/* The setting of that name, borrowed; false where this Nix has none. */
bool nixconf_get(const struct nixconf *conf, const char *name, struct span *value);
/* Is it there, and exactly this? */
bool nixconf_is(const struct nixconf *conf, const char *name, const char *value);

#endif
