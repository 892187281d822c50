/*
 * Raw sockets on 127.0.0.1: for what no HTTP library would send.
 */
#ifndef STELE_TESTS_RAW_H
#define STELE_TESTS_RAW_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/bytes.h"

/* A connection to a server, whose reads give up after a minute; -1 where none is had. */
int raw_open(unsigned port);
/* All bytes; false where the peer does not take them. */
bool raw_send_all(int fd, struct span bytes);
void raw_send(int fd, const char *text);
/* Reads until `text` has come; what was read is in `out`. False where the peer closed before, or `max` is full. */
bool raw_until(int fd, const char *text, char *out, size_t max);
/* Reads to the end: did the peer close, rather than wait for more? */
bool raw_closed(int fd);

#endif
