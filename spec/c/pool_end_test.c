/* Pool: tickets that are given up, pools that are closed, forks, and scarce memory and descriptors. */
#include "pool_support.h"

#include <sys/wait.h>

/* ---- Giving up ---- */

static void giving_up_is_possible_in_every_state(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t[4];
    tickets(t, 4);
    hd_pool_give_up(&t[0]); /* new */
    fake.connect_waits = 5;
    assert_int_equal(acquire(&t[0]), HD_WAIT);
    hd_pool_give_up(&t[0]); /* connecting */
    assert_int_equal(stats().size, 0);
    assert_int_equal(stats().closed, 0); /* it was never open */
    fake.connect_waits = 0;
    acquire(&t[0]);
    acquire(&t[1]);
    acquire(&t[2]);
    acquire(&t[3]);
    hd_pool_give_up(&t[2]); /* queued */
    assert_int_equal(stats().waiting, 1);
    hd_pool_release(&t[0]);
    hd_pool_give_up(&t[3]); /* queued, with a connection in its hand */
    assert_int_equal(stats().idle, 1);
    hd_pool_give_up(&t[1]); /* held */
    hd_pool_give_up(&t[1]); /* again */
    assert_int_equal(stats().size, 1);
    free_tickets(t, 4);
}

static void what_was_handed_to_somebody_gone_goes_to_the_next(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t[6];
    tickets(t, 6);
    for (int i = 0; i < 6; i++) acquire(&t[i]);
    hd_conn *conn = t[0].conn;
    hd_pool_release(&t[0]); /* to 2: a connection */
    hd_pool_give_up(&t[1]); /* to 3: a place */
    hd_pool_give_up(&t[2]); /* to 4 */
    hd_pool_give_up(&t[3]); /* to 5 */
    assert_int_equal(acquire(&t[4]), HD_DONE);
    assert_ptr_equal(t[4].conn, conn);
    assert_int_equal(acquire(&t[5]), HD_DONE);
    assert_int_equal(stats().size, 2);
    free_tickets(t, 6);
}

/* ---- Closing ---- */

static void close_ends_every_ticket(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t[5];
    tickets(t, 5);
    for (int i = 0; i < 4; i++) acquire(&t[i]);
    hd_pool_release(&t[0]); /* in the hand of 2 */
    hd_pool_close(pool);
    assert_true(hd_pool_is_closed(pool));
    assert_true(is_woken(&t[2]) && is_woken(&t[3]));
    for (int i = 2; i < 5; i++) {
        assert_int_equal(acquire(&t[i]), HD_FAILED);
        assert_int_equal(err.kind, HD_E_CLOSED);
    }
    hd_pool_release(&t[1]); /* lent until now */
    assert_int_equal(stats().size, 0);
    assert_int_equal(fake.live, 0); /* what was handed over, too */
    free_tickets(t, 5);
}

static void tickets_outlive_the_pools_owner(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t;
    tickets(&t, 1);
    acquire(&t);
    hd_pool_close(pool);
    hd_pool_unref(pool);
    pool = NULL;
    hd_pool_release(&t);
    hd_ticket_free(&t);
    hd_ticket_free(&t); /* twice is fine */
}

/* ---- Forks ---- */

/* Runs a function in a child; its result has to be 0. */
static void in_child(int (*run)(void *), void *ctx) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(run(ctx));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int child_begins_empty(void *ctx) {
    hd_ticket *t = ctx;
    if (stats().size != 0 || stats().waiting != 0 || fake.closed != 0) return 1;
    hd_ticket mine;
    hd_ticket_init(&mine, pool);
    if (hd_pool_acquire(&mine, &waiting, &err) != HD_DONE) return 2;
    if (fake.opened != 4 || stats().size != 1) return 3;
    hd_pool_release(&mine);
    /* The parent's: held, idle, handed over, queued. None of them may be lent, closed or waited for here. */
    for (int i = 0; i < 4; i++) hd_ticket_check(&t[i]);
    if (fake.discarded != 3 || fake.closed != 0) return 4;
    if (t[3].wake.read_fd != -1) return 7; /* or it would wake the parent's */
    for (int i = 0; i < 4; i++) hd_pool_release(&t[i]);
    if (hd_pool_acquire(&t[0], &waiting, &err) != HD_DONE || t[0].conn->id < 4) return 5;
    hd_pool_give_up(&t[0]);
    free_tickets(t, 5);
    hd_ticket_free(&mine);
    hd_pool_unref(pool);
    return fake.live == 0 && memory.live == 0 ? 0 : 6;
}

static void a_child_leaves_the_parents_connections_alone(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max = 3;
    make(&limits);
    hd_ticket t[5];
    tickets(t, 5);
    for (int i = 0; i < 5; i++) acquire(&t[i]);
    hd_pool_release(&t[1]); /* in the hand of 3 */
    hd_pool_give_up(&t[4]);
    hd_pool_release(&t[2]); /* idle */
    in_child(child_begins_empty, t);
    assert_true(is_woken(&t[3])); /* the child took nothing of the parent's */
    assert_int_equal(acquire(&t[3]), HD_DONE);
    assert_int_equal(stats().size, 3);
    assert_int_equal(fake.opened, 3);
    free_tickets(t, 5);
}

static int child_frees(void *ctx) {
    free_tickets(ctx, 2);
    hd_pool_unref(pool);
    return fake.closed == 0 && fake.discarded == 1 && fake.live == 0 && memory.live == 0 ? 0 : 1;
}

static void a_child_that_only_ends_says_no_goodbye(void **state) {
    (void)state;
    make(&plain);
    fake.connect_waits = 1;
    hd_ticket t[2];
    tickets(t, 2);
    acquire(&t[0]); /* connecting */
    in_child(child_frees, t);
    assert_int_equal(acquire(&t[0]), HD_DONE);
    free_tickets(t, 2);
}

/* ---- Memory ---- */

static hd_step work(void) {
    hd_ticket t[2];
    static const hd_option options[] = {{"database", "x"}};
    const hd_pool_limits limits = {.max = 1, .host_password = true};
    pool = hd_pool_new(&scarce, &fake_driver, options, 1, &limits, &err);
    if (!pool) return HD_FAILED;
    tickets(t, 2);
    hd_step step = acquire(&t[0]);
    if (step == HD_HOST)
        step = hd_ticket_password(&t[0], "pw", 2) == 0 ? acquire(&t[0]) : HD_FAILED;
    if (step == HD_DONE) {
        assert_int_equal(acquire(&t[1]), HD_WAIT);
        hd_pool_release(&t[0]);
        step = acquire(&t[1]);
    }
    free_tickets(t, 2);
    hd_pool_unref(pool);
    pool = NULL;
    return step;
}

static void out_of_memory_at_every_allocation(void **state) {
    (void)state;
    long n = 0;
    hd_step step;
    do {
        scarce_from(++n);
        step = work();
        hd_error_clear(&err);
        assert_int_equal(fake.live, 0);
        assert_int_equal(memory.live, 0);
    } while (memory.calls >= n);
    assert_int_equal(step, HD_DONE);
    assert_true(n > 4);
}

static void no_descriptor_left(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max = 1;
    make(&limits);
    hd_ticket t[2];
    tickets(t, 2);
    acquire(&t[0]);
    int fds[4096], count = 0;
    while (count < 4096 && (fds[count] = dup(0)) >= 0) count++;
    hd_step step = acquire(&t[1]);
    while (count > 0) close(fds[--count]);
    if (step != HD_WAIT) { /* the limit was reached */
        assert_int_equal(step, HD_FAILED);
        assert_int_equal(err.kind, HD_E_DRIVER);
        assert_int_equal(stats().waiting, 0);
        assert_int_equal(acquire(&t[1]), HD_WAIT); /* the ticket is as good as new */
    }
    free_tickets(t, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(giving_up_is_possible_in_every_state),
        TEST(what_was_handed_to_somebody_gone_goes_to_the_next),
        TEST(close_ends_every_ticket),
        TEST(tickets_outlive_the_pools_owner),
        TEST(a_child_leaves_the_parents_connections_alone),
        TEST(a_child_that_only_ends_says_no_goodbye),
        TEST(out_of_memory_at_every_allocation),
        TEST(no_descriptor_left),
    };
    return cmocka_run_group_tests_name("pool, its ends", tests, NULL, NULL);
}
