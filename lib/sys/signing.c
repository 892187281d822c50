#include "lib/sys/signing.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/cosignature.h"

struct signing {
    const struct secret_key *key;
    enum sig_type type;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under it: */
    struct signature *signatures;
    size_t n, taken, making; /* of n so many were taken in hand, and are being made now */
    bool runs;               /* the thread does */
    bool stopping;
    bool first; /* the next one is the batch's first */
    enum err err;
    struct why why;
};

static enum err make(const struct signing *signing, struct signature *signature, bool first, struct why *why)
{
    uint8_t cosignature[COSIGNATURE_BYTES];
    if (signing->type == SIG_ED25519)
        return secret_key_sign(signing->key, signature->text, signature->sig, why);
    enum err err = secret_key_cosign(signing->key, signature->time_s, signature->text, first, cosignature, why);
    memcpy(signature->sig, cosignature + 8, sizeof signature->sig);
    return err;
}

/* Under the lock: makes one after the other, until none is left to take. */
static void make_all(struct signing *signing)
{
    while (signing->taken < signing->n) {
        struct signature *signature = &signing->signatures[signing->taken++];
        struct why why;
        if (!signature->wanted || signing->err != OK)
            continue;
        bool first = signing->first;
        signing->first = false;
        signing->making++;
        pthread_mutex_unlock(&signing->lock);
        enum err err = make(signing, signature, first, &why);
        pthread_mutex_lock(&signing->lock);
        signing->making--;
        if (err != OK && signing->err == OK) {
            signing->err = err;
            signing->why = why;
        }
    }
}

static void *run(void *ctx)
{
    struct signing *signing = ctx;
    pthread_mutex_lock(&signing->lock);
    signing->runs = true;
    pthread_cond_signal(&signing->changed);
    while (!signing->stopping) {
        while (signing->taken == signing->n && !signing->stopping)
            pthread_cond_wait(&signing->changed, &signing->lock);
        make_all(signing);
        pthread_cond_signal(&signing->changed);
    }
    pthread_mutex_unlock(&signing->lock);
    return NULL;
}

enum err signing_start(struct signing **out, const struct secret_key *key, enum sig_type type, struct why *why)
{
    struct signing *signing = calloc(1, sizeof *signing);
    if (signing == NULL)
        return fail(why, ERR_ENV, "out of memory");
    signing->key = key;
    signing->type = type;
    pthread_mutex_init(&signing->lock, NULL);
    pthread_cond_init(&signing->changed, NULL);
    if (pthread_create(&signing->thread, NULL, run, signing) != 0) {
        free(signing);
        return fail(why, ERR_ENV, "no thread for the signatures");
    }
    pthread_mutex_lock(&signing->lock);
    while (!signing->runs)
        pthread_cond_wait(&signing->changed, &signing->lock);
    pthread_mutex_unlock(&signing->lock);
    *out = signing;
    return OK;
}

void signing_stop(struct signing *signing)
{
    if (signing == NULL)
        return;
    pthread_mutex_lock(&signing->lock);
    signing->stopping = true;
    pthread_cond_broadcast(&signing->changed);
    pthread_mutex_unlock(&signing->lock);
    pthread_join(signing->thread, NULL);
    pthread_mutex_destroy(&signing->lock);
    pthread_cond_destroy(&signing->changed);
    free(signing);
}

void signing_begin(struct signing *signing, struct signature *signatures, size_t n)
{
    pthread_mutex_lock(&signing->lock);
    signing->signatures = signatures;
    signing->n = n;
    signing->taken = 0;
    signing->first = true;
    pthread_mutex_unlock(&signing->lock);
    pthread_cond_signal(&signing->changed); /* behind the lock: it would wake to wait for that */
}

enum err signing_end(struct signing *signing, struct why *why)
{
    pthread_mutex_lock(&signing->lock);
    make_all(signing);
    while (signing->making > 0)
        pthread_cond_wait(&signing->changed, &signing->lock);
    enum err err = signing->err == OK ? OK : fail(why, signing->err, "%s", signing->why.text);
    pthread_mutex_unlock(&signing->lock);
    return err;
}
