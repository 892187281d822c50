#include "client/counts.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"

enum { COUNTS_BYTES_MAX = 64 << 10 };

bool count_parse(struct count *out, struct span line)
{
    struct span n, time;
    if (!span_word(&line, &out->reason) || !span_word(&line, &n) || !span_word(&line, &time) ||
        !span_decimal(n, INT64_MAX, &out->n) || !span_decimal(time, INT64_MAX, &out->last_s))
        return false;
    span_skip(&line, " ");
    out->sentence = line;
    return true;
}

void count_render(struct buf *out, const struct count *count)
{
    buf_span(out, count->reason);
    buf_fmt(out, " %llu %llu ", (unsigned long long)count->n, (unsigned long long)count->last_s);
    buf_span(out, count->sentence);
    buf_byte(out, '\n');
}

static enum err each_of(struct span text, const char *path, enum err (*each)(void *ctx, const struct count *count, struct why *why),
                        void *ctx, struct why *why)
{
    struct span line;
    enum err err = OK;
    for (size_t n = 1; err == OK && span_line(&text, &line); n++) {
        struct count count;
        err = count_parse(&count, line) ? each(ctx, &count, why)
                                        : fail(why, ERR_MALFORMED, "%s line %zu is not `REASON COUNT TIME SENTENCE`", path, n);
    }
    return err;
}

/* The file anew, with one more of `reason`. */
struct counting {
    struct buf out;
    struct span reason;
    const char *sentence;
    bool done;
};

static void put_ours(struct counting *counting, uint64_t before)
{
    count_render(&counting->out, &(struct count){ .reason = counting->reason,
                                                  .n = before + 1,
                                                  .last_s = clock_posix_s(),
                                                  .sentence = span_str(counting->sentence) });
    counting->done = true;
}

static enum err count_again(void *ctx, const struct count *count, struct why *why)
{
    struct counting *counting = ctx;
    int order = span_cmp(count->reason, counting->reason);
    (void)why;
    if (order > 0 && !counting->done)
        put_ours(counting, 0);
    if (order == 0)
        put_ours(counting, count->n);
    else
        count_render(&counting->out, count);
    return OK;
}

enum err counts_add(const struct client_config *config, const char *reason, const char *sentence, struct why *why)
{
    struct buf old = BUF_EMPTY;
    struct counting counting = { .reason = span_str(reason), .sentence = sentence };
    bool found;
    int fd = -1;
    /* A lock beside it, for the file itself is replaced. */
    char *path = path_join(config->state, "counts"), *lock = path_join(config->state, "counts.lock");
    enum err err = path == NULL || lock == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(config->state, 0755, why);
    if (err == OK)
        err = file_lock(lock, &fd, why);
    if (err == OK)
        err = file_read_if(path, COUNTS_BYTES_MAX, &old, &found, why);
    if (err == OK)
        err = each_of(span_buf(&old), path, count_again, &counting, why);
    if (err == OK && !counting.done)
        put_ours(&counting, 0);
    if (err == OK)
        err = buf_done(&counting.out, why);
    if (err == OK)
        err = file_replace_soft(path, 0644, span_buf(&counting.out), why);
    if (fd >= 0)
        close(fd);
    buf_free(&counting.out);
    buf_free(&old);
    free(path);
    free(lock);
    return err;
}

enum err counts_each(const struct client_config *config, enum err (*each)(void *ctx, const struct count *count, struct why *why),
                     void *ctx, struct why *why)
{
    struct buf text = BUF_EMPTY;
    bool found;
    char *path = path_join(config->state, "counts");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, COUNTS_BYTES_MAX, &text, &found, why);
    if (err == OK)
        err = each_of(span_buf(&text), path, each, ctx, why);
    buf_free(&text);
    free(path);
    return err;
}
