/*
 * Log lists of the witness network, read at start, every hour, and when told to: what they have and DIR/logs has not is added
 * there, and taken up at once. A list never drops or changes a log that is known.
 */
#ifndef STELE_WITNESS_LISTS_H
#define STELE_WITNESS_LISTS_H

#include "lib/config.h"
#include "witness/logs.h"

struct bastions;
struct lists;
/* Starts the thread; without sources there is none, and *out is NULL. `sources` are http:// and https:// URLs, or files (relative
 * to the witness's folder). They must outlast it, and `bastions` (NULL for none), which get those that lists name. */
enum err lists_start(struct lists **out, struct logs *logs, const struct config_list *sources, struct bastions *bastions,
                     struct why *why);
/* Reads the lists anew, soon. NULL is fine. */
void lists_wake(struct lists *lists);
void lists_stop(struct lists *lists);

#endif
