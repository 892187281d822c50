/*
 * Every limit that is the witness's alone (spec/invariants.md, 9); lib/limits.h has those on what it parses.
 */
#ifndef STELE_WITNESS_LIMITS_H
#define STELE_WITNESS_LIMITS_H

enum {
    /* An add-checkpoint: 63 proof lines and a note with sixteen signatures of ML-DSA-44's size fit well. */
    REQUEST_BYTES_MAX = 256 << 10,
    /* Requests before the committer; above it 503. */
    QUEUE_REQUESTS_MAX = 4096,
    /* What the signer is given at once (with SIGNER_BATCH_MAX requests): its frames have 16 MiB. */
    BATCH_BYTES_MAX = 4 << 20,

    QUEUED_A_LOG_MAX = 512, /* of these, one log's; above it 429 */
    ADDRESS_RATE = 1000,    /* requests a second of one address, where the configuration says nothing; loopback is not counted */
    ADDRESS_RATE_MAX = 1000 * 1000,
    ADDRESS_BURST_SECONDS = 2, /* of the rate: what may come at once */
    PAGE_COST = 100,           /* what a page about all logs costs an address, in requests */

    LOGS_BYTES_MAX = 16 << 20, /* DIR/logs, and a log list */
    ORIGIN_KEYS_MAX = 64,      /* keys of one origin */

    LISTS_MAX = 64,          /* log lists */
    LIST_INTERVAL_S = 3600,  /* how often they are read */
    LIST_TIMEOUT_MS = 10000, /* for one of them */

    SUSPENDED_RETRY_S = 3600, /* until then nobody will have resumed it */

    FLUSH_MS = 500, /* how late a note may reach DIR/checkpoints */
    STOP_GRACE_MS = 3000,

    /* Bastions. Silence of 15 s is shorter than what NATs forget a connection after. */
    BASTIONS_MAX = 8,
    BASTION_STREAMS_MAX = 250, /* requests of one at once */
    BASTION_CONNECT_TIMEOUT_MS = 10000,
    BASTION_KEEPALIVE_MS = 15000,
    BASTION_RETRY_MIN_MS = 1000,
    BASTION_RETRY_MAX_MS = 300000,

    /* HTTP. */
    HTTP_CONNECTIONS_MAX = 4096,
    HTTP_CONNECTIONS_PER_IP_MAX = 2048, /* a reverse proxy is one address */
    HTTP_IDLE_TIMEOUT_S = 60,           /* logs keep their connection from head to head */
    HTTP_REQUEST_TIMEOUT_S = 20,
    HTTP_THREADS_MAX = 8,
};

#endif
