/*
 * Files: bounded reads, durable writes, folders, locks. Every error names the file and what the system said.
 */
#ifndef STELE_SYS_FILE_H
#define STELE_SYS_FILE_H

#include <sys/types.h>

#include "lib/bytes.h"

/* Appends a regular file's whole content to `out`. ERR_ENV where it cannot be read or is larger than `bytes_max`. */
enum err file_read(const char *path, size_t bytes_max, struct buf *out, struct why *why);
/* Like file_read, but *found is false, and nothing an error, where the file does not exist. */
enum err file_read_if(const char *path, size_t bytes_max, struct buf *out, bool *found, struct why *why);

/* Creates a file that must not exist (O_EXCL, O_NOFOLLOW), durable with its folder's entry. */
enum err file_create(const char *path, mode_t mode, struct span content, struct why *why);
/* file_create with what file_read_if reads; does nothing where `from` does not exist. */
enum err file_copy_if(const char *from, const char *to, mode_t mode, size_t bytes_max, struct why *why);
/* Puts a whole file in place of whatever is there: a temporary file beside it, fsync, rename, fsync of the folder. After
 * a crash there is the old file or the new one. */
enum err file_replace(const char *path, mode_t mode, struct span content, struct why *why);
/* The same without the two syncs: for what can be had again. After a power cut it may be old, never torn. */
enum err file_replace_soft(const char *path, mode_t mode, struct span content, struct why *why);
/* Syncs what somebody else wrote. */
enum err file_sync(const char *path, struct why *why);
/* The cheapest way to a new file, half of the price of a temporary one and a rename. Not durable: see dir_sync_all. Until then it
 * may be found with a part of its content, by whoever reads it meanwhile or after this process was killed. Its mode is under the
 * process's umask. *exists, and nothing is changed, where PATH is there already. */
enum err file_create_soft(const char *path, mode_t mode, struct span content, bool *exists, struct why *why);
/* OK too where the file was not there. Durable. */
enum err file_remove(const char *path, struct why *why);

/* Creates a folder and its missing parents; OK where it is there. In another's folder root makes that one's. */
enum err dir_make(const char *path, mode_t mode, struct why *why);
/* dir_make for a folder that must be missing or empty, and stays whose makes it; `what` gets it, for errors. ERR_REFUSED. */
enum err dir_make_empty(const char *path, mode_t mode, const char *what, struct why *why);
/* Syncs a folder, so that names created or renamed in it last. */
enum err dir_sync(const char *path, struct why *why);
/* Syncs all that was written so far to the file system that holds the folder: many files at the price of one. ERR_ENV too where a
 * write failed since the folder was opened: what is to be sure of that opens it first, and syncs that. */
enum err dir_sync_all(const char *path, struct why *why);
enum err dir_open(const char *path, int *fd, struct why *why);
enum err file_system_sync(int fd, const char *path, struct why *why);
/* Calls `each` with the name of every entry but those that start with '.', in the order of bytes; stops at its error. */
enum err dir_each(const char *path, enum err (*each)(void *ctx, const char *name, struct why *why), void *ctx, struct why *why);

/* ERR_REFUSED where root would write into the folder of a user, who could not go on with it. */
enum err dir_ours(const char *dir, struct why *why);
/* One process per folder, of dir_ours: an flock on DIR/lock, held until the process ends. Waits so long for a process that is just
 * ending (or whose signer is); then ERR_ENV. */
enum err dir_lock(const char *dir, unsigned wait_ms, struct why *why);
/* Does a process hold it now? */
bool dir_locked(const char *dir);

/* An flock on the file at PATH, made where it is not there: waits for whoever holds it, process or thread. Released by closing
 * *fd. Nobody but its owner may open the file, and so keep others waiting: the folder's, where root makes it. */
enum err file_lock(const char *path, int *fd, struct why *why);

/* As many open files as the system lets this process have. */
void files_open_many(void);

/* Bytes free for us on the file system that holds `path`. */
enum err disk_free(const char *path, uint64_t *bytes, struct why *why);

/* "DIR/NAME", malloc'd; NULL where memory is short. */
char *path_join(const char *dir, const char *name);
/* The same, but where `name` is an absolute path already. */
char *path_from(const char *dir, const char *name);

#endif
