/* Scalars as parameters: each is bound as its column type and comes back from the server as it
 * went; what its type cannot hold exactly is refused before it is sent. */
#include <float.h>
#include <math.h>

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

/* Sends one value as `select $1::cast`; the row must be this, in both forms. */
static void check_param(hd_value value, const char *cast, const char *expected) {
    char sql[128];
    uint8_t type = value.type;
    snprintf(sql, sizeof sql, "select $1%s%s", *cast ? "::" : "", cast);
    for (int binary = 0; binary < 2; binary++) {
        hd_statement s = with_params(sql, &value, 1);
        if (binary) with_types(&s, &type, 1);
        assert_runs(&db, &s, 1);
        if (strcmp(rows_of(&db), expected) != 0) {
            fail_msg("%s as %s: %s, not %s", sql, hd_type_name((hd_type)type), rows_of(&db),
                     expected);
        }
    }
}

static void refuse_param(hd_value value) {
    hd_statement s = with_params("select $1", &value, 1);
    assert_fails(&db, &s, 1, HD_E_VALIDATION);
    assert_int_equal(db.err.statement, 0);
    assert_int_equal(db.err.row, 0);
    assert_non_null(strstr(db.err.message, "parameter 1"));
    assert_int_equal(status_of(&db, false), HD_CONN_IDLE);
    assert_false(s.sent);
}

static void integers_are_bound(void **state) {
    (void)state;
    check_param(hd_int(-32768, HD_T_SMALLINT), "", "(-32768)");
    check_param(hd_int(2147483647, HD_T_INTEGER), "", "(2147483647)");
    check_param(hd_int(INT64_MIN, HD_T_BIGINT), "", "(-9223372036854775808)");
    check_param(hd_int(INT64_MAX, HD_T_BIGINT), "", "(9223372036854775807)");
    check_param(number_value(-0x1p63, HD_T_BIGINT), "", "(-9223372036854775808)");
    check_param(number_value(42.0, HD_T_INTEGER), "", "(42)");
    check_param(text_value("-7", HD_TEXT, HD_T_SMALLINT), "", "(-7)");
    check_param(hd_int(INT64_MIN, HD_T_UNKNOWN), "int8", "(-9223372036854775808)");
    refuse_param(hd_int(32768, HD_T_SMALLINT));
    refuse_param(hd_int(-32769, HD_T_SMALLINT));
    refuse_param(hd_int(2147483648, HD_T_INTEGER));
    refuse_param(number_value(2.5, HD_T_INTEGER));
    refuse_param(number_value(0x1p63, HD_T_BIGINT));
    refuse_param(number_value(NAN, HD_T_BIGINT));
    refuse_param(text_value("007", HD_TEXT, HD_T_BIGINT));
    refuse_param(integer_kind(HD_BOOL, 1, HD_T_INTEGER));
}

static void floats_are_bound(void **state) {
    (void)state;
    check_param(number_value(0.1, HD_T_DOUBLE), "", "(f0.1)");
    check_param(number_value(-0.0, HD_T_FLOAT), "", "(f-0)");
    check_param(number_value(5e-324, HD_T_DOUBLE), "", "(f5e-324)");
    check_param(number_value(DBL_MAX, HD_T_DOUBLE), "", "(f1.7976931348623157e+308)");
    check_param(number_value(NAN, HD_T_DOUBLE), "", "(fnan)");
    check_param(number_value(-INFINITY, HD_T_DOUBLE), "", "(f-inf)");
    check_param(hd_int(9007199254740992, HD_T_DOUBLE), "", "(f9007199254740992)");
    check_param(number_value(5e-324, HD_T_UNKNOWN), "float8", "(f5e-324)");
    check_param(number_value(-0.0, HD_T_UNKNOWN), "float8", "(f-0)");
    check_param(number_value(NAN, HD_T_UNKNOWN), "float8", "(fnan)");
    check_param(number_value(INFINITY, HD_T_UNKNOWN), "float8", "(finf)");
    refuse_param(hd_int(9007199254740993, HD_T_DOUBLE));
    refuse_param(hd_int(INT64_MAX, HD_T_DOUBLE));
    refuse_param(text_value("1", HD_TEXT, HD_T_DOUBLE));
}

static void decimals_are_bound(void **state) {
    (void)state;
    const char *forty = "-1234567890123456789012345678901234567.890";
    check_param(text_value(forty, HD_DECIMAL, HD_T_DECIMAL), "",
                "(d'-1234567890123456789012345678901234567.890')");
    check_param(text_value("12.50", HD_DECIMAL, HD_T_UNKNOWN), "numeric", "(d'12.50')");
    check_param(hd_int(12, HD_T_DECIMAL), "", "(d'12')");
    check_param(number_value(0.1, HD_T_DECIMAL), "", "(d'0.1')");
    check_param(text_value("NaN", HD_DECIMAL, HD_T_DECIMAL), "", "(d'NaN')");
    refuse_param(integer_kind(HD_BOOL, 1, HD_T_DECIMAL));
}

static void booleans_are_bound(void **state) {
    (void)state;
    check_param(integer_kind(HD_BOOL, 1, HD_T_BOOLEAN), "", "(true)");
    check_param(integer_kind(HD_BOOL, 0, HD_T_BOOLEAN), "", "(false)");
    check_param(integer_kind(HD_BOOL, 1, HD_T_UNKNOWN), "bool", "(true)");
    refuse_param(hd_int(1, HD_T_BOOLEAN));
}

static void texts_are_bound(void **state) {
    (void)state;
    check_param(text_value("", HD_TEXT, HD_T_TEXT), "", "('')");
    check_param(hd_bytes(HD_TEXT, NULL, 0, HD_T_TEXT), "", "('')");
    check_param(text_value("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", HD_TEXT, HD_T_STRING), "",
                "('a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80')");
    check_param(hd_bytes(HD_TEXT, "abcdef", 3, HD_T_ENUM), "", "('abc')");
    check_param(hd_bytes(HD_TEXT, "gladness", 4, HD_T_UNKNOWN), "pg_temp.mood", "('glad')");
    check_param(text_value("", HD_TEXT, HD_T_UNKNOWN), "text", "('')");
    check_param(text_value("x", HD_UUID, HD_T_TEXT), "", "('x')");
    refuse_param(hd_bytes(HD_TEXT, "a\0b", 3, HD_T_UNKNOWN));
    refuse_param(hd_int(1, HD_T_TEXT));
    refuse_param(hd_bytes(HD_BLOB, "a", 1, HD_T_TEXT));
    const hd_value bad[] = {hd_bytes(HD_TEXT, "a\0b", 3, HD_T_TEXT),
                            hd_bytes(HD_TEXT, "\xff", 1, HD_T_TEXT)};
    for (int i = 0; i < 2; i++) {
        hd_statement s = with_params("select $1", &bad[i], 1);
        assert_fails(&db, &s, 1, HD_E_VALIDATION);
        assert_string_equal(db.err.sqlstate, "22021");
    }
}

static void times_are_bound(void **state) {
    (void)state;
    const hd_type date = HD_T_DATE, time = HD_T_TIME;
    check_param(text_value("2026-01-31", HD_DATE, date), "", "(date'2026-01-31')");
    check_param(text_value("0044-03-15 BC", HD_DATE, date), "", "(date'0044-03-15 BC')");
    check_param(text_value("infinity", HD_TEXT, date), "", "('infinity')");
    check_param(text_value("23:59:59.000001", HD_TIME, time), "", "(time'23:59:59.000001')");
    check_param(text_value("2026-01-31", HD_DATE, HD_T_UNKNOWN), "date", "(date'2026-01-31')");
    refuse_param(hd_int(1, HD_T_DATE));
    refuse_param(hd_int(1, HD_T_TIME));
}

static void timestamps_are_bound(void **state) {
    (void)state;
    const int64_t instants[] = {0,
                                -1,
                                1,
                                -310478399999999,
                                946684800000000,
                                253402300799999999,
                                317339373600000000,
                                -62167219200000000,
                                -62135596800000001};
    for (size_t i = 0; i < COUNT(instants); i++) {
        char expected[40];
        snprintf(expected, sizeof expected, "(@%lld)", (long long)instants[i]);
        check_param(integer_kind(HD_TIMESTAMP, instants[i], HD_T_TIMESTAMP), "", expected);
        check_param(integer_kind(HD_TIMESTAMP, instants[i], HD_T_UNKNOWN), "timestamptz", expected);
        check_param(integer_kind(HD_TIMESTAMP, instants[i], HD_T_TIMESTAMP), "timestamp", expected);
    }
    check_param(text_value("infinity", HD_TEXT, HD_T_TIMESTAMP), "", "('infinity')");
    check_param(text_value("-infinity", HD_TEXT, HD_T_TIMESTAMP), "", "('-infinity')");
    check_param(text_value("2000-01-01T02:00:00+02:00", HD_TEXT, HD_T_TIMESTAMP), "",
                "(@946684800000000)");
    refuse_param(text_value("yesterday", HD_TEXT, HD_T_TIMESTAMP));
    refuse_param(integer_kind(HD_TIMESTAMP, INT64_MIN, HD_T_TIMESTAMP));
    refuse_param(hd_int(1, HD_T_TIMESTAMP));
}

static void uuids_json_and_blobs_are_bound(void **state) {
    (void)state;
    check_param(text_value("A0EEBC999C0B4EF8BB6D6BB9BD380A11", HD_TEXT, HD_T_UUID), "",
                "(uuid'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')");
    check_param(text_value("{\"a\": [1, 2.50]}", HD_JSON, HD_T_JSON), "",
                "(json'{\"a\": [1, 2.50]}')");
    check_param(text_value("null", HD_JSON, HD_T_JSON), "json", "(json'null')");
    check_param(text_value("[1]", HD_JSON, HD_T_UNKNOWN), "jsonb", "(json'[1]')");
    check_param(hd_bytes(HD_BLOB, NULL, 0, HD_T_BLOB), "", "(x'')");
    check_param(text_value("ab", HD_BLOB, HD_T_UNKNOWN), "bytea", "(x'ab')");
    refuse_param(text_value("no uuid", HD_TEXT, HD_T_UUID));
    refuse_param(text_value("{}", HD_TEXT, HD_T_JSON));
    char bytes[256];
    for (int i = 0; i < 256; i++) bytes[i] = (char)i;
    for (int typed = 0; typed < 2; typed++) {
        hd_value blob = hd_bytes(HD_BLOB, bytes, 256, typed ? HD_T_BLOB : HD_T_UNKNOWN);
        hd_statement s = with_params("select $1::bytea", &blob, 1);
        const uint8_t type = HD_T_BLOB;
        with_types(&s, typed ? &type : NULL, 1);
        assert_runs(&db, &s, 1);
        assert_int_equal(db.rows.len, 256 + 5);
        assert_memory_equal(db.rows.data + 3, bytes, 256);
    }
}

static void null_is_bound_as_its_type(void **state) {
    (void)state;
    for (int type = HD_T_SMALLINT; type < HD_T_ARRAY; type++) {
        hd_value value = hd_null();
        value.type = (uint8_t)type;
        hd_statement s = with_params("select $1 is null, pg_typeof($1)::text", &value, 1);
        assert_runs(&db, &s, 1);
        assert_memory_equal(rows_of(&db), "(true, '", 8);
    }
    hd_value value = hd_null();
    value.type = HD_T_TIMESTAMP;
    hd_statement s = with_params("select pg_typeof($1)::text", &value, 1);
    assert_runs(&db, &s, 1);
    assert_rows(&db, "('timestamp with time zone')");
    refuse_param(integer_kind(HD_PENDING, 0, HD_T_BIGINT));
    refuse_param(integer_kind(HD_DEFAULT, 0, HD_T_UNKNOWN));
}

static void many_parameters_are_taken(void **state) {
    (void)state;
    enum { MOST = 65535 };
    static hd_value values[MOST + 1];
    hd_buffer sql;
    hd_buffer_init(&sql, &hd_allocator_libc);
    hd_buffer_str(&sql, "select 0");
    for (int i = 0; i < MOST; i++) {
        values[i] = hd_int(i, HD_T_BIGINT);
        hd_buffer_fmt(&sql, "%s$%d", i % 1000 ? "+" : ",", i + 1);
    }
    values[MOST] = hd_int(1, HD_T_BIGINT);
    hd_statement s = with_params(hd_buffer_text(&sql), values, MOST);
    s.cache = false;
    assert_runs(&db, &s, 1);
    assert_memory_equal(rows_of(&db), "(0, 499500, 1499500,", 20);
    s.param_count++;
    assert_fails(&db, &s, 1, HD_E_UNSUPPORTED);
    hd_buffer_free(&sql);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_bound),
        cmocka_unit_test(floats_are_bound),
        cmocka_unit_test(decimals_are_bound),
        cmocka_unit_test(booleans_are_bound),
        cmocka_unit_test(texts_are_bound),
        cmocka_unit_test(times_are_bound),
        cmocka_unit_test(timestamps_are_bound),
        cmocka_unit_test(uuids_json_and_blobs_are_bound),
        cmocka_unit_test(null_is_bound_as_its_type),
        cmocka_unit_test(many_parameters_are_taken),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
