#include "lib/why.h"

#include <stdio.h>
#include <string.h>

#include "lib/bytes.h"

/* Also what a text that was cut ends with: half a character. */
static void clean(char *text)
{
    struct span rest = span_str(text);
    while (rest.len > 0) {
        uint32_t character;
        size_t len = span_utf8_char(rest, &character);
        bool control = len > 0 && (character < 0x20 || (character >= 0x7f && character < 0xa0));
        size_t bad = len == 0 ? 1 : control ? len : 0;
        memset(text, '?', bad);
        len = bad > 0 ? bad : len;
        text += len;
        rest = span_cut(rest, len, rest.len - len);
    }
}

/* In parentheses, both: `make lint` has macros of these names. */
enum err(fail)(struct why *why, enum err err, const char *fmt, ...)
{
    if (why == NULL)
        return err;
    va_list args;
    va_start(args, fmt);
    vsnprintf(why->text, sizeof why->text, fmt, args);
    va_end(args);
    clean(why->text);
    return err;
}

enum err(fail_in)(struct why *why, enum err err, const char *fmt, ...)
{
    if (why == NULL)
        return err;
    char rest[sizeof why->text];
    memcpy(rest, why->text, sizeof rest);
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(why->text, sizeof why->text, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof why->text)
        snprintf(why->text + len, sizeof why->text - (size_t)len, ": %.*s", (int)(sizeof why->text - (size_t)len), rest);
    clean(why->text);
    return err;
}
