#include "lib/sys/address.h"

#include <arpa/inet.h>
#include <sys/socket.h>

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

struct range {
    uint32_t network;
    unsigned bits;
};

static bool ipv4_public(uint32_t address)
{
    static const struct range special[] = {
        { 0x00000000, 8 },                                         /* this network */
        { 0x0a000000, 8 },                                         /* private */
        { 0x64400000, 10 },                                        /* shared by a provider's customers */
        { 0x7f000000, 8 },                                         /* loopback */
        { 0xa9fe0000, 16 },                                        /* link-local: cloud metadata is there */
        { 0xac100000, 12 },                                        /* private */
        { 0xc0000000, 24 },                                        /* protocol assignments */
        { 0xc0000200, 24 },                                        /* documentation, and two more below */
        { 0xc0a80000, 16 },                                        /* private */
        { 0xc6120000, 15 },                                        /* benchmarks */
        { 0xc6336400, 24 }, { 0xcb007100, 24 }, { 0xe0000000, 3 }, /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if ((address ^ special[i].network) >> (32 - special[i].bits) == 0)
            return false;
    return true;
}

static bool ipv6_public(const uint8_t a[16])
{
    static const uint8_t translated[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (memcmp(a, translated, sizeof translated) == 0)
        return ipv4_public(get_be32(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02)
        return ipv4_public(get_be32(a + 2)); /* 6to4 */
    bool special = a[0] == 0x20 && a[1] == 0x01 && (a[2] < 0x02 || (a[2] == 0x0d && a[3] == 0xb8));
    return a[0] >> 5 == 1 && !special; /* 2000::/3 is all that is given out */
}

bool address_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return ipv4_public(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    const uint8_t *bytes = in6.sin6_addr.s6_addr;
    return IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ? ipv4_public(get_be32(bytes + 12)) : ipv6_public(bytes);
}
