/* The builder's side: the hook, the key, the machine, the outbox. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/agent.h"
#include "client/builder_state.h"
#include "client/doctor.h"
#include "client/outbox.h"
#include "client/setup.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"

/* Does a script that Nix runs call ours? */
static bool calls_ours(const char *path)
{
    struct buf text = BUF_EMPTY;
    bool calls = file_read(path, CONFIG_BYTES_MAX, &text, NULL) == OK && text.len > 2 && text.data[0] == '#';
    if (calls) {
        buf_byte(&text, '\0');
        calls = !text.failed && strstr((const char *)text.data, "stele-hook") != NULL;
    }
    buf_free(&text);
    return calls;
}

static void check_hook(struct doctor *doctor)
{
    static const char todo[] = "`stele setup builder` prints the line for nix.conf; restart nix-daemon then";
    struct span hook;
    bool ours;
    doctor_check(doctor, "hook");
    if (!doctor->nix_known)
        return;
    if (!setup_found_hook(&doctor->nix, &hook, &ours)) {
        doctor_wrong(doctor, "hook", todo, "Nix has no post-build-hook: nothing that is built here is attested");
        return;
    }
    char *path = span_dup_str(hook);
    if (path == NULL || access(path, X_OK) != 0)
        doctor_wrong(doctor, "hook", todo, "Nix is to run %.*s, which cannot be run: every build fails", SPAN_FMT(hook));
    else if (!ours && !calls_ours(path))
        doctor_wrong(doctor, "hook",
                     "`stele setup builder` puts stele-hook there, and has it run the other one afterwards (`next-hook`)",
                     "Nix runs %.*s after a build, not stele-hook", SPAN_FMT(hook));
    free(path);
    if (doctor->config.next_hook != NULL && access(doctor->config.next_hook, X_OK) != 0)
        doctor_wrong(doctor, "hook", "name another `next-hook`, or none", "`next-hook` %s cannot be run: every build fails",
                     doctor->config.next_hook);
}

static void check_key(struct doctor *doctor)
{
    struct secret_key *key = NULL;
    struct why trouble = { "" };
    uint64_t since_s;
    doctor_check(doctor, "key");
    if (doctor->config.key_file == NULL)
        doctor_wrong(doctor, "key", "stele keygen NAME --out FILE --type builder, and `key FILE` in the configuration",
                     "the configuration has no `key`: nothing is attested");
    else if (secret_key_load(&key, doctor->config.key_file, SIG_ED25519, &trouble) != OK)
        doctor_wrong(doctor, "key",
                     "it must be there, be readable for who builds (root under nix-daemon) and for nobody else (chmod 600)", "%s",
                     trouble.text);
    secret_key_free(key);
    doctor_check(doctor, "sign-agent");
    if (doctor->config.sign_agent != NULL && !agent_listens(doctor->config.sign_agent))
        doctor_wrong(doctor, "sign-agent", "systemctl enable --now stele-sign-agent, or take `sign-agent` out of the configuration",
                     "nobody listens at %s: nothing is attested", doctor->config.sign_agent);
    doctor_check(doctor, "machine");
    if (builder_state_since(&doctor->config, &since_s, &trouble) != OK)
        doctor_wrong(doctor, "machine",
                     "`stele setup builder --write` notes it; after a copy of another machine remove the file first, and make "
                     "a key of its own",
                     "%s", trouble.text);
}

struct waiting {
    const char *folder, *suffix;
    size_t n;
    uint64_t oldest_s; /* age */
};

static enum err count_file(void *ctx, const char *name, struct why *why)
{
    struct waiting *waiting = ctx;
    struct stat st;
    (void)why;
    char *path = path_join(waiting->folder, name);
    if (path != NULL && span_ends(span_str(name), waiting->suffix) && stat(path, &st) == 0) {
        uint64_t now_s = clock_posix_s(), then_s = (uint64_t)st.st_mtime;
        waiting->n++;
        if (now_s > then_s && now_s - then_s > waiting->oldest_s)
            waiting->oldest_s = now_s - then_s;
    }
    free(path);
    return OK;
}

/* Counts the files of a folder of the outbox; none where the folder is not there. */
static struct waiting look_at(struct doctor *doctor, const char *name, const char *suffix)
{
    struct waiting waiting = { .suffix = suffix };
    struct why trouble = { "" };
    char *folder = name[0] == '\0' ? span_dup_str(span_str(doctor->config.outbox)) : path_join(doctor->config.outbox, name);
    waiting.folder = folder;
    if (folder != NULL && (access(folder, F_OK) == 0 || errno == EACCES) && dir_each(folder, count_file, &waiting, &trouble) != OK)
        doctor_wrong(doctor, "outbox", "run `stele doctor` as who builds (root under nix-daemon)", "%s", trouble.text);
    free(folder);
    waiting.folder = NULL;
    return waiting;
}

static void check_outbox(struct doctor *doctor)
{
    doctor_check(doctor, "outbox");
    struct waiting letters = look_at(doctor, "", ".jsonl"), tickets = look_at(doctor, "tickets", ".ticket");
    struct waiting refused = look_at(doctor, "refused", ".why");
    struct why trouble;
    if (outbox_room(&doctor->config, &trouble) != OK)
        doctor_wrong(doctor, "outbox", "make room for it, where who builds may write (root under nix-daemon)", "%s", trouble.text);
    if (letters.oldest_s > DOCTOR_OUTBOX_OLD_S || tickets.oldest_s > DOCTOR_OUTBOX_OLD_S)
        doctor_wrong(doctor, "outbox",
                     "see that `stele deliver` runs (systemctl status stele-deliver), and what `stele deliver --once` says",
                     "%zu attestations and %zu tickets wait in %s, the oldest for %llu s", letters.n, tickets.n,
                     doctor->config.outbox,
                     (unsigned long long)(letters.oldest_s > tickets.oldest_s ? letters.oldest_s : tickets.oldest_s));
    if (refused.n > 0)
        doctor_wrong(doctor, "refused", "read the reasons in the .why files there; then move the files back or remove them",
                     "%zu attestations lie in %s/refused: no log has them", refused.n, doctor->config.outbox);
}

void doctor_builder(struct doctor *doctor)
{
    check_hook(doctor);
    if (doctor->config.file == NULL)
        return;
    check_key(doctor);
    check_outbox(doctor);
}
