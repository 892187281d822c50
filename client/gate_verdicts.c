/* What passed lately, and which upstream failed to deliver it. */
#include "client/gate.h"

#include <stdlib.h>

#include "lib/sys/clock.h"

void gate_path_free(struct gate_path *path)
{
    free(path->nar_url);
    free(path->compression);
    buf_free(&path->narinfo);
    *path = (struct gate_path){ 0 };
}

static enum err copy_path(struct gate_path *out, const struct gate_path *path, struct why *why)
{
    *out = *path;
    out->next = NULL;
    out->narinfo = BUF_EMPTY;
    buf_span(&out->narinfo, span_buf(&path->narinfo));
    out->nar_url = span_dup_str(span_str(path->nar_url));
    out->compression = span_dup_str(span_str(path->compression));
    if (out->nar_url != NULL && out->compression != NULL && !out->narinfo.failed)
        return OK;
    gate_path_free(out);
    return fail(why, ERR_ENV, "out of memory");
}

static struct gate_path **bucket_of(struct gate *gate, struct span hash_part)
{
    struct hash digest = sha256_of(hash_part);
    return &gate->buckets[get_be32(digest.b) % (sizeof gate->buckets / sizeof *gate->buckets)];
}

bool gate_remembers(struct gate *gate, struct span hash_part, const struct hash *nar_hash, struct gate_path *out)
{
    bool found = false;
    pthread_mutex_lock(&gate->lock);
    for (struct gate_path *p = *bucket_of(gate, hash_part); p != NULL && !found; p = p->next)
        if (span_is(hash_part, p->hash_part) && p->until_ms > clock_monotonic_ms() && hash_eq(&p->nar_hash, nar_hash))
            found = copy_path(out, p, NULL) == OK;
    pthread_mutex_unlock(&gate->lock);
    return found;
}

static void drop_paths(struct gate *gate)
{
    for (size_t i = 0; i < sizeof gate->buckets / sizeof *gate->buckets; i++)
        while (gate->buckets[i] != NULL) {
            struct gate_path *path = gate->buckets[i];
            gate->buckets[i] = path->next;
            gate_path_free(path);
            free(path);
        }
    gate->paths_n = 0;
}

void gate_remember(struct gate *gate, const struct gate_path *path)
{
    struct gate_path *copy = malloc(sizeof *copy);
    if (copy == NULL || copy_path(copy, path, NULL) != OK) {
        free(copy);
        return;
    }
    pthread_mutex_lock(&gate->lock);
    if (gate->paths_n == GATE_PATHS_MAX)
        drop_paths(gate);
    struct gate_path **at = bucket_of(gate, span_str(path->hash_part));
    while (*at != NULL && strcmp((*at)->hash_part, path->hash_part) != 0)
        at = &(*at)->next;
    if (*at != NULL) {
        struct gate_path *old = *at;
        copy->next = old->next;
        gate_path_free(old);
        free(old);
    } else {
        gate->paths_n++;
    }
    *at = copy;
    pthread_mutex_unlock(&gate->lock);
}

void gate_forget(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    drop_paths(gate);
    pthread_mutex_unlock(&gate->lock);
}

void gate_shun(struct gate *gate, const struct gate_path *path, bool wrong)
{
    pthread_mutex_lock(&gate->lock);
    struct gate_shunned *at = &gate->shunned[gate->shunned_next++ % GATE_SHUNNED_MAX];
    gate->shunned_n += gate->shunned_n < GATE_SHUNNED_MAX;
    *at = (struct gate_shunned){ .upstream = path->upstream, .wrong = wrong, .until_ms = clock_monotonic_ms() + GATE_SHUNNED_MS };
    memcpy(at->hash_part, path->hash_part, sizeof at->hash_part);
    for (struct gate_path **p = bucket_of(gate, span_str(path->hash_part)); *p != NULL; p = &(*p)->next)
        if (strcmp((*p)->hash_part, path->hash_part) == 0) {
            struct gate_path *gone = *p;
            *p = gone->next;
            gate_path_free(gone);
            free(gone);
            gate->paths_n--;
            break;
        }
    pthread_mutex_unlock(&gate->lock);
}

enum gate_shunning gate_shuns(struct gate *gate, struct span hash_part, size_t upstream)
{
    enum gate_shunning shunning = NOT_SHUNNED;
    pthread_mutex_lock(&gate->lock);
    uint64_t now_ms = gate->shunned_n > 0 ? clock_monotonic_ms() : 0;
    for (size_t i = 0; i < gate->shunned_n; i++) {
        const struct gate_shunned *at = &gate->shunned[i];
        if (at->upstream == upstream && at->until_ms > now_ms && span_is(hash_part, at->hash_part) && shunning != SHUNNED_WRONG)
            shunning = at->wrong ? SHUNNED_WRONG : SHUNNED;
    }
    pthread_mutex_unlock(&gate->lock);
    return shunning;
}
