/* UTF-8 and uuids: tables of what is taken and refused, every code point, random uuids. The random
 * numbers are the same in every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint64_t random_state = UINT64_C(88172645463325252);

static uint64_t random_u64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(2685821657736338717);
}

/* ---- UTF-8 ------------------------------------------------------------------------------- */

typedef struct utf8_case {
    const char *text;
    int chars; /* -1: refused */
} utf8_case;

static void utf8_takes_and_refuses(void **state) {
    (void)state;
    static const utf8_case cases[] = {
        {"", 0},
        {"abc", 3},
        {"0123456789abcdef", 16},
        {"\xC2\x80", 1},
        {"\xDF\xBF", 1},
        {"\xE0\xA0\x80", 1},
        {"\xED\x9F\xBF", 1},
        {"\xEE\x80\x80", 1},
        {"\xEF\xBF\xBF", 1},
        {"\xF0\x90\x80\x80", 1},
        {"\xF4\x8F\xBF\xBF", 1},
        {"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\xA7\xB5", 8},
        {"\x80", -1},
        {"\xBF", -1},
        {"\xC0\x80", -1},
        {"\xC1\xBF", -1},
        {"\xC2", -1},
        {"\xC2\x41", -1},
        {"\xE0\x9F\xBF", -1},
        {"\xE2\x82", -1},
        {"\xE2\x82\x41", -1},
        {"\xED\xA0\x80", -1},
        {"\xED\xBF\xBF", -1},
        {"\xF0\x8F\xBF\xBF", -1},
        {"\xF0\x9F\xA7", -1},
        {"\xF4\x90\x80\x80", -1},
        {"\xF5\x80\x80\x80", -1},
        {"\xFF", -1},
        {"abcdefgh\xFF", -1},
        {"abcdefghi\xC2", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t chars = 99;
        int result = hd_utf8_check(cases[i].text, strlen(cases[i].text), &chars);
        assert_int_equal(result, cases[i].chars < 0 ? -1 : 0);
        if (result == 0) assert_int_equal(chars, cases[i].chars);
        assert_int_equal(hd_utf8_check(cases[i].text, strlen(cases[i].text), NULL), result);
    }
}

/* Every position in and around the eight-byte stride. */
static void utf8_finds_a_bad_byte_anywhere(void **state) {
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t at = 0; at < len; at++) {
            static const char bad[] = {'\0', '\x80', '\xFF', '\xC3'};
            for (size_t b = 0; b < COUNT(bad); b++) {
                char *text = malloc(len);
                memset(text, 'x', len);
                assert_int_equal(hd_utf8_check(text, len, NULL), 0);
                text[at] = bad[b];
                assert_int_equal(hd_utf8_check(text, len, NULL), -1);
                free(text);
            }
        }
    }
}

static size_t encode(uint32_t code, char out[4]) {
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(n == 1 ? code : lead[n] | code);
    return n;
}

static void utf8_knows_every_code_point(void **state) {
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        char text[4];
        size_t n = encode(code, text);
        bool good = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        assert_int_equal(hd_utf8_length(text, n), good ? n : 0);
        assert_int_equal(hd_utf8_check(text, n, NULL), good && code ? 0 : -1);
        if (n > 1) assert_int_equal(hd_utf8_length(text, n - 1), 0);
    }
    assert_int_equal(hd_utf8_length("", 0), 0);
}

/* ---- UUIDs ------------------------------------------------------------------------------- */

static void uuid_has_one_form(void **state) {
    (void)state;
    static const char canonical[] = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    static const char *const good[] = {
        "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0",
        "{0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0}", "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "{0F1E2D3C4B5A69788796A5B4C3D2E1F0}"};
    static const char *const bad[] = {"",
                                      "{}",
                                      "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f",
                                      "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f00",
                                      "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1fg",
                                      "0f1e2d3c4b5a-6978-8796-a5b4c3d2e1f0",
                                      "0f1e2d3-c4b5a-6978-8796-a5b4c3d2e1f0",
                                      "{0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
                                      "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0}",
                                      "0f1e2d3c 4b5a 6978 8796 a5b4c3d2e1f0",
                                      "-0f1e2d3c4b5a69788796a5b4c3d2e1f"};
    char out[HD_UUID_TEXT];
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(hd_uuid_normalize(good[i], strlen(good[i]), out), 0);
        assert_memory_equal(out, canonical, HD_UUID_TEXT);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(hd_uuid_normalize(bad[i], strlen(bad[i]), out), -1);
    }
}

static void uuid_survives_both_ways(void **state) {
    (void)state;
    for (int round = 0; round < 10000; round++) {
        unsigned char bytes[16], back[16];
        char text[HD_UUID_TEXT];
        for (size_t i = 0; i < 16; i++) bytes[i] = (unsigned char)random_u64();
        hd_uuid_format(bytes, text);
        assert_int_equal(hd_uuid_parse(text, sizeof text, back), 0);
        assert_memory_equal(bytes, back, 16);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_takes_and_refuses),
        cmocka_unit_test(utf8_finds_a_bad_byte_anywhere),
        cmocka_unit_test(utf8_knows_every_code_point),
        cmocka_unit_test(uuid_has_one_form),
        cmocka_unit_test(uuid_survives_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
