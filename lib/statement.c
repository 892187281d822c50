/* Reading statements; lib/statement_render.c writes them. */
#include "lib/statement.h"

#include <stdlib.h>

#include "lib/storepath.h"

/* Why a statement does not count; it is logged and shown all the same. */
static bool foreign(struct statement *statement, const char *reason)
{
    if (!statement->foreign)
        fail(&statement->why_foreign, ERR_REFUSED, "%s", reason);
    statement->foreign = true;
    return false;
}

static struct span member_of(const struct json_value *object, const char *key)
{
    return json_text(json_member(object, key));
}

static bool hash_member(const struct json_value *object, const char *key, struct hash *out)
{
    return hex_decode(member_of(object, key), out->b, sizeof out->b);
}

struct hash references_digest(const struct span *names, size_t n)
{
    struct sha256 state;
    sha256_start(&state);
    for (size_t i = 0; i < n; i++) {
        sha256_add(&state, names[i].data, names[i].len);
        sha256_add(&state, "\n", 1);
    }
    return sha256_end(&state);
}

const char *statement_sandbox(struct span text)
{
    static const char *const settings[] = { "true", "false", "relaxed" };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (span_is(text, settings[i]))
            return settings[i];
    return NULL;
}

void closure_digest_add(struct sha256 *state, struct span path, const struct hash *nar_hash)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t line[66] = { ' ' };
    for (size_t i = 0; i < sizeof nar_hash->b; i++) {
        line[1 + 2 * i] = (uint8_t)digits[nar_hash->b[i] >> 4];
        line[2 + 2 * i] = (uint8_t)digits[nar_hash->b[i] & 15];
    }
    line[65] = '\n';
    sha256_add(state, path.data, path.len);
    sha256_add(state, line, sizeof line);
}

const char *claim_name(enum claim claim)
{
    return claim == CLAIM_BUILD ? "build" : claim == CLAIM_REBUILD ? "rebuild" : "backfill";
}

const char *input_kind_name(enum input_kind kind)
{
    return kind == INPUT_SOURCE ? "source" : kind == INPUT_FIXED ? "fixed" : "output";
}

/* A list of base names, sorted and each once. NULL, and *ok false, where it is none. */
static enum err take_names(const struct json_value *list, struct span **out, size_t *n, bool *ok, struct why *why)
{
    size_t count = json_items(list);
    *ok = json_is(list, KIND_LIST) && count <= REFERENCES_MAX;
    *out = NULL;
    *n = 0;
    if (!*ok)
        return OK;
    *out = calloc(count + 1, sizeof **out);
    if (*out == NULL)
        return fail(why, ERR_ENV, "out of memory");
    const struct json_value *name = json_first(list);
    for (; *n < count && *ok; ++*n, name = json_next(list, name)) {
        struct storepath path;
        (*out)[*n] = json_text(name);
        *ok = storepath_parse_base(&path, (*out)[*n], NULL) == OK && (*n == 0 || span_cmp((*out)[*n - 1], (*out)[*n]) < 0);
    }
    return OK;
}

/* What a complete subject has besides name and digest. */
static enum err take_annotations(struct statement *out, struct subject *subject, const struct json_value *object, struct why *why)
{
    const struct json_value *annotations = json_member(object, "annotations"), *list = json_member(annotations, "references");
    bool ok = true;
    enum err err = OK;
    subject->output = member_of(annotations, "output");
    if (!span_is(member_of(object, "mediaType"), "application/x-nix-nar"))
        foreign(out, "a subject's mediaType is not application/x-nix-nar");
    if (subject->output.len == 0)
        foreign(out, "a subject has no annotations.output");
    if (json_get_count(annotations, "", "narSize", &subject->nar_size, NULL) != OK || subject->nar_size == 0)
        foreign(out, "a subject has no annotations.narSize");
    if (list != NULL) {
        err = take_names(list, &subject->references, &subject->references_n, &ok, why);
        if (err == OK && ok)
            subject->references_digest = references_digest(subject->references, subject->references_n);
        if (json_member(annotations, "referencesSha256") != NULL)
            ok = false;
    } else {
        ok = hash_member(annotations, "referencesSha256", &subject->references_digest);
    }
    if (!ok)
        foreign(out, "a subject's references are not a sorted list of base names, or its digest");
    return err;
}

static enum err take_subjects(struct statement *out, struct why *why)
{
    const struct json_value *list;
    enum err err = json_get_list(json_root(&out->json), "", "subject", &list, why);
    if (err != OK)
        return err;
    if (json_items(list) > SUBJECTS_MAX)
        return fail(why, ERR_MALFORMED, "more than %d subjects", SUBJECTS_MAX);
    out->subjects = calloc(json_items(list) + 1, sizeof *out->subjects);
    if (out->subjects == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (const struct json_value *item = json_first(list); item != NULL; item = json_next(list, item)) {
        struct subject *subject = &out->subjects[out->subjects_n];
        struct storepath path;
        subject->path = member_of(item, "name");
        /* Other tools name the path by `uri`. */
        if (storepath_parse(&path, subject->path, NULL) != OK)
            subject->path = member_of(item, "uri");
        if (storepath_parse(&path, subject->path, NULL) != OK ||
            !hash_member(json_member(item, "digest"), "sha256", &subject->nar_hash)) {
            foreign(out, "a subject is no store path with a digest.sha256");
            *subject = (struct subject){ 0 };
            continue;
        }
        if (!span_eq(subject->path, member_of(item, "name")))
            foreign(out, "a subject's name is no store path");
        out->subjects_n++;
        err = take_annotations(out, subject, item, why);
        if (err != OK)
            return err;
    }
    if (out->subjects_n == 0)
        return fail(why, ERR_MALFORMED, "no subject is a store path with a digest.sha256: nothing of Nix's is attested");
    return OK;
}

static bool take_claim(struct statement *out, struct span text)
{
    for (enum claim claim = CLAIM_BUILD; claim <= CLAIM_BACKFILL; claim++)
        if (span_is(text, claim_name(claim))) {
            out->claim = claim;
            return true;
        }
    return foreign(out, "internalParameters.claim is none of build, rebuild, backfill");
}

static enum err take_external(struct statement *out, const struct json_value *external, struct why *why)
{
    const struct json_value *list = json_member(external, "outputs"), *source = json_member(external, "source");
    size_t n = json_items(list);
    struct storepath path;
    out->derivation = member_of(external, "derivation");
    if (storepath_parse(&path, out->derivation, NULL) != OK || !span_ends(path.name, ".drv"))
        foreign(out, "externalParameters.derivation is no .drv's store path");
    if (n == 0 || n > SUBJECTS_MAX)
        foreign(out, "externalParameters.outputs is no list of names");
    out->outputs = calloc(n + 1, sizeof *out->outputs);
    if (out->outputs == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (const struct json_value *item = json_first(list); item != NULL; item = json_next(list, item), out->outputs_n++) {
        out->outputs[out->outputs_n] = json_text(item);
        if (out->outputs[out->outputs_n].len == 0)
            foreign(out, "externalParameters.outputs is no list of names");
    }
    out->source_flake = member_of(source, "flakeRef");
    out->source_revision = member_of(source, "revision");
    out->source_attribute = member_of(source, "attribute");
    return OK;
}

static void take_internal(struct statement *out, const struct json_value *internal)
{
    struct span inputs = member_of(internal, "inputs");
    take_claim(out, member_of(internal, "claim"));
    out->system = member_of(internal, "system");
    out->store_dir = member_of(internal, "storeDir");
    out->sandbox = member_of(internal, "sandbox");
    if (json_member(internal, "sandbox") != NULL && statement_sandbox(out->sandbox) == NULL)
        foreign(out, "internalParameters.sandbox is none of true, false, relaxed");
    if (out->system.len == 0 || out->store_dir.len == 0)
        foreign(out, "internalParameters has no system or no storeDir");
    out->inputs_recorded = inputs.len == 0;
    if (!out->inputs_recorded && (!span_is(inputs, "unrecorded") || json_member(internal, "closure") != NULL))
        foreign(out, "internalParameters.inputs is not `unrecorded`, or a closure is given all the same");
    if (out->inputs_recorded && !hash_member(internal, "closure", &out->closure))
        foreign(out, "internalParameters.closure is no hex SHA-256");
}

static bool take_kind(struct span text, enum input_kind *out)
{
    for (enum input_kind kind = INPUT_SOURCE; kind <= INPUT_OUTPUT; kind++)
        if (span_is(text, input_kind_name(kind))) {
            *out = kind;
            return true;
        }
    return false;
}

static enum err take_input(struct statement *out, struct input *input, const struct json_value *item, struct why *why)
{
    const struct json_value *annotations = json_member(item, "annotations"), *list = json_member(annotations, "references");
    struct storepath path;
    bool ok = true;
    input->path = member_of(item, "name");
    input->derivation = member_of(annotations, "derivation");
    if (storepath_parse_in(&path, input->path, out->store_dir, NULL) != OK ||
        !hash_member(json_member(item, "digest"), "sha256", &input->nar_hash) ||
        !take_kind(member_of(annotations, "kind"), &input->kind))
        foreign(out, "an input has no path, digest.sha256 or kind");
    else if ((input->kind == INPUT_SOURCE) != (input->derivation.len == 0) ||
             (input->derivation.len > 0 && storepath_parse_in(&path, input->derivation, out->store_dir, NULL) != OK))
        foreign(out, "an input's derivation does not fit its kind");
    enum err err = list == NULL ? OK : take_names(list, &input->references, &input->references_n, &ok, why);
    if (!ok || (list != NULL && input->kind != INPUT_SOURCE))
        foreign(out, "an input's references are not a source's sorted base names");
    return err;
}

static enum err take_inputs(struct statement *out, const struct json_value *definition, struct why *why)
{
    const struct json_value *list = json_member(definition, "resolvedDependencies");
    size_t n = json_items(list);
    enum err err = OK;
    if (!out->inputs_recorded && list != NULL)
        foreign(out, "resolvedDependencies are given although the inputs are unrecorded");
    if (!out->inputs_recorded)
        return OK;
    if (!json_is(list, KIND_LIST))
        foreign(out, "resolvedDependencies is no list");
    const struct json_value *first = json_first(list);
    if (n == 1 && span_is(member_of(first, "name"), "inputs")) {
        out->has_input_list = true;
        if (!hash_member(json_member(first, "digest"), "sha256", &out->input_list))
            foreign(out, "the input list has no digest.sha256");
        return OK;
    }
    out->inputs = calloc(n + 1, sizeof *out->inputs);
    if (out->inputs == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (const struct json_value *item = json_first(list); item != NULL; item = json_next(list, item)) {
        struct input *input = &out->inputs[out->inputs_n++];
        err = take_input(out, input, item, why);
        if (err != OK)
            return err;
        if (input > out->inputs && span_cmp(input[-1].path, input->path) >= 0)
            foreign(out, "the inputs are not sorted by path");
    }
    return OK;
}

static void take_run(struct statement *out, const struct json_value *details)
{
    const struct json_value *builder = json_member(details, "builder"), *version = json_member(builder, "version");
    struct span id = member_of(builder, "id");
    bool backfill = span_ends(id, "/backfill");
    if (!span_skip(&id, "https://") || id.len == 0) {
        foreign(out, "runDetails.builder.id is not https:// and a key name");
        return;
    }
    if (backfill != (out->claim == CLAIM_BACKFILL))
        foreign(out, "runDetails.builder.id does not fit the claim: a backfill's, and no other, ends in /backfill");
    out->key_name = backfill ? span_cut(id, 0, id.len - strlen("/backfill")) : id;
    out->stele_version = member_of(version, "stele");
    out->nix_version = member_of(version, "nix");
}

/* Subjects, sorted by output name, in the store folder, and named by the outputs. */
static void check_subjects(struct statement *out)
{
    struct storepath path;
    for (size_t i = 0; i < out->subjects_n; i++) {
        bool named = false;
        if (storepath_parse_in(&path, out->subjects[i].path, out->store_dir, NULL) != OK)
            foreign(out, "a subject is not in storeDir");
        if (i > 0 && span_cmp(out->subjects[i - 1].output, out->subjects[i].output) >= 0)
            foreign(out, "the subjects are not sorted by output name");
        for (size_t k = 0; k < out->outputs_n; k++)
            named |= span_eq(out->outputs[k], out->subjects[i].output);
        if (!named)
            foreign(out, "a subject's output is not among externalParameters.outputs");
    }
    if (storepath_parse_in(&path, out->derivation, out->store_dir, NULL) != OK)
        foreign(out, "the derivation is not in storeDir");
}

static enum err take_predicate(struct statement *out, struct why *why)
{
    const struct json_value *predicate = json_member(json_root(&out->json), "predicate"),
                            *definition = json_member(predicate, "buildDefinition");
    if (span_is(member_of(json_root(&out->json), "predicateType"), SLSA_PROVENANCE_V1))
        out->build_type = member_of(definition, "buildType"); /* another predicate may mean anything by it */
    if (!span_is(out->build_type, NIX_BUILD_TYPE)) {
        foreign(out, "it is not of buildType " NIX_BUILD_TYPE);
        return OK;
    }
    take_internal(out, json_member(definition, "internalParameters"));
    enum err err = take_external(out, json_member(definition, "externalParameters"), why);
    if (err == OK)
        err = take_inputs(out, definition, why);
    if (err == OK) {
        take_run(out, json_member(predicate, "runDetails"));
        check_subjects(out);
    }
    return err;
}

enum err statement_parse(struct statement *out, struct span payload, struct why *why)
{
    *out = (struct statement){ 0 };
    struct span type = { 0 };
    enum err err = json_parse(&out->json, payload, "the statement", why);
    if (err == OK)
        err = json_get_string(json_root(&out->json), "", "_type", &type, why);
    if (err == OK && !span_is(type, STATEMENT_TYPE))
        err = fail(why, ERR_MALFORMED, "_type is %.*s, not " STATEMENT_TYPE, SPAN_FMT(type));
    if (err == OK)
        err = take_subjects(out, why);
    if (err == OK)
        err = take_predicate(out, why);
    if (err != OK)
        statement_free(out);
    return err;
}

void statement_free(struct statement *statement)
{
    for (size_t i = 0; i < statement->subjects_n; i++)
        free(statement->subjects[i].references);
    for (size_t i = 0; i < statement->inputs_n; i++)
        free(statement->inputs[i].references);
    free(statement->subjects);
    free(statement->outputs);
    free(statement->inputs);
    json_free(&statement->json);
    *statement = (struct statement){ 0 };
}

enum err statement_check_key(const struct statement *statement, struct span key_name, struct why *why)
{
    if (span_is(statement->build_type, NIX_BUILD_TYPE) && !span_eq(statement->key_name, key_name))
        return fail(why, ERR_MALFORMED,
                    "runDetails.builder.id names the key %.*s, but %.*s signed (spec/attestation.md, \"Statement\")",
                    SPAN_FMT(statement->key_name), SPAN_FMT(key_name));
    return OK;
}
