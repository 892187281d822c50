/* lib/sys/bastion.h where there is no bastion. */
#include "lib/sys/bastion.h"

enum err bastion_start(struct bastion **out, const struct bastion_config *config, struct why *why)
{
    *out = NULL;
    return fail(why, ERR_ENV, "no connection to %s", config->address);
}

void bastion_stop(struct bastion *bastion, unsigned grace_ms)
{
    (void)bastion, (void)grace_ms;
}

void bastion_status(struct bastion *bastion, struct bastion_status *out)
{
    (void)bastion;
    *out = (struct bastion_status){ 0 };
}

bool bastion_address_ok(struct span address)
{
    return address.len > 0;
}

void bastion_name(const struct secret_key *key, char out[65])
{
    (void)key;
    out[0] = '\0';
}
