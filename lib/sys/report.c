#include "lib/sys/report.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/sys/clock.h"

static const char *program_name = "stele";
static enum report_level least_level = REPORT_INFO;

void report_start(const char *program, enum report_level least)
{
    program_name = program;
    least_level = least;
}

void report(enum report_level level, const char *event, const char *fmt, ...)
{
    static const char *const names[] = { "info", "warn", "error" };
    char line[4096];
    char time[CLOCK_TEXT_BYTES];
    if (level < least_level)
        return;
    size_t len =
        (size_t)snprintf(line, sizeof line, "%s %s %s %s ", clock_text(clock_posix_s(), time), names[level], program_name, event);
    va_list args;
    va_start(args, fmt);
    int put = vsnprintf(line + len, sizeof line - len - 1, fmt, args);
    va_end(args);
    len += put < 0 ? 0 : (size_t)put < sizeof line - len - 1 ? (size_t)put : sizeof line - len - 2;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[len++] = '\n';
    /* One write a line: threads and processes do not mix theirs. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

const char *report_quote(const char *text)
{
    static _Thread_local char buffers[4][1024];
    static _Thread_local unsigned next;
    char *out = buffers[next++ % 4];
    size_t len = 0;
    out[len++] = '"';
    for (; *text != '\0' && len < sizeof buffers[0] - 3; text++) {
        if (*text == '"' || *text == '\\')
            out[len++] = '\\';
        out[len++] = *text;
    }
    out[len++] = '"';
    out[len] = '\0';
    return out;
}

void report_why(enum report_level level, const char *event, const struct why *why)
{
    report(level, event, "why=%s", report_quote(why->text));
}
