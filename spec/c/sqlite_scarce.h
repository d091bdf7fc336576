/* Memory that runs out, for tests of the SQLite driver: the driver's and SQLite's own are counted apart. */
#ifndef HD_SPEC_SQLITE_SCARCE_H
#define HD_SPEC_SQLITE_SCARCE_H

#include "sqlite_support.h"

/* The n-th call from now fails; `live` counts what is not given back. */
static struct { long fail_at, calls, live; } ours, theirs;

static void *our_resize(void *ud, void *ptr, size_t size) {
    (void)ud;
    if (size == 0) {
        free(ptr);
        ours.live--;
        return NULL;
    }
    if (++ours.calls == ours.fail_at) return NULL;
    void *out = realloc(ptr, size);
    if (out && !ptr) ours.live++;
    return out;
}

static const hd_allocator our_memory = {our_resize, NULL};
static const hd_services our_services = {HD_DRIVER_ABI, &our_memory};

/* ---- SQLite's allocator, with the size in front ---- */

static void *their_malloc(int size) {
    if (++theirs.calls == theirs.fail_at) return NULL;
    int64_t *block = malloc((size_t)size + 16);
    if (!block) return NULL;
    *block = size;
    return block + 2;
}

static void their_free(void *ptr) {
    if (ptr) free((int64_t *)ptr - 2);
}

static void *their_realloc(void *ptr, int size) {
    if (++theirs.calls == theirs.fail_at) return NULL;
    int64_t *block = realloc((int64_t *)ptr - 2, (size_t)size + 16);
    if (!block) return NULL;
    *block = size;
    return block + 2;
}

static int their_size(void *ptr) {
    return ptr ? (int)((int64_t *)ptr)[-2] : 0;
}

static int their_roundup(int size) {
    return (size + 7) & ~7;
}

static int their_init(void *ud) {
    (void)ud;
    return SQLITE_OK;
}

static void their_shutdown(void *ud) {
    (void)ud;
}

/* Before anything else. false: SQLite does not take it. */
static bool make_scarce(void) {
    static const sqlite3_mem_methods methods = {their_malloc,   their_free,    their_realloc,
                                                their_size,     their_roundup, their_init,
                                                their_shutdown, NULL};
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) return false;
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* each allocation is then seen */
    return sqlite3_initialize() == SQLITE_OK;
}

static hd_step connect_ours(db *d) {
    static const hd_option options[] = {
        {"database", ":memory:"}, {"pragma.cache_size", "100"}, {"statement_cache", "2"}};
    memset(d, 0, sizeof *d);
    hd_error_init(&d->err, &our_memory);
    d->conn = hd_sqlite_driver.open(&our_services, options, COUNT(options), &d->err);
    if (!d->conn) return HD_FAILED;
    hd_wait wait;
    hd_step step = hd_sqlite_driver.connect(d->conn, NULL, &wait, &d->err);
    assert_int_not_equal(step, HD_WAIT);
    return step;
}

static void fails_for_memory(const db *d) {
    assert_int_equal(d->err.kind, HD_E_DRIVER);
    assert_true(d->err.native == 0 || (d->err.native & 0xff) == SQLITE_NOMEM ||
                d->err.native == SQLITE_IOERR_NOMEM);
}

#endif
