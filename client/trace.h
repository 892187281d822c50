/*
 * How `stele trace` shows a trail that was followed: text for people, JSON (spec/reports.md) and Graphviz dot.
 */
#ifndef STELE_CLIENT_TRACE_H
#define STELE_CLIENT_TRACE_H

#include "client/trail_graph.h"

/* All print on stdout. ERR_ENV where memory is short. */
enum err trace_show_text(const struct trail *trail, struct why *why);
enum err trace_show_json(const struct trail *trail, bool complete, struct why *why);
enum err trace_show_dot(const struct trail *trail, struct why *why);

/* "attested", "vouched", "exempt", "ground", "broken": how a version stands. */
const char *trace_state(const struct trail_node *node);

#endif
