/*
 * Input lists that are missing or damaged: named to the operator, and stopping nothing else. Safe from several threads.
 */
#ifndef STELE_LOG_LOST_LISTS_H
#define STELE_LOG_LOST_LISTS_H

#include <pthread.h>

#include "lib/bytes.h"
#include "lib/hash.h"

struct lost_lists {
    pthread_mutex_t lock;
    uint64_t n;
    struct buf lines; /* one each, as far as there is room */
};
#define LOST_LISTS_NONE ((struct lost_lists){ .lock = PTHREAD_MUTEX_INITIALIZER })

/* `what` is "missing" or "damaged"; `index` names an entry that names the list, UINT64_MAX where none is known. */
void lost_lists_add(struct lost_lists *lost, const struct hash *list, const char *what, uint64_t index);
/* Prints the lines on stderr and frees them; `n` stays. */
void lost_lists_print(struct lost_lists *lost);

#endif
