/* The consumer's side: the gate, and whatever goes round it in Nix's effective configuration. */
#include <stdio.h>

#include "client/doctor.h"
#include "client/setup.h"

/* http://LISTEN, or localhost with its port; a query may follow. */
static bool is_gate(const struct doctor *doctor, struct span url)
{
    const char *port = strrchr(doctor->config.listen, ':');
    ptrdiff_t query = span_find(url, '?');
    struct span rest = query < 0 ? url : span_cut(url, 0, (size_t)query);
    while (span_ends(rest, "/"))
        rest.len--;
    return span_skip(&rest, "http://") &&
           (span_is(rest, doctor->config.listen) || (port != NULL && span_skip(&rest, "localhost") && span_is(rest, port)));
}

/* A store's URL may say that its paths need no signature. */
static bool says_trusted(struct span url)
{
    ptrdiff_t query = span_find(url, '?');
    struct span rest = query < 0 ? span_of(NULL, 0) : span_cut(url, (size_t)query + 1, url.len - (size_t)query - 1);
    while (rest.len > 0) {
        ptrdiff_t and = span_find(rest, '&');
        struct span part = and < 0 ? rest : span_cut(rest, 0, (size_t) and);
        if (span_is(part, "trusted=1") || span_is(part, "trusted=true"))
            return true;
        rest = and < 0 ? span_of(NULL, 0) : span_cut(rest, (size_t) and +1, rest.len - (size_t) and -1);
    }
    return false;
}

static void check_substituters(struct doctor *doctor)
{
    struct span rest, word;
    bool gate = false;
    doctor_check(doctor, "substituters");
    nixconf_get(&doctor->nix, "substituters", &rest);
    while (span_word(&rest, &word)) {
        gate |= is_gate(doctor, word);
        if (says_trusted(word))
            doctor_wrong(doctor, "substituters", "take `trusted` out of its URL in nix.conf",
                         "%.*s is taken without any signature (`trusted=1`)", SPAN_FMT(word));
        if (!is_gate(doctor, word))
            doctor_wrong(doctor, "substituters",
                         "make the gate the only one: `stele setup consumer` prints the lines; name the cache as `upstream`",
                         "Nix asks %.*s beside the gate: content-addressed paths come from there unseen, all others wherever its "
                         "key is trusted",
                         SPAN_FMT(word));
    }
    if (!gate)
        doctor_wrong(doctor, "substituters", "`stele setup consumer` prints the lines for nix.conf; restart nix-daemon then",
                     "Nix does not ask the gate, http://%s", doctor->config.listen);
    nixconf_get(&doctor->nix, "trusted-substituters", &rest);
    while (span_word(&rest, &word))
        if (!is_gate(doctor, word))
            doctor_wrong(doctor, "trusted-substituters", "take it out of `trusted-substituters` in nix.conf",
                         "any user may have Nix ask %.*s beside the gate", SPAN_FMT(word));
    doctor_check(doctor, "trusted-substituters");
}

static void check_keys(struct doctor *doctor)
{
    struct buf key = BUF_EMPTY;
    struct why trouble = { "" };
    struct span rest, word;
    bool known = setup_gate_key(&doctor->config, &key, &trouble) == OK, trusted = false;
    doctor_check(doctor, "gate-key");
    doctor_check(doctor, "trusted-keys");
    if (!known)
        doctor_wrong(doctor, "gate-key",
                     "make it with nix-store --generate-binary-cache-key; run `stele doctor` as root, or as the gate's user", "%s",
                     trouble.text);
    nixconf_get(&doctor->nix, "trusted-public-keys", &rest);
    while (known && span_word(&rest, &word)) {
        trusted |= span_eq(word, span_buf(&key));
        if (!span_eq(word, span_buf(&key)))
            doctor_wrong(doctor, "trusted-keys",
                         "take it out of `trusted-public-keys`, and name it in a `cache` line of the trust file, if you "
                         "trust it at all",
                         "Nix trusts %.*s beside the gate's key: what it signed needs no attestation", SPAN_FMT(word));
    }
    if (known && !trusted)
        doctor_wrong(doctor, "trusted-keys", "`stele setup consumer` prints the line for nix.conf",
                     "Nix does not trust the gate's key, %.*s: nothing is substituted", SPAN_FMT(span_buf(&key)));
    buf_free(&key);
}

static void check_users(struct doctor *doctor)
{
    struct span rest, word;
    doctor_check(doctor, "require-sigs");
    doctor_check(doctor, "trusted-users");
    if (nixconf_is(&doctor->nix, "require-sigs", "false"))
        doctor_wrong(doctor, "require-sigs", "require-sigs = true in nix.conf", "Nix takes paths without any signature");
    nixconf_get(&doctor->nix, "trusted-users", &rest);
    while (span_word(&rest, &word))
        if (!span_is(word, "root"))
            doctor_wrong(doctor, "trusted-users", "trusted-users = root in nix.conf",
                         "%.*s may have Nix take any path from anywhere (`trusted-users`)", SPAN_FMT(word));
    nixconf_get(&doctor->nix, "builders", &rest);
    if (rest.len > 0 && rest.data[0] != '@')
        doctor_note(doctor, "builders", "trust these machines, or name none",
                    "what remote builders build comes in without a signature: %.*s", SPAN_FMT(rest));
    if (nixconf_is(&doctor->nix, "substitute", "false"))
        doctor_note(doctor, "substituters", "substitute = true in nix.conf", "Nix substitutes nothing at all");
    if (!nixconf_is(&doctor->nix, "narinfo-cache-negative-ttl", "0"))
        doctor_note(doctor, "negative-ttl", "narinfo-cache-negative-ttl = 0 in nix.conf",
                    "Nix remembers a refusal, also when it would pass meanwhile");
    if (doctor->config.warn)
        doctor_note(doctor, "mode", "`stele audit --would-refuse`, then take `mode warn` out of the configuration",
                    "the gate only counts what it would refuse (`mode warn`)");
    if (doctor->config.refuse_with == 404 && nixconf_is(&doctor->nix, "max-jobs", "0"))
        doctor_note(doctor, "refusals", "`refuse-with 451` has Nix show the reason",
                    "what the gate refuses cannot be built here either (max-jobs = 0): Nix stops, and does not say why");
}

/* GET BASE/nix-cache-info: is it a cache for this store? */
static void check_cache(struct doctor *doctor, const char *check, const char *base, const char *todo)
{
    struct http_response response = { 0 };
    struct buf url = BUF_EMPTY;
    struct why trouble = { "" };
    struct span rest, line;
    const char *dir = doctor->config.store_dir != NULL ? doctor->config.store_dir : doctor->env.store_dir;
    bool other = false;
    buf_fmt(&url, "%s/nix-cache-info%c", base, '\0');
    enum err err =
        url.failed ? ERR_ENV : http_get(doctor->client, (const char *)url.data, NULL, DOCTOR_ANSWER_BYTES_MAX, &response, &trouble);
    if (err == OK && response.status != 200)
        err = fail(&trouble, ERR_ENV, "%s/nix-cache-info answers %u", base, response.status);
    if (err != OK)
        doctor_wrong(doctor, check, todo, "%s", trouble.text);
    rest = span_buf(&response.body);
    while (err == OK && span_line(&rest, &line))
        other |= span_skip(&line, "StoreDir: ") && !span_is(line, dir);
    if (other)
        doctor_wrong(doctor, check, "take another cache, or set `store-dir`", "%s is for another store folder than %s", base, dir);
    buf_free(&url);
    http_response_free(&response);
}

static void check_gate(struct doctor *doctor)
{
    struct trust trust = { 0 };
    struct why trouble = { "" };
    char base[512];
    doctor_check(doctor, "trust");
    if (client_trust_load(&doctor->config, &trust, &trouble) != OK)
        doctor_wrong(doctor, "trust", "mend the file (stele-trust(5)); the gate does not start with it", "%s", trouble.text);
    trust_free(&trust);
    doctor_check(doctor, "gate");
    snprintf(base, sizeof base, "http://%s", doctor->config.listen);
    check_cache(doctor, "gate", base,
                "start it (systemctl start stele-gate.socket), and see what it says (journalctl -u stele-gate)");
    doctor_check(doctor, "upstream");
    if (doctor->config.upstreams.n == 0)
        doctor_wrong(doctor, "upstream", "`upstream URL` in the configuration for each cache",
                     "the gate stands in front of no cache");
    for (size_t i = 0; i < doctor->config.upstreams.n; i++)
        check_cache(doctor, "upstream", doctor->config.upstreams.items[i],
                    "see whether the network and the address are right; what only this cache has is built meanwhile");
}

void doctor_consumer(struct doctor *doctor)
{
    if (doctor->config.file != NULL)
        check_gate(doctor);
    if (doctor->nix_known) {
        check_substituters(doctor);
        check_keys(doctor);
        check_users(doctor);
    }
}
