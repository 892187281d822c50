/*
 * What a fuzz target of a whole program has in place of processes, disks and time: lib/sys/child.h in this process, syncs and
 * sleeps that take no time, and a folder.
 */
#ifndef STELE_TESTS_FUZZ_STILL_H
#define STELE_TESTS_FUZZ_STILL_H

#include "lib/bytes.h"

/* A folder for this process, the same one each time; it and all in it is removed at exit. */
const char *still_folder(void);

/* One request to the child started last, as from somebody who has taken over its parent. What a real child would end with is
 * returned, and it goes on. */
enum err still_ask(struct span request, struct buf *reply, struct why *why);

#endif
