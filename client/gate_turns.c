#include "client/gate_turns.h"

#include "lib/sys/clock.h"
#include "lib/sys/cond.h"

void gate_turns_start(struct gate_turns *turns)
{
    *turns = (struct gate_turns){ 0 };
    pthread_mutex_init(&turns->lock, NULL);
    cond_init(&turns->changed);
}

void gate_turns_end(struct gate_turns *turns)
{
    pthread_cond_destroy(&turns->changed);
    pthread_mutex_destroy(&turns->lock);
}

size_t gate_place_take(struct gate_turns *turns)
{
    size_t place = 0;
    pthread_mutex_lock(&turns->lock);
    while (turns->taken[place])
        if (++place == GATE_TRAILS_MAX) {
            pthread_cond_wait(&turns->changed, &turns->lock);
            place = 0;
        }
    turns->taken[place] = true;
    pthread_mutex_unlock(&turns->lock);
    return place;
}

void gate_place_give(struct gate_turns *turns, size_t place)
{
    pthread_mutex_lock(&turns->lock);
    turns->taken[place] = false;
    pthread_cond_broadcast(&turns->changed);
    pthread_mutex_unlock(&turns->lock);
}

void gate_turn_take(struct gate_turns *turns)
{
    pthread_mutex_lock(&turns->lock);
    while (turns->followed > 0) {
        uint64_t until_ms = turns->last_had_ms + GATE_TRAIL_ALONE_MS;
        if (clock_monotonic_ms() >= until_ms)
            break;
        cond_wait_until(&turns->changed, &turns->lock, until_ms);
    }
    turns->followed++;
    turns->last_had_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&turns->lock);
}

void gate_turn_give(struct gate_turns *turns)
{
    pthread_mutex_lock(&turns->lock);
    turns->followed--;
    pthread_cond_broadcast(&turns->changed);
    pthread_mutex_unlock(&turns->lock);
}
