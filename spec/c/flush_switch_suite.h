/* Row switch against a real database, for both drivers: a row that is deleted and one that is
 * inserted under its key are one UPDATE. */
#ifndef HD_SPEC_FLUSH_SWITCH_SUITE_H
#define HD_SPEC_FLUSH_SWITCH_SUITE_H

#include "flush_run.h"

static hd_change *delete_author(int64_t id, int64_t version) {
    hd_change *gone = delete_row(flush, &author, id);
    gone->old[AUTHOR_VERSION] = int_value(version);
    return gone;
}

static void a_switched_row_keeps_its_children_and_counts_its_version_on(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (5, 'old', 3);"
         "INSERT INTO books (id, title, author_id) VALUES (1, 'one', 5), (2, 'two', 5)");
    new_flush();
    hd_change *made = insert_author(flush, "new");
    made->set[ID] = int_value(5);
    made->set[AUTHOR_VERSION] =
        int_value(3); /* given, and the old row's: it counts on all the same */
    hd_change *gone = delete_author(5, 3);
    must_flush();
    assert_true(hd_flush_is_bare(flush));
    assert_ptr_equal(made->twin, gone);
    assert_ptr_equal(gone->twin, made);
    assert_int_equal(made->set[AUTHOR_VERSION].as.i, 4);
    assert_int_equal(made->reached + gone->reached, 2);
    assert_string_equal(query("SELECT id, name, version FROM authors"), "5,new,4");
    assert_string_equal(query("SELECT count(*) FROM books WHERE author_id = 5"), "2");
}

static void F2_a_stale_row_is_not_switched(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (5, 'a', 3), (6, 'b', 3), (7, 'c', 3)");
    for (int64_t count = 1; count <= 3; count += 2) {
        hd_change *made[3];
        new_flush();
        for (int64_t i = 0; i < count; i++) {
            made[i] = insert_author(flush, "new");
            made[i]->set[ID] = int_value(5 + i);
            delete_author(5 + i, i == count / 2 ? 2 : 3);
        }
        must_fail(HD_E_OPTIMISTIC_LOCK);
        assert_ptr_equal(blamed, made[count / 2]);
        assert_string_equal(query("SELECT name, version FROM authors ORDER BY id"), "a,3;b,3;c,3");
        hd_flush_replan(flush);
        assert_null(made[0]->twin);
        hd_flush_change(flush, (uint32_t)(count / 2) * 2 + 1)->old[AUTHOR_VERSION] = int_value(3);
        if (count == 3) must_flush();
    }
    assert_string_equal(query("SELECT name, version FROM authors ORDER BY id"),
                        "new,4;new,4;new,4");
}

static void U5_what_the_new_row_leaves_out_takes_its_default_and_comes_back(void **state) {
    (void)state;
    enum { ROWS = 3 };
    char sql[160];
    hd_change *made[ROWS];
    for (int i = 1; i <= ROWS; i++) {
        snprintf(sql, sizeof sql,
                 "INSERT INTO docs (id, body, size) VALUES"
                 " ('00000000-0000-0000-0000-00000000000%d', '[]', 1)",
                 i);
        exec(sql);
    }
    new_flush();
    for (int i = 0; i < ROWS; i++) {
        hd_value key = numbered(flush, "00000000-0000-0000-0000-00000000000", i + 1);
        key.kind = HD_UUID;
        made[i] = add_change(flush, HD_INSERT, &doc);
        made[i]->set[ID] = key;
        if (i == 2) made[i]->set[DOC_SIZE] = int_value(7);
        add_change(flush, HD_DELETE, &doc)->old[ID] = key;
    }
    must_flush();
    assert_int_equal(statements, 2);
    assert_string_equal(query("SELECT body, size, marks FROM docs ORDER BY id"),
                        "null,42,null;null,42,null;null,7,null");
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(made[i]->set[DOC_SIZE].as.i, i == 2 ? 7 : 42);
        assert_int_equal(made[i]->came[DOC_SIZE], i != 2);
        assert_int_equal(made[i]->set[DOC_TWICE].as.i, i == 2 ? 14 : 84);
        assert_int_equal(made[i]->came[ID], 0);
    }
}

static void O1_a_switched_row_frees_its_unique_values_and_takes_new_ones(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (1, 'a', 1);"
         "INSERT INTO books (id, title, author_id, note)"
         " VALUES (101, 'one', 1, 'x'), (102, 'two', 1, 'x'), (103, 'three', 1, 'x')");
    new_flush();
    insert_book(flush, text_value("one"), int_value(1)); /* what the switched one gives up */
    hd_change *made = insert_book(flush, text_value("two"), int_value(1));
    made->set[ID] = hd_int(101, HD_T_BIGINT);
    delete_row(flush, &book, 101)->old[BOOK_TITLE] = text_value("one");
    retitle_book(flush, 103, "three", "four");
    delete_row(flush, &book, 102)->old[BOOK_TITLE] = text_value("two"); /* what it takes */
    must_flush();
    assert_string_equal(query("SELECT title, note FROM books WHERE id = 101"), "two,null");
    assert_string_equal(query("SELECT title FROM books ORDER BY title"), "four;one;two");
}

static void O1_a_switched_row_refers_to_new_rows_and_they_to_it(void **state) {
    (void)state;
    exec("INSERT INTO nodes (id, name) VALUES (100, 'root'), (200, 'other');"
         "INSERT INTO nodes (id, parent_id, name) VALUES (101, 200, 'leaf')");
    new_flush();
    hd_change *made = insert_node(flush, hd_null()), *child = insert_node(flush, int_value(100));
    made->set[ID] = int_value(100);
    made->set[NODE_PARENT] = key_of(child);
    delete_row(flush, &node, 100);
    hd_change *moved = update_row(flush, &node, 101);
    moved->old[NODE_PARENT] = int_value(200);
    moved->set[NODE_PARENT] = key_of(made);
    delete_row(flush, &node, 200);
    must_flush();
    assert_int_equal(moved->set[NODE_PARENT].as.i, 100);
    assert_string_equal(
        query("SELECT count(*) FROM nodes a JOIN nodes b ON b.id = a.parent_id AND a.id ="
              " b.parent_id WHERE a.id = 100 AND a.name = 'n'"),
        "1");
    assert_string_equal(query("SELECT parent_id FROM nodes WHERE id = 101"), "100");
    assert_string_equal(query("SELECT count(*) FROM nodes"), "3");
}

/* A key that is a reference to another row, switched too. */
static void a_key_that_refers_to_a_row_of_the_flush_is_known_when_that_ones_is(void **state) {
    (void)state;
    static hd_foreign_key fk;
    refer(&pair_entity, &fk, col0, &node, false);
    exec("INSERT INTO nodes (id, name) VALUES (5, 'old');"
         "INSERT INTO pairs (a, b, value) VALUES (5, 'x', 2)");
    new_flush();
    hd_change *made = add_change(flush, HD_INSERT, &pair_entity), *owner = NULL;
    made->set[PAIR_B] = text_value("x");
    made->set[PAIR_VALUE] = hd_bytes(HD_DECIMAL, "9.00", 4, HD_T_DECIMAL);
    owner = insert_node(flush, hd_null());
    owner->set[ID] = int_value(5);
    made->set[PAIR_A] = key_of(owner);
    delete_row(flush, &node, 5);
    hd_change *gone = add_change(flush, HD_DELETE, &pair_entity);
    gone->old[PAIR_A] = int_value(5);
    gone->old[PAIR_B] = text_value("x");
    must_flush();
    assert_ptr_equal(made->twin, gone);
    assert_int_equal(statements, 2);
    assert_int_equal(made->set[PAIR_A].as.i, 5);
    assert_int_equal(atoi(query("SELECT value FROM pairs WHERE a = 5 AND b = 'x'")), 9);
    assert_string_equal(query("SELECT name FROM nodes"), "n");
}

static void O1_keys_that_move_on_are_no_switch(void **state) {
    (void)state;
    exec("INSERT INTO nodes (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    new_flush();
    hd_change *made = insert_node(flush, hd_null()), *moved = update_row(flush, &node, 2);
    made->set[ID] = int_value(2);
    moved->set[ID] = int_value(1);
    hd_change *gone = delete_row(flush, &node, 1);
    must_flush();
    assert_null(made->twin);
    assert_null(gone->twin);
    assert_string_equal(query("SELECT id, name FROM nodes ORDER BY id"), "1,b;2,n;3,c");
    new_flush(); /* of two new rows with the key of a deleted one, one is too many */
    for (int i = 0; i < 2; i++) insert_node(flush, hd_null())->set[ID] = int_value(3);
    delete_row(flush, &node, 3);
    must_fail(HD_E_UNIQUE_VIOLATION);
    assert_string_equal(query("SELECT id, name FROM nodes ORDER BY id"), "1,b;2,n;3,c");
}

static void I4_a_row_that_is_all_key_has_to_be_there(void **state) {
    (void)state;
    exec("CREATE TABLE marks (a INTEGER, b TEXT, PRIMARY KEY (a, b)); INSERT INTO marks VALUES (1, "
         "'x'), "
         "(2, 'x')");
    pair_entity.table = "\"marks\"";
    pair_entity.column_count = 2;
    for (int count = 1; count <= 4; count++) {
        new_flush();
        for (int i = 1; i <= count; i++) {
            hd_value key[2] = {int_value(i), text_value("x")};
            memcpy(add_change(flush, HD_INSERT, &pair_entity)->set, key, sizeof key);
            memcpy(add_change(flush, HD_DELETE, &pair_entity)->old, key, sizeof key);
        }
        if (count <= 2) {
            must_flush();
            continue;
        }
        must_fail(HD_E_NOT_FOUND);
        assert_ptr_equal(blamed, hd_flush_change(flush, 4));
    }
    assert_string_equal(query("SELECT a, b FROM marks ORDER BY a"), "1,x;2,x");
}

#define SWITCH_SUITE(setup, teardown)                                                              \
    SUITE_TEST(a_switched_row_keeps_its_children_and_counts_its_version_on, setup, teardown),      \
        SUITE_TEST(F2_a_stale_row_is_not_switched, setup, teardown),                               \
        SUITE_TEST(U5_what_the_new_row_leaves_out_takes_its_default_and_comes_back, setup,         \
                   teardown),                                                                      \
        SUITE_TEST(O1_a_switched_row_frees_its_unique_values_and_takes_new_ones, setup, teardown), \
        SUITE_TEST(O1_a_switched_row_refers_to_new_rows_and_they_to_it, setup, teardown),          \
        SUITE_TEST(a_key_that_refers_to_a_row_of_the_flush_is_known_when_that_ones_is, setup,      \
                   teardown),                                                                      \
        SUITE_TEST(O1_keys_that_move_on_are_no_switch, setup, teardown),                           \
        SUITE_TEST(I4_a_row_that_is_all_key_has_to_be_there, setup, teardown)

#endif
