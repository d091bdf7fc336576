/* SQLite driver: what queries call over json and arrays, by PostgreSQL's rules for jsonb. */
#include "base/json.h"
#include "sqlite_support.h"

static db d;

static int set_up(void **state) {
    (void)state;
    db_open(&d, ":memory:");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    db_close(&d);
    return 0;
}

static void gives(const char *call, const char *expected) {
    char sql[4096];
    snprintf(sql, sizeof sql, "SELECT CAST(%s AS TEXT)", call);
    const char *given = db_text(&d, sql);
    if (strcmp(given, expected) != 0) fail_msg("%s gives %s, not %s", call, given, expected);
}

static void canonical_texts(void **state) {
    (void)state;
    gives("hd_json(NULL)", "NULL");
    gives("hd_json('null')", "null");
    gives("hd_json(' [ true , false,null ] ')", "[true,false,null]");
    gives("hd_json('{\"b\":1,\"a\":{\"z\":[],\"y\":{}}}')", "{\"a\":{\"y\":{},\"z\":[]},\"b\":1}");
    gives("hd_json('{\"a\":1,\"aa\":2,\"a\":3,\"\":4}')", "{\"\":4,\"a\":3,\"aa\":2}");
    gives("hd_json('[1.0, 1.50, 1e2, -0, 100, 0.10e1, 1E-3, 25e-1, -0.0]')",
          "[1,1.5,100,0,100,1,0.001,2.5,0]");
    gives("hd_json('[9007199254740993, -9223372036854775808, 12345678901234567890]')",
          "[9007199254740993,-9223372036854775808,12345678901234567890]");
    gives("hd_json('\"\\u0041\\u00e9\\/\\n\\\"\"')", "\"A\xC3\xA9/\\n\\\"\"");
    gives("hd_json(5)", "5");
    gives("hd_json('5') = hd_json('5.0')", "1");
    gives("hd_json('\"5\"') = hd_json('5')", "0");
}

static void values_at_paths(void **state) {
    (void)state;
    const char *doc = "{\"a\":{\"b\":[10,{\"c\":null,\"d\":\"x\"}]},\"0\":7,\"q\\u0022\":true}";
    const struct {
        const char *path, *expected;
    } cases[] = {
        {"[]", "{\"0\":7,\"a\":{\"b\":[10,{\"c\":null,\"d\":\"x\"}]},\"q\\\"\":true}"},
        {"[\"a\",\"b\",0]", "10"},
        {"[\"a\",\"b\",-1,\"d\"]", "\"x\""},
        {"[\"a\",\"b\",-2]", "10"},
        {"[\"a\",\"b\",-3]", "NULL"},
        {"[\"a\",\"b\",2]", "NULL"},
        {"[\"a\",\"b\",\"0\"]", "NULL"},
        {"[\"a\",\"b\",1,\"c\"]", "NULL"}, /* JSON null */
        {"[0]", "NULL"},
        {"[\"0\"]", "7"},
        {"[\"q\\\"\"]", "true"},
        {"[\"a\",\"b\",0,\"c\"]", "NULL"},
        {"[\"a\",\"b\",0,0]", "NULL"},
        {"[\"a\",null]", "NULL"},
        {"[\"a\",\"b\",0.5]", "NULL"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char call[512];
        snprintf(call, sizeof call, "hd_json('%s', '%s')", doc, cases[i].path);
        gives(call, cases[i].expected);
    }
    gives("hd_json_number('{\"a\":1.50}', '[\"a\"]')", "1.50");
    gives("hd_json_number('{\"a\":\"1.50\"}', '[\"a\"]')", "NULL");
    gives("hd_json_number('9007199254740993')", "9007199254740993");
    gives("hd_json_text('{\"a\":\"\\u0041\"}', '[\"a\"]')", "A");
    gives("hd_json_text('{\"a\":1}', '[\"a\"]')", "NULL");
    gives("hd_json_text(NULL, '[\"a\"]')", "NULL");
    gives("hd_json('{}', NULL)", "NULL");
}

static void containment(void **state) {
    (void)state;
    const struct {
        const char *doc, *other;
        const char *expected;
    } cases[] = {
        {"{\"a\":1,\"b\":2}", "{\"b\":2.0}", "1"},
        {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2}}", "1"},
        {"{\"a\":[1,2]}", "{\"a\":1}", "0"},
        {"{\"a\":null}", "{\"a\":null}", "1"},
        {"{}", "{\"a\":null}", "0"},
        {"[1,2,[3,4]]", "[[4],1,1]", "1"},
        {"[1,2,[3,4]]", "[3]", "0"},
        {"[1,2]", "2", "1"},
        {"[[2]]", "2", "0"},
        {"2", "[2]", "0"},
        {"2", "2", "1"},
        {"\"a\"", "\"a\"", "1"},
        {"\"ab\"", "\"a\"", "0"},
        {"[]", "[]", "1"},
        {"[]", "{}", "0"},
        {"[{\"a\":1}]", "{\"a\":1}", "0"},
        {"[{\"a\":1,\"b\":2}]", "[{\"a\":1},{\"b\":2}]", "1"},
        {"true", "false", "0"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char call[256];
        snprintf(call, sizeof call, "hd_json_contains('%s', '%s')", cases[i].doc, cases[i].other);
        gives(call, cases[i].expected);
    }
    gives("hd_json_contains(NULL, '1')", "NULL");
    gives("hd_json_contains('1', NULL)", "NULL");
}

static void arrays(void **state) {
    (void)state;
    gives("hd_array('[\"1.50\", null, \"x\"]', 1)", "[\"1.5\",null,\"x\"]");
    gives("hd_array('[\"1.50\"]', 0)", "[\"1.50\"]");
    gives("hd_array_contains('[1,2,null]', '[2,1]', 0)", "1");
    gives("hd_array_contains('[1,2,null]', '[null]', 0)", "0");
    gives("hd_array_contains('[[1,2],[3,4]]', '[3,[1]]', 0)", "1");
    gives("hd_array_contains('[1]', '[]', 0)", "1");
    gives("hd_array_contains('[\"1.50\"]', '[\"1.5\"]', 0)", "0");
    gives("hd_array_contains('[\"1.50\"]', '[\"1.5\"]', 1)", "1");
    gives("hd_array_overlaps('[1,null]', '[null,2]', 0)", "0");
    gives("hd_array_overlaps('[[1],[2]]', '[[5],[2]]', 0)", "1");
    gives("hd_array_overlaps('[]', '[1]', 0)", "0");
    gives("hd_array_overlaps(NULL, '[1]', 0)", "NULL");
}

static void what_is_no_json(void **state) {
    (void)state;
    static const char *const texts[] = {"",        "{",   "[1,]",     "nul",
                                        "{\"a\"}", "1 2", "\"\x01\"", "'a'"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        const hd_value v = hd_bytes(HD_TEXT, texts[i], strlen(texts[i]), HD_T_TEXT);
        hd_statement s = with_params("SELECT hd_json(?1)", &v, 1);
        assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
        assert_int_equal(d.err.kind, HD_E_VALIDATION);
        s = with_params("SELECT hd_json_contains('1', ?1)", &v, 1);
        assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    }
}

/* As deep as the reader goes, and one more. */
static void depth(void **state) {
    (void)state;
    for (size_t deep = HD_JSON_DEPTH; deep <= HD_JSON_DEPTH + 1; deep++) {
        char text[2 * HD_JSON_DEPTH + 3], out[2 * HD_JSON_DEPTH + 3] = "";
        memset(text, '[', deep);
        memset(text + deep, ']', deep);
        const hd_value v = hd_bytes(HD_TEXT, text, 2 * deep, HD_T_TEXT);
        hd_statement s =
            with_params("SELECT CAST(hd_json_contains(hd_json(?1), hd_json(?1)) AS TEXT)", &v, 1);
        d.on_row = keep_text;
        d.row_ctx = out;
        hd_step step = db_run(&d, &s, 1);
        d.on_row = NULL;
        assert_int_equal(step, deep == HD_JSON_DEPTH ? HD_DONE : HD_FAILED);
        if (step == HD_DONE) assert_string_equal(out, "1");
    }
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(canonical_texts), T(values_at_paths), T(containment),
        T(arrays),          T(what_is_no_json), T(depth),
    };
    return cmocka_run_group_tests_name("sqlite json", tests, NULL, NULL);
}
