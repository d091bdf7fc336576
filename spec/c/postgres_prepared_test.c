/* Prepared statements: what the connection keeps, for how long, and what it does when the server
 * has lost them or cannot run them any more. */
#include "postgres_support.h"

/* How many the server knows. */
#define PREPARED "select count(*) from pg_prepared_statements where name like 'hd\\_%'"

static void texts_are_prepared_once(void **state) {
    (void)state;
    hd_value param = hd_int(1, HD_T_INTEGER);
    pg p;
    open_pg(&p, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        hd_statement s[] = {with_params("select $1 + 1", &param, 1),
                            with_params("select $1 + 1", &param, 1)};
        assert_runs(&p, s, 2);
        assert_rows(&p, "(2)(2)");
        assert_query(&p, PREPARED, "(1)");
    }
    /* Another type of the parameter is another statement. */
    hd_value text = text_value("a", HD_TEXT, HD_T_TEXT);
    hd_statement s[] = {with_params("select $1 + 1", &param, 1), with_params("select $1", &text, 1),
                        with_params("select $1", &param, 1)};
    assert_runs(&p, s, 3);
    assert_rows(&p, "(2)('a')(1)");
    assert_query(&p, PREPARED, "(3)");
    close_pg(&p);
}

static void the_cache_is_bounded(void **state) {
    (void)state;
    pg p;
    open_pg(&p, "statement_cache", "4");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            char sql[32], expected[32];
            snprintf(sql, sizeof sql, "select %d", i);
            snprintf(expected, sizeof expected, "(%d)", i);
            hd_statement s = text_of(sql);
            assert_runs(&p, &s, 1);
            assert_rows(&p, expected);
        }
    }
    /* Evicted names are closed with a later batch. */
    hd_statement s = text_of("select 19");
    assert_runs(&p, &s, 1);
    assert_query(&p, PREPARED, "(4)");
    close_pg(&p);
}

static void a_batch_may_be_larger_than_the_cache(void **state) {
    (void)state;
    enum { N = 30 };
    static char sql[N][32];
    hd_statement s[N];
    pg p;
    open_pg(&p, "statement_cache", "4");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            snprintf(sql[i], sizeof sql[i], "select %d", i);
            s[i] = text_of(sql[i]);
        }
        assert_runs(&p, s, N);
        assert_memory_equal(rows_of(&p), "(0)(1)(2)(3)(4)(5)", 18);
    }
    hd_statement begin = plain("begin"), commit = plain("commit");
    assert_runs(&p, &begin, 1);
    for (int i = 0; i < N; i++) { /* nothing can be closed in here */
        snprintf(sql[i], sizeof sql[i], "select %d + 0", i);
        s[i] = text_of(sql[i]);
        assert_runs(&p, s + i, 1);
    }
    assert_runs(&p, &commit, 1);
    assert_runs(&p, s, 1);
    assert_runs(&p, s, 1);
    assert_query(&p, "select count(*) <= 5 from pg_prepared_statements", "(true)");
    close_pg(&p);
}

static void nothing_is_prepared_when_told_so(void **state) {
    (void)state;
    const char *const options[][2] = {{"statement_cache", "0"}, {"prepare", "off"}};
    for (int i = 0; i < 2; i++) {
        pg p;
        hd_value param = hd_int(1, HD_T_INTEGER);
        hd_statement s = with_params("select $1", &param, 1);
        open_pg(&p, options[i][0], options[i][1]);
        assert_runs(&p, &s, 1);
        assert_runs(&p, &s, 1);
        assert_query(&p, PREPARED, "(0)");
        close_pg(&p);
    }
}

/* What stood behind an error was never parsed; what stood before it was. */
static void failed_batches_leave_the_cache_true(void **state) {
    (void)state;
    pg p;
    open_pg(&p, NULL, NULL);
    hd_statement s[] = {text_of("select 1"), text_of("select 1 / 0"), text_of("select 3")};
    assert_fails(&p, s, 3, HD_E_VALIDATION);
    assert_query(&p, PREPARED, "(2)");
    assert_fails(&p, s, 3, HD_E_VALIDATION);
    assert_runs(&p, s + 2, 1);
    assert_runs(&p, s, 1);
    assert_query(&p, PREPARED, "(3)");
    hd_statement wrong[] = {text_of("select nothing"), text_of("select 5")};
    assert_fails(&p, wrong, 2, HD_E_SYNTAX);
    assert_fails(&p, wrong, 2, HD_E_SYNTAX);
    assert_runs(&p, wrong + 1, 1);
    assert_query(&p, PREPARED, "(4)");
    close_pg(&p);
}

static void statements_that_the_user_dropped_are_forgotten(void **state) {
    (void)state;
    const char *const texts[] = {"deallocate all", "discard all"};
    for (int i = 0; i < 4; i++) {
        pg p;
        open_pg(&p, NULL, NULL);
        hd_statement s = text_of("select 1"), drop = plain(texts[i % 2]), begin = plain("begin");
        drop.simple = i >= 2;
        assert_runs(&p, &s, 1);
        assert_runs(&p, &drop, 1);
        assert_runs(&p, &begin, 1);
        assert_runs(&p, &s, 1);
        assert_rows(&p, "(1)");
        close_pg(&p);
    }
}

static void a_name_that_is_gone_is_prepared_again(void **state) {
    (void)state;
    pg p;
    open_pg(&p, NULL, NULL);
    hd_statement s = text_of("select 1"), begin = plain("begin");
    const char *const behind_our_back = "do $$ begin execute 'deallocate all'; end $$";
    assert_runs(&p, &s, 1);
    execute(&p, behind_our_back);
    assert_runs(&p, &s, 1);
    assert_rows(&p, "(1)");
    assert_query(&p, PREPARED, "(1)");
    execute(&p, behind_our_back);
    assert_runs(&p, &begin, 1);
    assert_fails(&p, &s, 1, HD_E_DRIVER);
    assert_string_equal(p.err.sqlstate, "26000");
    assert_int_equal(status_of(&p, true), HD_CONN_FAILED);
    hd_statement rollback[] = {plain("rollback"), text_of("select 1")};
    assert_runs(&p, rollback, 2);
    close_pg(&p);
}

static void an_altered_table_is_prepared_again(void **state) {
    (void)state;
    pg p, other;
    open_pg(&p, NULL, NULL);
    open_pg(&other, NULL, NULL);
    execute(&other,
            "drop table if exists prepared_altered; create table prepared_altered (a int4); "
            "insert into prepared_altered values (7)");
    hd_statement s = text_of("select * from prepared_altered"), spare = text_of("select 1");
    assert_runs(&p, &s, 1);
    assert_runs(&p, &spare, 1);
    execute(&other, "alter table prepared_altered alter a type text");
    assert_runs(&p, &s, 1);
    assert_rows(&p, "('7')");
    assert_int_equal(s.affected, 1);
    /* In a transaction it fails once, and works in the next. */
    execute(&other, "alter table prepared_altered add b int4");
    hd_statement begin = plain("begin"), rollback = plain("rollback");
    assert_runs(&p, &begin, 1);
    assert_fails(&p, &s, 1, HD_E_DRIVER);
    assert_string_equal(p.err.sqlstate, "0A000");
    assert_non_null(strstr(p.err.message, "run the transaction again"));
    assert_runs(&p, &rollback, 1);
    hd_statement again[] = {plain("begin"), s, plain("commit")};
    assert_runs(&p, again, 3);
    assert_rows(&p, "('7', null)");
    assert_query(&p, PREPARED, "(1)");
    /* A batch of several is run again when nothing of it has run yet. */
    execute(&other, "alter table prepared_altered drop b");
    hd_statement first[] = {s, spare};
    assert_runs(&p, first, 2);
    assert_rows(&p, "('7')(1)");
    assert_int_equal(first[0].affected, 1);
    execute(&other, "alter table prepared_altered add b int4");
    hd_statement both[] = {spare, s};
    assert_fails(&p, both, 2, HD_E_DRIVER);
    assert_int_equal(p.err.statement, 1);
    assert_runs(&p, both, 2);
    execute(&other, "drop table prepared_altered");
    close_pg(&p);
    close_pg(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_prepared_once),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(a_batch_may_be_larger_than_the_cache),
        cmocka_unit_test(nothing_is_prepared_when_told_so),
        cmocka_unit_test(failed_batches_leave_the_cache_true),
        cmocka_unit_test(statements_that_the_user_dropped_are_forgotten),
        cmocka_unit_test(a_name_that_is_gone_is_prepared_again),
        cmocka_unit_test(an_altered_table_is_prepared_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
