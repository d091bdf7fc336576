/* SQLite driver: another connection holds the lock. Waits, their end, and what is never retried. */
#include "sqlite_support.h"

static db a, b; /* a waits, b is in the way */
static const char *path;

static int set_up(void **state) {
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    if (make_directory(state) != 0) return -1;
    path = in_directory("a.db");
    return 0;
}

static int tear_down(void **state) {
    db_close(&a);
    db_close(&b);
    return remove_directory(state);
}

static void open_both(const char *journal, const char *timeout) {
    const hd_option options[] = {
        {"database", path}, {"pragma.journal_mode", journal}, {"busy_timeout", timeout}};
    assert_int_equal(db_connect(&b, options, COUNT(options)), HD_DONE);
    db_exec(&b, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 0)");
    assert_int_equal(db_connect(&a, options, COUNT(options)), HD_DONE);
}

static void commit(void *ctx) {
    db_exec(ctx, "COMMIT");
}

static void release_at(int wait) {
    a.release = commit;
    a.release_ctx = &b;
    a.release_at = wait;
}

/* ---- a lock that goes away ---- */

static void waits_until_the_writer_is_done(void **state) {
    (void)state;
    open_both("wal", "5");
    db_exec(&b, "BEGIN IMMEDIATE; INSERT INTO t VALUES (2, 0)");
    release_at(4);
    const hd_value id = hd_int(3, HD_T_INTEGER);
    hd_statement s = with_params("INSERT INTO t VALUES (?1, 0)", &id, 1);
    s.expect = 1;
    assert_int_equal(db_run(&a, &s, 1), HD_DONE);
    assert_int_equal(a.waits, 4);
    assert_int_equal(s.affected, 1);
    assert_int_equal(s.last_id, 3);
    assert_true(s.elapsed >= 4000);
    assert_int_equal(db_integer(&b, "SELECT count(*) FROM t"), 3);
}

static void begin_immediate_waits(void **state) {
    (void)state;
    open_both("wal", "5");
    db_exec(&b, "BEGIN IMMEDIATE");
    release_at(2);
    hd_statement s[] = {text_of("BEGIN IMMEDIATE"), text_of("UPDATE t SET v = 1"),
                        text_of("COMMIT")};
    s[0].cache = false;
    assert_int_equal(db_run(&a, s, 3), HD_DONE);
    assert_int_equal(a.waits, 2);
    assert_int_equal(db_integer(&b, "SELECT v FROM t"), 1);
}

/* Outside a transaction each execution takes the lock anew: none is lost, none runs twice. */
static void repetition_goes_on_where_it_stopped(void **state) {
    (void)state;
    open_both("wal", "5");
    hd_wait wait;
    hd_value ids[100];
    for (int i = 0; i < 100; i++) ids[i] = hd_int(i + 10, HD_T_INTEGER);
    hd_statement s = with_params("INSERT INTO t VALUES (?1, 0)", ids, 1);
    s.repeat = 50;
    assert_int_equal(db_run(&a, &s, 1), HD_DONE);
    db_exec(&b, "BEGIN IMMEDIATE");
    s.params = ids + 50;
    assert_int_equal(hd_sqlite_driver.start(a.conn, &s, 1, &a.err), HD_OK);
    assert_int_equal(hd_sqlite_driver.step(a.conn, &wait, &a.err), HD_WAIT);
    assert_int_equal(db_status(&a), HD_CONN_BUSY);
    db_exec(&b, "COMMIT");
    assert_int_equal(hd_sqlite_driver.step(a.conn, &wait, &a.err), HD_DONE);
    assert_int_equal(s.affected, 50);
    assert_int_equal(db_integer(&b, "SELECT count(*) FROM t"), 101);
}

static void scripts_wait_too(void **state) {
    (void)state;
    open_both("wal", "5");
    db_exec(&b, "BEGIN IMMEDIATE");
    release_at(2);
    hd_statement s = text_of("SELECT 1; INSERT INTO t VALUES (2, 0); INSERT INTO t VALUES (3, 0)");
    s.simple = true;
    assert_int_equal(db_run(&a, &s, 1), HD_DONE);
    assert_int_equal(a.waits, 2);
    assert_int_equal(s.affected, 2);
}

/* With a rollback journal the writer must wait for the readers when it commits. */
static void commit_waits_for_readers(void **state) {
    (void)state;
    open_both("delete", "5");
    db_exec(&b, "BEGIN; SELECT * FROM t");
    db_exec(&a, "BEGIN IMMEDIATE; INSERT INTO t VALUES (2, 0)");
    release_at(3);
    hd_statement s = text_of("COMMIT");
    assert_int_equal(db_run(&a, &s, 1), HD_DONE);
    assert_int_equal(a.waits, 3);
    assert_int_equal(db_status(&a), HD_CONN_IDLE);
    assert_int_equal(db_integer(&b, "SELECT count(*) FROM t"), 2);
}

/* Even preparing meets the lock: the schema has to be read. */
static void preparing_waits(void **state) {
    (void)state;
    open_both("delete", "5");
    db_exec(&b, "BEGIN EXCLUSIVE");
    release_at(2);
    int64_t out = 0;
    hd_statement s = text_of("SELECT count(*) FROM t");
    a.on_row = keep_integer;
    a.row_ctx = &out;
    assert_int_equal(db_run(&a, &s, 1), HD_DONE);
    a.on_row = NULL;
    assert_int_equal(a.waits, 2);
    assert_int_equal(out, 1);
}

static void connecting_waits(void **state) {
    (void)state;
    const hd_option plain[] = {{"database", path}, {"pragma.journal_mode", "delete"}};
    assert_int_equal(db_connect(&b, plain, 2), HD_DONE);
    db_exec(&b,
            "CREATE TABLE t (id INTEGER); BEGIN IMMEDIATE"); /* readable, but not to become WAL */
    const hd_option options[] = {{"database", path}, {"busy_timeout", "5"}};
    hd_error_init(&a.err, &hd_allocator_libc);
    a.conn = hd_sqlite_driver.open(&services, options, 2, &a.err);
    hd_wait wait;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hd_sqlite_driver.connect(a.conn, NULL, &wait, &a.err), HD_WAIT);
        wait_until(&wait);
        assert_int_equal(db_status(&a), HD_CONN_CLOSED);
    }
    db_exec(&b, "COMMIT");
    assert_int_equal(hd_sqlite_driver.connect(a.conn, NULL, &wait, &a.err), HD_DONE);
    assert_int_equal(db_status(&a), HD_CONN_IDLE);
    assert_string_equal(db_text(&a, "PRAGMA journal_mode"), "wal");
    assert_int_equal(db_integer(&a, "PRAGMA foreign_keys"), 1);
}

/* ---- a lock that stays ---- */

static void gives_up_after_the_timeout(void **state) {
    (void)state;
    open_both("wal", "0.3");
    db_exec(&b, "BEGIN IMMEDIATE");
    hd_time start = hd_now();
    db_fails(&a, "INSERT INTO t VALUES (2, 0)", HD_E_LOCK_TIMEOUT);
    hd_time spent = hd_now() - start;
    assert_true(spent >= 300000 && spent < 3000000);
    assert_true(a.waits >= 5 && a.waits <= 18); /* 1 2 4 8 16 25 25 ... milliseconds */
    assert_int_equal(a.err.statement, 0);
    assert_non_null(strstr(a.err.message, path));
    assert_int_equal(db_status(&a), HD_CONN_IDLE);
    assert_int_equal(db_integer(&a, "SELECT count(*) FROM t"), 1);
    db_fails(&a, "INSERT INTO t VALUES (2, 0)", HD_E_LOCK_TIMEOUT); /* counted anew */
    assert_true(a.waits >= 5);
    db_exec(&b, "COMMIT");
    db_exec(&a, "INSERT INTO t VALUES (2, 0)");
}

static void without_timeout_it_fails_at_once(void **state) {
    (void)state;
    open_both("wal", "0");
    db_exec(&b, "BEGIN IMMEDIATE");
    db_fails(&a, "INSERT INTO t VALUES (2, 0)", HD_E_LOCK_TIMEOUT);
    assert_int_equal(a.waits, 0);
}

static void connecting_gives_up(void **state) {
    (void)state;
    const hd_option plain[] = {{"database", path}, {"pragma.journal_mode", "delete"}};
    assert_int_equal(db_connect(&b, plain, 2), HD_DONE);
    db_exec(&b, "CREATE TABLE t (id INTEGER); BEGIN EXCLUSIVE");
    const hd_option options[] = {{"database", path}, {"busy_timeout", "0.05"}};
    assert_int_equal(db_connect(&a, options, 2), HD_FAILED);
    assert_int_equal(a.err.kind, HD_E_LOCK_TIMEOUT);
    assert_true(a.waits >= 3);
    assert_int_equal(db_status(&a), HD_CONN_CLOSED);
}

static void canceled_while_it_waits(void **state) {
    (void)state;
    open_both("wal", "5");
    db_exec(&b, "BEGIN IMMEDIATE");
    hd_wait wait;
    hd_statement s = text_of("INSERT INTO t VALUES (2, 0)");
    assert_int_equal(hd_sqlite_driver.start(a.conn, &s, 1, &a.err), HD_OK);
    assert_int_equal(hd_sqlite_driver.step(a.conn, &wait, &a.err), HD_WAIT);
    hd_sqlite_driver.cancel(a.conn, false);
    assert_int_equal(hd_sqlite_driver.step(a.conn, &wait, &a.err), HD_FAILED);
    assert_int_equal(a.err.kind, HD_E_CANCELED);
    assert_int_equal(db_status(&a), HD_CONN_IDLE);
    assert_int_equal(hd_sqlite_driver.start(a.conn, &s, 1, &a.err), HD_OK);
    assert_int_equal(hd_sqlite_driver.step(a.conn, &wait, &a.err), HD_WAIT);
    hd_sqlite_driver.abandon(a.conn);
    assert_int_equal(db_status(&a), HD_CONN_IDLE);
}

/* ---- what waiting cannot mend ---- */

static void an_old_snapshot_cannot_write(void **state) {
    (void)state;
    open_both("wal", "5");
    db_exec(&a, "BEGIN; SELECT * FROM t");
    db_exec(&b, "UPDATE t SET v = v + 1");
    db_fails(&a, "UPDATE t SET v = v + 1", HD_E_SERIALIZATION_FAILURE);
    assert_int_equal(a.waits, 0);
    assert_int_equal(a.err.native, SQLITE_BUSY_SNAPSHOT);
    assert_int_equal(db_status(&a), HD_CONN_TRANSACTION);
    db_exec(&a, "ROLLBACK; UPDATE t SET v = v + 1");
    assert_int_equal(db_integer(&b, "SELECT v FROM t"), 2);
}

static void shared_caches_lock_tables(void **state) {
    (void)state;
    db_open(&b, "file:shared?mode=memory&cache=shared");
    db_exec(&b, "CREATE TABLE t (id INTEGER); BEGIN; INSERT INTO t VALUES (1)");
    db_open(&a, "file:shared?mode=memory&cache=shared");
    db_fails(&a, "SELECT * FROM t", HD_E_LOCK_TIMEOUT);
    assert_int_equal(a.waits, 0);
    db_exec(&b, "COMMIT");
    assert_int_equal(db_integer(&a, "SELECT count(*) FROM t"), 1);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(waits_until_the_writer_is_done),
        T(begin_immediate_waits),
        T(repetition_goes_on_where_it_stopped),
        T(scripts_wait_too),
        T(commit_waits_for_readers),
        T(preparing_waits),
        T(connecting_waits),
        T(gives_up_after_the_timeout),
        T(without_timeout_it_fails_at_once),
        T(connecting_gives_up),
        T(canceled_while_it_waits),
        T(an_old_snapshot_cannot_write),
        T(shared_caches_lock_tables),
    };
    return cmocka_run_group_tests_name("sqlite locks", tests, NULL, NULL);
}
