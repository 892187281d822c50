/* Which addresses are of the public Internet: first and last ones of the ranges that are not, and their neighbours. */
#include "tests/unit/support.h"

#include <arpa/inet.h>

#include "lib/sys/address.h"

static void public_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool is_public;
    } cases[] = {
        { "1.1.1.1", true },
        { "9.255.255.255", true },
        { "10.0.0.1", false },
        { "11.0.0.0", true },
        { "127.0.0.1", false },
        { "0.0.0.0", false },
        { "169.254.169.254", false },
        { "172.15.255.255", true },
        { "172.16.0.0", false },
        { "172.31.255.255", false },
        { "172.32.0.0", true },
        { "192.168.1.1", false },
        { "192.169.0.0", true },
        { "100.64.0.1", false },
        { "100.128.0.0", true },
        { "198.18.0.1", false },
        { "224.0.0.1", false },
        { "255.255.255.255", false },
        { "223.255.255.255", true },
        { "192.0.0.8", false },
        { "::1", false },
        { "::", false },
        { "fe80::1", false },
        { "fd00::1", false },
        { "fec0::1", false },
        { "ff02::1", false },
        { "2606:4700::1111", true },
        { "2001:db8::1", false },
        { "2001:0:4136:e378::", false },
        { "2001:4860:4860::8888", true },
        { "::ffff:127.0.0.1", false },
        { "::ffff:1.1.1.1", true },
        { "64:ff9b::7f00:1", false },
        { "64:ff9b::101:101", true },
        { "2002:7f00:1::", false },
        { "2002:101:101::", true },
        { "::7f00:1", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
        struct sockaddr_in in = { .sin_family = AF_INET };
        bool six = inet_pton(AF_INET6, cases[i].address, &in6.sin6_addr) == 1;
        assert_true(six || inet_pton(AF_INET, cases[i].address, &in.sin_addr) == 1);
        if (address_public(six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in) != cases[i].is_public)
            print_error("%s\n", cases[i].address), assert_true(false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(public_addresses) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
