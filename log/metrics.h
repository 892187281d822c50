/*
 * What GET /metrics answers: how fast, how long, how full, and which witness is missing.
 */
#ifndef STELE_LOG_METRICS_H
#define STELE_LOG_METRICS_H

#include "log/routes.h"

void metrics_render(struct routes *routes, struct buf *out);

#endif
