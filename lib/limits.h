/*
 * Every limit on input and memory that the parts share (spec/invariants.md, 9). A limit that is one program's own stands
 * in that program's limits.h.
 */
#ifndef STELE_LIMITS_H
#define STELE_LIMITS_H

enum {
    /* Attestations (spec/attestation.md). */
    ENTRY_BYTES_MAX = 49000,        /* its `extra` line stays under 64 KiB */
    INPUT_LIST_BYTES_MAX = 2 << 20, /* a long input list, decoded */
    SUBMISSION_BYTES_MAX = 8 << 20, /* one POST of JSON lines */
    SUBMISSION_ENTRIES_MAX = 4096,  /* envelopes in one POST */
    JSON_DEPTH_MAX = 32,            /* jansson's own limit is 2,048 and fixed */
    SUBJECTS_MAX = 256,             /* subjects in one statement */
    REFERENCES_MAX = 10000,         /* references of one store path */
    OUTPUT_ATTESTATIONS_MAX = 16,   /* a builder and path in one answer of /output */
    LOOKUP_PARTS_MAX = 10000,       /* hash parts in one POST /outputs */
    LOOKUP_ENTRIES_MAX = 1024,      /* bundles of one look-up; an answer stays below BUNDLES_BYTES_MAX */

    /* Heads, of 128 bytes, that are added to DIR/heads before it is written anew: 256 MiB, read in a second at the start. */
    HEADS_MAX = 2 << 20,
    HEADS_MAX_MIN = 1024,

    LOCK_PATIENCE_MS = 2000, /* for a folder: of a server that was just killed the signer has it still for a moment */

    /* Signed notes and proofs. */
    NOTE_BYTES_MAX = 1 << 20,
    NOTE_SIGNATURES_MAX = 100,       /* signed-note: at least 16; x/mod has 100 too */
    NOTE_SIGNATURE_BYTES_MAX = 8192, /* signed-note: "up to nearly 5kB" */
    PROOF_HASHES_MAX = 63,           /* tlog-witness; a tree has at most 2^63 leaves */
    PROOF_BYTES_MAX = 256 << 10,     /* one tlog-proof with its extra line */
    BUNDLES_BYTES_MAX = 8 << 20,     /* concatenated proofs: a sidecar, an answer of the log */

    /* Policies and trust files. */
    POLICY_BYTES_MAX = 1 << 20,
    POLICY_LOGS_MAX = 256,
    POLICY_WITNESSES_MAX = 256,
    POLICY_GROUPS_MAX = 256,
    TRUST_BUILDERS_MAX = 256, /* builders and caches together */
    TRUST_LINES_MAX = 4096,

    /* Nix. */
    STORE_NAME_BYTES_MAX = 211, /* after the hash part; Nix's own limit */
    STORE_PATH_BYTES_MAX = 4096,
    NARINFO_BYTES_MAX = 1 << 20,
    NARINFO_SIGS_MAX = 64,
    DRV_BYTES_MAX = 64 << 20,
    NAR_NAME_BYTES_MAX = 255,
    NAR_TARGET_BYTES_MAX = 4095,
    NAR_DEPTH_MAX = 1024,

    CONFIG_BYTES_MAX = 1 << 20,
};

#endif
