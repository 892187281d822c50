/* spec/vectors/trust.json and trust-file.json: what comes of a trust file, and which text is one. */
#include "lib/trust.h"
#include "tests/vectors/vector.h"

#define ORIGIN "log.example.org/stele"

/* One trust decision: who attested what of VECTOR_HELLO, whose bytes are "hello", and what comes of it. */
struct decision {
    const char *name, *rules; /* after the lines of builders a, b and cache c */
    const char *by_a, *by_b;  /* the bytes that they attested; NULL: nothing */
    const char *claim;        /* of both; NULL: "build" */
    bool cache_signed, content_addressed;
    enum trust_verdict verdict;
    bool unasked; /* not every log answered a look-up */
};

/* The lines of builders a and b and of cache c, which `rules` follow. */
static void put_trust_file(struct buf *out, const struct secret_key *a, const struct secret_key *b, const char *rules)
{
    struct hash cache = vector_hash("stele test key of a cache");
    buf_str(out, "builder a ");
    vector_put_vkey(out, a);
    buf_str(out, "\nbuilder b ");
    vector_put_vkey(out, b);
    buf_str(out, "\ncache c cache.example.org-1:");
    base64_encode(out, span_of(cache.b, sizeof cache.b));
    buf_fmt(out, "\n%s", rules);
}

static void put_evidence(struct buf *out, const struct secret_key *key, const char *bytes, const char *claim, unsigned index)
{
    struct hash hash = vector_hash(bytes);
    buf_fmt(out, "%s\n    { \"vkey\": \"", out->data[out->len - 1] == '[' ? "" : ",");
    vector_put_vkey(out, key);
    buf_fmt(out, "\", \"origin\": \"log.example.org/stele\", \"index\": %u, \"claim\": \"%s\", \"narHash\": \"", index, claim);
    hex_encode(out, span_of(hash.b, sizeof hash.b));
    buf_str(out, "\" }");
}

void vectors_trust(const char *folder)
{
    static const struct decision decisions[] = {
        { "one builder of any two", "group g any a b\nquorum g\n", .by_a = "hello", .verdict = TRUST_ATTESTED },
        { "one builder where both must agree", "group g all a b\nquorum g\n", .by_a = "hello", .verdict = TRUST_REFUSED },
        { "both builders", "group g all a b\nquorum g\n", .by_a = "hello", .by_b = "hello", .verdict = TRUST_ATTESTED },
        { "two builders that differ", "group g all a b\nquorum g\n", .by_a = "hello", .by_b = "other", .verdict = TRUST_REFUSED },
        { "other bytes", "quorum a\n", .by_a = "other", .verdict = TRUST_REFUSED },
        { "a builder who is not named", "quorum a\n", .by_b = "hello", .verdict = TRUST_REFUSED },
        { "a rebuild counts", "quorum a\n", .by_a = "hello", .claim = "rebuild", .verdict = TRUST_ATTESTED },
        { "a backfill does not", "quorum a\n", .by_a = "hello", .claim = "backfill", .verdict = TRUST_REFUSED },
        { "unless it is accepted", "quorum a\nbackfill accept\n", .by_a = "hello", .claim = "backfill", .verdict = TRUST_ATTESTED },
        { "up to an index", "quorum a\nbackfill accept before 7 log.example.org/stele\n", .by_a = "hello", .claim = "backfill",
          .verdict = TRUST_REFUSED },
        { "revoked", "quorum a\nrevoke a\n", .by_a = "hello", .verdict = TRUST_REFUSED },
        { "revoked later", "quorum a\nrevoke a from 8 log.example.org/stele\n", .by_a = "hello", .verdict = TRUST_ATTESTED },
        { "revoked from here", "quorum a\nrevoke a from 7 log.example.org/stele\n", .by_a = "hello", .verdict = TRUST_REFUSED },
        { "a cache vouches", "quorum c\n", .cache_signed = true, .verdict = TRUST_VOUCHED },
        { "a cache that did not sign", "quorum c\n", .verdict = TRUST_REFUSED },
        { "the last line that matches", "quorum c\nquorum a hello-*\n", .cache_signed = true, .verdict = TRUST_REFUSED },
        { "the default where none matches", "quorum a x*\nquorum c\n", .cache_signed = true, .verdict = TRUST_VOUCHED },
        { "exempt", "quorum a\nexempt hello-*\n", .verdict = TRUST_EXEMPT },
        { "content is its name", "quorum a\n", .content_addressed = true, .verdict = TRUST_FIXED },
        { "and that is not enough", "quorum a\nfixed-output require\n", .content_addressed = true, .verdict = TRUST_REFUSED },
        { "two of three", "group g 2 a b c\nquorum g\n", .by_a = "hello", .by_b = "hello", .verdict = TRUST_ATTESTED },
        { "one of three where two must agree", "group g 2 a b c\nquorum g\n", .by_a = "hello", .verdict = TRUST_REFUSED },
        { "a builder and a cache vouch together", "group g 2 a b c\nquorum g\n", .by_a = "hello", .cache_signed = true,
          .verdict = TRUST_VOUCHED },
        { "a group of groups", "group ab any a b\ngroup g all ab c\nquorum g\n", .by_b = "hello", .cache_signed = true,
          .verdict = TRUST_VOUCHED },
        { "a group of groups that is not satisfied", "group ab all a b\ngroup g any ab c\nquorum g\n", .by_a = "hello",
          .verdict = TRUST_REFUSED },
        { "revoked with a line for another log alone", "quorum a\nrevoke a from 8 other.example.org\n", .by_a = "hello",
          .verdict = TRUST_REFUSED },
        { "a revoked cache", "quorum c\nrevoke c\n", .cache_signed = true, .verdict = TRUST_REFUSED },
        { "backfills of another log alone", "quorum a\nbackfill accept before 8 other.example.org\n", .by_a = "hello",
          .claim = "backfill", .verdict = TRUST_REFUSED },
        { "exempt by the whole base name", "quorum a\nexempt y7zw0pmm*\n", .verdict = TRUST_EXEMPT },
        { "a quorum's glob is for names alone", "quorum c\nquorum a y7zw0pmm*\n", .cache_signed = true, .verdict = TRUST_VOUCHED },
        { "a question mark is one byte", "quorum c\nquorum a hello-2?12?1\n", .cache_signed = true, .verdict = TRUST_REFUSED },
        { "divergence refuse: nobody differs", "quorum a\ndivergence refuse\n", .by_a = "hello", .verdict = TRUST_ATTESTED },
        { "divergence refuse: not every log answered", "quorum a\ndivergence refuse\n", .by_a = "hello", .unasked = true,
          .verdict = TRUST_REFUSED },
        { "divergence warn: no look-up is needed", "quorum a\n", .by_a = "hello", .unasked = true, .verdict = TRUST_ATTESTED },
        { "divergence warn: another builder of the quorum differs", "group g any a b\nquorum g\n", .by_a = "hello", .by_b = "other",
          .verdict = TRUST_ATTESTED },
        { "divergence refuse: it does", "group g any a b\nquorum g\ndivergence refuse\n", .by_a = "hello", .by_b = "other",
          .verdict = TRUST_REFUSED },
        { "divergence refuse: one outside the quorum differs", "quorum a\ndivergence refuse\n", .by_a = "hello", .by_b = "other",
          .verdict = TRUST_ATTESTED },
        { "divergence refuse: what differs is a refused backfill", "quorum c\ndivergence refuse\n", .by_a = "other",
          .claim = "backfill", .cache_signed = true, .verdict = TRUST_VOUCHED },
        { "divergence refuse: exempt all the same", "quorum a\ndivergence refuse\nexempt hello-*\n", .by_a = "other",
          .verdict = TRUST_EXEMPT },
        { "inputs attested: nobody followed them", "quorum a\ninputs attested\n", .by_a = "hello", .verdict = TRUST_REFUSED },
    };
    struct secret_key *a = vector_key("a.example.org", SIG_ED25519), *b = vector_key("b.example.org", SIG_ED25519);
    struct buf out = BUF_EMPTY, text = BUF_EMPTY;
    struct hash bytes = vector_hash("hello");
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++) {
        const struct decision *d = &decisions[i];
        const char *claim = d->claim != NULL ? d->claim : "build";
        buf_clear(&text);
        put_trust_file(&text, a, b, d->rules);
        vector_open(&out, d->name, d->verdict != TRUST_REFUSED);
        vector_member(&out, "trust", span_buf(&text));
        vector_member(&out, "path", span_str(VECTOR_STORE VECTOR_HELLO));
        vector_member_hash(&out, "narHash", &bytes);
        buf_str(&out, ",\n  \"narSize\": 226552,\n  \"references\": [\"" VECTOR_GLIBC "\", \"" VECTOR_HELLO "\"]");
        buf_fmt(&out, ",\n  \"cacheSigned\": %s,\n  \"contentAddressed\": %s,\n  \"lookedUp\": %s,\n  \"evidence\": [",
                d->cache_signed ? "true" : "false", d->content_addressed ? "true" : "false", d->unasked ? "false" : "true");
        if (d->by_a != NULL)
            put_evidence(&out, a, d->by_a, claim, 7);
        if (d->by_b != NULL)
            put_evidence(&out, b, d->by_b, claim, 9);
        buf_fmt(&out, "],\n  \"verdict\": \"%s\"", trust_verdict_name(d->verdict));
        vector_close(&out);
    }
    vector_write(folder, "trust.json", &out);
    buf_free(&text);
    secret_key_free(a);
    secret_key_free(b);
}

void vectors_trust_file(const char *folder)
{
    static const struct {
        const char *name;
        bool ok;
        const char *rules; /* after the lines of builders a, b and cache c */
    } files[] = {
        { "a trust file", true, "quorum a\n" },
        { "every kind of line", true,
          "# who\ngroup g 2 a b c\nquorum g\nquorum a x-* y-?\nrevoke b from 0 " ORIGIN "\nexempt z*\nbackfill refuse\n"
          "fixed-output require\ndivergence refuse\ninputs attested\n" },
        { "white space and comments", true, "  \t# a comment\n\n \tquorum \t a \t\n" },
        { "no newline at the end", true, "quorum a" },
        { "no default", false, "quorum a x-*\n" },
        { "two defaults", false, "quorum a\nquorum b\n" },
        { "an unknown word", false, "quorum a\ntrust b\n" },
        { "a name that is not defined before", false, "quorum g\ngroup g any a b\n" },
        { "a name twice", false, "group a any b c\nquorum a\n" },
        { "the name none", false, "group none any a b\nquorum none\n" },
        { "one way only under a quorum", false, "group g any a b\ngroup h all g a\nquorum h\n" },
        { "groups that share a member, in different quorums", true, "group g any a b\ngroup h all a c\nquorum g\nquorum h x-*\n" },
        { "a threshold of none", false, "group g 0 a b\nquorum g\n" },
        { "a threshold above the members", false, "group g 3 a b\nquorum g\n" },
        { "a member twice", false, "group g any a a\nquorum g\n" },
        { "one public key under two names", false, "cache d other-1:@\nquorum a\n" },
        { "a group is not revoked", false, "group g any a b\nquorum g\nrevoke g\n" },
        { "a revocation without its origin", false, "quorum a\nrevoke a from 7\n" },
        { "an index with a leading zero", false, "quorum a\nrevoke a from 07 " ORIGIN "\n" },
        { "the same revocation twice", false, "quorum a\nrevoke a\nrevoke a\n" },
        { "backfills that are refused have no bound", false, "quorum a\nbackfill refuse before 7 " ORIGIN "\n" },
        { "a setting twice", false, "quorum a\ninputs any\ninputs any\n" },
        { "a setting that there is not", false, "quorum a\ndivergence ignore\n" },
        { "two globs to an exemption", false, "quorum a\nexempt x y\n" },
        { "a carriage return", false, "quorum a\r\n" },
    };
    struct secret_key *a = vector_key("a.example.org", SIG_ED25519), *b = vector_key("b.example.org", SIG_ED25519);
    struct hash cache = vector_hash("stele test key of a cache");
    struct buf out = BUF_EMPTY, text = BUF_EMPTY, again = BUF_EMPTY, key = BUF_EMPTY;
    base64_encode(&key, span_of(cache.b, sizeof cache.b));
    buf_byte(&key, '\0');
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        buf_clear(&text);
        buf_clear(&again);
        put_trust_file(&text, a, b, files[i].rules);
        vector_open(&out, files[i].name, files[i].ok);
        if (strchr(files[i].rules, '@') != NULL) {
            vector_altered(&again, span_buf(&text), "@", NULL, (const char *)key.data);
            vector_member(&out, "trust", span_buf(&again));
        } else {
            vector_member(&out, "trust", span_buf(&text));
        }
        vector_close(&out);
    }
    vector_write(folder, "trust-file.json", &out);
    buf_free(&text);
    buf_free(&again);
    buf_free(&key);
    secret_key_free(a);
    secret_key_free(b);
}
