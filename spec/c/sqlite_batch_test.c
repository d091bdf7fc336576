/* SQLite driver: batches. Order, repetition, counts, scripts, the statement cache, stopping. */
#include "sqlite_support.h"

static db d;

static int set_up(void **state) {
    (void)state;
    db_open(&d, ":memory:");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    db_close(&d);
    return 0;
}

/* ---- order and counts ---- */

static void statements_run_in_order(void **state) {
    (void)state;
    const hd_value row[] = {hd_int(7, HD_T_INTEGER), hd_bytes(HD_TEXT, "a", 1, HD_T_TEXT)};
    hd_statement s[] = {
        text_of("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"),
        with_params("INSERT INTO t VALUES (?1, ?2)", row, 2),
        with_params("UPDATE t SET name = ?2 WHERE id = ?1", row, 2),
        text_of("CREATE TABLE u (id INTEGER)"),
        text_of("INSERT INTO u SELECT 1 WHERE 0"),
        text_of("SELECT * FROM t"),
        text_of("BEGIN"),
        text_of("DELETE FROM t"),
        text_of("ROLLBACK"),
    };
    assert_int_equal(db_run(&d, s, COUNT(s)), HD_DONE);
    const int64_t affected[] = {0, 1, 1, 0, 0, 1, 0, 1, 0};
    for (size_t i = 0; i < COUNT(s); i++) {
        assert_int_equal(s[i].affected, affected[i]);
        assert_int_equal(s[i].last_id, i == 1 ? 7 : 0);
        assert_true(s[i].sent);
        assert_true(s[i].elapsed >= 0);
    }
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 1);
}

static void first_failure_ends_the_batch(void **state) {
    (void)state;
    hd_statement s[] = {
        text_of("CREATE TABLE t (id INTEGER)"),
        text_of("INSERT INTO missing VALUES (1)"),
        text_of("INSERT INTO t VALUES (1)"),
    };
    assert_int_equal(db_run(&d, s, COUNT(s)), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_TABLE_NOT_FOUND);
    assert_int_equal(d.err.statement, 1);
    assert_string_equal(d.err.sql, s[1].sql);
    assert_true(s[0].sent && s[1].sent && !s[2].sent);
    assert_int_equal(s[2].affected, -1);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
}

static void texts_that_do_nothing(void **state) {
    (void)state;
    hd_statement s[] = {text_of(""), text_of("  -- nothing\n"),
                        text_of("SELECT 1 ; /* end */ ; -- x")};
    assert_int_equal(db_run(&d, s, COUNT(s)), HD_DONE);
    assert_int_equal(s[0].affected, 0);
    assert_int_equal(s[2].affected, 1);
    assert_int_equal(db_run(&d, s, 0), HD_DONE);
}

/* The text of a statement need not end in a NUL. */
static void texts_have_lengths(void **state) {
    (void)state;
    hd_statement s = text_of("SELECT 12345");
    s.sql_len = 9;
    int64_t out = 0;
    d.on_row = keep_integer;
    d.row_ctx = &out;
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    d.on_row = NULL;
    assert_int_equal(out, 12);
}

/* ---- repetition ---- */

enum { MANY = 10000 };

static hd_value *numbered_rows(int failing) {
    hd_value *rows = malloc(MANY * 2 * sizeof *rows);
    for (int i = 0; i < MANY; i++) {
        rows[2 * i] = hd_int(i == failing ? 1 : i, HD_T_INTEGER);
        rows[2 * i + 1] = hd_bytes(HD_TEXT, "name", 4, HD_T_TEXT);
    }
    return rows;
}

static void repeated_ten_thousand_times(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); BEGIN");
    hd_value *rows = numbered_rows(-1);
    hd_statement s = with_params("INSERT INTO t VALUES (?1, ?2)", rows, 2);
    s.repeat = MANY;
    s.expect = 1;
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    assert_int_equal(s.affected, MANY);
    assert_int_equal(s.last_id, MANY - 1);
    free(rows);
    assert_int_equal(db_integer(&d, "SELECT sum(id) FROM t"), (int64_t)MANY * (MANY - 1) / 2);
}

static void repetition_fails_in_the_middle(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)");
    hd_value *rows = numbered_rows(5000);
    hd_statement s[] = {text_of("SAVEPOINT a"),
                        with_params("INSERT INTO t VALUES (?1, ?2)", rows, 2)};
    s[1].repeat = MANY;
    s[1].expect = 1;
    assert_int_equal(db_run(&d, s, 2), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_UNIQUE_VIOLATION);
    assert_int_equal(d.err.statement, 1);
    assert_int_equal(d.err.row, 5000);
    assert_string_equal(d.err.table, "t");
    assert_string_equal(d.err.column, "id");
    assert_int_equal(db_status(&d), HD_CONN_TRANSACTION);
    free(rows);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 5000);
    db_exec(&d, "ROLLBACK");
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
}

static void expected_counts(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); "
                "INSERT INTO t VALUES (1, 1), (2, 1), (4, 1); BEGIN");
    const hd_value ids[] = {hd_int(1, HD_T_INTEGER), hd_int(2, HD_T_INTEGER),
                            hd_int(3, HD_T_INTEGER), hd_int(4, HD_T_INTEGER)};
    hd_statement s[] = {text_of("SELECT 1"),
                        with_params("UPDATE t SET v = 2 WHERE id = ?1", ids, 1)};
    s[1].repeat = 4;
    s[1].expect = 1;
    assert_int_equal(db_run(&d, s, 2), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_OPTIMISTIC_LOCK);
    assert_int_equal(d.err.statement, 1);
    assert_int_equal(d.err.row, 2);
    assert_int_equal(s[1].affected, 2);
    assert_int_equal(db_integer(&d, "SELECT v FROM t WHERE id = 4"), 1);

    hd_statement all = text_of("DELETE FROM t"); /* too many is as wrong as too few */
    all.expect = 2;
    assert_int_equal(db_run(&d, &all, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_OPTIMISTIC_LOCK);
    db_exec(&d, "ROLLBACK");
    hd_statement returning = text_of("UPDATE t SET v = 3 WHERE id = 9 RETURNING id");
    returning.expect = 1;
    assert_int_equal(db_run(&d, &returning, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_OPTIMISTIC_LOCK);
}

static void collect_executions(void *ctx, const hd_row *row) {
    char *out = ctx;
    sprintf(out + strlen(out), "%u:%u:%lld ", row->statement, row->execution,
            (long long)row->values[0].as.i);
}

static void repeated_rows(void **state) {
    (void)state;
    char seen[256] = "";
    db_exec(&d, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)");
    const hd_value v[] = {hd_int(10, HD_T_INTEGER), hd_int(20, HD_T_INTEGER),
                          hd_int(30, HD_T_INTEGER)};
    hd_statement s[] = {with_params("INSERT INTO t (v) VALUES (?1), (?1 + 1) RETURNING v", v, 1),
                        with_params("SELECT v FROM t WHERE v > ?1 ORDER BY v", v + 1, 1)};
    s[0].repeat = 2;
    s[0].expect = 2;
    s[1].repeat = 2;
    d.on_row = collect_executions;
    d.row_ctx = seen;
    assert_int_equal(db_run(&d, s, 2), HD_DONE);
    d.on_row = NULL;
    assert_string_equal(seen, "0:0:10 0:0:11 0:1:20 0:1:21 1:0:21 ");
    assert_int_equal(s[0].affected, 4);
    assert_int_equal(s[0].last_id, 4);
    assert_int_equal(s[1].affected, 1);
}

/* ---- scripts ---- */

static void scripts(void **state) {
    (void)state;
    hd_statement s = text_of("CREATE TABLE t (id INTEGER); -- one\n"
                             "INSERT INTO t VALUES (1), (2);; SELECT * FROM t;\n"
                             "UPDATE t SET id = id + 1 /* two */");
    s.simple = true;
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    assert_int_equal(s.affected, 4);
    assert_int_equal(db_integer(&d, "SELECT sum(id) FROM t"), 5);

    s = text_of(
        "INSERT INTO t VALUES (7); INSERT INTO missing VALUES (1); INSERT INTO t VALUES (8)");
    s.simple = true;
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_TABLE_NOT_FOUND);
    assert_non_null(strstr(d.err.sql, "missing"));
    assert_null(strstr(d.err.sql, "(7)"));
    assert_int_equal(db_integer(&d, "SELECT sum(id) FROM t"), 12);
    s = text_of("SELECT abs(-9223372036854775808); SELECT 1");
    s.simple = true;
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_string_equal(d.err.sql, "SELECT abs(-9223372036854775808);");
    assert_int_equal(d.err.kind, HD_E_VALIDATION);

    const hd_value v = hd_int(1, HD_T_INTEGER);
    s = with_params("SELECT 1", &v, 1);
    s.simple = true;
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_VALIDATION);
    db_exec(&d, "");
    db_exec(&d, " ; -- nothing");
}

/* ---- prepared statements ---- */

static uint32_t count_statements(void) {
    uint32_t n = 0;
    for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(inside(&d)->db, s));) n++;
    return n;
}

static void run_number(int n, bool cache) {
    static char sql[64]; /* the text may change once the batch is over */
    snprintf(sql, sizeof sql, "SELECT %d", n);
    hd_statement s = text_of(sql);
    s.cache = cache;
    int64_t out = 0;
    d.on_row = keep_integer;
    d.row_ctx = &out;
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    d.on_row = NULL;
    assert_int_equal(out, n);
}

static void the_statement_used_longest_ago_goes(void **state) {
    (void)state;
    db_close(&d);
    const hd_option options[] = {{"database", ":memory:"}, {"statement_cache", "3"}};
    assert_int_equal(db_connect(&d, options, 2), HD_DONE);
    const int order[] = {1, 2, 3, 1, 4, 5, 1, 2, 3, 1, 1};
    for (size_t i = 0; i < COUNT(order); i++) run_number(order[i], true);
    assert_int_equal(inside(&d)->cache.count, 3);
    assert_int_equal(count_statements(), 3);
    hd_sqlite_prepared *newest = inside(&d)->cache.newest;
    assert_string_equal(sqlite3_sql(newest->stmt), "SELECT 1");
    assert_string_equal(sqlite3_sql(newest->older->stmt), "SELECT 3");
    assert_string_equal(sqlite3_sql(newest->older->older->stmt), "SELECT 2");
    sqlite3_stmt *stmt = newest->stmt;
    run_number(1, true);
    assert_ptr_equal(inside(&d)->cache.newest->stmt, stmt);

    hd_statement a = text_of("SELECT 2"), b = text_of("SELECT 1"); /* same hash, another text */
    b.hash = a.hash;
    int64_t out = 0;
    d.on_row = keep_integer;
    d.row_ctx = &out;
    assert_int_equal(db_run(&d, &a, 1), HD_DONE);
    assert_int_equal(db_run(&d, &b, 1), HD_DONE);
    d.on_row = NULL;
    assert_int_equal(out, 1);
}

static void without_cache(void **state) {
    (void)state;
    run_number(1, false);
    assert_int_equal(count_statements(), 1); /* lends its names until the next batch */
    run_number(2, false);
    assert_int_equal(count_statements(), 1);
    db_exec(&d, "SELECT 1");
    assert_int_equal(count_statements(), 0);
    db_close(&d);
    const hd_option options[] = {{"database", ":memory:"}, {"statement_cache", "0"}};
    assert_int_equal(db_connect(&d, options, 2), HD_DONE);
    run_number(1, true);
    run_number(2, true);
    assert_int_equal(count_statements(), 1);
}

static void names_outlive_their_statement(void **state) {
    (void)state;
    db_close(&d);
    const hd_option options[] = {{"database", ":memory:"}, {"statement_cache", "1"}};
    assert_int_equal(db_connect(&d, options, 2), HD_DONE);
    hd_statement s[] = {text_of("SELECT 1 AS \"first name\", 2 AS b"),
                        text_of("CREATE TABLE t (id)"), text_of("DELETE FROM t")};
    assert_int_equal(db_run(&d, s, 3), HD_DONE);
    assert_int_equal(d.conn->name_count, 2);
    assert_string_equal(d.conn->names[0].text, "first name");
    assert_int_equal(d.conn->names[0].len, 10);
    assert_string_equal(d.conn->names[1].text, "b");
    hd_statement none = text_of("SELECT id FROM t");
    assert_int_equal(db_run(&d, &none, 1), HD_DONE);
    assert_int_equal(d.conn->name_count, 1);
    assert_string_equal(d.conn->names[0].text, "id");
    db_exec(&d, "DELETE FROM t");
    assert_int_equal(d.conn->name_count, 0);
}

static void count_columns(void *ctx, const hd_row *row) {
    *(uint32_t *)ctx = row->count;
}

static void prepared_again_after_a_change_of_the_schema(void **state) {
    (void)state;
    uint32_t columns = 0;
    db_exec(&d, "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)");
    hd_statement s = text_of("SELECT * FROM t");
    d.on_row = count_columns;
    d.row_ctx = &columns;
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    assert_int_equal(columns, 1);
    db_exec(&d, "ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 2");
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    assert_int_equal(columns, 2);
    assert_int_equal(d.conn->name_count, 2);
    assert_string_equal(d.conn->names[1].text, "b");
    db_exec(&d, "ALTER TABLE t RENAME COLUMN a TO z");
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    d.on_row = NULL;
    assert_string_equal(d.conn->names[0].text, "z");
    db_exec(&d, "DROP TABLE t");
    db_fails(&d, "SELECT * FROM t", HD_E_TABLE_NOT_FOUND);
    assert_string_equal(d.err.table, "t");
}

/* ---- stopping ---- */

static void abandoned_in_the_middle_of_rows(void **state) {
    (void)state;
    hd_wait wait;
    db_exec(&d, "CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1), (2), (3)");
    hd_statement s = text_of("SELECT id FROM t");
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_OK);
    assert_int_equal(db_status(&d), HD_CONN_BUSY);
    assert_int_equal(hd_sqlite_driver.step(d.conn, &wait, &d.err), HD_ROW);
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_E_BUSY);
    hd_sqlite_driver.abandon(d.conn);
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    assert_false(sqlite3_stmt_busy(inside(&d)->cache.newest->stmt));
    db_exec(&d, "DROP TABLE t"); /* refused while a statement reads it */
}

static void canceled_between_rows(void **state) {
    (void)state;
    hd_wait wait;
    hd_statement s = text_of("SELECT 1 UNION ALL SELECT 2");
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_OK);
    assert_int_equal(hd_sqlite_driver.step(d.conn, &wait, &d.err), HD_ROW);
    hd_sqlite_driver.cancel(d.conn, false);
    assert_int_equal(hd_sqlite_driver.step(d.conn, &wait, &d.err), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    hd_sqlite_driver.cancel(d.conn, false); /* nothing runs: nothing to cancel */
    assert_int_equal(db_integer(&d, "SELECT 5"), 5);
}

static int interrupt_now(void *ctx) {
    hd_sqlite_driver.cancel(ctx, false);
    return 0;
}

static void canceled_while_it_runs(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (id INTEGER); BEGIN; INSERT INTO t VALUES (1)");
    sqlite3_progress_handler(inside(&d)->db, 1000, interrupt_now, d.conn);
    db_fails(&d,
             "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT "
             "n FROM c",
             HD_E_CANCELED);
    sqlite3_progress_handler(inside(&d)->db, 0, NULL, NULL);
    assert_int_equal(db_status(&d), HD_CONN_IDLE); /* SQLite rolled the transaction back */
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
}

static void transaction_states(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    db_exec(&d, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    assert_int_equal(db_status(&d), HD_CONN_TRANSACTION);
    db_fails(&d, "INSERT INTO t VALUES (1)", HD_E_UNIQUE_VIOLATION);
    assert_int_equal(db_status(&d), HD_CONN_TRANSACTION);
    db_fails(&d, "INSERT OR ROLLBACK INTO t VALUES (1)", HD_E_UNIQUE_VIOLATION);
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    db_fails(&d, "COMMIT", HD_E_DRIVER);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(statements_run_in_order),
        T(first_failure_ends_the_batch),
        T(texts_that_do_nothing),
        T(texts_have_lengths),
        T(repeated_ten_thousand_times),
        T(repetition_fails_in_the_middle),
        T(expected_counts),
        T(repeated_rows),
        T(scripts),
        T(the_statement_used_longest_ago_goes),
        T(without_cache),
        T(names_outlive_their_statement),
        T(prepared_again_after_a_change_of_the_schema),
        T(abandoned_in_the_middle_of_rows),
        T(canceled_between_rows),
        T(canceled_while_it_runs),
        T(transaction_states),
    };
    return cmocka_run_group_tests_name("sqlite batches", tests, NULL, NULL);
}
