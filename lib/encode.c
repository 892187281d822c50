#include "lib/encode.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char nix32_digits[] = "0123456789abcdfghijklmnpqrsvwxyz";

void hex_encode(struct buf *out, struct span data)
{
    uint8_t *at = buf_grow(out, 2 * data.len);
    for (size_t i = 0; at != NULL && i < data.len; i++) {
        at[2 * i] = (uint8_t)hex_digits[data.data[i] >> 4];
        at[2 * i + 1] = (uint8_t)hex_digits[data.data[i] & 15];
    }
}

/* A character's value plus one; 0 where it stands in no alphabet. The log decodes a dozen hashes an entry. */
static const uint8_t hex_values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};
static const uint8_t nix32_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['f'] = 15, ['g'] = 16,
    ['h'] = 17, ['i'] = 18, ['j'] = 19, ['k'] = 20, ['l'] = 21, ['m'] = 22, ['n'] = 23, ['p'] = 24,
    ['q'] = 25, ['r'] = 26, ['s'] = 27, ['v'] = 28, ['w'] = 29, ['x'] = 30, ['y'] = 31, ['z'] = 32,
};

bool hex_decode(struct span text, uint8_t *out, size_t len)
{
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint8_t high = hex_values[text.data[2 * i]], low = hex_values[text.data[2 * i + 1]];
        if (high == 0 || low == 0)
            return false;
        out[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

size_t base64_encoded_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

void base64_encode(struct buf *out, struct span data)
{
    uint8_t *at = buf_grow(out, base64_encoded_len(data.len));
    if (at != NULL)
        base64_encode_to(data, at);
}

void base64_encode_to(struct span data, uint8_t *at)
{
    size_t i = 0;
    for (; i + 3 <= data.len; i += 3, at += 4) {
        uint32_t three = (uint32_t)data.data[i] << 16 | (uint32_t)data.data[i + 1] << 8 | data.data[i + 2];
        at[0] = (uint8_t)base64_digits[three >> 18];
        at[1] = (uint8_t)base64_digits[three >> 12 & 63];
        at[2] = (uint8_t)base64_digits[three >> 6 & 63];
        at[3] = (uint8_t)base64_digits[three & 63];
    }
    if (i == data.len)
        return;
    bool two = data.len - i == 2;
    uint32_t rest = (uint32_t)data.data[i] << 16 | (two ? (uint32_t)data.data[i + 1] << 8 : 0);
    at[0] = (uint8_t)base64_digits[rest >> 18];
    at[1] = (uint8_t)base64_digits[rest >> 12 & 63];
    at[2] = two ? (uint8_t)base64_digits[rest >> 6 & 63] : '=';
    at[3] = '=';
}

/* A character's six bits, and GOOD; 0 where it stands in no alphabet. The log decodes every payload with this, hence a table. */
enum { GOOD = 0x80 };
#define BASE64_TABLE(c62, c63)                                                                                                     \
    {                                                                                                                              \
        ['A'] = 0x80, ['B'] = 0x81, ['C'] = 0x82, ['D'] = 0x83, ['E'] = 0x84, ['F'] = 0x85, ['G'] = 0x86, ['H'] = 0x87,            \
        ['I'] = 0x88, ['J'] = 0x89, ['K'] = 0x8a, ['L'] = 0x8b, ['M'] = 0x8c, ['N'] = 0x8d, ['O'] = 0x8e, ['P'] = 0x8f,            \
        ['Q'] = 0x90, ['R'] = 0x91, ['S'] = 0x92, ['T'] = 0x93, ['U'] = 0x94, ['V'] = 0x95, ['W'] = 0x96, ['X'] = 0x97,            \
        ['Y'] = 0x98, ['Z'] = 0x99, ['a'] = 0x9a, ['b'] = 0x9b, ['c'] = 0x9c, ['d'] = 0x9d, ['e'] = 0x9e, ['f'] = 0x9f,            \
        ['g'] = 0xa0, ['h'] = 0xa1, ['i'] = 0xa2, ['j'] = 0xa3, ['k'] = 0xa4, ['l'] = 0xa5, ['m'] = 0xa6, ['n'] = 0xa7,            \
        ['o'] = 0xa8, ['p'] = 0xa9, ['q'] = 0xaa, ['r'] = 0xab, ['s'] = 0xac, ['t'] = 0xad, ['u'] = 0xae, ['v'] = 0xaf,            \
        ['w'] = 0xb0, ['x'] = 0xb1, ['y'] = 0xb2, ['z'] = 0xb3, ['0'] = 0xb4, ['1'] = 0xb5, ['2'] = 0xb6, ['3'] = 0xb7,            \
        ['4'] = 0xb8, ['5'] = 0xb9, ['6'] = 0xba, ['7'] = 0xbb, ['8'] = 0xbc, ['9'] = 0xbd, [c62] = 0xbe, [c63] = 0xbf             \
    }
static const uint8_t standard[256] = BASE64_TABLE('+', '/');
static const uint8_t url_safe[256] = BASE64_TABLE('-', '_');

size_t base64_decoded_len(struct span text)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    return text.len / 4 * 3 - (text.len >= 4 ? padding : 0);
}

static bool base64_last(const uint8_t table[256], const uint8_t in[4], uint8_t *out, size_t left)
{
    uint8_t a = table[in[0]], b = table[in[1]], c = table[in[2]];
    if ((a & b & GOOD) == 0 || in[3] != '=')
        return false;
    out[0] = (uint8_t)((a & 63) << 2 | (b & 63) >> 4);
    if (left == 1)
        return in[2] == '=' && (b & 15) == 0;
    out[1] = (uint8_t)((b & 15) << 4 | (c & 63) >> 2);
    return (c & GOOD) != 0 && (c & 3) == 0;
}

/* `len` is base64_decoded_len(text). */
static bool base64_decode_with(const uint8_t table[256], struct span text, uint8_t *out, size_t len)
{
    if (text.len % 4 != 0)
        return false;
    const uint8_t *in = text.data;
    uint8_t good = GOOD;
    for (; len >= 3; len -= 3, in += 4, out += 3) {
        uint8_t a = table[in[0]], b = table[in[1]], c = table[in[2]], d = table[in[3]];
        good &= a & b & c & d;
        uint32_t three = (uint32_t)(a & 63) << 18 | (uint32_t)(b & 63) << 12 | (uint32_t)(c & 63) << 6 | (d & 63);
        out[0] = (uint8_t)(three >> 16);
        out[1] = (uint8_t)(three >> 8);
        out[2] = (uint8_t)three;
    }
    return good != 0 && (len == 0 || base64_last(table, in, out, len));
}

static bool base64_append(const uint8_t table[256], struct span text, struct buf *out)
{
    size_t len = base64_decoded_len(text);
    uint8_t *at = buf_grow(out, len);
    if (out->failed)
        return false;
    if (base64_decode_with(table, text, at, len))
        return true;
    out->len -= len;
    return false;
}

bool base64_decode(struct span text, struct buf *out)
{
    return base64_append(standard, text, out);
}

bool base64_decode_to(struct span text, uint8_t *out, size_t len)
{
    return base64_decoded_len(text) == len && base64_decode_with(standard, text, out, len);
}

bool base64url_decode(struct span text, struct buf *out)
{
    return base64_append(url_safe, text, out);
}

size_t nix32_len(size_t bytes)
{
    return (bytes * 8 + 4) / 5;
}

void nix32_encode(struct buf *out, struct span data)
{
    size_t len = nix32_len(data.len);
    uint8_t *at = buf_grow(out, len);
    for (size_t n = len; at != NULL && n-- > 0;) {
        size_t bit = n * 5, i = bit / 8, shift = bit % 8;
        unsigned value = data.data[i] >> shift;
        if (i + 1 < data.len)
            value |= (unsigned)data.data[i + 1] << (8 - shift);
        *at++ = (uint8_t)nix32_digits[value & 31];
    }
}

bool nix32_decode(struct span text, uint8_t *out, size_t len)
{
    if (text.len != nix32_len(len))
        return false;
    memset(out, 0, len);
    for (size_t n = 0; n < text.len; n++) {
        uint8_t value = nix32_values[text.data[text.len - 1 - n]];
        if (value == 0)
            return false;
        size_t bit = n * 5, i = bit / 8, shift = bit % 8;
        unsigned wide = (unsigned)(value - 1) << shift;
        out[i] |= (uint8_t)wide;
        if (i + 1 < len)
            out[i + 1] |= (uint8_t)(wide >> 8);
        else if (wide >> 8 != 0)
            return false; /* bits that do not fit */
    }
    return true;
}

bool nix32_alphabet(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (nix32_values[text.data[i]] == 0)
            return false;
    return true;
}

bool nix_sha256_decode(struct span text, struct hash *out)
{
    if (span_skip(&text, "sha256-"))
        return base64_decode_to(text, out->b, sizeof out->b);
    if (!span_skip(&text, "sha256:"))
        return false;
    return nix32_decode(text, out->b, sizeof out->b) || hex_decode(text, out->b, sizeof out->b) ||
           base64_decode_to(text, out->b, sizeof out->b);
}
