/*
 * Streaming decompression of what `nix copy` writes without a program's help: none, xz, zstd, bzip2, gzip, br, lz4, lzma, lzip
 * and compress. Memory is bounded whatever the input says.
 */
#ifndef STELE_SYS_DECOMPRESS_H
#define STELE_SYS_DECOMPRESS_H

#include "lib/bytes.h"

struct decompressor;

/* `name` as in a narinfo's Compression field. ERR_MALFORMED for an unknown one. */
enum err decompressor_new(struct decompressor **out, struct span name, struct why *why);
void decompressor_free(struct decompressor *decompressor);
/* Takes from *in and puts into out[0..max); *put may be 0 while more input is needed. `last` says that no input follows what
 * is in *in. *ended tells the end of the (last) compressed stream. ERR_MALFORMED for damaged data or bytes after the end. */
enum err decompressor_run(struct decompressor *decompressor, struct span *in, bool last, uint8_t *out, size_t max, size_t *put,
                          bool *ended, struct why *why);

#endif
