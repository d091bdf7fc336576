/* SQLite driver: statements whose time is over. Deadlines of a batch, statement_timeout, and what is left of a
 * transaction. */
#include "sqlite_support.h"

static db d, other;

/* Runs for minutes, and gives nothing before its end. */
#define ENDLESS                                                                                    \
    "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < 4000000000) "       \
    "SELECT max(n) FROM c"
/* Much more than a thousand instructions, and over in no time. */
#define SHORT                                                                                      \
    "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < 5000) "             \
    "SELECT n FROM c"

static int set_up(void **state) {
    memset(&d, 0, sizeof d);
    memset(&other, 0, sizeof other);
    return make_directory(state);
}

static int tear_down(void **state) {
    db_close(&d);
    db_close(&other);
    return remove_directory(state);
}

static void open_with(db *to, const char *statement_timeout) {
    const hd_option options[] = {{"database", in_directory("a.db")},
                                 {"busy_timeout", "5"},
                                 {"statement_timeout", statement_timeout}};
    assert_int_equal(db_connect(to, options, COUNT(options)), HD_DONE);
    db_exec(to, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v INTEGER)");
}

/* As the core does it. */
static hd_step run_until(hd_statement *statements, uint32_t count, hd_time limit) {
    d.conn->deadline = hd_now() + limit;
    hd_step step = db_run(&d, statements, count);
    d.conn->deadline = HD_NEVER;
    return step;
}

static void assert_took(hd_time began, hd_time least) {
    hd_time spent = hd_now() - began;
    assert_true(spent >= least);
    assert_true(spent < least + 1000000);
}

/* ---- A deadline ---- */

static void a_deadline_stops_what_gives_no_row(void **state) {
    (void)state;
    open_with(&d, "0");
    hd_time best = HD_NEVER;
    for (int i = 0; i < 5; i++) {
        hd_statement s = text_of(ENDLESS);
        hd_time began = hd_now();
        assert_int_equal(run_until(&s, 1, 30000), HD_FAILED);
        hd_time late = hd_now() - began - 30000;
        if (late < best) best = late;
        assert_true(late >= 0);
        assert_int_equal(d.err.kind, HD_E_CANCELED);
        assert_int_equal(d.err.statement, 0);
        assert_string_equal(d.err.sql, s.sql);
        assert_int_equal(db_status(&d), HD_CONN_IDLE);
    }
    assert_true(best < 50000);
    assert_int_equal(db_integer(&d, "SELECT 7"), 7);
}

static void without_a_limit_sqlite_does_not_look(void **state) {
    (void)state;
    open_with(&d, "0");
    assert_false(inside(&d)->limit.looks);
    hd_statement s = text_of(SHORT);
    assert_int_equal(run_until(&s, 1, 5000000), HD_DONE);
    assert_true(inside(&d)->limit.looks);
    assert_int_equal(run_until(&s, 1, -1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    assert_int_equal(db_run(&d, &s, 1), HD_DONE); /* the limit of one batch is no other's */
    assert_int_equal(s.affected, 5000);
    assert_false(inside(&d)->limit.looks);
}

static void the_deadline_is_the_batchs(void **state) {
    (void)state;
    open_with(&d, "0");
    hd_statement s[] = {text_of("INSERT INTO t VALUES (1, 1)"), text_of(ENDLESS),
                        text_of("INSERT INTO t VALUES (2, 2)")};
    hd_time began = hd_now();
    assert_int_equal(run_until(s, COUNT(s), 30000), HD_FAILED);
    assert_took(began, 30000);
    assert_int_equal(d.err.statement, 1);
    assert_true(s[0].sent && s[1].sent && !s[2].sent);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 1);
}

static void doze(void *ctx, const hd_row *row) {
    (void)row;
    if (*(int *)ctx) usleep(70000);
    *(int *)ctx = 0;
}

static void what_the_reader_takes_counts_too(void **state) {
    (void)state;
    int first = 1;
    open_with(&d, "0");
    hd_statement s = text_of(SHORT);
    d.on_row = doze;
    d.row_ctx = &first;
    assert_int_equal(run_until(&s, 1, 50000), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
}

static void scripts_are_stopped(void **state) {
    (void)state;
    open_with(&d, "0");
    hd_statement s =
        text_of("INSERT INTO t VALUES (1, 1); " ENDLESS "; INSERT INTO t VALUES (2, 2)");
    s.simple = true;
    assert_int_equal(run_until(&s, 1, 30000), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 1);
}

/* ---- statement_timeout ---- */

static void a_statement_runs_no_longer_than_its_timeout(void **state) {
    (void)state;
    open_with(&d, "0.05");
    hd_time began = hd_now();
    db_fails(&d, ENDLESS, HD_E_TIMEOUT);
    assert_took(began, 50000);
    assert_non_null(strstr(d.err.message, "0.05 seconds (option statement_timeout)"));
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    assert_int_equal(db_integer(&d, "SELECT 7"), 7);
}

static void each_statement_has_its_own_time(void **state) {
    (void)state;
    int first;
    open_with(&d, "0.1");
    d.on_row = doze;
    d.row_ctx = &first;
    hd_time began = hd_now();
    for (int i = 0; i < 3; i++) {
        hd_statement s = text_of(SHORT);
        first = 1;
        assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    }
    assert_true(hd_now() - began >= 210000);
}

static void the_sooner_limit_counts(void **state) {
    (void)state;
    open_with(&d, "0.05");
    hd_statement s = text_of(ENDLESS);
    assert_int_equal(run_until(&s, 1, 20000), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    assert_int_equal(run_until(&s, 1, 5000000), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_TIMEOUT);
}

static void a_timeout_is_a_number_of_seconds(void **state) {
    (void)state;
    const char *wrong[] = {"x", "-1", "", "1e10"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const hd_option options[] = {{"database", ":memory:"}, {"statement_timeout", wrong[i]}};
        db refused;
        assert_int_equal(db_connect(&refused, options, COUNT(options)), HD_FAILED);
        assert_int_equal(refused.err.kind, HD_E_CONFIG);
        assert_non_null(strstr(refused.err.message, "statement_timeout"));
        db_close(&refused);
    }
}

/* ---- Locks ---- */

static void waiting_for_a_lock_is_of_the_statements_time(void **state) {
    (void)state;
    open_with(&other, "0");
    open_with(&d, "0.1");
    db_exec(&other, "BEGIN IMMEDIATE");
    hd_time began = hd_now();
    db_fails(&d, "INSERT INTO t VALUES (1, 1)", HD_E_TIMEOUT);
    assert_took(began, 100000);
    hd_statement s = text_of("INSERT INTO t VALUES (1, 1)");
    began = hd_now();
    assert_int_equal(run_until(&s, 1, 30000), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    assert_took(began, 30000);
    db_exec(&other, "COMMIT");
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
}

/* ---- Other statements ---- */

/* As a cursor that somebody reads meanwhile. */
static void other_open_statements_are_left_alone(void **state) {
    (void)state;
    sqlite3_stmt *cursor;
    static const char sql[] = SHORT;
    open_with(&d, "0");
    assert_int_equal(sqlite3_prepare_v2(inside(&d)->db, sql, -1, &cursor, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(cursor), SQLITE_ROW);
    hd_statement s = text_of(SHORT), endless = text_of(ENDLESS);
    hd_wait wait;
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_OK);
    assert_int_equal(hd_sqlite_driver.step(d.conn, &wait, &d.err), HD_ROW);
    hd_sqlite_driver.cancel(d.conn, false);
    assert_int_equal(hd_sqlite_driver.step(d.conn, &wait, &d.err), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    assert_int_equal(run_until(&endless, 1, 20000), HD_FAILED);
    assert_int_equal(db_run(&d, &s, 1), HD_DONE);
    int rows = 1;
    while (sqlite3_step(cursor) == SQLITE_ROW) rows++;
    assert_int_equal(rows, 5000);
    sqlite3_finalize(cursor);
}

/* ---- Transactions ---- */

static void reading_too_long_leaves_the_transaction(void **state) {
    (void)state;
    open_with(&d, "0");
    db_exec(&d, "BEGIN; INSERT INTO t VALUES (1, 1)");
    hd_statement s = text_of(ENDLESS);
    assert_int_equal(run_until(&s, 1, 20000), HD_FAILED);
    assert_int_equal(db_status(&d), HD_CONN_TRANSACTION);
    db_exec(&d, "COMMIT");
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 1);
}

/* Many short writes, as a flush has them, are stopped between two. */
static void writing_too_long_leaves_the_transaction(void **state) {
    (void)state;
    enum { N = 100000 };
    static hd_value values[N];
    open_with(&d, "0");
    for (int i = 0; i < N; i++) values[i] = hd_int(i + 10, HD_T_INTEGER);
    db_exec(&d, "BEGIN; INSERT INTO t VALUES (1, 1); SAVEPOINT s");
    hd_statement s = with_params("INSERT INTO t SELECT ?1, max(n) FROM (" SHORT ")", values, 1);
    s.repeat = N;
    assert_int_equal(run_until(&s, 1, 40000), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    assert_true(d.err.row > 0 && d.err.row < N);
    assert_int_equal(db_status(&d), HD_CONN_TRANSACTION);
    db_exec(&d, "ROLLBACK TO s; COMMIT");
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 1);
}

/* One long write must be interrupted, and then SQLite itself rolls everything back. */
static void one_endless_write_ends_the_transaction(void **state) {
    (void)state;
    open_with(&d, "0");
    db_exec(&d, "BEGIN; INSERT INTO t VALUES (1, 1)");
    hd_statement s = text_of("INSERT INTO t (v) " ENDLESS);
    hd_time began = hd_now();
    assert_int_equal(run_until(&s, 1, 20000), HD_FAILED);
    assert_took(began, 20000);
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_deadline_stops_what_gives_no_row),
        T(without_a_limit_sqlite_does_not_look),
        T(the_deadline_is_the_batchs),
        T(what_the_reader_takes_counts_too),
        T(scripts_are_stopped),
        T(a_statement_runs_no_longer_than_its_timeout),
        T(each_statement_has_its_own_time),
        T(the_sooner_limit_counts),
        T(a_timeout_is_a_number_of_seconds),
        T(waiting_for_a_lock_is_of_the_statements_time),
        T(other_open_statements_are_left_alone),
        T(reading_too_long_leaves_the_transaction),
        T(writing_too_long_leaves_the_transaction),
        T(one_endless_write_ends_the_transaction),
    };
    return cmocka_run_group_tests_name("sqlite limits", tests, NULL, NULL);
}
