#include "client/letters.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/dsse.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"

static uint64_t name_hash(const char *name)
{
    struct hash hash = sha256_of(span_str(name));
    return get_be64(hash.b) | 1;
}

void deferred_add(struct deferred *deferred, const char *name, uint64_t first_ms, uint64_t most_ms)
{
    uint64_t hash = name_hash(name);
    size_t place = (hash >> 1) % DEFERRED_MAX;
    bool again = deferred->places[place].name == hash;
    uint64_t wait_ms = again ? 2 * deferred->places[place].wait_ms : first_ms;
    deferred->any = true;
    deferred->places[place].name = hash;
    deferred->places[place].wait_ms = wait_ms < most_ms ? wait_ms : most_ms;
    deferred->places[place].until_ms = clock_monotonic_ms() + deferred->places[place].wait_ms;
}

/* When the letter may be tried: 0 for now. */
static uint64_t due_ms(const struct deferred *deferred, const char *name, uint64_t now_ms)
{
    if (!deferred->any)
        return 0;
    uint64_t hash = name_hash(name);
    size_t place = (hash >> 1) % DEFERRED_MAX;
    return deferred->places[place].name == hash && deferred->places[place].until_ms > now_ms ? deferred->places[place].until_ms : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keeps the smallest half of twice as many names as are held. */
static void cut(struct round *round)
{
    qsort(round->names, round->n, sizeof *round->names, by_name);
    while (round->n > NAMES_MAX)
        free(round->names[--round->n]);
}

static enum err add_name(struct round *round, const char *name, struct why *why)
{
    char *copy = span_dup_str(span_str(name));
    if (copy == NULL)
        return fail(why, ERR_ENV, "out of memory");
    round->names[round->n++] = copy;
    if (round->n == 2 * NAMES_MAX)
        cut(round);
    return OK;
}

static void clear_names(struct round *round)
{
    while (round->n > round->next)
        free(round->names[--round->n]);
    round->n = round->next = 0;
}

/* The names behind `after`: the empty one is before all. */
static enum err scan(struct round *round, const char *outbox, const struct deferred *deferred, const char *after, struct why *why)
{
    uint64_t now_ms = clock_monotonic_ms();
    DIR *dir = opendir(outbox);
    enum err err = dir == NULL ? fail(why, ERR_ENV, "cannot list %s: %s", outbox, strerror(errno)) : OK;
    round->waiting = 0;
    round->due_ms = 0;
    errno = 0;
    for (const struct dirent *entry; err == OK && (entry = readdir(dir)) != NULL;) {
        const char *name = entry->d_name;
        if (name[0] == '.' || !span_ends(span_str(name), ".jsonl"))
            continue;
        round->waiting++;
        uint64_t due = due_ms(deferred, name, now_ms);
        if (due > 0 && (round->due_ms == 0 || due < round->due_ms))
            round->due_ms = due;
        if (due == 0 && strcmp(name, after) > 0)
            err = add_name(round, name, why);
    }
    if (err == OK && errno != 0)
        err = fail(why, ERR_ENV, "cannot list %s: %s", outbox, strerror(errno));
    if (dir != NULL)
        closedir(dir);
    cut(round);
    return err;
}

enum err round_begin(struct round *round, const char *outbox, const struct deferred *deferred, struct why *why)
{
    clear_names(round);
    if (round->names == NULL && (round->names = calloc(2 * NAMES_MAX, sizeof *round->names)) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = scan(round, outbox, deferred, round->last, why);
    if (err == OK && round->n == 0 && round->last[0] != '\0')
        err = scan(round, outbox, deferred, "", why);
    round->ended = round->n == 0;
    return err;
}

bool round_wants_more(const struct round *round)
{
    return round->next == round->n && !round->ended;
}

enum err round_more(struct round *round, const char *outbox, const struct deferred *deferred, struct why *why)
{
    clear_names(round);
    enum err err = scan(round, outbox, deferred, round->last, why);
    round->ended = round->n == 0;
    return err;
}

char *round_take(struct round *round)
{
    if (round->next == round->n)
        return NULL;
    char *name = round->names[round->next++];
    memcpy(round->last, name, strlen(name) + 1);
    return name;
}

void round_free(struct round *round)
{
    clear_names(round);
    free(round->names);
    *round = (struct round){ 0 };
}

void letter_free(struct letter *letter)
{
    free(letter->name);
    free(letter->subject);
    free(letter->parts);
    free(letter->reason);
    *letter = (struct letter){ 0 };
}

void batch_clear(struct batch *batch)
{
    while (batch->n > 0)
        letter_free(&batch->letters[--batch->n]);
    buf_clear(&batch->lines);
}

void batch_free(struct batch *batch)
{
    batch_clear(batch);
    buf_free(&batch->lines);
    free(batch->letters);
    *batch = (struct batch){ 0 };
}

/* The envelope is the last line of a letter; before it there may be its input list. */
static bool split(struct span lines, struct span *envelope)
{
    struct span line;
    size_t n = 0;
    for (; span_line(&lines, &line); n++)
        *envelope = line;
    return lines.len == 0 && n >= 1 && n <= 2;
}

enum err letter_open(struct letter *letter, struct span lines, struct why *why)
{
    struct envelope envelope;
    struct statement statement = { 0 };
    struct buf payload = BUF_EMPTY;
    struct span line;
    enum err err = OK;
    if (!split(lines, &line))
        err = fail(why, ERR_MALFORMED, "it is not one envelope, after its input list where it has one");
    if (err == OK)
        err = envelope_parse(&envelope, line, &payload, why);
    if (err == OK)
        err = statement_parse(&statement, envelope.payload, why);
    if (err == OK) {
        letter->subject = span_dup_str(statement.subjects[0].path);
        letter->parts = calloc(statement.subjects_n, sizeof *letter->parts);
        if (letter->subject == NULL || letter->parts == NULL)
            err = fail(why, ERR_ENV, "out of memory");
    }
    for (; err == OK && letter->parts_n < statement.subjects_n; letter->parts_n++) {
        struct storepath path;
        err = storepath_parse(&path, statement.subjects[letter->parts_n].path, why);
        if (err == OK)
            memcpy(letter->parts[letter->parts_n], path.hash_part.data, sizeof *letter->parts);
    }
    statement_free(&statement);
    buf_free(&payload);
    return err == ERR_MALFORMED ? fail_in(why, err, "not an attestation as stele writes it") : err;
}

enum err batch_take(struct batch *batch, const char *outbox, const char *name, bool *full, struct why *why)
{
    size_t before = batch->lines.len;
    struct letter *letter = &batch->letters[batch->n];
    bool found = false;
    *full = batch->n == BATCH_LETTERS_MAX;
    if (*full)
        return OK;
    char *path = path_join(outbox, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = file_read_if(path, LETTER_BYTES_MAX, &batch->lines, &found, why);
    struct stat st;
    if (err == ERR_ENV && path != NULL && stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > LETTER_BYTES_MAX))
        err = ERR_MALFORMED; /* as `why` says */
    free(path);
    *full = err == OK && batch->n > 0 && batch->lines.len > batch->bytes_max;
    if (err == OK && found && !*full) {
        *letter = (struct letter){ .at = before, .len = batch->lines.len - before, .name = span_dup_str(span_str(name)) };
        err = letter->name == NULL ? fail(why, ERR_ENV, "out of memory")
                                   : letter_open(letter, span_cut(span_buf(&batch->lines), before, letter->len), why);
        if (err == OK)
            batch->n++;
        else
            letter_free(letter);
    }
    if (err != OK || *full)
        batch->lines.len = before;
    return err;
}

void batch_seal(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct letter *letter = &batch->letters[i];
        letter->lines = span_cut(span_buf(&batch->lines), letter->at, letter->len);
        split(letter->lines, &letter->envelope);
    }
}
