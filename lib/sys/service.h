/*
 * What the servers do alike: the folder that `init` makes, the signals that `serve` waits for, and the socket that a service
 * manager hands over.
 */
#ifndef STELE_SYS_SERVICE_H
#define STELE_SYS_SERVICE_H

#include <signal.h>

#include "lib/note.h"

/* Makes DIR, 0700, which must be empty or missing, with DIR/key, DIR/key.pub and an empty DIR/heads. `what` is "log" or
 * "witness", for errors; the vkey is appended. ERR_USAGE for a name that is no URL without schema and final slash. */
enum err service_init(const char *dir, const char *what, const char *name, enum sig_type type, struct buf *vkey, struct why *why);
/* Appends the vkey in DIR/key.pub; nothing secret is read. ERR_MALFORMED where it is none of that type. */
enum err service_vkey(const char *dir, enum sig_type type, struct buf *vkey, struct why *why);
/* Blocks SIGTERM, SIGINT, SIGHUP and SIGCHLD, for every thread and the signer to leave to a sigwait on *signals, and ignores
 * SIGPIPE and SIGXFSZ: a file that may not grow is a storage error, not an end without a word. Call before any thread or fork. */
void service_block_signals(sigset_t *signals);
/* What LISTEN_PID and LISTEN_FDS (NULL: not set) hand to the process `own_pid`: *n sockets, UINT64_MAX where their number is none.
 * False where there are none. */
bool service_handed(const char *pid_text, const char *n_text, uint64_t own_pid, uint64_t *n);
/* Where a server listens in place of its configuration's address, which *listen is (malloc'd, or NULL): at `option`, --listen's
 * value or NULL, or on the socket that the service manager hands over (sd_listen_fds(3): LISTEN_PID and LISTEN_FDS), which is *fd
 * then; 0 where none was handed over. ERR_USAGE for both; ERR_ENV for several sockets, or for one that is no listening TCP socket.
 * The variables are removed, so that no child takes the socket for its own: to be called once, before any fork. */
enum err service_listen(const char *option, char **listen, int *fd, struct why *why);

/* DIR/heads has become long, and a start writes it anew: this program again in place of the process, as `PROGRAM serve DIR`, on the
 * socket `fd`, which listens on while it does; who connects meanwhile waits. `stop` ends every thread but this one, and may close
 * `fd` and free `dir`. ERR_ENV; does not return otherwise. */
enum err service_start_anew(const char *program, const char *dir, int fd, void (*stop)(void *ctx), void *ctx, struct why *why);

#endif
