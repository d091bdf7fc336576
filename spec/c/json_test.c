/* JSON: documents that are JSON and documents that are not, and what the writer refuses. */
#include "json_support.h"

#include <math.h>

/* ---- Reading ----------------------------------------------------------------------------- */

typedef struct document {
    const char *text, *canonical; /* NULL: as it is */
} document;

static const document valid[] = {
    {"null", NULL},
    {"true", NULL},
    {"false", NULL},
    {" \t\r\n1 \t\r\n", "1"},
    {"0", NULL},
    {"-0", "0"},
    {"-1", NULL},
    {"9223372036854775807", NULL},
    {"-9223372036854775808", NULL},
    {"9007199254740993", NULL},
    {"3.0", NULL},
    {"-0.0", NULL},
    {"0.1", NULL},
    {"1e2", "100.0"},
    {"1E+2", "100.0"},
    {"1e-2", "0.01"},
    {"1.5e300", "1.5e+300"},
    {"1e15", "1000000000000000.0"},
    {"9223372036854774784.0", NULL},
    {"9223372036854775808.0", "9.223372036854776e+18"},
    {"123456789.123456", NULL},
    {"1.7976931348623157e+308", NULL},
    {"5e-324", NULL},
    {"\"\"", NULL},
    {"\"a\"", NULL},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u0041\\u00e9\\u20AC\\ud83E\\uDDF5\"", "\"A\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA7\xB5\""},
    {"\"\\u0000\\u001f\\u000b\\u007f\"", "\"\\u0000\\u001f\\u000b\x7F\""},
    {"\"\\uFFFF\\uD7FF\\uE000\"", "\"\xEF\xBF\xBF\xED\x9F\xBF\xEE\x80\x80\""},
    {"\"gr\xC3\xBC\xC3\x9F und ein langer Text ohne alles \xF0\x9F\xA7\xB5\"", NULL},
    {"[]", NULL},
    {"{}", NULL},
    {"[[]]", NULL},
    {"[ 1 , 2 , [ 3 ] , { } ]", "[1,2,[3],{}]"},
    {"{\"a\":1,\"b\":[true,null,{\"c\":\"d\"}],\"\":{}}", NULL},
    {"{ \"a\" : 1 , \"a\" : 2 }", "{\"a\":1,\"a\":2}"},
    {"{\"\\n\\\"\":0}", NULL},
};

static void valid_documents_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++) {
        hd_buffer out;
        hd_buffer_init(&out, &hd_allocator_libc);
        size_t len = strlen(valid[i].text);
        const char *canonical = valid[i].canonical ? valid[i].canonical : valid[i].text;
        assert_int_equal(rewrite(valid[i].text, len, &hd_allocator_libc, &out), HD_JSON_END);
        assert_string_equal(hd_buffer_text(&out), canonical);
        hd_buffer_free(&out);
    }
}

static const char *const invalid[] = {
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "'a'",
    "a",
    "+1",
    "-",
    "01",
    "-01",
    "00",
    ".5",
    "5.",
    "1.e2",
    "1e",
    "1e+",
    "1.5e",
    "0x10",
    "1 2",
    "--1",
    "1e999",
    "-1e999",
    "1e-999",
    "1,",
    "1]",
    "1}",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\",
    "\"\\x\"",
    "\"\\u\"",
    "\"\\u12\"",
    "\"\\u123g\"",
    "\"\\u 123\"",
    "\"\\u+123\"",
    "\"\\U0041\"",
    "\"a\nb\"",
    "\"\t\"",
    "\"\x1F\"",
    "\"abcdefgh\x01\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800x\"",
    "\"\\ud800\\n\"",
    "\"\\ud800\\u0041\"",
    "\"\\ud800\\u\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud800\\udc0\"",
    "\"\x80\"",
    "\"\xC3\"",
    "\"\xC0\x80\"",
    "\"\xED\xA0\x80\"",
    "\"\xF4\x90\x80\x80\"",
    "\"\xF0\x9F\xA7\"",
    "\"\\n\xFF\"",
    "\xEF\xBB\xBF[1]",
    "{\"\xFF\":1}",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1:2]",
    "[}",
    "[1}",
    "[[]",
    "[]]",
    "[1],",
    "{",
    "}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{1:2}",
    "{a:1}",
    "{\"a\" 1}",
    "{\"a\",1}",
    "{\"a\":1:2}",
    "{\"a\"}",
    "{\"a\":}",
    "{]",
    "{\"a\":1]",
    "{}{}",
    "{\"a\":1 \"b\":2}",
    "{null:1}",
    "[1]x",
    "[1]\f",
    "\v1",
    "/* */1",
    "[1,//\n2]",
};

static void invalid_documents_are_refused(void **state) {
    (void)state;
    hd_buffer out;
    hd_buffer_init(&out, &hd_allocator_libc);
    for (size_t i = 0; i < COUNT(invalid); i++) {
        hd_hash128 hash;
        size_t len = strlen(invalid[i]);
        hd_buffer_clear(&out);
        if (rewrite(invalid[i], len, &hd_allocator_libc, &out) != HD_JSON_ERROR) {
            fail_msg("taken: %s", invalid[i]);
        }
        assert_int_equal(hd_json_hash(invalid[i], len, &hd_allocator_libc, &hash), -1);
    }
    assert_int_equal(rewrite("1\0", 2, &hd_allocator_libc, &out), HD_JSON_ERROR);
    hd_buffer_free(&out);
}

/* Every byte, alone in a string, at every place of the eight-byte stride. */
static void every_byte_in_a_string(void **state) {
    (void)state;
    hd_buffer out;
    hd_buffer_init(&out, &hd_allocator_libc);
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 1; at < 20; at++) {
            char text[21];
            memset(text, 'x', sizeof text);
            text[0] = text[20] = '"';
            text[at] = (char)byte;
            bool good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            if (byte == '\\' && at < 19) text[at + 1] = 'n';
            good = good || (byte == '\\' && at < 19);
            hd_buffer_clear(&out);
            hd_json_event event = rewrite(text, sizeof text, &hd_allocator_libc, &out);
            assert_int_equal(event, good ? HD_JSON_END : HD_JSON_ERROR);
            if (good) assert_memory_equal(out.data, text, sizeof text);
        }
    }
    hd_buffer_free(&out);
}

static void plain_strings_are_borrowed(void **state) {
    (void)state;
    static const char text[] = "{\"key\":\"v\xC3\xA9\",\"k\\n\":\"x\"}";
    hd_json_reader r;
    hd_json_read(&r, text, sizeof text - 1, &hd_allocator_libc);
    assert_int_equal(hd_json_next(&r), HD_JSON_OBJECT_OPEN);
    assert_int_equal(hd_json_next(&r), HD_JSON_KEY);
    assert_ptr_equal(r.text, text + 2);
    assert_int_equal(hd_json_next(&r), HD_JSON_STRING);
    assert_ptr_equal(r.text, text + 8);
    assert_int_equal(r.len, 3);
    assert_null(r.scratch.data);
    assert_int_equal(hd_json_next(&r), HD_JSON_KEY);
    assert_int_equal(r.len, 2);
    assert_memory_equal(r.text, "k\n", 2);
    hd_json_reader_free(&r);
}

typedef struct big {
    const char *text;
    bool big_integer;
    double number;
} big;

static void integers_beyond_64_bits_are_marked(void **state) {
    (void)state;
    static const big cases[] = {
        {"9223372036854775808", true, 0x1p63},
        {"-9223372036854775809", true, -0x1p63},
        {"18446744073709551615", true, 0x1p64},
        {"18446744073709551616", true, 0x1p64},
        {"18446744073709552000", false, 0x1p64}, /* what jsonb makes of the double */
        {"100000000000000000000", false, 1e20},
        {"-100000000000000000000000", false, -1e23},
        {"100000000000000000001", true, 1e20},
        {"1e20", false, 1e20},
        {"1.5", false, 1.5},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        hd_json_reader r;
        hd_json_read(&r, cases[i].text, strlen(cases[i].text), &hd_allocator_libc);
        assert_int_equal(hd_json_next(&r), HD_JSON_NUMBER);
        assert_int_equal(r.big_integer, cases[i].big_integer);
        assert_true(r.number == cases[i].number);
        assert_int_equal(r.len, strlen(cases[i].text));
        assert_memory_equal(r.text, cases[i].text, r.len);
        assert_int_equal(hd_json_next(&r), HD_JSON_END);
        hd_json_reader_free(&r);
    }
}

static void nesting_has_a_limit(void **state) {
    (void)state;
    static const char *const open[] = {"[", "{\"a\":"};
    static const char *const closed[] = {"]", "}"};
    for (size_t kind = 0; kind < 2; kind++) {
        for (int depth = HD_JSON_DEPTH - 1; depth <= HD_JSON_DEPTH + 1; depth++) {
            hd_buffer text, out;
            hd_hash128 hash;
            bool good = depth <= HD_JSON_DEPTH;
            hd_buffer_init(&text, &hd_allocator_libc);
            hd_buffer_init(&out, &hd_allocator_libc);
            for (int i = 0; i < depth; i++) hd_buffer_str(&text, open[kind]);
            if (kind == 1) hd_buffer_char(&text, '1');
            for (int i = 0; i < depth; i++) hd_buffer_str(&text, closed[kind]);
            assert_int_equal(rewrite(text.data, text.len, &hd_allocator_libc, &out),
                             good ? HD_JSON_END : HD_JSON_ERROR);
            assert_int_equal(hd_json_hash(text.data, text.len, &hd_allocator_libc, &hash),
                             good ? 0 : -1);
            hd_buffer_free(&text);
            hd_buffer_free(&out);
        }
    }
}

/* ---- Writing ----------------------------------------------------------------------------- */

static void what_is_refused_leaves_no_trace(void **state) {
    (void)state;
    hd_buffer out;
    hd_json_writer w;
    hd_buffer_init(&out, &hd_allocator_libc);
    hd_json_write(&w, &out);
    assert_int_equal(hd_json_open_array(&w), 0);
    assert_int_equal(hd_json_put_number(&w, (double)NAN), -1);
    assert_int_equal(hd_json_put_string(&w, "ab\xFF", 3), -1);
    hd_json_put_integer(&w, 1);
    assert_int_equal(hd_json_put_number(&w, -HUGE_VAL), -1);
    assert_int_equal(hd_json_put_string(&w, "\n\xED\xA0\x80", 4), -1);
    hd_json_put_integer(&w, 2);
    assert_int_equal(hd_json_open_object(&w), 0);
    assert_int_equal(hd_json_put_key(&w, "\xC3", 1), -1);
    assert_int_equal(hd_json_put_key(&w, "k", 1), 0);
    hd_json_put_null(&w);
    assert_int_equal(hd_json_put_key(&w, "\xC3", 1), -1);
    hd_json_close_object(&w);
    hd_json_close_array(&w);
    assert_string_equal(hd_buffer_text(&out), "[1,2,{\"k\":null}]");
    hd_buffer_clear(&out);
    hd_json_write(&w, &out);
    for (int i = 0; i < HD_JSON_DEPTH; i++) assert_int_equal(hd_json_open_array(&w), 0);
    assert_int_equal(hd_json_open_array(&w), -1);
    assert_int_equal(hd_json_open_object(&w), -1);
    assert_int_equal(out.len, HD_JSON_DEPTH);
    hd_buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_documents_are_read),
        cmocka_unit_test(invalid_documents_are_refused),
        cmocka_unit_test(every_byte_in_a_string),
        cmocka_unit_test(plain_strings_are_borrowed),
        cmocka_unit_test(integers_beyond_64_bits_are_marked),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(what_is_refused_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
