/*
 * Log lists of the witness network (witness-network.org/log-list-format, "logs/v0"): which logs would like to be cosigned, how
 * often, and whom to ask. Lines by the rules of lib/lines.h; for each log, in this order:
 *
 *   vkey VKEY      origin ORIGIN|none      bastion URL|none      qpd NUMBER      contact TEXT
 *
 * `origin` and `bastion` may be left out. Without an origin it is the key's name.
 */
#ifndef STELE_LOGLIST_H
#define STELE_LOGLIST_H

#include "lib/logsfile.h"

struct loglist_entry {
    bool usable; /* the vkey is that of an Ed25519 log; otherwise `why_not`, and no key */
    struct why why_not;
    struct vkey key;
    struct span origin;
    uint64_t qpd;        /* add-checkpoint requests a day */
    struct span bastion; /* empty where there is none */
    struct span contact;
    unsigned number; /* of its first line */
};

/* Checks the character set and the header line. ERR_MALFORMED with file and line. */
enum err loglist_start(struct lines *lines, struct span text, const char *file, struct why *why);
/* The next log; *found is false at the end. ERR_MALFORMED with file and line where the list breaks its form: then it is not to
 * be used at all. A key of another kind is no error of the list. */
enum err loglist_next(struct lines *lines, struct loglist_entry *out, bool *found, struct why *why);

#endif
