/*
 * What the gate's fuzz targets share: a configuration under the policy of spec/vectors/bundle.json, so that its bundle is a proof, a
 * trust file that knows its builder and exempts a path, and the signer, which answers in this process.
 */
#ifndef STELE_TESTS_FUZZ_GATE_WORLD_H
#define STELE_TESTS_FUZZ_GATE_WORLD_H

#include "client/gate_signer.h"

#define GATE_WORLD_DIR "/nix/store"

/* Ends the process where it fails. */
void gate_world_start(struct client_config *config, struct gate_signer **signer);
/* Is this narinfo one that the gate may hand out: under its key, or of a content-addressed path, and proven or exempt? */
void gate_world_check(const struct gate_signer *signer, struct span narinfo);

#endif
