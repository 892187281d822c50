/*
 * Network addresses: what one party is taken to hold (an IPv4 address, or the /64 of an IPv6 one), and which are public.
 */
#ifndef STELE_SYS_ADDRESS_H
#define STELE_SYS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

/* A number for the party, the same for every way to write its address; 0 for what is no address. */
uint64_t address_party(const char *address);

/* Is it an address of the public Internet: neither this host, nor a link or a private network, nor for special use (IANA's
 * registries of RFC 6890)? An IPv4 address inside an IPv6 one is looked at as such. */
bool address_public(const struct sockaddr *address);

#endif
