/* Scalars of results. Each is read twice, in text form (a raw statement) and in binary form
 * (declared types), and must be the same. */
#include "postgres_support.h"

static pg db;

static int open_db(void **state) {
    (void)state;
    open_pg(&db, NULL, NULL);
    execute(&db, "create type pg_temp.mood as enum ('glad', 'sad')");
    return 0;
}

static int close_db(void **state) {
    (void)state;
    close_pg(&db);
    return 0;
}

static void check_result(const char *expression, hd_type declared, const char *expected) {
    char sql[2048];
    uint8_t type = (uint8_t)declared;
    snprintf(sql, sizeof sql, "select %s", expression);
    for (int binary = 0; binary < 2; binary++) {
        hd_statement s = plain(sql);
        if (binary) with_types(&s, &type, 1);
        assert_runs(&db, &s, 1);
        if (strcmp(rows_of(&db), expected) != 0) {
            fail_msg("%s (%s): %s, not %s", expression, binary ? "binary" : "text", rows_of(&db),
                     expected);
        }
    }
}

static void integers_are_read(void **state) {
    (void)state;
    check_result("1::int2", HD_T_SMALLINT, "(1)");
    check_result("(-32768)::int2", HD_T_SMALLINT, "(-32768)");
    check_result("2147483647", HD_T_INTEGER, "(2147483647)");
    check_result("(-2147483648)::int4", HD_T_INTEGER, "(-2147483648)");
    check_result("9223372036854775807", HD_T_BIGINT, "(9223372036854775807)");
    check_result("(-9223372036854775808)::int8", HD_T_BIGINT, "(-9223372036854775808)");
    check_result("9007199254740993", HD_T_BIGINT, "(9007199254740993)");
    check_result("null::int8", HD_T_BIGINT, "(null)");
    check_result("4294967295::oid", HD_T_BIGINT, "(4294967295)");
}

static void the_actual_type_counts(void **state) {
    (void)state;
    check_result("5000000000", HD_T_INTEGER, "(5000000000)");
    check_result("1.50::numeric", HD_T_INTEGER, "(d'1.50')");
    check_result("7::int2", HD_T_STRING, "(7)");
    check_result("'x'::text", HD_T_INTEGER, "('x')");
}

static void booleans_and_floats_are_read(void **state) {
    (void)state;
    check_result("true", HD_T_BOOLEAN, "(true)");
    check_result("false", HD_T_BOOLEAN, "(false)");
    check_result("null::bool", HD_T_BOOLEAN, "(null)");
    check_result("0.1::float8", HD_T_DOUBLE, "(f0.1)");
    check_result("1e308::float8", HD_T_DOUBLE, "(f1e+308)");
    check_result("1.7976931348623157e308::float8", HD_T_DOUBLE, "(f1.7976931348623157e+308)");
    check_result("'-0'::float8", HD_T_DOUBLE, "(f-0)");
    check_result("5e-324::float8", HD_T_DOUBLE, "(f5e-324)");
    check_result("2.2250738585072014e-308::float8", HD_T_DOUBLE, "(f2.2250738585072014e-308)");
    check_result("'NaN'::float8", HD_T_DOUBLE, "(fnan)");
    check_result("'Infinity'::float8", HD_T_DOUBLE, "(finf)");
    check_result("'-Infinity'::float8", HD_T_DOUBLE, "(f-inf)");
    check_result("0.1::float4", HD_T_DOUBLE, "(f0.10000000149011612)");
    check_result("'NaN'::float4", HD_T_DOUBLE, "(fnan)");
    check_result("3.4028235e38::float4", HD_T_DOUBLE, "(f3.4028234663852886e+38)");
}

static void decimals_are_read(void **state) {
    (void)state;
    const char forty[] = "1234567890123456789012345678901234567.890";
    check_result("0::numeric", HD_T_DECIMAL, "(d'0')");
    check_result("12.50", HD_T_DECIMAL, "(d'12.50')");
    check_result("-0.0001", HD_T_DECIMAL, "(d'-0.0001')");
    check_result("10000::numeric", HD_T_DECIMAL, "(d'10000')");
    check_result("100000000.00::numeric(20,2)", HD_T_DECIMAL, "(d'100000000.00')");
    check_result(forty, HD_T_DECIMAL, "(d'1234567890123456789012345678901234567.890')");
    check_result("'NaN'::numeric", HD_T_DECIMAL, "(d'NaN')");
    check_result("0.00::numeric(5,2)", HD_T_DECIMAL, "(d'0.00')");
    check_result("length((10::numeric ^ 1000)::text)", HD_T_DECIMAL, "(1018)");
    hd_statement s =
        plain("select 10::numeric ^ 1000, (1 / 10::numeric ^ 500)::numeric(1000, 510)");
    const uint8_t types[] = {HD_T_DECIMAL, HD_T_DECIMAL};
    assert_runs(&db, &s, 1);
    char *text = strdup(rows_of(&db));
    with_types(&s, types, 2);
    assert_runs(&db, &s, 1);
    assert_rows(&db, text);
    free(text);
}

static void texts_are_read(void **state) {
    (void)state;
    check_result("''", HD_T_TEXT, "('')");
    check_result("null::text", HD_T_TEXT, "(null)");
    check_result("U&'a\\00e9\\20ac\\+01F600'", HD_T_TEXT,
                 "('a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80')");
    check_result("'ab'::char(4)", HD_T_STRING, "('ab  ')");
    check_result("'ab'::varchar(4)", HD_T_STRING, "('ab')");
    check_result("'n'::name", HD_T_TEXT, "('n')");
    check_result("'c'::\"char\"", HD_T_TEXT, "('c')");
    check_result("'glad'::pg_temp.mood", HD_T_ENUM, "('glad')");
    check_result("'sad'::pg_temp.mood", HD_T_UNKNOWN, "('sad')");
    check_result("pg_notify('a', 'b')", HD_T_UNKNOWN, "(null)");
}

static void times_are_read(void **state) {
    (void)state;
    check_result("'2026-01-31'::date", HD_T_DATE, "(date'2026-01-31')");
    check_result("'0044-03-15 BC'::date", HD_T_DATE, "(date'0044-03-15 BC')");
    check_result("'12026-01-31'::date", HD_T_DATE, "(date'12026-01-31')");
    check_result("'4713-01-01 BC'::date", HD_T_DATE, "(date'4713-01-01 BC')");
    check_result("'5874897-12-31'::date", HD_T_DATE, "(date'5874897-12-31')");
    check_result("'infinity'::date", HD_T_DATE, "('infinity')");
    check_result("'-infinity'::date", HD_T_DATE, "('-infinity')");
    check_result("'23:59:59.000001'::time", HD_T_TIME, "(time'23:59:59.000001')");
    check_result("'10:00:00.5'::time", HD_T_TIME, "(time'10:00:00.500000')");
    check_result("'10:00'::time", HD_T_TIME, "(time'10:00:00')");
    check_result("'24:00:00'::time", HD_T_TIME, "(time'24:00:00')");
}

static void timestamps_are_read(void **state) {
    (void)state;
    check_result("'1970-01-01 00:00:00+00'::timestamptz", HD_T_TIMESTAMP, "(@0)");
    check_result("'1969-12-31 23:59:59.999999+00'::timestamptz", HD_T_TIMESTAMP, "(@-1)");
    check_result("'2000-01-01 02:00:00.25+02'::timestamptz", HD_T_TIMESTAMP, "(@946684800250000)");
    check_result("'2000-01-01 00:00:00'::timestamp", HD_T_TIMESTAMP, "(@946684800000000)");
    check_result("'1960-02-29 12:00:00.000001'::timestamp", HD_T_TIMESTAMP, "(@-310478399999999)");
    check_result("'0001-01-01 00:00:00+00 BC'::timestamptz", HD_T_TIMESTAMP,
                 "(@-62167219200000000)");
    check_result("'12026-01-31 10:00:00+00'::timestamptz", HD_T_TIMESTAMP, "(@317339373600000000)");
    check_result("'infinity'::timestamptz", HD_T_TIMESTAMP, "('infinity')");
    check_result("'-infinity'::timestamp", HD_T_TIMESTAMP, "('-infinity')");
    for (int binary = 0; binary < 2; binary++) {
        const uint8_t type = HD_T_TIMESTAMP;
        hd_statement s = plain("select '294260-01-01 00:00:00+00'::timestamptz");
        if (binary) with_types(&s, &type, 1);
        assert_fails(&db, &s, 1, HD_E_DRIVER);
        assert_non_null(strstr(db.err.message, "294246"));
        assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
    }
}

static void uuids_json_and_blobs_are_read(void **state) {
    (void)state;
    check_result("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", HD_T_UUID,
                 "(uuid'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')");
    check_result("'{\"a\":  1}'::json", HD_T_JSON, "(json'{\"a\":  1}')");
    check_result("'{\"a\":  1}'::jsonb", HD_T_JSON, "(json'{\"a\": 1}')");
    check_result("'null'::jsonb", HD_T_JSON, "(json'null')");
    check_result("'\\x'::bytea", HD_T_BLOB, "(x'')");
    check_result("'ab\\\\cd'::bytea", HD_T_BLOB, "(x'ab\\cd')");
    hd_statement s = plain("select '\\x61006200ff5c27'::bytea");
    const uint8_t type = HD_T_BLOB;
    for (int form = 0; form < 3; form++) { /* hexadecimal, binary, escapes */
        if (form == 2) execute(&db, "set bytea_output = 'escape'");
        with_types(&s, form == 1 ? &type : NULL, form == 1);
        assert_runs(&db, &s, 1);
        assert_int_equal(db.rows.len, 12);
        assert_memory_equal(db.rows.data, "(x'a\0b\0\xff\\'')", 12);
    }
    execute(&db, "reset bytea_output");
}

static void strange_types_are_text_or_refused(void **state) {
    (void)state;
    hd_statement s = plain("select '10.0.0.1'::inet, '1 day'::interval, '(1,2)'::point");
    const uint8_t types[] = {HD_T_TEXT};
    assert_runs(&db, &s, 1);
    assert_rows(&db, "('10.0.0.1', '1 day', '(1,2)')");
    s = plain("select '10.0.0.1'::inet");
    with_types(&s, types, 1);
    assert_fails(&db, &s, 1, HD_E_UNSUPPORTED);
    assert_non_null(strstr(db.err.message, "cast it to text"));
    assert_int_equal(db.err.statement, 0);
    const uint8_t unknown[] = {HD_T_BLOB, HD_T_UNKNOWN};
    s = plain("select 'x'::bytea, '1 day'::interval");
    with_types(&s, unknown, 2);
    assert_runs(&db, &s, 1);
    assert_rows(&db, "(x'x', '1 day')");
    assert_query(&db, "select 1", "(1)");
}

static void columns_have_names(void **state) {
    (void)state;
    hd_statement s = plain("select 1 as one, 2 as \"two words\", 3 where false");
    assert_runs(&db, &s, 1);
    assert_int_equal(db.conn->name_count, 3);
    assert_memory_equal(db.conn->names[0].text, "one", 3);
    assert_int_equal(db.conn->names[0].len, 3);
    assert_memory_equal(db.conn->names[1].text, "two words", 9);
    assert_memory_equal(db.conn->names[2].text, "?column?", 8);
    const uint8_t type = HD_T_INTEGER;
    s = plain("select 1 as one");
    with_types(&s, &type, 1);
    assert_runs(&db, &s, 1);
    assert_int_equal(db.conn->name_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read),
        cmocka_unit_test(the_actual_type_counts),
        cmocka_unit_test(booleans_and_floats_are_read),
        cmocka_unit_test(decimals_are_read),
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(timestamps_are_read),
        cmocka_unit_test(uuids_json_and_blobs_are_read),
        cmocka_unit_test(strange_types_are_text_or_refused),
        cmocka_unit_test(columns_have_names),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
