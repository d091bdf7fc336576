/* SQLite driver: hd_lower, hd_uuid, hd_decimal, hd_decimal_sum. */
#include "drivers/sqlite/casefold.h"
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

/* ---- hd_lower ---- */

static void folds(const char *from, const char *to) {
    const hd_value v = hd_bytes(HD_TEXT, from, strlen(from), HD_T_TEXT);
    hd_statement s = with_params("SELECT hd_lower(?1)", &v, 1);
    char out[256];
    d.on_row = keep_text;
    d.row_ctx = out;
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    d.on_row = NULL;
    assert_string_equal(out, to);
}

static void lower(void **state) {
    (void)state;
    folds("", "");
    folds("ABC xyz 019 @[`{", "abc xyz 019 @[`{");
    folds("\xC3\x89T\xC3\x89", "\xC3\xA9t\xC3\xA9");               /* É */
    folds("\xCE\xA3\xCF\x83\xCF\x82", "\xCF\x83\xCF\x83\xCF\x82"); /* a final sigma has no case */
    folds("\xD0\x96\xD0\xAF", "\xD0\xB6\xD1\x8F");                 /* Cyrillic */
    folds("\xE1\xBA\x9E\xC3\x9F", "\xC3\x9F\xC3\x9F");             /* 3 bytes become 2 */
    folds("\xC8\xBA\xC8\xBA\xC8\xBA", "\xE2\xB1\xA5\xE2\xB1\xA5\xE2\xB1\xA5"); /* 2 become 3 */
    folds("\xE2\x84\xAA", "k");                                                /* the Kelvin sign */
    folds("\xF0\x90\x90\x80", "\xF0\x90\x90\xA8"); /* Deseret, 4 bytes */
    folds("\xC4\xB0I", "ii");                      /* no locale */
    folds("\xE2\x82\xAC\xF0\x9F\x98\x80", "\xE2\x82\xAC\xF0\x9F\x98\x80");
    folds("A\xFF\xC3(\xE2\x82Z\xED\xA0", "a\xFF\xC3(\xE2\x82z\xED\xA0"); /* no UTF-8: as it is */
    assert_string_equal(db_text(&d, "SELECT hd_lower(NULL)"), "NULL");
    assert_string_equal(db_text(&d, "SELECT hd_lower(12)"), "12");
}

/* Folding what is folded changes nothing, and the counts are those of PostgreSQL's lower() in C.UTF-8. */
static void the_table(void **state) {
    (void)state;
    int folded = 0;
    uint64_t sum = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint32_t to = hd_sqlite_casefold(c);
        assert_true(to < 0x110000);
        assert_int_equal(hd_sqlite_casefold(to), to);
        if (to == c) continue;
        folded++;
        sum += (uint64_t)c * 31 + to;
    }
    assert_int_equal(folded, 1433);
    assert_true(sum == UINT64_C(1127080852));
}

/* ---- hd_uuid ---- */

static void uuid(void **state) {
    (void)state;
    char first[64];
    strcpy(first, db_text(&d, "SELECT hd_uuid()"));
    for (int i = 0; i < 36; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        assert_true(hyphen ? first[i] == '-' : strchr("0123456789abcdef", first[i]) != NULL);
    }
    assert_int_equal(strlen(first), 36);
    assert_int_equal(first[14], '4');
    assert_non_null(strchr("89ab", first[19]));
    assert_int_equal(
        db_integer(&d, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) "
                       "SELECT count(DISTINCT u) FROM (SELECT hd_uuid() AS u FROM n)"),
        1000);
}

/* ---- decimals ---- */

static void decimals_sort_as_numbers(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('10.00'), ('9.5'), ('-1'), ('2'), "
                "('-10.5'), "
                "('99999999999999999999.01'), ('99999999999999999999.02'), (NULL)");
    assert_string_equal(
        db_text(&d,
                "SELECT group_concat(v, ' ') FROM (SELECT v FROM t ORDER BY v COLLATE hd_decimal)"),
        "-10.5 -1 2 9.5 10.00 99999999999999999999.01 99999999999999999999.02");
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t WHERE v > '9.5' COLLATE hd_decimal"),
                     3);
    assert_int_equal(db_integer(&d, "SELECT '2.0' = '2.00' COLLATE hd_decimal"), 1);
    assert_string_equal(db_text(&d, "SELECT max(v COLLATE hd_decimal) FROM t"),
                        "99999999999999999999.02");
}

static void adds_up(const char *values, const char *sum) {
    char sql[512];
    snprintf(sql, sizeof sql, "WITH t(v) AS (VALUES %s) SELECT hd_decimal_sum(v) FROM t", values);
    assert_string_equal(db_text(&d, sql), sum);
}

static void sums(void **state) {
    (void)state;
    adds_up("('0.1'), ('0.2')", "0.3");
    adds_up("('1.50'), ('2.25'), ('-0.75')", "3.00");
    adds_up("('999.99'), ('0.01')", "1000.00");
    adds_up("('9'), ('1')", "10");
    adds_up("('0.999'), ('0.1')", "1.099");
    adds_up("('1'), ('-1.5')", "-0.5");
    adds_up("('-12.50'), ('12.5')", "0.00");
    adds_up("('-0.001')", "-0.001");
    adds_up("('0')", "0");
    adds_up("('100'), ('-100'), ('0.05')", "0.05");
    adds_up("('1234567890123456789012345678901234567890'), "
            "('0.1234567890123456789012345678901234567890')",
            "1234567890123456789012345678901234567890.1234567890123456789012345678901234567890");
    adds_up("('1'), (NULL), (2), (0.5), ('1e3'), ('+.5')", "1004.0");
    adds_up("(9223372036854775807), (9223372036854775807)", "18446744073709551614");
    adds_up("(1e22), (-1)", "9999999999999999999999");
    adds_up("(NULL)", "NULL");
    adds_up("('NaN'), ('1')", "NaN");
    adds_up("('Infinity'), ('1')", "Infinity");
    adds_up("('-Infinity'), (9e999)", "NaN");
    adds_up("(-9e999), ('1')", "-Infinity");
    assert_string_equal(db_text(&d, "SELECT hd_decimal_sum(v) FROM (SELECT 1 AS v) WHERE 0"),
                        "NULL");
    db_fails(&d, "SELECT hd_decimal_sum('s3cret')", HD_E_DRIVER);
    assert_null(strstr(d.err.message, "s3cret"));
    db_fails(&d, "SELECT hd_decimal_sum(v) FROM (SELECT '1' AS v UNION ALL SELECT '1e999999999')",
             HD_E_DRIVER);
}

/* Against 128-bit integers, over random terms of mixed scale and sign. */
static void sums_are_exact(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (g INTEGER, v TEXT)");
    unsigned long long seed = 42;
    for (int group = 0; group < 60; group++) {
        __int128 sum = 0; /* in millionths */
        int most = 0;
        for (int i = 0; i < 40; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            int scale = (int)(seed >> 60) % 7;
            long long units =
                (long long)(seed >> 20) * ((seed >> 59 & 1) ? -1 : 1) / (1 + group * 97);
            long long power = 1;
            for (int k = 0; k < scale; k++) power *= 10;
            if (scale > most) most = scale;
            sum += (__int128)units * (1000000 / power);
            char text[64];
            unsigned long long size = (unsigned long long)(units < 0 ? -units : units);
            if (scale == 0) {
                snprintf(text, sizeof text, "%s%llu", units < 0 ? "-" : "", size);
            } else {
                snprintf(text, sizeof text, "%s%llu.%0*llu", units < 0 ? "-" : "",
                         size / (unsigned long long)power, scale, size % (unsigned long long)power);
            }
            const hd_value v[] = {hd_int(group, HD_T_INTEGER),
                                  hd_bytes(HD_TEXT, text, strlen(text), HD_T_TEXT)};
            hd_statement s = with_params("INSERT INTO t VALUES (?1, ?2)", v, 2);
            assert_int_equal(db_run(&d, &s, 1), HD_DONE);
        }
        char expected[64], sql[96];
        __int128 size = sum < 0 ? -sum : sum;
        int len =
            snprintf(expected, sizeof expected, "%s%llu.%06llu", sum < 0 ? "-" : "",
                     (unsigned long long)(size / 1000000), (unsigned long long)(size % 1000000));
        expected[len - (6 - most) - (most == 0)] = '\0';
        snprintf(sql, sizeof sql, "SELECT hd_decimal_sum(v) FROM t WHERE g = %d", group);
        assert_string_equal(db_text(&d, sql), expected);
    }
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(lower), T(the_table), T(uuid), T(decimals_sort_as_numbers), T(sums), T(sums_are_exact),
    };
    return cmocka_run_group_tests_name("sqlite functions", tests, NULL, NULL);
}
