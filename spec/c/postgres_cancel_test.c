/* PostgreSQL driver: canceling. What runs is stopped, its connection is quiet again and works, and a request that comes
 * too late meets nothing. */
#include "postgres_support.h"

static pg p, other;

static int set_up(void **state) {
    (void)state;
    open_pg(&p, NULL, NULL);
    open_pg(&other, NULL, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    close_pg(&p);
    close_pg(&other);
    return 0;
}

static void keep_integer(pg *from, const hd_row *row) {
    assert_int_equal(row->values[0].kind, HD_INT);
    *(int64_t *)from->ud = row->values[0].as.i;
}

static int64_t integer(pg *from, const char *sql) {
    int64_t out = -1;
    hd_statement s = plain(sql);
    from->on_row = keep_integer;
    from->ud = &out;
    assert_runs(from, &s, 1);
    from->on_row = NULL;
    return out;
}

static void start(hd_statement *statements, uint32_t count) {
    hd_wait wait;
    hd_error_clear(&p.err);
    assert_int_equal(p.conn->driver->start(p.conn, statements, count, &p.err), HD_OK);
    assert_int_equal(p.conn->driver->step(p.conn, &wait, &p.err), HD_WAIT);
}

static void wait_until_it_sleeps(int64_t pid) {
    char sql[128];
    snprintf(sql, sizeof sql,
             "select count(*) from pg_stat_activity where pid = %d and wait_event = 'PgSleep'",
             (int)pid);
    for (int i = 0; i < 500; i++) {
        if (integer(&other, sql) == 1) return;
        poll(NULL, 0, 10);
    }
    fail_msg("the statement did not begin to sleep");
}

static hd_step end(void) {
    hd_wait wait;
    hd_step step;
    while ((step = p.conn->driver->step(p.conn, &wait, &p.err)) == HD_WAIT || step == HD_ROW) {
        if (step == HD_WAIT) wait_for(&wait);
    }
    return step;
}

static void cancel(void) {
    p.conn->driver->cancel(p.conn, false);
}

static void a_running_statement_is_stopped(void **state) {
    (void)state;
    int64_t pid = integer(&p, "select pg_backend_pid()");
    for (int cached = 0; cached < 2; cached++) {
        hd_statement s = cached ? text_of("select pg_sleep(20)") : plain("select pg_sleep(20)");
        start(&s, 1);
        wait_until_it_sleeps(pid);
        hd_time began = hd_now();
        cancel();
        assert_int_equal(end(), HD_FAILED);
        assert_true(hd_now() - began < 5000000);
        assert_int_equal(p.err.kind, HD_E_CANCELED);
        assert_string_equal(p.err.sqlstate, "57014");
        assert_int_equal(p.err.statement, 0);
        assert_int_equal(status_of(&p, true), HD_CONN_IDLE);
        assert_int_equal(integer(&p, "select pg_backend_pid()"), pid);
    }
}

static void a_transaction_can_be_taken_back_to_its_savepoint(void **state) {
    (void)state;
    int64_t pid = integer(&p, "select pg_backend_pid()");
    execute(&p, "create temp table t (n int); begin; insert into t values (1); savepoint s");
    hd_statement s[] = {text_of("insert into t values (2)"), text_of("select pg_sleep(20)"),
                        text_of("insert into t values (3)")};
    start(s, COUNT(s));
    wait_until_it_sleeps(pid);
    cancel();
    assert_int_equal(end(), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CANCELED);
    assert_int_equal(p.err.statement, 1);
    assert_int_equal(s[0].affected, 1);
    assert_int_equal(s[2].affected, -1);
    assert_int_equal(status_of(&p, true), HD_CONN_FAILED);
    execute(&p, "rollback to s; commit");
    assert_int_equal(integer(&p, "select count(*) from t"), 1);
}

/* The request is answered when the signal is on its way, so what is sent behind it is never met. */
static void a_late_request_meets_nothing(void **state) {
    (void)state;
    cancel();
    for (int i = 0; i < 200; i++) {
        hd_statement s = text_of("select 1");
        assert_runs(&p, &s, 1);
        cancel();
    }
    assert_query(&p, "select 2", "(2)");
}

/* The rest of what was to be sent still goes to the server, which throws it away. */
static void a_pipeline_that_is_still_sent_is_stopped(void **state) {
    (void)state;
    enum { N = 400, SIZE = 30000 };
    static char text[SIZE];
    static hd_statement s[N];
    memset(text, 'z', SIZE);
    hd_value param = hd_bytes(HD_TEXT, text, SIZE, HD_T_TEXT);
    int64_t pid = integer(&p, "select pg_backend_pid()");
    s[0] = text_of("select pg_sleep(20)");
    for (int i = 1; i < N; i++) s[i] = with_params("select length($1)", &param, 1);
    start(s, N);
    wait_until_it_sleeps(pid);
    cancel();
    assert_int_equal(end(), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CANCELED);
    assert_int_equal(p.err.statement, 0);
    assert_int_equal(status_of(&p, true), HD_CONN_IDLE);
    assert_query(&p, "select 2", "(2)");
}

static void what_is_not_connected_cannot_be_canceled(void **state) {
    (void)state;
    pg fresh, lost;
    const hd_option options[] = {{"url", conninfo()}};
    open_with(&fresh, &hd_allocator_libc, options, 1);
    fresh.conn->driver->cancel(fresh.conn, false);
    connect_or_fail(&fresh);
    assert_query(&fresh, "select 1", "(1)");
    open_pg(&lost, NULL, NULL);
    char sql[64];
    snprintf(sql, sizeof sql, "select pg_terminate_backend(%d)",
             (int)integer(&lost, "select pg_backend_pid()"));
    hd_statement terminate = plain(sql);
    assert_runs(&other, &terminate, 1);
    hd_statement s = plain("select 1");
    assert_fails(&lost, &s, 1, HD_E_CONNECTION);
    lost.conn->driver->cancel(lost.conn, false);
    close_pg(&lost);
    close_pg(&fresh);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_running_statement_is_stopped),
        T(a_transaction_can_be_taken_back_to_its_savepoint),
        T(a_late_request_meets_nothing),
        T(a_pipeline_that_is_still_sent_is_stopped),
        T(what_is_not_connected_cannot_be_canceled),
    };
    return cmocka_run_group_tests_name("postgres cancel", tests, NULL, NULL);
}
