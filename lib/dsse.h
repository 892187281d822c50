/*
 * DSSE (secure-systems-lab/dsse): envelopes around in-toto statements.
 *
 * An attestation, a log entry, has exactly one byte form (spec/attestation.md):
 *   {"payload":"…","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"…","sig":"…"}]}
 * with padded standard base64 and the signer's whole vkey as `keyid`, so that it verifies by itself. What DSSE allows
 * besides is read by `dsse_parse` and rendered in that form for submission.
 */
#ifndef STELE_DSSE_H
#define STELE_DSSE_H

#include "lib/json.h"
#include "lib/note.h"

#define IN_TOTO_TYPE "application/vnd.in-toto+json"

/* An attestation in its one byte form. */
struct envelope {
    struct span entry;   /* the bytes that it was parsed from */
    struct span payload; /* decoded, in `storage` */
    struct vkey key;     /* from keyid; borrows from `entry` */
    uint8_t sig[64];
};

/* Parses `entry`; the decoded payload is appended to `storage` (which must not move while the envelope is used: one
 * envelope a buffer). ERR_MALFORMED for any other byte form and above ENTRY_BYTES_MAX; verifies nothing. */
enum err envelope_parse(struct envelope *out, struct span entry, struct buf *storage, struct why *why);
/* Is it signed by the key that it names? ERR_REFUSED. */
enum err envelope_verify(const struct envelope *envelope, struct why *why);
void envelope_render(struct buf *out, struct span payload, const struct vkey *key, const uint8_t sig[64]);

/* The largest payload whose envelope, signed by a key of that name, stays within ENTRY_BYTES_MAX. */
size_t envelope_payload_max(struct span key_name);

/* PAE(type, payload): what is signed. */
void dsse_pae(struct buf *out, struct span type, struct span payload);

/* An envelope as DSSE allows it: members in any order, unknown ones, white space, both base64 alphabets, several
 * signatures. */
struct dsse_signature {
    struct span keyid; /* empty where unset */
    uint8_t sig[64];
    bool ed25519; /* the signature has 64 bytes; otherwise it is none of ours */
};
struct dsse {
    struct json json; /* owned; spans borrow from it */
    struct span payload_type;
    struct buf payload;
    struct dsse_signature *signatures; /* owned */
    size_t n;
};
/* Also one within a bundle as sigstore has it, as its `dsseEnvelope`; what else a bundle holds is not looked at. ERR_MALFORMED; the
 * payload must be JSON and the type IN_TOTO_TYPE. */
enum err dsse_parse(struct dsse *out, struct span text, struct why *why);
void dsse_free(struct dsse *dsse);
/* How many of the n distinct public keys signed? */
size_t dsse_signed_by(const struct dsse *dsse, const struct span *keyids, const uint8_t (*keys)[32], size_t n);

#endif
