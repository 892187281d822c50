/*
 * c2sp.org/signed-note: notes, their signature lines, and verifier keys.
 *
 * Parsed notes and keys borrow from the text they were parsed from.
 */
#ifndef STELE_NOTE_H
#define STELE_NOTE_H

#include "lib/encode.h"
#include "lib/limits.h"

enum sig_type {
    SIG_ED25519 = 0x01,     /* a note's signature: logs and builders */
    SIG_COSIGNATURE = 0x04, /* a timestamped Ed25519 cosignature: witnesses */
};

struct vkey {
    struct span name;
    uint32_t id;
    uint8_t type; /* enum sig_type */
    uint8_t key[32];
};

/* Is `name` a legal key name: not empty, valid UTF-8, no control character, no Unicode space, no plus? */
bool key_name_ok(struct span name);
/* SHA-256(name || "\n" || type || key)[:4], big-endian. */
uint32_t key_id(struct span name, uint8_t type, const uint8_t key[32]);
/* "<name>+<hex id>+<base64(type || key)>" of the wanted type and no other. ERR_MALFORMED. */
enum err vkey_parse(struct vkey *out, struct span text, enum sig_type want, struct why *why);
void vkey_render(struct buf *out, const struct vkey *key);
/* The key of this name and public key. */
struct vkey vkey_make(struct span name, enum sig_type type, const uint8_t key[32]);
/* SHA-256 of the rendered vkey: how a builder is named in the log's routes and indices. */
struct hash vkey_hash(const struct vkey *key);

struct note {
    struct span text;      /* with its final newline, without the separating blank line */
    struct span sig_lines; /* every line well formed */
};

struct note_sig {
    struct span line; /* the whole line without its newline */
    struct span name;
    uint32_t id;
    struct span base64; /* of id and signature */
    size_t sig_bytes;   /* of the signature alone, at least 1 */
};

/* Splits and checks the form of every line; verifies nothing. ERR_MALFORMED. At most NOTE_SIGNATURES_MAX lines. */
enum err note_parse(struct note *out, struct span text, struct why *why);
/* Walks the lines of a parsed note: start with *rest = note->sig_lines. */
bool note_next_sig(struct span *rest, struct note_sig *out);
bool note_sig_is_by(const struct note_sig *sig, const struct vkey *key); /* name and ID match */
/* Does the line stand among the note's earlier ones? It is not verified again: whoever has seen one can send a hundred of it. */
bool note_sig_repeated(const struct note *note, const struct note_sig *sig);
/* The signature bytes without the ID; false where there are not exactly `len`. */
bool note_sig_bytes(const struct note_sig *sig, uint8_t *out, size_t len);

/* Verifies, with keys of type SIG_ED25519, every line whose name and ID match one of `keys`. `verified` (n flags) says
 * which keys signed. `unverified`, where not NULL, counts the distinct lines by unknown keys. ERR_REFUSED where a known
 * key's line fails to verify, or where no known key signed. Keys of other types in `keys` match nothing. */
enum err note_verify(const struct note *note, const struct vkey *keys, size_t n, bool *verified, size_t *unverified,
                     struct why *why);

/* "— <name> <base64(id || sig)>\n" */
void note_sig_render(struct buf *out, const struct vkey *key, struct span sig);

#endif
