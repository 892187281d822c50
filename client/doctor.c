#include "client/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/verbs.h"
#include "lib/json.h"
#include "lib/sys/cli.h"
#include "lib/sys/key.h"
#include "lib/sys/nixrun.h"

void doctor_check(struct doctor *doctor, const char *check)
{
    if (doctor->checked.len > 0)
        buf_str(&doctor->checked, doctor->json ? "," : ", ");
    if (doctor->json)
        json_put_string(&doctor->checked, span_str(check));
    else
        buf_str(&doctor->checked, check);
}

static void put(struct doctor *doctor, bool wrong, const char *check, const char *todo, const char *fmt, va_list args)
    STELE_PRINTF(5, 0);
static void put(struct doctor *doctor, bool wrong, const char *check, const char *todo, const char *fmt, va_list args)
{
    struct buf *out = &doctor->findings;
    struct why text;
    vsnprintf(text.text, sizeof text.text, fmt, args);
    *(wrong ? &doctor->wrong : &doctor->notes) += 1;
    if (!doctor->json) {
        buf_fmt(out, "%s  %s: %s\n       do: %s\n", wrong ? "WRONG" : "note ", check, text.text, todo);
        return;
    }
    buf_fmt(out, "%s{\"check\":", out->len > 0 ? "," : "");
    json_put_string(out, span_str(check));
    buf_fmt(out, ",\"wrong\":%s,\"text\":", wrong ? "true" : "false");
    json_put_string(out, span_utf8(span_str(text.text)) ? span_str(text.text) : span_str("(no valid text)"));
    buf_str(out, ",\"do\":");
    json_put_string(out, span_str(todo));
    buf_byte(out, '}');
}

void doctor_wrong(struct doctor *doctor, const char *check, const char *todo, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put(doctor, true, check, todo, fmt, args);
    va_end(args);
}

void doctor_note(struct doctor *doctor, const char *check, const char *todo, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put(doctor, false, check, todo, fmt, args);
    va_end(args);
}

static void print(const struct doctor *doctor)
{
    if (doctor->json) {
        printf("{\"wrong\":%zu,\"notes\":%zu,\"checked\":[%.*s],\"findings\":[%.*s]}\n", doctor->wrong, doctor->notes,
               (int)doctor->checked.len, (const char *)doctor->checked.data, (int)doctor->findings.len,
               (const char *)doctor->findings.data);
        return;
    }
    printf("%.*slooked at: %.*s\n%zu wrong, %zu to know\n", (int)doctor->findings.len, (const char *)doctor->findings.data,
           (int)doctor->checked.len, (const char *)doctor->checked.data, doctor->wrong, doctor->notes);
}

/* What both sides rest on: the configuration, the policy, what Nix says. */
static enum err load(struct doctor *doctor, const char *config_file, struct why *why)
{
    struct why trouble = { "" };
    enum err err = client_config_load(&doctor->config, config_file, why);
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = nix_env_load(&doctor->env, NULL, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&doctor->client,
                              &(struct http_client_config){ .connect_timeout_ms = DOCTOR_TIMEOUT_MS,
                                                            .total_timeout_ms = DOCTOR_TIMEOUT_MS,
                                                            .netrc_file = doctor->config.netrc_file,
                                                            .allow_file = true },
                              why);
    if (err != OK)
        return err;
    doctor_check(doctor, "configuration");
    if (doctor->config.file == NULL)
        doctor_wrong(doctor, "configuration", "run `stele setup builder` or `stele setup consumer`, or name the file with --config",
                     "there is none in the usual places");
    doctor_check(doctor, "policy");
    doctor->policy_known = client_policy_load(&doctor->config, &doctor->policy, &trouble) == OK;
    if (!doctor->policy_known)
        doctor_wrong(doctor, "policy", "get the log's policy from its operator, and name the file in the configuration", "%s",
                     trouble.text);
    doctor_check(doctor, "nix");
    doctor->nix_known = nixrun_config(&doctor->nix, &trouble) == OK;
    if (!doctor->nix_known)
        doctor_wrong(doctor, "nix", "put `nix` into PATH", "%s", trouble.text);
    if (doctor->nix_known && geteuid() != 0 && access(doctor->env.state_dir, W_OK) != 0)
        doctor_note(
            doctor, "nix", "run `stele doctor` as root",
            "nix-daemon builds and substitutes here, as root: what it is configured to do may differ from what this user sees");
    return OK;
}

static enum err examine(struct doctor *doctor, bool builder, bool consumer, struct why *why)
{
    if (builder)
        doctor_builder(doctor);
    if (consumer)
        doctor_consumer(doctor);
    if (doctor->policy_known && doctor->config.file != NULL)
        doctor_logs(doctor);
    enum err err = buf_done(&doctor->findings, why);
    return err == OK ? buf_done(&doctor->checked, why) : err;
}

enum err run_doctor(int argc, char **argv, struct why *why)
{
    const char *config_file = NULL;
    struct doctor doctor = { 0 };
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--json", NULL, "as JSON", NULL, &doctor.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    bool builder = args.n == 1 && strcmp(args.items[0], "builder") == 0;
    bool consumer = args.n == 1 && strcmp(args.items[0], "consumer") == 0;
    if (args.n == 1 && !builder && !consumer)
        err = fail(why, ERR_USAGE, "there is `stele doctor`, `stele doctor builder` and `stele doctor consumer`");
    if (err == OK)
        err = load(&doctor, config_file, why);
    /* Without a word, what the configuration is for. */
    if (err == OK && args.n == 0) {
        builder = doctor.config.key_file != NULL;
        consumer = doctor.config.upstreams.n > 0 || doctor.config.signing_key_file != NULL;
        if (doctor.config.file != NULL && !builder && !consumer)
            doctor_wrong(&doctor, "configuration", "run `stele setup builder` or `stele setup consumer`",
                         "it has neither a builder's `key` nor a gate's `upstream`");
    }
    if (err == OK)
        err = examine(&doctor, builder, consumer, why);
    if (err == OK) {
        print(&doctor);
        err = doctor.wrong > 0 ? ERR_REFUSED : OK;
    }
    buf_free(&doctor.findings);
    buf_free(&doctor.checked);
    nixconf_free(&doctor.nix);
    nix_env_free(&doctor.env);
    http_client_free(doctor.client);
    policy_free(&doctor.policy);
    client_config_free(&doctor.config);
    free(args.items);
    return err;
}
