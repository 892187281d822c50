#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/encode.h"
#include "lib/limits.h"
#include "lib/nar.h"
#include "lib/sys/file.h"
#include "lib/sys/narfs.h"
#include "tests/unit/nix.h"

static char folder[] = "/tmp/stele-narfs.XXXXXX";

static char tree[64];

/* With a tree of everything that a store path may hold; 300 KB go through several chunks. */
static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    setenv("F", folder, 1);
    snprintf(tree, sizeof tree, "%s/tree", folder);
    nix_do("mkdir -p \"$F/tree/d/empty\" && cd \"$F/tree\" && : >empty && printf x >A && printf x >Z && printf 12345678 >a && "
           "printf 123456789 >a-"
           " && printf y >a.b && printf z >\"$(printf 'u\\303\\244')\" && printf '#!' >run && chmod 755 run && printf w >group"
           " && chmod 611 group && head -c 300000 /dev/zero | tr '\\0' q >big && ln -s nowhere link && ln -s d folder-link"
           " && ln run d/hard && printf o >d/other && chmod 655 d/other");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    nix_do("chmod -R u+w \"$F\" && rm -rf \"$F\"");
    return 0;
}

struct parsing {
    struct nar_parser *parser;
    struct buf bytes;
    size_t largest;
};

static enum err take(void *ctx, struct span bytes, struct why *why)
{
    struct parsing *parsing = ctx;
    parsing->largest = bytes.len > parsing->largest ? bytes.len : parsing->largest;
    buf_span(&parsing->bytes, bytes);
    return nar_parser_feed(parsing->parser, bytes, why);
}

/* What is dumped is a NAR for our own parser, hashes as nar_hash_path says, and is handed on in pieces. */
static void parsed_and_hashed(void **state)
{
    struct parsing parsing = { .parser = nar_parser_new() };
    struct nar_sink sink = { take, &parsing };
    struct hash hash, expected;
    uint64_t size;
    struct why why = { "" };
    (void)state;
    assert_int_equal(nar_dump(tree, &sink, &why), OK);
    assert_int_equal(nar_parser_end(parsing.parser, &why), OK);
    expected = sha256_of(span_buf(&parsing.bytes));
    assert_int_equal(nar_hash_path(tree, &hash, &size, &why), OK);
    assert_true(hash_eq(&hash, &expected));
    assert_int_equal(size, parsing.bytes.len);
    assert_true(parsing.largest < 1 << 20);
    nar_parser_free(parsing.parser);
    buf_free(&parsing.bytes);
}

static void same_as_nix(const char *path)
{
    struct hash hash;
    uint64_t size;
    struct why why = { "" };
    struct buf ours = BUF_EMPTY;
    assert_int_equal(nar_hash_path(path, &hash, &size, &why), OK);
    hex_encode(&ours, span_of(hash.b, sizeof hash.b));
    buf_fmt(&ours, " %llu", (unsigned long long)size);
    buf_byte(&ours, '\0');
    setenv("P", path, 1);
    char *theirs =
        nix_run("nix-store --dump \"$P\" >\"$W/nar\" && echo \"$(sha256sum <\"$W/nar\" | cut -c1-64) $(($(wc -c <\"$W/nar\")))\"");
    assert_string_equal((const char *)ours.data, theirs);
    free(theirs);
    buf_free(&ours);
}

static void real_nix(void **state)
{
    static const char *const below[] = { "", "/empty", "/run", "/group", "/d/other", "/big", "/link", "/folder-link", "/d/empty" };
    (void)state;
    nix_world_make();
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", tree, below[i]);
        same_as_nix(path);
    }
}

static enum err hash_of(const char *name, struct why *why)
{
    char path[128];
    struct hash hash;
    uint64_t size;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return nar_hash_path(path, &hash, &size, why);
}

static void odd_nodes(void **state)
{
    struct why why;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)state;
    nix_do("mkdir -p \"$F/odd/d\" && echo x >\"$F/odd/d/file\"");
    assert_int_equal(hash_of("odd", &why), OK);
    assert_int_equal(hash_of("absent", &why), ERR_ENV);
    assert_non_null(strstr(why.text, "No such file"));
    nix_do("mkfifo \"$F/odd/d/fifo\""); /* must not wait for a writer */
    assert_int_equal(hash_of("odd", &why), ERR_ENV);
    assert_non_null(strstr(why.text, "fifo in "));
    assert_non_null(strstr(why.text, "neither a file, a folder nor a symlink"));
    assert_int_equal(hash_of("odd/d/fifo", &why), ERR_ENV);
    nix_do("rm \"$F/odd/d/fifo\"");
    assert_int_equal(hash_of("odd", &why), OK);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/odd/socket", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    assert_int_equal(hash_of("odd", &why), ERR_ENV);
    unlink(address.sun_path);
    assert_int_equal(hash_of("odd", &why), OK);
}

/* A file that only its owner may read, read by somebody else: root can read everything, so root becomes nobody for it. */
static void unreadable(void **state)
{
    struct why why = { "" };
    (void)state;
    nix_do("mkdir -p \"$F/closed\" && echo x >\"$F/closed/file\" && chmod 755 \"$F\" \"$F/closed\" && chmod 0 \"$F/closed/file\"");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        _exit(hash_of("closed", &why) == ERR_ENV && strstr(why.text, "cannot open file") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    nix_do("chmod 644 \"$F/closed/file\"");
    assert_int_equal(hash_of("closed", &why), OK);
}

/* Changes what is being read when the first bytes of it arrive. */
struct meddling {
    const char *command;
    bool done;
};

static enum err meddle(void *ctx, struct span bytes, struct why *why)
{
    struct meddling *meddling = ctx;
    (void)bytes;
    (void)why;
    if (!meddling->done)
        nix_do(meddling->command);
    meddling->done = true;
    return OK;
}

static void changing(void **state)
{
    static const struct {
        const char *command, *why;
    } cases[] = {
        { "true", NULL },
        { "printf more >>\"$F/changing/a\"", "grew while it was read" },
        { "truncate -s 1000000 \"$F/changing/a\"", "shrank while it was read" },
        { "rm \"$F/changing/b\"", "No such file" },
    };
    char path[128];
    struct why why;
    (void)state;
    snprintf(path, sizeof path, "%s/changing", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct meddling meddling = { .command = cases[i].command };
        struct nar_sink sink = { meddle, &meddling };
        nix_do("mkdir -p \"$F/changing\" && truncate -s 0 \"$F/changing/a\" && truncate -s 3000000 \"$F/changing/a\" && echo x "
               ">\"$F/changing/b\"");
        assert_int_equal(nar_dump(path, &sink, &why), cases[i].why == NULL ? OK : ERR_ENV);
        assert_true(meddling.done);
        if (cases[i].why != NULL)
            assert_non_null(strstr(why.text, cases[i].why));
    }
}

static enum err refuse(void *ctx, struct span bytes, struct why *why)
{
    ++*(size_t *)ctx;
    (void)bytes;
    return fail(why, ERR_REFUSED, "enough");
}

static void sink_error(void **state)
{
    size_t calls = 0;
    struct nar_sink sink = { refuse, &calls };
    struct why why;
    (void)state;
    assert_int_equal(nar_dump(tree, &sink, &why), ERR_REFUSED);
    assert_string_equal(why.text, "enough");
    assert_int_equal(calls, 1);
}

/* Folders in folders: to the bound of the parser, and no deeper. */
static void depth(void **state)
{
    struct why why = { "" };
    (void)state;
    files_open_many();
    char path[128];
    snprintf(path, sizeof path, "%s/deep", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 1; i < NAR_DEPTH_MAX; i++) {
        assert_int_equal(mkdirat(at, "d", 0755), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    assert_int_equal(hash_of("deep", &why), OK);
    assert_int_equal(mkdirat(at, "d", 0755), 0);
    close(at);
    assert_int_equal(hash_of("deep", &why), ERR_ENV);
    assert_non_null(strstr(why.text, "nested more than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsed_and_hashed),
        cmocka_unit_test_teardown(real_nix, nix_world_end),
        cmocka_unit_test(odd_nodes),
        cmocka_unit_test(unreadable),
        cmocka_unit_test(changing),
        cmocka_unit_test(sink_error),
        cmocka_unit_test(depth),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
