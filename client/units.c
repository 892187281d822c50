/* The systemd units, as they lie in systemd/: `stele setup` prints these very files. */
#include "client/setup.h"

#define UNIT(symbol, file)                                                                                                         \
    extern const char symbol[];                                                                                                    \
    __asm__(".section .rodata\n" #symbol ":\n.incbin \"systemd/" file "\"\n.byte 0\n.previous\n")

UNIT(unit_stele_gate_service, "stele-gate.service");
UNIT(unit_stele_gate_socket, "stele-gate.socket");
UNIT(unit_stele_deliver_service, "stele-deliver.service");
UNIT(unit_stele_sign_agent_service, "stele-sign-agent.service");

const struct setup_unit setup_gate_units[] = {
    { "stele-gate.socket", unit_stele_gate_socket },
    { "stele-gate.service", unit_stele_gate_service },
    { NULL, NULL },
};
const struct setup_unit setup_deliver_units[] = {
    { "stele-deliver.service", unit_stele_deliver_service },
    { NULL, NULL },
};
const struct setup_unit setup_agent_units[] = {
    { "stele-sign-agent.service", unit_stele_sign_agent_service },
    { NULL, NULL },
};
