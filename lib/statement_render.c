/* Writing statements, in their one form, and the input list. */
#include <stdlib.h>

#include "lib/dsse.h"
#include "lib/statement.h"
#include "lib/storepath.h"

/* How much is said inline, decided by what fits. */
struct choice {
    bool inputs_by_list;
    const bool *references_by_digest; /* a flag a subject */
    struct hash input_list;
};

static void put_member(struct buf *out, const char *key, struct span value)
{
    buf_fmt(out, "\"%s\":", key);
    json_put_string(out, value);
}

static void put_hex_member(struct buf *out, const char *key, const struct hash *hash)
{
    buf_fmt(out, "\"%s\":\"", key);
    hex_encode(out, span_of(hash->b, sizeof hash->b));
    buf_byte(out, '"');
}

static void put_digest(struct buf *out, const struct hash *hash)
{
    buf_str(out, ",\"digest\":{");
    put_hex_member(out, "sha256", hash);
    buf_byte(out, '}');
}

static void put_strings(struct buf *out, const char *key, const struct span *items, size_t n)
{
    buf_fmt(out, "\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_byte(out, ',');
        json_put_string(out, items[i]);
    }
    buf_byte(out, ']');
}

static void put_subject(struct buf *out, const struct subject *subject, bool by_digest)
{
    buf_byte(out, '{');
    put_member(out, "name", subject->path);
    put_digest(out, &subject->nar_hash);
    buf_str(out, ",\"mediaType\":\"application/x-nix-nar\",\"annotations\":{");
    put_member(out, "output", subject->output);
    buf_fmt(out, ",\"narSize\":%llu,", (unsigned long long)subject->nar_size);
    if (by_digest || subject->references == NULL) {
        struct hash digest = subject->references != NULL ? references_digest(subject->references, subject->references_n)
                                                         : subject->references_digest;
        put_hex_member(out, "referencesSha256", &digest);
    } else {
        put_strings(out, "references", subject->references, subject->references_n);
    }
    buf_str(out, "}}");
}

static void put_input(struct buf *out, const struct input *input)
{
    buf_byte(out, '{');
    put_member(out, "name", input->path);
    put_digest(out, &input->nar_hash);
    buf_fmt(out, ",\"annotations\":{\"kind\":\"%s\"", input_kind_name(input->kind));
    if (input->kind != INPUT_SOURCE) {
        buf_byte(out, ',');
        put_member(out, "derivation", input->derivation);
    } else if (input->references_n > 0) {
        buf_byte(out, ',');
        put_strings(out, "references", input->references, input->references_n);
    }
    buf_str(out, "}}");
}

static void put_dependencies(struct buf *out, const struct statement *statement, const struct choice *choice)
{
    buf_str(out, ",\"resolvedDependencies\":[");
    if (choice->inputs_by_list) {
        buf_str(out, "{\"name\":\"inputs\"");
        put_digest(out, &choice->input_list);
        buf_byte(out, '}');
    }
    for (size_t i = 0; i < statement->inputs_n && !choice->inputs_by_list; i++) {
        if (i > 0)
            buf_byte(out, ',');
        put_input(out, &statement->inputs[i]);
    }
    buf_byte(out, ']');
}

static void put_source(struct buf *out, const struct statement *statement)
{
    const struct {
        const char *key;
        struct span value;
    } members[] = { { "flakeRef", statement->source_flake },
                    { "revision", statement->source_revision },
                    { "attribute", statement->source_attribute } };
    const char *before = ",\"source\":{";
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (members[i].value.len > 0) {
            buf_str(out, before);
            put_member(out, members[i].key, members[i].value);
            before = ",";
        }
    if (strcmp(before, ",") == 0)
        buf_byte(out, '}');
}

static void put_definition(struct buf *out, const struct statement *statement, const struct choice *choice)
{
    buf_str(out, "\"buildDefinition\":{\"buildType\":\"" NIX_BUILD_TYPE "\",\"externalParameters\":{");
    put_member(out, "derivation", statement->derivation);
    buf_byte(out, ',');
    put_strings(out, "outputs", statement->outputs, statement->outputs_n);
    if (statement->source_flake.len > 0 || statement->source_revision.len > 0 || statement->source_attribute.len > 0)
        put_source(out, statement);
    buf_fmt(out, "},\"internalParameters\":{\"claim\":\"%s\",", claim_name(statement->claim));
    put_member(out, "system", statement->system);
    buf_byte(out, ',');
    put_member(out, "storeDir", statement->store_dir);
    buf_byte(out, ',');
    if (statement->sandbox.len > 0) {
        put_member(out, "sandbox", statement->sandbox);
        buf_byte(out, ',');
    }
    if (statement->inputs_recorded)
        put_hex_member(out, "closure", &statement->closure);
    else
        buf_str(out, "\"inputs\":\"unrecorded\"");
    buf_byte(out, '}');
    if (statement->inputs_recorded)
        put_dependencies(out, statement, choice);
    buf_byte(out, '}');
}

static void put_run(struct buf *out, const struct statement *statement)
{
    struct buf id = BUF_EMPTY;
    buf_str(&id, "https://");
    buf_span(&id, statement->key_name);
    if (statement->claim == CLAIM_BACKFILL)
        buf_str(&id, "/backfill");
    buf_str(out, "\"runDetails\":{\"builder\":{");
    put_member(out, "id", span_buf(&id));
    buf_str(out, ",\"version\":{");
    put_member(out, "stele", statement->stele_version);
    if (statement->nix_version.len > 0) {
        buf_byte(out, ',');
        put_member(out, "nix", statement->nix_version);
    }
    buf_str(out, "}}}");
    out->failed |= id.failed;
    buf_free(&id);
}

static void put_statement(struct buf *out, const struct statement *statement, const struct choice *choice)
{
    buf_str(out, "{\"_type\":\"" STATEMENT_TYPE "\",\"subject\":[");
    for (size_t i = 0; i < statement->subjects_n; i++) {
        if (i > 0)
            buf_byte(out, ',');
        put_subject(out, &statement->subjects[i], choice->references_by_digest[i]);
    }
    buf_str(out, "],\"predicateType\":\"" SLSA_PROVENANCE_V1 "\",\"predicate\":{");
    put_definition(out, statement, choice);
    buf_byte(out, ',');
    put_run(out, statement);
    buf_str(out, "}}");
}

/* The subject with the longest references that are still inline; subjects_n where there is none. */
static size_t longest_references(const struct statement *statement, const bool *by_digest)
{
    size_t longest = statement->subjects_n;
    for (size_t i = 0; i < statement->subjects_n; i++)
        if (!by_digest[i] && statement->subjects[i].references_n > 0 &&
            (longest == statement->subjects_n || statement->subjects[i].references_n > statement->subjects[longest].references_n))
            longest = i;
    return longest;
}

enum err statement_render(struct buf *out, const struct statement *statement, struct buf *input_list, struct why *why)
{
    size_t from = out->len, payload_max = envelope_payload_max(statement->key_name);
    bool *by_digest = calloc(statement->subjects_n + 1, sizeof *by_digest);
    if (by_digest == NULL)
        return fail(why, ERR_ENV, "out of memory");
    struct choice choice = { .references_by_digest = by_digest,
                             .inputs_by_list = statement->has_input_list,
                             .input_list = statement->input_list };
    enum err err = OK;
    buf_clear(input_list);
    for (;;) {
        out->len = from;
        put_statement(out, statement, &choice);
        size_t longest = longest_references(statement, by_digest);
        if (out->failed || out->len - from <= payload_max)
            break;
        if (!choice.inputs_by_list && statement->inputs_n > 0) {
            input_list_render(input_list, statement->inputs, statement->inputs_n);
            choice.inputs_by_list = true;
            choice.input_list = sha256_of(span_buf(input_list));
        } else if (longest < statement->subjects_n) {
            by_digest[longest] = true;
        } else {
            err = fail(why, ERR_MALFORMED,
                       "the statement has %zu bytes even with all lists by digest, more than the %zu that fit an attestation",
                       out->len - from, payload_max);
            break;
        }
    }
    if (err == OK && input_list->len > INPUT_LIST_BYTES_MAX)
        err = fail(
            why, ERR_MALFORMED,
            "the list of its %zu direct inputs has %zu bytes, more than %d: a derivation in between, which joins some of them, "
            "makes it shorter",
            statement->inputs_n, input_list->len, INPUT_LIST_BYTES_MAX);
    free(by_digest);
    if (err == OK && input_list->failed)
        err = fail(why, ERR_ENV, "out of memory");
    return err == OK ? buf_done(out, why) : err;
}

void input_list_render(struct buf *out, const struct input *inputs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_span(out, inputs[i].path);
        buf_byte(out, ' ');
        hex_encode(out, span_of(inputs[i].nar_hash.b, sizeof inputs[i].nar_hash.b));
        buf_fmt(out, " %s", input_kind_name(inputs[i].kind));
        if (inputs[i].kind != INPUT_SOURCE) {
            buf_byte(out, ' ');
            buf_span(out, inputs[i].derivation);
        }
        buf_byte(out, '\n');
    }
}

/* "PATH HEX KIND[ DERIVATION]": single spaces, nothing else. */
static bool take_line(struct span line, struct input *out)
{
    struct storepath path;
    struct span rest = line, part;
    *out = (struct input){ 0 };
    ptrdiff_t space = span_find(rest, ' ');
    if (space < 0)
        return false;
    out->path = span_cut(rest, 0, (size_t)space);
    rest = span_cut(rest, (size_t)space + 1, rest.len - (size_t)space - 1);
    if (storepath_parse(&path, out->path, NULL) != OK || rest.len < 65 || rest.data[64] != ' ' ||
        !hex_decode(span_cut(rest, 0, 64), out->nar_hash.b, sizeof out->nar_hash.b))
        return false;
    rest = span_cut(rest, 65, rest.len - 65);
    space = span_find(rest, ' ');
    part = space < 0 ? rest : span_cut(rest, 0, (size_t)space);
    for (enum input_kind kind = INPUT_SOURCE; kind <= INPUT_OUTPUT; kind++)
        if (span_is(part, input_kind_name(kind))) {
            out->kind = kind;
            if (kind == INPUT_SOURCE)
                return space < 0;
            if (space < 0)
                return false;
            out->derivation = span_cut(rest, (size_t)space + 1, rest.len - (size_t)space - 1);
            return storepath_parse(&path, out->derivation, NULL) == OK;
        }
    return false;
}

enum err input_list_parse(struct span text, struct input **inputs, size_t *n, struct why *why)
{
    struct span rest = text, line;
    size_t lines = 0;
    *n = 0;
    if (text.len > INPUT_LIST_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "the input list has %zu bytes, more than %d", text.len, INPUT_LIST_BYTES_MAX);
    while (span_line(&rest, &line))
        lines++;
    if (rest.len > 0)
        return fail(why, ERR_MALFORMED, "the input list does not end in a newline");
    *inputs = calloc(lines + 1, sizeof **inputs);
    if (*inputs == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (rest = text; span_line(&rest, &line); ++*n)
        if (!take_line(line, &(*inputs)[*n]) || (*n > 0 && span_cmp((*inputs)[*n - 1].path, (*inputs)[*n].path) >= 0)) {
            free(*inputs);
            *inputs = NULL;
            return fail(why, ERR_MALFORMED,
                        "line %zu of the input list is not `PATH HEX KIND[ DERIVATION]`, or not in the order of paths", *n + 1);
        }
    return OK;
}
