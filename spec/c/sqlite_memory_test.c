/* SQLite driver: out of memory at every allocation, ours and SQLite's. Each time the work is done
 * in full or fails with an error that says so, nothing leaks, and the connection still works. */
#include "sqlite_scarce.h"

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
        text_of("SELECT a, b, c, d, hd_lower(e) FROM t WHERE hd_json_contains(hd_json("
                "'{\"k\": [\"\\u0041\" , {}], \"b\": 1}', '[\"k\"]'), '[\"A\"]') "
                "AND hd_array_overlaps('[1, 2]', '[2]', 0) ORDER BY c COLLATE hd_decimal"),
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
    if (!make_scarce()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_allocations),
        cmocka_unit_test(their_allocations),
    };
    int failed = cmocka_run_group_tests_name("sqlite memory", tests, NULL, NULL);
    sqlite3_shutdown();
    return failed;
}
