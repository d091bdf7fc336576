/* Arrays both ways: as values of a column, nested, and as bulk parameters that carry one column of
 * many rows. */
#include "postgres_support.h"

static pg db;

static int open_db(void **state) {
    (void)state;
    open_pg(&db, NULL, NULL);
    execute(&db, "create type pg_temp.mood as enum ('glad', 'very sad', 'a \"quoted\\ one')");
    return 0;
}

static int close_db(void **state) {
    (void)state;
    close_pg(&db);
    return 0;
}

/* ---- Results ---- */

static void check(const char *expression, const char *expected) {
    char sql[1024];
    const uint8_t type = HD_T_ARRAY;
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

static void arrays_are_read(void **state) {
    (void)state;
    check("'{}'::int4[]", "([])");
    check("null::int4[]", "(null)");
    check("'{1,NULL,-3}'::int2[]", "([1, null, -3])");
    check("'{9223372036854775807}'::int8[]", "([9223372036854775807])");
    check("'{0.1,NaN,-Infinity,-0}'::float8[]", "([f0.1, fnan, f-inf, f-0])");
    check("'{1.50,NULL}'::numeric[]", "([d'1.50', null])");
    check("'{t,f,NULL}'::bool[]", "([true, false, null])");
    check("'{2026-01-31,infinity}'::date[]", "([date'2026-01-31', 'infinity'])");
    check("'{10:00:00.5}'::time[]", "([time'10:00:00.500000'])");
    check("array['1970-01-01 00:00:01+00'::timestamptz]", "([@1000000])");
    check("array['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid]",
          "([uuid'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'])");
    check("array['{\"a\": \"b,}\"}'::jsonb, null]", "([json'{\"a\": \"b,}\"}', null])");
    check("array['\\x6122'::bytea, '\\x']", "([x'a\"', x''])");
}

static void texts_in_arrays_are_read(void **state) {
    (void)state;
    check("array['a', '', 'NULL', null, 'b c', '{', '}', ',', '\"', '\\', 'null']",
          "(['a', '', 'NULL', null, 'b c', '{', '}', ',', '\"', '\\', 'null'])");
    check("array[' x', 'a''b', e'a\\nb']::varchar[]", "([' x', 'a'b', 'a\nb'])");
}

static void nested_arrays_are_read(void **state) {
    (void)state;
    check("'{{1,2},{3,NULL}}'::int4[]", "([[1, 2], [3, null]])");
    check("array[[['a', ','], ['}', '{']], [['\"', ''], [null, 'x']]]",
          "([[['a', ','], ['}', '{']], [['\"', ''], [null, 'x']]])");
    check("'[0:1]={7,8}'::int4[]", "([7, 8])");
    check("'[-1:0][2:3]={{1,2},{3,4}}'::int4[]", "([[1, 2], [3, 4]])");
    check("'{{{{{{5}}}}}}'::int4[]", "([[[[[[5]]]]]])");
}

static void arrays_of_own_types_are_lists_in_binary_form(void **state) {
    (void)state;
    const uint8_t type = HD_T_ARRAY;
    hd_statement s = plain("select array['glad', 'very sad']::pg_temp.mood[]");
    with_types(&s, &type, 1);
    assert_runs(&db, &s, 1);
    assert_rows(&db, "(['glad', 'very sad'])");
}

static void lists_say_what_they_hold(pg *p, const hd_row *row) {
    (void)p;
    assert_int_equal(row->values[0].as.list->type, HD_T_INTEGER);
    assert_int_equal(row->values[1].as.list->type, HD_T_TIMESTAMP);
    assert_int_equal(row->values[2].as.list->type, HD_T_TEXT);
    assert_int_equal(row->values[2].as.list->items[0].as.list->type, HD_T_TEXT);
}

static void lists_have_element_types(void **state) {
    (void)state;
    const uint8_t types[] = {HD_T_ARRAY, HD_T_ARRAY, HD_T_ARRAY};
    hd_statement s = plain("select '{1}'::int4[], array[now()], array[['a']]");
    db.on_row = lists_say_what_they_hold;
    assert_runs(&db, &s, 1);
    with_types(&s, types, 3);
    assert_runs(&db, &s, 1);
    db.on_row = NULL;
}

/* ---- Array values ---- */

static void check_value(const hd_list *list, const char *cast, const char *expected) {
    char sql[64];
    hd_value value = list_value(list, HD_T_ARRAY);
    snprintf(sql, sizeof sql, "select $1%s", cast);
    hd_statement s = with_params(sql, &value, 1);
    assert_runs(&db, &s, 1);
    assert_rows(&db, expected);
}

static void arrays_are_bound(void **state) {
    (void)state;
    const hd_value ints[] = {hd_int(1, 0), hd_null(), hd_int(-3, 0)};
    const hd_value texts[] = {text_value("a,\"b\\", HD_TEXT, 0), text_value("", HD_TEXT, 0),
                              text_value("NULL", HD_TEXT, 0), hd_null()};
    const hd_value decimals[] = {text_value("1.50", HD_DECIMAL, 0), hd_int(2, 0), hd_null()};
    const hd_list empty = {HD_T_INTEGER, 0, NULL}, no_dates = {HD_T_DATE, 0, NULL};
    const hd_list integers = {HD_T_INTEGER, 3, ints}, words = {HD_T_TEXT, 4, texts};
    const hd_list guessed = {HD_T_UNKNOWN, 4, texts}, numbers = {HD_T_DECIMAL, 3, decimals};
    check_value(&empty, "", "([])");
    check_value(&no_dates, "", "([])");
    check_value(&integers, "", "([1, null, -3])");
    check_value(&words, "", "(['a,\"b\\', '', 'NULL', null])");
    check_value(&guessed, "::text[]", "(['a,\"b\\', '', 'NULL', null])");
    check_value(&numbers, "", "([d'1.50', d'2', null])");
}

static void nested_arrays_are_bound(void **state) {
    (void)state;
    const hd_value items[] = {hd_int(1, 0), hd_int(2, 0), hd_null(), hd_int(4, 0)};
    const hd_list rows[] = {{HD_T_BIGINT, 2, items}, {HD_T_BIGINT, 2, items + 2}};
    const hd_value nested[] = {list_value(&rows[0], HD_T_ARRAY), list_value(&rows[1], HD_T_ARRAY)};
    hd_list both = {HD_T_BIGINT, 2, nested};
    check_value(&both, "", "([[1, 2], [null, 4]])");
    both.type = HD_T_DECIMAL;
    check_value(&both, "", "([[d'1', d'2'], [null, d'4']])");
}

static void refuse(const hd_list *list, hd_type type) {
    hd_value value = list_value(list, type);
    hd_statement s = with_params("select $1", &value, 1);
    assert_fails(&db, &s, 1, HD_E_VALIDATION);
    assert_int_equal(status_of(&db, false), HD_CONN_IDLE);
}

static void what_is_no_array_is_refused(void **state) {
    (void)state;
    const hd_value ints[] = {hd_int(1, 0), hd_int(2, 0), hd_int(3, 0)};
    const hd_list two = {HD_T_INTEGER, 2, ints}, three = {HD_T_INTEGER, 3, ints};
    const hd_list none = {HD_T_INTEGER, 0, NULL};
    const hd_value uneven[] = {list_value(&two, 0), list_value(&three, 0)};
    const hd_value mixed[] = {list_value(&two, 0), hd_int(1, 0)};
    const hd_value mixed_too[] = {hd_int(1, 0), list_value(&two, 0)};
    const hd_value holes[] = {list_value(&two, 0), hd_null()};
    const hd_value empties[] = {list_value(&none, 0), list_value(&none, 0)};
    const hd_value wrong[] = {hd_int(1, 0), text_value("x", HD_TEXT, 0)};
    const hd_value *const bad[] = {uneven, mixed, mixed_too, holes, empties, wrong};
    for (size_t i = 0; i < COUNT(bad); i++) {
        for (int type = HD_T_INTEGER; type <= HD_T_DECIMAL; type += HD_T_DECIMAL - HD_T_INTEGER) {
            const hd_list list = {(uint8_t)type, 2, bad[i]};
            if (bad[i] != wrong || type == HD_T_INTEGER) refuse(&list, HD_T_ARRAY);
        }
    }
    const hd_list flat = {HD_T_INTEGER, 2, uneven};
    refuse(&flat, HD_T_INTEGER); /* a bulk parameter has no second dimension */
    hd_list deep[7];
    hd_value inner[7];
    for (int i = 0; i < 7; i++) {
        inner[i] = i ? list_value(&deep[i - 1], HD_T_ARRAY) : hd_int(1, 0);
        deep[i] = (hd_list){HD_T_INTEGER, 1, &inner[i]};
    }
    refuse(&deep[6], HD_T_ARRAY);
    check_value(&deep[5], "", "([[[[[[1]]]]]])");
}

/* ---- Bulk ---- */

static void check_bulk(hd_type type, const hd_value *items, uint32_t count, const char *cast,
                       const char *expected) {
    char sql[96];
    const hd_list list = {(uint8_t)type, count, items};
    hd_value value = list_value(&list, type);
    snprintf(sql, sizeof sql, "select v from unnest($1%s) v", cast);
    hd_statement s = with_params(sql, &value, 1);
    assert_runs(&db, &s, 1);
    assert_rows(&db, expected);
}

static void every_type_travels_in_bulk(void **state) {
    (void)state;
    const hd_value null = hd_null();
    const hd_value ints[] = {hd_int(-1, 0), null, hd_int(32767, 0)};
    check_bulk(HD_T_SMALLINT, ints, 3, "", "(-1)(null)(32767)");
    check_bulk(HD_T_INTEGER, ints, 3, "", "(-1)(null)(32767)");
    check_bulk(HD_T_BIGINT, ints, 3, "", "(-1)(null)(32767)");
    check_bulk(HD_T_BIGINT, ints, 0, "", "");
    const hd_value floats[] = {number_value(-0.0, 0), number_value(1e308, 0), hd_int(3, 0), null};
    check_bulk(HD_T_DOUBLE, floats, 4, "", "(f-0)(f1e+308)(f3)(null)");
    const hd_value decimals[] = {text_value("-1.50", HD_DECIMAL, 0), null, hd_int(7, 0)};
    check_bulk(HD_T_DECIMAL, decimals, 3, "", "(d'-1.50')(null)(d'7')");
    const hd_value texts[] = {text_value("", HD_TEXT, 0), text_value("\"{,}\\", HD_TEXT, 0), null};
    check_bulk(HD_T_STRING, texts, 3, "", "('')('\"{,}\\')(null)");
    check_bulk(HD_T_ENUM, texts, 3, "", "('')('\"{,}\\')(null)");
    check_bulk(HD_T_UNKNOWN, texts, 3, "::text[]", "('')('\"{,}\\')(null)");
    const hd_value moods[] = {text_value("very sad", HD_TEXT, 0), null,
                              text_value("a \"quoted\\ one", HD_TEXT, 0)};
    check_bulk(HD_T_UNKNOWN, moods, 3, "::pg_temp.mood[]",
               "('very sad')(null)('a \"quoted\\ one')");
    const hd_value bools[] = {integer_kind(HD_BOOL, 1, 0), integer_kind(HD_BOOL, 0, 0), null};
    check_bulk(HD_T_BOOLEAN, bools, 3, "", "(true)(false)(null)");
    const hd_value uuids[] = {text_value("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", HD_UUID, 0), null};
    check_bulk(HD_T_UUID, uuids, 2, "", "(uuid'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')(null)");
    const hd_value json[] = {text_value("{\"a\": \"\\\"\"}", HD_JSON, 0), null};
    check_bulk(HD_T_JSON, json, 2, "", "(json'{\"a\": \"\\\"\"}')(null)");
    const hd_value instants[] = {integer_kind(HD_TIMESTAMP, -1, 0), null};
    check_bulk(HD_T_TIMESTAMP, instants, 2, "", "(@-1)(null)");
    const hd_value dates[] = {text_value("0044-03-15 BC", HD_DATE, 0), null};
    check_bulk(HD_T_DATE, dates, 2, "", "(date'0044-03-15 BC')(null)");
    const hd_value times[] = {text_value("23:59:59.000001", HD_TIME, 0), null};
    check_bulk(HD_T_TIME, times, 2, "", "(time'23:59:59.000001')(null)");
    const hd_value blobs[] = {text_value("a\"\\", HD_BLOB, 0), hd_bytes(HD_BLOB, "", 0, 0), null};
    check_bulk(HD_T_BLOB, blobs, 3, "", "(x'a\"\\')(x'')(null)");
    check_bulk(HD_T_UNKNOWN, blobs, 3, "::bytea[]", "(x'a\"\\')(x'')(null)");
}

static void ten_thousand_rows_travel_at_once(void **state) {
    (void)state;
    enum { N = 10000 };
    static hd_value ids[N], names[N];
    static char text[N][24];
    for (int i = 0; i < N; i++) {
        ids[i] = hd_int(i, 0);
        snprintf(text[i], sizeof text[i], "name %d", i);
        names[i] = text_value(text[i], HD_TEXT, 0);
    }
    const hd_list lists[] = {{HD_T_BIGINT, N, ids}, {HD_T_STRING, N, names}};
    const hd_value params[] = {list_value(&lists[0], HD_T_BIGINT),
                               list_value(&lists[1], HD_T_STRING)};
    execute(&db, "create temp table many (id int8 primary key, name varchar(20))");
    hd_statement s = with_params("insert into many select * from unnest($1, $2)", params, 2);
    assert_runs(&db, &s, 1);
    assert_int_equal(s.affected, N);
    assert_query(&db, "select count(*), min(name), max(id) from many where name = 'name ' || id",
                 "(10000, 'name 0', 9999)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_read),
        cmocka_unit_test(texts_in_arrays_are_read),
        cmocka_unit_test(nested_arrays_are_read),
        cmocka_unit_test(arrays_of_own_types_are_lists_in_binary_form),
        cmocka_unit_test(lists_have_element_types),
        cmocka_unit_test(arrays_are_bound),
        cmocka_unit_test(nested_arrays_are_bound),
        cmocka_unit_test(what_is_no_array_is_refused),
        cmocka_unit_test(every_type_travels_in_bulk),
        cmocka_unit_test(ten_thousand_rows_travel_at_once),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
