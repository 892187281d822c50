/* GET /: the witness as a browser shows it, without a script. */
#include <time.h>

#include "lib/sys/clock.h"
#include "witness/limits.h"
#include "witness/routes.h"

static const char top[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<meta http-equiv=\"refresh\" content=\"60\">\n<style>\n"
    "body { font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222; background: #fff }\n"
    "table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .25em .75em .25em 0; "
    "border-bottom: 1px solid #ddd; vertical-align: top }\n"
    "td.n, th.n { text-align: right } code, td.o { overflow-wrap: anywhere } code { background: #f3f3f3; padding: .1em .3em }\n"
    ".bad { color: #a00; font-weight: bold }\n"
    "@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } code { background: #282828 } "
    "th, td { border-color: #444 } .bad { color: #f77 } a { color: #8bf } }\n"
    "</style>\n";

static void escape(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if (c == '&')
            buf_str(out, "&amp;");
        else if (c == '<')
            buf_str(out, "&lt;");
        else if (c == '>')
            buf_str(out, "&gt;");
        else if (c == '"')
            buf_str(out, "&quot;");
        else
            buf_byte(out, (uint8_t)c);
    }
}

/* "5 min", of seconds. */
static void put_age(struct buf *out, uint64_t age_s)
{
    if (age_s < 120)
        buf_fmt(out, "%llu s", (unsigned long long)age_s);
    else if (age_s < 120 * 60)
        buf_fmt(out, "%llu min", (unsigned long long)(age_s / 60));
    else if (age_s < 48 * 3600)
        buf_fmt(out, "%llu h", (unsigned long long)(age_s / 3600));
    else
        buf_fmt(out, "%llu days", (unsigned long long)(age_s / 86400));
}

static void put_time(struct buf *out, uint64_t time_s)
{
    time_t time = (time_t)time_s;
    struct tm tm;
    char text[32];
    if (gmtime_r(&time, &tm) != NULL && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
        buf_str(out, text);
}

static void put_log(struct witness *witness, struct log *log, uint64_t now_s, struct buf *out)
{
    pthread_mutex_lock(&witness->logs.notes_lock);
    uint64_t size = log->size, time_s = log->time_s;
    bool any = log->note.len > 0, forked = log->forked, suspected = log->suspected;
    pthread_mutex_unlock(&witness->logs.notes_lock);
    buf_str(out, "<tr><td class=\"o\">");
    escape(out, span_str(log->origin));
    if (!any) {
        buf_str(out, "</td><td class=\"n\">–</td><td>never cosigned</td><td>");
    } else {
        buf_fmt(out, "</td><td class=\"n\"><a href=\"/%s/checkpoint\">%llu</a></td><td title=\"", log->hex,
                (unsigned long long)size);
        put_time(out, time_s);
        buf_str(out, "\">");
        put_age(out, now_s > time_s ? now_s - time_s : 0);
        buf_str(out, " ago</td><td>");
    }
    if (atomic_load(&log->suspended))
        buf_str(out, "<span class=\"bad\">suspended</span> ");
    if (forked)
        buf_str(out, "<span class=\"bad\">forked: two heads of one size</span> ");
    if (suspected)
        buf_str(out, "a proof did not hold ");
    buf_str(out, "</td></tr>\n");
}

/* Where the witness is reached, or why it is not. */
static void put_bastions(struct witness *witness, uint64_t now_s, struct buf *out)
{
    struct bastion_status bastions[BASTIONS_MAX];
    size_t n = bastions_status(witness->bastions, bastions);
    for (size_t i = 0; i < n; i++) {
        const struct bastion_status *bastion = &bastions[i];
        buf_str(out, "<p>Through a bastion: <code>https://");
        escape(out, span_str(bastion->address));
        buf_fmt(out, "/%s</code> ", bastions_name(witness->bastions));
        buf_str(out, bastion->connected ? "connected for " : "<span class=\"bad\">not connected</span> for ");
        put_age(out, now_s > bastion->since_s ? now_s - bastion->since_s : 0);
        if (bastion->why.text[0] != '\0') {
            buf_str(out, ": ");
            escape(out, span_str(bastion->why.text));
        }
        buf_str(out, "</p>\n");
    }
}

static void put_head(struct witness *witness, size_t n, struct buf *out)
{
    const struct vkey *key = signer_key(witness->logs.signer);
    buf_str(out, top);
    buf_str(out, "<title>");
    escape(out, key->name);
    buf_str(out, "</title>\n</head>\n<body>\n<h1>");
    escape(out, key->name);
    buf_fmt(out,
            "</h1>\n<p>A <a href=\"https://c2sp.org/tlog-witness\">witness</a> of %zu transparency log%s: it cosigns each one's "
            "checkpoints as long as they only grow, so that nobody can be shown another history.</p>\n<p>Its key: <code>",
            n, n == 1 ? "" : "s");
    struct buf vkey = BUF_EMPTY;
    vkey_render(&vkey, key);
    escape(out, span_buf(&vkey));
    buf_str(out, "</code></p>\n<p>In a policy, with the URL at which you reach it: <code>witness ");
    escape(out, key->name);
    buf_byte(out, ' ');
    escape(out, span_buf(&vkey));
    buf_str(out, " https://");
    escape(out, key->name);
    buf_str(out, "</code></p>\n");
    out->failed |= vkey.failed;
    buf_free(&vkey);
    if (!committer_works(witness->committer))
        buf_str(out, "<p class=\"bad\">It cannot sign until it is restarted.</p>\n");
}

void page_render(struct witness *witness, struct buf *out)
{
    uint64_t now_s = clock_posix_s();
    size_t n = 0;
    pthread_rwlock_rdlock(&witness->logs.lock);
    for (size_t i = 0; i < witness->logs.n; i++)
        n += witness->logs.items[i]->keys_n > 0;
    put_head(witness, n, out);
    put_bastions(witness, now_s, out);
    buf_str(out, "<table>\n<tr><th>Log</th><th class=\"n\">Entries</th><th>Last cosigned</th><th></th></tr>\n");
    for (size_t i = 0; i < witness->logs.n; i++)
        if (witness->logs.items[i]->keys_n > 0)
            put_log(witness, witness->logs.items[i], now_s, out);
    pthread_rwlock_unlock(&witness->logs.lock);
    buf_str(out, "</table>\n</body>\n</html>\n");
}
