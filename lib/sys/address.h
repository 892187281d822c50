/*
 * Network addresses, as what one party is taken to hold: an IPv4 address, or the /64 of an IPv6 one.
 */
#ifndef STELE_SYS_ADDRESS_H
#define STELE_SYS_ADDRESS_H

#include <stdint.h>

/* A number for the party, the same for every way to write its address; 0 for what is no address. */
uint64_t address_party(const char *address);

#endif
