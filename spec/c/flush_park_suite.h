/* Cycles that order alone does not break, against a real database, for both drivers: rows at spare
 * values, one statement for a ring. */
#ifndef HD_SPEC_FLUSH_PARK_SUITE_H
#define HD_SPEC_FLUSH_PARK_SUITE_H

#include "flush_run.h"

/* spot (id, list, pos, mark, version): UNIQUE (list, pos), UNIQUE (mark) */
enum { SPOT_LIST = 1, SPOT_POS, SPOT_MARK, SPOT_VERSION };
static const uint16_t col3[] = {3};
static hd_column spot_columns[5];
static hd_unique spot_uniques[2];
static hd_entity spot;

static void make_spots(const char *pos, const char *mark, hd_type pos_type, hd_type mark_type) {
    static const hd_column columns[] = {
        KEY_COLUMN(HD_T_INTEGER), COLUMN("list", HD_T_INTEGER, 0), COLUMN("pos", HD_T_INTEGER, 0),
        COLUMN("mark", HD_T_STRING, 0), COLUMN("version", HD_T_INTEGER, HD_COL_VERSION)};
    char sql[512];
    memcpy(spot_columns, columns, sizeof columns);
    spot_columns[SPOT_POS].type = (uint8_t)pos_type;
    spot_columns[SPOT_MARK].type = (uint8_t)mark_type;
    spot = ENTITY(20, spot, "spots");
    spot.version = SPOT_VERSION;
    spot_uniques[0] = (hd_unique){.columns = cols12, .count = 2, .name = "spots_list_pos_key"};
    spot_uniques[1] = (hd_unique){.columns = col3, .count = 1, .name = "spots_mark_key"};
    spot.uniques = spot_uniques;
    spot.unique_count = 2;
    snprintf(sql, sizeof sql,
             "CREATE TABLE spots (id integer PRIMARY KEY, list integer NOT NULL, pos %s NOT NULL,"
             " mark %s, version integer NOT NULL, UNIQUE (list, pos), UNIQUE (mark))",
             pos, mark);
    exec(sql);
}

static hd_change *place(int64_t id, int64_t from, int64_t to) {
    hd_change *c = update_row(flush, &spot, id);
    c->old[SPOT_LIST] = int_value(1);
    c->old[SPOT_POS] = int_value(from);
    c->old[SPOT_VERSION] = int_value(1);
    c->set[SPOT_POS] = int_value(to);
    return c;
}

static void O2_rows_that_rotate_a_value_take_two_statements(void **state) {
    (void)state;
    static const char *const titles[] = {"one", "two", "three"};
    exec("INSERT INTO authors (id, name, version) VALUES (101, 'a', 1)");
    for (int count = 2; count <= 3; count++) {
        exec("DELETE FROM books; INSERT INTO books (id, title, author_id) VALUES (101, 'one', 101),"
             " (102, 'two', 101), (103, 'three', 101)");
        new_flush();
        for (int i = 0; i < count; i++)
            retitle_book(flush, 101 + i, titles[i], titles[(i + 1) % count]);
        must_flush();
        assert_int_equal(statements, 2);
        assert_int_equal(hd_flush_told(flush).parked, count);
        assert_string_equal(query("SELECT title FROM books ORDER BY id"),
                            count == 2 ? "two;one;three" : "two;three;one");
    }
}

static void O3_a_shift_takes_two_statements_whatever_goes_and_comes(void **state) {
    (void)state;
    enum { ROWS = 1000 };
    make_spots("integer", "varchar(9)", HD_T_INTEGER, HD_T_STRING);
    exec(on_postgres()
             ? "INSERT INTO spots SELECT i, 1, i, NULL, 1 FROM generate_series(1, 1000) AS i"
             : "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
               " INSERT INTO spots SELECT i, 1, i, NULL, 1 FROM n");
    new_flush();
    hd_change *last = add_change(flush, HD_INSERT, &spot);
    last->set[ID] = int_value(ROWS + 1);
    last->set[SPOT_LIST] = int_value(1);
    last->set[SPOT_POS] = int_value(ROWS);
    last->set[SPOT_MARK] = hd_null();
    for (int i = ROWS; i >= 2; i--) place(i, i, i - 1);
    hd_change *first = delete_row(flush, &spot, 1);
    first->old[SPOT_LIST] = first->old[SPOT_POS] = first->old[SPOT_VERSION] = int_value(1);
    must_flush();
    assert_int_equal(statements, on_postgres() ? 4 : 3);
    assert_int_equal(hd_flush_told(flush).parked, on_postgres() ? ROWS - 1 : 0);
    assert_string_equal(query("SELECT count(*), sum(CASE WHEN id = pos + 1 THEN 1 ELSE 0 END),"
                              " max(version) FROM spots"),
                        "1000,1000,2");
}

static void O2_short_chains_keep_their_order(void **state) {
    (void)state;
    make_spots("integer", "varchar(9)", HD_T_INTEGER, HD_T_STRING);
    exec("INSERT INTO spots VALUES (1, 1, 1, NULL, 1), (2, 1, 2, NULL, 1)");
    new_flush();
    place(1, 1, 2);
    place(2, 2, 3);
    must_flush();
    assert_int_equal(hd_flush_told(flush).parked, 0);
    assert_int_equal(statements, on_postgres() ? 2 : 1);
}

static void F2_a_parked_row_is_checked_and_counted_once(void **state) {
    (void)state;
    make_spots("smallint", "varchar(9)", HD_T_SMALLINT, HD_T_STRING);
    exec("INSERT INTO spots VALUES (1, 1, -32768, NULL, 1), (2, 1, 2, NULL, 1),"
         " (3, 2, -32768, NULL, 1)");
    new_flush();
    hd_change *a = place(1, -32768, 2);
    hd_change *b = place(2, 2, -32768);
    must_flush();
    assert_int_equal(a->set[SPOT_VERSION].as.i, 2);
    assert_string_equal(query("SELECT pos, version FROM spots ORDER BY id"),
                        "2,2;-32768,2;-32768,1");
    new_flush();
    place(1, 2, -32768)->old[SPOT_VERSION] = int_value(2);
    b = place(2, -32768, 2); /* the version before */
    must_fail(HD_E_OPTIMISTIC_LOCK);
    assert_ptr_equal(blamed, b);
    assert_string_equal(query("SELECT pos, version FROM spots ORDER BY id"),
                        "2,2;-32768,2;-32768,1");
}

static hd_change *mark(int64_t id, hd_value from, hd_value to) {
    hd_change *c = update_row(flush, &spot, id);
    c->old[SPOT_VERSION] = int_value(1);
    c->old[SPOT_MARK] = from;
    c->set[SPOT_MARK] = to;
    return c;
}

static void O2_texts_of_one_character_have_spare_values(void **state) {
    (void)state;
    make_spots("integer", "varchar(1) NOT NULL", HD_T_INTEGER, HD_T_STRING);
    spot_columns[SPOT_MARK].length = 1;
    exec("INSERT INTO spots VALUES (1, 1, 1, 'a', 1), (2, 1, 2, 'b', 1)");
    new_flush();
    mark(1, text_value("a"), text_value("b"));
    mark(2, text_value("b"), text_value("a"));
    must_flush();
    assert_string_equal(query("SELECT mark FROM spots ORDER BY id"), "b;a");
}

static void O2_a_domain_without_spare_value_is_refused_before_any_statement(void **state) {
    (void)state;
    make_spots("integer", "varchar(9) NOT NULL CHECK (mark IN ('a', 'b'))", HD_T_INTEGER,
               HD_T_STRING);
    spot_columns[SPOT_MARK].flags |= HD_COL_CHECKED;
    exec("INSERT INTO spots VALUES (1, 1, 1, 'a', 1), (2, 1, 2, 'b', 1)");
    new_flush();
    mark(1, text_value("a"), text_value("b"));
    mark(2, text_value("b"), text_value("a"));
    if (on_postgres()) {
        must_fail(HD_E_COMMIT_ORDER);
        assert_int_equal(driver->status(conn, false), HD_CONN_IDLE);
        assert_non_null(strstr(err.message, "update of spot#1"));
        assert_non_null(strstr(err.message, "unique spot.mark"));
        assert_non_null(strstr(err.message, "nullable"));
        return;
    }
    must_flush(); /* CHECK constraints are overlooked for a moment */
    assert_string_equal(query("SELECT mark FROM spots ORDER BY id"), "b;a");
    new_flush();
    mark(1, text_value("b"), text_value("c"))->old[SPOT_VERSION] = int_value(2);
    must_fail(HD_E_CHECK_VIOLATION);
    new_flush();
    mark(1, text_value("b"), text_value("a"))->old[SPOT_VERSION] = int_value(7); /* stale */
    mark(2, text_value("a"), text_value("b"))->old[SPOT_VERSION] = int_value(2);
    must_fail(HD_E_OPTIMISTIC_LOCK);
    assert_string_equal(query("PRAGMA ignore_check_constraints"), "0");
}

static hd_change *rekey(hd_entity *entity, int64_t from, int64_t to) {
    hd_change *c = update_row(flush, entity, from);
    c->set[ID] = hd_int(to, (hd_type)entity->columns[ID].type);
    return c;
}

static void O2_primary_keys_swap_under_the_rows_that_refer_to_them(void **state) {
    static hd_column columns[3];
    (void)state;
    memcpy(columns, node_columns, sizeof columns);
    columns[ID].flags |= HD_COL_REFERENCED;
    node.columns = columns;
    exec(on_postgres() ? "ALTER TABLE nodes ALTER CONSTRAINT nodes_parent_id_fkey DEFERRABLE"
                       : "SELECT 1");
    exec("INSERT INTO nodes (id, parent_id, name) VALUES (1, NULL, 'a'), (2, 1, 'b'), (3, 2, 'c')");
    new_flush();
    rekey(&node, 1, 2);
    rekey(&node, 2, 1)->old[NODE_PARENT] = int_value(1);
    must_flush();
    assert_string_equal(query("SELECT id, parent_id, name FROM nodes ORDER BY name"),
                        "2,null,a;1,1,b;3,2,c");
    node.columns = node_columns;
}

/* Everything refers to the old author, and the new one has its name. */
static void O2_a_value_that_goes_round_through_foreign_keys_is_parked(void **state) {
    (void)state;
    static hd_unique name = {.columns = col1, .count = 1, .name = "authors_name_key"};
    author.uniques = &name;
    author.unique_count = 1;
    exec("CREATE UNIQUE INDEX authors_name_key ON authors (name);"
         "INSERT INTO authors (id, name, version) VALUES (101, 'Ada', 1);"
         "INSERT INTO books (id, title, author_id) VALUES (101, 'one', 101), (102, 'two', 101)");
    for (int deferrable = 1; deferrable >= 0; deferrable--) {
        book_fks[0].deferrable = deferrable;
        new_flush();
        hd_change *made = insert_author(flush, "Ada"), *gone = delete_row(flush, &author, 101);
        gone->old[AUTHOR_NAME] = text_value("Ada");
        gone->old[AUTHOR_VERSION] = int_value(1);
        for (int i = 101; i <= 102; i++) {
            hd_change *moved = update_row(flush, &book, i);
            moved->old[BOOK_AUTHOR] = int_value(101);
            moved->set[BOOK_AUTHOR] = key_of(made);
        }
        must_flush();
        assert_int_equal(hd_flush_told(flush).deferred, deferrable);
        assert_int_equal(hd_flush_told(flush).parked, !deferrable);
        assert_string_equal(query("SELECT count(*), count(DISTINCT author_id) FROM books"), "2,1");
        assert_string_equal(query("SELECT name, version FROM authors"), "Ada,1");
        exec("UPDATE books SET note = 'x'; INSERT INTO authors (id, name, version) VALUES"
             " (101, 'Bob', 1); UPDATE books SET author_id = 101; DELETE FROM authors WHERE id <> "
             "101;"
             " UPDATE authors SET name = 'Ada'");
    }
}

/* ---- one statement for a ring ------------------------------------------------------------ */

/* flip (id, flop_id, size by default_sql, version), flop (id, flip_id): NOT NULL, checked at once */
enum { FLIP_FLOP = 1, FLIP_SIZE, FLIP_VERSION };
static hd_column flip_columns[] = {KEY_COLUMN(HD_T_INTEGER), COLUMN("flop_id", HD_T_INTEGER, 0),
                                   COLUMN("size", HD_T_INTEGER, HD_COL_SERVER_DEFAULT),
                                   COLUMN("version", HD_T_INTEGER, HD_COL_VERSION)};
static const hd_column flop_columns[] = {KEY_COLUMN(HD_T_INTEGER),
                                         COLUMN("flip_id", HD_T_INTEGER, 0)};
static hd_foreign_key flip_fks[1], flop_fks[1];
static hd_entity flip, flop;

static void make_ring(void) {
    flip = ENTITY(21, flip, "flips");
    flip.version = FLIP_VERSION;
    flip_columns[FLIP_SIZE].default_sql = "42";
    flop = ENTITY(22, flop, "flops");
    refer(&flip, flip_fks, col1, &flop, false);
    refer(&flop, flop_fks, col1, &flip, false);
    flip_fks[0].deferrable = flop_fks[0].deferrable = !on_postgres();
    flip_fks[0].name = "flips_flop_id_fkey";
    exec(on_postgres() ? "CREATE TABLE flips (id serial PRIMARY KEY, flop_id integer NOT NULL,"
                         " size integer NOT NULL DEFAULT 42, version integer NOT NULL);"
                         "CREATE TABLE flops (id serial PRIMARY KEY, flip_id integer NOT NULL"
                         " REFERENCES flips);"
                         "ALTER TABLE flips ADD FOREIGN KEY (flop_id) REFERENCES flops"
                       : "CREATE TABLE flips (id INTEGER PRIMARY KEY AUTOINCREMENT, flop_id"
                         " INTEGER NOT NULL REFERENCES flops, size INTEGER NOT NULL DEFAULT 42,"
                         " version INTEGER NOT NULL);"
                         "CREATE TABLE flops (id INTEGER PRIMARY KEY AUTOINCREMENT, flip_id INTEGER"
                         " NOT NULL REFERENCES flips)");
}

enum { PAIRS = 200 };

static void delete_ring(const int64_t *flips, const int64_t *flops, int64_t version) {
    new_flush();
    for (int i = 0; i < PAIRS; i++) {
        hd_change *a = delete_row(flush, &flip, flips[i]);
        a->old[FLIP_FLOP] = int_value(flops[i]);
        a->old[FLIP_VERSION] = int_value(i == 7 ? version : 1);
        delete_row(flush, &flop, flops[i])->old[1] = int_value(flips[(i + 1) % PAIRS]);
    }
}

static void O2_a_ring_of_two_tables_is_one_statement(void **state) {
    (void)state;
    static hd_change *a[PAIRS], *b[PAIRS];
    static int64_t flips[PAIRS], flops[PAIRS];
    make_ring();
    new_flush();
    for (int i = 0; i < PAIRS; i++) {
        a[i] = add_change(flush, HD_INSERT, &flip);
        b[i] = add_change(flush, HD_INSERT, &flop);
    }
    for (int i = 0; i < PAIRS; i++) {
        a[i]->set[FLIP_FLOP] = key_of(b[i]);
        b[i]->set[1] = key_of(a[(i + 1) % PAIRS]);
    }
    must_flush();
    assert_int_equal(hd_flush_told(flush).whole, on_postgres());
    if (on_postgres()) assert_int_equal(statements, 2); /* what came is read by the second */
    for (int i = 0; i < PAIRS; i++) {
        flips[i] = a[i]->set[ID].as.i, flops[i] = b[i]->set[ID].as.i;
        assert_int_equal(a[i]->set[FLIP_SIZE].as.i, 42);
        assert_int_equal(a[i]->set[FLIP_FLOP].as.i, flops[i]);
    }
    delete_ring(flips, flops, 2);
    must_fail(HD_E_OPTIMISTIC_LOCK);
    assert_ptr_equal(hd_flush_blamed_entity(flush, &err), &flip);
    assert_ptr_equal(blamed, hd_flush_change(flush, 14));
    delete_ring(flips, flops, 1);
    must_flush();
    if (on_postgres()) assert_int_equal(statements, 1);
    assert_string_equal(query("SELECT (SELECT count(*) FROM flips), (SELECT count(*) FROM flops)"),
                        "0,0");
}

static void F5_a_ring_that_is_not_closed_names_its_key(void **state) {
    (void)state;
    make_ring();
    new_flush();
    hd_change *a = add_change(flush, HD_INSERT, &flip), *b = add_change(flush, HD_INSERT, &flop);
    hd_change *open = add_change(flush, HD_INSERT, &flip);
    a->set[FLIP_FLOP] = key_of(b);
    b->set[1] = key_of(a);
    open->set[FLIP_FLOP] = int_value(777);
    must_fail(HD_E_FOREIGN_KEY_VIOLATION);
    if (!on_postgres()) return;
    assert_string_equal(err.column, "flop_id");
    assert_ptr_equal(hd_flush_blamed_entity(flush, &err), &flip);
}

/* ---- keys that change -------------------------------------------------------------------- */

static void O1_what_refers_to_a_key_turns_away_before_it_changes(void **state) {
    (void)state;
    exec("INSERT INTO nodes (id, parent_id, name) VALUES (1, NULL, 'a'), (2, 1, 'b'), (3, 1, 'c'),"
         " (4, 1, 'd')");
    new_flush();
    rekey(&node, 1, 9);
    hd_change *b = update_row(flush, &node, 2), *c = update_row(flush, &node, 3);
    b->old[NODE_PARENT] = c->old[NODE_PARENT] = int_value(1);
    b->set[NODE_PARENT] = int_value(9); /* follows it */
    c->set[NODE_PARENT] = hd_null();
    delete_row(flush, &node, 4)->old[NODE_PARENT] = int_value(1);
    must_flush();
    assert_string_equal(query("SELECT id, parent_id, name FROM nodes ORDER BY name"),
                        "9,null,a;2,9,b;3,null,c");
}

#define PARK_SUITE(setup, teardown)                                                                \
    SUITE_TEST(O2_rows_that_rotate_a_value_take_two_statements, setup, teardown),                  \
        SUITE_TEST(O3_a_shift_takes_two_statements_whatever_goes_and_comes, setup, teardown),      \
        SUITE_TEST(O2_short_chains_keep_their_order, setup, teardown),                             \
        SUITE_TEST(F2_a_parked_row_is_checked_and_counted_once, setup, teardown),                  \
        SUITE_TEST(O2_texts_of_one_character_have_spare_values, setup, teardown),                  \
        SUITE_TEST(O2_a_domain_without_spare_value_is_refused_before_any_statement, setup,         \
                   teardown),                                                                      \
        SUITE_TEST(O2_primary_keys_swap_under_the_rows_that_refer_to_them, setup, teardown),       \
        SUITE_TEST(O2_a_value_that_goes_round_through_foreign_keys_is_parked, setup, teardown),    \
        SUITE_TEST(O2_a_ring_of_two_tables_is_one_statement, setup, teardown),                     \
        SUITE_TEST(F5_a_ring_that_is_not_closed_names_its_key, setup, teardown),                   \
        SUITE_TEST(O1_what_refers_to_a_key_turns_away_before_it_changes, setup, teardown)

#endif
