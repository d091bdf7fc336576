/* Memory runs out: every allocation of a connection's life fails once, and from some moment all of
 * them. The batch then fails with that error or gives what it should; the connection says truly
 * where it stands, goes on working if it can, and gives everything back. */
#include "postgres_support.h"

static hd_step copy(pg *p) {
    enum { ROWS = 900 }; /* more than one piece of the stream */
    static char text[100];
    hd_value params[ROWS];
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < ROWS; i++) params[i] = text_value(text, HD_TEXT, HD_T_TEXT);
    hd_statement s[] = {plain("begin"), plain("create temporary table copied (name text)"),
                        with_params("copy copied from stdin (format binary)", params, ROWS),
                        plain("rollback")};
    s[2].copy = 1;
    s[2].expect = ROWS;
    return run(p, s, COUNT(s));
}

/* What a connection does in this test; gives what the first unsuccessful batch ended with. */
static hd_step live(pg *p) {
    static const uint8_t types[] = {HD_T_BIGINT, HD_T_TEXT, HD_T_DECIMAL, HD_T_UUID, HD_T_ARRAY};
    hd_value ids[] = {hd_int(1, 0), hd_int(2, 0), hd_null()};
    hd_value amounts[] = {text_value("1.50", HD_DECIMAL, 0), hd_null(), hd_int(2, 0)};
    hd_list lists[] = {{HD_T_BIGINT, 3, ids}, {HD_T_DECIMAL, 3, amounts}};
    hd_value bulk[] = {list_value(&lists[0], HD_T_BIGINT), list_value(&lists[1], HD_T_DECIMAL)};
    hd_value one = hd_int(5, HD_T_BIGINT);
    hd_statement s[] = {
        plain("begin"), with_params("select * from unnest($1, $2) as t(id, amount)", bulk, 2),
        with_params("select $1, repeat('x', 3000), 2.50, '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"
                    "::uuid, array[['a', null], ['b', 'c']]",
                    &one, 1),
        text_of("select 'a' as name, array['x\"', null, 'z'], '\\x0102'::bytea, '10:00'::time"),
        plain("rollback")};
    hd_statement script = plain("select 1; select 2");
    with_types(&s[2], types, COUNT(types));
    script.simple = true;
    hd_step step = run(p, s, COUNT(s));
    if (step == HD_DONE) step = run(p, &script, 1);
    if (step == HD_DONE) step = copy(p);
    for (int i = 0; i < 4 && step == HD_DONE; i++) { /* evicts and closes */
        char sql[32];
        snprintf(sql, sizeof sql, "select %d", i);
        hd_statement t = text_of(sql);
        step = run(p, &t, 1);
    }
    if (step != HD_DONE) return step;
    hd_statement bad = text_of("select * from nowhere");
    assert_int_equal(run(p, &bad, 1), HD_FAILED);
    assert_true(p->err.kind == HD_E_TABLE_NOT_FOUND || p->err.kind == HD_E_DRIVER);
    return HD_DONE;
}

/* A failed batch must leave a connection that knows where it stands. */
static void check_connection(pg *p, scarce *s) {
    s->fail_at = 0;
    hd_conn_status status = status_of(p, true);
    if (status == HD_CONN_TRANSACTION || status == HD_CONN_FAILED) {
        hd_statement rollback = plain("rollback");
        assert_runs(p, &rollback, 1);
        status = status_of(p, true);
    }
    if (status != HD_CONN_IDLE) fail_msg("status is %d", status);
    if (live(p) != HD_DONE) fail_msg("%s", p->err.message);
}

/* True when the n-th allocation is beyond the last. */
static bool fail_from(long n, bool for_good) {
    scarce s;
    pg p;
    const hd_option options[] = {{"url", conninfo()}, {"statement_cache", "3"}};
    scarce_init(&s);
    s.fail_at = n;
    s.for_good = for_good;
    bool opened = open_with(&p, &s.mem, options, 2);
    if (opened) {
        bool connected = drive_connect(&p, "a password") == HD_DONE;
        if (connected && live(&p) == HD_FAILED) {
            if (p.err.kind != HD_E_DRIVER) fail_msg("allocation %ld: %s", n, p.err.message);
        }
        if (connected && s.calls >= n) check_connection(&p, &s);
        if (!connected) assert_int_equal(p.err.kind, HD_E_DRIVER);
    } else {
        assert_int_equal(p.err.kind, HD_E_DRIVER);
    }
    bool beyond = s.calls < n;
    close_pg(&p);
    if (s.live != 0) fail_msg("allocation %ld: %ld were not given back", n, s.live);
    return beyond;
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    long n = 1;
    while (!fail_from(n, false)) n++;
    assert_true(n > 30);
}

static void all_allocations_may_fail(void **state) {
    (void)state;
    long n = 1;
    while (!fail_from(n, true)) n++;
    assert_true(n > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(all_allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
