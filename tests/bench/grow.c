/*
 * Fills a log's folder up to SIZE entries, and says what the last half of them cost:
 *
 *   grow DIR KEYFILE SIZE BATCH SIGNED
 *
 * The way of an entry is the log's own but for HTTP and the signature's check: a whole attestation, parsed and described as a
 * posted one, goes into the store with BATCH - 1 others in one commit (on average), tree, tiles and indices with it; every
 * HEAD_ENTRIES entries the log's signer signs the head that the tiles give. So `stele-log serve` and `fsck` take the folder as
 * their own. Entries from SIGNED on carry zeros in place of the builder's signature, for a log that is too large to sign here: all
 * but the signatures of `fsck --full` holds.
 *
 * A thread makes the attestations; what it costs is not counted. Prints "name value" lines.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/checkpoint.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/signer.h"
#include "log/config.h"
#include "log/entry.h"
#include "log/limits.h"
#include "log/store.h"
#include "tests/attestation.h"
#include "tests/must.h"

enum { BATCH_MAX = BATCH_SUBMISSIONS_MAX / 2, READY_MAX = 4, HEAD_ENTRIES = 1 << 18, ATTESTATION_INPUTS = 2 };

struct batch {
    struct buf lines[2 * BATCH_MAX];
    struct store_entry entries[2 * BATCH_MAX];
    struct store_part parts[2 * BATCH_MAX];
    size_t n;
};

struct grow {
    struct log_config config;
    struct store *store;
    struct signer *signer;
    struct secret_key *key;
    uint64_t size, signed_n;
    size_t batch;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *ready[READY_MAX]; /* a ring: filled by one thread, emptied by the other */
    uint64_t made, taken;           /* batches */
    bool over;
    pthread_t maker;
    uint64_t added, added_bytes; /* by this run */
};

/* What the process had used at one moment. */
struct used {
    uint64_t cpu_us, wall_us, entries;
    uint64_t written; /* bytes handed to the system to write: every file is written that way */
};

static uint64_t cpu_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The number after "NAME:" in a file of /proc. */
static uint64_t proc_number(const char *path, const char *name)
{
    char line[256];
    uint64_t value = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtoull(line + strlen(name) + 1, NULL, 10);
    if (file != NULL)
        fclose(file);
    return value;
}

static struct used used_now(struct grow *grow)
{
    clockid_t maker;
    if (pthread_getcpuclockid(grow->maker, &maker) != 0)
        exit(1);
    return (struct used){ .cpu_us = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - cpu_us(maker),
                          .wall_us = clock_monotonic_us(),
                          .written = proc_number("/proc/self/io", "wchar"),
                          .entries = store_size(grow->store) };
}

static void make_entry(struct grow *grow, struct batch *batch, uint64_t number)
{
    struct why why;
    struct buf *line = &batch->lines[batch->n];
    buf_clear(line);
    must(number < grow->signed_n ? test_attestation(line, grow->key, number, ATTESTATION_INPUTS, &why)
                                 : test_attestation_unsigned(line, grow->key, number, ATTESTATION_INPUTS, &why),
         &why);
    struct store_entry *entry = &batch->entries[batch->n];
    must(entry_read(entry, span_of(line->data, line->len - 1), &why), &why);
    batch->parts[batch->n] = (struct store_part){ .entries = entry, .n = 1 };
    batch->n++;
}

static void *make_batches(void *ctx)
{
    struct grow *grow = ctx;
    uint64_t number = store_size(grow->store);
    while (number < grow->size) {
        struct batch *batch = grow->ready[grow->made % READY_MAX];
        size_t n = grow->batch / 2 + (number * 2654435761u >> 7) % grow->batch; /* batches are never alike */
        for (batch->n = 0; (batch->n == 0 || batch->n < n) && number < grow->size; number++)
            make_entry(grow, batch, number);
        pthread_mutex_lock(&grow->lock);
        grow->made++;
        pthread_cond_signal(&grow->changed);
        while (grow->made - grow->taken == READY_MAX)
            pthread_cond_wait(&grow->changed, &grow->lock);
        pthread_mutex_unlock(&grow->lock);
    }
    pthread_mutex_lock(&grow->lock);
    while (!grow->over) /* its clock is read until then */
        pthread_cond_wait(&grow->changed, &grow->lock);
    pthread_mutex_unlock(&grow->lock);
    return NULL;
}

/* As the publisher does: proven from the last one, signed, durable. */
static void sign_head(struct grow *grow)
{
    struct why why;
    struct head_record last;
    struct store_view view;
    struct hash proof[PROOF_HASHES_MAX];
    size_t proof_n = 0;
    bool found;
    must(signer_last(grow->signer, span_str(grow->config.origin), &found, &last, &why), &why);
    must(store_view_begin(grow->store, &view, &why), &why);
    struct checkpoint checkpoint = { .origin = span_str(grow->config.origin), .size = view.size };
    struct hash_reader reader = store_view_tiles(&view, view.size);
    must(merkle_root(view.size, &reader, &checkpoint.root, &why), &why);
    if (found)
        must(merkle_consistency_prove(last.head.size, view.size, &reader, proof, &proof_n, &why), &why);
    store_view_end(&view);
    struct buf text = BUF_EMPTY;
    checkpoint_render(&text, &checkpoint);
    struct signer_request request = {
        .text = span_buf(&text), .old = found ? last.head.size : 0, .proof = proof, .proof_n = proof_n
    };
    struct signer_answer answer;
    must(signer_sign(grow->signer, &request, 1, &answer, &why), &why);
    must(answer.verdict == HEAD_OK && !answer.clock_behind ? OK : ERR_REFUSED, &answer.why);
    buf_free(&text);
}

static struct batch *take_batch(struct grow *grow)
{
    pthread_mutex_lock(&grow->lock);
    while (grow->made == grow->taken)
        pthread_cond_wait(&grow->changed, &grow->lock);
    struct batch *batch = grow->ready[grow->taken % READY_MAX];
    pthread_mutex_unlock(&grow->lock);
    return batch;
}

static void give_back(struct grow *grow, struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        entry_free(&batch->entries[i]);
    pthread_mutex_lock(&grow->lock);
    grow->taken++;
    pthread_cond_signal(&grow->changed);
    pthread_mutex_unlock(&grow->lock);
}

/* To the full size; what had been used halfway is in *half. */
static void fill(struct grow *grow, struct used *half)
{
    struct why why;
    uint64_t size = store_size(grow->store), head = size;
    *half = used_now(grow);
    while (size < grow->size) {
        bool before = size < grow->size / 2;
        struct batch *batch = take_batch(grow);
        must(store_append(grow->store, batch->parts, batch->n, &size, &why), &why);
        for (size_t i = 0; i < batch->n; i++)
            grow->added_bytes += batch->entries[i].bytes.len;
        grow->added += batch->n;
        give_back(grow, batch);
        if (size - head >= HEAD_ENTRIES || size == grow->size) {
            sign_head(grow);
            head = size;
        }
        if (before && size >= grow->size / 2)
            *half = used_now(grow);
    }
}

static void print(struct grow *grow, const struct used *half, const struct used *end)
{
    double entries = (double)(end->entries - half->entries);
    struct store_metrics metrics;
    store_metrics(grow->store, &metrics);
    printf("entries_counted %.0f\n", entries);
    printf("cpu_us_entry %.2f\n", (double)(end->cpu_us - half->cpu_us) / entries);
    printf("wall_us_entry %.2f\n", (double)(end->wall_us - half->wall_us) / entries);
    printf("written_bytes_entry %.0f\n", (double)(end->written - half->written) / entries);
    printf("entry_bytes %.0f\n", (double)grow->added_bytes / (double)grow->added);
    printf("data_bytes %" PRIu64 "\nindex_bytes %" PRIu64 "\nseen_bytes %" PRIu64 "\n", metrics.data_bytes, metrics.index_bytes,
           metrics.seen_bytes);
    printf("rss_anon_kib %" PRIu64 "\n", proc_number("/proc/self/status", "RssAnon"));
}

static void open_log(struct grow *grow, const char *dir, const char *key_file)
{
    struct why why;
    must(key_system_start(&why), &why);
    must(log_config_load(&grow->config, dir, &why), &why);
    must(dir_lock(dir, 0, &why), &why);
    char *key = path_join(dir, "key"), *heads = path_join(dir, "heads");
    struct signer_config config = { .key_path = key, .heads_path = heads, .type = SIG_ED25519, .growth_max = GROWTH_MAX };
    must(signer_start(&grow->signer, &config, &why), &why);
    must(secret_key_load(&grow->key, key_file, SIG_ED25519, &why), &why);
    struct store_config store_config = {
        .dir = dir, .origin = span_str(grow->config.origin), .describe = entry_read, .undescribe = entry_free
    };
    uint64_t from_us = clock_monotonic_us(), from_cpu_us = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
    must(store_open(&grow->store, &store_config, &why), &why);
    printf("open_s %.3f\nopen_cpu_s %.3f\n", (double)(clock_monotonic_us() - from_us) / 1e6,
           (double)(cpu_us(CLOCK_PROCESS_CPUTIME_ID) - from_cpu_us) / 1e6);
    free(key);
    free(heads);
}

int main(int argc, char **argv)
{
    static struct grow grow = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    grow.size = argc == 6 ? strtoull(argv[3], NULL, 10) : 0;
    grow.batch = argc == 6 ? strtoul(argv[4], NULL, 10) : 0;
    grow.signed_n = argc == 6 ? strtoull(argv[5], NULL, 10) : 0;
    if (grow.batch == 0 || grow.batch > BATCH_MAX) {
        fprintf(stderr, "usage: grow DIR KEYFILE SIZE BATCH SIGNED\n");
        return 2;
    }
    open_log(&grow, argv[1], argv[2]);
    for (size_t i = 0; i < READY_MAX; i++)
        if ((grow.ready[i] = calloc(1, sizeof *grow.ready[i])) == NULL)
            return 1;
    if (pthread_create(&grow.maker, NULL, make_batches, &grow) != 0)
        return 1;
    struct used half, end;
    fill(&grow, &half);
    end = used_now(&grow);
    pthread_mutex_lock(&grow.lock);
    grow.over = true;
    pthread_cond_signal(&grow.changed);
    pthread_mutex_unlock(&grow.lock);
    pthread_join(grow.maker, NULL);
    print(&grow, &half, &end);
    store_close(grow.store);
    signer_stop(grow.signer);
    return 0;
}
