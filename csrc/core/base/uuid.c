/* UUIDs: sixteen bytes, written as 8-4-4-4-12 lower-case hexadecimal digits. */
#include "text.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool hyphen_before(size_t byte) {
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

int hd_uuid_parse(const char *text, size_t len, unsigned char bytes[16]) {
    if (len >= 2 && text[0] == '{' && text[len - 1] == '}') {
        text++;
        len -= 2;
    }
    if (len != 32 && len != HD_UUID_TEXT) return -1;
    bool hyphens = len == HD_UUID_TEXT;
    for (size_t i = 0; i < 16; i++) {
        if (hyphens && hyphen_before(i) && *text++ != '-') return -1;
        int high = hex_digit(text[0]);
        int low = hex_digit(text[1]);
        if (high < 0 || low < 0) return -1;
        bytes[i] = (unsigned char)(high << 4 | low);
        text += 2;
    }
    return 0;
}

void hd_uuid_format(const unsigned char bytes[16], char out[HD_UUID_TEXT]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 16; i++) {
        if (hyphen_before(i)) *out++ = '-';
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

int hd_uuid_normalize(const char *text, size_t len, char out[HD_UUID_TEXT]) {
    unsigned char bytes[16];
    if (hd_uuid_parse(text, len, bytes) != 0) return -1;
    hd_uuid_format(bytes, out);
    return 0;
}
