/* PostgreSQL driver: canceling. What runs is stopped, its connection is quiet again and works, and a request that comes
 * too late meets nothing. */
#include <dlfcn.h>
#include <errno.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

#include "drivers/postgres/connection.h"
#include "postgres_support.h"

static pg p, other;

/* ---- In the place of libraries' ---- */

static atomic_bool hold_before, hold_behind, no_threads, in_main;
static atomic_int begun, requests;
static pthread_t main_thread;

int PQcancel(PGcancel *cancel, char *complaint, int size) {
    static int (*real)(PGcancel *, char *, int);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "PQcancel");
    in_main = pthread_equal(pthread_self(), main_thread);
    begun++;
    while (hold_before) poll(NULL, 0, 1);
    int answer = real(cancel, complaint, size);
    while (hold_behind) poll(NULL, 0, 1);
    requests++;
    return answer;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                   void *ud) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (no_threads) return EAGAIN;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, routine, ud);
}

static int set_up(void **state) {
    (void)state;
    main_thread = pthread_self();
    hold_before = hold_behind = no_threads = in_main = false;
    begun = requests = 0;
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

/* ---- By a thread ---- */

static void wait_until(atomic_int *count, int value) {
    for (int i = 0; i < 5000 && *count != value; i++) poll(NULL, 0, 1);
    assert_int_equal(*count, value);
}

static int64_t start_sleeping(void) {
    static hd_statement s;
    int64_t pid = integer(&p, "select pg_backend_pid()");
    s = text_of("select pg_sleep(20)");
    start(&s, 1);
    wait_until_it_sleeps(pid);
    return pid;
}

static void offloaded_it_stops_what_runs(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        int64_t pid = start_sleeping();
        p.conn->driver->cancel(p.conn, true);
        assert_int_equal(end(), HD_FAILED);
        assert_int_equal(p.err.kind, HD_E_CANCELED);
        assert_int_equal(requests, i + 1);
        assert_false(in_main);
        assert_int_equal(status_of(&p, true), HD_CONN_IDLE);
        assert_int_equal(integer(&p, "select pg_backend_pid()"), pid);
    }
}

/* The server may act on a request until it has answered it. */
static void nothing_else_runs_until_the_request_is_answered(void **state) {
    (void)state;
    hd_wait wait = {0};
    start_sleeping();
    hold_behind = true;
    p.conn->driver->cancel(p.conn, true);
    while (p.conn->driver->step(p.conn, &wait, &p.err) == HD_WAIT &&
           wait.fd == PQsocket(((hd_pg *)p.conn)->pq))
        wait_for(&wait);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p.conn->driver->step(p.conn, &wait, &p.err), HD_WAIT);
        assert_int_equal(wait.events, HD_READ);
        assert_int_equal(poll(&(struct pollfd){.fd = wait.fd, .events = POLLIN}, 1, 0), 0);
        assert_int_equal(status_of(&p, false), HD_CONN_BUSY);
    }
    p.conn->driver->cancel(p.conn, true); /* one is enough */
    assert_int_equal(begun, 1);
    p.conn->driver->abandon(p.conn);
    assert_int_equal(status_of(&p, false), HD_CONN_BUSY);
    hold_behind = false;
    assert_int_equal(end(), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CANCELED);
    assert_int_equal(status_of(&p, true), HD_CONN_IDLE);
    assert_query(&p, "select 2", "(2)");
}

static void an_idle_connection_is_not_used_while_a_request_is_made(void **state) {
    (void)state;
    hd_statement s = plain("select 1");
    hold_before = true;
    p.conn->driver->cancel(p.conn, true);
    wait_until(&begun, 1);
    assert_int_equal(status_of(&p, true), HD_CONN_BUSY);
    assert_fails(&p, &s, 1, HD_E_BUSY);
    hold_before = false;
    wait_until(&requests, 1);
    for (int i = 0; i < 1000 && status_of(&p, false) == HD_CONN_BUSY; i++) poll(NULL, 0, 1);
    assert_query(&p, "select 2", "(2)");
}

static void a_closed_connection_leaves_the_request_alone(void **state) {
    (void)state;
    for (int discarded = 0; discarded < 2; discarded++) {
        char sql[128];
        int64_t pid = start_sleeping();
        hold_before = true;
        p.conn->driver->cancel(p.conn, true);
        wait_until(&begun, discarded + 1);
        if (discarded) {
            p.conn->driver->discard(p.conn);
            p.conn = NULL;
        }
        close_pg(&p);
        snprintf(sql, sizeof sql, "select count(*) from pg_stat_activity where pid = %d", (int)pid);
        assert_int_equal(integer(&other, sql), 1); /* it sleeps on */
        hold_before = false;
        wait_until(&requests, discarded + 1);
        for (int i = 0; i < 1000 && integer(&other, sql) == 1; i++) poll(NULL, 0, 5);
        assert_int_equal(integer(&other, sql), 0);
        open_pg(&p, NULL, NULL);
    }
}

static void without_a_thread_it_is_made_at_once(void **state) {
    (void)state;
    start_sleeping();
    no_threads = true;
    p.conn->driver->cancel(p.conn, true);
    no_threads = false;
    assert_true(in_main);
    assert_int_equal(requests, 1);
    assert_int_equal(end(), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CANCELED);
    assert_query(&p, "select 2", "(2)");
}

/* A connection that is lost has nothing to wait for. */
static void a_lost_connection_does_not_wait_for_the_request(void **state) {
    (void)state;
    char sql[64];
    int64_t pid = start_sleeping();
    hold_before = true;
    p.conn->driver->cancel(p.conn, true);
    wait_until(&begun, 1);
    snprintf(sql, sizeof sql, "select pg_terminate_backend(%d)", (int)pid);
    assert_query(&other, sql, "(true)");
    assert_int_equal(end(), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CONNECTION);
    assert_int_equal(status_of(&p, false), HD_CONN_CLOSED);
    assert_int_equal(requests, 0);
    hold_before = false;
    wait_until(&requests, 1);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_running_statement_is_stopped),
        T(a_transaction_can_be_taken_back_to_its_savepoint),
        T(a_late_request_meets_nothing),
        T(a_pipeline_that_is_still_sent_is_stopped),
        T(what_is_not_connected_cannot_be_canceled),
        T(offloaded_it_stops_what_runs),
        T(nothing_else_runs_until_the_request_is_answered),
        T(an_idle_connection_is_not_used_while_a_request_is_made),
        T(a_closed_connection_leaves_the_request_alone),
        T(without_a_thread_it_is_made_at_once),
        T(a_lost_connection_does_not_wait_for_the_request),
    };
    return cmocka_run_group_tests_name("postgres cancel", tests, NULL, NULL);
}
