#include "lib/nixconf.h"

#include "lib/json.h"

static bool name_ok(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] == '=')
            return false;
    return name.len > 0;
}

/* In one line, without leading spaces; control characters, which no setting that counts here has, become spaces. */
static void put_value(struct buf *out, struct span value)
{
    while (value.len > 0 && value.data[0] <= ' ')
        value = span_of(value.data + 1, value.len - 1);
    for (size_t i = 0; i < value.len; i++)
        buf_byte(out, value.data[i] < ' ' ? ' ' : value.data[i]);
}

/* Objects (access tokens among them) are left out. */
static bool put_json(struct buf *out, const struct json_value *value)
{
    if (json_is(value, KIND_TRUE) || json_is(value, KIND_FALSE))
        buf_str(out, json_is(value, KIND_TRUE) ? "true" : "false");
    else if (json_is(value, KIND_STRING) || json_is(value, KIND_INTEGER))
        put_value(out, value->text);
    else if (!json_is(value, KIND_LIST))
        return false;
    bool first = true;
    for (const struct json_value *item = json_first(value); item != NULL; item = json_next(value, item)) {
        if (item->text.len == 0)
            continue;
        if (!first)
            buf_byte(out, ' ');
        first = false;
        put_value(out, item->text);
    }
    return true;
}

static enum err from_json(struct nixconf *out, struct span text, struct why *why)
{
    struct json json;
    enum err err = json_parse(&json, text, "Nix's configuration", why);
    const struct json_value *root = json_root(&json), *member = err == OK ? root + 1 : NULL;
    if (err == OK && !json_is(root, KIND_OBJECT))
        err = fail(why, ERR_MALFORMED, "Nix's configuration is no JSON object");
    for (uint32_t i = 0; err == OK && i < root->n; i++, member += member->spread) {
        size_t from = out->text.len;
        if (!name_ok(member->key))
            continue;
        buf_span(&out->text, member->key);
        buf_str(&out->text, " = ");
        if (put_json(&out->text, json_member(member, "value")))
            buf_byte(&out->text, '\n');
        else if (!out->text.failed)
            out->text.len = from;
    }
    json_free(&json);
    return err;
}

/* The value's leading spaces are taken off; an empty value leaves "name = ". */
static bool split(struct span line, struct span *name, struct span *value)
{
    ptrdiff_t equals = span_find(line, '=');
    if (equals < 2 || line.data[equals - 1] != ' ')
        return false;
    *name = span_cut(line, 0, (size_t)equals - 1);
    if (!name_ok(*name))
        return false;
    *value = span_cut(line, (size_t)equals + 1, line.len - (size_t)equals - 1);
    while (value->len > 0 && value->data[0] == ' ')
        *value = span_of(value->data + 1, value->len - 1);
    return true;
}

static enum err from_lines(struct nixconf *out, struct span text, struct why *why)
{
    struct span line, name, value;
    while (text.len > 0) {
        if (!span_line(&text, &line)) {
            line = text; /* the last one, without its newline */
            text = span_of(NULL, 0);
        }
        if (line.len == 0)
            continue;
        if (!split(line, &name, &value))
            return fail(why, ERR_MALFORMED, "Nix's configuration has a line without ` = `");
        buf_span(&out->text, name);
        buf_str(&out->text, " = ");
        put_value(&out->text, value);
        buf_byte(&out->text, '\n');
    }
    return OK;
}

enum err nixconf_parse(struct nixconf *out, struct span text, struct why *why)
{
    *out = (struct nixconf){ .text = BUF_EMPTY };
    if (text.len == 0 || text.len > NIXCONF_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "Nix's configuration is empty, or larger than %d bytes", NIXCONF_BYTES_MAX);
    enum err err = text.data[0] == '{' ? from_json(out, text, why) : from_lines(out, text, why);
    if (err == OK)
        err = buf_done(&out->text, why);
    if (err != OK)
        nixconf_free(out);
    return err;
}

void nixconf_free(struct nixconf *conf)
{
    buf_free(&conf->text);
}

bool nixconf_get(const struct nixconf *conf, const char *name, struct span *value)
{
    struct span rest = span_buf(&conf->text), line, found;
    while (span_line(&rest, &line))
        if (split(line, &found, value) && span_is(found, name))
            return true;
    *value = span_of(NULL, 0);
    return false;
}

bool nixconf_is(const struct nixconf *conf, const char *name, const char *value)
{
    struct span found;
    return nixconf_get(conf, name, &found) && span_is(found, value);
}
