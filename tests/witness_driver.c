#include "tests/witness_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include <sodium.h>

#include "lib/sys/file.h"

void driver_die(const char *what, const struct why *why)
{
    printf("# %s: %s\n", what, why != NULL ? why->text : strerror(errno));
    exit(1);
}

struct http_client *driver_start(unsigned seconds)
{
    struct http_client *client;
    struct why why;
    signal(SIGALRM, SIG_DFL);
    alarm(seconds); /* a witness that hangs ends the test */
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    if (key_system_start(&why) != OK || http_client_system_start(&why) != OK ||
        http_client_new(&client, &(struct http_client_config){ 0 }, &why) != OK)
        driver_die("start", &why);
    return client;
}

/* Standard output goes to `out` where that is not -1. */
static pid_t spawn(const char *const *arguments, int out)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int null = open("/dev/null", O_RDWR);
    const char *errors = getenv("WITNESS_ERRORS"); /* a file for what it says, where a test wants it */
    int err = errors == NULL ? null : open(errors, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out >= 0 ? out : null, 1);
    dup2(err, 2);
    execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int driver_run(const char *const *arguments)
{
    return wait_for(spawn(arguments, -1));
}

void peer_make(struct peer *peer, const char *scratch, const char *name)
{
    struct why why;
    struct buf text = BUF_EMPTY;
    snprintf(peer->dir, sizeof peer->dir, "%s/%s", scratch, name);
    if (driver_run((const char *const[]){ "stele-witness", "init", peer->dir, "--name", "w.example/witness", NULL }) != 0)
        driver_die("init", NULL);
    char *path = path_join(peer->dir, "key.pub");
    if (file_read(path, sizeof peer->vkey_text - 1, &text, &why) != OK)
        driver_die("key.pub", &why);
    memcpy(peer->vkey_text, text.data, text.len);
    peer->vkey_text[text.len] = '\0';
    peer->vkey_text[strcspn(peer->vkey_text, "\n")] = '\0';
    if (vkey_parse(&peer->key, span_str(peer->vkey_text), SIG_COSIGNATURE, &why) != OK)
        driver_die("key.pub", &why);
    free(path);
    buf_free(&text);
}

void peer_add_log(const struct peer *peer, const char *vkey, const char *origin)
{
    if (driver_run((const char *const[]){ "stele-witness", "add-log", peer->dir, vkey, "--origin", origin, NULL }) != 0)
        driver_die("add-log", NULL);
}

bool peer_start_traced(struct peer *peer, const char *injection, const char *trace_file)
{
    int ends[2];
    char line[256] = "", trace[256] = "", inject[256] = "";
    size_t len = 0;
    const char *arguments[] = { "strace", "-D", "-f", "-o", trace_file, "-e", trace, "-e", inject,
                                "stele-witness", "serve", peer->dir, "--listen", "127.0.0.1:0", NULL };
    if (injection != NULL) {
        snprintf(trace, sizeof trace, "trace=%.*s", (int)strcspn(injection, ":"), injection);
        snprintf(inject, sizeof inject, "inject=%s", injection);
    }
    if (pipe(ends) != 0)
        driver_die("pipe", NULL);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    peer->pid = spawn(injection != NULL ? arguments : arguments + 9, ends[1]);
    close(ends[1]);
    while (len + 1 < sizeof line && read(ends[0], line + len, 1) == 1 && line[len] != '\n')
        line[++len] = '\0';
    close(ends[0]);
    if (sscanf(line, "listening on %127s", peer->url) == 1)
        return true;
    if (injection == NULL)
        driver_die("the witness does not start", NULL);
    peer_stop(peer, SIGKILL);
    return false;
}

void peer_start(struct peer *peer)
{
    peer_start_traced(peer, NULL, NULL);
}

int peer_stop(struct peer *peer, int signal_number)
{
    kill(peer->pid, signal_number);
    return wait_for(peer->pid);
}

const char *peer_url(const struct peer *peer, const char *path)
{
    static char text[512];
    snprintf(text, sizeof text, "%s/%s", peer->url, path);
    return text;
}

void peer_note_path(struct span origin, char out[64 + sizeof "/checkpoint"])
{
    struct hash hash = sha256_of(origin);
    struct buf hex = BUF_EMPTY;
    hex_encode(&hex, span_of(hash.b, sizeof hash.b));
    snprintf(out, 64 + sizeof "/checkpoint", "%.*s/checkpoint", SPAN_FMT(hex));
    buf_free(&hex);
}

/* The key whose seed is the hash of origin and number. */
static struct secret_key *make_key(const char *origin, unsigned number)
{
    struct secret_key *key;
    struct buf text = BUF_EMPTY, seeded = BUF_EMPTY;
    struct why why;
    uint8_t bytes[33] = { SIG_ED25519 }, public[32], secret[64];
    buf_fmt(&seeded, "%s %u", origin, number);
    struct hash seed = sha256_of(span_buf(&seeded));
    memcpy(bytes + 1, seed.b, sizeof seed.b);
    crypto_sign_seed_keypair(public, secret, seed.b);
    struct vkey vkey = vkey_make(span_str(origin), SIG_ED25519, public);
    buf_fmt(&text, "PRIVATE+KEY+%s+%08x+", origin, (unsigned)vkey.id);
    base64_encode(&text, span_of(bytes, sizeof bytes));
    if (secret_key_parse(&key, span_buf(&text), SIG_ED25519, &why) != OK)
        driver_die("a key", &why);
    buf_free(&text);
    buf_free(&seeded);
    return key;
}

void own_log_make(struct own_log *log, const char *origin, unsigned key, size_t leaves_n)
{
    struct buf text = BUF_EMPTY;
    *log = (struct own_log){ .leaves_n = leaves_n, .key = make_key(origin, key) };
    log->vkey = secret_key_vkey(log->key);
    vkey_render(&text, &log->vkey);
    memcpy(log->vkey_text, text.data, text.len);
    buf_free(&text);
    for (size_t level = 0; level < OWN_LEVELS; level++)
        if ((log->nodes[level] = calloc((leaves_n >> level) + 1, sizeof(struct hash))) == NULL)
            driver_die("memory", NULL);
    for (size_t i = 0; i < leaves_n; i++)
        log->nodes[0][i] = merkle_leaf_hash(span_of(&i, sizeof i));
    own_log_hash(log, 0);
}

void own_log_fork(struct own_log *log, size_t from)
{
    for (size_t i = from; i < log->leaves_n; i++)
        log->nodes[0][i] = merkle_leaf_hash(span_of(&log->nodes[0][i], sizeof log->nodes[0][i]));
    own_log_hash(log, from);
}

void own_log_hash(struct own_log *log, size_t from)
{
    for (size_t level = 1; level < OWN_LEVELS; level++)
        for (size_t i = from >> level; i < log->leaves_n >> level; i++)
            log->nodes[level][i] = merkle_node_hash(&log->nodes[level - 1][2 * i], &log->nodes[level - 1][2 * i + 1]);
}

void own_log_free(struct own_log *log)
{
    secret_key_free(log->key);
    for (size_t level = 0; level < OWN_LEVELS; level++)
        free(log->nodes[level]);
}

static enum err read_nodes(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    struct own_log *const *log = ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = (*log)->nodes[nodes[i].level][nodes[i].index];
    return OK;
}

struct hash own_root(const struct own_log *log, uint64_t size)
{
    struct hash_reader reader = { read_nodes, &log };
    struct hash root;
    struct why why;
    if (merkle_root(size, &reader, &root, &why) != OK)
        driver_die("a root", &why);
    return root;
}

void own_text(struct buf *out, const struct own_log *log, uint64_t size, const struct hash *root)
{
    struct checkpoint checkpoint = { .origin = log->vkey.name, .size = size, .root = *root, .extensions = span_str("") };
    checkpoint_render(out, &checkpoint);
}

void own_line(struct buf *out, const struct own_log *log, struct span text)
{
    uint8_t sig[64];
    struct why why;
    if (secret_key_sign(log->key, text, sig, &why) != OK)
        driver_die("a signature", &why);
    note_sig_render(out, &log->vkey, span_of(sig, sizeof sig));
}

void own_front(struct buf *out, const struct own_log *log, uint64_t old, uint64_t size)
{
    struct hash_reader reader = { read_nodes, &log };
    struct hash proof[PROOF_HASHES_MAX];
    struct why why;
    size_t n = 0;
    if (old <= size && merkle_consistency_prove(old, size, &reader, proof, &n, &why) != OK)
        driver_die("a proof", &why);
    buf_fmt(out, "old %llu\n", (unsigned long long)old);
    for (size_t i = 0; i < n; i++) {
        base64_encode(out, span_of(proof[i].b, sizeof proof[i].b));
        buf_byte(out, '\n');
    }
    buf_byte(out, '\n');
}

void own_request(struct buf *out, const struct own_log *log, uint64_t old, uint64_t size)
{
    struct buf text = BUF_EMPTY;
    struct hash root = own_root(log, size);
    own_text(&text, log, size, &root);
    buf_clear(out);
    own_front(out, log, old, size);
    buf_span(out, span_buf(&text));
    buf_byte(out, '\n');
    own_line(out, log, span_buf(&text));
    buf_free(&text);
}
