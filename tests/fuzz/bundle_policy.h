/*
 * The policy of spec/vectors/bundle.json, under which its bundle is a proof.
 */
#ifndef STELE_TESTS_FUZZ_BUNDLE_POLICY_H
#define STELE_TESTS_FUZZ_BUNDLE_POLICY_H

#define BUNDLE_POLICY_LOG "log log.example.org/stele+d8a57f8f+AZ1OZqaJgyy8vbNdGEZ6UdIIRtjQ2bTyVolQ8w/BWY+Z"
#define BUNDLE_POLICY_WITNESSES                                                                                                    \
    "\n"                                                                                                                           \
    "witness w1 w1.example.org+85e10473+BP0RwkK25g1AvdPQW1VM8Xtbu3G8VBvq4gvv+c4MA6kP\n"                                            \
    "witness w2 w2.example.net+89dab278+BC9yybEVSPOoADwp6ezYmo4ZNCxitnESWT70s5KjU5Nn\n"                                            \
    "group both all w1 w2\n"                                                                                                       \
    "quorum both\n"
#define BUNDLE_POLICY BUNDLE_POLICY_LOG BUNDLE_POLICY_WITNESSES

#endif
