/* `stele`: the table of its verbs. */
#include "client/verbs.h"
#include "lib/sys/cli.h"

static const struct cli_command commands[] = {
    { "keygen", "NAME --out FILE", "make a key for a builder, a log or a witness", run_keygen },
    { "attest", "PATH... | --all", "attest what this machine built earlier (a backfill)", run_attest },
    { "sign-agent", "[--config FILE]", "hold the key, and attest for the hooks what they name", run_sign_agent },
    { "deliver", "[--once [--for SECONDS]]", "send the outbox to the log, and collect the proofs", run_deliver },
    { "status", "[--json]", "what waits in the outbox, and what the hook missed", run_status },
    { "staple", "CACHE [PATH...]", "put proofs beside the narinfo files of a cache", run_staple },
    { "proofs", "PATH...", "print what a cache serves as these paths' proofs", run_proofs },
    { "submit", "FILE...", "submit DSSE envelopes, and print their proofs", run_submit },
    { "verify", "FILE.tlog-proof... | PATH...", "check proofs offline, or who attested a path", run_verify },
    { "gate", "[--listen A:P]", "the substituter that hands out only what you trust", run_gate },
    { "audit", "[--store ROOT] [PATH...]", "who answers for what is in the store?", run_audit },
    { "why", "PATH | --last", "why the gate refuses or accepts a path", run_why },
    { "trace", "PATH", "who built what a path was built from, down to sources", run_trace },
    { "trust", "[FILE]", "a trust file in words, and the mistakes in it", run_trust },
    { "verify-evidence", "FILE [--from URL]", "did the log sign two histories?", run_verify_evidence },
    { "setup", "builder|consumer [--write]", "make this machine a builder, or one that checks", run_setup },
    { "doctor", "[builder|consumer]", "what is wrong here, and what to do about it", run_doctor },
    { 0 },
};

int main(int argc, char **argv)
{
    static const struct cli_program program = { "stele", "substitute only what a builder you named has built, in public",
                                                commands };
    return cli_main(&program, argc, argv);
}
