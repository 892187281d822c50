/* LMDB believes what it maps: a page that is damaged under a running process, or that the disk does not give, ends it by a signal,
 * also by an assertion of LMDB's. Whoever reads the last line that it wrote should know why. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "lib/sys/kv.h"

static const char text[] = "ended by a signal with a database open: it is damaged, its disk failed, or this is a bug. Before it is "
                           "started again, fsck tells\n";

/* Only this once: the fault comes again when this returns, and ends the process as it would have; what somebody sent does not. */
static void tell(int which)
{
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    if (which == SIGABRT)
        raise(which);
}

static void install(void)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct sigaction now, action = { .sa_handler = tell, .sa_flags = (int)SA_RESETHAND };
        sigemptyset(&action.sa_mask);
        /* A sanitizer has its own. */
        if (sigaction(faults[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            sigaction(faults[i], &action, NULL);
    }
}

void kv_explain_crashes(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}
