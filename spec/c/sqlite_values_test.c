/* SQLite driver: what is written comes back the same; what others stored comes back as it is. */
#include <float.h>
#include <math.h>

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

static cell read_cell(const char *sql, hd_type type) {
    return db_cell(&d, sql, type, NULL);
}

static void assert_same(const hd_value *a, const hd_value *b) {
    assert_int_equal(a->kind, b->kind);
    if (hd_has_bytes(b)) {
        assert_int_equal(a->len, b->len);
        assert_memory_equal(a->as.p, b->as.p, b->len);
    } else if (b->kind == HD_FLOAT) {
        assert_memory_equal(&a->as.f, &b->as.f, sizeof(double));
    } else if (b->kind != HD_NULL) {
        assert_true(a->as.i == b->as.i);
    }
}

static void write_value(const char *column, const hd_value *v) {
    char sql[128];
    snprintf(sql, sizeof sql, "CREATE TABLE t (v %s)", column);
    db_exec(&d, "DROP TABLE IF EXISTS t");
    db_exec(&d, sql);
    hd_statement s = with_params("INSERT INTO t VALUES (?1)", v, 1);
    if (db_run(&d, &s, 1) != HD_DONE) fail_msg("%s: %s", d.err.message, d.err.cause);
    assert_int_equal(s.affected, 1);
}

static void round_trip(const char *column, hd_type type, const hd_value *v) {
    write_value(column, v);
    cell c = read_cell("SELECT v FROM t", type);
    assert_same(&c.v, v);
    free(c.bytes);
}

static void round_trip_text(const char *column, hd_kind kind, hd_type type, const char *text) {
    hd_value v = hd_bytes(kind, text, strlen(text), type);
    round_trip(column, type, &v);
}

static hd_value of_double(double f) {
    return (hd_value){HD_FLOAT, HD_T_DOUBLE, 0, 0, {.f = f}};
}

/* ---- U3, type by type ---- */

static void integers(void **state) {
    (void)state;
    const int64_t edges[] = {0,
                             1,
                             -1,
                             INT64_MAX,
                             INT64_MIN,
                             INT64_MIN + 1,
                             (INT64_C(1) << 53) + 1,
                             -(INT64_C(1) << 53) - 1,
                             INT32_MAX,
                             INT16_MIN,
                             127,
                             128,
                             8388608};
    for (size_t i = 0; i < COUNT(edges); i++) {
        hd_value v = hd_int(edges[i], HD_T_BIGINT);
        round_trip("INTEGER", HD_T_BIGINT, &v);
        round_trip("BIGINT", HD_T_INTEGER, &v);
        round_trip("", HD_T_UNKNOWN, &v);
    }
}

static void doubles(void **state) {
    (void)state;
    const double edges[] = {
        0.0,          0.1,           -0.1, 0.1 + 0.2,          1e308, -1e308, DBL_MAX,  DBL_MIN,
        DBL_TRUE_MIN, -DBL_TRUE_MIN, 3.0,  9007199254740993.0, 1e15,  1e22,   HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < COUNT(edges); i++) {
        hd_value v = of_double(edges[i]);
        round_trip("REAL", HD_T_DOUBLE, &v);
        round_trip("DOUBLE", HD_T_FLOAT, &v);
    }
    /* A column of affinity REAL stores -0.0 as the integer 0: the sign is SQLite's loss. */
    hd_value minus = of_double(-0.0);
    write_value("REAL", &minus);
    cell c = read_cell("SELECT v FROM t", HD_T_DOUBLE);
    assert_int_equal(c.v.kind, HD_FLOAT);
    assert_true(c.v.as.f == 0.0);
}

static void nan_is_refused(void **state) {
    (void)state;
    hd_value v[] = {hd_int(1, HD_T_INTEGER), of_double(NAN)};
    db_exec(&d, "CREATE TABLE t (a INTEGER, b REAL)");
    hd_statement s = with_params("INSERT INTO t VALUES (?1, ?2)", v, 2);
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_VALIDATION);
    assert_non_null(strstr(d.err.message, "parameter 2"));
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
}

static void booleans(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        hd_value v = {HD_BOOL, HD_T_BOOLEAN, 0, 0, {.i = i}};
        round_trip("INTEGER", HD_T_BOOLEAN, &v);
    }
    cell c = read_cell("SELECT 7", HD_T_BOOLEAN);
    assert_int_equal(c.v.kind, HD_INT);
    assert_int_equal(c.v.as.i, 7);
}

static void texts(void **state) {
    (void)state;
    const char *edges[] = {"",
                           " ",
                           "'",
                           "a",
                           "\xC3\xA9",
                           "\xE2\x82\xAC",
                           "\xF0\x9D\x84\x9E",
                           "\xF4\x8F\xBF\xBF",
                           "\x7F",
                           "\xC2\x80",
                           "\xEF\xBF\xBF",
                           "123",
                           "1e3",
                           "0x10"};
    for (size_t i = 0; i < COUNT(edges); i++) {
        round_trip_text("TEXT", HD_TEXT, HD_T_STRING, edges[i]);
        round_trip_text("VARCHAR(20)", HD_TEXT, HD_T_TEXT, edges[i]);
        round_trip_text("TEXT", HD_TEXT, HD_T_ENUM, edges[i]);
    }
    hd_value empty = {HD_TEXT, HD_T_TEXT, 0, 0, {.p = NULL}};
    write_value("TEXT", &empty);
    assert_int_equal(db_integer(&d, "SELECT v = '' FROM t"), 1);

    size_t len = 3u << 20;
    char *large = malloc(len);
    memset(large, 'x', len);
    hd_value v = hd_bytes(HD_TEXT, large, len, HD_T_TEXT);
    round_trip("TEXT", HD_T_TEXT, &v);
    free(large);
}

static void blobs(void **state) {
    (void)state;
    unsigned char all[256];
    for (int i = 0; i < 256; i++) all[i] = (unsigned char)i;
    hd_value v = hd_bytes(HD_BLOB, (char *)all, sizeof all, HD_T_BLOB);
    round_trip("BLOB", HD_T_BLOB, &v);
    v = hd_bytes(HD_BLOB, "\0\0", 2, HD_T_BLOB);
    round_trip("BLOB", HD_T_BLOB, &v);
    round_trip("", HD_T_UNKNOWN, &v);
    v = hd_bytes(HD_BLOB, NULL, 0, HD_T_BLOB);
    round_trip("BLOB", HD_T_BLOB, &v);
    assert_int_equal(db_integer(&d, "SELECT typeof(v) = 'blob' AND length(v) = 0 FROM t"), 1);

    cell c = read_cell("SELECT 'caf\xC3\xA9'", HD_T_BLOB); /* text storage, given as bytes */
    assert_int_equal(c.v.kind, HD_BLOB);
    assert_int_equal(c.v.len, 5);
    free(c.bytes);
    c = read_cell("SELECT zeroblob(70000)", HD_T_BLOB);
    assert_int_equal(c.v.len, 70000);
    free(c.bytes);
}

static void decimals(void **state) {
    (void)state;
    const char *edges[] = {"0",
                           "0.00",
                           "-0.50",
                           "12.50",
                           "-12.50",
                           "1.10",
                           "100",
                           "1234567890123456789012345678901234567890",
                           "-0.1234567890123456789012345678901234567890",
                           "99999999999999999999.99999999999999999999",
                           "NaN",
                           "Infinity",
                           "-Infinity"};
    for (size_t i = 0; i < COUNT(edges); i++) {
        round_trip_text("TEXT", HD_DECIMAL, HD_T_DECIMAL, edges[i]);
    }
}

static void timestamps(void **state) {
    (void)state;
    const int64_t edges[] = {0,
                             1,
                             -1,
                             999999,
                             -999999,
                             1700000000123456,
                             -11676096000000000,
                             INT64_C(253402300799999999),
                             -62135596800000000,
                             -86400000001};
    for (size_t i = 0; i < COUNT(edges); i++) {
        hd_value v = {HD_TIMESTAMP, HD_T_TIMESTAMP, 0, 0, {.i = edges[i]}};
        round_trip("TEXT", HD_T_TIMESTAMP, &v);
    }
    hd_value v = {HD_TIMESTAMP, HD_T_TIMESTAMP, 0, 0, {.i = -1}};
    write_value("TEXT", &v);
    assert_string_equal(db_text(&d, "SELECT v FROM t"), "1969-12-31 23:59:59.999999");
}

static void other_texts(void **state) {
    (void)state;
    round_trip_text("TEXT", HD_DATE, HD_T_DATE, "2026-01-31");
    round_trip_text("TEXT", HD_DATE, HD_T_DATE, "0001-01-01");
    round_trip_text("TEXT", HD_TIME, HD_T_TIME, "23:59:59.000001");
    round_trip_text("TEXT", HD_TIME, HD_T_TIME, "00:00:00");
    round_trip_text("TEXT", HD_UUID, HD_T_UUID, "0189e9d2-7a6b-7000-8000-00000000abcd");
    round_trip_text("TEXT", HD_JSON, HD_T_JSON, "{\"a\":[1,2.5,null,\"\xE2\x82\xAC\"]}");
    round_trip_text("TEXT", HD_JSON, HD_T_JSON, "9007199254740993");
    round_trip_text("TEXT", HD_JSON, HD_T_JSON, "null");
}

static void nulls(void **state) {
    (void)state;
    for (int type = HD_T_UNKNOWN; type < HD_TYPES; type++) {
        hd_value v = hd_null();
        round_trip("TEXT", (hd_type)type, &v);
    }
}

/* ---- arrays ---- */

static void arrays_are_json(void **state) {
    (void)state;
    const hd_value inner[] = {hd_int(1, HD_T_INTEGER), hd_null()};
    const hd_list inner_list = {HD_T_INTEGER, 2, inner};
    const hd_value items[] = {
        hd_int(INT64_MIN, HD_T_BIGINT),
        of_double(0.5),
        {HD_BOOL, HD_T_BOOLEAN, 0, 0, {.i = 1}},
        hd_bytes(HD_TEXT, "a\"\n", 3, HD_T_TEXT),
        hd_bytes(HD_DECIMAL, "12.50", 5, HD_T_DECIMAL),
        {HD_TIMESTAMP, HD_T_TIMESTAMP, 0, 0, {.i = 1}},
        hd_bytes(HD_JSON, "{\"k\":[]}", 8, HD_T_JSON),
        {HD_LIST, HD_T_ARRAY, 0, 0, {.list = &inner_list}},
        hd_bytes(HD_TEXT, "", 0, HD_T_TEXT),
    };
    const hd_list list = {HD_T_TEXT, COUNT(items), items};
    const hd_value v = {HD_LIST, HD_T_ARRAY, 0, 0, {.list = &list}};
    write_value("TEXT", &v);
    cell c = read_cell("SELECT v FROM t", HD_T_ARRAY);
    assert_int_equal(c.v.kind, HD_JSON);
    const char *expected = "[-9223372036854775808,0.5,true,\"a\\\"\\n\",\"12.50\","
                           "\"1970-01-01 00:00:00.000001\",{\"k\":[]},[1,null],\"\"]";
    assert_int_equal(c.v.len, strlen(expected));
    assert_memory_equal(c.v.as.p, expected, c.v.len);
    free(c.bytes);

    const hd_list none = {HD_T_TEXT, 0, NULL};
    const hd_value empty = {HD_LIST, HD_T_ARRAY, 0, 0, {.list = &none}};
    write_value("TEXT", &empty);
    assert_string_equal(db_text(&d, "SELECT v FROM t"), "[]");
    round_trip_text("TEXT", HD_JSON, HD_T_ARRAY, "[1,2]");
}

static void array_is_refused(hd_value item, hd_type type) {
    const hd_list list = {HD_T_TEXT, 1, &item};
    const hd_value v = {HD_LIST, (uint8_t)type, 0, 0, {.list = &list}};
    hd_statement s = with_params("INSERT INTO t VALUES (?1)", &v, 1);
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, type == HD_T_ARRAY ? HD_E_VALIDATION : HD_E_DRIVER);
}

static void arrays_that_json_cannot_hold(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (v TEXT)");
    array_is_refused(hd_bytes(HD_BLOB, "x", 1, HD_T_BLOB), HD_T_ARRAY);
    array_is_refused(of_double(NAN), HD_T_ARRAY);
    array_is_refused(of_double(HUGE_VAL), HD_T_ARRAY);
    array_is_refused(hd_bytes(HD_TEXT, "\xFF", 1, HD_T_TEXT), HD_T_ARRAY);
    array_is_refused(hd_int(1, HD_T_INTEGER), HD_T_INTEGER); /* a bulk parameter */
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(integers),    T(doubles), T(nan_is_refused),  T(booleans),
        T(texts),       T(blobs),   T(decimals),        T(timestamps),
        T(other_texts), T(nulls),   T(arrays_are_json), T(arrays_that_json_cannot_hold),
    };
    return cmocka_run_group_tests_name("sqlite values", tests, NULL, NULL);
}
