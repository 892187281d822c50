/*
 * What Nix says of itself: the `nix` program of PATH, run and read. Bounded in bytes and in time.
 */
#ifndef STELE_SYS_NIXRUN_H
#define STELE_SYS_NIXRUN_H

#include "lib/nixconf.h"

/* Runs a program of PATH (argv ends with NULL) without stdin and stderr, and appends what it writes to stdout. ERR_ENV where it
 * cannot be run, does not end within `timeout_ms` (it is killed), writes more than `bytes_max`, or does not exit with 0. */
enum err run_and_read(const char *const *argv, unsigned timeout_ms, size_t bytes_max, struct buf *out, struct why *why);

/* The configuration that Nix would use now, for this user and environment. ERR_ENV where there is no Nix. */
enum err nixrun_config(struct nixconf *out, struct why *why);

#endif
