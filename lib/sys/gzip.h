/*
 * gzip, as the HTTP server sends it (RFC 1952), and whether a client wants it.
 */
#ifndef STELE_SYS_GZIP_H
#define STELE_SYS_GZIP_H

#include "lib/bytes.h"

/* Appends `data` compressed, fast rather than small. ERR_ENV where memory is short. */
enum err gzip_pack(struct buf *out, struct span data, struct why *why);

/* Does an Accept-Encoding (NULL: absent) ask for gzip, and not for no encoding rather (RFC 9110 section 12.5.3)? A client that says
 * nothing of it gets none; neither does one whose header is malformed. */
bool gzip_asked(const char *accept_encoding);

#endif
