#include "lib/policy.h"

#include <stdlib.h>

#include "lib/lines.h"

static struct span without_final_slashes(struct span url)
{
    while (url.len > 0 && url.data[url.len - 1] == '/')
        url.len--;
    return url;
}

/* The words after a key: at most one, the URL. */
static enum err take_url(const struct lines *lines, struct span *rest, struct span *url, struct why *why)
{
    struct span more;
    *url = span_of(NULL, 0);
    if (span_word(rest, url) && span_word(rest, &more))
        return lines_fail(lines, why, "%.*s is one word too many: a key is followed by one URL at most", SPAN_FMT(more));
    *url = without_final_slashes(*url);
    return OK;
}

static enum err take_log(struct policy *policy, const struct lines *lines, struct span rest, struct why *why)
{
    struct span vkey;
    if (policy->logs_n == POLICY_LOGS_MAX)
        return lines_fail(lines, why, "more than %d logs", POLICY_LOGS_MAX);
    struct policy_log *log = &policy->logs[policy->logs_n];
    if (!span_word(&rest, &vkey))
        return lines_fail(lines, why, "a log is: log VKEY [URL]");
    if (vkey_parse(&log->key, vkey, SIG_ED25519, why) != OK)
        return fail_in(why, ERR_MALFORMED, "%s line %u", lines->file, lines->number);
    for (size_t i = 0; i < policy->logs_n; i++)
        if (memcmp(policy->logs[i].key.key, log->key.key, sizeof log->key.key) == 0)
            return lines_fail(lines, why, "this log's public key stands in the file already (tlog-policy, \"Defining a log\")");
    enum err err = take_url(lines, &rest, &log->url, why);
    policy->logs_n += err == OK;
    return err;
}

static enum err take_witness(struct policy *policy, const struct lines *lines, struct span rest, struct why *why)
{
    struct span name, vkey;
    uint32_t node;
    if (policy->witnesses_n == POLICY_WITNESSES_MAX)
        return lines_fail(lines, why, "more than %d witnesses", POLICY_WITNESSES_MAX);
    struct policy_witness *witness = &policy->witnesses[policy->witnesses_n];
    if (!span_word(&rest, &name) || !span_word(&rest, &vkey))
        return lines_fail(lines, why, "a witness is: witness NAME VKEY [URL]");
    witness->name = name;
    if (vkey_parse(&witness->key, vkey, SIG_COSIGNATURE, why) != OK)
        return fail_in(why, ERR_MALFORMED, "%s line %u", lines->file, lines->number);
    for (size_t i = 0; i < policy->witnesses_n; i++)
        if (memcmp(policy->witnesses[i].key.key, witness->key.key, sizeof witness->key.key) == 0)
            return lines_fail(lines, why,
                              "this witness's public key stands in the file already, as %.*s (tlog-policy, \"Defining a witness\")",
                              SPAN_FMT(policy->witnesses[i].name));
    enum err err = quorum_leaf(&policy->quorum, name, &node, why);
    if (err != OK)
        return fail_in(why, err, "%s line %u", lines->file, lines->number);
    err = take_url(lines, &rest, &witness->url, why);
    policy->witnesses_n += err == OK;
    return err;
}

static enum err take_group(struct policy *policy, const struct lines *lines, struct span rest, struct why *why)
{
    struct span name;
    uint32_t node;
    if (policy->quorum.n - policy->quorum.leaves == POLICY_GROUPS_MAX)
        return lines_fail(lines, why, "more than %d groups", POLICY_GROUPS_MAX);
    if (!span_word(&rest, &name))
        return lines_fail(lines, why, "a group is: group NAME all|any|K MEMBER...");
    enum err err = quorum_group(&policy->quorum, name, rest, &node, why);
    return err == OK ? OK : fail_in(why, err, "%s line %u", lines->file, lines->number);
}

static enum err take_quorum(struct policy *policy, const struct lines *lines, struct span rest, bool *seen, struct why *why)
{
    struct span name, more;
    if (*seen)
        return lines_fail(lines, why, "a second quorum line: there is exactly one (tlog-policy, \"Defining the quorum\")");
    if (!span_word(&rest, &name) || span_word(&rest, &more))
        return lines_fail(lines, why, "the quorum is: quorum NAME");
    *seen = true;
    policy->root = span_is(name, "none") ? -1 : quorum_find(&policy->quorum, name);
    if (policy->root < 0 && !span_is(name, "none"))
        return lines_fail(lines, why, "%.*s is not defined on a line before", SPAN_FMT(name));
    return OK;
}

static enum err take_lines(struct policy *policy, struct span text, const char *file, struct why *why)
{
    struct lines lines;
    struct span rest, word;
    bool quorum_seen = false;
    enum err err = lines_start(&lines, text, file, why);
    while (err == OK && lines_next(&lines, &rest)) {
        span_word(&rest, &word);
        if (span_is(word, "log"))
            err = take_log(policy, &lines, rest, why);
        else if (span_is(word, "witness"))
            err = take_witness(policy, &lines, rest, why);
        else if (span_is(word, "group"))
            err = take_group(policy, &lines, rest, why);
        else if (span_is(word, "quorum"))
            err = take_quorum(policy, &lines, rest, &quorum_seen, why);
        else
            err = lines_fail(&lines, why, "`%.*s` is none of log, witness, group, quorum", SPAN_FMT(word));
    }
    if (err == OK && !quorum_seen)
        err = fail(why, ERR_MALFORMED,
                   "%s: there is no quorum line (tlog-policy, \"Defining the quorum\"); `quorum none` asks for no witness", file);
    return err;
}

enum err policy_parse(struct policy *out, struct span text, const char *file, struct why *why)
{
    *out = (struct policy){ .root = -1 };
    if (text.len > POLICY_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "%s: more than %d bytes", file, POLICY_BYTES_MAX);
    out->text = span_dup_str(text);
    out->logs = calloc(POLICY_LOGS_MAX, sizeof *out->logs);
    out->witnesses = calloc(POLICY_WITNESSES_MAX, sizeof *out->witnesses);
    enum err err = out->text == NULL || out->logs == NULL || out->witnesses == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = take_lines(out, span_of(out->text, text.len), file, why);
    if (err != OK)
        policy_free(out);
    return err;
}

void policy_free(struct policy *policy)
{
    free(policy->text);
    free(policy->logs);
    free(policy->witnesses);
    quorum_free(&policy->quorum);
    *policy = (struct policy){ .root = -1 };
}

/* Signed by a log of the policy whose name is the origin; every such log's line must verify. */
static enum err check_log(const struct policy *policy, const struct note *note, struct policy_view *view, struct why *why)
{
    struct vkey keys[POLICY_LOGS_MAX];
    size_t numbers[POLICY_LOGS_MAX], n = 0;
    bool verified[POLICY_LOGS_MAX] = { false };
    for (size_t i = 0; i < policy->logs_n; i++)
        if (span_eq(policy->logs[i].key.name, view->checkpoint.origin)) {
            keys[n] = policy->logs[i].key;
            numbers[n++] = i;
        }
    if (n == 0)
        return fail(why, ERR_REFUSED, "the policy names no log %.*s", SPAN_FMT(view->checkpoint.origin));
    enum err err = note_verify(note, keys, n, verified, NULL, why);
    if (err != OK)
        return fail_in(why, err, "checkpoint of %.*s", SPAN_FMT(view->checkpoint.origin));
    bool forked = false;
    for (size_t i = n; i-- > 0;)
        if (verified[i]) {
            view->log = numbers[i];
            forked |= policy->logs[numbers[i]].forked;
        }
    if (forked)
        return fail(why, ERR_REFUSED, "the log %.*s FORKED: it signed two histories under the quorum, and is not believed any more",
                    SPAN_FMT(view->checkpoint.origin));
    return OK;
}

static enum err quorum_is_short(const struct policy *policy, const struct policy_view *view, struct why *why)
{
    struct buf names = BUF_EMPTY;
    for (size_t i = 0; i < policy->witnesses_n; i++)
        if (view->cosigned[i])
            buf_fmt(&names, "%s%.*s", names.len > 0 ? ", " : "", SPAN_FMT(policy->witnesses[i].name));
    fail(why, ERR_REFUSED,
         "the checkpoint of %.*s at size %llu has not the quorum of witnesses that the policy wants (`quorum %.*s`): cosigned by "
         "%.*s",
         SPAN_FMT(view->checkpoint.origin), (unsigned long long)view->checkpoint.size,
         SPAN_FMT(policy->quorum.nodes[policy->root].name), names.len > 0 ? (int)names.len : 6,
         names.len > 0 ? (const char *)names.data : "nobody");
    buf_free(&names);
    return ERR_REFUSED;
}

static enum err check_witnesses(const struct policy *policy, const struct note *note, struct policy_view *view, bool *quorum_short,
                                struct why *why)
{
    struct vkey keys[POLICY_WITNESSES_MAX];
    for (size_t i = 0; i < policy->witnesses_n; i++)
        keys[i] = policy->witnesses[i].key;
    enum err err = cosignature_verify(note, keys, policy->witnesses_n, view->cosigned, view->time_s, why);
    if (err != OK)
        return fail_in(why, err, "checkpoint of %.*s", SPAN_FMT(view->checkpoint.origin));
    for (size_t i = 0; i < policy->witnesses_n; i++) {
        view->cosignatures += view->cosigned[i];
        if (view->time_s[i] > view->newest_time_s)
            view->newest_time_s = view->time_s[i];
    }
    bool enough = true;
    if (policy->root >= 0)
        err = quorum_satisfied(&policy->quorum, (uint32_t)policy->root, view->cosigned, &enough, NULL, why);
    if (err == OK && !enough) {
        *quorum_short = true;
        err = quorum_is_short(policy, view, why);
    }
    return err;
}

enum err policy_check(const struct policy *policy, struct span text, struct policy_view *view, bool *quorum_short, struct why *why)
{
    struct note note;
    bool ignored;
    if (quorum_short == NULL)
        quorum_short = &ignored;
    *quorum_short = false;
    *view = (struct policy_view){ 0 };
    enum err err = note_parse(&note, text, why);
    if (err == OK)
        err = checkpoint_parse(&view->checkpoint, note.text, why);
    if (err == OK)
        err = check_log(policy, &note, view, why);
    if (err == OK)
        err = check_witnesses(policy, &note, view, quorum_short, why);
    return err;
}
