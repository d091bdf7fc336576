/* Pairs of a many-to-many against a real database, for both drivers. */
#ifndef HD_SPEC_FLUSH_PAIRS_SUITE_H
#define HD_SPEC_FLUSH_PAIRS_SUITE_H

#include "flush_run.h"

static void pairs_that_exist_stay_and_pairs_that_are_gone_are_not_missed(void **state) {
    (void)state;
    enum { PAIRS = 250 };
    char expected[32];
    exec("INSERT INTO pairs (a, b, value) VALUES (7, 'x', 5), (8, 'x', 5)");
    new_flush();
    for (int i = 0; i < PAIRS; i++) pair_row(flush, HD_INSERT, int_value(i), "x");
    pair_row(flush, HD_INSERT, int_value(7), "x");
    must_flush();
    assert_int_equal(statements, on_postgres() ? 1 : 2);
    snprintf(expected, sizeof expected, "%d,2", PAIRS);
    assert_string_equal(query("SELECT count(*), sum(CASE WHEN value = 5 THEN 1 ELSE 0 END) FROM "
                              "pairs"),
                        expected);
    new_flush();
    for (int i = 0; i < PAIRS * 2; i += 2) pair_row(flush, HD_DELETE, int_value(i), "x");
    must_flush();
    assert_int_equal(statements, 1);
    assert_string_equal(query("SELECT count(*) FROM pairs"), "125");
    for (int op = 0; op < 2; op++) { /* one alone, in one statement without a transaction */
        new_flush();
        pair_row(flush, op ? HD_DELETE : HD_INSERT, int_value(op ? 0 : 1), "x");
        must_flush();
        assert_true(hd_flush_is_bare(flush));
        assert_string_equal(query("SELECT count(*) FROM pairs"), "125");
    }
}

static void U6_pairs_do_not_hide_rows_that_are_missed(void **state) {
    (void)state;
    new_flush();
    pair_row(flush, HD_DELETE, int_value(1), "x");
    hd_change *gone = add_change(flush, HD_DELETE, &pair_entity);
    gone->old[PAIR_A] = int_value(2);
    gone->old[PAIR_B] = text_value("x");
    pair_row(flush, HD_INSERT, int_value(1), "x");
    must_fail(HD_E_NOT_FOUND);
    assert_ptr_equal(blamed, gone);
    assert_string_equal(query("SELECT count(*) FROM pairs"), "0");
}

static void F5_a_pair_without_its_row_names_the_column(void **state) {
    (void)state;
    exec("CREATE TABLE taggings (a INTEGER REFERENCES nodes, b TEXT, value TEXT, PRIMARY KEY (a, "
         "b))");
    static hd_foreign_key fk;
    pair_entity.table = "\"taggings\"";
    pair_entity.table_plain = "taggings";
    refer(&pair_entity, &fk, col0, &node, false);
    fk.name = "taggings_a_fkey";
    new_flush();
    hd_change *pair = pair_row(flush, HD_INSERT, int_value(7), "x");
    must_fail(HD_E_FOREIGN_KEY_VIOLATION);
    assert_ptr_equal(blamed, pair);
    assert_ptr_equal(hd_flush_blamed_entity(flush, &err), &pair_entity);
    if (on_postgres()) assert_string_equal(err.column, "a");
}

#define PAIRS_SUITE(setup, teardown)                                                               \
    SUITE_TEST(pairs_that_exist_stay_and_pairs_that_are_gone_are_not_missed, setup, teardown),     \
        SUITE_TEST(U6_pairs_do_not_hide_rows_that_are_missed, setup, teardown),                    \
        SUITE_TEST(F5_a_pair_without_its_row_names_the_column, setup, teardown)

#endif
