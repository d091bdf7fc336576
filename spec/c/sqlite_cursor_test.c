/* SQLite driver: cursors. Statements that stay open between batches, several at once, beside everything else that a
 * connection does; and what they show when it writes. */
#include "sqlite_scarce.h"

static db d;

static int set_up(void **state) {
    if (make_directory(state) != 0) return -1;
    db_open(&d, ":memory:");
    db_exec(&d, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); "
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) "
                "INSERT INTO t SELECT i, 'v' || i FROM n");
    return 0;
}

static int tear_down(void **state) {
    db_close(&d);
    return remove_directory(state);
}

/* ---- reading ---- */

typedef struct seen {
    int rows;
    char ids[256]; /* "1 2 3 " */
} seen;

static void see(void *ctx, const hd_row *row) {
    seen *s = ctx;
    size_t used = strlen(s->ids);
    s->rows++;
    assert_int_equal(row->values[0].kind, HD_INT);
    snprintf(s->ids + used, sizeof s->ids - used, "%d ", (int)row->values[0].as.i);
}

static const char by_id[] = "SELECT id FROM t ORDER BY id";

static hd_statement cursor_of(const void *name, const char *sql, uint32_t limit, bool opens) {
    hd_statement s = text_of(sql);
    s.cursor = name;
    s.limit = limit;
    s.opens = opens;
    return s;
}

static hd_step next(db *of, const void *name, const char *sql, bool opens, seen *out) {
    hd_statement s = cursor_of(name, sql, 4, opens);
    memset(out, 0, sizeof *out);
    of->on_row = see;
    of->row_ctx = out;
    hd_step step = db_run(of, &s, 1);
    of->on_row = NULL;
    if (step == HD_DONE) assert_int_equal(s.affected, out->rows);
    assert_int_equal(s.sent, opens);
    return step;
}

static void shows(db *of, const void *name, bool opens, const char *ids) {
    seen s;
    if (next(of, name, by_id, opens, &s) != HD_DONE)
        fail_msg("%s %s", of->err.message, of->err.cause ? of->err.cause : "");
    assert_string_equal(s.ids, ids);
}

static void is_closed(db *of, const void *name) {
    seen s;
    assert_int_equal(next(of, name, by_id, false, &s), HD_FAILED);
    assert_int_equal(of->err.kind, HD_E_CLOSED);
}

static void close_cursor(const void *name) {
    hd_sqlite_driver.close_cursor(d.conn, name);
}

static const char a, b, c; /* names */

static void gives_its_rows_in_parts(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    shows(&d, &a, false, "5 6 7 8 ");
    shows(&d, &a, false, "9 10 ");
    is_closed(&d, &a);
    assert_null(inside(&d)->cursors);
}

static void may_end_with_a_part(void **state) {
    (void)state;
    db_exec(&d, "DELETE FROM t WHERE id > 8");
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &a, false, "5 6 7 8 ");
    shows(&d, &a, false, "");
    is_closed(&d, &a);
    db_exec(&d, "DELETE FROM t");
    shows(&d, &a, true, "");
    is_closed(&d, &a);
}

static void several_at_once(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &b, true, "1 2 3 4 ");
    shows(&d, &a, false, "5 6 7 8 ");
    shows(&d, &c, true, "1 2 3 4 ");
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 10);
    assert_int_equal(db_integer(&d, by_id), 10); /* the same text, cached */
    shows(&d, &a, false, "9 10 ");
    shows(&d, &b, false, "5 6 7 8 ");
    close_cursor(&b);
    is_closed(&d, &b);
    shows(&d, &c, false, "5 6 7 8 ");
}

static void in_one_batch(void **state) {
    (void)state;
    seen s = {0, ""};
    hd_statement batch[] = {cursor_of(&a, by_id, 2, true), cursor_of(&b, by_id, 1, true),
                            cursor_of(&a, by_id, 2, false), text_of("SELECT id FROM t LIMIT 1")};
    d.on_row = see;
    d.row_ctx = &s;
    assert_int_equal(db_run(&d, batch, COUNT(batch)), HD_DONE);
    d.on_row = NULL;
    assert_string_equal(s.ids, "1 2 1 3 4 1 ");
    assert_int_equal(batch[2].affected, 2);
}

static void begins_anew(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &a, false, "5 6 7 8 ");
}

static void keeps_its_parameters(void **state) {
    (void)state;
    char from[] = "v1", blob[] = {0, 1};
    const hd_value params[] = {hd_bytes(HD_TEXT, from, 2, HD_T_TEXT),
                               hd_bytes(HD_BLOB, blob, 2, HD_T_BLOB),
                               {HD_TIMESTAMP, HD_T_TIMESTAMP, 0, 0, {.i = 0}}};
    seen s = {0, ""};
    for (int i = 0; i < 2; i++) {
        hd_statement one = cursor_of(&a,
                                     "SELECT id FROM t WHERE v LIKE ?1 || '%' AND ?2 = x'0001' "
                                     "AND ?3 LIKE '1970%' ORDER BY id",
                                     1, i == 0);
        one.params = params;
        one.param_count = 3;
        d.on_row = see;
        d.row_ctx = &s;
        assert_int_equal(db_run(&d, &one, 1), HD_DONE);
        d.on_row = NULL;
        memset(from, 'x', 2);
        memset(blob, 9, 2);
        db_exec(&d, "UPDATE t SET v = v");
    }
    assert_string_equal(s.ids, "1 10 ");
}

static void names_its_columns(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    assert_int_equal(d.conn->name_count, 1);
    assert_memory_equal(d.conn->names[0].text, "id", 2);
    close_cursor(&a); /* the names are the connection's until its next batch */
    assert_memory_equal(d.conn->names[0].text, "id", 2);
    db_exec(&d, "CREATE TABLE u (x)");
}

/* ---- what it shows ---- */

static void shows_nothing_that_is_written_since(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    db_exec(&d, "INSERT INTO t SELECT id + 100, v FROM t");
    db_exec(&d, "UPDATE t SET id = id + 1000 WHERE id < 6; DELETE FROM t WHERE id BETWEEN 6 AND 9");
    shows(&d, &a, false, "5 6 7 8 ");
    db_exec(&d, "DELETE FROM t");
    shows(&d, &a, false, "9 10 ");
    is_closed(&d, &a);
}

static void each_shows_its_own_time(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    db_exec(&d, "DELETE FROM t WHERE id < 4");
    shows(&d, &b, true, "4 5 6 7 ");
    db_exec(&d, "DELETE FROM t");
    shows(&d, &b, false, "8 9 10 ");
    shows(&d, &a, false, "5 6 7 8 ");
}

static void outlives_transactions(void **state) {
    (void)state;
    static const char *const ends[] = {"COMMIT", "ROLLBACK"};
    for (int i = 0; i < 2; i++) {
        shows(&d, &a, true, "1 2 3 4 ");
        db_exec(&d, "BEGIN; SELECT 1");
        db_exec(&d, ends[i]); /* nothing was written */
        shows(&d, &a, false, "5 6 7 8 ");
        db_exec(&d, "BEGIN IMMEDIATE; INSERT INTO t VALUES (100, 1); SAVEPOINT s; DELETE FROM t");
        shows(&d, &b, true, "");
        db_exec(&d, "ROLLBACK TO s");
        db_exec(&d, "CREATE TABLE u (x); DELETE FROM t WHERE id = 100; DROP TABLE u");
        db_exec(&d, ends[i]);
        shows(&d, &a, false, "9 10 ");
    }
}

static void outlives_its_table(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    db_exec(&d, "ALTER TABLE t ADD COLUMN w; VACUUM");
    shows(&d, &a, false, "5 6 7 8 ");
    db_exec(&d, "DROP TABLE t");
    shows(&d, &a, false, "9 10 ");
}

static const uint8_t kinds[] = {HD_T_UNKNOWN, HD_T_UNKNOWN, HD_T_UNKNOWN,  HD_T_UNKNOWN,
                                HD_T_UNKNOWN, HD_T_DECIMAL, HD_T_TIMESTAMP};

static void check_values(void *ctx, const hd_row *row) {
    const hd_value *v = row->values;
    ++*(int *)ctx;
    assert_int_equal(v[0].kind, HD_INT);
    assert_true(v[0].as.i == INT64_MIN);
    assert_int_equal(v[1].kind, HD_FLOAT);
    assert_true(v[1].as.f == 5.0);
    assert_int_equal(v[2].kind, HD_TEXT);
    assert_int_equal(v[2].len, 3);
    assert_memory_equal(v[2].as.p,
                        "\xC3\x89"
                        "2",
                        3);
    assert_int_equal(v[3].kind, HD_BLOB);
    assert_int_equal(v[3].len, 3);
    assert_memory_equal(v[3].as.p, "\0\1\0", 3);
    assert_int_equal(v[4].kind, HD_NULL);
    assert_int_equal(v[5].kind, HD_DECIMAL);
    assert_memory_equal(v[5].as.p, "1.50", 4);
    assert_int_equal(v[6].kind, HD_TIMESTAMP);
    assert_true(v[6].as.i == 1000000);
}

static void values_stay_what_they_are(void **state) {
    (void)state;
    int rows = 0;
    for (int i = 0; i < 3; i++) {
        hd_statement s =
            cursor_of(&a,
                      "SELECT -9223372036854775808, 5.0, 'É2', x'000100', NULL, '1.50', "
                      "'1970-01-01 00:00:01' FROM t",
                      2, i == 0);
        s.types = kinds;
        s.type_count = COUNT(kinds);
        d.on_row = check_values;
        d.row_ctx = &rows;
        assert_int_equal(db_run(&d, &s, 1), HD_DONE);
        d.on_row = NULL;
        db_exec(&d, "UPDATE t SET v = 0");
    }
    assert_int_equal(rows, 6);
}

/* ---- how it ends ---- */

static void is_closed_at_any_time(void **state) {
    (void)state;
    close_cursor(&a); /* there is none */
    shows(&d, &a, true, "1 2 3 4 ");
    close_cursor(&a);
    close_cursor(&a);
    is_closed(&d, &a);
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &b, true, "1 2 3 4 ");
    db_exec(&d, "DELETE FROM t");
    close_cursor(&a);
    shows(&d, &b, false, "5 6 7 8 ");
}

static hd_step step_once(hd_wait *wait) {
    return hd_sqlite_driver.step(d.conn, wait, &d.err);
}

static void is_closed_while_another_runs(void **state) {
    (void)state;
    hd_wait wait;
    hd_statement s = text_of(by_id);
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &b, true, "1 2 3 4 ");
    db_exec(&d, "UPDATE t SET v = 1");
    shows(&d, &c, true, "1 2 3 4 ");
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_OK);
    for (int i = 1; i <= 10; i++) {
        assert_int_equal(step_once(&wait), HD_ROW);
        assert_int_equal(d.conn->row.values[0].as.i, i);
        if (i == 3) close_cursor(&a);
        if (i == 4) close_cursor(&c);
        assert_int_equal(d.conn->row.values[0].as.i, i);
    }
    assert_int_equal(step_once(&wait), HD_DONE);
    shows(&d, &b, false, "5 6 7 8 ");
}

static void one_that_is_left_is_over(void **state) {
    (void)state;
    hd_wait wait;
    hd_statement s = cursor_of(&a, by_id, 4, true);
    shows(&d, &b, true, "1 2 3 4 ");
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_OK);
    assert_int_equal(step_once(&wait), HD_ROW);
    close_cursor(&a); /* it runs: that is abandon's business */
    assert_int_equal(db_status(&d), HD_CONN_BUSY);
    hd_sqlite_driver.abandon(d.conn);
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    is_closed(&d, &a);
    shows(&d, &b, false, "5 6 7 8 ");
}

static void an_interrupt_ends_it(void **state) {
    (void)state;
    hd_wait wait;
    hd_statement s = cursor_of(&a, by_id, 4, true);
    shows(&d, &b, true, "1 2 3 4 ");
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_OK);
    assert_int_equal(step_once(&wait), HD_ROW);
    hd_sqlite_driver.cancel(d.conn, false);
    assert_int_equal(step_once(&wait), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CANCELED);
    is_closed(&d, &a);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 10);
}

static void a_failure_ends_it(void **state) {
    (void)state;
    seen s;
    static const char fails[] =
        "SELECT CASE WHEN id < 7 THEN id ELSE abs(-9223372036854775808) END "
        "FROM t ORDER BY id";
    assert_int_equal(next(&d, &a, fails, true, &s), HD_DONE);
    assert_int_equal(next(&d, &a, fails, false, &s), HD_FAILED);
    assert_string_equal(s.ids, "5 6 ");
    is_closed(&d, &a);
    assert_null(inside(&d)->cursors);
}

static void rows_that_cannot_be_put_aside(void **state) {
    (void)state;
    seen s;
    static const char fails[] =
        "SELECT CASE WHEN id < 7 THEN id ELSE abs(-9223372036854775808) END "
        "FROM t ORDER BY id";
    assert_int_equal(next(&d, &a, fails, true, &s), HD_DONE);
    db_exec(&d, "DELETE FROM t"); /* goes on */
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
    assert_int_equal(next(&d, &a, fails, false, &s), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_DRIVER);
    assert_non_null(strstr(d.err.message, "put aside"));
    is_closed(&d, &a);
}

static void takes_queries_alone(void **state) {
    (void)state;
    seen s;
    static const char *const others[] = {"DELETE FROM t",
                                         "INSERT INTO t VALUES (50, 1) RETURNING id",
                                         "CREATE TABLE u (x)", "BEGIN"};
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(next(&d, &a, others[i], true, &s), HD_FAILED);
        assert_int_equal(d.err.kind, HD_E_UNSUPPORTED);
    }
    assert_int_equal(next(&d, &a, "SELECT x FROM nowhere", true, &s), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_TABLE_NOT_FOUND);
    assert_int_equal(next(&d, &a, "SELECT id FROM t WHERE id = ?1", true, &s), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_VALIDATION);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 10);
    assert_null(inside(&d)->cursors);
}

static void goes_with_its_connection(void **state) {
    (void)state;
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &b, true, "1 2 3 4 ");
    db_exec(&d, "DELETE FROM t WHERE id = 1");
    shows(&d, &c, true, "2 3 4 5 ");
    db_close(&d);
    assert_int_equal(sqlite3_memory_used(), 0);
}

/* ---- beside other connections ---- */

static void open_file(db *writer, const char *journal) {
    const hd_option options[] = {{"database", in_directory("a.db")},
                                 {"pragma.journal_mode", journal},
                                 {"busy_timeout", "5"}};
    db_close(&d);
    assert_int_equal(db_connect(writer, options, COUNT(options)), HD_DONE);
    db_exec(writer, "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3), "
                    "(4), (5), (6)");
    assert_int_equal(db_connect(&d, options, COUNT(options)), HD_DONE);
}

static void shows_one_moment_of_a_file(void **state) {
    (void)state;
    db writer;
    open_file(&writer, "wal");
    shows(&d, &a, true, "1 2 3 4 ");
    db_exec(&writer, "DELETE FROM t WHERE id > 4; INSERT INTO t VALUES (7)");
    shows(&d, &a, false, "5 6 ");
    shows(&d, &a, true, "1 2 3 4 ");
    shows(&d, &a, false, "7 ");
    db_close(&writer);
}

static void leaves_no_lock_behind(void **state) {
    (void)state;
    db writer;
    open_file(&writer, "delete");
    for (int i = 0; i < 2; i++) {
        shows(&d, &a, true, "1 2 3 4 ");
        if (i == 0) shows(&d, &a, false, "5 6 ");
        if (i == 1) close_cursor(&a);
        db_exec(&writer, "BEGIN EXCLUSIVE; COMMIT"); /* waits for no reader */
        assert_int_equal(writer.waits, 0);
    }
    db_close(&writer);
}

static void commit(void *ctx) {
    db_exec(ctx, "COMMIT");
}

static void waits_for_a_lock_before_its_first_row(void **state) {
    (void)state;
    db writer;
    open_file(&writer, "delete");
    db_exec(&writer, "BEGIN EXCLUSIVE; INSERT INTO t VALUES (7)");
    d.release = commit;
    d.release_ctx = &writer;
    d.release_at = 3;
    shows(&d, &a, true, "1 2 3 4 ");
    assert_int_equal(d.waits, 3);
    shows(&d, &a, false, "5 6 7 ");
    db_close(&writer);
}

/* ---- out of memory ---- */

static hd_step read_all(db *of, int *rows) {
    seen s;
    hd_step step = HD_DONE;
    *rows = 0;
    for (int i = 0; i < 3 && step == HD_DONE; i++) {
        step = next(of, &a, "SELECT id FROM m ORDER BY id", i == 0, &s);
        *rows += s.rows;
        if (i == 0 && step == HD_DONE) {
            hd_statement write = text_of("UPDATE m SET id = id + 100");
            step = db_run(of, &write, 1);
        }
    }
    return step;
}

static hd_step work(db *of, int *rows) {
    hd_statement make = text_of(
        "CREATE TABLE m (id INTEGER PRIMARY KEY, v TEXT); WITH RECURSIVE n (i) AS (SELECT 1 "
        "UNION ALL SELECT i + 1 FROM n WHERE i < 10) INSERT INTO m SELECT i, 'x' FROM n");
    make.simple = true;
    hd_step step = db_run(of, &make, 1);
    return step == HD_DONE ? read_all(of, rows) : step;
}

/* Once through with the n-th allocation failing. true: there was no n-th. */
static bool survives(long *fail_at, const long *calls, long n) {
    db of;
    int rows = 0;
    *fail_at = n;
    ours.calls = theirs.calls = 0;
    hd_step step = connect_ours(&of);
    if (step == HD_DONE) step = work(&of, &rows);
    bool met = *calls >= n;
    *fail_at = 0;
    if (step == HD_DONE)
        assert_int_equal(rows, 10);
    else
        fails_for_memory(&of);
    if (of.conn && db_status(&of) != HD_CONN_CLOSED) {
        assert_int_equal(db_status(&of), HD_CONN_IDLE);
        db_exec(&of, "DROP TABLE IF EXISTS m");
        assert_int_equal(work(&of, &rows), HD_DONE);
        assert_int_equal(rows, 10);
    }
    db_close(&of);
    assert_int_equal(ours.live, 0);
    assert_int_equal(sqlite3_memory_used(), 0);
    return !met;
}

static void our_allocations(void **state) {
    (void)state;
    db_close(&d);
    long n = 1;
    while (!survives(&ours.fail_at, &ours.calls, n)) n++;
    assert_true(n > 10);
}

static void their_allocations(void **state) {
    (void)state;
    db_close(&d);
    long n = 1;
    while (!survives(&theirs.fail_at, &theirs.calls, n)) n++;
    assert_true(n > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (!make_scarce()) return 1;
    const struct CMUnitTest tests[] = {
        TEST(gives_its_rows_in_parts),
        TEST(may_end_with_a_part),
        TEST(several_at_once),
        TEST(in_one_batch),
        TEST(begins_anew),
        TEST(keeps_its_parameters),
        TEST(names_its_columns),
        TEST(shows_nothing_that_is_written_since),
        TEST(each_shows_its_own_time),
        TEST(outlives_transactions),
        TEST(outlives_its_table),
        TEST(values_stay_what_they_are),
        TEST(is_closed_at_any_time),
        TEST(is_closed_while_another_runs),
        TEST(one_that_is_left_is_over),
        TEST(an_interrupt_ends_it),
        TEST(a_failure_ends_it),
        TEST(rows_that_cannot_be_put_aside),
        TEST(takes_queries_alone),
        TEST(goes_with_its_connection),
        TEST(shows_one_moment_of_a_file),
        TEST(leaves_no_lock_behind),
        TEST(waits_for_a_lock_before_its_first_row),
        TEST(our_allocations),
        TEST(their_allocations),
    };
    int failed = cmocka_run_group_tests_name("sqlite cursors", tests, NULL, NULL);
    sqlite3_shutdown();
    return failed;
}
