/*
 * Secret keys: "PRIVATE+KEY+<name>+<hex id>+<base64(type || seed)>" files (golang.org/x/mod/sumdb/note), held in guarded
 * memory (sodium_malloc: locked, never in a core dump, wiped when freed). Signing lives here, not in lib/.
 */
#ifndef STELE_SYS_KEY_H
#define STELE_SYS_KEY_H

#include "lib/note.h"
#include "lib/narinfo.h"

struct secret_key; /* in guarded memory */

/* Once, before anything else that uses libsodium. ERR_ENV. */
enum err key_system_start(struct why *why);

/* A new random key. ERR_MALFORMED for a bad name. */
enum err secret_key_new(struct secret_key **out, struct span name, enum sig_type type, struct why *why);
/* Parses the one-line form; x/mod knows type 0x01 only, witnesses' keys have type 0x04 in the same form. A trailing newline
 * is the file reader's business. ERR_MALFORMED. The text is not wiped. */
enum err secret_key_parse(struct secret_key **out, struct span text, enum sig_type want, struct why *why);
/* A Nix secret key file ("name:base64(64 bytes)") as a key of ours of that type under `name`: it is the same curve. */
enum err secret_key_from_nix(struct secret_key **out, struct span text, struct span name, enum sig_type type, struct why *why);
/* Reads a key file; refuses one that others can read (mode & 077). The read buffer is wiped. */
enum err secret_key_load(struct secret_key **out, const char *path, enum sig_type want, struct why *why);
void secret_key_free(struct secret_key *key); /* wipes; NULL is fine */

/* Appends the one-line form without newline. */
void secret_key_render(struct buf *out, const struct secret_key *key);
/* Its public half; borrows its name from the key. */
struct vkey secret_key_vkey(const struct secret_key *key);
/* Writes PATH (0600, O_EXCL) and PATH.pub with the vkey and a newline. Refuses to overwrite either. */
enum err secret_key_save(const struct secret_key *key, const char *path, struct why *why);

/* An Ed25519 signature over `message`, verified before it is handed out: ERR_ENV where that fails. */
enum err secret_key_sign(const struct secret_key *key, struct span message, uint8_t sig[64], struct why *why);
/* A timestamped cosignature (72 bytes: time and signature) of a checkpoint's note text; type SIG_COSIGNATURE. The first of several
 * made together is verified, which notices a key that is damaged; those after it are made twice and compared. ERR_ENV as above. */
enum err secret_key_cosign(const struct secret_key *key, uint64_t time_s, struct span text, bool first, uint8_t cosignature[72],
                           struct why *why);

/* Nix's own secret keys, for the gate: "name:base64(64 bytes)". */
struct nix_secret_key;
enum err nix_secret_key_load(struct nix_secret_key **out, const char *path, struct why *why);
void nix_secret_key_free(struct nix_secret_key *key);
struct nix_key nix_secret_key_public(const struct nix_secret_key *key);
/* Of a narinfo's fingerprint; made twice and compared before it is handed out: ERR_ENV where they differ. */
enum err nix_secret_key_sign(const struct nix_secret_key *key, struct span fingerprint, struct nix_sig *out, struct why *why);

#endif
