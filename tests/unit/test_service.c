/* What a service manager hands over: a socket that listens, under this process's number, and nothing else; and what this program
 * hands to itself when it starts anew. */
#include "tests/unit/support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/service.h"

enum { HANDED_FD = 3 };

static const char *program;

/* A socket of this kind on a port of its own; it listens where asked. */
static int make_socket(int family, int type, bool listens)
{
    int fd = socket(family, type, 0);
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int code = family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof v4) : bind(fd, (struct sockaddr *)&v6, sizeof v6);
    if (fd < 0 || code != 0 || (listens && listen(fd, 1) != 0))
        return -1;
    return fd;
}

/* What is handed to a process of its own, and what it says: OK with `address` in what it got, or an error with `reason`. */
struct handing {
    int fd;
    bool other; /* it is for another process */
    const char *sockets, *address, *reason;
};

static bool took(const struct handing *handing)
{
    char pid[16], *address = NULL;
    struct why why = { "" };
    int fd;
    snprintf(pid, sizeof pid, "%ld", (long)getpid() + handing->other);
    if (dup2(handing->fd, HANDED_FD) < 0 || setenv("LISTEN_PID", pid, 1) != 0 || setenv("LISTEN_FDS", handing->sockets, 1) != 0 ||
        setenv("LISTEN_FDNAMES", "x", 1) != 0)
        return false;
    enum err err = service_listen(NULL, &address, &fd, &why);
    bool gone = getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL && getenv("LISTEN_FDNAMES") == NULL;
    bool right = err == ERR_ENV && handing->reason != NULL && strstr(why.text, handing->reason) != NULL && fd == 0;
    if (handing->reason == NULL && handing->address == NULL)
        right = err == OK && fd == 0 && address == NULL;
    if (handing->address != NULL)
        right = err == OK && fd == HANDED_FD && strncmp(address, handing->address, strlen(handing->address)) == 0 &&
                (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
    free(address);
    return right && gone;
}

static void expect(struct handing handing)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        exit(took(&handing) ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void handed(void **state)
{
    (void)state;
    int v4 = make_socket(AF_INET, SOCK_STREAM, true), v6 = make_socket(AF_INET6, SOCK_STREAM, true);
    assert_true(v4 >= 0);
    expect((struct handing){ .fd = v4, .sockets = "1", .address = "127.0.0.1:" });
    if (v6 >= 0)
        expect((struct handing){ .fd = v6, .sockets = "1", .address = "[::1]:" });
    expect((struct handing){ .fd = v4, .sockets = "1", .other = true });
    expect((struct handing){ .fd = v4, .sockets = "0" });
    close(v4);
    close(v6);
}

static void not_taken(void **state)
{
    (void)state;
    int v4 = make_socket(AF_INET, SOCK_STREAM, true), deaf = make_socket(AF_INET, SOCK_STREAM, false);
    int datagrams = make_socket(AF_INET, SOCK_DGRAM, false), file = open("/dev/null", O_RDONLY), pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    expect((struct handing){ .fd = v4, .sockets = "2", .reason = "one socket" });
    expect((struct handing){ .fd = v4, .sockets = "one", .reason = "one socket" });
    const int others[] = { deaf, datagrams, file, pair[0] };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        expect((struct handing){ .fd = others[i], .sockets = "1", .reason = "no TCP socket that listens" });
        close(others[i]);
    }
    close(v4);
    close(pair[1]);
}

/* With --listen in place of the configuration's address; with both --listen and a socket. */
static void told(void **state)
{
    (void)state;
    char *listen = strdup("127.0.0.1:7380");
    struct why why;
    int fd = -1, v4 = make_socket(AF_INET, SOCK_STREAM, true), status;
    assert_int_equal(service_listen(NULL, &listen, &fd, &why), OK);
    assert_string_equal(listen, "127.0.0.1:7380");
    assert_int_equal(service_listen("127.0.0.1:0", &listen, &fd, &why), OK);
    assert_string_equal(listen, "127.0.0.1:0");
    assert_int_equal(fd, 0);
    pid_t pid = fork();
    if (pid == 0) {
        char own[16];
        snprintf(own, sizeof own, "%ld", (long)getpid());
        bool ready = dup2(v4, HANDED_FD) >= 0 && setenv("LISTEN_PID", own, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0;
        bool refused = service_listen("127.0.0.1:1", &listen, &fd, &why) == ERR_USAGE && strstr(why.text, "give one") != NULL;
        bool kept = strcmp(listen, "127.0.0.1:0") == 0;
        free(listen);
        exit(ready && refused && kept ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    free(listen);
    close(v4);
}

/* Between the two nothing is left but what was kept. */
static void stop_all(void *ctx)
{
    const int *fd = ctx;
    close(*fd);
}

/* The program itself again, as a server: main says with its status whether it got the socket. */
static void starts_anew(void **state)
{
    (void)state;
    int fd = make_socket(AF_INET, SOCK_STREAM, true), status;
    pid_t pid = fork();
    if (pid == 0) {
        struct why why;
        service_start_anew(program, "folder", fd, stop_all, &fd, &why);
        exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(fd);
}

static int taken_anew(void)
{
    int fd;
    char *address = NULL;
    struct why why;
    bool right = service_listen(NULL, &address, &fd, &why) == OK && fd == HANDED_FD && strncmp(address, "127.0.0.1:", 10) == 0;
    free(address);
    return right ? 0 : 1;
}

/* DIR/key.pub is one vkey and a newline. */
static void public_keys(void **state)
{
    (void)state;
    char dir[] = "/tmp/stele-service.XXXXXX", path[64], other[64];
    struct buf vkey = BUF_EMPTY, again = BUF_EMPTY, twice = BUF_EMPTY;
    struct why why;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(service_init(dir, "log", "http://x", SIG_ED25519, &vkey, &why), ERR_USAGE);
    assert_int_equal(service_init(dir, "log", "log.example", SIG_ED25519, &vkey, &why), OK);
    assert_int_equal(service_init(dir, "log", "log.example", SIG_ED25519, &again, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "is not empty"));
    assert_int_equal(service_vkey(dir, SIG_ED25519, &again, &why), OK);
    assert_true(span_eq(span_buf(&vkey), span_buf(&again)));
    assert_int_equal(service_vkey(dir, SIG_COSIGNATURE, &again, &why), ERR_MALFORMED);
    snprintf(path, sizeof path, "%s/key.pub", dir);
    buf_fmt(&twice, "%.*s\n%.*s\n", SPAN_FMT(vkey), SPAN_FMT(vkey));
    assert_int_equal(file_replace(path, 0644, span_buf(&twice), &why), OK);
    assert_int_equal(service_vkey(dir, SIG_ED25519, &again, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "not exactly one line"));
    const char *const names[] = { "key", "key.pub", "heads" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(other, sizeof other, "%s/%s", dir, names[i]);
        assert_int_equal(unlink(other), 0);
    }
    assert_int_equal(rmdir(dir), 0);
    buf_free(&vkey);
    buf_free(&again);
    buf_free(&twice);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "serve") == 0 && strcmp(argv[2], "folder") == 0)
        return taken_anew();
    const struct CMUnitTest tests[] = { cmocka_unit_test(handed), cmocka_unit_test(not_taken), cmocka_unit_test(told),
                                        cmocka_unit_test(starts_anew), cmocka_unit_test(public_keys) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
