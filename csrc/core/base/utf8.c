/* UTF-8: checks that text is well formed before it may reach a database. RFC 3629's table of byte
 * ranges is applied to the second byte, so that overlong forms, surrogates and everything above
 * U+10FFFF fall out without decoding. Runs of ASCII, nearly all text, go eight bytes at a time. */
#include "text.h"

#include <string.h>

#define EACH_BYTE(x) (UINT64_C(0x0101010101010101) * (x))

static bool continues(unsigned char byte) {
    return (byte & 0xC0) == 0x80;
}

/* Lowest and highest second byte that may follow `lead`. */
static bool second_fits(unsigned char lead, unsigned char second) {
    switch (lead) {
    case 0xE0:
        return second >= 0xA0 && second <= 0xBF;
    case 0xED:
        return second >= 0x80 && second <= 0x9F;
    case 0xF0:
        return second >= 0x90 && second <= 0xBF;
    case 0xF4:
        return second >= 0x80 && second <= 0x8F;
    default:
        return continues(second);
    }
}

size_t hd_utf8_length(const char *text, size_t len) {
    const unsigned char *at = (const unsigned char *)text;
    if (len == 0) return 0;
    if (at[0] < 0x80) return 1;
    if (at[0] < 0xC2 || at[0] > 0xF4) return 0;
    size_t need = at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (len < need || !second_fits(at[0], at[1])) return 0;
    for (size_t i = 2; i < need; i++) {
        if (!continues(at[i])) return 0;
    }
    return need;
}

/* How many of the next bytes, in steps of eight, are ASCII without NUL. */
static size_t ascii_run(const char *text, size_t len) {
    size_t n = 0;
    for (uint64_t word; len - n >= sizeof word; n += sizeof word) {
        memcpy(&word, text + n, sizeof word);
        if ((word | (word - EACH_BYTE(1))) & EACH_BYTE(0x80)) break;
    }
    return n;
}

int hd_utf8_check(const char *text, size_t len, size_t *chars) {
    size_t count = 0;
    for (size_t i = 0; i < len;) {
        size_t run = ascii_run(text + i, len - i);
        i += run;
        count += run;
        size_t stop = len - i < 8 ? len : i + 8;
        for (; i < stop; count++) {
            bool is_ascii = (unsigned char)text[i] < 0x80 && text[i];
            size_t n = is_ascii ? 1 : text[i] ? hd_utf8_length(text + i, len - i) : 0;
            if (n == 0) return -1;
            i += n;
        }
    }
    if (chars) *chars = count;
    return 0;
}
