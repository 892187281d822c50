/*
 * The structure of an LMDB data file (format 1, 64 bit, little-endian, as written by LMDB 0.9), checked without LMDB: that
 * library believes what it maps, so that a flipped bit in a page can crash it, or have it write over pages that are in use.
 *
 * What is checked is everything that LMDB follows: the newest meta page, every page of every tree with all its nodes, the order
 * of the keys, the counts, the pages of large values, and the free list: each page of the file is in one tree, once, or
 * free, once. Not the bytes of keys and values: whoever wrote them must know them again. Only tables of plain keys and
 * values are known, as lib/sys/kv.h makes them: no duplicates, no other order of keys than that of their bytes.
 */
#ifndef STELE_LMDBFILE_H
#define STELE_LMDBFILE_H

#include "lib/bytes.h"

struct lmdbfile_stat {
    uint64_t pages;      /* that the newest snapshot knows of; the file may have more behind them */
    uint64_t free_pages; /* of these */
    size_t page_bytes;
};

/* The first page of each large value is looked at by lmdbfile_check, or by whoever comes to read the values anyway. */
enum lmdbfile_values { LMDBFILE_VALUES_NOW, LMDBFILE_VALUES_LATER };

/* ERR_MALFORMED names the page; ERR_ENV where memory is short: it takes a bit a page. `file` is the whole file. `soon`, where not
 * NULL, is called with bytes of it that will be looked at, some time before: so many that a disk can fetch them together. */
enum err lmdbfile_check(struct span file, enum lmdbfile_values values, void (*soon)(struct span bytes), struct lmdbfile_stat *out,
                        struct why *why);
/* Is `page`, which starts with these bytes, the first one of a large value of this length? ERR_MALFORMED. */
enum { LMDBFILE_PAGE_HEAD_BYTES = 16 };
uint64_t lmdbfile_value_pages(uint64_t value_bytes, size_t page_bytes);
enum err lmdbfile_check_value(const uint8_t head[LMDBFILE_PAGE_HEAD_BYTES], uint64_t page, uint64_t value_bytes, size_t page_bytes,
                              struct why *why);

#endif
