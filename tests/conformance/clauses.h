/*
 * What the specifications demand, a line each: c2sp.org/tlog-witness, tlog-cosignature, tlog-tiles and tlog-checkpoint, in our own
 * short words. A clause that no check settles is shown as not testable, with the reason that stands here.
 *
 *   X(ID, of whom, specification, section, level, what, why it cannot be seen from outside)
 *
 * Of whom: WITNESS and LOG are a run against such a server, BOTH either.
 */
#ifndef CONFORMANCE_CLAUSES_H
#define CONFORMANCE_CLAUSES_H

#define SAY_CLIENT   "it binds clients"
#define SAY_LOGS     "the witness knows none of the logs that this needs"
#define SAY_SUBTREE  "sign-subtree is optional and needs ML-DSA-44, which this program does not speak"
#define SAY_MLDSA    "this program does not verify ML-DSA-44"
#define SAY_OPERATOR "it binds operators, not what a server answers"
#define SAY_OTHER    "no answer came that shows it"

/* clang-format off */
#define WITNESS_CLAUSES(X) \
    X(KEEP_ALIVE, WITNESS, "tlog-witness", "HTTP Interface", SHOULD, "a connection serves several requests", SAY_OTHER) \
    X(KEEP_ALIVE_CLIENT, WITNESS, "tlog-witness", "HTTP Interface", SHOULD, "clients use it for that", SAY_CLIENT) \
    X(POST_ONLY, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "a request is a POST; nothing else is served as one", SAY_LOGS) \
    X(BODY_FORM, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "the body is old size, proof, empty line, checkpoint; else refused", SAY_LOGS) \
    X(LINE_ENDS, WITNESS, "tlog-witness", "add-checkpoint", MUST, "every line ends in U+000A alone; else refused", SAY_LOGS) \
    X(OLD_LINE, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "the old size is 'old', a space and a canonical decimal; else refused", SAY_LOGS) \
    X(PROOF_LINE, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "a proof line is one hash in base64; else refused", SAY_LOGS) \
    X(PROOF_63, WITNESS, "tlog-witness", "add-checkpoint", MUST_NOT, \
      "no more than 63 proof lines; 64 are refused", SAY_LOGS) \
    X(VERIFY_LOG, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "only what a key trusted for the origin signed is cosigned", SAY_LOGS) \
    X(UNKNOWN_KEYS, WITNESS, "tlog-witness", "add-checkpoint", MUST, "signatures by unknown keys change nothing", SAY_LOGS) \
    X(UNKNOWN_LOG, WITNESS, "tlog-witness", "add-checkpoint", MUST, "an unknown origin gets 404", SAY_OTHER) \
    X(NO_SIGNATURE, WITNESS, "tlog-witness", "add-checkpoint", MUST, "no signature by a trusted key gets 403", SAY_LOGS) \
    X(BAD_SIGNATURE, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "a trusted key's line that fails gets 403, good ones beside it or not", SAY_LOGS) \
    X(OLD_ABOVE, WITNESS, "tlog-witness", "add-checkpoint", MUST, "an old size above the checkpoint's gets 400", SAY_LOGS) \
    X(OLD_MATCHES, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "an old size that is not the last cosigned one, or 0, gets 409", SAY_LOGS) \
    X(CONFLICT_BODY, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "409's body is that size in decimal and a newline", SAY_LOGS) \
    X(CONFLICT_TYPE, WITNESS, "tlog-witness", "add-checkpoint", MUST, "409 has Content-Type text/x.tlog.size", SAY_LOGS) \
    X(EMPTY_ROOT, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "size 0 with another root than the empty tree's gets 422", SAY_LOGS) \
    X(PROOF_FROM_ZERO, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "from old size 0 a proof that is not empty gets 422", SAY_LOGS) \
    X(PROOF_HOLDS, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "a consistency proof that does not hold gets 422", SAY_LOGS) \
    X(SAME_ROOT, WITNESS, "tlog-witness", "add-checkpoint", MUST, "the same size with another root gets 422", SAY_LOGS) \
    X(NEVER_COSIGNS, WITNESS, "tlog-witness", "add-checkpoint", MUST_NOT, \
      "what failed a check is neither cosigned nor recorded", SAY_LOGS) \
    X(UPDATES, WITNESS, "tlog-witness", "add-checkpoint", MUST, "what passes is recorded and gets 200", SAY_LOGS) \
    X(ANSWER_LINES, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "200's body is one or more signature lines, whole ones, and nothing else", SAY_LOGS) \
    X(ANSWER_COSIGNS, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "they are the witness's cosignatures over this checkpoint", SAY_LOGS) \
    X(ANSWER_MLDSA, WITNESS, "tlog-witness", "add-checkpoint", SHOULD, "they are of ML-DSA-44", SAY_LOGS) \
    X(ANSWER_WHOLE, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "in a format with subtrees they cover the whole tree", SAY_MLDSA) \
    X(ANSWER_TIME, WITNESS, "tlog-witness", "add-checkpoint", MUST_NOT, "their time is not zero", SAY_LOGS) \
    X(CLIENT_IGNORES, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "a client passes over cosignatures by unknown keys", SAY_CLIENT) \
    X(PERSISTS, WITNESS, "tlog-witness", "add-checkpoint", MUST, \
      "a checkpoint is durable before it is answered", "give --restart COMMAND, which kills the witness and starts it again") \
    X(SUBTREE_POST, WITNESS, "tlog-witness", "sign-subtree", MUST, "a request is a POST", SAY_SUBTREE) \
    X(SUBTREE_FORM, WITNESS, "tlog-witness", "sign-subtree", MUST, \
      "the body is range, hash, proof, empty line, checkpoint", SAY_SUBTREE) \
    X(SUBTREE_LINES, WITNESS, "tlog-witness", "sign-subtree", MUST, "every line ends in U+000A", SAY_SUBTREE) \
    X(SUBTREE_RANGE, WITNESS, "tlog-witness", "sign-subtree", MUST, \
      "the range line is 'subtree' and two canonical decimals", SAY_SUBTREE) \
    X(SUBTREE_HASH, WITNESS, "tlog-witness", "sign-subtree", MUST, \
      "hash and proof lines are one hash in base64 each", SAY_SUBTREE) \
    X(SUBTREE_63, WITNESS, "tlog-witness", "sign-subtree", MUST_NOT, "no more than 63 proof lines", SAY_SUBTREE) \
    X(SUBTREE_SIGS, WITNESS, "tlog-witness", "sign-subtree", SHOULD, \
      "the checkpoint carries the witness's signatures alone", SAY_CLIENT) \
    X(SUBTREE_VALID, WITNESS, "tlog-witness", "sign-subtree", MUST, \
      "the range is a subtree within the checkpoint", SAY_SUBTREE) \
    X(SUBTREE_400, WITNESS, "tlog-witness", "sign-subtree", MUST, "what breaks these rules gets 400", SAY_SUBTREE) \
    X(SUBTREE_422, WITNESS, "tlog-witness", "sign-subtree", MUST, \
      "a proof that is not from the subtree to the checkpoint gets 422", SAY_SUBTREE) \
    X(SUBTREE_404, WITNESS, "tlog-witness", "sign-subtree", MUST, "an unknown origin gets 404", SAY_SUBTREE) \
    X(SUBTREE_403, WITNESS, "tlog-witness", "sign-subtree", MUST, \
      "a checkpoint without the witness's own valid cosignature gets 403", SAY_SUBTREE) \
    X(SUBTREE_200, WITNESS, "tlog-witness", "sign-subtree", MUST, \
      "what passes gets 200 and whole signature lines", SAY_SUBTREE) \
    X(SUBTREE_KEYS, WITNESS, "tlog-witness", "sign-subtree", SHOULD, \
      "they are by the keys that signed the checkpoint", SAY_SUBTREE) \
    X(SUBTREE_MLDSA, WITNESS, "tlog-witness", "sign-subtree", SHOULD, "they are of ML-DSA-44", SAY_SUBTREE) \
    X(SUBTREE_KIND, WITNESS, "tlog-witness", "sign-subtree", MUST, "their format can cosign subtrees", SAY_SUBTREE) \
    X(SUBTREE_TIME, WITNESS, "tlog-witness", "sign-subtree", MUST, "their time is zero", SAY_SUBTREE) \
    X(SHOWS, WITNESS, "tlog-witness", "Monitor Retrieval", SHOULD, "a recent checkpoint of each log is served", SAY_LOGS) \
    X(SHOWS_GET, WITNESS, "tlog-witness", "Monitor Retrieval", MUST, "by GET of the lower-case origin hash", SAY_LOGS) \
    X(SHOWS_NOTE, WITNESS, "tlog-witness", "Monitor Retrieval", MUST, "the body is a checkpoint of that origin", SAY_LOGS) \
    X(SHOWS_OWN, WITNESS, "tlog-witness", "Monitor Retrieval", MUST, "with the cosignatures that were given out", SAY_LOGS) \
    X(SHOWS_LOGS, WITNESS, "tlog-witness", "Monitor Retrieval", MUST, \
      "with the log's signatures that were verified", SAY_LOGS) \
    X(SHOWS_404, WITNESS, "tlog-witness", "Monitor Retrieval", MUST, "a log that was never cosigned gets 404", SAY_OTHER) \
    X(SHOWS_SOON, WITNESS, "tlog-witness", "Monitor Retrieval", SHOULD_NOT, \
      "it is not more than an hour behind", "an older one was shown; look again in an hour") \
    X(COSIGNER_NAME, WITNESS, "tlog-cosignature", "Format", SHOULD, "the key name is a schema-less URL", SAY_OTHER) \
    X(COSIGNER_ID, WITNESS, "tlog-cosignature", "Format", MUST, "the key ID of Ed25519 is of name, 0x04 and key", SAY_OTHER) \
    X(COSIGNER_MLDSA, WITNESS, "tlog-cosignature", "Format", MUST, \
      "the key ID of ML-DSA-44 is of name, 0x06 and key", SAY_MLDSA) \
    X(COSIGNATURE, WITNESS, "tlog-cosignature", "Format", MUST, \
      "a signature is a time of 8 bytes and the signature proper", SAY_LOGS) \
    X(COSIGNED_TIME, WITNESS, "tlog-cosignature", "Format", MUST_NOT, "the time does not exceed 2^63 - 1", SAY_LOGS) \
    X(NEW_MLDSA, WITNESS, "tlog-cosignature", "Introduction", SHOULD, \
      "new deployments use ML-DSA-44", "how old this deployment is cannot be seen") \
    X(MESSAGE, WITNESS, "tlog-cosignature", "Ed25519 signed message", MUST, \
      "what is signed is header line, time line and the whole note text", SAY_LOGS) \
    X(MESSAGE_HEAD, WITNESS, "tlog-cosignature", "Ed25519 signed message", MUST, \
      "the header line is cosignature/v1, the time line a canonical decimal", SAY_LOGS) \
    X(MESSAGE_MORE, WITNESS, "tlog-cosignature", "Ed25519 signed message", MUST, "extension lines are part of it", SAY_LOGS) \
    X(NO_CONSENSUS, WITNESS, "tlog-cosignature", "Ed25519 signed message", SHALL_NOT, \
      "agreement on extension lines is not assumed", SAY_CLIENT) \
    X(DISTINCT, WITNESS, "tlog-cosignature", "Ed25519 signed message", MUST, \
      "each of an operator's cosigners has its own key", SAY_OPERATOR) \
    X(MLDSA_MESSAGE, WITNESS, "tlog-cosignature", "ML-DSA-44 signed message", MUST, \
      "what is signed is a cosigned_message, from 0 for a checkpoint", SAY_MLDSA) \
    X(MLDSA_TIME, WITNESS, "tlog-cosignature", "ML-DSA-44 signed message", MUST, \
      "its time is zero where its start is not", SAY_MLDSA) \
    X(STATEMENTS, WITNESS, "tlog-cosignature", "Additional statements", MUST, \
      "a key stands for one set of statements, the base ones in it", SAY_OPERATOR)

#define LOG_CLAUSES(X) \
    X(LOG_ORIGIN, LOG, "tlog-tiles", "Parameters", SHOULD, \
      "the origin is the URL prefix without scheme and closing slash", SAY_OTHER) \
    X(LOG_HEAD, LOG, "tlog-tiles", "Checkpoints", MUST, \
      "the head is served as a checkpoint at PREFIX/checkpoint", SAY_OTHER) \
    X(LOG_HEAD_TYPE, LOG, "tlog-tiles", "Checkpoints", MUST, "as text/plain; charset=utf-8", SAY_OTHER) \
    X(LOG_HEAD_CACHE, LOG, "tlog-tiles", "Checkpoints", SHOULD, "its headers forbid caching beyond seconds", SAY_OTHER) \
    X(LOG_HEAD_KEY, LOG, "tlog-tiles", "Checkpoints", MUST, "it carries an Ed25519 signature by the log", SAY_OTHER) \
    X(TILE_LEVEL, LOG, "tlog-tiles", "Merkle Tree", MUST, \
      "a level is a decimal to 63 without leading zeros; no other path is served", SAY_OTHER) \
    X(TILE_INDEX, LOG, "tlog-tiles", "Merkle Tree", MUST, \
      "an index is of 3-digit elements, all but the last with an x", SAY_OTHER) \
    X(TILE_TYPE, LOG, "tlog-tiles", "Merkle Tree", MUST, "tiles are application/octet-stream", "the tree is empty") \
    X(TILE_CACHE, LOG, "tlog-tiles", "Merkle Tree", SHOULD, "their caching headers are long-lived", "the tree is empty") \
    X(TILE_FULL, LOG, "tlog-tiles", "Merkle Tree", MUST, "a full tile has 256 hashes", "the tree has no full tile") \
    X(TILE_HASHES, LOG, "tlog-tiles", "Merkle Tree", MUST, \
      "a tile's hash is of the full tile below; all lead to the signed root", "the tree is empty") \
    X(TILE_UP, LOG, "tlog-tiles", "Partial Tiles", MUST_NOT, \
      "a partial tile is not hashed into the level above", "the tree has none with a level above") \
    X(TILE_EMPTY, LOG, "tlog-tiles", "Partial Tiles", MUST_NOT, \
      "empty tiles, and those beyond the tree, are not served", SAY_OTHER) \
    X(TILE_PARTIAL, LOG, "tlog-tiles", "Partial Tiles", MUST, \
      "the partial tiles of the checkpoint's size are served", "the tree has none") \
    X(TILE_CLIENT, LOG, "tlog-tiles", "Partial Tiles", MUST_NOT, \
      "partial tiles are asked for under a checkpoint only", SAY_CLIENT) \
    X(ENTRIES_TYPE, LOG, "tlog-tiles", "Log entries", MUST, \
      "entry bundles are application/octet-stream", "the tree is empty") \
    X(ENTRIES_GZIP, LOG, "tlog-tiles", "Log entries", SHOULD, "they are compressed by HTTP", "the tree is empty") \
    X(ENTRIES_ASKED, LOG, "tlog-tiles", "Log entries", SHOULD, "gzip and identity are asked for", SAY_CLIENT) \
    X(ENTRIES_CACHE, LOG, "tlog-tiles", "Log entries", SHOULD, "their caching headers are long-lived", "the tree is empty") \
    X(ENTRIES_HASH, LOG, "tlog-tiles", "Log entries", MUST, \
      "their entries, each with its length, hash to the level 0 tile", "the tree is empty") \
    X(ENTRIES_TAIL, LOG, "tlog-tiles", "Log entries", SHOULD, \
      "partial bundles of a fast log are left until they are full", SAY_CLIENT) \
    X(ENTRIES_PROVE, LOG, "tlog-tiles", "Log entries", MUST, \
      "who leaves them verifies the checkpoint by the level 0 tile", SAY_CLIENT) \
    X(ENTRIES_NEXT, LOG, "tlog-tiles", "Log entries", MUST, "and the next checkpoint's consistency with it", SAY_CLIENT) \
    X(ENTRIES_LATE, LOG, "tlog-tiles", "Log entries", MUST, "and takes a bundle that stays partial for long", SAY_CLIENT) \
    X(ENTRIES_BESIDE, LOG, "tlog-tiles", "Log entries", SHOULD, \
      "beside entries in other formats there are bundles", "other formats cannot be found") \
    X(ENTRIES_OTHER, LOG, "tlog-tiles", "Log entries", MUST, "other formats have other URLs", "other formats cannot be found") \
    X(MINIMUM, LOG, "tlog-tiles", "Pruning", MUST, "the minimum index is within the tree", "it is not published") \
    X(PRUNING, LOG, "tlog-tiles", "Pruning", SHOULD, "who prunes denies requests, and deletes nothing", SAY_OPERATOR) \
    X(RETENTION, LOG, "tlog-tiles", "Retention Policies", SHOULD, \
      "where pruning is allowed, a policy says for how long entries are there", SAY_OPERATOR) \
    X(RETENTION_END, LOG, "tlog-tiles", "Retention Policies", MUST, \
      "it allows pruning only of what matters no more", SAY_OPERATOR) \
    X(RETENTION_TIME, LOG, "tlog-tiles", "Retention Policies", SHOULD, "it leaves monitors ample time", SAY_OPERATOR) \
    X(UNPRUNED, LOG, "tlog-tiles", "Retention Policies", MUST_NOT, \
      "without such a policy nothing is pruned", "the tree is empty") \
    X(BOUND, LOG, "tlog-tiles", "Retention Policies", SHOULD, \
      "where pruning is allowed, clients can refuse entries below a bound", SAY_OPERATOR) \
    X(BOUND_LEAST, LOG, "tlog-tiles", "Retention Policies", MUST, "which is the minimum index at least", SAY_OPERATOR) \
    X(BOUND_NEW, LOG, "tlog-tiles", "Retention Policies", SHOULD, "and brought up to date now and then", SAY_OPERATOR)

#define CHECKPOINT_CLAUSES(X) \
    X(ORIGIN, BOTH, "tlog-checkpoint", "Note text", MUST, "the origin is not empty", SAY_LOGS) \
    X(ORIGIN_URL, LOG, "tlog-checkpoint", "Note text", SHOULD, "it is a schema-less URL without spaces and plus", SAY_OTHER) \
    X(ORIGIN_ANY, BOTH, "tlog-checkpoint", "Note text", MUST_NOT, "clients do not count on that", SAY_CLIENT) \
    X(EXTENSIONS, BOTH, "tlog-checkpoint", "Note text", MUST, "extension lines are not empty", SAY_LOGS) \
    X(EXTENDED, LOG, "tlog-checkpoint", "Note text", SHOULD_NOT, "there are none", SAY_OTHER) \
    X(CONSISTENT, LOG, "tlog-checkpoint", "Signatures", MUST_NOT, \
      "no two checkpoints are inconsistent", "the tree did not grow while this ran; give --old FILE") \
    X(LOG_NAME, LOG, "tlog-checkpoint", "Signatures", SHOULD, "the signature's key name is the origin", SAY_OTHER) \
    X(LOG_MLDSA, LOG, "tlog-checkpoint", "Signatures", SHOULD, "the log signs with ML-DSA-44", SAY_OTHER) \
    X(LOG_MLDSA_BARE, LOG, "tlog-checkpoint", "Signatures", SHOULD, "and then without extension lines", SAY_MLDSA) \
    X(UNKNOWN_SIGS, BOTH, "tlog-checkpoint", "Signatures", MUST, "clients pass over unknown signatures", SAY_CLIENT)
/* clang-format on */

enum clause {
#define X(id, of, spec, section, level, what, untested) id,
    WITNESS_CLAUSES(X) LOG_CLAUSES(X) CHECKPOINT_CLAUSES(X)
#undef X
        CLAUSES
};

#endif
