/*
 * `stele-hook`, Nix's post-build-hook (spec/invariants.md, 7): writes a file, returns in milliseconds, and exits 0 even when it
 * can do nothing, or as `next-hook` did. It uses no network and never logs NIX_CONFIG, which may carry access tokens.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "client/agent.h"
#include "client/counts.h"
#include "client/hooks.h"

static void say(int priority, const char *text)
{
    openlog("stele-hook", LOG_PID, LOG_USER);
    syslog(priority, "%s", text);
    closelog();
    fprintf(stderr, "stele-hook: %s\n", text);
}

static enum err hook(const struct client_config *config, bool *counted, enum build_refusal *refusal, struct why *why)
{
    const char *drv_path = getenv("DRV_PATH");
    struct hook_words words;
    struct secret_key *key = NULL;
    if (drv_path == NULL || *drv_path == '\0') {
        *counted = true; /* there was no build that could be missing: a person's try leaves nothing in the machine's state */
        return fail(
            why, ERR_USAGE,
            "no DRV_PATH in the environment: this program is Nix's post-build-hook, and does nothing by hand (see `stele attest`)");
    }
    if (config->key_file == NULL && config->sign_agent == NULL)
        return fail(why, ERR_ENV, "no `key FILE` in %s: nothing is attested",
                    config->file != NULL ? config->file : "the configuration (there is none)");
    enum err err = hook_words_read(&words, drv_path, getenv("OUT_PATHS"), getenv("NIX_CONFIG"), why);
    if (err == OK && config->sign_agent != NULL) {
        err = agent_ask(config, &words.hooked, counted, why);
    } else if (err == OK) {
        err = key_system_start(why);
        if (err == OK)
            err = secret_key_load(&key, config->key_file, SIG_ED25519, why);
        if (err == OK)
            err = hooked_attest(config, key, &words.hooked, refusal, why);
        else
            fail_in(why, err, "%s is not attested", drv_path);
    }
    hook_words_free(&words);
    secret_key_free(key);
    return err;
}

/* The work, in a process of its own: whatever becomes of it, a full disk's signal or a fault of ours, the build goes on. */
static void work(const struct client_config *config)
{
    signal(SIGXFSZ, SIG_IGN); /* a write that fails can be told; one that kills cannot */
    signal(SIGPIPE, SIG_IGN);
    struct why why = { "" };
    enum build_refusal refusal = REFUSAL_NONE;
    bool counted = false;
    enum err err = hook(config, &counted, &refusal, &why);
    bool refused = err == ERR_REFUSED && refusal != REFUSAL_NONE;
    if (err != OK)
        say(refusal == REFUSAL_RESOLVED ? LOG_DEBUG : err == ERR_REFUSED ? LOG_WARNING : LOG_ERR, why.text);
    if (err != OK && refusal != REFUSAL_RESOLVED && !counted)
        counts_add(config, refused ? build_refusal_name(refusal) : "trouble", why.text, NULL);
    _exit(0);
}

/* The operator's own hook, with the same environment. */
static void run_next(const char *path)
{
    execl(path, path, (char *)NULL);
    say(LOG_ERR, "cannot run the next-hook");
    _exit(127);
}

/* Waits for a child. 1 for one that did not end by itself. */
static int wait_for(pid_t pid)
{
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int run_hook(void)
{
    static const char killed[] = "ended by a signal: nothing is attested for this build (is the disk full?)";
    struct client_config config = { 0 };
    struct why why;
    int status = 0;
    if (client_config_load(&config, NULL, &why) != OK) {
        say(LOG_ERR, why.text);
        return 0;
    }
    pid_t pid = fork();
    if (pid == 0)
        work(&config);
    if (wait_for(pid) != 0) {
        say(LOG_ERR, killed);
        counts_add(&config, "trouble", killed, NULL);
    }
    if (config.next_hook != NULL) {
        pid = fork();
        if (pid == 0)
            run_next(config.next_hook);
        status = wait_for(pid);
    }
    client_config_free(&config);
    return status;
}

/* Nix runs this as the build user, who can read no key and write no outbox: the agent looks for itself. */
int run_diff_hook(int argc, char **argv)
{
    struct client_config config = { 0 };
    struct why why = { "" };
    bool answered;
    const char *path = argc > 1 ? argv[1] : "?";
    struct hooked hooked = { .drv_path = argc > 3 ? argv[3] : "?", .outputs = &path, .outputs_n = 1 };
    hooked.check = argc > 2 ? argv[2] : "?";
    fail(&why, OK, "a repeated build of %s differs: %s and %s; where other outputs differ as well, Nix does not say so",
         hooked.drv_path, path, hooked.check);
    say(LOG_WARNING, why.text);
    enum err err = client_config_load(&config, NULL, &why);
    if (err == OK && config.sign_agent == NULL)
        err = fail(&why, ERR_ENV, "it is not attested: no `sign-agent SOCKET` in the configuration, and a build user has no key");
    if (err == OK)
        err = agent_ask(&config, &hooked, &answered, &why);
    if (err != OK)
        say(err == ERR_REFUSED ? LOG_WARNING : LOG_ERR, why.text);
    client_config_free(&config);
    return 0;
}
