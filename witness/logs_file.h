/*
 * DIR/logs on disk: read and checked as a whole, and changed under a lock, so that two who change it (add-log, remove-log, a
 * witness that takes up a log list) do so one after the other.
 */
#ifndef STELE_WITNESS_LOGS_FILE_H
#define STELE_WITNESS_LOGS_FILE_H

#include "lib/logsfile.h"

/* Checks a whole logs file. ERR_MALFORMED. On OK the lines, ordered by origin, then kind, are the caller's to free. */
enum err logs_parse(struct span text, const char *file, struct logsfile_line **lines, size_t *n, struct why *why);

/* DIR/logs while it is being changed. */
struct logs_edit {
    int lock;
    char *path;
    struct buf text;             /* as it stands; what `lines` borrow from */
    struct logsfile_line *lines; /* as logs_parse gives them */
    size_t n;
};

/* Takes the lock and reads. Call logs_edit_end in any case. */
enum err logs_edit_start(struct logs_edit *edit, const char *dir, struct why *why);
/* Puts `text` in place where it checks as a whole; ERR_REFUSED where it does not. */
enum err logs_edit_put(struct logs_edit *edit, struct span text, struct why *why);
void logs_edit_end(struct logs_edit *edit);
/* Ends the text's last line, which an editor may have left without a newline: it would swallow what is added. */
void logs_edit_end_line(struct buf *text);
/* What every command that changed it says. */
#define LOGS_TAKEN_UP "A witness that is running takes it up on SIGHUP.\n"

/* Of lines as logs_parse gives them: the first of this origin, or NULL; n lines, ordered. */
const struct logsfile_line *logs_lines_of(const struct logsfile_line *lines, size_t n, struct span origin);

/* Adds to DIR/logs what the log list in `text` has and DIR/logs has not: a log whose origin or key is known, or whose origin was
 * removed, stays as it is. *added counts logs. ERR_MALFORMED for a list that breaks its form: nothing is added. */
enum err logs_add_list(const char *dir, struct span text, const char *name, size_t *added, struct why *why);

#endif
