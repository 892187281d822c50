/*
 * Every limit that is the log's alone (spec/invariants.md, 9); lib/limits.h has those on what it parses.
 */
#ifndef STELE_LOG_LIMITS_H
#define STELE_LOG_LIMITS_H

enum {
    /* The queue before the sequencer, in what it holds: above either, new submissions get 503. */
    QUEUE_BYTES_MAX = 64 << 20,
    QUEUE_SUBMISSIONS_MAX = 16384,
    /* One commit takes at most this much of the queue (and always at least one submission). */
    BATCH_BYTES_MAX = 16 << 20,
    BATCH_SUBMISSIONS_MAX = 4096,
    /* While more is being verified a commit waits for it: until it has so many bytes, at most so long. */
    BATCH_WAIT_BYTES = 2 << 20,
    BATCH_WAIT_MS = 25,
    BATCH_GIVES_WAY = 8, /* times in vain that it lets others work first */
    WORKERS_NICE = 10,   /* nice(2) of the threads that verify and look up */
    /* Answers from one snapshot, so that old pages are not kept for long. */
    ANSWERS_A_VIEW_MAX = 64,

    /* The indices' newest keys: written out from so many entries on; commits wait above the other. */
    INDEX_FLUSH_ENTRIES = 32768,
    INDEX_MEMORY_ENTRIES_MAX = 8 * INDEX_FLUSH_ENTRIES,
    /* The newest leaf hashes, 32 bytes each in memory: written out from so many on. */
    SEEN_WRITE_ENTRIES = 250000,
    STORE_READERS_MAX = 512, /* threads that read at once */

    /* Entries from one signed head to the next: the signer's bound. Commits stop short of it. */
    GROWTH_MAX = 1 << 20,
    /* What one read transaction of the publisher takes, so that old pages are not kept for long. */
    READ_BACK_ENTRIES_MAX = 16384,

    /* A note has at most 100 signature lines (NOTE_SIGNATURES_MAX): ours and the witnesses'. */
    LOG_WITNESSES_MAX = 99,
    WITNESS_REPLY_BYTES_MAX = 64 << 10,
    WITNESS_TIMEOUT_MS = 10 * 1000, /* one request */
    WITNESS_BACKOFF_MS = 100,       /* after the first failure; doubled with each */
    WITNESS_BACKOFF_MS_MAX = 5 * 1000,
    WITNESS_RETRY_AFTER_S_MAX = 3600,  /* a longer Retry-After is taken as this */
    WITNESS_START_MS = 1000,           /* so long the start waits for witnesses where no quorum of them answers */
    WITNESS_CLOCK_S_MAX = 3600,        /* a cosignature whose time is further from ours does not count */
    FULL_HEAD_INTERVAL_MS = 10 * 1000, /* so often one head is asked of all witnesses */
    COSIGN_AGAIN_MS = 10 * 60 * 1000,  /* an idle log's head is cosigned again */

    /* HTTP. */
    HTTP_CONNECTIONS_MAX = 4096,
    HTTP_CONNECTIONS_LIMIT = 65536,     /* what the configuration may say */
    HTTP_CONNECTIONS_PER_IP_MAX = 2048, /* a reverse proxy is one address */
    HTTP_IDLE_TIMEOUT_S = 30,
    HTTP_REQUEST_TIMEOUT_S = 60,
    HTTP_THREADS_MAX = 8,
    VERIFIERS_MAX = 16, /* threads */
    LOOKUP_THREADS = 2,
    RETRY_AFTER_S = 5,
    HOT_BYTES_MAX = 32 << 20, /* answers kept for those who ask again */
    PACKED_BYTES_MIN = 1024,  /* what is smaller is not compressed */

    /* Look-ups. */
    LOOKUP_BUILDERS_MAX = 256,     /* named in one request */
    LOOKUP_STEPS_MAX = 256 * 1024, /* hash parts times builders in one answer */

    /* A remote log that is read: fsck --from, recover --from. */
    REMOTE_ENTRY_BYTES_MAX = 2 + 65535, /* in a bundle (tlog-tiles) */
    REMOTE_TRIES = 3,                   /* of one request */
    REMOTE_BACKOFF_MS = 200,            /* before the second; then doubled */
    REMOTE_RETRY_AFTER_S_MAX = 30,      /* a longer Retry-After is taken as this */
    REMOTE_PATIENCE_MS = 30 * 1000,     /* one request, where nothing else is said */
    REMOTE_PATIENCE_S_MAX = 3600,       /* and at most */
    REMOTE_THREADS = 4,                 /* requests under way at once */
    RECOVER_BUNDLES = 4,                /* proven and committed at once */
    RECOVER_FILE_BYTES_MAX = 1 << 30,   /* of proof bundles */
    RECOVER_FILES_MAX = 1 << 20,

    CHECK_THREADS_A_CORE = 4, /* fsck: while some wait for the disk, others hash */
    FROZEN_BYTES_MAX = 512,   /* what submitters to a frozen log are told */

    /* Admission. */
    BUILDERS_BYTES_MAX = 16 << 20, /* the builders file */
    OPEN_RATE = 1000,              /* attestations a second, of a key and of an address, where anybody may submit */
    BURST_SECONDS = 10,            /* of the rate: the burst where none is given, but no less than */
    BURST_MIN = 4096,              /* one full request */
    RATE_MAX = 1000 * 1000,
    BURST_MAX = 1000 * 1000 * 1000,
    /* Bad signatures of one address; above it what comes from there waits for a thread of its own. */
    FORGERIES_RATE = 1,
    FORGERIES_BURST = 16,
    SUSPECTS_MAX = 256, /* requests that wait for it; beyond it 503 */
};

#endif
