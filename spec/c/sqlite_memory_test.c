/* SQLite driver: out of memory at every allocation, ours and SQLite's. Each time the work is done
 * in full or fails with an error that says so, nothing leaks, and the connection still works. */
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

/* ---- the work ---- */

typedef struct seen {
    int rows;
    bool wrong;
} seen;

static void check_row(void *ctx, const hd_row *row) {
    seen *s = ctx;
    s->rows++;
    const hd_value *v = row->values;
    s->wrong = s->wrong || row->count != 5 || v[0].kind != HD_TIMESTAMP || v[1].kind != HD_JSON ||
               v[2].kind != HD_DECIMAL || v[2].len != 4 || memcmp(v[2].as.p, "1000", 4) != 0 ||
               v[3].kind != HD_UUID || v[4].kind != HD_TEXT;
}

static hd_step run_all(db *d, seen *s) {
    const hd_value items[] = {hd_int(1, HD_T_INTEGER), hd_bytes(HD_TEXT, "two", 3, HD_T_TEXT)};
    const hd_list list = {HD_T_TEXT, 2, items};
    const hd_value params[] = {{HD_TIMESTAMP, HD_T_TIMESTAMP, 0, 0, {.i = 5}},
                               {HD_LIST, HD_T_ARRAY, 0, 0, {.list = &list}},
                               hd_bytes(HD_TEXT, "1e3", 3, HD_T_TEXT),
                               hd_bytes(HD_TEXT, "0189E9D27A6B7000800000000000ABCD", 32, HD_T_TEXT),
                               hd_bytes(HD_TEXT, "\xC3\x89T\xC3\x89", 5, HD_T_TEXT)};
    static const uint8_t types[] = {HD_T_TIMESTAMP, HD_T_ARRAY, HD_T_DECIMAL, HD_T_UUID, HD_T_TEXT};
    hd_statement batch[] = {
        text_of("DROP TABLE IF EXISTS t; CREATE TABLE t (a TEXT, b TEXT, c TEXT, d TEXT, e TEXT)"),
        text_of("BEGIN IMMEDIATE"),
        with_params("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)", params, 5),
        with_params("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5) RETURNING *", params, 5),
        text_of("SELECT a, b, c, d, hd_lower(e) FROM t ORDER BY c COLLATE hd_decimal"),
        text_of("SELECT '1970-01-01 00:00:01', '[]', replace(hd_decimal_sum(v), '.00', ''), "
                "hd_uuid(), 'x' FROM (SELECT '999.00' AS v UNION ALL SELECT '1.5' UNION ALL SELECT "
                "'-0.5')"),
        text_of("COMMIT"),
    };
    batch[0].simple = true;
    batch[1].cache = batch[6].cache = false;
    for (int i = 3; i < 6; i++) {
        batch[i].types = types;
        batch[i].type_count = 5;
    }
    d->on_row = check_row;
    d->row_ctx = s;
    hd_step step = db_run(d, batch, COUNT(batch));
    d->on_row = NULL;
    return step;
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

/* Once through with the n-th allocation failing. true: there was no n-th. */
static bool survives(long *fail_at, const long *calls, long n) {
    db d;
    seen s = {0, false};
    *fail_at = n;
    ours.calls = theirs.calls = 0;
    hd_step step = connect_ours(&d);
    bool connected = step == HD_DONE;
    if (connected) step = run_all(&d, &s);
    bool met = *calls >= n;
    *fail_at = 0;
    assert_false(s.wrong);
    if (step == HD_DONE)
        assert_int_equal(s.rows, 4);
    else
        fails_for_memory(&d);
    if (connected) {
        assert_int_not_equal(db_status(&d), HD_CONN_BUSY);
        if (db_status(&d) == HD_CONN_TRANSACTION) db_exec(&d, "ROLLBACK");
        s.rows = 0;
        assert_int_equal(run_all(&d, &s), HD_DONE);
        assert_int_equal(s.rows, 4);
        assert_false(s.wrong);
    }
    db_close(&d);
    assert_int_equal(ours.live, 0);
    assert_int_equal(sqlite3_memory_used(), 0);
    return !met;
}

static void our_allocations(void **state) {
    (void)state;
    long n = 1;
    while (!survives(&ours.fail_at, &ours.calls, n)) n++;
    assert_true(n > 20);
}

static void their_allocations(void **state) {
    (void)state;
    long n = 1;
    while (!survives(&theirs.fail_at, &theirs.calls, n)) n++;
    assert_true(n > 100);
}

int main(void) {
    static const sqlite3_mem_methods methods = {their_malloc,   their_free,    their_realloc,
                                                their_size,     their_roundup, their_init,
                                                their_shutdown, NULL};
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) return 1;
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* each allocation is then seen */
    if (sqlite3_initialize() != SQLITE_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_allocations),
        cmocka_unit_test(their_allocations),
    };
    int failed = cmocka_run_group_tests_name("sqlite memory", tests, NULL, NULL);
    sqlite3_shutdown();
    return failed;
}
