/*
 * What speaks against a log (spec/witness.md, "Evidence"), once a log: DIR/evidence/<origin hash>, two heads that it signed and
 * that contradict each other; DIR/suspects/<origin hash>, the newest head that it signed and whose proof did not hold. The evidence
 * is durable before the request is answered that gave it, and stays for ever; suspects are written by the notes' thread.
 */
#ifndef STELE_WITNESS_EVIDENCE_H
#define STELE_WITNESS_EVIDENCE_H

#include "witness/logs.h"

/* A head that the log signed. */
struct signed_head {
    const struct checkpoint *checkpoint;
    struct span text, lines; /* of the note: its text, and the log's lines that were verified */
};

/* Shows the log's heads so far one more, before it is kept as the newest note. `cosigned`, or refused for its proof
 * (`unproven`), or neither. */
void evidence_see(struct logs *logs, struct log *log, const struct signed_head *head, bool cosigned, bool unproven);
/* What the files say of the log. */
void evidence_restore(struct logs *logs, struct log *log);
/* Writes what is not in the files yet. */
void evidence_flush(struct logs *logs, struct log *log);

#endif
