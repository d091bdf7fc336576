/* Pool: who gets a connection and when, what is kept and what is closed. */
#include "pool_support.h"

/* ---- Loans ---- */

static void keeps_what_comes_back_idle(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t;
    tickets(&t, 1);
    assert_int_equal(acquire(&t), HD_DONE);
    assert_true(t.conn->fresh);
    hd_conn *conn = t.conn;
    hd_pool_release(&t);
    conn->fresh = false;
    assert_int_equal(acquire(&t), HD_DONE);
    assert_ptr_equal(t.conn, conn);
    assert_int_equal(fake.opened, 1);
    assert_int_equal(stats().acquired, 2);
    free_tickets(&t, 1);
    assert_int_equal(stats().size, 0); /* given up, not given back */
}

static void lends_what_was_used_last(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t[2];
    tickets(t, 2);
    acquire(&t[0]);
    acquire(&t[1]);
    hd_conn *last = t[0].conn;
    hd_pool_release(&t[1]);
    hd_pool_release(&t[0]);
    acquire(&t[1]);
    assert_ptr_equal(t[1].conn, last);
    free_tickets(t, 2);
}

static void closes_what_comes_back_in_another_state(void **state) {
    (void)state;
    static const hd_conn_status states[] = {HD_CONN_CLOSED, HD_CONN_TRANSACTION, HD_CONN_FAILED};
    make(&plain);
    for (size_t i = 0; i < 3; i++) {
        hd_ticket t;
        tickets(&t, 1);
        acquire(&t);
        fake_of(t.conn)->status = states[i];
        hd_pool_release(&t);
        assert_int_equal(stats().size, 0);
        assert_int_equal(fake.closed, (int)i + 1);
        hd_ticket_free(&t);
    }
    assert_int_equal(stats().closed, 3);
}

static void replaces_what_the_server_closed(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    make(&limits);
    hd_ticket t;
    tickets(&t, 1);
    acquire(&t);
    hd_pool_release(&t);
    usleep(10);
    fake.drops_idle = true;
    assert_int_equal(acquire(&t), HD_DONE);
    assert_int_equal(fake.opened, 2);
    assert_int_equal(fake.closed, 1);
    assert_int_equal(stats().size, 1);
    free_tickets(&t, 1);
}

static void closes_the_aged(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max_lifetime = 1000;
    make(&limits);
    hd_ticket t[2];
    tickets(t, 2);
    acquire(&t[0]);
    acquire(&t[1]);
    hd_pool_release(&t[0]); /* young: kept */
    assert_int_equal(stats().idle, 1);
    usleep(2000);
    hd_pool_release(&t[1]); /* old when it comes back */
    assert_int_equal(fake.closed, 1);
    assert_int_equal(acquire(&t[0]), HD_DONE); /* old when it is looked at */
    assert_int_equal(fake.closed, 2);
    assert_int_equal(fake.opened, 3);
    free_tickets(t, 2);
}

static void reaps_the_idle_down_to_min(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max = 4;
    limits.min = 2;
    limits.idle_timeout = 1000;
    make(&limits);
    hd_ticket t[4];
    tickets(t, 4);
    for (int i = 0; i < 4; i++) acquire(&t[i]);
    for (int i = 0; i < 4; i++) hd_pool_release(&t[i]);
    hd_conn *newest = NULL;
    usleep(2000);
    acquire(&t[0]);
    newest = t[0].conn;
    assert_int_equal(fake.closed, 2);
    assert_int_equal(newest->id, 4); /* the least used ones went */
    assert_int_equal(stats().size, 2);
    free_tickets(t, 4);
}

/* ---- Connecting ---- */

static void connects_in_steps(void **state) {
    (void)state;
    make(&plain);
    fake.connect_waits = 2;
    hd_ticket t;
    tickets(&t, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(acquire(&t), HD_WAIT);
        assert_int_equal(waiting.fd, 3);
    }
    assert_int_equal(stats().in_use, 1);
    assert_int_equal(acquire(&t), HD_DONE);
    free_tickets(&t, 1);
}

static void a_refused_connection_fails_its_own_ticket(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max = 1;
    make(&limits);
    fake.connect_waits = 1;
    fake.refuse = true;
    hd_ticket t[2];
    tickets(t, 2);
    assert_int_equal(acquire(&t[0]), HD_WAIT);
    assert_int_equal(acquire(&t[1]), HD_WAIT); /* queued */
    assert_int_equal(acquire(&t[0]), HD_FAILED);
    assert_int_equal(err.kind, HD_E_CONNECTION);
    fake.refuse = false;
    assert_true(is_woken(&t[1])); /* the place is handed on */
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    assert_int_equal(acquire(&t[1]), HD_DONE);
    assert_int_equal(stats().size, 1);
    free_tickets(t, 2);
}

static void connecting_has_a_limit(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.connect_timeout = 2000;
    make(&limits);
    fake.connect_waits = 1000;
    hd_ticket t;
    tickets(&t, 1);
    assert_int_equal(acquire(&t), HD_WAIT);
    assert_true(waiting.until <= hd_now() + 2000);
    usleep(3000);
    assert_int_equal(acquire(&t), HD_FAILED);
    assert_int_equal(err.kind, HD_E_CONNECTION);
    assert_int_equal(stats().size, 0);
    assert_int_equal(fake.live, 0);
    free_tickets(&t, 1);
}

static void asks_the_host_for_each_password(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.host_password = true;
    make(&limits);
    hd_ticket t[2];
    tickets(t, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(acquire(&t[i]), HD_HOST);
        assert_int_equal(acquire(&t[i]), HD_HOST); /* until it is there */
        char password[] = "secret0";
        password[6] = (char)('0' + i);
        assert_int_equal(hd_ticket_password(&t[i], password, 7), 0);
        assert_int_equal(acquire(&t[i]), HD_DONE);
        assert_string_equal(fake.password, password);
        assert_null(t[i].password);
    }
    hd_pool_release(&t[0]);
    assert_int_equal(acquire(&t[0]), HD_DONE); /* no new connection, no password */
    free_tickets(t, 2);
}

static void a_host_without_a_password_gives_its_place_back(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max = 1;
    limits.host_password = true;
    make(&limits);
    hd_ticket t[2];
    tickets(t, 2);
    assert_int_equal(acquire(&t[0]), HD_HOST);
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    hd_pool_give_up(&t[0]);
    assert_int_equal(acquire(&t[1]), HD_HOST);
    hd_pool_give_up(&t[1]);
    assert_int_equal(stats().size, 0);
    free_tickets(t, 2);
}

/* ---- The queue ---- */

static void the_queue_is_fair(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t[5];
    tickets(t, 5);
    for (int i = 0; i < 5; i++) acquire(&t[i]);
    assert_int_equal(stats().waiting, 3);
    hd_pool_release(&t[1]);
    assert_true(is_woken(&t[2]));
    assert_false(is_woken(&t[3]));
    /* Whoever comes now, or looks again, waits behind those who were there. */
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    assert_int_equal(acquire(&t[3]), HD_WAIT);
    assert_int_equal(acquire(&t[2]), HD_DONE);
    assert_int_equal(t[2].wake.read_fd, -1); /* whoever waits no more needs no descriptor */
    assert_true(t[4].wake.read_fd >= 0);
    hd_pool_release(&t[0]);
    hd_pool_release(&t[2]);
    assert_int_equal(acquire(&t[4]), HD_DONE);
    assert_int_equal(acquire(&t[3]), HD_DONE);
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    hd_pool_release(&t[3]);
    assert_int_equal(acquire(&t[1]), HD_DONE);
    assert_int_equal(fake.opened, 2);
    free_tickets(t, 5);
}

static void a_place_is_handed_over_when_a_connection_breaks(void **state) {
    (void)state;
    make(&plain);
    hd_ticket t[4];
    tickets(t, 4);
    for (int i = 0; i < 4; i++) acquire(&t[i]);
    fake_of(t[0].conn)->status = HD_CONN_CLOSED;
    hd_pool_release(&t[0]);
    hd_pool_give_up(&t[1]);
    assert_int_equal(acquire(&t[2]), HD_DONE);
    assert_int_equal(acquire(&t[3]), HD_DONE);
    assert_int_equal(fake.opened, 4);
    assert_int_equal(stats().size, 2);
    free_tickets(t, 4);
}

static void waiting_has_a_limit(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max = 1;
    limits.acquire_timeout = 2000;
    make(&limits);
    hd_ticket t[3];
    tickets(t, 3);
    acquire(&t[0]);
    t[0].label = "transaction begun at app.lua:12";
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    assert_true(waiting.fd >= 0 && waiting.until <= hd_now() + 2000);
    acquire(&t[2]);
    usleep(3000);
    assert_int_equal(acquire(&t[1]), HD_FAILED);
    assert_int_equal(err.kind, HD_E_POOL_TIMEOUT);
    assert_non_null(strstr(err.message, "1 of 1 in use: transaction begun at app.lua:12"));
    assert_int_equal(stats().timeouts, 1);
    assert_int_equal(stats().waiting, 1);
    /* Whoever was too late may ask again, behind the others. */
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    assert_int_equal(stats().waiting, 2);
    /* Late is late, but what was handed over in time is taken. */
    hd_pool_release(&t[0]);
    assert_int_equal(acquire(&t[2]), HD_DONE);
    hd_pool_release(&t[2]);
    usleep(3000);
    assert_int_equal(acquire(&t[1]), HD_DONE);
    free_tickets(t, 3);
}

static void without_a_limit_it_waits_for_ever(void **state) {
    (void)state;
    hd_pool_limits limits = plain;
    limits.max = 1;
    limits.acquire_timeout = 0;
    make(&limits);
    hd_ticket t[2];
    tickets(t, 2);
    acquire(&t[0]);
    assert_int_equal(acquire(&t[1]), HD_WAIT);
    assert_true(waiting.until == HD_NEVER);
    free_tickets(t, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(keeps_what_comes_back_idle),
        TEST(lends_what_was_used_last),
        TEST(closes_what_comes_back_in_another_state),
        TEST(replaces_what_the_server_closed),
        TEST(closes_the_aged),
        TEST(reaps_the_idle_down_to_min),
        TEST(connects_in_steps),
        TEST(a_refused_connection_fails_its_own_ticket),
        TEST(connecting_has_a_limit),
        TEST(asks_the_host_for_each_password),
        TEST(a_host_without_a_password_gives_its_place_back),
        TEST(the_queue_is_fair),
        TEST(a_place_is_handed_over_when_a_connection_breaks),
        TEST(waiting_has_a_limit),
        TEST(without_a_limit_it_waits_for_ever),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
