/*
 * `stele doctor`: what is wrong on this machine, and what to do about it. Reads, and asks the logs and the gate; changes nothing.
 *
 * A check is a function over what doctor.c loaded; doctor_logs.c has those of the logs, doctor_builder.c and doctor_consumer.c
 * those of each side.
 */
#ifndef STELE_CLIENT_DOCTOR_H
#define STELE_CLIENT_DOCTOR_H

#include "client/config.h"
#include "lib/nixconf.h"
#include "lib/sys/http_client.h"
#include "lib/sys/nixenv.h"

enum {
    DOCTOR_CLOCK_OFF_S = 300,   /* as far as a witness lets clocks differ (spec/witness.md) */
    DOCTOR_OUTBOX_OLD_S = 3600, /* what waits longer is stuck */
    DOCTOR_TIMEOUT_MS = 5000,   /* for one question */
    DOCTOR_ANSWER_BYTES_MAX = 1 << 20,
};

struct doctor {
    struct client_config config;
    struct policy policy;
    struct nix_env env;
    struct nixconf nix;
    struct http_client *client;
    bool policy_known, nix_known, json;
    size_t wrong, notes;
    struct buf findings, checked; /* JSON list items, or lines */
};

/* Names what is looked at next: the `check` of its findings. */
void doctor_check(struct doctor *doctor, const char *check);
/* Something is wrong: exit 1. `todo` says what to do, in one sentence. */
void doctor_wrong(struct doctor *doctor, const char *check, const char *todo, const char *fmt, ...) STELE_PRINTF(4, 5);
/* Something that one may want so. */
void doctor_note(struct doctor *doctor, const char *check, const char *todo, const char *fmt, ...) STELE_PRINTF(4, 5);

void doctor_logs(struct doctor *doctor);
void doctor_builder(struct doctor *doctor);
void doctor_consumer(struct doctor *doctor);

#endif
