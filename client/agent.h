/*
 * The signing agent (`stele sign-agent`): holds the key, so that no hook reads it, and attests for the hooks what it has checked
 * itself. One request a connection on a Unix socket, whose end is the end of what is sent; then the answer.
 *
 *     build [SANDBOX]                  rebuild
 *     DRV                              DRV
 *     OUTPUT …, as OUT_PATHS           PATH
 *                                      PATH.check
 *
 * each on a line. Answers: "ok", "refused SENTENCE", "trouble SENTENCE" and a newline. `build` is for root, the store's owner and
 * the agent's own user. Anybody may say `rebuild`, for Nix runs the diff-hook as a build user, who is nobody: it names the files,
 * and their owner tells whether they are Nix's (client/rebuild.h).
 */
#ifndef STELE_CLIENT_AGENT_H
#define STELE_CLIENT_AGENT_H

#include "client/hooked.h"

enum {
    AGENT_REQUEST_BYTES_MAX = 1 << 20, /* 256 outputs fit by far */
    AGENT_READ_S = 10,                 /* for a request to come in whole */
    AGENT_ANSWER_S = 600,              /* for the answer: large outputs are hashed meanwhile */
    AGENT_CONNECTIONS_MAX = 64,        /* each a process; more wait */
    AGENT_CONNECTIONS_OF_ONE_MAX = 16, /* of one user who may only say `rebuild` */
};

/* A request; its strings lie in the text that it was read from. */
struct agent_request {
    const char *lines[SUBJECTS_MAX + 2];
    struct hooked hooked; /* borrows from `lines` */
};
/* The text's lines become strings where they lie. ERR_MALFORMED. */
enum err agent_request_parse(struct agent_request *out, struct buf *text, struct why *why);
void agent_request_render(struct buf *out, const struct hooked *hooked);
/* ERR_REFUSED or ERR_ENV with the agent's sentence; ERR_ENV, and not *answered, for what is no answer. */
enum err agent_answer_parse(struct span text, bool *answered, struct why *why);

/* Asks the agent at `config->sign_agent`. ERR_REFUSED or ERR_ENV with its sentence, and *answered: then the agent has counted it
 * (client/counts.h). ERR_ENV without an answer where there is none to ask, or it ended meanwhile. */
enum err agent_ask(const struct client_config *config, const struct hooked *hooked, bool *answered, struct why *why);
/* Does anybody listen there? The agent takes a connection without a request for this question. */
bool agent_listens(const char *path);

#endif
