#include "tests/conformance/witness.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/cosignature.h"
#include "tests/conformance/witness_ask.h"

/* The logs, each for what it is named. SECOND is another key of the origin of SIGNATURES; nobody is told of UNKNOWN. */
enum { FORM, SIGNATURES, SECOND, SIZES, EMPTY, PROOFS, EXTENDING, UNKNOWN, LOGS };
static const char *const parts[LOGS] = { "form", "signatures", "signatures", "sizes", "empty", "proofs", "extensions", "unknown" };

static void refuse(enum clause clause, const char *front, struct span text, struct span signatures, const char *which_case)
{
    whole(front, text, signatures);
    check(clause, refused(post()), which_case);
}

static void form_of_the_request(const struct own_log *log)
{
    static const char *const old_lines[] = { "",         "old\n",    "old 00\n",  "old 01\n",
                                             "old +1\n", "old -0\n", "Old 0\n",   "old  0\n",
                                             "old 0 \n", " old 0\n", "old 0x0\n", "old 18446744073709551616\n" };
    static const char *const proof_lines[] = { "AAAA\n",
                                               "z\n",
                                               "\t\n",
                                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
                                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
                                               "__________________________________________8=\n" };
    struct buf text = BUF_EMPTY, line = BUF_EMPTY, front = BUF_EMPTY;
    struct hash root = own_root(log, 5);
    char given[128];
    uint64_t start = standing(log, 0);
    own_text(&text, log, 5, &root);
    own_line(&line, log, span_buf(&text));
    ask_get(under_test->submission, "add-checkpoint", NULL);
    check(POST_ONLY, last.status >= 400, "GET add-checkpoint");
    for (size_t i = 0; i < sizeof old_lines / sizeof *old_lines; i++) {
        snprintf(given, sizeof given, "%s\n", old_lines[i]);
        whole(given, span_buf(&text), span_buf(&line));
        unsigned status = post(); /* 409 would mean that it was read as a number */
        check(OLD_LINE, refused(status) && status != 409, "an old size line that is none");
    }
    for (size_t i = 0; i < sizeof proof_lines / sizeof *proof_lines; i++) {
        snprintf(given, sizeof given, "old 0\n%s\n", proof_lines[i]);
        refuse(PROOF_LINE, given, span_buf(&text), span_buf(&line), "a proof line that is no canonical base64 of 32 bytes");
    }
    for (size_t n = 63; n <= 64; n++) {
        buf_clear(&front);
        buf_str(&front, "old 0\n");
        for (size_t i = 0; i < n; i++)
            buf_str(&front, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
        buf_add(&front, "\n", 2);
        if (n == 63 && standing(log, 0) != 0)
            continue;
        whole((const char *)front.data, span_buf(&text), span_buf(&line));
        unsigned status = post();
        check(n == 63 ? PROOF_FROM_ZERO : PROOF_63, n == 63 ? status == 422 : refused(status), "so many proof lines from size 0");
    }
    own_request(&body, log, 0, 5);
    body.len--;
    check(LINE_ENDS, refused(post()), "the last newline is missing");
    refuse(LINE_ENDS, "old 0\r\n\r\n", span_buf(&text), span_buf(&line), "lines end in CRLF");
    refuse(BODY_FORM, "old 0\n", span_buf(&text), span_buf(&line), "no empty line before the checkpoint");
    refuse(BODY_FORM, "old 0\n\n", span_str(""), span_str(""), "no checkpoint");
    check(NEVER_COSIGNS, stands_at(log, start), "after malformed requests alone");
    buf_free(&text);
    buf_free(&line);
    buf_free(&front);
}

/* Signature lines over log's head of 5 entries that must get 403. */
static void deny(enum clause clause, const struct own_log *log, struct span text, struct span first, struct span second,
                 const char *which_case)
{
    struct buf both = BUF_EMPTY;
    buf_span(&both, first);
    buf_span(&both, second);
    whole(standing(log, 0) == 5 ? "old 5\n\n" : "old 0\n\n", text, span_buf(&both));
    check(clause, post() == 403, which_case);
    check(VERIFY_LOG, last.status != 200, which_case);
    buf_free(&both);
}

static void many_signatures(const struct own_log *log, const struct own_log *stranger, struct span text, struct buf *good,
                            struct buf *other)
{
    struct buf lines = BUF_EMPTY;
    struct note note;
    struct why why;
    /* Sixteen lines: the log's keys' among strangers'. */
    for (int i = 0; i < 16; i++) {
        if (i == 7 || i == 11)
            buf_span(&lines, i == 7 ? span_buf(good) : span_buf(other));
        else
            stray_line(&lines, i % 2 ? stranger : log, false);
    }
    whole(standing(log, 0) == 5 ? "old 5\n\n" : "old 0\n\n", text, span_buf(&lines));
    post();
    bool well = cosigned_well("sixteen signatures, most by unknown keys") && !text_has(span_buf(&last.body), parts[SIGNATURES]);
    check(UNKNOWN_KEYS, well, "sixteen signatures, most by unknown keys");
    if (get_note(log) == 200) {
        buf_byte(good, '\0');
        buf_byte(other, '\0');
        bool shown = note_parse(&note, span_buf(&last.body), &why) == OK && text_has(note.sig_lines, (const char *)good->data) &&
                     text_has(note.sig_lines, (const char *)other->data);
        check(SHOWS_LOGS, shown, "the lines of every trusted key");
    }
    buf_free(&lines);
}

/* `second` is another key of log's origin, or the log itself where the witness does not know it; `stranger` is another log. */
static void signatures(const struct own_log *log, const struct own_log *second, const struct own_log *stranger,
                       const struct own_log *unknown)
{
    struct buf text = BUF_EMPTY, good = BUF_EMPTY, other = BUF_EMPTY, bad = BUF_EMPTY, stray = BUF_EMPTY, strange = BUF_EMPTY;
    struct hash root = own_root(log, 5);
    struct span none = span_str("");
    uint64_t start = standing(log, 0);
    own_text(&text, log, 5, &root);
    own_line(&good, log, span_buf(&text));
    if (second != log)
        own_line(&other, second, span_buf(&text));
    stray_line(&bad, log, true);
    stray_line(&stray, log, false);
    own_line(&strange, stranger, span_buf(&text));
    check(UNKNOWN_LOG, add(unknown, 0, 5) == 404, "an origin that nobody added");
    deny(BAD_SIGNATURE, log, span_buf(&text), span_buf(&bad), none, "a trusted key's name and ID, and a wrong signature");
    deny(NO_SIGNATURE, log, span_buf(&text), span_buf(&stray), none, "the key's name with another ID");
    deny(NO_SIGNATURE, log, span_buf(&text), span_buf(&strange), none, "a key trusted for another origin");
    deny(BAD_SIGNATURE, log, span_buf(&text), span_buf(&good), span_buf(&bad), "a good line, then a bad one of the same key");
    deny(BAD_SIGNATURE, log, span_buf(&text), span_buf(&bad), span_buf(&good), "a bad line, then a good one of the same key");
    if (second != log)
        deny(BAD_SIGNATURE, log, span_buf(&text), span_buf(&other), span_buf(&bad), "a good line and another key's bad one");
    check(NEVER_COSIGNS, stands_at(log, start), "after wrong signatures alone");
    if (standing(log, 0) == 0)
        check(SHOWS_404, get_note(log) == 404, "after wrong signatures alone");
    many_signatures(log, stranger, span_buf(&text), &good, &other);
    buf_free(&text);
    buf_free(&good);
    buf_free(&other);
    buf_free(&bad);
    buf_free(&stray);
    buf_free(&strange);
}

/* What monitors see, after `size` was cosigned. */
static void monitors(const struct own_log *log, uint64_t size)
{
    struct note note;
    struct checkpoint shown;
    struct why why;
    bool cosigned = false, signed_by_log = false;
    uint64_t time_s = 0;
    check(SHOWS, get_note(log) == 200, "a log that was cosigned");
    if (last.status != 200) {
        static const enum clause unseen[] = { SHOWS_GET, SHOWS_NOTE, SHOWS_OWN, SHOWS_LOGS, SHOWS_SOON, ORIGIN };
        for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
            untested(unseen[i], "the witness shows no checkpoint");
        return;
    }
    bool well = note_parse(&note, span_buf(&last.body), &why) == OK && checkpoint_parse(&shown, note.text, &why) == OK &&
                span_eq(shown.origin, log->vkey.name);
    check(SHOWS_GET, true, "");
    check(SHOWS_NOTE, well, "a log that was cosigned");
    check(ORIGIN, well, "what the witness shows");
    bool own = well && cosignature_verify(&note, &under_test->key, 1, &cosigned, &time_s, &why) == OK && cosigned && time_s > 0;
    check(SHOWS_OWN, own, "a log that was cosigned");
    check(SHOWS_LOGS, well && note_verify(&note, &log->vkey, 1, &signed_by_log, NULL, &why) == OK && signed_by_log, "one key");
    if (well && shown.size == size)
        check(SHOWS_SOON, true, "");
}

static void conflict(const struct own_log *log, uint64_t old, uint64_t size, const char *says, const char *which_case)
{
    check(OLD_MATCHES, add(log, old, size) == 409, which_case);
    if (last.status != 409)
        return;
    check(CONFLICT_BODY, span_is(span_buf(&last.body), says), which_case);
    check(CONFLICT_TYPE, strcmp(last.content_type, "text/x.tlog.size") == 0, which_case);
}

static void sizes(const struct own_log *log)
{
    if (standing(log, 0) == 0)
        check(SHOWS_404, get_note(log) == 404, "a log that it knows and never cosigned");
    check(OLD_ABOVE, add(log, 7, 5) == 400, "a log that it never cosigned");
    if (standing(log, 0) == 0)
        conflict(log, 3, 5, "0\n", "a log that it never cosigned");
    add(log, standing(log, 0), 10);
    cosigned_well("first contact: from nothing to any size");
    conflict(log, 5, 12, "10\n", "a lower old size");
    conflict(log, 0, 12, "10\n", "a client that asks for the size with 0");
    check(OLD_ABOVE, add(log, 12, 11) == 400, "where it would be a conflict, too");
    add(log, 10, 10);
    cosigned_well("the same head again");
    check(KEEP_ALIVE, last.connections == 0, "a request after another");
    add(log, 10, 37);
    cosigned_well("growth by a proof");
    check(UPDATES, stands_at(log, 37), "what a conflict says then");
    monitors(log, 37);
    if (under_test->restart == NULL)
        return;
    add(log, 37, 38);
    if (cosigned_well("right before a restart") && system(under_test->restart) == 0)
        check(PERSISTS, stands_at(log, 38), "after a kill right behind the answer");
    else
        untested(PERSISTS, "the command of --restart failed");
}

static void empty_trees(const struct own_log *log)
{
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    struct hash root = own_root(log, 1);
    own_text(&text, log, 0, &root);
    own_line(&line, log, span_buf(&text));
    whole("old 0\n\n", span_buf(&text), span_buf(&line));
    check(EMPTY_ROOT, post() == 422, "the root of another tree");
    add(log, 0, 0);
    cosigned_well("an empty tree");
    monitors(log, 0);
    add(log, 0, 0);
    cosigned_well("an empty tree again");
    add(log, 0, 9);
    cosigned_well("from an empty tree");
    check(UPDATES, stands_at(log, 9), "from an empty tree");
    buf_free(&text);
    buf_free(&line);
}

/* A proof from 13 to 21 entries that does not hold. */
static void false_proof(const struct own_log *log, struct buf *front, struct span text, struct span line, const char *which_case)
{
    if (standing(log, 13) != 13)
        return;
    buf_byte(front, '\0');
    whole((const char *)front->data, text, line);
    front->len--;
    check(PROOF_HOLDS, post() == 422, which_case);
}

static void proofs(const struct own_log *log)
{
    static const char one_hash[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n";
    struct buf text = BUF_EMPTY, line = BUF_EMPTY, front = BUF_EMPTY;
    struct hash root = own_root(log, 21);
    uint64_t start = standing(log, 0);
    own_request(&body, log, 0, 13);
    buf_str(&front, "old 0\n");
    buf_str(&front, one_hash);
    buf_add(&front, body.data + strlen("old 0\n\n"), body.len - strlen("old 0\n\n"));
    buf_clear(&body);
    buf_span(&body, span_buf(&front));
    if (start == 0)
        check(PROOF_FROM_ZERO, post() == 422, "one hash");
    add(log, standing(log, 0), 13);
    cosigned_well("a head to prove from");
    own_text(&text, log, 21, &root);
    own_line(&line, log, span_buf(&text));
    buf_clear(&front);
    own_front(&front, log, 13, 21);
    for (size_t at = span_find(span_buf(&front), '\n') + 1; at + 2 < front.len; at += 45) {
        uint8_t was = front.data[at];
        front.data[at] = was == 'A' ? 'B' : 'A';
        false_proof(log, &front, span_buf(&text), span_buf(&line), "one hash is another");
        front.data[at] = was;
    }
    front.len--;
    buf_str(&front, one_hash);
    false_proof(log, &front, span_buf(&text), span_buf(&line), "a hash too many");
    buf_clear(&front);
    buf_str(&front, "old 13\n\n");
    false_proof(log, &front, span_buf(&text), span_buf(&line), "no proof");
    buf_free(&text);
    buf_free(&line);
    buf_free(&front);
}

static void forks(const struct own_log *log)
{
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    struct hash wrong = own_root(log, 22);
    own_text(&text, log, 13, &wrong);
    own_line(&line, log, span_buf(&text));
    check(NEVER_COSIGNS, stands_at(log, 13), "after proofs that do not hold");
    if (standing(log, 13) == 13) {
        whole("old 13\n\n", span_buf(&text), span_buf(&line));
        check(SAME_ROOT, post() == 422, "a fork at the size cosigned last");
        check(NEVER_COSIGNS, !text_has(span_buf(&last.body), "\xe2\x80\x94"), "a fork");
        check(NEVER_COSIGNS, stands_at(log, 13), "after a fork");
        if (get_note(log) == 200)
            check(NEVER_COSIGNS, text_has(span_buf(&last.body), "\n13\n"), "what monitors see after a fork");
    }
    buf_free(&text);
    buf_free(&line);
}

static void extensions(const struct own_log *log)
{
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    struct hash root = own_root(log, 5);
    own_text(&text, log, 5, &root);
    buf_str(&text, "an extension line\nanother: \xc3\xa9\n");
    own_line(&line, log, span_buf(&text));
    whole(standing(log, 0) == 5 ? "old 5\n\n" : "old 0\n\n", span_buf(&text), span_buf(&line));
    post();
    check(MESSAGE_MORE, cosigned_well("two extension lines"), "two extension lines");
    if (get_note(log) == 200)
        check(SHOWS_NOTE, text_has(span_buf(&last.body), "\nan extension line\nanother: \xc3\xa9\n\n"), "extension lines");
    buf_clear(&line);
    buf_str(&text, "\nthird\n");
    own_line(&line, log, span_buf(&text));
    refuse(EXTENSIONS, "old 5\n\n", span_buf(&text), span_buf(&line), "an empty line among the extension lines");
    buf_free(&text);
    buf_free(&line);
}

/* Does the witness know the log, and has it never cosigned it? It is asked with an old size of 1, which a log that is new must not
 * have: where that is taken, the checks go on from there. */
static bool is_new(const struct own_log *log)
{
    unsigned status = add(log, 1, 5);
    if (status == 404 || status == 403 || status == 0)
        printf("# %s: not known to the witness (%u): the clauses that need it are not tested\n", log->vkey_text, status);
    else if (status == 409 && !span_is(span_buf(&last.body), "0\n"))
        printf("# %s: cosigned before, take another --seed: the clauses that need it are not tested\n", log->vkey_text);
    else {
        check(OLD_MATCHES, status == 409, "a log that it never cosigned");
        return true;
    }
    return false;
}

static void make_log(struct own_log *log, const char *seed, size_t part)
{
    char origin[128];
    snprintf(origin, sizeof origin, "%s/%s", seed, parts[part]);
    own_log_make(log, origin, part == SECOND, LEAVES);
}

void witness_print_logs(const char *seed)
{
    for (size_t i = 0; i < UNKNOWN; i++) {
        struct own_log log;
        make_log(&log, seed, i);
        printf("%.*s %s\n", SPAN_FMT(log.vkey.name), log.vkey_text);
        own_log_free(&log);
    }
}

bool witness_run(const struct witness_under_test *witness)
{
    bool any = false;
    struct own_log logs[LOGS];
    bool usable[LOGS];
    under_test = witness;
    for (size_t i = 0; i < LOGS; i++) {
        make_log(&logs[i], witness->seed, i);
        usable[i] = i != UNKNOWN && is_new(&logs[i]);
        any = any || usable[i];
    }
    check(COSIGNER_NAME, !text_has(witness->key.name, "://"), "the key's name");
    if (usable[FORM])
        form_of_the_request(&logs[FORM]);
    if (usable[SIGNATURES])
        signatures(&logs[SIGNATURES], &logs[usable[SECOND] ? SECOND : SIGNATURES], &logs[SIZES], &logs[UNKNOWN]);
    if (usable[SIZES])
        sizes(&logs[SIZES]);
    if (usable[EMPTY] && standing(&logs[EMPTY], 0) == 0)
        empty_trees(&logs[EMPTY]);
    if (usable[PROOFS]) {
        proofs(&logs[PROOFS]);
        forks(&logs[PROOFS]);
    }
    if (usable[EXTENDING])
        extensions(&logs[EXTENDING]);
    for (size_t i = 0; i < LOGS; i++)
        own_log_free(&logs[i]);
    buf_free(&body);
    return any;
}
