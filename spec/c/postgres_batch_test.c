/* Batches: order, counts, rows, pipelines larger than any buffer, failures at every place. */
#include "postgres_support.h"

static pg db, other;

static int open_db(void **state) {
    (void)state;
    open_pg(&db, "statement_cache", "8");
    open_pg(&other, NULL, NULL);
    execute(&other, "drop table if exists batch_rows; create table batch_rows "
                    "(id int8 primary key, name text, n int4 check (n < 1000))");
    return 0;
}

static int close_db(void **state) {
    (void)state;
    execute(&other, "drop table batch_rows");
    close_pg(&db);
    close_pg(&other);
    return 0;
}

static int empty_table(void **state) {
    (void)state;
    execute(&other, "truncate batch_rows");
    return 0;
}

#define INSERT "insert into batch_rows values ($1, $2, $3)"

static void set_row(hd_value *row, int64_t id, const char *name, int64_t n) {
    row[0] = hd_int(id, HD_T_BIGINT);
    row[1] = text_value(name, HD_TEXT, HD_T_TEXT);
    row[2] = hd_int(n, HD_T_INTEGER);
}

/* ---- What runs ---- */

static void a_batch_runs_in_order(void **state) {
    (void)state;
    hd_value rows[6];
    set_row(rows, 1, "a", 10);
    set_row(rows + 3, 2, "b", 20);
    hd_statement s[] = {plain("begin"),
                        with_params(INSERT, rows, 3),
                        text_of("update batch_rows set n = n + 1 returning id, n"),
                        text_of("select name from batch_rows where id > 5"),
                        text_of("delete from batch_rows where id = 1"),
                        plain("commit")};
    s[1].repeat = 2;
    assert_runs(&db, s, COUNT(s));
    assert_rows(&db, "(1, 11)(2, 21)");
    const int64_t affected[] = {0, 2, 2, 0, 1, 0};
    for (size_t i = 0; i < COUNT(s); i++) {
        assert_int_equal(s[i].affected, affected[i]);
        assert_true(s[i].sent);
        assert_true(s[i].elapsed >= 0);
    }
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
    assert_query(&other, "select * from batch_rows", "(2, 'b', 21)");
}

static void nothing_is_a_batch_too(void **state) {
    (void)state;
    hd_statement empty = text_of("");
    assert_runs(&db, NULL, 0);
    assert_runs(&db, &empty, 1);
    assert_int_equal(empty.affected, 0);
}

static uint32_t executions[8];

static void note_row(pg *p, const hd_row *row) {
    write_row(&p->rows, row);
    executions[row->values[0].as.i] = row->statement * 10 + row->execution;
}

static void rows_say_where_they_come_from(void **state) {
    (void)state;
    hd_value params[] = {hd_int(1, HD_T_INTEGER), hd_int(2, HD_T_INTEGER), hd_int(3, HD_T_INTEGER)};
    hd_statement s[] = {text_of("select 0"), with_params("select $1", params, 1)};
    s[1].repeat = 3;
    db.on_row = note_row;
    assert_runs(&db, s, 2);
    db.on_row = NULL;
    assert_rows(&db, "(0)(1)(2)(3)");
    const uint32_t expected[] = {0, 10, 11, 12};
    assert_memory_equal(executions, expected, sizeof expected);
}

static void a_transaction_may_stay_open(void **state) {
    (void)state;
    hd_statement begin = plain("begin"), rollback = plain("rollback");
    assert_runs(&db, &begin, 1);
    assert_int_equal(status_of(&db, true), HD_CONN_TRANSACTION);
    hd_statement bad = plain("select 1 / 0");
    assert_fails(&db, &bad, 1, HD_E_VALIDATION);
    assert_int_equal(status_of(&db, true), HD_CONN_FAILED);
    hd_statement more = text_of("select 1");
    assert_fails(&db, &more, 1, HD_E_DRIVER);
    assert_string_equal(db.err.sqlstate, "25P02");
    assert_runs(&db, &rollback, 1);
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
    assert_runs(&db, &more, 1);
}

static void scripts_run_between_pipelines(void **state) {
    (void)state;
    hd_value row[3];
    set_row(row, 1, "it's", 1);
    hd_statement s[] = {
        with_params(INSERT, row, 3),
        plain("update batch_rows set n = 2; select n from batch_rows; select 'x', 3"),
        plain("select count(*) from batch_rows"), plain("select 4; select 5")};
    s[1].simple = s[3].simple = true;
    assert_runs(&db, s, COUNT(s));
    assert_rows(&db, "(2)('x', 3)(1)(4)(5)");
    assert_int_equal(s[1].affected, 3);
    hd_statement bad[] = {plain("select 1"), plain("select 2; select 1 / 0; select 3"),
                          plain("select 4")};
    bad[1].simple = true;
    assert_fails(&db, bad, COUNT(bad), HD_E_VALIDATION);
    assert_int_equal(db.err.statement, 1);
    assert_true(bad[1].sent);
    assert_false(bad[2].sent);
    assert_query(&db, "select 6", "(6)");
    hd_statement vacuum = plain("vacuum batch_rows");
    assert_runs(&db, &vacuum, 1);
}

static void copy_is_refused(void **state) {
    (void)state;
    for (int simple = 0; simple < 2; simple++) {
        pg p;
        open_pg(&p, NULL, NULL);
        hd_statement s[] = {plain("select 1"), plain("copy batch_rows from stdin"),
                            plain("select 2")};
        s[1].simple = simple;
        assert_fails(&p, s, 3, HD_E_UNSUPPORTED);
        assert_int_equal(p.err.statement, 1);
        assert_int_equal(status_of(&p, false), HD_CONN_CLOSED);
        close_pg(&p);
    }
}

/* ---- Large ---- */

static void two_thousand_large_statements_pass(void **state) {
    (void)state;
    enum { N = 2000, SIZE = 20000 };
    static hd_statement s[N];
    static hd_value params[N][3];
    static char text[SIZE + 1];
    memset(text, 'x', SIZE);
    for (int i = 0; i < N; i++) {
        set_row(params[i], i, text, 1);
        s[i] = with_params(INSERT " returning id, name", params[i], 3);
    }
    assert_runs(&db, s, N);
    assert_true(db.rows.len > (size_t)N * SIZE);
    assert_int_equal(s[N - 1].affected, 1);
    assert_query(&other, "select count(*), sum(length(name)) from batch_rows", "(2000, 40000000)");
    hd_buffer_free(&db.rows);
}

static void a_statement_may_be_larger_than_the_socket(void **state) {
    (void)state;
    enum { SIZE = 30000000 };
    char *text = malloc(SIZE);
    memset(text, 'y', SIZE);
    hd_value value = hd_bytes(HD_TEXT, text, SIZE, HD_T_TEXT);
    hd_statement s[] = {with_params("select length($1)", &value, 1),
                        with_params("select $1, 1", &value, 1),
                        with_params("select length($1 || '!')", &value, 1)};
    assert_runs(&db, s, 3);
    assert_int_equal(db.rows.len, SIZE + strlen("(30000000)('', 1)(30000001)"));
    hd_buffer_free(&db.rows);
    free(text);
}

static void repeats_are_pipelined(void **state) {
    (void)state;
    enum { N = 5000 };
    static hd_value params[N * 3];
    for (int i = 0; i < N; i++) set_row(params + 3 * i, i, "r", i % 1000);
    hd_statement s = with_params(INSERT, params, 3);
    s.repeat = N;
    s.expect = 1;
    assert_runs(&db, &s, 1);
    assert_int_equal(s.affected, N);
    assert_true(db.waits < 500);
    assert_query(&other, "select count(*) from batch_rows", "(5000)");
}

/* ---- Failures ---- */

static void the_kth_statement_fails(void **state) {
    (void)state;
    enum { N = 7 };
    for (uint32_t k = 0; k < N; k++) {
        hd_value params[N][3];
        hd_statement s[N];
        empty_table(NULL);
        for (uint32_t i = 0; i < N; i++) {
            set_row(params[i], i, "k", i == k ? 1000 : 1);
            s[i] = with_params(INSERT " returning id", params[i], 3);
        }
        assert_fails(&db, s, N, HD_E_CHECK_VIOLATION);
        assert_int_equal(db.err.statement, k);
        assert_string_equal(db.err.constraint, "batch_rows_n_check");
        assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
        for (uint32_t i = 0; i < N; i++) assert_int_equal(s[i].affected, i < k ? 1 : -1);
        assert_query(&other, "select count(*) from batch_rows", "(0)");
    }
}

static void the_kth_execution_fails(void **state) {
    (void)state;
    hd_value params[9];
    set_row(params, 1, "a", 1);
    set_row(params + 3, 2, "b", 1);
    set_row(params + 6, 1, "c", 1);
    hd_statement s[] = {text_of("select 1"), with_params(INSERT, params, 3)};
    s[1].repeat = 3;
    assert_fails(&db, s, 2, HD_E_UNIQUE_VIOLATION);
    assert_int_equal(db.err.statement, 1);
    assert_int_equal(db.err.row, 2);
    params[8] = hd_int(INT64_MAX, HD_T_INTEGER);
    assert_fails(&db, s, 2, HD_E_VALIDATION);
    assert_int_equal(db.err.statement, 1);
    assert_int_equal(db.err.row, 2);
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
}

static void counts_are_held_to_expectation(void **state) {
    (void)state;
    hd_value rows[6],
        ids[] = {hd_int(1, HD_T_BIGINT), hd_int(9, HD_T_BIGINT), hd_int(2, HD_T_BIGINT)};
    set_row(rows, 1, "a", 1);
    set_row(rows + 3, 2, "b", 1);
    hd_statement s[] = {
        plain("begin"), with_params(INSERT, rows, 3),
        with_params("update batch_rows set n = 5 where id = $1 returning n", ids, 1),
        text_of("select 'never seen'")};
    s[1].repeat = 2;
    s[2].repeat = 3;
    s[2].expect = 1;
    assert_fails(&db, s, 4, HD_E_OPTIMISTIC_LOCK);
    assert_int_equal(db.err.statement, 2);
    assert_int_equal(db.err.row, 1);
    assert_rows(&db, "(5)");
    assert_int_equal(status_of(&db, true), HD_CONN_TRANSACTION);
    hd_statement rollback = plain("rollback");
    assert_runs(&db, &rollback, 1);
}

static void a_syntax_error_ends_the_batch(void **state) {
    (void)state;
    hd_statement s[] = {text_of("select 1"), text_of("selekt 2"), text_of("select 3")};
    assert_fails(&db, s, 3, HD_E_SYNTAX);
    assert_int_equal(db.err.statement, 1);
    assert_rows(&db, "(1)");
    assert_string_equal(db.err.message, "syntax error: 'selekt', at character 1");
    s[1] = text_of("select 2");
    assert_runs(&db, s, 3);
    assert_rows(&db, "(1)(2)(3)");
}

static void one_batch_at_a_time(void **state) {
    (void)state;
    hd_statement s = text_of("select 1"), t = text_of("select 2");
    hd_wait wait;
    hd_step step;
    assert_int_equal(db.conn->driver->start(db.conn, &s, 1, &db.err), HD_OK);
    assert_int_equal(status_of(&db, true), HD_CONN_BUSY);
    assert_int_equal(db.conn->driver->start(db.conn, &t, 1, &db.err), HD_E_BUSY);
    while ((step = db.conn->driver->step(db.conn, &wait, &db.err)) != HD_DONE) {
        assert_int_not_equal(step, HD_FAILED);
        if (step == HD_WAIT) wait_for(&wait);
    }
}

/* ---- Leaving early ---- */

static void an_answered_batch_can_be_abandoned(void **state) {
    (void)state;
    hd_statement s[] = {text_of("select generate_series(1, 100)"), text_of("select 1 / 0")};
    hd_wait wait;
    for (uint32_t n = 1; n <= 2; n++) {
        hd_step step;
        assert_int_equal(db.conn->driver->start(db.conn, s, n, &db.err), HD_OK);
        while ((step = db.conn->driver->step(db.conn, &wait, &db.err)) == HD_WAIT) wait_for(&wait);
        assert_int_equal(step, HD_ROW);
        for (int i = 0; i < 100 && status_of(&db, false) != HD_CONN_IDLE; i++) {
            db.conn->driver->abandon(db.conn);
            poll(NULL, 0, 10);
        }
        assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
        assert_query(&db, "select 7", "(7)");
    }
}

static void a_running_batch_stays_busy(void **state) {
    (void)state;
    pg p;
    open_pg(&p, NULL, NULL);
    hd_statement s = text_of("select pg_sleep(30)");
    hd_wait wait;
    assert_int_equal(p.conn->driver->start(p.conn, &s, 1, &p.err), HD_OK);
    assert_int_equal(p.conn->driver->step(p.conn, &wait, &p.err), HD_WAIT);
    p.conn->driver->abandon(p.conn);
    assert_int_equal(status_of(&p, true), HD_CONN_BUSY);
    close_pg(&p);
}

/* ---- Results before the end ---- */

static void results_come_at_a_flush_request(void **state) {
    (void)state;
    hd_statement s[] = {text_of("select 'early'"), text_of("select pg_sleep(1.5)")};
    s[0].flush = true;
    hd_wait wait;
    hd_time begun = hd_now();
    hd_step step;
    assert_int_equal(db.conn->driver->start(db.conn, s, 2, &db.err), HD_OK);
    while ((step = db.conn->driver->step(db.conn, &wait, &db.err)) == HD_WAIT) wait_for(&wait);
    assert_int_equal(step, HD_ROW);
    assert_true(hd_now() - begun < 1000000);
    while ((step = db.conn->driver->step(db.conn, &wait, &db.err)) != HD_DONE) {
        assert_int_not_equal(step, HD_FAILED);
        if (step == HD_WAIT) wait_for(&wait);
    }
    assert_true(s[1].elapsed > 1000000);
    assert_true(s[0].elapsed < 1000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_batch_runs_in_order, empty_table),
        cmocka_unit_test(nothing_is_a_batch_too),
        cmocka_unit_test(rows_say_where_they_come_from),
        cmocka_unit_test(a_transaction_may_stay_open),
        cmocka_unit_test_setup(scripts_run_between_pipelines, empty_table),
        cmocka_unit_test(copy_is_refused),
        cmocka_unit_test_setup(two_thousand_large_statements_pass, empty_table),
        cmocka_unit_test(a_statement_may_be_larger_than_the_socket),
        cmocka_unit_test_setup(repeats_are_pipelined, empty_table),
        cmocka_unit_test(the_kth_statement_fails),
        cmocka_unit_test_setup(the_kth_execution_fails, empty_table),
        cmocka_unit_test_setup(counts_are_held_to_expectation, empty_table),
        cmocka_unit_test(a_syntax_error_ends_the_batch),
        cmocka_unit_test(one_batch_at_a_time),
        cmocka_unit_test(an_answered_batch_can_be_abandoned),
        cmocka_unit_test(a_running_batch_stays_busy),
        cmocka_unit_test(results_come_at_a_flush_request),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
