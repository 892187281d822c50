#include "client/post.h"

#include "lib/json.h"

void post_answer_free(struct post_answer *answer)
{
    buf_free(&answer->bundles);
}

/* Is this the log's own refusal of what was sent? A proxy's or a login page's 4xx says nothing about the attestations. */
static bool refuses_body(const struct http_response *response)
{
    return response->status == 413 || ((response->status == 400 || response->status == 403) &&
                                       span_starts(span_str(response->content_type), "application/problem+json"));
}

/* The `detail` of problem details, else the start of the body. */
static void take_detail(struct why *why, const char *url, const struct http_response *response)
{
    struct json problem;
    struct span detail = span_buf(&response->body);
    if (json_read(detail, "the answer", &problem, NULL) == OK)
        json_get_string(json_root(&problem), "", "detail", &detail, NULL);
    if (detail.len > 400)
        detail.len = 400;
    fail(why, ERR_REFUSED, "%s answered %u: %.*s", url, response->status, SPAN_FMT(detail));
    json_free(&problem);
}

static enum err post_one(struct http_client *client, struct span base, struct span lines, struct post_answer *out, struct why *why)
{
    struct buf url = BUF_EMPTY;
    struct http_response response = { 0 };
    buf_fmt(&url, "%.*s/attestations", SPAN_FMT(base));
    buf_byte(&url, '\0');
    enum err err = buf_done(&url, why);
    if (err != OK) {
        buf_free(&url);
        return err;
    }
    const char *text = (const char *)url.data;
    if (http_post(client, text, "application/jsonl", lines, BUNDLES_BYTES_MAX * 4, &response, &out->why) != OK) {
        out->outcome = POST_LATER;
    } else if (response.status == 200) {
        out->outcome = POST_PROVEN;
        buf_span(&out->bundles, span_buf(&response.body));
        err = buf_done(&out->bundles, why);
    } else {
        out->outcome = refuses_body(&response) ? POST_REFUSED : POST_LATER;
        out->retry_after_s = response.retry_after_s;
        take_detail(&out->why, text, &response);
    }
    http_response_free(&response);
    buf_free(&url);
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
        err = post_one(client, base, lines, out, why);
        if (out->outcome != POST_LATER || config->log_url != NULL)
            return err;
    }
    if (err == OK && asked == 0)
        err = fail(why, ERR_ENV,
                   "no log of the policy has an address: write it after the log's key in %s, or `log URL` in the configuration",
                   config->policy_file);
    return err;
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
