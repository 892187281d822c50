#include "lib/nar.h"

#include <stdlib.h>

/* What the next string must be. */
enum place {
    MAGIC,
    NODE_OPEN,
    TYPE_KEY,
    TYPE,
    REGULAR_FIELD,
    EXECUTABLE_VALUE,
    CONTENTS_KEY,
    CONTENTS,
    NODE_CLOSE,
    TARGET_KEY,
    TARGET,
    DIRECTORY_FIELD,
    ENTRY_OPEN,
    NAME_KEY,
    NAME,
    NODE_KEY,
    ENTRY_CLOSE,
    END,
};

enum part { LENGTH, BODY, PADDING };

enum { TOKEN_BYTES_MAX = 16 };

/* A directory that is open, and the entry last seen in it. */
struct level {
    size_t name_from, name_len; /* in `names` */
};

struct nar_parser {
    enum place place;
    enum part part;
    uint64_t offset; /* bytes taken */
    uint8_t length_bytes[8];
    unsigned length_n;
    uint64_t left; /* of the string's body */
    unsigned padding;
    struct buf token; /* a string's body, but for CONTENTS */
    struct level *levels;
    size_t depth, levels_cap;
    struct buf names;
};

struct nar_parser *nar_parser_new(void)
{
    return calloc(1, sizeof(struct nar_parser));
}

void nar_parser_free(struct nar_parser *parser)
{
    if (parser == NULL)
        return;
    buf_free(&parser->token);
    buf_free(&parser->names);
    free(parser->levels);
    free(parser);
}

static enum err malformed(const struct nar_parser *parser, struct why *why, const char *what)
{
    return fail(why, ERR_MALFORMED, "the NAR is malformed before byte %llu: %s", (unsigned long long)parser->offset, what);
}

static enum err open_directory(struct nar_parser *parser, struct why *why)
{
    if (parser->depth == NAR_DEPTH_MAX)
        return malformed(parser, why, "folders are nested too deep");
    if (parser->depth == parser->levels_cap) {
        size_t cap = parser->levels_cap == 0 ? 16 : 2 * parser->levels_cap;
        struct level *levels = realloc(parser->levels, cap * sizeof *levels);
        if (levels == NULL)
            return fail(why, ERR_ENV, "out of memory");
        parser->levels = levels;
        parser->levels_cap = cap;
    }
    parser->levels[parser->depth++] = (struct level){ parser->names.len, 0 };
    parser->place = DIRECTORY_FIELD;
    return OK;
}

/* After a node's last parenthesis. */
static void close_node(struct nar_parser *parser)
{
    parser->place = parser->depth == 0 ? END : ENTRY_CLOSE;
}

static enum err take_name(struct nar_parser *parser, struct span name, struct why *why)
{
    struct level *level = &parser->levels[parser->depth - 1];
    struct span last = span_cut(span_buf(&parser->names), level->name_from, level->name_len);
    if (name.len == 0 || span_is(name, ".") || span_is(name, "..") || span_find(name, '/') >= 0 || span_find(name, '\0') >= 0)
        return malformed(parser, why, "an entry's name is empty, `.`, `..`, or has a slash or a NUL in it");
    if (level->name_len > 0 && span_cmp(last, name) >= 0)
        return malformed(parser, why, "the names of a folder's entries are not sorted, or one stands there twice");
    parser->names.len = level->name_from;
    buf_span(&parser->names, name);
    level->name_len = name.len;
    parser->place = NODE_KEY;
    return buf_done(&parser->names, why);
}

static enum err expect(struct nar_parser *parser, struct span token, const char *word, enum place next, struct why *why)
{
    if (!span_is(token, word)) {
        char what[64] = "wanted \"";
        strncat(what, word, 32);
        strncat(what, "\"", 2);
        return malformed(parser, why, what);
    }
    parser->place = next;
    return OK;
}

static enum err take_type(struct nar_parser *parser, struct span token, struct why *why)
{
    if (span_is(token, "directory"))
        return open_directory(parser, why);
    if (span_is(token, "symlink"))
        return expect(parser, token, "symlink", TARGET_KEY, why);
    if (span_is(token, "regular"))
        return expect(parser, token, "regular", REGULAR_FIELD, why);
    return malformed(parser, why, "a type that is none of regular, symlink, directory");
}

static enum err take_target(struct nar_parser *parser, struct span token, struct why *why)
{
    if (token.len == 0 || span_find(token, '\0') >= 0)
        return malformed(parser, why, "a symlink's target is empty or has a NUL in it");
    parser->place = NODE_CLOSE;
    return OK;
}

static enum err take_directory_field(struct nar_parser *parser, struct span token, struct why *why)
{
    if (!span_is(token, ")"))
        return expect(parser, token, "entry", ENTRY_OPEN, why);
    parser->names.len = parser->levels[--parser->depth].name_from;
    close_node(parser);
    return OK;
}

/* One whole string. */
static enum err take_token(struct nar_parser *parser, struct span token, struct why *why)
{
    switch (parser->place) {
    case MAGIC: return expect(parser, token, "nix-archive-1", NODE_OPEN, why);
    case NODE_OPEN: return expect(parser, token, "(", TYPE_KEY, why);
    case TYPE_KEY: return expect(parser, token, "type", TYPE, why);
    case TYPE: return take_type(parser, token, why);
    case REGULAR_FIELD:
        return span_is(token, "executable") ? expect(parser, token, "executable", EXECUTABLE_VALUE, why)
                                            : expect(parser, token, "contents", CONTENTS, why);
    case EXECUTABLE_VALUE: return expect(parser, token, "", CONTENTS_KEY, why);
    case CONTENTS_KEY: return expect(parser, token, "contents", CONTENTS, why);
    case CONTENTS: parser->place = NODE_CLOSE; return OK;
    case NODE_CLOSE:
        if (!span_is(token, ")"))
            return expect(parser, token, ")", NODE_CLOSE, why);
        close_node(parser);
        return OK;
    case TARGET_KEY: return expect(parser, token, "target", TARGET, why);
    case TARGET: return take_target(parser, token, why);
    case DIRECTORY_FIELD: return take_directory_field(parser, token, why);
    case ENTRY_OPEN: return expect(parser, token, "(", NAME_KEY, why);
    case NAME_KEY: return expect(parser, token, "name", NAME, why);
    case NAME: return take_name(parser, token, why);
    case NODE_KEY: return expect(parser, token, "node", NODE_OPEN, why);
    case ENTRY_CLOSE: return expect(parser, token, ")", DIRECTORY_FIELD, why);
    case END: break;
    }
    return malformed(parser, why, "bytes follow the archive's end");
}

static uint64_t body_max(enum place place)
{
    return place == CONTENTS ? INT64_MAX
           : place == NAME   ? NAR_NAME_BYTES_MAX
           : place == TARGET ? NAR_TARGET_BYTES_MAX
                             : TOKEN_BYTES_MAX;
}

static enum err start_body(struct nar_parser *parser, struct why *why)
{
    uint64_t len = 0;
    for (int i = 7; i >= 0; i--)
        len = len << 8 | parser->length_bytes[i];
    parser->length_n = 0;
    if (len > body_max(parser->place))
        return malformed(parser, why, "a string is longer than what may stand there");
    parser->left = len;
    parser->padding = (unsigned)(-len & 7);
    parser->part = BODY;
    buf_clear(&parser->token);
    return OK;
}

static enum err end_body(struct nar_parser *parser, struct why *why)
{
    if (parser->part == BODY && parser->left == 0)
        parser->part = PADDING;
    if (parser->part != PADDING || parser->padding > 0)
        return OK;
    parser->part = LENGTH;
    return take_token(parser, span_buf(&parser->token), why);
}

/* Takes what belongs to the present part of a string. */
static enum err take_part(struct nar_parser *parser, struct span *bytes, struct why *why)
{
    size_t take = 1;
    enum err err = OK;
    if (parser->part == LENGTH) {
        parser->length_bytes[parser->length_n++] = bytes->data[0];
    } else if (parser->part == PADDING) {
        if (bytes->data[0] != 0)
            return malformed(parser, why, "padding that is not zero");
        parser->padding--;
    } else {
        take = parser->left < bytes->len ? (size_t)parser->left : bytes->len;
        if (parser->place != CONTENTS)
            buf_add(&parser->token, bytes->data, take);
        parser->left -= take;
        err = buf_done(&parser->token, why);
    }
    parser->offset += take;
    *bytes = span_cut(*bytes, take, bytes->len - take);
    return err;
}

enum err nar_parser_feed(struct nar_parser *parser, struct span bytes, struct why *why)
{
    enum err err = OK;
    while (bytes.len > 0 && err == OK) {
        if (parser->place == END)
            return malformed(parser, why, "bytes follow the archive's end");
        err = take_part(parser, &bytes, why);
        if (err == OK && parser->part == LENGTH && parser->length_n == sizeof parser->length_bytes)
            err = start_body(parser, why);
        if (err == OK && parser->part != LENGTH)
            err = end_body(parser, why);
    }
    return err;
}

enum err nar_parser_end(struct nar_parser *parser, struct why *why)
{
    return parser->place == END ? OK : malformed(parser, why, "it ends too early");
}

static void put_padding(struct buf *out, uint64_t len)
{
    static const uint8_t zeros[8];
    buf_add(out, zeros, (size_t)(-len & 7));
}

static void put_length(struct buf *out, uint64_t len)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++, len >>= 8)
        bytes[i] = (uint8_t)len;
    buf_add(out, bytes, sizeof bytes);
}

/* Length, bytes, padding to 8. */
static void put_string(struct buf *out, struct span text)
{
    put_length(out, text.len);
    buf_span(out, text);
    put_padding(out, text.len);
}

static void put_words(struct buf *out, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_string(out, span_str(words[i]));
}

void nar_put_start(struct buf *out)
{
    put_string(out, span_str("nix-archive-1"));
}

void nar_put_contents_start(struct buf *out, bool executable, uint64_t size)
{
    static const char *const words[] = { "(", "type", "regular", "executable", "" };
    put_words(out, words, executable ? 5 : 3);
    put_string(out, span_str("contents"));
    put_length(out, size);
}

void nar_put_contents_end(struct buf *out, uint64_t size)
{
    put_padding(out, size);
    put_string(out, span_str(")"));
}

void nar_put_symlink(struct buf *out, struct span target)
{
    static const char *const words[] = { "(", "type", "symlink", "target" };
    put_words(out, words, 4);
    put_string(out, target);
    put_string(out, span_str(")"));
}

void nar_put_directory_start(struct buf *out)
{
    static const char *const words[] = { "(", "type", "directory" };
    put_words(out, words, 3);
}

void nar_put_entry_start(struct buf *out, struct span name)
{
    static const char *const words[] = { "entry", "(", "name" };
    put_words(out, words, 3);
    put_string(out, name);
    put_string(out, span_str("node"));
}

void nar_put_entry_end(struct buf *out)
{
    put_string(out, span_str(")"));
}

void nar_put_directory_end(struct buf *out)
{
    put_string(out, span_str(")"));
}
