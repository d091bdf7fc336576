/* The flush against a real database, for both drivers: sqlite_flush_test.c and
 * postgres_flush_test.c open the connection, make the tables and run these. */
#ifndef HD_SPEC_FLUSH_SUITE_H
#define HD_SPEC_FLUSH_SUITE_H

#include "flush_run.h"

/* ---- inserts ----------------------------------------------------------------------------- */

static void one_row_runs_bare_and_learns_its_key(void **state) {
    (void)state;
    new_flush();
    hd_change *a = insert_author(flush, "Ada");
    must_flush();
    assert_true(hd_flush_is_bare(flush));
    assert_int_equal(key_batches, 0);
    assert_int_equal(statements, 1);
    assert_int_equal(a->set[ID].as.i, 1);
    assert_int_equal(a->came[ID], 1);
    assert_int_equal(a->set[AUTHOR_VERSION].as.i, 1);
    assert_int_equal(a->reached, 1);
    assert_string_equal(query("SELECT id, name, version FROM authors"), "1,Ada,1");
}

static void O3_O4_rows_that_refer_to_new_rows_take_a_handful_of_statements(void **state) {
    (void)state;
    enum { ROWS = 1000 };
    hd_change *authors[ROWS];
    new_flush();
    for (int i = 0; i < ROWS; i++) {
        hd_change *b = insert_book(flush, numbered(flush, "t", i), hd_null());
        authors[i] = insert_author(flush, "x");
        b->set[BOOK_AUTHOR] = key_of(authors[i]);
        authors[i]->set[AUTHOR_NAME] = numbered(flush, "a", i);
    }
    must_flush();
    assert_int_equal(key_batches, 1);
    assert_int_equal(bodies, 1);
    assert_int_equal(statements, 2);
    assert_string_equal(query("SELECT count(*) FROM books b JOIN authors a ON a.id = b.author_id"
                              " WHERE substr(b.title, 2) = substr(a.name, 2)"),
                        "1000");
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(authors[i]->set[ID].as.i, authors[0]->set[ID].as.i + i);
    hd_change *b = hd_flush_change(flush, 0);
    assert_int_equal(b->set[BOOK_AUTHOR].kind, HD_INT);
    assert_int_equal(b->set[BOOK_AUTHOR].as.i, authors[0]->set[ID].as.i);
}

static void U5_defaults_generated_values_and_keys_come_back_into_their_rows(void **state) {
    (void)state;
    enum { ROWS = 250 };
    hd_value items[2] = {int_value(1), int_value(2)};
    hd_list marks = {HD_T_INTEGER, 2, items};
    hd_change *docs[ROWS];
    char sql[128];
    new_flush();
    for (int i = 0; i < ROWS; i++) {
        docs[i] = add_change(flush, HD_INSERT, &doc);
        hd_value body = numbered(flush, "", i);
        docs[i]->set[DOC_BODY] = hd_bytes(HD_JSON, body.as.p, body.len, HD_T_JSON);
        if (i % 2) docs[i]->set[DOC_SIZE] = int_value(i);
        if (i % 3 == 0)
            docs[i]->set[DOC_MARKS] =
                (hd_value){.kind = HD_LIST, .type = HD_T_ARRAY, .as.list = &marks};
    }
    must_flush();
    assert_true(statements <= 8);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(docs[i]->set[ID].kind, HD_UUID);
        assert_int_equal(docs[i]->set[DOC_SIZE].as.i, i % 2 ? i : 42);
        assert_int_equal(docs[i]->set[DOC_TWICE].as.i, i % 2 ? 2 * i : 84);
        snprintf(sql, sizeof sql, "SELECT body FROM docs WHERE id = '%.36s'",
                 docs[i]->set[ID].as.p);
        assert_int_equal(atoi(query(sql)), i);
    }
}

static void resize_docs(const int *numbers, int count) {
    new_flush();
    for (int i = 0; i < count; i++) {
        hd_change *u = add_change(flush, HD_UPDATE, &doc);
        u->old[ID] = numbered(flush, "00000000-0000-0000-0000-00000000000", numbers[i]);
        u->old[ID].kind = HD_UUID;
        u->set[DOC_SIZE] = int_value(100 * numbers[i]);
    }
}

static void U5_generated_values_come_back_from_updates(void **state) {
    (void)state;
    exec("INSERT INTO docs (id, size) VALUES ('00000000-0000-0000-0000-000000000001', 1),"
         " ('00000000-0000-0000-0000-000000000002', 2)");
    static const int present[] = {2, 1}, one_missing[] = {2, 3, 1};
    resize_docs(present, 2);
    must_flush();
    assert_int_equal(statements, 1);
    assert_int_equal(hd_flush_change(flush, 0)->set[DOC_TWICE].as.i, 400);
    assert_int_equal(hd_flush_change(flush, 1)->set[DOC_TWICE].as.i, 200);
    resize_docs(one_missing, 3);
    must_fail(HD_E_NOT_FOUND);
    assert_ptr_equal(blamed, hd_flush_change(flush, 1));
}

static void given_keys_and_generated_ones_do_not_meet(void **state) {
    (void)state;
    new_flush();
    insert_author(flush, "given")->set[ID] = int_value(7);
    hd_change *a = insert_author(flush, "generated");
    must_flush();
    assert_int_equal(a->set[ID].as.i, on_postgres() ? 1 : 8);
    assert_string_equal(query("SELECT count(*) FROM authors"), "2");
}

static void composite_keys_are_matched_whole(void **state) {
    (void)state;
    new_flush();
    for (int i = 0; i < 4; i++) {
        hd_change *p = add_change(flush, HD_INSERT, &pair_entity);
        p->set[PAIR_A] = int_value(i / 2);
        p->set[PAIR_B] = text_value(i % 2 ? "x" : "y");
        p->set[PAIR_VALUE] = hd_bytes(HD_DECIMAL, "1.50", 4, HD_T_DECIMAL);
    }
    must_flush();
    new_flush();
    for (int i = 0; i < 3; i++) {
        hd_change *p = add_change(flush, i ? HD_UPDATE : HD_DELETE, &pair_entity);
        p->old[PAIR_A] = int_value(i / 2);
        p->old[PAIR_B] = text_value(i % 2 ? "x" : "y");
        if (i) p->set[PAIR_VALUE] = hd_bytes(HD_DECIMAL, "2.25", 4, HD_T_DECIMAL);
    }
    must_flush();
    assert_string_equal(query("SELECT a, b, value FROM pairs ORDER BY a, b"),
                        "0,x,2.25;1,x,1.50;1,y,2.25");
}

/* ---- order ------------------------------------------------------------------------------- */

/* A tree whose rows come in an order that has nothing to do with it. */
static void fill_tree(int count, hd_change **made) {
    for (int i = 0; i < count; i++) made[i] = insert_node(flush, hd_null());
    for (int i = 1; i < count; i++) {
        int at = (int)((i * 7919LL) % count), parent = (int)(((i / 2) * 7919LL) % count);
        if (at != parent) made[at]->set[NODE_PARENT] = key_of(made[parent]);
    }
}

static void O3_a_tree_of_any_size_is_inserted_and_deleted_in_bulk(void **state) {
    (void)state;
    enum { ROWS = 2500 };
    static hd_change *made[ROWS];
    static int64_t ids[ROWS], parents[ROWS];
    new_flush();
    fill_tree(ROWS, made);
    must_flush();
    assert_int_equal(statements, on_postgres() ? 3 : 1);
    assert_string_equal(query("SELECT count(*) FROM nodes WHERE parent_id IS NULL"), "1");
    for (int i = 0; i < ROWS; i++) {
        ids[i] = made[i]->set[ID].as.i;
        parents[i] = made[i]->set[NODE_PARENT].kind == HD_INT ? made[i]->set[NODE_PARENT].as.i : 0;
    }
    new_flush();
    for (int i = 0; i < ROWS; i++) {
        hd_change *d = delete_row(flush, &node, ids[i]);
        if (parents[i]) d->old[NODE_PARENT] = int_value(parents[i]);
    }
    must_flush();
    assert_int_equal(statements, on_postgres() ? 3 : 1);
    assert_string_equal(query("SELECT count(*) FROM nodes"), "0");
}

static void O1_unique_values_are_freed_before_they_are_taken(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (101, 'a', 1);"
         "INSERT INTO books (id, title, author_id) VALUES (101, 'one', 101), (102, 'two', 101), "
         "(103, 'three', 101)");
    new_flush();
    insert_book(flush, text_value("three"), int_value(101)); /* of the deleted one */
    retitle_book(flush, 101, "one", "two");                  /* of the one below */
    retitle_book(flush, 102, "two", "four");
    delete_row(flush, &book, 103)->old[BOOK_TITLE] = text_value("three");
    must_flush();
    assert_string_equal(query("SELECT title FROM books ORDER BY title"), "four;three;two");
}

static void O1_a_row_leaves_its_parent_before_the_parent_goes(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (101, 'a', 1), (102, 'b', 1);"
         "INSERT INTO books (id, title, author_id) VALUES (101, 'one', 101), (102, 'two', 101)");
    new_flush();
    hd_change *d = delete_row(flush, &author, 101);
    d->old[AUTHOR_VERSION] = int_value(1);
    hd_change *u = update_row(flush, &book, 101), *a = insert_author(flush, "new");
    u->old[BOOK_AUTHOR] = int_value(101);
    u->set[BOOK_AUTHOR] = key_of(a);
    delete_row(flush, &book, 102)->old[BOOK_AUTHOR] = int_value(101);
    must_flush();
    assert_string_equal(
        query("SELECT a.name, b.title FROM books b JOIN authors a ON a.id = b.author_id"),
        "new,one");
}

static void O2_a_cycle_with_a_nullable_link_is_written_in_two_steps(void **state) {
    (void)state;
    enum { TEAMS = 30 };
    hd_change *teams[TEAMS];
    new_flush();
    for (int i = 0; i < TEAMS; i++) {
        teams[i] = add_change(flush, HD_INSERT, &team);
        hd_change *p = add_change(flush, HD_INSERT, &person);
        p->set[1] = key_of(teams[i]);
        teams[i]->set[1] = key_of(p);
    }
    must_flush();
    assert_int_equal(statements, 3);
    assert_string_equal(
        query(
            "SELECT count(*) FROM teams t JOIN people p ON p.id = t.lead_id AND p.team_id = t.id"),
        "30");
    assert_int_equal(teams[3]->set[1].kind, HD_INT);
}

static void O2_a_cycle_without_one_is_deferred(void **state) {
    (void)state;
    new_flush();
    hd_change *a = add_change(flush, HD_INSERT, &yin), *b = add_change(flush, HD_INSERT, &yang);
    a->set[1] = key_of(b);
    b->set[1] = key_of(a);
    must_flush();
    assert_string_equal(
        query("SELECT count(*) FROM yins a JOIN yangs b ON a.yang_id = b.id AND b.yin_id = a.id"),
        "1");
    int64_t yin_id = a->set[ID].as.i, yang_id = b->set[ID].as.i;
    new_flush();
    delete_row(flush, &yin, yin_id)->old[1] = int_value(yang_id);
    delete_row(flush, &yang, yang_id)->old[1] = int_value(yin_id);
    must_flush();
    assert_string_equal(query("SELECT count(*) FROM yins"), "0");
}

static void O2_a_ring_within_one_table_is_one_statement(void **state) {
    (void)state;
    enum { ROWS = 150 };
    hd_change *made[ROWS];
    int64_t first;
    new_flush();
    for (int i = 0; i < ROWS; i++) made[i] = add_change(flush, HD_INSERT, &ring);
    for (int i = 0; i < ROWS; i++) made[i]->set[1] = key_of(made[(i + 1) % ROWS]);
    must_flush();
    assert_int_equal(statements, 1);
    first = made[0]->set[ID].as.i;
    new_flush();
    for (int i = 0; i < ROWS; i++)
        delete_row(flush, &ring, first + i)->old[1] = int_value(first + (i + 1) % ROWS);
    must_flush();
    assert_int_equal(statements, 1);
    assert_string_equal(query("SELECT count(*) FROM rings"), "0");
    new_flush();
    hd_change *self = add_change(flush, HD_INSERT, &ring);
    self->set[1] = key_of(self);
    must_flush();
    assert_string_equal(query("SELECT count(*) FROM rings WHERE id = next_id"), "1");
}

/* ---- counts ------------------------------------------------------------------------------ */

static void F2_a_stale_row_in_a_batch_is_named_and_nothing_is_committed(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (101, 'a', 1), (102, 'b', 5), (103, 'c', "
         "1)");
    new_flush();
    insert_author(flush, "new");
    rename_author(flush, 101, 1, "A");
    hd_change *stale = rename_author(flush, 102, 4, "B");
    rename_author(flush, 103, 1, "C");
    must_fail(HD_E_OPTIMISTIC_LOCK);
    assert_ptr_equal(blamed, stale);
    assert_string_equal(query("SELECT name FROM authors ORDER BY id"), "a;b;c");
    hd_flush_replan(flush);
    stale->old[AUTHOR_VERSION] = int_value(5);
    must_flush();
    assert_string_equal(
        query("SELECT name, version FROM authors WHERE version > 0 AND name <> 'new' ORDER BY id"),
        "A,2;B,6;C,2");
    assert_int_equal(stale->set[AUTHOR_VERSION].as.i, 6);
}

static void F2_a_single_stale_row_is_named_too(void **state) {
    (void)state;
    new_flush();
    hd_change *stale = rename_author(flush, 1, 1, "x");
    must_fail(HD_E_OPTIMISTIC_LOCK);
    assert_ptr_equal(blamed, stale);
    new_flush();
    stale = delete_row(flush, &author, 1);
    stale->old[AUTHOR_VERSION] = int_value(1);
    must_fail(HD_E_OPTIMISTIC_LOCK);
    assert_ptr_equal(blamed, stale);
}

static void I4_a_missing_row_is_not_found(void **state) {
    (void)state;
    exec("INSERT INTO nodes (id, name) VALUES (101, 'a')");
    for (int op = HD_DELETE; op <= HD_UPDATE; op++) {
        new_flush();
        insert_node(flush, hd_null());
        for (int i = 101; i <= 103; i++) {
            hd_change *c =
                op == HD_DELETE ? delete_row(flush, &node, i) : update_row(flush, &node, i);
            if (op == HD_UPDATE) c->set[NODE_NAME] = text_value("z");
        }
        must_fail(HD_E_NOT_FOUND);
        assert_ptr_equal(blamed, hd_flush_change(flush, 2));
        assert_ptr_equal(hd_flush_blamed_entity(flush, &err), &node);
        assert_string_equal(query("SELECT id, name FROM nodes"), "101,a");
    }
    node.check_rows = false;
    new_flush();
    update_row(flush, &node, 102)->set[NODE_NAME] = text_value("z");
    update_row(flush, &node, 101)->set[NODE_NAME] = text_value("z");
    delete_row(flush, &node, 103);
    must_flush();
    assert_string_equal(query("SELECT id, name FROM nodes"), "101,z");
}

static void F5_a_violated_constraint_names_its_column(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (101, 'a', 1);"
         "INSERT INTO books (id, title, author_id) VALUES (101, 'one', 101)");
    new_flush();
    insert_book(flush, text_value("one"), int_value(101));
    must_fail(HD_E_UNIQUE_VIOLATION);
    assert_ptr_equal(blamed, hd_flush_change(flush, 0));
    assert_string_equal(err.column, "title");
    new_flush();
    insert_author(flush, "b");
    insert_book(flush, text_value("two"), int_value(77));
    must_fail(HD_E_FOREIGN_KEY_VIOLATION);
    assert_ptr_equal(hd_flush_blamed_entity(flush, &err), &book);
    if (on_postgres()) assert_string_equal(err.column, "author_id");
}

static void I6_a_cascade_that_took_a_row_is_no_missing_row(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (1, 'a', 1);"
         "INSERT INTO books (id, title, author_id) VALUES (1, 'one', 1), (2, 'two', 1)");
    book_fks[0].on_delete = HD_RULE_CASCADE;
    new_flush();
    delete_row(flush, &author, 1)->old[AUTHOR_VERSION] = int_value(1);
    delete_row(flush, &book, 1)->old[BOOK_AUTHOR] = int_value(1);
    delete_row(flush, &book, 2)->old[BOOK_AUTHOR] = int_value(1);
    must_flush();
    assert_string_equal(query("SELECT count(*) FROM books"), "0");
}

static void I6_a_cascade_within_a_ring_takes_rows_that_are_not_missed(void **state) {
    (void)state;
    exec("DROP TABLE rings; CREATE TABLE rings (id INTEGER PRIMARY KEY,"
         " next_id INTEGER NOT NULL REFERENCES rings ON DELETE CASCADE);"
         "INSERT INTO rings (id, next_id) VALUES (1, 2), (2, 3), (3, 1)");
    ring_fks[0].on_delete = HD_RULE_CASCADE;
    new_flush();
    for (int i = 0; i < 3; i++)
        delete_row(flush, &ring, i + 1)->old[1] = int_value((i + 1) % 3 + 1);
    must_flush();
    assert_string_equal(query("SELECT count(*) FROM rings"), "0");
}

/* ---- sizes ------------------------------------------------------------------------------- */

static void every_number_of_rows_is_written(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 99, 100, 101, 199, 200, 999, 1000, 1001};
    for (uint32_t s = 0; s < COUNT_OF(sizes); s++) {
        char expected[32];
        exec("DELETE FROM docs; DELETE FROM nodes");
        new_flush();
        for (int i = 0; i < sizes[s]; i++) {
            insert_node(flush, hd_null());
            add_change(flush, HD_INSERT, &doc)->set[DOC_BODY] =
                hd_bytes(HD_JSON, "{}", 2, HD_T_JSON);
        }
        must_flush();
        snprintf(expected, sizeof expected, "%d,%d", sizes[s], sizes[s]);
        assert_string_equal(
            query("SELECT (SELECT count(*) FROM docs), (SELECT count(*) FROM nodes)"), expected);
        for (uint32_t i = 1; i < hd_flush_count(flush); i += 2) {
            assert_int_equal(hd_flush_change(flush, i)->set[DOC_TWICE].as.i, 84);
        }
    }
}

#define FLUSH_SUITE(setup, teardown)                                                               \
    SUITE_TEST(one_row_runs_bare_and_learns_its_key, setup, teardown),                             \
        SUITE_TEST(O3_O4_rows_that_refer_to_new_rows_take_a_handful_of_statements, setup,          \
                   teardown),                                                                      \
        SUITE_TEST(U5_defaults_generated_values_and_keys_come_back_into_their_rows, setup,         \
                   teardown),                                                                      \
        SUITE_TEST(U5_generated_values_come_back_from_updates, setup, teardown),                   \
        SUITE_TEST(given_keys_and_generated_ones_do_not_meet, setup, teardown),                    \
        SUITE_TEST(composite_keys_are_matched_whole, setup, teardown),                             \
        SUITE_TEST(O3_a_tree_of_any_size_is_inserted_and_deleted_in_bulk, setup, teardown),        \
        SUITE_TEST(O1_unique_values_are_freed_before_they_are_taken, setup, teardown),             \
        SUITE_TEST(O1_a_row_leaves_its_parent_before_the_parent_goes, setup, teardown),            \
        SUITE_TEST(O2_a_cycle_with_a_nullable_link_is_written_in_two_steps, setup, teardown),      \
        SUITE_TEST(O2_a_cycle_without_one_is_deferred, setup, teardown),                           \
        SUITE_TEST(O2_a_ring_within_one_table_is_one_statement, setup, teardown),                  \
        SUITE_TEST(F2_a_stale_row_in_a_batch_is_named_and_nothing_is_committed, setup, teardown),  \
        SUITE_TEST(F2_a_single_stale_row_is_named_too, setup, teardown),                           \
        SUITE_TEST(I4_a_missing_row_is_not_found, setup, teardown),                                \
        SUITE_TEST(F5_a_violated_constraint_names_its_column, setup, teardown),                    \
        SUITE_TEST(I6_a_cascade_that_took_a_row_is_no_missing_row, setup, teardown),               \
        SUITE_TEST(I6_a_cascade_within_a_ring_takes_rows_that_are_not_missed, setup, teardown),    \
        SUITE_TEST(every_number_of_rows_is_written, setup, teardown)
#define SUITE_TEST(name, setup, teardown) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
