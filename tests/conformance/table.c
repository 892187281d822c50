#include "tests/conformance/table.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_BYTES_MAX = 1200 };
enum level { MUST, MUST_NOT, SHALL_NOT, SHOULD, SHOULD_NOT };

static const char *const level_names[] = { "MUST", "MUST NOT", "SHALL NOT", "SHOULD", "SHOULD NOT" };

static const struct {
    enum subject of;
    const char *specification, *section;
    enum level level;
    const char *what, *untested;
} clauses[CLAUSES] = {
#define X(id, of, spec, section, level, what, untested) { of, spec, section, level, what, untested },
    WITNESS_CLAUSES(X) LOG_CLAUSES(X) CHECKPOINT_CLAUSES(X)
#undef X
};

static struct {
    unsigned held, failed;
    const char *reason;
    struct buf story; /* of the first failure */
} found[CLAUSES];

struct http_response last;
static struct http_client *client;
static struct buf asked; /* the newest request, as it is shown */

void table_start(struct http_client *with)
{
    client = with;
}

static unsigned ended(enum err err, const struct why *why)
{
    if (err != OK) {
        last.status = 0;
        buf_clear(&last.body);
        buf_str(&last.body, why->text);
    }
    return last.status;
}

unsigned ask_get(const char *base, const char *path, const char *header)
{
    char url[2048];
    struct why why;
    snprintf(url, sizeof url, "%s/%s", base, path);
    buf_clear(&asked);
    buf_fmt(&asked, "GET %s%s%s\n", url, header == NULL ? "" : "\n", header == NULL ? "" : header);
    const char *const headers[] = { header, NULL };
    return ended(http_get(client, url, headers, 32 << 20, &last, &why), &why);
}

unsigned ask_post(const char *base, const char *path, struct span body)
{
    char url[2048];
    struct why why;
    snprintf(url, sizeof url, "%s/%s", base, path);
    buf_clear(&asked);
    buf_fmt(&asked, "POST %s\n\n", url);
    buf_span(&asked, body);
    return ended(http_post(client, url, "text/plain", body, 1 << 20, &last, &why), &why);
}

bool text_has(struct span text, const char *needle)
{
    struct span rest = text;
    for (size_t n = strlen(needle); rest.len >= n; rest = span_cut(rest, 1, rest.len - 1))
        if (memcmp(rest.data, needle, n) == 0)
            return true;
    return false;
}

/* Each line behind `mark`; what is not text as \xNN. */
static void quote(struct buf *out, const char *mark, struct span text)
{
    bool fresh = true, cut = text.len > SHOWN_BYTES_MAX, plain = span_utf8(text);
    for (size_t i = 0; i < (cut ? SHOWN_BYTES_MAX : text.len); i++) {
        uint8_t c = text.data[i];
        if (fresh)
            buf_str(out, mark);
        fresh = c == '\n';
        if (c == '\n' || (c >= ' ' && c < 127) || (plain && c >= 128))
            buf_byte(out, c);
        else
            buf_fmt(out, "\\x%02x", c);
    }
    if (!fresh)
        buf_byte(out, '\n');
    if (cut)
        buf_fmt(out, "%s... %zu bytes\n", mark, text.len);
}

void check(enum clause clause, bool held, const char *which_case)
{
    if (held) {
        found[clause].held++;
        return;
    }
    if (found[clause].failed++ > 0)
        return;
    struct buf *story = &found[clause].story;
    buf_fmt(story, "      in this case: %s\n", which_case);
    quote(story, "      > ", span_buf(&asked));
    buf_fmt(story, "      < %u %s%s%s\n", last.status, last.content_type, *last.cache_control ? "; Cache-Control: " : "",
            last.cache_control);
    quote(story, "      < ", span_buf(&last.body));
}

void untested(enum clause clause, const char *reason)
{
    found[clause].reason = reason;
}

bool table_print(enum subject subject)
{
    unsigned passed = 0, failed = 0, untestable = 0, musts_failed = 0;
    for (size_t i = 0; i < CLAUSES; i++) {
        if (!(clauses[i].of & subject))
            continue;
        bool fails = found[i].failed > 0, passes = !fails && found[i].held > 0;
        printf("%-12s  %-10s  %s, %s: %s",
               fails    ? "fail"
               : passes ? "pass"
                        : "not testable",
               level_names[clauses[i].level], clauses[i].specification, clauses[i].section, clauses[i].what);
        if (passes || fails)
            printf(" (%u of %u)\n", found[i].held, found[i].held + found[i].failed);
        else
            printf(" (%s)\n", found[i].reason != NULL ? found[i].reason : clauses[i].untested);
        if (found[i].story.len > 0)
            fwrite(found[i].story.data, 1, found[i].story.len, stdout);
        passed += passes;
        failed += fails;
        musts_failed += fails && clauses[i].level < SHOULD;
        untestable += !passes && !fails;
    }
    printf("%u pass, %u fail (%u of them a MUST), %u not testable\n", passed, failed, musts_failed, untestable);
    return musts_failed == 0;
}

void table_end(void)
{
    for (size_t i = 0; i < CLAUSES; i++)
        buf_free(&found[i].story);
    buf_free(&asked);
    http_response_free(&last);
}
