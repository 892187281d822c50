/*
 * What `stele-log fsck` does with a remote log (log/fsck_remote.c).
 */
#ifndef STELE_LOG_FSCK_H
#define STELE_LOG_FSCK_H

#include <stdbool.h>

#include "lib/why.h"

struct fsck_remote {
    const char *url;
    const char *policy_file, *vkey; /* one of them: who must have signed */
    const char *state_file;         /* where it goes on; NULL: from the start */
    const char *patience_s;         /* for one request; NULL: 30 */
    bool full;
};
/* ERR_REFUSED: the log is not what it signed. ERR_ENV: it could not be read to the end. */
enum err fsck_remote(const struct fsck_remote *options, struct why *why);

#endif
