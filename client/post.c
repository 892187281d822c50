#include "client/post.h"

#include "lib/json.h"

void post_answer_free(struct post_answer *answer)
{
    buf_free(&answer->bundles);
}

/* What a status means. A proxy's or a login page's 4xx says nothing about the attestations. */
static enum post_outcome outcome_of(const struct http_response *response)
{
    bool of_the_log = span_starts(span_str(response->content_type), "application/problem+json");
    switch (response->status) {
    case 200: return POST_PROVEN;
    case 413: return POST_TOO_LARGE;
    case 410: return of_the_log ? POST_FROZEN : POST_LATER;
    case 400:
    case 403:
    case 409: return of_the_log ? POST_REFUSED : POST_LATER;
    default: return POST_LATER;
    }
}

/* The `detail` of problem details, else the start of the body. */
static void take_detail(struct post_answer *out, const char *url, const struct http_response *response)
{
    struct json problem;
    struct span detail = span_buf(&response->body), rest;
    uint64_t line;
    if (json_parse(&problem, detail, "the answer", NULL) == OK)
        json_get_string(json_root(&problem), "", "detail", &detail, NULL);
    rest = detail;
    if (span_skip(&rest, "line ")) {
        ptrdiff_t colon = span_find(rest, ':');
        if (colon > 0 && span_decimal(span_cut(rest, 0, (size_t)colon), SUBMISSION_ENTRIES_MAX, &line))
            out->line = (size_t)line;
    }
    if (detail.len > 400)
        detail.len = 400;
    fail(&out->why, ERR_REFUSED, "%s answered %u: %.*s", url, response->status, SPAN_FMT(detail));
    json_free(&problem);
}

enum err post_to(struct http_client *client, struct span url, struct span lines, size_t bytes_max, struct post_answer *out,
                 struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct http_response response = { .body = out->bundles };
    *out = (struct post_answer){ .outcome = POST_LATER };
    buf_fmt(&text, "%.*s/attestations", SPAN_FMT(url));
    buf_byte(&text, '\0');
    enum err err = buf_done(&text, why);
    const char *address = (const char *)text.data;
    if (err != OK) {
        http_response_free(&response);
    } else if (http_post(client, address, "application/jsonl", lines, bytes_max, &response, &out->why) != OK) {
        out->silent = true;
    } else {
        out->outcome = outcome_of(&response);
        out->retry_after_s = response.retry_after_s;
        if (out->outcome != POST_PROVEN)
            take_detail(out, address, &response);
    }
    out->bundles = response.body;
    if (out->outcome != POST_PROVEN)
        buf_clear(&out->bundles);
    buf_free(&text);
    return err;
}

enum err post_attestations(struct http_client *client, const struct client_config *config, const struct policy *policy,
                           struct span lines, struct post_answer *out, struct why *why)
{
    size_t asked = 0;
    enum err err = OK;
    *out = (struct post_answer){ .outcome = POST_LATER };
    for (size_t i = 0; i < policy->logs_n && err == OK; i++) {
        struct span base;
        if (!proofs_log_url(config, policy, i, &base))
            continue;
        asked++;
        err = post_to(client, base, lines, BUNDLES_BYTES_MAX * 4, out, why);
        if ((out->outcome != POST_LATER && out->outcome != POST_FROZEN) || config->log_url != NULL)
            return err;
    }
    return err == OK && asked == 0 ? post_no_log(config, why) : err;
}

enum err post_no_log(const struct client_config *config, struct why *why)
{
    return fail(why, ERR_ENV,
                "no log of the policy has an address: write it after the log's key in %s, or `log URL` in the configuration",
                config->policy_file);
}

int64_t post_find_proof(const struct evidence *evidence, struct span envelope, struct why *why)
{
    fail(why, ERR_REFUSED, "the log's answer has no proof of this attestation");
    for (size_t i = 0; i < evidence->n; i++) {
        const struct evidence_item *item = evidence->items[i];
        if (item->proven && span_eq(span_buf(&item->entry), envelope))
            return (int64_t)i;
        if (!item->proven && (item->entry.len == 0 || span_eq(span_buf(&item->entry), envelope)))
            fail(why, ERR_REFUSED, "%s", item->why_not.text);
    }
    return -1;
}
