/* Link: operations that are broken off, fresh connections, forks, any order of acts, and scarce memory. */
#include "link_support.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- Breaking off ---- */

static void breaking_off_is_possible_at_every_step(void **state) {
    (void)state;
    hd_link other;
    hd_link_init(&other, pool);
    hd_link_reset(&link_); /* idle */
    fake.connect_waits = 2;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    hd_link_reset(&link_); /* connecting */
    assert_int_equal(fake.live, 0);
    fake.connect_waits = 0;
    fake.wait_at = 1;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    hd_statement theirs = text("b");
    const hd_batch theirs_too = {&theirs, 1, NULL, NULL};
    assert_int_equal(hd_link_run(&other, &theirs_too, 0, HD_NEVER), HD_OK);
    assert_int_equal(hd_link_step(&other, &waiting), HD_WAIT);
    assert_true(hd_link_is_queued(&other));
    hd_link_reset(&other); /* queued */
    hd_link_reset(&link_); /* running, and quiet again */
    assert_int_equal(fake.closed, 1);
    assert_int_equal(in_use(), 0);
    fake.wait_at = 1;
    fake.cannot_abandon = true;
    start("a", 0);
    step();
    hd_link_reset(&link_); /* running, and not to be stopped */
    assert_int_equal(fake.live, 0);
    hd_link_free(&other);
    hd_link_free(&other);
}

static void who_goes_on_with_what_was_broken_off_is_told(void **state) {
    (void)state;
    fake.wait_at = 1;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    hd_link_reset(&link_);
    assert_int_equal(step(), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_CANCELED);
    assert_int_equal(run("b", 0), HD_DONE);
}

static void a_broken_operation_ends_a_transaction_that_was_begun(void **state) {
    (void)state;
    begin();
    fake.wait_at = 2;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    hd_link_reset(&link_); /* its first one: as if it had never been tried */
    assert_false(link_.over);
    assert_int_equal(link_.depth, 1);
    assert_int_equal(run("b", 0), HD_DONE);
    fake.wait_at = 1;
    start("c", 0);
    step();
    hd_link_reset(&link_);
    assert_true(link_.over);
    assert_int_equal(in_use(), 0);
    assert_int_equal(run("d", 0), HD_FAILED);
    assert_int_equal(end(hd_link_commit), HD_FAILED);
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    assert_int_equal(run("e", 0), HD_DONE);
    assert_sent("BEGIN;a;ROLLBACK;BEGIN;b;c;ROLLBACK;e;");
}

static void a_kept_connection_stays_and_is_put_right(void **state) {
    (void)state;
    assert_int_equal(hd_link_keep(&link_, "restore"), 0);
    assert_int_equal(in_use(), 0);
    assert_int_equal(run("change", 0), HD_DONE);
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_int_equal(in_use(), 1);
    assert_int_equal(hd_link_keep(&link_, NULL), 0); /* the host has seen to it */
    assert_int_equal(in_use(), 0);
    assert_sent("change;BEGIN;a;COMMIT;");

    assert_int_equal(hd_link_keep(&link_, "restore"), 0);
    begin();
    assert_int_equal(run("b", 0), HD_DONE);
    hd_link_reset(&link_);
    assert_int_equal(in_use(), 0);
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    assert_int_equal(run("c", 0), HD_DONE);
    assert_int_equal(in_use(), 0);
    assert_sent("BEGIN;b;ROLLBACK;restore;c;");

    assert_int_equal(hd_link_keep(&link_, "restore"), 0);
    assert_int_equal(run("d", 0), HD_DONE);
    fake.wait_at = 1; /* it would take a wait: closed */
    hd_link_reset(&link_);
    assert_int_equal(fake.live, 0);
    assert_sent("d;restore;");
}

/* ---- A fresh connection ---- */

static void the_host_greets_each_fresh_connection(void **state) {
    (void)state;
    link_.want_on_connect = true;
    begin();
    assert_int_equal(start("a", 0), HD_OK);
    assert_int_equal(step(), HD_HOST);
    assert_int_equal(link_.need, HD_NEED_ON_CONNECT);
    hd_link_park(&link_);
    hd_statement greeting = text("set x");
    const hd_batch greetings = {&greeting, 1, NULL, NULL};
    for (int i = 0; i < 2; i++) {
        hd_link_prepare(&link_);
        assert_int_equal(hd_link_run(&link_, &greetings, HD_RUN_BARE, HD_NEVER), HD_OK);
        assert_int_equal(finish(step()), HD_DONE);
        assert_int_equal(in_use(), 1);
    }
    hd_link_unpark(&link_);
    assert_int_equal(finish(step()), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_sent("set x;set x;BEGIN;a;COMMIT;b;");
}

static void an_ungreeted_connection_is_not_kept(void **state) {
    (void)state;
    link_.want_on_connect = true;
    for (int i = 1; i <= 2; i++) {
        start("a", 0);
        assert_int_equal(step(), HD_HOST);
        hd_link_park(&link_);
        if (i == 2) {
            hd_statement greeting = text("set x");
            const hd_batch greetings = {&greeting, 1, NULL, NULL};
            fake.fail_at = 1;
            hd_link_prepare(&link_);
            hd_link_run(&link_, &greetings, HD_RUN_BARE, HD_NEVER);
            assert_int_equal(finish(step()), HD_FAILED);
        }
        hd_link_reset(&link_);
        assert_int_equal(fake.closed, i);
    }
    assert_int_equal(in_use(), 0);
}

static void a_connection_lost_while_it_was_greeted_is_opened_again(void **state) {
    (void)state;
    link_.want_on_connect = true;
    start("a", 0);
    step();
    hd_link_park(&link_);
    hd_statement greeting = text("set x");
    const hd_batch greetings = {&greeting, 1, NULL, NULL};
    fake.lose_at = 1;
    hd_link_prepare(&link_);
    hd_link_run(&link_, &greetings, HD_RUN_BARE, HD_NEVER);
    assert_int_equal(finish(step()), HD_FAILED);
    hd_link_unpark(&link_); /* a host that swallows the error */
    assert_int_equal(step(), HD_HOST);
    assert_int_equal(fake.opened, 2);
    hd_link_reset(&link_);
}

static void the_host_gives_the_password(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 1, .host_password = true};
    hd_link_free(&link_);
    hd_pool_unref(pool);
    make_pool(&limits);
    start("a", 0);
    assert_int_equal(step(), HD_HOST);
    assert_int_equal(link_.need, HD_NEED_PASSWORD);
    hd_link_reset(&link_);
    assert_int_equal(in_use(), 0);
    start("a", 0);
    step();
    assert_int_equal(hd_ticket_password(&link_.ticket, "pw", 2), 0);
    assert_int_equal(finish(step()), HD_DONE);
    assert_string_equal(fake.password, "pw");
}

/* ---- Forks ---- */

static void in_child(int (*run_child)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(run_child());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Nothing is sent on what the parent holds; the transaction is over here. */
static int child_in_transaction(void) {
    fake.log[0] = '\0';
    if (run("b", 0) != HD_FAILED || link_.error.kind != HD_E_CONNECTION) return 1;
    if (end(hd_link_rollback) != HD_DONE || fake.log[0]) return 2;
    if (run("c", 0) != HD_DONE || strcmp(fake.log, "c;") != 0 || fake.opened != 2) return 3;
    return fake.discarded == 1 && fake.closed == 0 ? 0 : 4;
}

static int child_only_ends(void) {
    fake.log[0] = '\0';
    hd_link_free(&link_);
    hd_pool_unref(pool);
    return !fake.log[0] && fake.discarded == 1 && fake.closed == 0 && memory.live == 0 ? 0 : 1;
}

static int child_rolls_back(void) {
    fake.log[0] = '\0';
    if (link_.depth > 1 && end(hd_link_rollback_to) != HD_DONE) return 1;
    return end(hd_link_rollback) == HD_DONE && !fake.log[0] && fake.discarded == 1 ? 0 : 2;
}

static int child_goes_on_waiting(void) {
    fake.log[0] = '\0';
    if (step() != HD_FAILED || link_.error.kind != HD_E_CONNECTION) return 1;
    if (run("c", 0) != HD_DONE || strcmp(fake.log, "c;") != 0) return 2;
    return fake.discarded == 1 && fake.closed == 0 ? 0 : 3;
}

static void a_child_does_not_touch_the_parents_transaction(void **state) {
    (void)state;
    begin();
    savepoint();
    run("a", 0);
    in_child(child_in_transaction);
    in_child(child_only_ends);
    in_child(child_rolls_back);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_sent("BEGIN;SAVEPOINT hd_2;a;b;COMMIT;");
}

static void a_child_does_not_go_on_with_the_parents_operation(void **state) {
    (void)state;
    fake.wait_at = 1;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    in_child(child_goes_on_waiting);
    in_child(child_only_ends);
    assert_int_equal(finish(HD_WAIT), HD_DONE);
}

/* ---- Any order ---- */

static uint32_t seed;

static uint32_t dice(uint32_t sides) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

/* A SAVEPOINT that itself failed undoes nothing. */
static bool only_rollback_helps(void) {
    hd_conn *conn = link_.ticket.conn;
    return link_.over || (conn && fake_driver.status(conn, false) == HD_CONN_FAILED);
}

/* One random act that a host may do now; the fake driver minds the nesting. */
static void act(bool *failed) {
    uint32_t depth = link_.depth;
    if (dice(6) == 0) fake.wait_at = 1 + (int)dice(3);
    if (dice(9) == 0) fake.fail_at = 1 + (int)dice(3);
    if (dice(40) == 0) fake.lose_at = 1 + (int)dice(3);
    uint32_t choice = dice(8);
    if (choice < 3 && !*failed) {
        *failed = run(dice(2) ? "a" : "select x", dice(4) ? 0 : HD_RUN_XID) != HD_DONE &&
                  only_rollback_helps();
    } else if (choice == 3 && depth == 0) {
        begin();
        if (dice(2)) end(hd_link_hold);
    } else if (choice == 4 && depth > 0 && depth < 6 && !*failed) {
        savepoint();
    } else if (choice == 5 && depth > 1) {
        if (*failed || dice(2))
            *failed = end(hd_link_rollback_to) != HD_DONE || only_rollback_helps();
        else
            hd_link_release(&link_);
    } else if (choice == 6 && depth > 0) {
        if (*failed || dice(2) || end(hd_link_commit) != HD_DONE) end(hd_link_rollback);
        *failed = false;
    } else if (choice == 7 && !*failed && dice(10) == 0) {
        if (start("a", 0) == HD_OK) step();
        hd_link_reset(&link_);
        *failed = link_.over;
    }
    fake.wait_at = fake.fail_at = fake.lose_at = 0;
    fake.log[0] = '\0';
    bool held = link_.ticket.conn != NULL;
    assert_int_equal(in_use(), held);
    assert_true(!held || link_.depth > 0);           /* nothing is kept behind a transaction */
    assert_true(held || !link_.began || link_.over); /* and nothing is lost within one */
}

static void transactions_nest_whatever_happens(void **state) {
    (void)state;
    fake.rows = 1;
    for (seed = 1; seed < 200000; seed += 997) {
        bool failed = false;
        uint32_t from = seed;
        for (int i = 0; i < 200; i++) {
            act(&failed);
            if (fake.bad != HD_DONE) fail_msg("seed %u, act %d", from, i);
        }
        end(hd_link_rollback);
        assert_int_equal(link_.depth, 0);
        seed = from;
    }
}

/* ---- Memory ---- */

/* A little of everything; 0 when all of it worked, and never anything out of place. */
static int work(void) {
    static const hd_pool_limits limits = {.max = 1};
    hd_error err;
    hd_error_init(&err, &scarce);
    pool = hd_pool_new(&scarce, &fake_driver, NULL, 0, &limits, &err);
    hd_error_clear(&err);
    if (!pool) return 1;
    hd_link_init(&link_, pool);
    int failed = 0;
    failed += run("a", 0) != HD_DONE;
    failed += hd_link_begin(&link_, "BEGIN") != 0;
    failed += hd_link_savepoint(&link_) != 0;
    failed += run("b", HD_RUN_XID) != HD_DONE;
    if (link_.depth == 2) failed += end(hd_link_rollback_to) != HD_DONE;
    failed += hd_link_savepoint(&link_) != 0;
    failed += run("select x", 0) != HD_DONE;
    if (link_.depth == 2) failed += hd_link_release(&link_) != 0;
    if (link_.depth > 0 && (failed || end(hd_link_commit) != HD_DONE)) {
        failed++;
        end(hd_link_rollback);
    }
    failed += hd_link_begin(&link_, "BEGIN") != 0;
    failed += run("c", 0) != HD_DONE;
    failed += end(hd_link_rollback) != HD_DONE;
    if (in_use() != 0) return -1;
    failed += run("d", 0) != HD_DONE;
    if (in_use() != 0) return -1;
    return failed;
}

static void out_of_memory_at_every_allocation(void **state) {
    (void)state;
    long n = 0;
    int failed;
    hd_link_free(&link_);
    hd_pool_unref(pool);
    fake.rows = 1;
    do {
        scarce_from(++n);
        failed = work();
        hd_link_free(&link_);
        if (pool) hd_pool_unref(pool);
        pool = NULL;
        assert_true(failed >= 0);
        assert_int_equal(fake.live, 0);
        assert_int_equal(memory.live, 0);
    } while (memory.calls >= n);
    assert_int_equal(failed, 0);
    assert_true(n > 10);
    fake.bad = HD_DONE; /* statements without their BEGIN were refused */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(breaking_off_is_possible_at_every_step),
        TEST(who_goes_on_with_what_was_broken_off_is_told),
        TEST(a_broken_operation_ends_a_transaction_that_was_begun),
        TEST(a_kept_connection_stays_and_is_put_right),
        TEST(the_host_greets_each_fresh_connection),
        TEST(an_ungreeted_connection_is_not_kept),
        TEST(a_connection_lost_while_it_was_greeted_is_opened_again),
        TEST(the_host_gives_the_password),
        TEST(a_child_does_not_touch_the_parents_transaction),
        TEST(a_child_does_not_go_on_with_the_parents_operation),
        TEST(transactions_nest_whatever_happens),
        TEST(out_of_memory_at_every_allocation),
    };
    return cmocka_run_group_tests_name("link, broken off", tests, NULL, NULL);
}
