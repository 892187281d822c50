/*
 * Whose trail the gate follows next. Trails share most of their inputs, and what one found is remembered for the next: so they go
 * one after the other; but one that is slow, because a log or a cache is, holds the others up for a moment only. By the gate's
 * front alone; safe from several threads.
 */
#ifndef STELE_CLIENT_GATE_TURNS_H
#define STELE_CLIENT_GATE_TURNS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GATE_TRAILS_MAX = 32,       /* begun at once: Nix opens 25 connections */
    GATE_TRAIL_ALONE_MS = 1000, /* then the next one goes beside it */
};

struct gate_turns {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool taken[GATE_TRAILS_MAX];
    size_t followed;      /* trails that have a turn */
    uint64_t last_had_ms; /* monotonic: when the last of them got it */
};

void gate_turns_start(struct gate_turns *turns);
void gate_turns_end(struct gate_turns *turns);
/* A place for a trail, once there is one: its number, until it is given back. */
size_t gate_place_take(struct gate_turns *turns);
void gate_place_give(struct gate_turns *turns, size_t place);
/* Waits until a trail may be followed that has a place. */
void gate_turn_take(struct gate_turns *turns);
void gate_turn_give(struct gate_turns *turns);

#endif
