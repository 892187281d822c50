/*
 * A witness that is not one: what the log must bear. It speaks over bare sockets, since much of it is not HTTP.
 *   fake_witness key NAME FILE            a witness's key: FILE and FILE.pub
 *   fake_witness serve FILE MODE [NOTE]   prints "listening on URL". GET …/checkpoint shows the file NOTE, or is a 404; GET /counts
 *                                         gives "add-checkpoint requests, connections, requests for any other path". MODE says what
 *                                         every add-checkpoint gets:
 *     good      a cosignature, unchecked               mute      no answer, ever
 *     hang      nothing at all is answered, ever       drip      a byte a second
 *     ahead     409 and a size far ahead               liar      409 and another size each time, none of them true
 *     garbage   200 and no signature line              later     429 with Retry-After: 3600
 *     elsewhere a cosignature over another log's head  fork      a cosignature over another root of this size
 *     otherkey  a cosignature by another key           stale     a cosignature two days old
 *     future    a cosignature of the day after         typed     a good cosignature that claims to be a picture
 *     huge      200 and 10 GB                          headers   200 and headers without end
 *     interim   100 Continue without end               redirect  302 to another path, where a cosignature would be had
 *     closes    the connection is closed               babble    no HTTP
 *     once      a cosignature of an empty log, then like mute
 *     back      like good, but the first three requests get 409 with sizes 0, 1, 0
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/checkpoint.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "tests/raw.h"

enum { REQUEST_BYTES_MAX = 1 << 20, DAY_S = 24 * 3600 };

static const char *mode;
static struct secret_key *key, *other_key;
static struct buf note;
static atomic_uint posts, connections, elsewhere;

static bool is(const char *name)
{
    return strcmp(mode, name) == 0;
}

static bool reply(int fd, const char *status, const char *headers, struct span body)
{
    struct buf out = BUF_EMPTY;
    buf_fmt(&out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers, body.len);
    buf_span(&out, body);
    bool sent = !out.failed && raw_send_all(fd, span_buf(&out));
    buf_free(&out);
    return sent;
}

static bool send_for_ever(int fd, struct span bytes)
{
    while (raw_send_all(fd, bytes))
        continue;
    return false;
}

static bool never(int fd)
{
    uint8_t byte;
    while (read(fd, &byte, 1) > 0)
        continue;
    return false;
}

static bool conflict(int fd, unsigned size)
{
    char body[16];
    snprintf(body, sizeof body, "%u\n", size);
    return reply(fd, "409 Conflict", "Content-Type: text/x.tlog.size\r\n", span_str(body));
}

static bool cosign(int fd, const struct secret_key *by, struct span text, int64_t shift_s, const char *headers)
{
    uint8_t cosignature[72];
    struct buf body = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(key); /* whoever signs, the line says it was this witness */
    struct why why;
    if (secret_key_cosign(by, (uint64_t)((int64_t)clock_posix_s() + shift_s), text, true, cosignature, &why) != OK)
        return reply(fd, "500 Oops", "", span_str(why.text));
    note_sig_render(&body, &vkey, span_of(cosignature, sizeof cosignature));
    bool sent = reply(fd, "200 OK", headers, span_buf(&body));
    buf_free(&body);
    return sent;
}

/* The same origin and size, another root. */
static bool cosign_fork(int fd, struct span text)
{
    struct checkpoint checkpoint;
    struct buf other = BUF_EMPTY;
    struct why why;
    if (checkpoint_parse(&checkpoint, text, &why) != OK)
        return reply(fd, "400 Bad", "", span_str(why.text));
    checkpoint.root.b[0] ^= 1;
    checkpoint_render(&other, &checkpoint);
    bool sent = cosign(fd, key, span_buf(&other), 0, "");
    buf_free(&other);
    return sent;
}

/* A good answer, a byte a second. */
static bool drip(int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx\n";
    for (size_t i = 0; i + 1 < sizeof answer && raw_send_all(fd, span_of(answer + i, 1)); i++)
        sleep(1);
    return false;
}

static bool huge(int fd)
{
    static uint8_t zeros[1 << 16];
    return raw_send_all(fd, span_str("HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")) &&
           send_for_ever(fd, span_of(zeros, sizeof zeros));
}

static bool headers_for_ever(int fd)
{
    return raw_send_all(fd, span_str("HTTP/1.1 200 OK\r\n")) &&
           send_for_ever(fd, span_str("X-Header: of an answer that never begins\r\n"));
}

/* The note's text in a request: after the first empty line, up to the next. */
static bool find_text(struct span body, struct span *text)
{
    struct span line;
    do {
        if (!span_line(&body, &line))
            return false;
    } while (line.len > 0);
    *text = span_of(body.data, 0);
    while (span_line(&body, &line) && line.len > 0)
        text->len += line.len + 1;
    return true;
}

static bool add_checkpoint(int fd, struct span body)
{
    unsigned number = atomic_fetch_add(&posts, 1);
    struct span text;
    if (!find_text(body, &text))
        return reply(fd, "400 Bad", "", span_str("no checkpoint"));
    struct checkpoint asked;
    struct why why;
    if (is("mute") || (is("once") && checkpoint_parse(&asked, text, &why) == OK && asked.size > 0))
        return never(fd);
    if (is("drip"))
        return drip(fd);
    if (is("ahead"))
        return conflict(fd, 1000000000);
    if (is("liar"))
        return conflict(fd, number % 2);
    if (is("back") && number < 3)
        return conflict(fd, number % 2);
    if (is("garbage"))
        return reply(fd, "200 OK", "", span_str("\xe2\x80\x94 nobody AAAA\nand more\n"));
    if (is("later"))
        return reply(fd, "429 Later", "Retry-After: 3600\r\n", span_str("later"));
    if (is("elsewhere"))
        return cosign(fd, key, span_str("another.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"), 0, "");
    if (is("fork"))
        return cosign_fork(fd, text);
    if (is("otherkey"))
        return cosign(fd, other_key, text, 0, "");
    if (is("stale") || is("future"))
        return cosign(fd, key, text, is("stale") ? -2 * DAY_S : DAY_S, "");
    if (is("typed"))
        return cosign(fd, key, text, 0, "Content-Type: image/png\r\nContent-Encoding: identity\r\n");
    if (is("huge"))
        return huge(fd);
    if (is("headers"))
        return headers_for_ever(fd);
    if (is("interim"))
        return send_for_ever(fd, span_str("HTTP/1.1 100 Continue\r\n\r\n"));
    if (is("redirect"))
        return reply(fd, "302 Found", "Location: /elsewhere\r\n", span_str("go elsewhere"));
    if (is("closes"))
        return false;
    if (is("babble"))
        return raw_send_all(fd, span_str("no HTTP at all\n")) && false;
    return cosign(fd, key, text, 0, "");
}

static bool get_counts(int fd)
{
    char body[64];
    snprintf(body, sizeof body, "%u %u %u\n", posts, connections, elsewhere);
    return reply(fd, "200 OK", "", span_str(body));
}

/* False where the connection is to be closed. */
static bool answer(int fd, struct span head, struct span body)
{
    struct span line;
    span_line(&head, &line);
    bool get = span_starts(line, "GET ");
    if (get && span_starts(line, "GET /counts"))
        return get_counts(fd);
    if (is("hang"))
        return never(fd);
    if (get && span_ends(line, "/checkpoint HTTP/1.1\r"))
        return note.len > 0 ? reply(fd, "200 OK", "Content-Type: text/plain\r\n", span_buf(&note))
                            : reply(fd, "404 No", "", span_str("none\n"));
    if (span_starts(line, "POST /add-checkpoint "))
        return add_checkpoint(fd, body);
    elsewhere++;
    return reply(fd, "404 No", "", span_str("none\n"));
}

/* Where the head of a request ends, its empty line included; 0 where it has not come yet. */
static size_t head_end(struct span got)
{
    for (size_t i = 4; i <= got.len; i++)
        if (memcmp(got.data + i - 4, "\r\n\r\n", 4) == 0)
            return i;
    return 0;
}

static uint64_t content_length(struct span head)
{
    struct span line;
    uint64_t length = 0;
    while (span_line(&head, &line))
        if (span_skip(&line, "Content-Length: "))
            span_decimal(span_cut(line, 0, line.len - 1), REQUEST_BYTES_MAX, &length);
    return length;
}

static void *serve_connection(void *ctx)
{
    int fd = *(int *)ctx;
    struct buf got = BUF_EMPTY;
    free(ctx);
    for (bool open = true; open;) {
        size_t head = head_end(span_buf(&got));
        size_t whole = head == 0 ? 0 : head + content_length(span_cut(span_buf(&got), 0, head));
        if (whole > 0 && whole <= got.len) {
            struct span all = span_buf(&got);
            open = answer(fd, span_cut(all, 0, head), span_cut(all, head, whole - head));
            memmove(got.data, got.data + whole, got.len - whole);
            got.len -= whole;
            continue;
        }
        uint8_t *room = got.len > REQUEST_BYTES_MAX ? NULL : buf_grow(&got, 4096);
        ssize_t n = room == NULL ? 0 : read(fd, room, 4096);
        got.len -= room == NULL ? 0 : 4096 - (size_t)(n < 0 ? 0 : n);
        open = n > 0;
    }
    buf_free(&got);
    close(fd);
    return NULL;
}

static enum err serve(struct why *why)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return fail(why, ERR_ENV, "cannot listen");
    printf("listening on http://127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int *fd = malloc(sizeof *fd);
        if (fd == NULL || (*fd = accept(listener, NULL, NULL)) < 0)
            return fail(why, ERR_ENV, "cannot accept");
        connections++;
        if (pthread_create(&thread, NULL, serve_connection, fd) != 0)
            return fail(why, ERR_ENV, "no thread");
        pthread_detach(thread);
    }
}

static enum err run(int argc, char **argv, struct why *why)
{
    if (argc == 4 && strcmp(argv[1], "key") == 0) {
        enum err err = secret_key_new(&key, span_str(argv[2]), SIG_COSIGNATURE, why);
        return err == OK ? secret_key_save(key, argv[3], why) : err;
    }
    if ((argc != 4 && argc != 5) || strcmp(argv[1], "serve") != 0)
        return fail(why, ERR_USAGE, "see the top of fake_witness.c");
    mode = argv[3];
    enum err err = secret_key_load(&key, argv[2], SIG_COSIGNATURE, why);
    if (err == OK)
        err = secret_key_new(&other_key, span_str("other.example/witness"), SIG_COSIGNATURE, why);
    if (err == OK && argc == 5)
        err = file_read(argv[4], 1 << 20, &note, why);
    return err == OK ? serve(why) : err;
}

int main(int argc, char **argv)
{
    struct why why;
    enum err err = key_system_start(&why);
    if (err == OK)
        err = run(argc, argv, &why);
    if (err != OK)
        fprintf(stderr, "fake_witness: %s\n", why.text);
    secret_key_free(key);
    secret_key_free(other_key);
    return (int)err;
}
