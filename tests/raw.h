/*
 * A client's raw socket to a server on 127.0.0.1: what no HTTP library would send.
 */
#ifndef STELE_TESTS_RAW_H
#define STELE_TESTS_RAW_H

#include <stdbool.h>
#include <stddef.h>

/* A connection, whose reads give up after 10 s; -1 where none is had. */
int raw_open(unsigned port);
void raw_send(int fd, const char *text);
/* Reads until `text` has come; what was read is in `out`. False where the peer closed before, or `max` is full. */
bool raw_until(int fd, const char *text, char *out, size_t max);
/* Reads to the end: did the peer close, rather than wait for more? */
bool raw_closed(int fd);

#endif
