/*
 * A witness that is not one: what the log must bear.
 *   fake_witness key NAME FILE       a witness's key: FILE and FILE.pub
 *   fake_witness serve FILE MODE     prints "listening on URL"; MODE says what every add-checkpoint gets:
 *     good      a cosignature, unchecked          hang      no answer, ever
 *     ahead     409 and a size far ahead          liar      409 and another size each time, none of them true
 *     garbage   200 and no signature line         elsewhere 200 and a cosignature over another text
 *     huge      200 and more than the log reads   later     429 with Retry-After: 3600
 *     back      like good, but the first three requests get 409 with sizes 0, 1, 0
 */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_server.h"
#include "lib/sys/key.h"

static const char *mode;
static struct secret_key *key;
static atomic_uint requests;

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

static void cosign(struct http_request *request, struct span text)
{
    uint8_t cosignature[72];
    struct buf body = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(key);
    struct why why;
    if (secret_key_cosign(key, clock_posix_s(), text, cosignature, &why) != OK) {
        http_reply_problem(request, 500, 0, "%s", why.text);
        return;
    }
    note_sig_render(&body, &vkey, span_of(cosignature, sizeof cosignature));
    http_reply_take(request, 200, NULL, &body);
}

static void conflict(struct http_request *request, unsigned size)
{
    const struct http_header headers[] = { { "Content-Type", "text/x.tlog.size" }, { NULL, NULL } };
    struct buf body = BUF_EMPTY;
    buf_fmt(&body, "%u\n", size);
    http_reply_take(request, 409, headers, &body);
}

static void handle(void *ctx, struct http_request *request)
{
    (void)ctx;
    unsigned number = atomic_fetch_add(&requests, 1);
    struct span text;
    struct buf huge = BUF_EMPTY;
    if (strcmp(mode, "hang") == 0)
        return;
    if (strcmp(mode, "ahead") == 0)
        conflict(request, 1000000000);
    else if (strcmp(mode, "liar") == 0)
        conflict(request, number % 2);
    else if (strcmp(mode, "garbage") == 0)
        http_reply(request, 200, NULL, span_str("\xe2\x80\x94 nobody AAAA\nand more\n"));
    else if (strcmp(mode, "huge") == 0 && buf_grow(&huge, 8 << 20) != NULL)
        http_reply_take(request, 200, NULL, &huge);
    else if (strcmp(mode, "later") == 0)
        http_reply_problem(request, 429, 3600, "later");
    else if (strcmp(mode, "back") == 0 && number < 3)
        conflict(request, number % 2);
    else if (strcmp(mode, "elsewhere") == 0)
        cosign(request, span_str("another.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"));
    else if (find_text(http_body(request), &text))
        cosign(request, text);
    else
        http_reply_problem(request, 400, 0, "no checkpoint");
}

static enum err run(int argc, char **argv, struct why *why)
{
    if (argc == 4 && strcmp(argv[1], "key") == 0) {
        enum err err = secret_key_new(&key, span_str(argv[2]), SIG_COSIGNATURE, why);
        return err == OK ? secret_key_save(key, argv[3], why) : err;
    }
    if (argc != 4 || strcmp(argv[1], "serve") != 0)
        return fail(why, ERR_USAGE, "see the top of fake_witness.c");
    struct http_server *server;
    struct http_server_config config = {
        .listen = "127.0.0.1:0",
        .threads = 1,
        .body_bytes_max = 1 << 20,
        .connections_max = 64,
        .connections_per_ip_max = 64,
        .idle_timeout_s = 600,
        .request_timeout_s = 60,
        .handle = handle,
    };
    mode = argv[3];
    enum err err = secret_key_load(&key, argv[2], SIG_COSIGNATURE, why);
    if (err == OK)
        err = http_server_start(&server, &config, why);
    if (err != OK)
        return err;
    printf("listening on http://127.0.0.1:%u\n", http_server_port(server));
    fflush(stdout);
    for (;;)
        pause();
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
    return (int)err;
}
