#include "client/builder_state.h"

#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"

enum { STATE_BYTES_MAX = 4096 };

/* This machine's id; "unknown" where it has none: then only the time counts. */
static enum err machine_id(struct buf *out, struct why *why)
{
    bool found;
    enum err err = file_read_if("/etc/machine-id", STATE_BYTES_MAX, out, &found, why);
    while (out->len > 0 && out->data[out->len - 1] == '\n')
        out->len--;
    if (err == OK && out->len == 0)
        buf_str(out, "unknown");
    return err == OK ? buf_done(out, why) : err;
}

enum err builder_state_start(const struct client_config *config, struct why *why)
{
    struct buf text = BUF_EMPTY, old = BUF_EMPTY;
    bool found = false;
    char *path = path_join(config->state, "machine-id");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, STATE_BYTES_MAX, &old, &found, why);
    if (err == OK && !found) {
        err = dir_make(config->state, 0755, why);
        if (err == OK)
            err = machine_id(&text, why);
        buf_fmt(&text, " %llu\n", (unsigned long long)clock_posix_s());
        if (err == OK)
            err = buf_done(&text, why);
        if (err == OK)
            err = file_replace(path, 0644, span_buf(&text), why);
    }
    buf_free(&text);
    buf_free(&old);
    free(path);
    return err;
}

bool builder_state_parse(struct span text, struct span *id, uint64_t *since_s)
{
    struct span line, time;
    return span_line(&text, &line) && span_word(&line, id) && span_word(&line, &time) && span_decimal(time, INT64_MAX, since_s);
}

enum err builder_state_since(const struct client_config *config, uint64_t *since_s, struct why *why)
{
    struct buf text = BUF_EMPTY, own = BUF_EMPTY;
    struct span id;
    bool found = false;
    char *path = path_join(config->state, "machine-id");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, STATE_BYTES_MAX, &text, &found, why);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED,
                   "%s does not say since when this key builds here (keygen and the hook's first build write it); if this machine "
                   "built the path all the same, give --built-on-this-machine",
                   path);
    if (err == OK)
        err = machine_id(&own, why);
    if (err == OK && !builder_state_parse(span_buf(&text), &id, since_s))
        err = fail(why, ERR_MALFORMED, "%s is not `MACHINE-ID TIME`", path);
    if (err == OK && !span_eq(id, span_buf(&own)))
        err = fail(why, ERR_REFUSED, "%s was written on another machine: this is a copy of its state; remove it to start anew here",
                   path);
    buf_free(&text);
    buf_free(&own);
    free(path);
    return err;
}
