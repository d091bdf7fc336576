/* What the tests of the link share: a link on a pool of the fake driver's, and how to run things on it. */
#ifndef HD_SPEC_LINK_SUPPORT_H
#define HD_SPEC_LINK_SUPPORT_H

#include "fake_driver.h"

#include "link.h"

static hd_pool *pool;
static hd_link link_;
static hd_wait waiting;

UNUSED static void make_pool(const hd_pool_limits *limits) {
    hd_error err;
    hd_error_init(&err, &scarce);
    pool = hd_pool_new(&scarce, &fake_driver, NULL, 0, limits, &err);
    assert_non_null(pool);
    hd_link_init(&link_, pool);
}

static int setup(void **state) {
    (void)state;
    static const hd_pool_limits limits = {.max = 1};
    fake_reset();
    memset(&memory, 0, sizeof memory);
    make_pool(&limits);
    return 0;
}

/* Whatever a test did: nothing out of place was sent, no connection and no byte is left. */
static int teardown(void **state) {
    (void)state;
    hd_link_free(&link_);
    if (pool) hd_pool_unref(pool);
    pool = NULL;
    return fake.bad == HD_DONE && fake.live == 0 && memory.live == 0 ? 0 : -1;
}

UNUSED static hd_statement text(const char *sql) {
    return (hd_statement){.sql = sql, .sql_len = strlen(sql), .hash = 1, .repeat = 1, .expect = -1};
}

static hd_statement one;
static hd_batch batch;

UNUSED static hd_error_kind start(const char *sql, unsigned flags) {
    one = text(sql);
    batch = (hd_batch){&one, 1, NULL, NULL};
    hd_link_prepare(&link_);
    return hd_link_run(&link_, &batch, flags, HD_NEVER);
}

UNUSED static hd_step step(void) {
    return hd_link_step(&link_, &waiting);
}

/* Carries an operation to its end, passing over waits and rows. */
UNUSED static hd_step finish(hd_step now) {
    while (now == HD_WAIT || now == HD_ROW) now = step();
    return now;
}

UNUSED static hd_step run(const char *sql, unsigned flags) {
    return start(sql, flags) == HD_OK ? finish(step()) : HD_FAILED;
}

UNUSED static hd_step end(hd_step (*control)(hd_link *)) {
    hd_link_prepare(&link_);
    return finish(control(&link_));
}

UNUSED static void begin(void) {
    assert_int_equal(hd_link_begin(&link_, "BEGIN"), 0);
}

UNUSED static void savepoint(void) {
    assert_int_equal(hd_link_savepoint(&link_), 0);
}

UNUSED static uint32_t in_use(void) {
    hd_pool_stats stats;
    hd_pool_read_stats(pool, &stats);
    return stats.in_use;
}

/* What was sent since the last call. */
UNUSED static void assert_sent(const char *expected) {
    assert_string_equal(fake.log, expected);
    fake.log[0] = '\0';
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
