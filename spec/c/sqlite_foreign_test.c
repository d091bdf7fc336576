/* SQLite driver: values that other programs stored come back as what they are. */
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

static hd_value of_double(double f) {
    return (hd_value){HD_FLOAT, HD_T_DOUBLE, 0, 0, {.f = f}};
}

typedef struct foreign_case {
    const char
        *sql; /* an expression; ?1 is `real` (SQLite's own reading of literals is not exact) */
    hd_type type;
    hd_kind kind;
    const char *text; /* of values with bytes */
    int64_t i;
    double f, real;
} foreign_case;

static void foreign_storage(void **state) {
    (void)state;
    const foreign_case cases[] = {
        {"'abc'", HD_T_INTEGER, HD_TEXT, "abc", 0, 0, 0},
        {"12.0", HD_T_INTEGER, HD_INT, NULL, 12, 0, 0},
        {"?1", HD_T_BIGINT, HD_FLOAT, NULL, 0, 12.5, 12.5},
        {"?1", HD_T_BIGINT, HD_FLOAT, NULL, 0, 9.3e18, 9.3e18},
        {"-9223372036854775808.0", HD_T_BIGINT, HD_INT, NULL, INT64_MIN, 0, 0},
        {"x'00'", HD_T_INTEGER, HD_BLOB, NULL, 0, 0, 0},
        {"7", HD_T_DOUBLE, HD_FLOAT, NULL, 0, 7.0, 0},
        {"9007199254740993", HD_T_DOUBLE, HD_INT, NULL, 9007199254740993, 0, 0},
        {"9223372036854775807", HD_T_DOUBLE, HD_INT, NULL, INT64_MAX, 0, 0},
        {"'x'", HD_T_DOUBLE, HD_TEXT, "x", 0, 0, 0},
        {"5", HD_T_TEXT, HD_INT, NULL, 5, 0, 0},
        {"1.5", HD_T_BOOLEAN, HD_FLOAT, NULL, 0, 1.5, 0},
        {"12", HD_T_DECIMAL, HD_DECIMAL, "12", 0, 0, 0},
        {"-9223372036854775808", HD_T_DECIMAL, HD_DECIMAL, "-9223372036854775808", 0, 0, 0},
        {"?1", HD_T_DECIMAL, HD_DECIMAL, "0.1", 0, 0, 0.1},
        {"?1", HD_T_DECIMAL, HD_DECIMAL, "0.0000001", 0, 0, 1e-7},
        {"?1", HD_T_DECIMAL, HD_DECIMAL, "10000000000000000000000", 0, 0, 1e22},
        {"9e999", HD_T_DECIMAL, HD_FLOAT, NULL, 0, HUGE_VAL, 0},
        {"'+.5'", HD_T_DECIMAL, HD_DECIMAL, "0.5", 0, 0, 0},
        {"'-0'", HD_T_DECIMAL, HD_DECIMAL, "0", 0, 0, 0},
        {"'-0.00'", HD_T_DECIMAL, HD_DECIMAL, "0.00", 0, 0, 0},
        {"'-00.50'", HD_T_DECIMAL, HD_DECIMAL, "-0.50", 0, 0, 0},
        {"'1e3'", HD_T_DECIMAL, HD_DECIMAL, "1000", 0, 0, 0},
        {"'1e999999999'", HD_T_DECIMAL, HD_TEXT, "1e999999999", 0, 0, 0},
        {"'5.'", HD_T_DECIMAL, HD_DECIMAL, "5", 0, 0, 0},
        {"'1,5'", HD_T_DECIMAL, HD_TEXT, "1,5", 0, 0, 0},
        {"''", HD_T_DECIMAL, HD_TEXT, "", 0, 0, 0},
        {"'-'", HD_T_DECIMAL, HD_TEXT, "-", 0, 0, 0},
        {"1700000000", HD_T_TIMESTAMP, HD_TIMESTAMP, NULL, 1700000000000000, 0, 0},
        {"-0.000001", HD_T_TIMESTAMP, HD_TIMESTAMP, NULL, -1, 0, 0},
        {"?1", HD_T_TIMESTAMP, HD_TIMESTAMP, NULL, 1700000000250000, 0, 1700000000.25},
        {"9223372036854775807", HD_T_TIMESTAMP, HD_INT, NULL, INT64_MAX, 0, 0},
        {"?1", HD_T_TIMESTAMP, HD_FLOAT, NULL, 0, 1e300, 1e300},
        {"'2026-01-31T10:00:00+02:00'", HD_T_TIMESTAMP, HD_TIMESTAMP, NULL, 1769846400000000, 0, 0},
        {"'yesterday'", HD_T_TIMESTAMP, HD_TEXT, "yesterday", 0, 0, 0},
        {"'0189E9D2-7A6B-7000-8000-00000000ABCD'", HD_T_UUID, HD_UUID,
         "0189e9d2-7a6b-7000-8000-00000000abcd", 0, 0, 0},
        {"'no uuid'", HD_T_UUID, HD_TEXT, "no uuid", 0, 0, 0},
        {"'10:00'", HD_T_TIME, HD_TIME, "10:00:00", 0, 0, 0},
        {"'10:00:00.500000'", HD_T_TIME, HD_TIME, "10:00:00.500000", 0, 0, 0},
        {"'noon'", HD_T_TIME, HD_TEXT, "noon", 0, 0, 0},
        {"'2026-02-30'", HD_T_DATE, HD_TEXT, "2026-02-30", 0, 0, 0},
        {"20260131", HD_T_DATE, HD_INT, NULL, 20260131, 0, 0},
        {"123", HD_T_JSON, HD_JSON, "123", 0, 0, 0},
        {"1.5", HD_T_JSON, HD_JSON, "1.5", 0, 0, 0},
        {"x'7B'", HD_T_JSON, HD_BLOB, "{", 0, 0, 0},
        {"3", HD_T_ARRAY, HD_INT, NULL, 3, 0, 0},
        {"1", HD_T_BLOB, HD_INT, NULL, 1, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const foreign_case *f = &cases[i];
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT %s", f->sql);
        const hd_value real = of_double(f->real);
        cell c = db_cell(&d, sql, f->type, strchr(sql, '?') ? &real : NULL);
        if (c.v.kind != f->kind)
            fail_msg("%s as %s: kind %d", f->sql, hd_type_name(f->type), c.v.kind);
        if (f->text) {
            if (c.v.len != strlen(f->text) || memcmp(c.v.as.p, f->text, c.v.len) != 0) {
                fail_msg("%s as %s: %.*s", f->sql, hd_type_name(f->type), (int)c.v.len, c.v.as.p);
            }
        } else if (f->kind == HD_FLOAT) {
            assert_true(c.v.as.f == f->f);
        } else if (f->kind != HD_BLOB) {
            assert_true(c.v.as.i == f->i);
        }
        free(c.bytes);
    }
}

/* A real in a decimal column that is huge or tiny is every digit of its shortest form. */
static void huge_reals_as_decimals(void **state) {
    (void)state;
    const hd_value huge = of_double(1e308), tiny = of_double(DBL_TRUE_MIN);
    cell c = db_cell(&d, "SELECT ?1", HD_T_DECIMAL, &huge);
    assert_int_equal(c.v.kind, HD_DECIMAL);
    assert_int_equal(c.v.len, 309);
    assert_int_equal(c.v.as.p[0], '1');
    assert_int_equal(strspn(c.v.as.p + 1, "0"), 308);
    free(c.bytes);
    c = db_cell(&d, "SELECT ?1", HD_T_DECIMAL, &tiny);
    assert_int_equal(c.v.kind, HD_DECIMAL);
    assert_int_equal(c.v.len, 326);
    assert_int_equal(c.v.as.p[325], '5');
    free(c.bytes);
}

static void check_mixed(void *ctx, const hd_row *row) {
    int *rows = ctx;
    ++*rows;
    assert_int_equal(row->count, 4);
    assert_int_equal(row->values[0].kind, HD_DECIMAL); /* three made texts stand side by side */
    assert_memory_equal(row->values[0].as.p, "1.5", 3);
    assert_int_equal(row->values[1].kind, HD_UUID);
    assert_memory_equal(row->values[1].as.p, "0189e9d2-7a6b-7000-8000-00000000abcd", 36);
    assert_int_equal(row->values[2].kind, HD_DECIMAL);
    assert_memory_equal(row->values[2].as.p, "0.25", 4);
    assert_int_equal(row->values[3].kind, HD_TEXT); /* beyond the given types: natural */
    assert_int_equal(row->values[3].type, HD_T_UNKNOWN);
}

static void fewer_types_than_columns(void **state) {
    (void)state;
    int rows = 0;
    const uint8_t types[] = {HD_T_DECIMAL, HD_T_UUID, HD_T_DECIMAL};
    hd_statement s = text_of("SELECT 1.5, '0189E9D27A6B7000800000000000ABCD', '.25', 'x' FROM "
                             "(SELECT 1 UNION ALL SELECT 2)");
    s.types = types;
    s.type_count = COUNT(types);
    d.on_row = check_mixed;
    d.row_ctx = &rows;
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    d.on_row = NULL;
    assert_int_equal(rows, 2);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(foreign_storage),
        T(huge_reals_as_decimals),
        T(fewer_types_than_columns),
    };
    return cmocka_run_group_tests_name("sqlite foreign values", tests, NULL, NULL);
}
