/*
 * lib/json.h held against jansson: the same texts taken, the same values read.
 */
#ifndef STELE_TESTS_JSON_PEER_H
#define STELE_TESTS_JSON_PEER_H

#include "lib/bytes.h"

/* Do both take `text`, or neither, and read the same? Says on stderr where not. *taken: whether ours took it. */
bool json_peer_agrees(struct span text, bool *taken);

#endif
