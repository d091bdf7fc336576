/* Statement text of writes, word by word, in both dialects. */
#include "base/buffer.h"
#include "flush_support.h"
#include "keys_sql.h"
#include "write_sql.h"
#include "write_texts.h"

static const hd_dialect server = {.dollar_params = true, .bulk_unnest = true, .max_params = 65535};
static const hd_dialect file = {.row_sequence = true, .max_params = 32766, .insert_rows = 100};

static hd_flush *flush;
static hd_buffer out;
static hd_write_texts texts[2]; /* the file's, the server's */
static uint32_t found;
static bool fetched; /* the next text's keys came from the keys batch */

static int set_up(void **state) {
    const hd_flush_options options = {.dialect = &server};
    make_schema(state);
    flush = hd_flush_new(&hd_allocator_libc, &options);
    hd_buffer_init(&out, &hd_allocator_libc);
    for (int i = 0; i < 2; i++) hd_write_texts_init(&texts[i], &hd_allocator_libc);
    fetched = false;
    return flush ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    hd_flush_free(flush);
    hd_buffer_free(&out);
    for (int i = 0; i < 2; i++) hd_write_texts_free(&texts[i]);
    return 0;
}

static hd_write write_of(hd_change *change) {
    return (hd_write){.change = change, .op = change->op, .key_column = -1};
}

/* What was kept is what would be written, whatever was kept before. */
static void check_kept(hd_write_texts *kept, const hd_write_shape *shape, hd_write_form form,
                       uint32_t n) {
    hd_statement written = {.sql = hd_buffer_text(&out), .sql_len = out.len}, again;
    written.hash = hd_sql_hash(written.sql, written.sql_len);
    if (!hd_write_texts_find(kept, shape, form, n, hd_flush_arena(flush), &again)) {
        hd_write_texts_keep(kept, shape, form, n, &written);
        if (!hd_write_texts_find(kept, shape, form, n, hd_flush_arena(flush), &again)) return;
    }
    found++;
    assert_int_equal(again.sql_len, written.sql_len);
    assert_string_equal(again.sql, written.sql);
    assert_true(again.hash == written.hash);
}

static const char *text(const hd_dialect *dialect, const hd_write *write, bool guarded,
                        hd_write_form form, uint32_t n) {
    hd_write_shape shape;
    assert_true(hd_write_describe(hd_flush_arena(flush), write, guarded, &shape));
    shape.keys_fetched = fetched;
    hd_buffer_clear(&out);
    hd_write_sql(&out, dialect, &shape, form, n);
    check_kept(&texts[dialect == &server], &shape, form, n);
    return hd_buffer_text(&out);
}

static hd_change *whole_author(void) {
    hd_change *change = insert_author(flush, "x");
    change->set[ID] = int_value(1);
    change->set[AUTHOR_VERSION] = int_value(1);
    return change;
}

static void one_row_is_a_plain_statement(void **state) {
    (void)state;
    hd_write w = write_of(insert_author(flush, "x"));
    w.key = HD_KEY_AWAITED;
    assert_string_equal(text(&server, &w, false, HD_FORM_ROW, 1),
                        "INSERT INTO \"authors\" (\"name\") VALUES ($1) RETURNING \"id\"");
    w = write_of(whole_author());
    assert_string_equal(
        text(&file, &w, false, HD_FORM_ROW, 1),
        "INSERT INTO \"authors\" (\"id\", \"name\", \"version\") VALUES (?1, ?2, ?3)");
    w = write_of(rename_author(flush, 1, 1, "y"));
    w.change->set[AUTHOR_VERSION] = int_value(2);
    assert_string_equal(text(&server, &w, false, HD_FORM_ROW, 1),
                        "UPDATE \"authors\" SET \"name\" = $1, \"version\" = $2 WHERE \"id\" = $3 "
                        "AND \"version\" = $4");
    w = write_of(delete_row(flush, &author, 1)); /* a reference: its version was never read */
    assert_string_equal(text(&file, &w, false, HD_FORM_ROW, 1),
                        "DELETE FROM \"authors\" WHERE \"id\" = ?1");
}

static void a_row_without_values_is_default_values(void **state) {
    (void)state;
    hd_write w = write_of(add_change(flush, HD_INSERT, &ring));
    w.key = HD_KEY_AWAITED;
    assert_string_equal(text(&file, &w, false, HD_FORM_ROW, 1),
                        "INSERT INTO \"rings\" DEFAULT VALUES RETURNING \"id\"");
    assert_string_equal(text(&server, &w, true, HD_FORM_ROW, 1),
                        "WITH hd_w AS (INSERT INTO \"rings\" DEFAULT VALUES RETURNING true AS hit, "
                        "\"id\") SELECT hd_w.\"id\","
                        " CASE WHEN hd_c.n = 0 THEN ('heddle_stale:' || hd_c.n)::int END"
                        " FROM (SELECT count(*) AS n FROM hd_w) AS hd_c LEFT JOIN hd_w ON true");
}

static void inserts_are_counted_where_they_run(void **state) {
    (void)state;
    hd_write w = write_of(whole_author());
    assert_string_equal(text(&server, &w, true, HD_FORM_ARRAYS, 5),
                        "WITH hd_w AS (INSERT INTO \"authors\" (\"id\", \"name\", \"version\") "
                        "OVERRIDING SYSTEM VALUE"
                        " SELECT * FROM unnest($1::int4[], $2::text[], $3::int4[]) RETURNING 1)"
                        " SELECT ('heddle_stale:' || count(*))::int FROM hd_w"
                        " HAVING count(*) <> cardinality($1::int4[])");
    fetched = true;
    assert_string_equal(
        text(&server, &w, true, HD_FORM_ARRAYS, 5),
        "WITH hd_w AS (INSERT INTO \"authors\" (\"id\", \"name\", \"version\") OVERRIDING SYSTEM "
        "VALUE"
        " SELECT * FROM unnest($1::int4[], $2::text[], $3::int4[]) RETURNING \"id\")"
        " SELECT ('heddle_stale:' || count(*))::int FROM hd_w"
        " HAVING count(*) FILTER (WHERE (\"id\") IN (SELECT * FROM unnest($1::int4[])))"
        " <> cardinality($1::int4[])");
    assert_string_equal(text(&server, &w, true, HD_FORM_VALUES, 2),
                        "WITH hd_w AS (INSERT INTO \"authors\" (\"id\", \"name\", \"version\") "
                        "OVERRIDING SYSTEM VALUE"
                        " VALUES ($1, $2, $3), ($4, $5, $6) RETURNING \"id\")"
                        " SELECT ('heddle_stale:' || count(*))::int FROM hd_w"
                        " HAVING count(*) FILTER (WHERE (\"id\") IN ($1::int4, $4::int4)) <> 2");
    fetched = false;
    author.check_rows = false;
    assert_string_equal(
        text(&server, &w, true, HD_FORM_ARRAYS, 5),
        "INSERT INTO \"authors\" (\"id\", \"name\", \"version\") OVERRIDING SYSTEM VALUE"
        " SELECT * FROM unnest($1::int4[], $2::text[], $3::int4[])");
}

static void pairs_are_neither_counted_nor_read_back(void **state) {
    (void)state;
    hd_change *made = add_change(flush, HD_INSERT, &pair_entity);
    made->slot = HD_NO_SLOT;
    made->flags = HD_CHANGE_MAY_EXIST;
    made->set[PAIR_A] = int_value(1);
    made->set[PAIR_B] = text_value("x");
    hd_write w = write_of(made);
    w.unchecked = true;
    assert_string_equal(text(&server, &w, true, HD_FORM_ARRAYS, 5),
                        "INSERT INTO \"pairs\" (\"a\", \"b\")"
                        " SELECT * FROM unnest($1::int4[], $2::text[]) ON CONFLICT DO NOTHING");
    assert_string_equal(
        text(&file, &w, false, HD_FORM_VALUES, 2),
        "INSERT INTO \"pairs\" (\"a\", \"b\") VALUES (?1, ?2), (?3, ?4) ON CONFLICT DO NOTHING");
    hd_change *gone = add_change(flush, HD_DELETE, &pair_entity);
    w = write_of(gone);
    w.unchecked = true;
    assert_string_equal(text(&server, &w, true, HD_FORM_ARRAYS, 5),
                        "WITH hd_i (c0, c1, n) AS (SELECT * FROM unnest($1::int4[], $2::text[])"
                        " WITH ORDINALITY) DELETE FROM \"pairs\" AS hd_t USING hd_i"
                        " WHERE hd_t.\"a\" = hd_i.c0 AND hd_t.\"b\" = hd_i.c1");
}

static void an_expression_stands_where_its_value_would(void **state) {
    (void)state;
    hd_change *change = rename_author(flush, 1, 1, "y");
    change->set[AUTHOR_VERSION] = int_value(2);
    express(flush, change, AUTHOR_NAME, "name || ", text_value("x"), " -- on");
    hd_write w = write_of(change);
    assert_string_equal(
        text(&file, &w, false, HD_FORM_ROW, 1),
        "UPDATE \"authors\" AS e0 SET \"name\" = (name || ?1 -- on\n), \"version\" = ?2"
        " WHERE \"id\" = ?3 AND \"version\" = ?4 RETURNING \"name\"");
    assert_string_equal(
        text(&server, &w, true, HD_FORM_ROW, 1),
        "WITH hd_w AS (UPDATE \"authors\" AS e0 SET \"name\" = (name || $1 -- on\n), \"version\" = "
        "$2"
        " WHERE \"id\" = $3 AND \"version\" = $4 RETURNING true AS hit, \"name\") SELECT"
        " hd_w.\"name\", CASE WHEN hd_c.n = 0 THEN ('heddle_stale:' || hd_c.n)::int END"
        " FROM (SELECT count(*) AS n FROM hd_w) AS hd_c LEFT JOIN hd_w ON true");
    hd_write other = write_of(rename_author(flush, 2, 1, "y"));
    other.change->set[AUTHOR_VERSION] = int_value(2);
    assert_false(hd_write_alike(&w, &other));
    express(flush, other.change, AUTHOR_NAME, "name || ", text_value("another"), " -- on");
    assert_true(hd_write_alike(&w, &other));
    assert_int_equal(hd_write_likeness(&w), hd_write_likeness(&other));
    express(flush, other.change, AUTHOR_NAME, "name || ", text_value("another"), "");
    assert_false(hd_write_alike(&w, &other));
}

static void a_version_that_was_never_read_is_counted_on(void **state) {
    (void)state;
    hd_change *change = rename_author(flush, 1, 1, "y");
    change->old[AUTHOR_VERSION] = hd_null();
    hd_write w = write_of(change);
    assert_string_equal(
        text(&file, &w, false, HD_FORM_ROW, 1),
        "UPDATE \"authors\" SET \"name\" = ?1, \"version\" = coalesce(\"version\", 0) + 1"
        " WHERE \"id\" = ?2 RETURNING \"version\"");
    assert_non_null(strstr(text(&server, &w, true, HD_FORM_ARRAYS, 2),
                           "SET \"name\" = hd_i.c0, \"version\" = coalesce(hd_t.\"version\", 0) + 1"
                           " FROM hd_i"));
}

static void values_come_back_with_their_row_or_their_key(void **state) {
    (void)state;
    hd_change *change = add_change(flush, HD_INSERT, &doc);
    change->set[ID] = hd_bytes(HD_UUID, "00000000-0000-0000-0000-000000000001", 36, HD_T_UUID);
    hd_write w = write_of(change);
    assert_string_equal(
        text(&server, &w, true, HD_FORM_ARRAYS, 1),
        "WITH hd_i (c0, n) AS (SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY), hd_w (k0, hit, "
        "b0, b1)"
        " AS (INSERT INTO \"docs\" (\"id\") SELECT hd_i.c0 FROM hd_i RETURNING \"id\", true, "
        "\"size\","
        " \"twice\") SELECT hd_i.n, hd_w.b0, hd_w.b1, CASE WHEN hd_w.hit IS NULL THEN"
        " ('heddle_stale:' || hd_i.n)::int END FROM hd_i LEFT JOIN hd_w ON hd_w.k0 = hd_i.c0");
    assert_string_equal(
        text(&file, &w, false, HD_FORM_VALUES, 2),
        "INSERT INTO \"docs\" (\"id\") VALUES (?1), (?2) RETURNING \"id\", \"size\", \"twice\"");
    hd_value items[1] = {int_value(1)};
    const hd_list marks = {HD_T_INTEGER, 1, items};
    change->set[DOC_MARKS] = (hd_value){.kind = HD_LIST, .type = HD_T_ARRAY, .as.list = &marks};
    doc_columns[DOC_MARKS].element = HD_T_INTEGER;
    text(&server, &w, true, HD_FORM_VALUES, 2);
    assert_non_null(
        strstr(out.data, "(VALUES ($1::uuid, $2::int4[], 1), ($3::uuid, $4::int4[], 2))"));
}

static void updates_and_deletes_guard_themselves(void **state) {
    (void)state;
    hd_write w = write_of(rename_author(flush, 1, 1, "y"));
    assert_string_equal(
        text(&server, &w, true, HD_FORM_ARRAYS, 5),
        "WITH hd_w AS (UPDATE \"authors\" AS hd_t SET \"name\" = hd_i.c0"
        " FROM unnest($1::text[], $2::int4[], $3::int4[]) AS hd_i (c0, c1, c2)"
        " WHERE hd_t.\"id\" = hd_i.c1 AND hd_t.\"version\" = hd_i.c2 RETURNING hd_i.c1)"
        " SELECT ('heddle_stale:' || (SELECT min(hd_k.n)"
        " FROM unnest($2::int4[]) WITH ORDINALITY AS hd_k (k0, n)"
        " WHERE (hd_k.k0) NOT IN (SELECT * FROM hd_w)))::int"
        " FROM hd_w HAVING count(*) <> cardinality($1::text[])");
    assert_string_equal(
        text(&server, &w, true, HD_FORM_VALUES, 2),
        "WITH hd_i (c0, c1, c2, n) AS (VALUES ($1::text, $2::int4, $3::int4, 1),"
        " ($4::text, $5::int4, $6::int4, 2)), hd_w (n) AS (UPDATE \"authors\" AS hd_t"
        " SET \"name\" = hd_i.c0 FROM hd_i WHERE hd_t.\"id\" = hd_i.c1"
        " AND hd_t.\"version\" = hd_i.c2 RETURNING hd_i.n)"
        " SELECT ('heddle_stale:' || min(n))::int FROM hd_i"
        " WHERE n NOT IN (SELECT n FROM hd_w) HAVING min(n) IS NOT NULL");
    w = write_of(delete_row(flush, &pair_entity, 1));
    assert_string_equal(
        text(&server, &w, true, HD_FORM_ARRAYS, 5),
        "WITH hd_w AS (DELETE FROM \"pairs\" AS hd_t USING unnest($1::int4[], $2::text[])"
        " AS hd_i (c0, c1) WHERE hd_t.\"a\" = hd_i.c0 AND hd_t.\"b\" = hd_i.c1"
        " RETURNING hd_i.c0, hd_i.c1) SELECT ('heddle_stale:' || (SELECT min(hd_k.n)"
        " FROM unnest($1::int4[], $2::text[]) WITH ORDINALITY AS hd_k (k0, k1, n)"
        " WHERE (hd_k.k0, hd_k.k1) NOT IN (SELECT * FROM hd_w)))::int"
        " FROM hd_w HAVING count(*) <> cardinality($1::int4[])");
    w = write_of(delete_row(flush, &node, 1));
    w.unchecked = true;
    assert_string_equal(text(&server, &w, true, HD_FORM_ARRAYS, 5),
                        "WITH hd_i (c0, n) AS (SELECT * FROM unnest($1::int4[]) WITH ORDINALITY)"
                        " DELETE FROM \"nodes\" AS hd_t USING hd_i WHERE hd_t.\"id\" = hd_i.c0");
    assert_string_equal(text(&file, &w, false, HD_FORM_VALUES, 2),
                        "DELETE FROM \"nodes\" WHERE (\"id\") IN (VALUES (?1), (?2))");
}

static void names_are_quoted_and_casts_are_the_columns_own(void **state) {
    (void)state;
    static hd_column columns[3];
    memcpy(columns, node_columns, sizeof columns);
    columns[NODE_NAME].cast = "mood";
    columns[NODE_NAME].name = "a\"b";
    columns[NODE_NAME].name_len = 3;
    node.columns = columns;
    hd_change *change = update_row(flush, &node, 1);
    change->set[NODE_NAME] = text_value("x");
    hd_write w = write_of(change);
    hd_write_shape shape;
    assert_true(hd_write_describe(hd_flush_arena(flush), &w, true, &shape));
    assert_false(shape.has_array_form);
    assert_string_equal(text(&server, &w, false, HD_FORM_ROW, 1),
                        "UPDATE \"nodes\" SET \"a\"\"b\" = $1::mood WHERE \"id\" = $2");
}

static const char *keys(const hd_dialect *dialect, const hd_entity *entity) {
    hd_buffer_clear(&out);
    hd_keys_sql(&out, dialect, entity, 0);
    return hd_buffer_text(&out);
}

static void keys_are_asked_for_by_count(void **state) {
    (void)state;
    author.table = "\"o'k\".\"authors\"";
    assert_string_equal(
        keys(&server, &author),
        "SELECT array_agg(nextval((SELECT pg_get_serial_sequence('\"o''k\".\"authors\"', "
        "'id')::regclass)))"
        " FROM generate_series(1, $1::int4)");
    assert_true(hd_keys_sql_is_base(&file, &author));
    assert_string_equal(
        keys(&file, &author),
        "SELECT max(coalesce((SELECT max(\"id\") FROM \"o'k\".\"authors\"), 0), coalesce((SELECT "
        "max(seq)"
        " FROM \"o'k\".sqlite_sequence WHERE name = 'authors' COLLATE NOCASE), 0))");
    author.autoincrement = false;
    assert_string_equal(keys(&file, &author),
                        "SELECT coalesce((SELECT max(\"id\") FROM \"o'k\".\"authors\"), 0)");
    doc_columns[ID].default_sql = "f()";
    assert_string_equal(keys(&server, &doc),
                        "SELECT (f())::uuid FROM generate_series(1, $1::int4)");
    assert_false(hd_keys_sql_is_base(&file, &doc));
    assert_string_equal(
        keys(&file, &doc),
        "SELECT (f()) FROM (WITH RECURSIVE hd_n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hd_n"
        " WHERE n < ?1) SELECT n FROM hd_n)");
}

static void writes_are_alike_when_their_statement_is(void **state) {
    (void)state;
    hd_write a = write_of(rename_author(flush, 1, 1, "a")),
             b = write_of(rename_author(flush, 2, 7, "b"));
    assert_true(hd_write_alike(&a, &b));
    assert_int_equal(hd_write_likeness(&a), hd_write_likeness(&b));
    b.change->old[AUTHOR_VERSION] = hd_null();
    assert_false(hd_write_alike(&a, &b));
    b.change->old[AUTHOR_VERSION] = int_value(1);
    b.change->set[AUTHOR_VERSION] = int_value(1);
    assert_false(hd_write_alike(&a, &b));
    hd_write c = write_of(insert_node(flush, hd_null())),
             d = write_of(insert_node(flush, hd_null()));
    d.change->set[ID] = int_value(1);
    assert_false(hd_write_alike(&c, &d));
    c.key = HD_KEY_FETCHED; /* it will have its key when it is written */
    c.key_column = ID;
    assert_true(hd_write_alike(&c, &d));
    d.wave = 1;
    assert_false(hd_write_alike(&c, &d));
}

static void texts_are_found_again(void **state) {
    (void)state;
    hd_write w = write_of(whole_author());
    found = 0;
    text(&server, &w, true, HD_FORM_ARRAYS, 5);
    const char *five = strdup(hd_buffer_text(&out));
    assert_int_equal(found, 1);
    assert_string_equal(text(&server, &w, true, HD_FORM_ARRAYS, 7), five); /* one for any number */
    free((char *)five);
    for (uint32_t n = 1; n < 90; n++) text(&file, &w, false, HD_FORM_VALUES, n); /* more than fit */
    assert_int_equal(found, 91);
    w.change->set[AUTHOR_VERSION] = (hd_value){.kind = HD_DEFAULT};
    text(&file, &w, false, HD_FORM_VALUES, 2);
    assert_int_equal(found, 92);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_row_is_a_plain_statement),
        TEST(a_row_without_values_is_default_values),
        TEST(inserts_are_counted_where_they_run),
        TEST(an_expression_stands_where_its_value_would),
        TEST(a_version_that_was_never_read_is_counted_on),
        TEST(pairs_are_neither_counted_nor_read_back),
        TEST(values_come_back_with_their_row_or_their_key),
        TEST(updates_and_deletes_guard_themselves),
        TEST(names_are_quoted_and_casts_are_the_columns_own),
        TEST(keys_are_asked_for_by_count),
        TEST(texts_are_found_again),
        TEST(writes_are_alike_when_their_statement_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
