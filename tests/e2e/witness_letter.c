/*
 * c2sp.org/tlog-witness sentence by sentence, against the program stele-witness (of PATH): each MUST that binds a witness is a
 * line of TAP that names it. For test_witness_letter.sh.
 *
 *   witness_letter SCRATCH
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/addcheckpoint.h"
#include "lib/cosignature.h"
#include "tests/witness_driver.h"

enum { LEAVES = 64 };

static struct http_client *client;
static struct peer peer;
static struct http_response last; /* the newest answer */
static struct buf body;           /* the newest request */
static unsigned lines, lines_failed;

static void must(bool held, const char *sentence)
{
    printf("%s %u - %s\n", held ? "ok" : "not ok", ++lines, sentence);
    if (!held) {
        lines_failed++;
        printf("# the last answer: %u %s\n# %.*s\n", last.status, last.content_type, SPAN_FMT(last.body));
    }
}

static unsigned post(const char *path)
{
    struct why why;
    if (http_post(client, peer_url(&peer, path), "text/plain", span_buf(&body), 1 << 20, &last, &why) != OK)
        driver_die("POST", &why);
    return last.status;
}

static unsigned add(const struct own_log *log, uint64_t old, uint64_t size)
{
    own_request(&body, log, old, size);
    return post("add-checkpoint");
}

static unsigned get(const char *path)
{
    struct why why;
    if (http_get(client, peer_url(&peer, path), NULL, NOTE_BYTES_MAX, &last, &why) != OK)
        driver_die("GET", &why);
    return last.status;
}

static unsigned get_note(const char *origin)
{
    char path[64 + sizeof "/checkpoint"];
    peer_note_path(span_str(origin), path);
    return get(path);
}

/* Is `size` what the witness last cosigned for the log? It says so in a conflict. */
static bool stands_at(const struct own_log *log, uint64_t size)
{
    struct http_response kept = last;
    char want[24];
    last = (struct http_response){ 0 };
    snprintf(want, sizeof want, "%llu\n", (unsigned long long)size);
    bool right = add(log, size + 1, LEAVES) == 409 && span_is(span_buf(&last.body), want);
    http_response_free(&last);
    last = kept;
    return right;
}

/* A request's four parts, for a test to put together otherwise. */
static void whole(const char *front, struct span text, struct span signatures)
{
    buf_clear(&body);
    buf_str(&body, front);
    buf_span(&body, text);
    buf_byte(&body, '\n');
    buf_span(&body, signatures);
}

/* A signature line by a key with this name and a random ID, or with the log's own ID and a wrong signature. */
static void stray_line(struct buf *out, const struct own_log *log, bool known)
{
    struct vkey key = log->vkey;
    uint8_t sig[64] = { 1, 2, 3 };
    if (!known)
        key.id ^= 0x5a5a5a5a;
    note_sig_render(out, &key, span_of(sig, sizeof sig));
}

static bool same_bytes(struct span text, const char *needle)
{
    struct span rest = text;
    for (size_t n = strlen(needle); rest.len >= n; rest = span_cut(rest, 1, rest.len - 1))
        if (memcmp(rest.data, needle, n) == 0)
            return true;
    return false;
}

static size_t count_lines(struct span text)
{
    struct span line;
    size_t n = 0;
    while (span_line(&text, &line))
        n++;
    return text.len == 0 ? n : 0;
}

/* The newest answer is one cosignature line by the witness over the newest request's checkpoint. */
static bool cosigned_well(void)
{
    struct add_checkpoint parsed;
    struct buf line = BUF_EMPTY;
    struct why why;
    uint64_t time_s = 0;
    bool well = last.status == 200 && add_checkpoint_parse(&parsed, span_buf(&body), &why) == OK &&
                cosignature_from_reply(span_buf(&last.body), parsed.note.text, &peer.key, &line, &time_s, &why) == OK &&
                time_s > 0 && span_eq(span_buf(&line), span_buf(&last.body));
    buf_free(&line);
    return well;
}

static void form_of_the_request(const struct own_log *log)
{
    static const char *const old_lines[] = { "", "old\n", "old 00\n", "old 01\n", "old +1\n", "old -0\n", "Old 0\n", "old  0\n",
                                             "old 0 \n", " old 0\n", "old 0\r\n", "old 0x0\n", "old 18446744073709551616\n" };
    static const char *const proof_lines[] = { "AAAA\n", "z", "\t\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
                                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
                                               "__________________________________________8=\n" };
    struct buf text = BUF_EMPTY, line = BUF_EMPTY, front = BUF_EMPTY;
    struct hash root = own_root(log, 5);
    own_text(&text, log, 5, &root);
    own_line(&line, log, span_buf(&text));
    must(get("add-checkpoint") == 405, "The request MUST be an HTTP POST");
    bool refused = true;
    for (size_t i = 0; i < sizeof old_lines / sizeof *old_lines && refused; i++) {
        snprintf((char *)buf_grow(&front, 64), 64, "%s\n", old_lines[i]);
        whole((const char *)front.data, span_buf(&text), span_buf(&line));
        refused = post("add-checkpoint") == 400;
        buf_clear(&front);
    }
    must(refused, "The old size line MUST be `old`, one space, and a decimal with no leading zeroes: otherwise 400");
    refused = true;
    for (size_t i = 0; i < sizeof proof_lines / sizeof *proof_lines && refused; i++) {
        snprintf((char *)buf_grow(&front, 128), 128, "old 1\n%s\n", proof_lines[i]);
        whole((const char *)front.data, span_buf(&text), span_buf(&line));
        refused = post("add-checkpoint") == 400;
        buf_clear(&front);
    }
    must(refused, "Each consistency proof line MUST encode a single hash in base64: otherwise 400");
    for (size_t n = 63; n <= 64; n++) {
        buf_clear(&front);
        buf_str(&front, "old 0\n");
        for (size_t i = 0; i < n; i++)
            buf_str(&front, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
        buf_add(&front, "\n", 2);
        whole((const char *)front.data, span_buf(&text), span_buf(&line));
        must(post("add-checkpoint") == (n == 63 ? 422 : 400),
             n == 63 ? "63 consistency proof lines are read" : "There MUST NOT be more than 63 consistency proof lines: 400");
    }
    own_request(&body, log, 0, 5);
    body.len--;
    must(post("add-checkpoint") == 400, "Each line MUST terminate in a newline: without the last one 400");
    whole("old 0\r\n\r\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 400, "Each line MUST terminate in a newline, U+000A alone: CRLF gets 400");
    whole("old 0\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 400, "An empty line MUST stand before the checkpoint: without it 400");
    must(stands_at(log, 0), "Nothing of this was taken");
    buf_free(&text);
    buf_free(&line);
    buf_free(&front);
}

/* `log` and `second` are two keys of one origin; `stranger` is a log of another origin. */
static void signatures(const struct own_log *log, const struct own_log *second, const struct own_log *stranger,
                       const struct own_log *unknown)
{
    struct buf text = BUF_EMPTY, good = BUF_EMPTY, other = BUF_EMPTY, bad = BUF_EMPTY, lines_text = BUF_EMPTY;
    struct hash root = own_root(log, 5);
    own_text(&text, log, 5, &root);
    own_line(&good, log, span_buf(&text));
    own_line(&other, second, span_buf(&text));
    stray_line(&bad, log, true);
    must(add(unknown, 0, 5) == 404 && !same_bytes(span_buf(&last.body), "\xe2\x80\x94"),
         "If the checkpoint origin is unknown, the witness MUST respond with 404");
    whole("old 0\n\n", span_buf(&text), span_buf(&bad));
    must(post("add-checkpoint") == 403, "A line whose key name and ID match a trusted key but fails to verify MUST get 403");
    stray_line(&lines_text, log, false);
    whole("old 0\n\n", span_buf(&text), span_buf(&lines_text));
    must(post("add-checkpoint") == 403, "No signature from a trusted key for the origin: MUST be 403");
    buf_clear(&lines_text);
    own_line(&lines_text, stranger, span_buf(&text));
    whole("old 0\n\n", span_buf(&text), span_buf(&lines_text));
    must(post("add-checkpoint") == 403, "A key trusted for another origin is not trusted for this one: 403");
    for (int order = 0; order < 3; order++) {
        static const char *const names[] = { "A good signature of the log's and then a bad one of the same key: MUST be 403",
                                             "A bad signature of the log's and then a good one of the same key: MUST be 403",
                                             "A good signature and a bad one by another trusted key of the origin: MUST be 403" };
        buf_clear(&lines_text);
        buf_span(&lines_text, order == 1 ? span_buf(&bad) : order == 0 ? span_buf(&good) : span_buf(&other));
        buf_span(&lines_text, order == 1 ? span_buf(&good) : span_buf(&bad));
        whole("old 0\n\n", span_buf(&text), span_buf(&lines_text));
        must(post("add-checkpoint") == 403, names[order]);
    }
    must(stands_at(log, 0) && get_note("signatures.example/log") == 404, "None of these was cosigned");
    /* Sixteen lines: both keys' among strangers'. */
    buf_clear(&lines_text);
    for (int i = 0; i < 16; i++) {
        if (i == 7 || i == 11)
            buf_span(&lines_text, i == 7 ? span_buf(&good) : span_buf(&other));
        else
            stray_line(&lines_text, i % 2 ? stranger : log, false);
    }
    whole("old 0\n\n", span_buf(&text), span_buf(&lines_text));
    must(post("add-checkpoint") == 200 && cosigned_well(), "The checkpoint MAY include multiple signatures");
    must(count_lines(span_buf(&last.body)) == 1, "It MUST ignore signatures from unknown keys: none is in the answer");
    must(get_note("signatures.example/log") == 200 && count_lines(span_buf(&last.body)) == 3 + 1 + 3,
         "and none on the monitoring route: the lines there are those verified and the witness's own");
    good.len--, other.len--;
    buf_byte(&good, '\0');
    buf_byte(&other, '\0');
    must(same_bytes(span_buf(&last.body), (const char *)good.data) && same_bytes(span_buf(&last.body), (const char *)other.data),
         "It MUST include the cosignature from the log key(s) that the witness verified");
    buf_free(&text);
    buf_free(&good);
    buf_free(&other);
    buf_free(&bad);
    buf_free(&lines_text);
}

static void sizes(const struct own_log *log)
{
    must(get_note("sizes.example/log") == 404,
         "If the witness has never cosigned a checkpoint for that log, it MUST respond with 404 to monitors");
    must(add(log, 7, 5) == 400, "The old size MUST be equal to or lower than the checkpoint size: otherwise MUST be 400");
    must(add(log, 3, 5) == 409 && span_is(span_buf(&last.body), "0\n"),
         "The old size MUST be zero if it never cosigned for that origin: 409 and `0`");
    must(add(log, 0, 10) == 200 && cosigned_well(), "First contact: the old size is zero, the proof empty, the size any");
    must(strcmp(last.content_type, "text/plain; charset=utf-8") == 0, "200 has a Content-Type");
    must(add(log, 5, 12) == 409 && span_is(span_buf(&last.body), "10\n"),
         "409's body MUST be the tree size of the latest cosigned checkpoint in decimal and a newline");
    must(strcmp(last.content_type, "text/x.tlog.size") == 0, "409 MUST have a Content-Type of text/x.tlog.size");
    must(add(log, 0, 12) == 409 && span_is(span_buf(&last.body), "10\n"), "A client MAY ask with an old size of zero to learn it");
    must(add(log, 12, 11) == 400, "An old size above the checkpoint's is 400 even where it would be a conflict too");
    must(add(log, 10, 10) == 200 && cosigned_well(), "The same size and the same root: 200 again");
    must(add(log, 10, 37) == 200 && cosigned_well(),
         "If all checks pass, the witness MUST update its record and respond with 200; the signatures MUST be cosignatures");
    must(stands_at(log, 37), "The record is the checkpoint just cosigned");
    must(get_note("sizes.example/log") == 200 && same_bytes(span_buf(&last.body), "sizes.example/log\n37\n"),
         "The response body MUST be a checkpoint for the log identified by the origin");
    struct note note;
    struct why why;
    bool cosigned = false;
    uint64_t time_s = 0;
    must(note_parse(&note, span_buf(&last.body), &why) == OK &&
             cosignature_verify(&note, &peer.key, 1, &cosigned, &time_s, &why) == OK && cosigned && time_s > 0,
         "It MUST include the cosignature(s) from the witness's key(s) that were returned from add-checkpoint");
    char path[64 + sizeof "/checkpoint"];
    peer_note_path(span_str("sizes.example/log"), path);
    for (size_t i = 0; i < 64; i++)
        path[i] = path[i] >= 'a' ? (char)(path[i] - 32) : path[i];
    must(get(path) == 404, "The origin hash is hex encoded in lowercase: upper case is another path");
    must(peer_stop(&peer, SIGKILL) == -1, "The witness is killed right after an answer");
    peer_start(&peer);
    must(stands_at(log, 37), "The witness MUST persist the new checkpoint before responding");
}

static void empty_trees(const struct own_log *log)
{
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    struct hash root = own_root(log, 1);
    own_text(&text, log, 0, &root);
    own_line(&line, log, span_buf(&text));
    whole("old 0\n\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 422, "A checkpoint of size zero MUST have the root of the empty tree: otherwise MUST be 422");
    must(add(log, 0, 0) == 200 && cosigned_well(), "An empty tree is cosigned");
    must(get_note("empty.example/log") == 200, "and shown to monitors");
    must(add(log, 0, 0) == 200 && add(log, 0, 9) == 200 && stands_at(log, 9), "From it a log grows as from none");
    buf_free(&text);
    buf_free(&line);
}

static void proofs(const struct own_log *log)
{
    struct buf text = BUF_EMPTY, line = BUF_EMPTY, front = BUF_EMPTY;
    struct hash root = own_root(log, 21), wrong = own_root(log, 22);
    own_text(&text, log, 21, &root);
    own_line(&line, log, span_buf(&text));
    whole("old 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 422, "If the old size is zero, the consistency proof MUST be empty: otherwise MUST be 422");
    must(add(log, 0, 13) == 200, "A head of 13 entries");
    own_front(&front, log, 13, 21);
    size_t broken = 0, tried = 0;
    for (size_t at = span_find(span_buf(&front), '\n') + 1; at + 2 < front.len; at += 45) {
        uint8_t *first = &front.data[at], was = *first;
        *first = was == 'A' ? 'B' : 'A';
        buf_byte(&front, '\0');
        whole((const char *)front.data, span_buf(&text), span_buf(&line));
        broken += post("add-checkpoint") == 422;
        tried++;
        front.len--;
        *first = was;
    }
    must(tried >= 4 && broken == tried, "If a Merkle Consistency Proof doesn't verify, the witness MUST respond with 422");
    whole("old 13\n\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 422, "The proof MUST lead from the old size to the checkpoint size: none at all is 422");
    front.len--;
    buf_str(&front, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n");
    buf_byte(&front, '\0');
    whole((const char *)front.data, span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 422, "and one hash too many is 422");
    buf_clear(&text);
    buf_clear(&line);
    own_text(&text, log, 13, &wrong);
    own_line(&line, log, span_buf(&text));
    whole("old 13\n\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 422,
         "If the old size matches the checkpoint size, the roots MUST be identical: otherwise MUST be 422");
    must(!same_bytes(span_buf(&last.body), "\xe2\x80\x94") && stands_at(log, 13), "It MUST NOT cosign what fails a check");
    must(get_note("proofs.example/log") == 200 && same_bytes(span_buf(&last.body), "\n13\n"), "nor show it to monitors");
    buf_free(&text);
    buf_free(&line);
    buf_free(&front);
}

static void extensions(const struct own_log *log)
{
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    struct hash root = own_root(log, 5);
    own_text(&text, log, 5, &root);
    buf_str(&text, "an extension line\nanother: \xc3\xa9\n");
    own_line(&line, log, span_buf(&text));
    whole("old 0\n\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 200 && cosigned_well(), "The cosignature covers the whole checkpoint, extension lines included");
    must(get_note("extensions.example/log") == 200 &&
             same_bytes(span_buf(&last.body), "\nan extension line\nanother: \xc3\xa9\n\n"),
         "which monitors see");
    /* Plain text beyond them is no checkpoint. */
    buf_clear(&line);
    buf_str(&text, "\nthird\n");
    own_line(&line, log, span_buf(&text));
    whole("old 0\n\n", span_buf(&text), span_buf(&line));
    must(post("add-checkpoint") == 400, "Extension lines MUST be non-empty (tlog-checkpoint): otherwise 400");
    buf_free(&text);
    buf_free(&line);
}

static void subtrees(const struct own_log *log)
{
    own_request(&body, log, 0, 5);
    must(post("sign-subtree") == 404 && get("sign-subtree") == 404,
         "It is OPTIONAL to support sign-subtree, and an Ed25519 cosignature cannot: no such route");
}

int main(int argc, char **argv)
{
    static const char *const origins[] = { "form.example/log",  "signatures.example/log", "signatures.example/log",
                                           "sizes.example/log", "empty.example/log",      "proofs.example/log",
                                           "extensions.example/log", "unknown.example/log" };
    enum { FORM, SIGNATURES, SECOND, SIZES, EMPTY, PROOFS, EXTENSIONS, UNKNOWN, LOGS };
    struct own_log logs[LOGS];
    if (argc != 2)
        driver_die("usage: witness_letter SCRATCH", NULL);
    client = driver_start(120);
    peer_make(&peer, argv[1], "letter");
    for (size_t i = 0; i < LOGS; i++) {
        own_log_make(&logs[i], origins[i], i == SECOND, LEAVES);
        if (i != UNKNOWN)
            peer_add_log(&peer, logs[i].vkey_text, origins[i]);
    }
    peer_start(&peer);
    form_of_the_request(&logs[FORM]);
    signatures(&logs[SIGNATURES], &logs[SECOND], &logs[SIZES], &logs[UNKNOWN]);
    sizes(&logs[SIZES]);
    empty_trees(&logs[EMPTY]);
    proofs(&logs[PROOFS]);
    extensions(&logs[EXTENSIONS]);
    subtrees(&logs[FORM]);
    must(peer_stop(&peer, SIGTERM) == 0, "The witness ends in good order");
    printf("1..%u\n", lines);
    for (size_t i = 0; i < LOGS; i++)
        own_log_free(&logs[i]);
    buf_free(&body);
    http_response_free(&last);
    http_client_free(client);
    return lines_failed > 0;
}
