/* Rinsing: connections that were given up in a transaction come back to the pool, and to whom. */
#include "link_support.h"

#include <sys/wait.h>
#include <unistd.h>

static hd_error err;

static void remake(const hd_pool_limits *limits) {
    hd_link_free(&link_);
    hd_pool_unref(pool);
    make_pool(limits);
}

static hd_pool_stats stats(void) {
    hd_pool_stats s;
    hd_pool_read_stats(pool, &s);
    return s;
}

static hd_step run_on(hd_link *link, const char *sql) {
    hd_statement statement = text(sql);
    const hd_batch one_more = {&statement, 1, NULL, NULL};
    hd_link_prepare(link);
    hd_step now = hd_link_run(link, &one_more, 0, HD_NEVER) == HD_OK ? HD_WAIT : HD_FAILED;
    while (now == HD_WAIT) now = hd_link_step(link, &waiting);
    return now;
}

/* Each in a transaction of its own. */
static void open_links(hd_link *links, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hd_link_init(&links[i], pool);
        assert_int_equal(hd_link_begin(&links[i], "BEGIN"), 0);
        assert_int_equal(run_on(&links[i], "a"), HD_DONE);
    }
}

static void free_links(hd_link *links, size_t count) {
    for (size_t i = 0; i < count; i++) hd_link_free(&links[i]);
}

/* A transaction is given up whose end the database does not answer yet. Gives the connection. */
static hd_conn *leave_rinsing(hd_link *link) {
    hd_conn *conn = link->ticket.conn;
    fake.stuck = true;
    hd_link_reset(link);
    assert_true(conn->rinse.runs);
    return conn;
}

static hd_step acquire(hd_ticket *t) {
    return hd_pool_acquire(t, &waiting, &err);
}

static void tickets(hd_ticket *t, size_t count) {
    hd_error_init(&err, &scarce);
    for (size_t i = 0; i < count; i++) hd_ticket_init(&t[i], pool);
}

static void free_tickets(hd_ticket *t, size_t count) {
    for (size_t i = 0; i < count; i++) hd_ticket_free(&t[i]);
    hd_error_clear(&err);
}

/* ---- Giving up ---- */

static void a_transaction_is_ended_at_once_and_answered_later(void **state) {
    (void)state;
    begin();
    savepoint();
    run("a", 0);
    leave_rinsing(&link_);
    assert_sent("BEGIN;SAVEPOINT hd_2;a;ROLLBACK;");
    assert_int_equal(fake.canceled, 0);
    assert_int_equal(stats().idle, 1);
    assert_int_equal(stats().in_use, 0);
    assert_true(link_.over && link_.lost_conn);
    assert_int_equal(run("b", 0), HD_FAILED);
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    assert_int_equal(start("c", 0), HD_OK);
    assert_int_equal(step(), HD_WAIT);
    assert_int_equal(waiting.fd, 3);
    assert_true(waiting.until <= hd_now() + 1000000);
    assert_int_equal(stats().in_use, 1);
    assert_sent("");
    fake.stuck = false;
    assert_int_equal(finish(HD_WAIT), HD_DONE);
    assert_sent("c;");
    assert_int_equal(fake.opened, 1);
    assert_int_equal(fake.closed, 0);
}

static void so_is_a_failed_one(void **state) {
    (void)state;
    begin();
    fake.fail_at = 2;
    assert_int_equal(run("a", 0), HD_FAILED);
    leave_rinsing(&link_);
    fake.stuck = false;
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_sent("BEGIN;a;ROLLBACK;b;");
    assert_int_equal(fake.closed, 0);
}

static void what_is_answered_at_once_is_at_rest(void **state) {
    (void)state;
    begin();
    run("a", 0);
    hd_conn *conn = link_.ticket.conn;
    hd_link_reset(&link_);
    assert_false(conn->rinse.runs);
    assert_int_equal(stats().idle, 1);
    assert_sent("BEGIN;a;ROLLBACK;");
}

static void a_changed_session_is_closed(void **state) {
    (void)state;
    assert_int_equal(hd_link_keep(&link_, "restore"), 0);
    begin();
    run("a", 0);
    fake.stuck = true;
    hd_link_reset(&link_);
    assert_int_equal(fake.live, 0);
    assert_int_equal(fake.canceled, 0); /* its end may go on */
    assert_sent("BEGIN;a;ROLLBACK;");
}

static void giving_up_needs_no_memory(void **state) {
    (void)state;
    begin();
    run("a", 0);
    scarce_from(1);
    hd_link_reset(&link_);
    assert_int_equal(memory.calls, 0);
    scarce_from(0);
    assert_int_equal(stats().idle, 1);
}

/* ---- Who gets it ---- */

static void one_at_rest_is_preferred(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 2};
    remake(&limits);
    hd_link links[2];
    hd_ticket t;
    open_links(links, 2);
    hd_conn *quiet = links[1].ticket.conn;
    hd_link_reset(&links[1]);
    leave_rinsing(&links[0]); /* used last */
    tickets(&t, 1);
    assert_int_equal(acquire(&t), HD_DONE);
    assert_ptr_equal(t.conn, quiet);
    free_tickets(&t, 1);
    free_links(links, 2);
}

static void then_one_that_is_answered(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 3};
    remake(&limits);
    hd_link links[2];
    hd_ticket t;
    open_links(links, 2);
    leave_rinsing(&links[0]);
    leave_rinsing(&links[1]);
    fake.stuck = false;
    tickets(&t, 1);
    assert_int_equal(acquire(&t), HD_DONE);
    assert_int_equal(fake.opened, 2);
    free_tickets(&t, 1);
    free_links(links, 2);
}

static void then_the_first_of_several(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 3};
    remake(&limits);
    hd_link links[3];
    hd_ticket t[4];
    hd_conn *conns[3];
    open_links(links, 3);
    for (int i = 0; i < 3; i++) conns[i] = leave_rinsing(&links[i]);
    assert_int_equal(stats().idle, 3);
    tickets(t, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(acquire(&t[i]), HD_WAIT);
    for (int i = 0; i < 3; i++) assert_ptr_equal(t[i].conn, conns[i]);
    assert_int_equal(stats().waiting, 1);
    char holders[128];
    hd_pool_describe_holders(pool, holders, sizeof holders);
    assert_string_equal(holders, "3 of 3 in use: an operation; an operation; an operation");
    hd_pool_give_up(&t[0]); /* who waited behind it goes on waiting for it */
    assert_int_equal(acquire(&t[3]), HD_WAIT);
    assert_ptr_equal(t[3].conn, conns[0]);
    fake.stuck = false;
    for (int i = 1; i < 4; i++) assert_int_equal(acquire(&t[i]), HD_DONE);
    assert_int_equal(fake.opened, 3);
    assert_int_equal(fake.closed, 0);
    free_tickets(t, 4);
    free_links(links, 3);
}

static void it_is_handed_to_whoever_waits(void **state) {
    (void)state;
    hd_ticket t[2];
    tickets(t, 2);
    begin();
    run("a", 0);
    assert_int_equal(acquire(&t[0]), HD_WAIT);
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    leave_rinsing(&link_);
    hd_pool_give_up(&t[0]); /* before it has looked */
    assert_int_equal(stats().closed, 0);
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    assert_int_equal(waiting.fd, 3);
    hd_pool_give_up(&t[1]);
    assert_int_equal(stats().idle, 1);
    fake.stuck = false;
    assert_int_equal(acquire(&t[0]), HD_DONE);
    assert_int_equal(fake.opened, 1);
    free_tickets(t, 2);
}

/* ---- Bad answers ---- */

/* Found in the pool, and by whoever waits for it. */
static void check_replaced(bool waits, void (*spoil)(hd_conn *conn)) {
    hd_ticket t;
    hd_link link;
    fake.stuck = false;
    tickets(&t, 1);
    open_links(&link, 1);
    hd_conn *conn = leave_rinsing(&link);
    uint64_t id = conn->id;
    if (waits) assert_int_equal(acquire(&t), HD_WAIT);
    spoil(conn);
    int opened = fake.opened, closed = fake.closed;
    assert_int_equal(acquire(&t), HD_DONE);
    assert_int_equal(fake.opened, opened + 1);
    assert_int_equal(fake.closed, closed + 1);
    assert_int_equal(stats().closed, (uint64_t)fake.closed);
    assert_int_equal(stats().size, 1);
    assert_true(t.conn->id > id);
    hd_pool_release(&t);
    hd_link_free(&link);
    free_tickets(&t, 1);
}

static void fails(hd_conn *conn) {
    (void)conn;
    fake.stuck = false;
    fake.fail_at = 1;
}

static void is_lost(hd_conn *conn) {
    (void)conn;
    fake.stuck = false;
    fake.lose_at = 1;
}

static void is_late(hd_conn *conn) {
    conn->rinse.until = hd_now();
}

static void has_been_open_still(hd_conn *conn) {
    fake.stuck = false;
    fake_of(conn)->at = fake_of(conn)->count; /* ends, and the transaction does not */
}

static void a_bad_or_late_answer_is_replaced(void **state) {
    (void)state;
    void (*const ways[])(hd_conn *) = {fails, is_lost, is_late, has_been_open_still};
    for (int i = 0; i < 8; i++) check_replaced(i % 2, ways[i / 2]);
}

static void an_answer_that_is_there_is_never_late(void **state) {
    (void)state;
    begin();
    run("a", 0);
    hd_conn *conn = leave_rinsing(&link_);
    conn->rinse.until = 1;
    fake.stuck = false;
    hd_link_rollback(&link_);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_int_equal(fake.opened, 1);
}

static void the_one_in_its_place_needs_its_password(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 1, .host_password = true};
    hd_ticket t;
    remake(&limits);
    begin();
    start("a", 0);
    assert_int_equal(step(), HD_HOST);
    assert_int_equal(hd_ticket_password(&link_.ticket, "pw", 2), 0);
    assert_int_equal(finish(step()), HD_DONE);
    hd_conn *conn = leave_rinsing(&link_);
    tickets(&t, 1);
    assert_int_equal(acquire(&t), HD_WAIT);
    conn->rinse.until = hd_now();
    assert_int_equal(acquire(&t), HD_HOST);
    hd_pool_give_up(&t);
    assert_int_equal(stats().size, 0);
    free_tickets(&t, 1);
}

/* ---- Limits, the end, forks ---- */

static void age_counts_for_it_too(void **state) {
    (void)state;
    static const hd_pool_limits limits[] = {{.max = 1, .max_lifetime = 1000},
                                            {.max = 1, .idle_timeout = 1000}};
    for (int i = 0; i < 2; i++) {
        hd_ticket t;
        remake(&limits[i]);
        begin();
        run("a", 0);
        int closed = fake.closed;
        leave_rinsing(&link_);
        usleep(2000);
        tickets(&t, 1);
        assert_int_equal(acquire(&t), HD_DONE);
        assert_int_equal(fake.closed, closed + 1);
        free_tickets(&t, 1);
        fake.stuck = false;
    }
}

static void a_pool_that_is_closed_closes_it(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 2};
    remake(&limits);
    hd_link links[2];
    hd_ticket t;
    open_links(links, 2);
    leave_rinsing(&links[0]);
    leave_rinsing(&links[1]);
    tickets(&t, 1);
    assert_int_equal(acquire(&t), HD_WAIT);
    hd_pool_close(pool);
    assert_int_equal(fake.live, 1);
    assert_int_equal(acquire(&t), HD_FAILED);
    assert_int_equal(err.kind, HD_E_CLOSED);
    assert_int_equal(fake.live, 0);
    assert_int_equal(stats().size, 0);
    free_tickets(&t, 1);
    free_links(links, 2);
}

/* One is in the pool, the other waited for. */
static int in_child(hd_ticket *t) {
    fake.stuck = false;
    if (acquire(t) != HD_DONE || fake.opened != 3) return 1;
    hd_pool_give_up(t);
    return fake.discarded == 2 && fake.closed == 1 && fake.live == 0 ? 0 : 2;
}

static void a_child_leaves_it_to_its_parent(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 2};
    remake(&limits);
    hd_link links[2];
    hd_ticket t;
    open_links(links, 2);
    leave_rinsing(&links[0]);
    leave_rinsing(&links[1]);
    tickets(&t, 1);
    assert_int_equal(acquire(&t), HD_WAIT);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(in_child(&t));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fake.stuck = false;
    assert_int_equal(acquire(&t), HD_DONE);
    free_tickets(&t, 1);
    free_links(links, 2);
}

/* ---- Any order ---- */

static uint32_t seed;

static uint32_t dice(uint32_t sides) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static bool only_rollback_helps(const hd_link *link) {
    hd_conn *conn = link->ticket.conn;
    return link->over || (conn && fake_driver.status(conn, false) == HD_CONN_FAILED);
}

static void act(hd_link *link) {
    static hd_statement statements[4];
    static const hd_batch batches[4] = {{&statements[0], 1, NULL, NULL},
                                        {&statements[1], 1, NULL, NULL},
                                        {&statements[2], 1, NULL, NULL},
                                        {&statements[3], 1, NULL, NULL}};
    uint32_t choice = dice(8);
    fake.stuck = dice(3) == 0;
    fake.fail_at = dice(12) == 0 ? 1 + (int)dice(2) : 0;
    fake.lose_at = dice(20) == 0 ? 1 + (int)dice(2) : 0;
    if (link->state != HD_LINK_IDLE && choice > 1) {
        hd_link_step(link, &waiting);
    } else if (choice == 0) {
        hd_link_reset(link);
    } else if (link->state != HD_LINK_IDLE) {
        return;
    } else if (only_rollback_helps(link)) {
        hd_link_prepare(link);
        hd_link_rollback(link);
    } else if (choice < 4 && link->depth == 0) {
        hd_link_begin(link, "BEGIN");
    } else if (choice == 4 && link->depth > 0) {
        hd_link_prepare(link);
        hd_link_rollback(link);
    } else {
        uint32_t i = dice(4);
        hd_link_prepare(link);
        statements[i] = text("a");
        hd_link_run(link, &batches[i], 0, HD_NEVER);
    }
    fake.log[0] = '\0';
    /* A place that was handed over has no connection yet. */
    assert_true((uint32_t)fake.live <= stats().size && stats().size <= 2);
}

static void nobody_sees_the_transaction_of_another(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 2};
    remake(&limits);
    for (seed = 1; seed < 100000; seed += 997) {
        uint32_t from = seed;
        hd_link links[4];
        for (int i = 0; i < 4; i++) hd_link_init(&links[i], pool);
        for (int i = 0; i < 200; i++) {
            act(&links[dice(4)]);
            if (fake.bad != HD_DONE) fail_msg("seed %u, act %d", from, i);
        }
        free_links(links, 4);
        assert_int_equal(stats().in_use, 0);
        seed = from;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_is_ended_at_once_and_answered_later),
        TEST(so_is_a_failed_one),
        TEST(what_is_answered_at_once_is_at_rest),
        TEST(a_changed_session_is_closed),
        TEST(giving_up_needs_no_memory),
        TEST(one_at_rest_is_preferred),
        TEST(then_one_that_is_answered),
        TEST(then_the_first_of_several),
        TEST(it_is_handed_to_whoever_waits),
        TEST(a_bad_or_late_answer_is_replaced),
        TEST(an_answer_that_is_there_is_never_late),
        TEST(the_one_in_its_place_needs_its_password),
        TEST(age_counts_for_it_too),
        TEST(a_pool_that_is_closed_closes_it),
        TEST(a_child_leaves_it_to_its_parent),
        TEST(nobody_sees_the_transaction_of_another),
    };
    return cmocka_run_group_tests_name("rinsing", tests, NULL, NULL);
}
