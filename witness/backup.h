/*
 * What the offline commands (backup, restore, resume, set-clock) share.
 */
#ifndef STELE_WITNESS_BACKUP_H
#define STELE_WITNESS_BACKUP_H

#include "lib/sys/heads.h"

/* Takes the folder for this process: ERR_ENV where a witness is running over it. Then opens its heads. */
enum err heads_take(struct heads **heads, const char *dir, struct why *why);

#endif
