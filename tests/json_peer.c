#include "tests/json_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "lib/json.h"
#include "lib/limits.h"

static unsigned depth_of(const json_t *value)
{
    unsigned deepest = 0, depth;
    const char *key;
    json_t *item;
    size_t i;
    if (!json_is_object(value) && !json_is_array(value))
        return 0;
    /* jansson iterates over what is not const. */
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach(value, i, item)
    {
        depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static bool same(const struct json_value *ours, const json_t *theirs);

static bool same_members(const struct json_value *ours, const json_t *theirs)
{
    const struct json_value *member = ours + 1;
    if (ours->n != json_object_size(theirs))
        return false;
    for (uint32_t i = 0; i < ours->n; i++, member += member->spread) {
        /* A name has no NUL, but only a copy ends in one. */
        char *key = span_dup_str(member->key);
        bool well = key != NULL && same(member, json_object_get(theirs, key)) && json_member(ours, key) == member;
        free(key);
        if (!well)
            return false;
    }
    return member == ours + ours->spread;
}

static bool same_items(const struct json_value *ours, const json_t *theirs)
{
    size_t i = 0;
    for (const struct json_value *item = json_first(ours); item != NULL; item = json_next(ours, item), i++)
        if (!same(item, json_array_get(theirs, i)))
            return false;
    return i == json_items(ours) && i == json_array_size(theirs);
}

static bool same_number(const struct json_value *ours, const json_t *theirs)
{
    char *text = span_dup_str(ours->text);
    bool well = text != NULL && (json_is_integer(theirs) ? strtoll(text, NULL, 10) == json_integer_value(theirs)
                                                         : strtod(text, NULL) == json_real_value(theirs));
    free(text);
    return well;
}

static bool same(const struct json_value *ours, const json_t *theirs)
{
    static const json_type types[] = {
        [KIND_NULL] = JSON_NULL, [KIND_TRUE] = JSON_TRUE,     [KIND_FALSE] = JSON_FALSE, [KIND_INTEGER] = JSON_INTEGER,
        [KIND_REAL] = JSON_REAL, [KIND_STRING] = JSON_STRING, [KIND_LIST] = JSON_ARRAY,  [KIND_OBJECT] = JSON_OBJECT,
    };
    if (ours == NULL || theirs == NULL || json_typeof(theirs) != types[ours->kind])
        return false;
    switch (ours->kind) {
    case KIND_OBJECT: return same_members(ours, theirs);
    case KIND_LIST: return same_items(ours, theirs);
    case KIND_STRING: return span_eq(json_text(ours), span_of(json_string_value(theirs), json_string_length(theirs)));
    case KIND_INTEGER:
    case KIND_REAL: return same_number(ours, theirs);
    default: return true;
    }
}

bool json_peer_agrees(struct span text, bool *taken)
{
    struct json ours;
    struct why why = { "" };
    json_error_t error;
    /* Empty texts have no address. */
    json_t *theirs = json_loadb(text.len > 0 ? (const char *)text.data : "", text.len, JSON_REJECT_DUPLICATES, &error);
    *taken = json_parse(&ours, text, "it", &why) == OK;
    /* jansson passes over a NUL that follows a number or a word. */
    bool wanted = theirs != NULL && depth_of(theirs) <= JSON_DEPTH_MAX && span_find(text, '\0') < 0;
    bool agree = *taken == wanted && (!wanted || same(json_root(&ours), theirs));
    if (!agree)
        fprintf(stderr, "%.*s\nours: %s; jansson: %s\n", SPAN_FMT(text), *taken ? "taken" : why.text,
                theirs != NULL ? "taken" : error.text);
    json_decref(theirs);
    json_free(&ours);
    return agree;
}
