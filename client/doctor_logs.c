/* The logs of the policy: reachable, fresh, not frozen, cosigned as the policy wants; and by their word, this machine's clock. */
#include <stdio.h>
#include <stdlib.h>

#include "client/doctor.h"
#include "client/memory.h"
#include "client/proofs.h"
#include "lib/sys/clock.h"

/* What a log says of itself in its metrics; zeros where it does not say. */
struct metrics {
    size_t witnesses; /* that it asks */
    bool frozen;
};

static struct metrics metrics_of(struct doctor *doctor, struct span base)
{
    struct http_response response = { 0 };
    struct buf url = BUF_EMPTY;
    struct span rest, line;
    struct metrics metrics = { 0 };
    buf_fmt(&url, "%.*s/metrics%c", SPAN_FMT(base), '\0');
    if (!url.failed && http_get(doctor->client, (const char *)url.data, NULL, DOCTOR_ANSWER_BYTES_MAX, &response, NULL) == OK &&
        response.status == 200) {
        rest = span_buf(&response.body);
        while (span_line(&rest, &line)) {
            metrics.witnesses += span_starts(line, "stele_log_witness_size{");
            metrics.frozen |= span_is(line, "stele_log_frozen 1");
        }
    }
    buf_free(&url);
    http_response_free(&response);
    return metrics;
}

/* Lines of the note by others than the log itself. */
static size_t cosigners(struct span text, const struct vkey *log)
{
    struct note note;
    struct note_sig sig;
    size_t n = 0;
    if (note_parse(&note, text, NULL) != OK)
        return 0;
    while (note_next_sig(&note.sig_lines, &sig))
        n += !note_sig_is_by(&sig, log);
    return n;
}

static void check_clock(struct doctor *doctor, const struct policy_view *view, uint64_t date_s)
{
    uint64_t now_s = clock_posix_s();
    int64_t behind_s = date_s == 0 ? 0 : (int64_t)date_s - (int64_t)now_s;
    /* A cosignature cannot be younger than now: it is the witnesses' word, where the log's own may be wrong. */
    if (view->newest_time_s > now_s + DOCTOR_CLOCK_OFF_S && (int64_t)(view->newest_time_s - now_s) > behind_s)
        behind_s = (int64_t)(view->newest_time_s - now_s);
    if (llabs(behind_s) > DOCTOR_CLOCK_OFF_S)
        doctor_wrong(doctor, "clock", "set the clock (timedatectl set-ntp true)",
                     "this machine's clock is %lld s %s that of the log and its witnesses", llabs(behind_s),
                     behind_s > 0 ? "behind" : "ahead of");
    else if (view->newest_time_s != 0 && view->newest_time_s + doctor->config.fresh_for_s < now_s)
        doctor_wrong(doctor, "fresh", "ask the log's operator, or see whether an old copy is served there",
                     "the newest cosignature of %.*s is %llu s old; `fresh-for` is %llu", SPAN_FMT(view->checkpoint.origin),
                     (unsigned long long)(now_s - view->newest_time_s), (unsigned long long)doctor->config.fresh_for_s);
}

/* Which witnesses of the policy are missing, by their names there. */
static void missing(const struct doctor *doctor, const struct policy_view *view, char out[512])
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < doctor->policy.witnesses_n; i++)
        if (!view->cosigned[i] && at < 480)
            at += (size_t)snprintf(out + at, 512 - at, "%s%.*s", at > 0 ? ", " : "", SPAN_FMT(doctor->policy.witnesses[i].name));
}

static void check_witnesses(struct doctor *doctor, const struct policy_log *log, size_t asked, struct span note,
                            const struct policy_view *view, bool quorum_short)
{
    char names[512];
    missing(doctor, view, names);
    if (quorum_short && asked > 0 && cosigners(note, &log->key) >= asked)
        doctor_wrong(
            doctor, "quorum", "take the policy that the log's operator gives out, or ask him to have these witnesses cosign",
            "the log %.*s can never satisfy this machine's policy: all %zu witnesses that it asks have cosigned, and its quorum "
            "still lacks %s",
            SPAN_FMT(log->key.name), asked, names);
    else if (quorum_short)
        doctor_wrong(doctor, "quorum",
                     "wait for the witnesses; where it stays so, ask the log's operator whether it asks these at all",
                     "the newest head of %.*s does not satisfy the policy: not cosigned by %s", SPAN_FMT(log->key.name), names);
    else if (names[0] != '\0')
        doctor_wrong(doctor, "witness", "ask who runs it, or the log's operator; proofs count as long as the quorum is met",
                     "the newest head of %.*s is not cosigned by %s", SPAN_FMT(log->key.name), names);
}

/* Returns whether the log is frozen, by its own word beside its own head. */
static bool check_log(struct doctor *doctor, const struct policy_log *log, struct span base)
{
    struct http_response response = { 0 };
    struct policy_view view = { 0 };
    struct buf url = BUF_EMPTY;
    struct why trouble = { "" };
    struct metrics metrics = { 0 };
    bool quorum_short = false;
    buf_fmt(&url, "%.*s/checkpoint%c", SPAN_FMT(base), '\0');
    enum err err =
        url.failed ? ERR_ENV : http_get(doctor->client, (const char *)url.data, NULL, DOCTOR_ANSWER_BYTES_MAX, &response, &trouble);
    if (err != OK || response.status != 200) {
        if (err == OK)
            fail(&trouble, ERR_ENV, "%.*s/checkpoint answers %u", SPAN_FMT(base), response.status);
        doctor_wrong(doctor, "log", "see whether the network, the address in the policy and the log itself are right",
                     "%.*s cannot be asked: %s", SPAN_FMT(log->key.name), trouble.text);
    } else {
        err = policy_check(&doctor->policy, span_buf(&response.body), &view, &quorum_short, &trouble);
        if (err != OK && !quorum_short) {
            doctor_wrong(doctor, "log", "see whether the policy has the log's own key and address",
                         "what is at %.*s is no head of %.*s: %s", SPAN_FMT(base), SPAN_FMT(log->key.name), trouble.text);
        } else {
            metrics = metrics_of(doctor, base);
            check_clock(doctor, &view, response.date_s);
            check_witnesses(doctor, log, metrics.witnesses, span_buf(&response.body), &view, quorum_short);
        }
    }
    if (metrics.frozen)
        doctor_note(doctor, "frozen", "put the log that follows it into the policy, beside it: its operator says which",
                    "the log %.*s is frozen: what it has is proven and looked up as ever, but it takes nothing any more",
                    SPAN_FMT(log->key.name));
    buf_free(&url);
    http_response_free(&response);
    return metrics.frozen;
}

void doctor_logs(struct doctor *doctor)
{
    struct span base;
    size_t asked = 0, frozen = 0;
    static const char *const checks[] = { "log", "clock", "fresh", "witness", "quorum", "frozen", "fork" };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        doctor_check(doctor, checks[i]);
    for (size_t i = 0; i < doctor->policy.logs_n; i++) {
        const struct policy_log *log = &doctor->policy.logs[i];
        if (memory_forked(&doctor->config, log->key.name))
            doctor_wrong(doctor, "fork", "show both heads in STATE/evidence to others; take the log out of the policy",
                         "the log %.*s has signed two histories, and is not believed", SPAN_FMT(log->key.name));
        if (!proofs_log_url(&doctor->config, &doctor->policy, i, &base))
            continue;
        asked++;
        frozen += check_log(doctor, log, base);
    }
    /* A gate lives from sidecars alone, if its user wants it so; a builder must reach a log. */
    if (asked == 0 && doctor->config.key_file != NULL)
        doctor_wrong(doctor, "log", "put the log's address after its key in the policy, or `log URL` into the configuration",
                     "no log of the policy has an address: nothing can be delivered");
    else if (asked > 0 && frozen == asked && doctor->config.key_file != NULL)
        doctor_wrong(doctor, "frozen",
                     "put a log that still takes attestations into the policy; what is built until then waits in the outbox",
                     "every log of the policy that has an address is frozen: nothing can be delivered any more");
}
