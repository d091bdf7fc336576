/* What the tests of the pool share: a pool of the fake driver's, and tickets. */
#ifndef HD_SPEC_POOL_SUPPORT_H
#define HD_SPEC_POOL_SUPPORT_H

#include "fake_driver.h"

#include <poll.h>
#include <unistd.h>

#include "pool.h"

static hd_pool *pool;
static hd_error err;
static hd_wait waiting;

UNUSED static const hd_pool_limits plain = {.max = 2, .acquire_timeout = 1000000};

UNUSED static void make(const hd_pool_limits *limits) {
    static const hd_option options[] = {{"database", "x"}, {"host", "y"}};
    pool = hd_pool_new(&scarce, &fake_driver, options, 2, limits, &err);
    assert_non_null(pool);
}

static int setup(void **state) {
    (void)state;
    fake_reset();
    memset(&memory, 0, sizeof memory);
    hd_error_init(&err, &scarce);
    return 0;
}

/* Whatever a test did: no connection and no byte is left. */
static int teardown(void **state) {
    (void)state;
    if (pool) hd_pool_unref(pool);
    pool = NULL;
    hd_error_clear(&err);
    return fake.live == 0 && memory.live == 0 ? 0 : -1;
}

UNUSED static hd_pool_stats stats(void) {
    hd_pool_stats s;
    hd_pool_read_stats(pool, &s);
    return s;
}

UNUSED static hd_step acquire(hd_ticket *t) {
    return hd_pool_acquire(t, &waiting, &err);
}

UNUSED static void tickets(hd_ticket *t, size_t count) {
    for (size_t i = 0; i < count; i++) hd_ticket_init(&t[i], pool);
}

UNUSED static void free_tickets(hd_ticket *t, size_t count) {
    for (size_t i = 0; i < count; i++) hd_ticket_free(&t[i]);
}

UNUSED static bool is_woken(const hd_ticket *t) {
    struct pollfd p = {t->wake.read_fd, POLLIN, 0};
    return t->wake.read_fd >= 0 && poll(&p, 1, 0) == 1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
