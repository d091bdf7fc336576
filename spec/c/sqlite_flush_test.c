/* The flush on SQLite: the suite, and what only SQLite can do to it. */
#include "drivers/sqlite/sqlite.h"
#include "flush_express_suite.h"
#include "flush_pairs_suite.h"
#include "flush_park_suite.h"
#include "flush_suite.h"
#include "flush_switch_suite.h"

static const char schema[] =
    "CREATE TABLE authors (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, version "
    "INTEGER NOT NULL);"
    "CREATE TABLE books (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL UNIQUE,"
    " author_id INTEGER NOT NULL REFERENCES authors, note TEXT);"
    "CREATE TABLE nodes (id INTEGER PRIMARY KEY AUTOINCREMENT, parent_id INTEGER REFERENCES nodes, "
    "name TEXT NOT NULL);"
    "CREATE TABLE rings (id INTEGER PRIMARY KEY AUTOINCREMENT, next_id INTEGER NOT NULL REFERENCES "
    "rings);"
    "CREATE TABLE pairs (a INTEGER, b TEXT, value TEXT NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;"
    "CREATE TABLE docs (id TEXT PRIMARY KEY DEFAULT (hd_uuid()), body TEXT, size INTEGER NOT NULL "
    "DEFAULT 42,"
    " twice INTEGER GENERATED ALWAYS AS (size * 2), marks TEXT);"
    "CREATE TABLE teams (id INTEGER PRIMARY KEY AUTOINCREMENT, lead_id INTEGER REFERENCES people);"
    "CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, team_id INTEGER NOT NULL "
    "REFERENCES teams);"
    "CREATE TABLE yins (id INTEGER PRIMARY KEY AUTOINCREMENT, yang_id INTEGER NOT NULL REFERENCES "
    "yangs);"
    "CREATE TABLE yangs (id INTEGER PRIMARY KEY AUTOINCREMENT, yin_id INTEGER NOT NULL REFERENCES "
    "yins);";

static int open_database(void **state) {
    static const hd_option options[] = {{"database", ":memory:"}};
    make_schema(state);
    doc_columns[ID].default_sql = "hd_uuid()";
    doc_columns[DOC_SIZE].default_sql = "42";
    doc_columns[DOC_MARKS].element = HD_T_INTEGER;
    open_connection(&hd_sqlite_driver, options, 1);
    return 0;
}

static int set_up(void **state) {
    open_database(state);
    exec(schema);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hd_flush_free(flush);
    flush = NULL;
    close_connection();
    return 0;
}

static void a_database_without_sqlite_sequence_is_no_obstacle(void **state) {
    (void)state;
    exec("CREATE TABLE nodes (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES nodes, name "
         "TEXT)");
    new_flush();
    insert_node(flush, hd_null());
    insert_node(flush, hd_null());
    must_flush();
    assert_true(retried);
    assert_false(node.autoincrement);
    assert_string_equal(query("SELECT id FROM nodes"), "1;2");
}

static void keys_of_deleted_rows_are_not_given_again(void **state) {
    (void)state;
    exec("INSERT INTO nodes (id, name) VALUES (9, 'x'); DELETE FROM nodes");
    new_flush();
    insert_node(flush, hd_null());
    insert_node(flush, hd_null());
    must_flush();
    assert_string_equal(query("SELECT id FROM nodes"), "10;11");
}

static void no_key_above_the_largest_integer(void **state) {
    (void)state;
    exec(
        "INSERT INTO books (id, title, author_id) SELECT 9223372036854775807, 'x', 1 FROM authors");
    new_flush();
    insert_author(flush, "a")->set[ID] = int_value(1);
    insert_book(flush, text_value("last"), int_value(1))->set[ID] = hd_int(INT64_MAX, HD_T_BIGINT);
    insert_book(flush, text_value("beyond"), int_value(1));
    must_fail(HD_E_VALIDATION);
    assert_string_equal(query("SELECT count(*) FROM books"), "0");
}

static void U6_a_trigger_that_swallows_an_insert_is_noticed(void **state) {
    (void)state;
    exec("CREATE TRIGGER swallow BEFORE INSERT ON nodes WHEN new.name = 'no' BEGIN SELECT "
         "raise(IGNORE); END");
    new_flush();
    for (int i = 0; i < 150; i++) insert_node(flush, hd_null());
    hd_flush_change(flush, 120)->set[NODE_NAME] = text_value("no");
    node.key_source = HD_KEY_GIVEN;
    for (int i = 0; i < 150; i++) hd_flush_change(flush, (uint32_t)i)->set[ID] = int_value(i + 1);
    must_fail(HD_E_NOT_FOUND);
    assert_ptr_equal(blamed, hd_flush_change(flush, 120));
    assert_string_equal(query("SELECT count(*) FROM nodes"), "0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FLUSH_SUITE(set_up, tear_down),
        PAIRS_SUITE(set_up, tear_down),
        SWITCH_SUITE(set_up, tear_down),
        EXPRESS_SUITE(set_up, tear_down),
        PARK_SUITE(set_up, tear_down),
        SUITE_TEST(a_database_without_sqlite_sequence_is_no_obstacle, open_database, tear_down),
        SUITE_TEST(keys_of_deleted_rows_are_not_given_again, set_up, tear_down),
        SUITE_TEST(no_key_above_the_largest_integer, set_up, tear_down),
        SUITE_TEST(U6_a_trigger_that_swallows_an_insert_is_noticed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
