/* Link: operations whose time is over, what is canceled when somebody gives up, and where statements come from. */
#include "link_support.h"

#include <unistd.h>

enum { LIMIT = 2000 };

static hd_error_kind start_limited(const char *sql, unsigned flags, hd_time limit) {
    one = text(sql);
    batch = (hd_batch){&one, 1, NULL, NULL};
    hd_link_prepare(&link_);
    return hd_link_run(&link_, &batch, flags, limit);
}

/* As a host does that polls: until the operation ends, or for three seconds. */
static hd_step wait_out(void) {
    hd_time end = hd_now() + 3000000;
    hd_step now;
    while ((now = step()) == HD_WAIT && hd_now() < end) {
        hd_time left = waiting.until - hd_now();
        if (left > 0) usleep((useconds_t)(left < 10000 ? left : 10000));
    }
    return now;
}

static hd_step run_limited(const char *sql, unsigned flags) {
    return start_limited(sql, flags, LIMIT) == HD_OK ? wait_out() : HD_FAILED;
}

/* ---- The limit ---- */

static void a_limit_cancels_and_keeps_the_connection(void **state) {
    (void)state;
    fake.stuck = fake.obeys = true;
    hd_time began = hd_now();
    assert_int_equal(run_limited("a", 0), HD_FAILED);
    hd_time spent = hd_now() - began;
    assert_true(spent >= LIMIT && spent < 500000);
    assert_int_equal(link_.error.kind, HD_E_TIMEOUT);
    assert_int_equal(link_.error.statement, 0);
    assert_non_null(strstr(link_.error.message, "0.002 seconds"));
    assert_int_equal(fake.canceled, 1);
    assert_int_equal(fake.live, 1);
    assert_int_equal(in_use(), 0);
    fake.stuck = false;
    assert_int_equal(run("b", 0), HD_DONE);
    assert_int_equal(fake.opened, 1);
}

/* The host says how it waits. */
static void cancelling_is_offloaded_where_the_host_waits_in_a_scheduler(void **state) {
    (void)state;
    for (int offload = 0; offload < 2; offload++) {
        fake.stuck = fake.obeys = true;
        fake.cannot_abandon = false;
        link_.offload = offload;
        fake.offloaded = !offload;
        assert_int_equal(run_limited("a", 0), HD_FAILED); /* its limit */
        assert_int_equal(fake.offloaded, offload);
        fake.cannot_abandon = true;
        assert_int_equal(start("b", 0), HD_OK);
        assert_int_equal(step(), HD_WAIT);
        fake.offloaded = !offload;
        hd_link_reset(&link_); /* nobody waits for it */
        assert_int_equal(fake.offloaded, offload);
    }
    assert_int_equal(fake.canceled, 4);
}

static void the_waits_end_with_the_limit(void **state) {
    (void)state;
    fake.stuck = fake.obeys = true;
    assert_int_equal(start_limited("a", 0, LIMIT), HD_OK);
    assert_int_equal(step(), HD_WAIT);
    assert_true(waiting.until <= hd_now() + LIMIT);
    usleep(LIMIT);
    assert_int_equal(step(), HD_FAILED);
}

static void what_is_in_time_is_left_alone(void **state) {
    (void)state;
    fake.wait_at = 1;
    assert_int_equal(start_limited("a", 0, 5000000), HD_OK);
    assert_int_equal(step(), HD_WAIT);
    assert_int_equal(wait_out(), HD_DONE);
    assert_int_equal(fake.canceled, 0);
}

/* Somebody else's cancelling has nothing to do with the limit. */
static void canceled_by_another_is_canceled(void **state) {
    (void)state;
    for (int limited = 0; limited < 2; limited++) {
        fake.stuck = fake.obeys = true;
        assert_int_equal(start_limited("a", 0, limited ? 5000000 : HD_NEVER), HD_OK);
        assert_int_equal(step(), HD_WAIT);
        fake_driver.cancel(link_.ticket.conn, false);
        assert_int_equal(step(), HD_FAILED);
        assert_int_equal(link_.error.kind, HD_E_CANCELED);
        assert_int_equal(fake.live, 1);
        fake.stuck = false;
    }
}

static void what_ends_all_the_same_has_ended(void **state) {
    (void)state;
    fake.rows = 2;
    fake.stuck = fake.ends = true;
    assert_int_equal(start_limited("select", 0, LIMIT), HD_OK);
    assert_int_equal(wait_out(), HD_ROW);
    assert_int_equal(finish(step()), HD_DONE);
    assert_int_equal(one.affected, 2);
    assert_int_equal(fake.canceled, 1);
    begin();
    fake.stuck = true;
    assert_int_equal(run_limited("a", HD_RUN_COMMIT), HD_DONE);
    assert_int_equal(link_.depth, 0);
    assert_sent("select;BEGIN;a;COMMIT;");
}

static void a_server_that_does_not_answer_is_left(void **state) {
    (void)state;
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    fake.stuck = true;
    hd_time began = hd_now();
    assert_int_equal(run_limited("b", HD_RUN_COMMIT | HD_RUN_XID), HD_FAILED);
    assert_true(hd_now() - began < 2500000);
    assert_int_equal(link_.error.kind, HD_E_TIMEOUT);
    assert_non_null(strstr(link_.error.message, "0.002 seconds"));
    assert_int_equal(link_.error.outcome, HD_OUTCOME_UNKNOWN);
    assert_int_equal(fake.canceled, 4); /* asked again, in the case that it had not begun */
    assert_int_equal(fake.live, 0);
    assert_true(link_.over);
    fake.stuck = false;
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    assert_int_equal(run("c", 0), HD_DONE);
}

static void a_transaction_outlives_a_limit(void **state) {
    (void)state;
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    savepoint();
    fake.wait_at = 2;
    fake.obeys = true;
    assert_int_equal(start_limited("b", 0, LIMIT), HD_OK);
    assert_int_equal(step(), HD_WAIT);
    usleep(LIMIT);
    fake.stuck = true;
    assert_int_equal(wait_out(), HD_FAILED);
    fake.stuck = false;
    assert_false(link_.over);
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    assert_int_equal(run("c", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_sent("BEGIN;a;SAVEPOINT hd_2;b;ROLLBACK TO SAVEPOINT hd_2;RELEASE SAVEPOINT "
                "hd_2;c;COMMIT;");
}

/* The pool's queue, connecting and on_connect have limits of their own. */
static void the_limit_begins_with_the_statement(void **state) {
    (void)state;
    hd_link other;
    hd_link_init(&other, pool);
    assert_int_equal(hd_link_begin(&other, "BEGIN"), 0);
    hd_step now = hd_link_hold(&other);
    while (now == HD_WAIT) now = hd_link_step(&other, &waiting);
    assert_int_equal(now, HD_DONE);
    assert_int_equal(start_limited("a", 0, LIMIT), HD_OK);
    assert_int_equal(step(), HD_WAIT);
    usleep(2 * LIMIT);
    assert_int_equal(step(), HD_WAIT);
    hd_link_free(&other);
    assert_int_equal(wait_out(), HD_DONE);
    assert_int_equal(fake.canceled, 0);
}

static void greeting_is_not_of_the_statements_time(void **state) {
    (void)state;
    link_.want_on_connect = true;
    assert_int_equal(start_limited("a", 0, 20000), HD_OK);
    assert_int_equal(step(), HD_HOST);
    hd_link_park(&link_);
    hd_statement greeting = text("set x");
    const hd_batch greetings = {&greeting, 1, NULL, NULL};
    hd_link_prepare(&link_);
    assert_int_equal(hd_link_run(&link_, &greetings, HD_RUN_BARE, HD_NEVER), HD_OK);
    assert_int_equal(finish(step()), HD_DONE);
    usleep(25000);
    hd_link_unpark(&link_);
    fake.wait_at = 1;
    assert_int_equal(step(), HD_WAIT);
    assert_true(waiting.until > hd_now() && waiting.until <= hd_now() + 20000);
    assert_int_equal(finish(step()), HD_DONE);
    assert_int_equal(fake.canceled, 0);
}

static void the_driver_knows_the_deadline(void **state) {
    (void)state;
    begin();
    fake.stuck = fake.obeys = true;
    assert_int_equal(start_limited("a", 0, 5000000), HD_OK);
    assert_int_equal(step(), HD_WAIT);
    hd_conn *conn = link_.ticket.conn;
    assert_true(conn->deadline > hd_now() && conn->deadline <= hd_now() + 5000000);
    fake.stuck = false;
    assert_int_equal(wait_out(), HD_DONE);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_true(conn->deadline == HD_NEVER);
    assert_int_equal(start_limited("c", 0, 5000000), HD_OK);
    fake.wait_at = 1;
    assert_int_equal(step(), HD_WAIT);
    hd_link_reset(&link_); /* its ROLLBACK has all the time it needs */
    assert_true(conn->deadline == HD_NEVER);
    assert_int_equal(fake.live, 1);
}

/* ---- Giving up ---- */

static void what_runs_is_canceled_before_it_is_closed(void **state) {
    (void)state;
    fake.cannot_abandon = true;
    fake.wait_at = 1;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    hd_link_reset(&link_);
    assert_int_equal(fake.canceled, 1);
    assert_int_equal(fake.live, 0);
    fake.rows = 3;
    start("select", 0);
    assert_int_equal(step(), HD_ROW);
    hd_link_finish(&link_);
    assert_int_equal(fake.canceled, 2);
    assert_int_equal(fake.live, 0);
}

static void nothing_is_canceled_where_nothing_runs(void **state) {
    (void)state;
    hd_link_reset(&link_);
    fake.connect_waits = 1;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT); /* connecting */
    hd_link_reset(&link_);
    fake.connect_waits = 0;
    fake.wait_at = 1;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    hd_link_reset(&link_); /* running, and quiet without waiting */
    begin();
    assert_int_equal(run("b", 0), HD_DONE);
    hd_link_reset(&link_); /* idle in a transaction */
    assert_int_equal(fake.canceled, 0);
}

static void each_operation_has_a_number(void **state) {
    (void)state;
    uint32_t before = link_.serial;
    run("a", 0);
    uint32_t first = link_.serial;
    run("b", 0);
    assert_true(first != before && link_.serial != first);
    uint32_t second = link_.serial;
    hd_link_reset(&link_);
    assert_true(link_.serial != second);
}

/* ---- Where a statement comes from ---- */

static void comment(const char *place) {
    hd_link_comment(&link_, place, place ? strlen(place) : 0);
}

static void a_comment_stands_behind_each_statement(void **state) {
    (void)state;
    comment("app.lua:12");
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    assert_int_equal(link_.run[1].hash, hd_sql_hash("a /* app.lua:12 */", 18));
    assert_int_equal(run("b", HD_RUN_COMMIT), HD_DONE);
    comment(NULL);
    assert_int_equal(run("c", 0), HD_DONE);
    assert_sent("BEGIN;a /* app.lua:12 */;b /* app.lua:12 */;COMMIT;c;");
    assert_string_equal(one.sql, "c");
}

static void no_name_of_a_file_ends_the_comment(void **state) {
    (void)state;
    comment("a*/; drop table t; /*$1?\n\"'.lua:1");
    assert_int_equal(run("a", 0), HD_DONE);
    assert_sent("a /* a_/_ drop table t_ /__1____.lua:1 */;");
    const char inside[] = {'a', '\0', 'b', (char)0xC3, (char)0xA4};
    hd_link_comment(&link_, inside, sizeof inside);
    assert_int_equal(run("a", 0), HD_DONE);
    assert_sent("a /* a_b__ */;");
    char endless[500];
    memset(endless, 'x', sizeof endless);
    hd_link_comment(&link_, endless, sizeof endless);
    assert_int_equal(strlen(link_.comment), HD_LINK_COMMENT - 1);
    assert_string_equal(link_.comment + HD_LINK_COMMENT - 5, "x */");
    comment("");
    assert_int_equal(run("a", 0), HD_DONE);
}

static void a_greeting_has_a_comment_of_its_own(void **state) {
    (void)state;
    link_.want_on_connect = true;
    comment("app.lua:1");
    start("a", 0);
    assert_int_equal(step(), HD_HOST);
    hd_link_park(&link_);
    comment("config.lua:2");
    hd_statement greeting = text("set x");
    const hd_batch greetings = {&greeting, 1, NULL, NULL};
    hd_link_prepare(&link_);
    hd_link_run(&link_, &greetings, HD_RUN_BARE, HD_NEVER);
    assert_int_equal(finish(step()), HD_DONE);
    hd_link_unpark(&link_);
    assert_int_equal(finish(step()), HD_DONE);
    assert_sent("set x /* config.lua:2 */;a /* app.lua:1 */;");
}

static void without_memory_for_the_comment_it_fails(void **state) {
    (void)state;
    static char sql[100000];
    memset(sql, 'x', sizeof sql - 1);
    comment("app.lua:12");
    assert_int_equal(run("a", 0), HD_DONE);
    int failures = 0;
    for (long n = 1; n < 20; n++) {
        hd_arena_free(&link_.arena);
        start(sql, 0);
        scarce_from(n);
        hd_step now = finish(step());
        scarce_from(0);
        if (now == HD_DONE) break;
        failures++;
        assert_int_equal(link_.error.kind, HD_E_DRIVER);
        assert_int_equal(in_use(), 0);
    }
    assert_true(failures >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_limit_cancels_and_keeps_the_connection),
        TEST(cancelling_is_offloaded_where_the_host_waits_in_a_scheduler),
        TEST(the_waits_end_with_the_limit),
        TEST(what_is_in_time_is_left_alone),
        TEST(canceled_by_another_is_canceled),
        TEST(what_ends_all_the_same_has_ended),
        TEST(a_server_that_does_not_answer_is_left),
        TEST(a_transaction_outlives_a_limit),
        TEST(the_limit_begins_with_the_statement),
        TEST(greeting_is_not_of_the_statements_time),
        TEST(the_driver_knows_the_deadline),
        TEST(what_runs_is_canceled_before_it_is_closed),
        TEST(nothing_is_canceled_where_nothing_runs),
        TEST(each_operation_has_a_number),
        TEST(a_comment_stands_behind_each_statement),
        TEST(no_name_of_a_file_ends_the_comment),
        TEST(a_greeting_has_a_comment_of_its_own),
        TEST(without_memory_for_the_comment_it_fails),
    };
    return cmocka_run_group_tests_name("link limits", tests, NULL, NULL);
}
