/*
 * `stele audit`: who answers for every path of a store, or of a cache. audit.c has the verb and the classes, audit_evidence.c the
 * look-ups in bulk, audit_own.c this machine's own keys, audit_items.c signatures and what lies on disk, audit_cache.c the paths
 * of a cache, audit_show.c the reports (spec/reports.md).
 */
#ifndef STELE_CLIENT_AUDIT_H
#define STELE_CLIENT_AUDIT_H

#include "client/local.h"
#include "lib/arena.h"

enum audit_class {
    AUDIT_ATTESTED,
    AUDIT_ADDRESSED,
    AUDIT_EXEMPT,
    AUDIT_BUILT_HERE,
    AUDIT_VOUCHED,
    AUDIT_UNEXPLAINED,
    AUDIT_CONTRADICTED,
    AUDIT_ALTERED,
    AUDIT_CLASSES,
};

/* One proven attestation that names a path. */
struct audit_fact {
    struct trust_evidence evidence;
    struct span proof; /* its text, of a builder of the trust file under `inputs attested` */
    bool kept;  /* its proof stands in the own store, as of what the gate let through */
    bool built; /* this machine built what it speaks of, these bytes */
    struct audit_fact *next;
};

/* One path of a batch. */
struct audit_item {
    struct nixdb_info info;
    struct local_path path;
    struct audit_fact *facts;
    enum audit_class class;
    enum trust_verdict verdict;
    bool wants_look_up; /* refused for want of a log's answer alone */
    bool missed;        /* a log does not give all that named builders attested of it */
    struct why why;
    bool built; /* these bytes, by this machine: the database says so, or what was noted of its builds (client/built.h) */
    bool altered, contested, contradicted, lost, own; /* own: the alarm, with `why_own` */
    struct why why_own, why_lost, why_altered;
    bool other_references; /* of a cache: this machine built these bytes, and its database has other references of them */
    bool would_refuse;
    struct why why_refuse;
};

struct audit_batch {
    struct audit_item *items;
    size_t n;
    struct arena arena;
    uint32_t *slots; /* by path */
    size_t slots_n;
};

/* Keys of this machine. */
struct audit_own {
    char *vkey_text;
    struct vkey vkey; /* of `key` in the configuration */
    bool has_vkey;
    struct nix_key keys[64]; /* that, and those of Nix's secret-key-files, as Nix keys */
    char *names[64];
    size_t n;
};

struct audit_report;

struct audit {
    struct local local;
    bool rehash, strict, json, quiet, would_refuse;
    const char *cache; /* --cache */
    struct audit_own own;
    struct statement statements[8]; /* what trust_judge reads of one, by `foreign`, claim */
    size_t done, total, counts[AUDIT_CLASSES], contested, lost, alarms, false_addresses, refused, passed, not_asked;
    size_t not_answered; /* paths of which the cache told nothing */
    bool forked[POLICY_LOGS_MAX];
    const struct policy_log *forked_late; /* a log that was believed by then; NULL: none */
    size_t forked_after;                  /* when so many paths had been judged */
    struct buf troubles;
    struct trail_memory *memory;
    struct audit_report *report;
};

/* audit_evidence.c: finds what is known of a batch's paths. ERR_ENV where memory is short; what could not be asked is noted. */
enum err audit_index(struct audit_batch *batch, struct why *why); /* before all else: a path that comes twice is dropped once */
struct audit_item *audit_find(const struct audit_batch *batch, struct span path);
enum err audit_gather(struct audit *audit, struct audit_batch *batch, struct why *why);
/* audit_judge.c: the trust file's word for each, and the class. */
enum err audit_judge(struct audit *audit, struct audit_batch *batch, struct why *why);
/* audit_items.c: what the database says of each, its signatures verified; what lies on disk hashed. By all cores. */
enum err audit_load(struct audit *audit, struct audit_batch *batch, struct why *why);
enum err audit_rehash(struct audit *audit, struct audit_batch *batch, struct why *why);
/* audit_own.c */
enum err audit_own_load(struct audit *audit, struct why *why);
void audit_own_free(struct audit_own *own);
enum err audit_own_built(struct audit *audit, struct audit_batch *batch, struct why *why); /* after audit_gather */
void audit_own_check(const struct audit *audit, struct audit_item *item);
/* audit_cache.c: the narinfos of a cache, as what a database would say. */
enum err audit_cache(struct audit *audit, const char *const *paths, size_t n,
                     enum err (*each)(void *ctx, const struct nixdb_info *info, struct why *why), void *ctx, struct why *why);
/* audit_show.c */
enum err audit_report_start(struct audit *audit, struct why *why);
enum err audit_report_item(struct audit *audit, const struct audit_item *item, struct why *why);
enum err audit_report_end(struct audit *audit, struct why *why);
void audit_report_free(struct audit *audit);
const char *audit_class_name(enum audit_class class);
const char *audit_class_meaning(enum audit_class class);

#endif
