#include "client/build_internal.h"

#include <stdlib.h>
#include <sys/utsname.h>

#include "lib/dsse.h"
#include "lib/sys/clock.h"
#include "lib/sys/narfs.h"

/* Within so long a result counts as the one that the hook was just called for, where older ones of the same output make it
 * doubtful and Nix names none. */
enum { JUST_NOW_S = 60 };

const char *build_refusal_name(enum build_refusal refusal)
{
    static const char *const names[REFUSALS_N] = {
        "none",      "no-derivation", "not-valid",     "not-built-here", "no-output",   "other-derivation", "ambiguous",
        "too-early", "altered",       "input-unknown", "resolved",       "not-a-check", "not-allowed",      "other",
    };
    return names[refusal];
}

/* The output's name: by the derivation where its path stands there, else by the path's own name. */
struct span making_output_name(const struct making *making, const struct storepath *path)
{
    for (size_t i = 0; i < making->drv.outputs_n; i++)
        if (span_eq(making->drv.outputs[i].path, path->path))
            return making->drv.outputs[i].name;
    struct span rest = path->name, name = making->drv_name;
    if (rest.len > name.len + 1 && memcmp(rest.data, name.data, name.len) == 0 && rest.data[name.len] == '-')
        return span_cut(rest, name.len + 1, rest.len - name.len - 1);
    return span_str("out");
}

/* The name that Nix gives an output's path: the derivation's, and the output's unless that is "out". */
static bool named_for(struct span path_name, struct span drv_name, struct span output)
{
    if (span_is(output, "out"))
        return span_eq(path_name, drv_name);
    return path_name.len == drv_name.len + 1 + output.len && span_eq(span_cut(path_name, 0, drv_name.len), drv_name) &&
           path_name.data[drv_name.len] == '-' && span_eq(span_cut(path_name, drv_name.len + 1, output.len), output);
}

/* Does the derivation make this path? Where it cannot say which path, by name; where it is not there, by the database. */
bool making_is_output(const struct making *making, const struct storepath *path, const struct nixdb_info *info)
{
    if (!making->drv_found)
        return info->deriver != NULL && span_eq(span_str(info->deriver), making->drv_path.path);
    for (size_t i = 0; i < making->drv.outputs_n; i++) {
        const struct drv_output *output = &making->drv.outputs[i];
        if (output->path.len > 0 ? span_eq(output->path, path->path) : named_for(path->name, making->drv_name, output->name))
            return true;
    }
    return false;
}

/* Is it ours to attest: valid, marked as built here, and since this key builds here? */
static enum err check_origin(struct making *making, const char *path, const struct nixdb_info *info, bool found, struct why *why)
{
    making->refusal = !found ? REFUSAL_NOT_VALID : !info->ultimate ? REFUSAL_NOT_BUILT_HERE : REFUSAL_TOO_EARLY;
    if (!found)
        return fail(why, ERR_REFUSED, "%s is not a valid path of this store", path);
    if (!info->ultimate)
        return fail(
            why, ERR_REFUSED,
            "%s was not built here: this store's database does not mark it so (substituted, copied, imported or registered)", path);
    if (info->registered_s < making->build->registered_after_s)
        return fail(why, ERR_REFUSED,
                    "%s was registered before this key began to build on this machine; if this machine built it all the same, "
                    "give --built-on-this-machine",
                    path);
    making->refusal = REFUSAL_OTHER;
    return OK;
}

static enum err check_bytes(struct making *making, const struct storepath *path, const struct nixdb_info *info, struct why *why)
{
    struct hash hash;
    uint64_t size;
    char *real = nix_env_real_path(making->build->env, path->base);
    enum err err = real == NULL ? fail(why, ERR_ENV, "out of memory") : nar_hash_path(real, &hash, &size, why);
    free(real);
    if (err == OK && (!hash_eq(&hash, &info->nar_hash) || size != info->nar_size)) {
        making->refusal = REFUSAL_ALTERED;
        err = fail(why, ERR_REFUSED, "ALARM: %s on disk is not what was registered: it was altered, or the disk is damaged",
                   info->path);
    }
    return err;
}

static enum err add_output(struct making *making, const char *path, struct why *why)
{
    struct nixdb_info *info = &making->infos[making->n];
    struct subject *subject = &making->subjects[making->n];
    struct storepath parsed;
    bool found = false;
    enum err err = storepath_parse_in(&parsed, span_str(path), span_str(making->build->env->store_dir), why);
    if (err == OK)
        err = nixdb_path(making->build->db, path, info, &found, why);
    if (err != OK)
        return err;
    making->n++;
    err = check_origin(making, path, info, found, why);
    if (err == OK)
        err = storepath_parse(&parsed, span_str(info->path), why);
    if (err == OK && !making_is_output(making, &parsed, info)) {
        making->refusal = REFUSAL_OTHER_DERIVATION;
        err = fail(why, ERR_REFUSED, "%s is no output of %s", path, making->build->drv_path);
    }
    if (err == OK)
        making->bytes = info->nar_size > UINT64_MAX - making->bytes ? UINT64_MAX : making->bytes + info->nar_size;
    if (err == OK && making->bytes <= making->build->hash_bytes_max)
        err = check_bytes(making, &parsed, info, why);
    if (err != OK)
        return err;
    *subject = (struct subject){
        .path = parsed.path, .nar_hash = info->nar_hash, .nar_size = info->nar_size, .output = making_output_name(making, &parsed)
    };
    subject->references = calloc(info->references_n + 1, sizeof *subject->references);
    if (subject->references == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < info->references_n && err == OK; i++) {
        err = storepath_parse(&parsed, span_str(info->references[i]), why);
        subject->references[subject->references_n++] = parsed.base;
    }
    return err;
}

enum err making_room(struct making *making, size_t n, struct why *why)
{
    if (n > SUBJECTS_MAX)
        return fail(why, ERR_REFUSED, "more than %d outputs", SUBJECTS_MAX);
    making->infos = calloc(n + 1, sizeof *making->infos);
    making->subjects = calloc(n + 1, sizeof *making->subjects);
    return making->infos == NULL || making->subjects == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

static bool built_here(const struct making *making, const char *path)
{
    struct nixdb_info info;
    bool found = false;
    enum err err = nixdb_path(making->build->db, path, &info, &found, NULL);
    bool here = err == OK && found && info.ultimate;
    nixdb_info_free(&info);
    return here;
}

static enum err add_given(struct making *making, struct why *why)
{
    enum err err = making_room(making, making->build->outputs_n, why);
    for (size_t i = 0; i < making->build->outputs_n && err == OK; i++)
        if (!making->build->pass_over || built_here(making, making->build->outputs[i]))
            err = add_output(making, making->build->outputs[i], why);
    return err;
}

static enum err add_named(struct making *making, struct why *why)
{
    enum err err = making_room(making, making->drv.outputs_n, why);
    for (size_t i = 0; i < making->drv.outputs_n && err == OK; i++) {
        char *path = span_dup_str(making->drv.outputs[i].path);
        if (path == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        else if (*path != '\0' && built_here(making, path))
            err = add_output(making, path, why);
        free(path);
    }
    return err;
}

/* The subject of the output that this path, by its name, is one of; NULL where there is none yet. */
static const struct subject *same_output(const struct making *making, const char *path)
{
    struct storepath parsed;
    if (storepath_parse(&parsed, span_str(path), NULL) != OK)
        return NULL;
    for (size_t i = 0; i < making->n; i++)
        if (span_eq(making->subjects[i].output, making_output_name(making, &parsed)))
            return &making->subjects[i];
    return NULL;
}

/* By the database: of each output the newest result. An impure derivation has many; then it must be of just now, for where a
 * build gave an older one again, nothing tells which. */
static enum err add_derived(struct making *making, struct why *why)
{
    struct nixdb_paths derived = { 0 };
    uint64_t now_s = clock_posix_s();
    enum err err = nixdb_derived(making->build->db, making->build->drv_path, &derived, why);
    if (err == OK)
        err = making_room(making, derived.n < SUBJECTS_MAX ? derived.n : SUBJECTS_MAX, why);
    for (size_t i = 0; i < derived.n && err == OK; i++) {
        const struct subject *newer = same_output(making, derived.items[i]);
        if (!built_here(making, derived.items[i]))
            continue;
        if (newer == NULL && making->n < SUBJECTS_MAX) {
            err = add_output(making, derived.items[i], why);
        } else if (newer == NULL) {
            err = fail(why, ERR_REFUSED, "more than %d outputs", SUBJECTS_MAX);
        } else if (making->infos[newer - making->subjects].registered_s + JUST_NOW_S < now_s) {
            making->refusal = REFUSAL_AMBIGUOUS;
            err = fail(why, ERR_REFUSED,
                       "%s has several results of its output %.*s, and Nix did not say which is the one just built (2.8.0 names "
                       "none to its hook; later versions do)",
                       making->build->drv_path, SPAN_FMT(newer->output));
        }
    }
    nixdb_paths_free(&derived);
    return err;
}

/* Nix 2.8.0 names no outputs: those that the derivation names or, of floating and outlined ones, those whose deriver it is, as
 * far as they were built here. */
static enum err add_found(struct making *making, struct why *why)
{
    return making->drv_found && !drv_is_floating(&making->drv) ? add_named(making, why) : add_derived(making, why);
}

static int by_output(const void *a, const void *b)
{
    return span_cmp(((const struct subject *)a)->output, ((const struct subject *)b)->output);
}

/* "x86_64-linux": what stands for the system of a derivation that is not in the store. */
static const char *own_system(void)
{
    static struct utsname names;
    static char system[sizeof names.machine + 8];
    uname(&names);
    struct buf text = BUF_EMPTY;
    buf_fmt(&text, "%s-linux", names.machine);
    buf_byte(&text, '\0');
    if (!text.failed)
        memcpy(system, text.data, text.len < sizeof system ? text.len : sizeof system);
    buf_free(&text);
    return system;
}

static enum err sign(const struct making *making, const struct statement *statement, struct attestation *out, struct why *why)
{
    struct buf payload = BUF_EMPTY, list = BUF_EMPTY, pae = BUF_EMPTY, envelope = BUF_EMPTY;
    struct vkey key = secret_key_vkey(making->build->key);
    uint8_t sig[64];
    enum err err = statement_render(&payload, statement, &list, why);
    if (err == OK) {
        dsse_pae(&pae, span_str(IN_TOTO_TYPE), span_buf(&payload));
        err = buf_done(&pae, why);
    }
    if (err == OK)
        err = secret_key_sign(making->build->key, span_buf(&pae), sig, why);
    if (err == OK) {
        envelope_render(&envelope, span_buf(&payload), &key, sig);
        if (list.len > 0) {
            buf_str(&out->lines, "{\"inputs\":\"");
            base64_encode(&out->lines, span_buf(&list));
            buf_str(&out->lines, "\"}\n");
        }
        buf_span(&out->lines, span_buf(&envelope));
        buf_byte(&out->lines, '\n');
        out->entry = sha256_of(span_buf(&envelope));
        err = envelope.failed ? fail(why, ERR_ENV, "out of memory") : buf_done(&out->lines, why);
    }
    buf_free(&payload);
    buf_free(&list);
    buf_free(&pae);
    buf_free(&envelope);
    return err;
}

static enum err name_subjects(struct making *making, struct attestation *out, struct why *why)
{
    out->subjects = calloc(making->n + 1, sizeof *out->subjects);
    out->nar_hashes = calloc(making->n + 1, sizeof *out->nar_hashes);
    if (out->subjects == NULL || out->nar_hashes == NULL)
        return fail(why, ERR_ENV, "out of memory");
    qsort(making->subjects, making->n, sizeof *making->subjects, by_output);
    for (size_t i = 0; i < making->n; i++) {
        out->subjects[i] = span_dup_str(making->subjects[i].path);
        out->nar_hashes[i] = making->subjects[i].nar_hash;
        out->subjects_n++;
        if (out->subjects[i] == NULL)
            return fail(why, ERR_ENV, "out of memory");
    }
    return OK;
}

static enum err state_and_sign(const struct making *making, struct attestation *out, struct why *why)
{
    struct vkey key = secret_key_vkey(making->build->key);
    struct span *outputs = calloc(making->n + 1, sizeof *outputs);
    enum err err = outputs == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    for (size_t i = 0; i < making->n && err == OK; i++)
        outputs[i] = making->subjects[i].output;
    struct statement statement = {
        .subjects = making->subjects,
        .subjects_n = making->n,
        .derivation = making->drv_path.path,
        .outputs = outputs,
        .outputs_n = making->n,
        .source_flake = making->build->source_flake,
        .source_revision = making->build->source_revision,
        .source_attribute = making->build->source_attribute,
        .claim = making->build->claim,
        .system = making->drv_found ? making->drv.system : span_str(own_system()),
        .store_dir = span_str(making->build->env->store_dir),
        .sandbox = span_str(making->build->sandbox != NULL ? making->build->sandbox : ""),
        .inputs_recorded = making->drv_found,
        .closure = making->inputs.closure,
        .inputs = making->inputs.items,
        .inputs_n = making->inputs.n,
        .key_name = key.name,
        .stele_version = span_str(STELE_VERSION),
    };
    if (err == OK)
        err = sign(making, &statement, out, why);
    free(outputs);
    return err;
}

void making_free(struct making *making)
{
    for (size_t i = 0; i < making->n; i++) {
        nixdb_info_free(&making->infos[i]);
        free(making->subjects[i].references);
    }
    for (size_t i = 0; i < making->kept_n; i++)
        free(making->kept[i]);
    free(making->kept);
    free(making->infos);
    free(making->subjects);
    build_inputs_free(&making->inputs);
    drv_free(&making->drv);
    buf_free(&making->drv_text);
}

char *making_keep(struct making *making, struct span text)
{
    char *copy = span_dup_str(text), **kept = copy == NULL ? NULL : array_more(making->kept, making->kept_n, sizeof *kept);
    if (kept == NULL) {
        free(copy);
        return NULL;
    }
    making->kept = kept;
    return kept[making->kept_n++] = copy;
}

enum err making_start(struct making *making, struct why *why)
{
    const struct build *build = making->build;
    enum err err = storepath_parse_in(&making->drv_path, span_str(build->drv_path), span_str(build->env->store_dir), why);
    if (err == OK && !span_ends(making->drv_path.name, ".drv"))
        err = fail(why, ERR_REFUSED, "%s is no derivation", build->drv_path);
    if (err != OK) {
        making->refusal = REFUSAL_NO_DERIVATION;
        return err;
    }
    making->drv_name = span_cut(making->drv_path.name, 0, making->drv_path.name.len - 4);
    return build_drv_load(build, build->drv_path, &making->drv, &making->drv_text, &making->drv_found, why);
}

enum err making_finish(struct making *making, struct attestation *out, struct why *why)
{
    enum err err = OK;
    if (making->drv_found)
        err = build_inputs_load(making->build, &making->drv, &making->inputs, &making->refusal, why);
    if (err == OK)
        err = name_subjects(making, out, why);
    out->postponed = making->bytes > making->build->hash_bytes_max;
    return err == OK && !out->postponed ? state_and_sign(making, out, why) : err;
}

static enum err make_attestation(struct making *making, struct attestation *out, struct why *why)
{
    enum err err = making_start(making, why);
    if (err == OK)
        err = making->build->outputs_n > 0 ? add_given(making, why) : add_found(making, why);
    if (err == OK && making->n == 0) {
        making->refusal = REFUSAL_NO_OUTPUT;
        err = fail(why, ERR_REFUSED, "no output of %s was built here", making->build->drv_path);
    }
    return err == OK ? making_finish(making, out, why) : err;
}

enum err build_attest(const struct build *build, struct attestation *out, struct why *why)
{
    struct making making = { .build = build, .refusal = REFUSAL_OTHER };
    *out = (struct attestation){ 0 };
    enum err err = make_attestation(&making, out, why);
    making_free(&making);
    if (err != OK) {
        attestation_free(out);
        out->refusal = making.refusal;
    }
    return err;
}

void attestation_free(struct attestation *attestation)
{
    for (size_t i = 0; i < attestation->subjects_n; i++)
        free(attestation->subjects[i]);
    free(attestation->subjects);
    free(attestation->nar_hashes);
    buf_free(&attestation->lines);
    *attestation = (struct attestation){ 0 };
}
