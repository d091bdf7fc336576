/* What the JSON reader and the JSON writer both do all day: pass over string bytes that stand for
 * themselves. Private to json_read.c and json_write.c. */
#ifndef HD_JSON_SCAN_H
#define HD_JSON_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HD_EACH_BYTE(x) (UINT64_C(0x0101010101010101) * (x))

/* Not zero when one of eight bytes is a control character, '"', '\\' or not ASCII. Subtracting sets
 * a byte's top bit where it was smaller; a borrow reaches only bytes above one that is special. */
static inline uint64_t hd_json_special(uint64_t word) {
    uint64_t control = word - HD_EACH_BYTE(0x20);
    uint64_t quote = (word ^ HD_EACH_BYTE('"')) - HD_EACH_BYTE(1);
    uint64_t backslash = (word ^ HD_EACH_BYTE('\\')) - HD_EACH_BYTE(1);
    return (word | control | quote | backslash) & HD_EACH_BYTE(0x80);
}

/* First byte in [at, end) that is special in the sense above; end when there is none. */
static inline const char *hd_json_plain(const char *at, const char *end) {
    for (uint64_t word; end - at >= (ptrdiff_t)sizeof word; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        if (hd_json_special(word)) break;
    }
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
    }
    return at;
}

#endif
