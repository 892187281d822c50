/* spec/vectors/statement.json: which payloads a log takes, and which of them count. */
#include "lib/statement.h"
#include "tests/vectors/vector.h"

#define SIGNER      "ci.example.org/builder"
#define SOME_HASH   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
/* Where the first of the statement's dependencies begins. */
#define GLIBC_INPUT "{\"name\":\"" VECTOR_STORE VECTOR_GLIBC

enum of { COMPLETE, FOREIGN_STATEMENT, MALFORMED_STATEMENT };

/* The first `from` of the payload, up to `upto` where there is one, as `to`. */
struct change {
    const char *from, *upto, *to;
};

static const struct statement_case {
    const char *name;
    enum of is;
    struct change changes[2];
    const char *key_name; /* who signed, where not SIGNER */
} cases[] = {
    { "a build", COMPLETE, { { 0 } }, NULL },
    { "a rebuild", COMPLETE, { { "\"claim\":\"build\"", NULL, "\"claim\":\"rebuild\"" } }, NULL },
    { "a backfill",
      COMPLETE,
      { { "\"claim\":\"build\"", NULL, "\"claim\":\"backfill\"" }, { "https://" SIGNER, NULL, "https://" SIGNER "/backfill" } },
      NULL },
    { "inputs unrecorded",
      COMPLETE,
      { { ",\"closure\"", "},\"resolved", ",\"inputs\":\"unrecorded\"" }, { ",\"resolvedDependencies\"", "},\"runDetails", "" } },
      NULL },
    { "an input list",
      COMPLETE,
      { { GLIBC_INPUT, "]},\"runDetails", "{\"name\":\"inputs\",\"digest\":{\"sha256\":\"" SOME_HASH "\"}}" } },
      NULL },
    { "no inputs at all", COMPLETE, { { GLIBC_INPUT, "]},\"runDetails", "" } }, NULL },
    { "references by their digest",
      COMPLETE,
      { { "\"references\"", "}}],\"pred", "\"referencesSha256\":\"" SOME_HASH "\"" } },
      NULL },
    { "no references", COMPLETE, { { "\"references\"", "}}],\"pred", "\"references\":[]" } }, NULL },
    { "white space", COMPLETE, { { "{\"_type\":", NULL, "{ \"_type\" :\n" } }, NULL },
    { "an unknown member", COMPLETE, { { "\"predicate\":{", NULL, "\"more\":[1e3,null],\"predicate\":{" } }, NULL },
    { "a sandbox", COMPLETE, { { "\"storeDir\"", NULL, "\"sandbox\":\"relaxed\",\"storeDir\"" } }, NULL },
    { "an output that was not built", COMPLETE, { { "\"outputs\":[\"out\"", NULL, "\"outputs\":[\"dev\",\"out\"" } }, NULL },

    { "another predicate", FOREIGN_STATEMENT, { { "provenance/v1", NULL, "provenance/v2" } }, NULL },
    { "another build type", FOREIGN_STATEMENT, { { "nix-build:v1", NULL, "nix-build:v2" } }, NULL },
    { "another build type, by another key", FOREIGN_STATEMENT, { { "nix-build:v1", NULL, "nix-build:v2" } }, "di.example.org" },
    { "a subject named by its uri", FOREIGN_STATEMENT, { { "[{\"name\":", NULL, "[{\"uri\":" } }, NULL },
    { "beside it a subject that is no store path",
      FOREIGN_STATEMENT,
      { { "\"subject\":[", NULL, "\"subject\":[{\"name\":\"hello\",\"digest\":{\"sha256\":\"" SOME_HASH "\"}}," } },
      NULL },
    { "no media type", FOREIGN_STATEMENT, { { "\"mediaType\":\"application/x-nix-nar\",", NULL, "" } }, NULL },
    { "no output name", FOREIGN_STATEMENT, { { "\"output\":\"out\",", NULL, "" } }, NULL },
    { "no size", FOREIGN_STATEMENT, { { "\"narSize\":226552,", NULL, "" } }, NULL },
    { "a size of 0", FOREIGN_STATEMENT, { { "226552", NULL, "0" } }, NULL },
    { "a size as text", FOREIGN_STATEMENT, { { "226552", NULL, "\"226552\"" } }, NULL },
    { "neither references nor digest", FOREIGN_STATEMENT, { { ",\"references\"", "}}],\"pred", "" } }, NULL },
    { "both", FOREIGN_STATEMENT, { { "\"references\"", NULL, "\"referencesSha256\":\"" SOME_HASH "\",\"references\"" } }, NULL },
    { "references that are not sorted",
      FOREIGN_STATEMENT,
      { { "\"references\"", "}}],\"pred", "\"references\":[\"" VECTOR_HELLO "\",\"" VECTOR_GLIBC "\"]" } },
      NULL },
    { "a reference twice",
      FOREIGN_STATEMENT,
      { { "\"references\"", "}}],\"pred", "\"references\":[\"" VECTOR_HELLO "\",\"" VECTOR_HELLO "\"]" } },
      NULL },
    { "a reference as a full path", FOREIGN_STATEMENT, { { "[\"" VECTOR_GLIBC, NULL, "[\"" VECTOR_STORE VECTOR_GLIBC } }, NULL },
    { "a derivation that is none", FOREIGN_STATEMENT, { { "hello-2.12.1.drv", NULL, "hello-2.12.1" } }, NULL },
    { "no outputs", FOREIGN_STATEMENT, { { "\"outputs\":[\"out\"]", NULL, "\"outputs\":[]" } }, NULL },
    { "a subject that is not among the outputs",
      FOREIGN_STATEMENT,
      { { "\"outputs\":[\"out\"", NULL, "\"outputs\":[\"dev\"" } },
      NULL },
    { "another claim", FOREIGN_STATEMENT, { { "\"claim\":\"build\"", NULL, "\"claim\":\"guess\"" } }, NULL },
    { "no system", FOREIGN_STATEMENT, { { "\"system\":\"x86_64-linux\",", NULL, "" } }, NULL },
    { "another store folder", FOREIGN_STATEMENT, { { "\"storeDir\":\"/nix", NULL, "\"storeDir\":\"/gnu" } }, NULL },
    { "a sandbox that there is not", FOREIGN_STATEMENT, { { "\"storeDir\"", NULL, "\"sandbox\":\"some\",\"storeDir\"" } }, NULL },
    { "no closure", FOREIGN_STATEMENT, { { ",\"closure\"", "},\"resolved", "" } }, NULL },
    { "inputs unrecorded, and given",
      FOREIGN_STATEMENT,
      { { ",\"closure\"", "},\"resolved", ",\"inputs\":\"unrecorded\"" } },
      NULL },
    { "a closure, and no inputs", FOREIGN_STATEMENT, { { ",\"resolvedDependencies\"", "},\"runDetails", "" } }, NULL },
    { "inputs that are not sorted",
      FOREIGN_STATEMENT,
      { { "\"name\":\"" VECTOR_STORE "3n5", NULL, "\"name\":\"" VECTOR_STORE "zn5" } },
      NULL },
    { "an input without its kind",
      FOREIGN_STATEMENT,
      { { "\"annotations\":{\"kind\":\"source\"}", NULL, "\"annotations\":{}" } },
      NULL },
    { "a source with a derivation", FOREIGN_STATEMENT, { { "\"kind\":\"output\"", NULL, "\"kind\":\"source\"" } }, NULL },
    { "an output without its derivation", FOREIGN_STATEMENT, { { "\"kind\":\"source\"", NULL, "\"kind\":\"output\"" } }, NULL },
    { "an output's references",
      FOREIGN_STATEMENT,
      { { "\"kind\":\"output\"", NULL, "\"references\":[\"" VECTOR_GLIBC "\"],\"kind\":\"output\"" } },
      NULL },
    { "a build under a backfill's id", FOREIGN_STATEMENT, { { "https://" SIGNER, NULL, "https://" SIGNER "/backfill" } }, NULL },
    { "a backfill under a build's id", FOREIGN_STATEMENT, { { "\"claim\":\"build\"", NULL, "\"claim\":\"backfill\"" } }, NULL },

    { "by another key", MALFORMED_STATEMENT, { { 0 } }, "di.example.org" },
    { "a builder without its id", MALFORMED_STATEMENT, { { "\"id\":\"https://" SIGNER "\",", NULL, "" } }, NULL },
    { "an id without https", MALFORMED_STATEMENT, { { "https://" SIGNER, NULL, SIGNER } }, NULL },
    { "another kind of statement", MALFORMED_STATEMENT, { { "Statement/v1", NULL, "Statement/v0.1" } }, NULL },
    { "no subject", MALFORMED_STATEMENT, { { "\"subject\":[", "],\"predicateType", "\"subject\":[" } }, NULL },
    { "no subject that is a store path", MALFORMED_STATEMENT, { { VECTOR_STORE VECTOR_HELLO, NULL, "hello" } }, NULL },
    { "a store path with a relative folder",
      MALFORMED_STATEMENT,
      { { VECTOR_STORE VECTOR_HELLO, NULL, "store/" VECTOR_HELLO } },
      NULL },
    { "a hash part with a letter that Nix has not",
      MALFORMED_STATEMENT,
      { { VECTOR_STORE "y7z", NULL, VECTOR_STORE "e7z" } },
      NULL },
    { "a digest in capitals",
      MALFORMED_STATEMENT,
      { { "\"sha256\":\"", "\"},\"media", "\"sha256\":\"0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF" } },
      NULL },
    { "a member twice", MALFORMED_STATEMENT, { { "\"narSize\":226552", NULL, "\"narSize\":226552,\"narSize\":226552" } }, NULL },
    { "a member twice, once written with an escape",
      MALFORMED_STATEMENT,
      { { "\"narSize\":226552", NULL, "\"narSize\":226552,\"n\\u0061rSize\":226552" } },
      NULL },
    { "an escaped NUL", MALFORMED_STATEMENT, { { "\"predicate\":{", NULL, "\"more\":\"\\u0000\",\"predicate\":{" } }, NULL },
    { "half a surrogate pair", MALFORMED_STATEMENT, { { "\"predicate\":{", NULL, "\"more\":\"\\ud800\",\"predicate\":{" } }, NULL },
    { "a number above 64 bits", MALFORMED_STATEMENT, { { "226552", NULL, "9223372036854775808" } }, NULL },
    { "a number beyond a double", MALFORMED_STATEMENT, { { "\"predicate\":{", NULL, "\"more\":1e999,\"predicate\":{" } }, NULL },
    { "a comma too many", MALFORMED_STATEMENT, { { "\"outputs\":[\"out\"", NULL, "\"outputs\":[\"out\"," } }, NULL },
    { "more behind it", MALFORMED_STATEMENT, { { "\"0.1.0\"}}}}}", NULL, "\"0.1.0\"}}}}}{}" } }, NULL },
    { "nothing", MALFORMED_STATEMENT, { { "{\"_type\"", "\"0.1.0\"}}}}}", "" }, { "\"0.1.0\"}}}}}", NULL, "" } }, NULL },
    { "nested 33 deep",
      MALFORMED_STATEMENT,
      { { "\"predicate\":{", NULL, "\"more\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],\"predicate\":{" } },
      NULL },
};

void vectors_statement(const char *folder, struct span payload)
{
    struct buf out = BUF_EMPTY, text[2] = { BUF_EMPTY, BUF_EMPTY };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span at = payload;
        for (size_t k = 0; k < 2 && cases[i].changes[k].from != NULL; k++) {
            const struct change *change = &cases[i].changes[k];
            buf_clear(&text[k]);
            vector_altered(&text[k], at, change->from, change->upto, change->to);
            at = span_buf(&text[k]);
        }
        vector_open(&out, cases[i].name, cases[i].is != MALFORMED_STATEMENT);
        if (cases[i].is != MALFORMED_STATEMENT)
            buf_fmt(&out, ",\n  \"counts\": %s", cases[i].is == COMPLETE ? "true" : "false");
        vector_member(&out, "keyName", span_str(cases[i].key_name != NULL ? cases[i].key_name : SIGNER));
        vector_member(&out, "payload", at);
        vector_close(&out);
    }
    vector_write(folder, "statement.json", &out);
    buf_free(&text[0]);
    buf_free(&text[1]);
}
