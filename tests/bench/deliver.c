/*
 * An outbox of attestations of about 1.9 KB, as the hook would have left them, and what a deliverer cannot do without.
 *
 *   deliver OUTBOX KEYFILE FIRST N      fills it: numbered from FIRST; the outbox is made
 *   deliver files OUTBOX PROOFS         empties it as fast as its files allow: each letter is read, a file as long as its proof
 *                                       created, all synced at the end, and each letter removed, by as many threads as there are
 *                                       cores; no log is asked. "files_s N"
 */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "tests/attestation.h"
#include "tests/must.h"

enum { ATTESTATION_INPUTS = 2, CORES_MAX = 64, PROOF_AROUND = 1000 };

static enum err put(const char *outbox, const struct secret_key *key, uint64_t number, struct buf *lines, struct buf *path,
                    struct why *why)
{
    bool exists;
    buf_clear(lines);
    buf_clear(path);
    enum err err = test_attestation(lines, key, number, ATTESTATION_INPUTS, why);
    struct hash hash = sha256_of(span_buf(lines));
    buf_fmt(path, "%s/", outbox);
    nix32_encode(path, span_of(hash.b, 20));
    buf_byte(path, '-');
    hex_encode(path, span_of(hash.b + 20, 8));
    buf_str(path, ".jsonl");
    buf_byte(path, '\0');
    if (err == OK)
        err = buf_done(path, why);
    return err == OK ? file_create_soft((const char *)path->data, 0600, span_buf(lines), &exists, why) : err;
}

struct files {
    const char *outbox, *proofs;
    char **names;
    size_t n;
    atomic_size_t next;
    bool remove;
};

static void read_and_create(const struct files *files, const char *name, struct buf *letter)
{
    struct why why;
    bool found, exists;
    char *from = path_join(files->outbox, name), *to = path_join(files->proofs, name);
    buf_clear(letter);
    must(from == NULL || to == NULL ? fail(&why, ERR_ENV, "out of memory") : file_read_if(from, 1 << 20, letter, &found, &why),
         &why);
    size_t len = letter->len, more = len / 3 + PROOF_AROUND;
    uint8_t *rest = buf_grow(letter, more); /* an entry stands in its proof in base64 */
    must(buf_done(letter, &why), &why);
    memset(rest, '-', more);
    must(file_create_soft(to, 0644, span_buf(letter), &exists, &why), &why);
    free(from);
    free(to);
}

static void remove_letter(const struct files *files, const char *name)
{
    struct why why;
    char *path = path_join(files->outbox, name);
    if (path == NULL || unlink(path) != 0)
        must(fail(&why, ERR_ENV, "cannot remove %s", name), &why);
    free(path);
}

static void *work(void *ctx)
{
    struct files *files = ctx;
    struct buf letter = BUF_EMPTY;
    for (size_t i; (i = files->next++) < files->n;) {
        if (files->remove)
            remove_letter(files, files->names[i]);
        else
            read_and_create(files, files->names[i], &letter);
    }
    buf_free(&letter);
    return NULL;
}

static void on_all_cores(struct files *files)
{
    pthread_t threads[CORES_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    cores = cores < 1 ? 1 : cores > CORES_MAX ? CORES_MAX : cores;
    files->next = 0;
    for (long i = 0; i < cores; i++)
        if (pthread_create(&threads[i], NULL, work, files) != 0)
            exit(1);
    for (long i = 0; i < cores; i++)
        pthread_join(threads[i], NULL);
}

static void list(struct files *files)
{
    size_t most = 0;
    DIR *dir = opendir(files->outbox);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        if (files->n == most) {
            most = 2 * most + 1024;
            files->names = realloc(files->names, most * sizeof *files->names);
        }
        if (files->names == NULL || (files->names[files->n++] = strdup(entry->d_name)) == NULL)
            exit(1);
    }
    if (dir != NULL)
        closedir(dir);
}

static int files_alone(const char *outbox, const char *proofs)
{
    struct files files = { .outbox = outbox, .proofs = proofs };
    struct why why;
    must(dir_make(proofs, 0755, &why), &why);
    uint64_t started = clock_monotonic_us();
    list(&files);
    on_all_cores(&files);
    must(dir_sync_all(proofs, &why), &why);
    files.remove = true;
    on_all_cores(&files);
    printf("files_s %.0f\n", (double)files.n * 1e6 / (double)(clock_monotonic_us() - started));
    for (size_t i = 0; i < files.n; i++)
        free(files.names[i]);
    free(files.names);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t first, n;
    struct secret_key *key = NULL;
    struct buf lines = BUF_EMPTY, path = BUF_EMPTY;
    struct why why;
    if (argc == 4 && strcmp(argv[1], "files") == 0)
        return files_alone(argv[2], argv[3]);
    if (argc != 5 || !span_decimal(span_str(argv[3]), UINT32_MAX, &first) || !span_decimal(span_str(argv[4]), UINT32_MAX, &n)) {
        fprintf(stderr, "usage: deliver OUTBOX KEYFILE FIRST N | deliver files OUTBOX PROOFS\n");
        return ERR_USAGE;
    }
    enum err err = key_system_start(&why);
    if (err == OK)
        err = secret_key_load(&key, argv[2], SIG_ED25519, &why);
    if (err == OK)
        err = dir_make(argv[1], 0700, &why);
    for (uint64_t i = first; i < first + n && err == OK; i++)
        err = put(argv[1], key, i, &lines, &path, &why);
    if (err == OK)
        err = dir_sync_all(argv[1], &why);
    if (err != OK)
        fprintf(stderr, "deliver: %s\n", why.text);
    secret_key_free(key);
    buf_free(&lines);
    buf_free(&path);
    return (int)err;
}
