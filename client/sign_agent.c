/* `stele sign-agent`: the key in a process of its own, which attests for the hooks what it has checked itself. */
#define _GNU_SOURCE /* struct ucred, accept4 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/agent.h"
#include "client/counts.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/nixenv.h"
#include "lib/sys/report.h"
#include "lib/sys/service.h"

struct connection {
    pid_t pid; /* 0: free */
    uid_t uid;
};

struct agent {
    struct client_config config;
    struct secret_key *key;
    struct connection connections[AGENT_CONNECTIONS_MAX];
    uid_t owner; /* of the store */
    int listening, signals;
};

static bool may_build(const struct agent *agent, uid_t uid)
{
    return uid == 0 || uid == geteuid() || uid == agent->owner;
}

/* All that the peer sends, within AGENT_READ_S. */
static enum err read_request(int fd, struct buf *out, struct why *why)
{
    uint64_t until_ms = clock_monotonic_ms() + AGENT_READ_S * 1000;
    for (;;) {
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= until_ms || poll(&pollfd, 1, (int)(until_ms - now_ms)) == 0)
            return fail(why, ERR_ENV, "the request did not come in whole within %d s", AGENT_READ_S);
        uint8_t *at = buf_grow(out, 65536);
        if (at == NULL)
            return buf_done(out, why);
        ssize_t got = read(fd, at, 65536);
        out->len -= got > 0 ? 65536 - (size_t)got : 65536;
        if (got < 0 && errno != EINTR)
            return fail(why, ERR_ENV, "cannot read the request: %s", strerror(errno));
        if (got == 0)
            return OK;
        if (out->len > AGENT_REQUEST_BYTES_MAX)
            return fail(why, ERR_MALFORMED, "the request has more than %d bytes", AGENT_REQUEST_BYTES_MAX);
    }
}

static enum err attest_for(const struct agent *agent, uid_t uid, struct buf *text, enum build_refusal *refusal, struct why *why)
{
    struct agent_request request;
    enum err err = agent_request_parse(&request, text, why);
    if (err != OK)
        return err;
    if (request.hooked.check == NULL && !may_build(agent, uid)) {
        *refusal = REFUSAL_NOT_ALLOWED;
        return fail(why, ERR_REFUSED, "user %u is neither root nor the store's owner: what he says was built is not attested",
                    (unsigned)uid);
    }
    return hooked_attest(&agent->config, agent->key, &request.hooked, refusal, why);
}

/* In a process of its own. */
static void answer(const struct agent *agent, int fd, uid_t uid)
{
    struct buf request = BUF_EMPTY, reply = BUF_EMPTY;
    struct why why = { "" };
    enum build_refusal refusal = REFUSAL_NONE;
    enum err err = read_request(fd, &request, &why);
    if (err == OK)
        err = attest_for(agent, uid, &request, &refusal, &why);
    bool refused = err == ERR_REFUSED && refusal != REFUSAL_NONE;
    if (err == OK || refusal == REFUSAL_RESOLVED)
        buf_str(&reply, "ok\n");
    else
        buf_fmt(&reply, "%s %s\n", err == ERR_REFUSED ? "refused" : "trouble", why.text);
    /* `stele status` and `doctor` ask nothing: whether somebody listens is all that they want to know. */
    if (err != OK && refusal != REFUSAL_RESOLVED && request.len > 0) {
        report_why(err == ERR_REFUSED ? REPORT_WARN : REPORT_ERROR, "not-attested", &why);
        counts_add(&agent->config, refused ? build_refusal_name(refusal) : "trouble", why.text, NULL);
    }
    if (!reply.failed)
        (void)!send(fd, reply.data, reply.len, MSG_NOSIGNAL);
    buf_free(&request);
    buf_free(&reply);
}

static void reap(struct agent *agent)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < AGENT_CONNECTIONS_MAX; i++)
            if (agent->connections[i].pid == pid)
                agent->connections[i].pid = 0;
}

/* Then who asks waits to be taken: sixty-four builds that end at once are no reason to attest none of the next. */
static bool is_full(const struct agent *agent)
{
    size_t taken = 0;
    for (size_t i = 0; i < AGENT_CONNECTIONS_MAX; i++)
        taken += agent->connections[i].pid != 0;
    return taken == AGENT_CONNECTIONS_MAX;
}

/* A place for one more of this user; NULL where there is none. */
static struct connection *place_for(struct agent *agent, uid_t uid)
{
    struct connection *place = NULL;
    size_t same = 0;
    for (size_t i = 0; i < AGENT_CONNECTIONS_MAX; i++) {
        if (agent->connections[i].pid == 0)
            place = &agent->connections[i];
        else
            same += agent->connections[i].uid == uid;
    }
    return !may_build(agent, uid) && same >= AGENT_CONNECTIONS_OF_ONE_MAX ? NULL : place;
}

static void take_connection(struct agent *agent)
{
    static const char busy[] = "the signing agent has no place for one more connection";
    struct ucred peer = { .uid = (uid_t)-1 };
    socklen_t len = sizeof peer;
    int fd = accept4(agent->listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *place = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? place_for(agent, peer.uid) : NULL;
    pid_t pid = place == NULL ? -1 : fork();
    if (pid == 0) {
        close(agent->listening);
        answer(agent, fd, peer.uid);
        _exit(0);
    }
    if (pid > 0) {
        *place = (struct connection){ .pid = pid, .uid = peer.uid };
    } else {
        if (may_build(agent, peer.uid))
            counts_add(&agent->config, "trouble", busy, NULL);
        dprintf(fd, "trouble %s\n", busy);
    }
    close(fd);
}

/* The socket, for everybody to connect to: the answer depends on who asks. What lies there from an earlier run is replaced. */
static enum err listen_at(struct agent *agent, const char *path, struct why *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat st;
    if (strlen(path) >= sizeof address.sun_path)
        return fail(why, ERR_ENV, "%s is too long a name for a socket", path);
    memcpy(address.sun_path, path, strlen(path));
    if (agent_listens(path))
        return fail(why, ERR_ENV, "another sign-agent listens at %s already", path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    agent->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent->listening < 0 || bind(agent->listening, (struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, 0666) != 0 || listen(agent->listening, SOMAXCONN) != 0)
        return fail(why, ERR_ENV, "cannot listen at %s: %s", path, strerror(errno));
    return OK;
}

static enum err serve(struct agent *agent, struct why *why)
{
    struct signalfd_siginfo signal;
    for (;;) {
        struct pollfd fds[] = { { .fd = agent->signals, .events = POLLIN },
                                { .fd = is_full(agent) ? -1 : agent->listening, .events = POLLIN } };
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return fail(why, ERR_ENV, "cannot wait for requests: %s", strerror(errno));
        if ((fds[0].revents & POLLIN) != 0 && read(agent->signals, &signal, sizeof signal) == sizeof signal) {
            if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT)
                return OK;
            reap(agent);
        }
        if ((fds[1].revents & POLLIN) != 0)
            take_connection(agent);
    }
}

static enum err start(struct agent *agent, const char *config_file, struct why *why)
{
    struct rlimit none = { 0, 0 };
    struct nix_env env = { 0 };
    struct stat store;
    enum err err = client_config_load(&agent->config, config_file, why);
    if (err == OK && agent->config.sign_agent == NULL)
        err = fail(why, ERR_ENV, "no `sign-agent SOCKET` in the configuration");
    if (err == OK && agent->config.key_file == NULL)
        err = fail(why, ERR_ENV, "no `key FILE` in the configuration");
    if (err == OK &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0))
        err = fail(why, ERR_ENV, "cannot keep the key out of core dumps: %s", strerror(errno));
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = secret_key_load(&agent->key, agent->config.key_file, SIG_ED25519, why);
    if (err == OK)
        err = nix_env_load(&env, NULL, why);
    if (err == OK && stat(env.real_store_dir, &store) != 0)
        err = fail(why, ERR_ENV, "there is no store %s: %s", env.real_store_dir, strerror(errno));
    if (err == OK)
        agent->owner = store.st_uid;
    nix_env_free(&env);
    return err == OK ? listen_at(agent, agent->config.sign_agent, why) : err;
}

enum err run_sign_agent(int argc, char **argv, struct why *why)
{
    const char *config_file = NULL;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { 0 },
    };
    struct agent agent = { .listening = -1, .signals = -1 };
    struct cli_args args = { 0 };
    sigset_t signals;
    enum err err = cli_parse(options, 0, 0, argc, argv, &args, why);
    if (err != OK)
        return err;
    report_start("stele-sign-agent", REPORT_INFO);
    service_block_signals(&signals);
    agent.signals = signalfd(-1, &signals, SFD_CLOEXEC);
    err = agent.signals < 0 ? fail(why, ERR_ENV, "no signalfd: %s", strerror(errno)) : start(&agent, config_file, why);
    if (err == OK) {
        printf("listening on %s\n", agent.config.sign_agent);
        fflush(stdout);
        err = serve(&agent, why);
        unlink(agent.config.sign_agent);
    }
    if (agent.listening >= 0)
        close(agent.listening);
    if (agent.signals >= 0)
        close(agent.signals);
    secret_key_free(agent.key);
    client_config_free(&agent.config);
    free(args.items);
    return err;
}
