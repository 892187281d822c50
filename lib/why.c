#include "lib/why.h"

#include <stdio.h>
#include <string.h>

static void replace_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
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
    replace_controls(why->text);
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
    replace_controls(why->text);
    return err;
}
