#include "log/hot.h"

#include <pthread.h>
#include <stdlib.h>

#include "log/limits.h"

enum { SHARDS = 8, BUCKETS = 256 };

struct item {
    struct item *next;          /* in its bucket */
    struct item *newer, *older; /* asked for */
    uint64_t key[2];
    struct http_shared *answer;
    size_t bytes;
};

/* Each with a lock of its own, so that readers seldom meet. */
struct shard {
    pthread_mutex_t lock;
    struct item *buckets[BUCKETS], *newest, *oldest;
    size_t bytes;
};

struct hot {
    struct shard shards[SHARDS];
};

struct place {
    uint64_t key[2];
    struct shard *shard;
    struct item **bucket;
};

static struct place place_of(struct hot *hot, const struct tile *tile, bool packed)
{
    struct place place = { .key = { tile->index, (uint64_t)tile->level << 32 | (uint64_t)tile->width << 8 |
                                                     (uint64_t)tile->entries << 1 | packed } };
    uint64_t hash = (place.key[0] * 0x9e3779b97f4a7c15u ^ place.key[1]) * 0xd6e8feb86659fd93u;
    place.shard = &hot->shards[(hash >> 56) % SHARDS];
    place.bucket = &place.shard->buckets[(hash >> 32) % BUCKETS];
    return place;
}

struct hot *hot_new(void)
{
    struct hot *hot = calloc(1, sizeof *hot);
    for (size_t i = 0; hot != NULL && i < SHARDS; i++)
        pthread_mutex_init(&hot->shards[i].lock, NULL);
    return hot;
}

static void push(struct shard *shard, struct item *item)
{
    item->newer = NULL;
    item->older = shard->newest;
    if (shard->newest != NULL)
        shard->newest->newer = item;
    else
        shard->oldest = item;
    shard->newest = item;
}

static void pull(struct shard *shard, struct item *item)
{
    if (item->newer != NULL)
        item->newer->older = item->older;
    else
        shard->newest = item->older;
    if (item->older != NULL)
        item->older->newer = item->newer;
    else
        shard->oldest = item->newer;
}

static struct item **find(const struct place *place)
{
    struct item **at = place->bucket;
    while (*at != NULL && ((*at)->key[0] != place->key[0] || (*at)->key[1] != place->key[1]))
        at = &(*at)->next;
    return at;
}

static void drop(struct hot *hot, struct item *item)
{
    struct tile tile = { .index = item->key[0],
                         .level = (uint8_t)(item->key[1] >> 32),
                         .width = (uint16_t)(item->key[1] >> 8),
                         .entries = item->key[1] >> 1 & 1 };
    struct place place = place_of(hot, &tile, item->key[1] & 1);
    *find(&place) = item->next;
    pull(place.shard, item);
    place.shard->bytes -= item->bytes;
    http_shared_release(item->answer);
    free(item);
}

void hot_free(struct hot *hot)
{
    for (size_t i = 0; hot != NULL && i < SHARDS; i++) {
        while (hot->shards[i].oldest != NULL)
            drop(hot, hot->shards[i].oldest);
        pthread_mutex_destroy(&hot->shards[i].lock);
    }
    free(hot);
}

struct http_shared *hot_find(struct hot *hot, const struct tile *tile, bool packed)
{
    struct place place = place_of(hot, tile, packed);
    pthread_mutex_lock(&place.shard->lock);
    struct item *item = *find(&place);
    struct http_shared *answer = item == NULL ? NULL : http_shared_keep(item->answer);
    if (item != NULL && item != place.shard->newest) {
        pull(place.shard, item);
        push(place.shard, item);
    }
    pthread_mutex_unlock(&place.shard->lock);
    return answer;
}

void hot_keep(struct hot *hot, const struct tile *tile, bool packed, struct http_shared *answer, size_t bytes)
{
    struct place place = place_of(hot, tile, packed);
    bytes += sizeof(struct item);
    struct item *item = bytes > HOT_BYTES_MAX / SHARDS ? NULL : malloc(sizeof *item);
    if (item == NULL)
        return; /* it is answered all the same */
    pthread_mutex_lock(&place.shard->lock);
    if (*find(&place) != NULL) {
        free(item); /* another thread was first */
    } else {
        while (place.shard->bytes + bytes > HOT_BYTES_MAX / SHARDS)
            drop(hot, place.shard->oldest);
        *item = (struct item){
            .next = *place.bucket, .key = { place.key[0], place.key[1] }, .answer = http_shared_keep(answer), .bytes = bytes
        };
        *place.bucket = item;
        push(place.shard, item);
        place.shard->bytes += bytes;
    }
    pthread_mutex_unlock(&place.shard->lock);
}
