#include "lib/sys/address.h"

#include <arpa/inet.h>

#include "lib/bytes.h"

uint64_t address_party(const char *address)
{
    struct in6_addr in6;
    struct in_addr in;
    if (inet_pton(AF_INET, address, &in) == 1)
        return (uint64_t)1 << 32 | ntohl(in.s_addr); /* the /64 of that number, in 0:1::, is nobody's */
    if (inet_pton(AF_INET6, address, &in6) != 1)
        return 0;
    if (IN6_IS_ADDR_V4MAPPED(&in6))
        return (uint64_t)1 << 32 | get_be32(&in6.s6_addr[12]);
    uint64_t network = get_be64(in6.s6_addr);
    return network != 0 ? network : 1; /* ::1 */
}
