/* COPY within a batch: rows of every type that has a binary form, streams larger than the socket,
 * failures before, within and behind them. */
#include "postgres_support.h"

enum { COLUMNS = 11, MANY = 60000, ROW = 3 };

static pg db, other;

static int open_db(void **state) {
    (void)state;
    open_pg(&db, "statement_cache", "8");
    open_pg(&other, NULL, NULL);
    execute(&other, "drop table if exists copied; create table copied "
                    "(id int8 primary key, name text, n int4 not null check (n < 1000))");
    return 0;
}

static int close_db(void **state) {
    (void)state;
    execute(&other, "drop table copied");
    close_pg(&db);
    close_pg(&other);
    return 0;
}

static int empty_table(void **state) {
    (void)state;
    execute(&other, "truncate copied");
    return 0;
}

static hd_statement copy_of(const char *sql, const hd_value *params, uint32_t columns,
                            uint32_t rows) {
    hd_statement s = with_params(sql, params, columns * rows);
    s.copy = columns;
    s.expect = rows;
    return s;
}

#define COPY "copy copied from stdin (format binary)"

static void set_row(hd_value *row, int64_t id, const char *name, int64_t n) {
    row[0] = hd_int(id, HD_T_BIGINT);
    row[1] = name ? text_value(name, HD_TEXT, HD_T_TEXT) : hd_null();
    row[2] = hd_int(n, HD_T_INTEGER);
}

static hd_value *many_rows(const char *name) {
    static hd_value rows[MANY * ROW];
    for (int i = 0; i < MANY; i++) set_row(rows + ROW * i, i, name, i % 1000);
    return rows;
}

/* ---- What runs ---- */

static void it_runs_between_pipelines(void **state) {
    (void)state;
    hd_value rows[ROW * 3];
    set_row(rows, 1, "a\t\n\\.", 10);
    set_row(rows + ROW, 2, NULL, -1);
    set_row(rows + ROW * 2, INT64_MAX, "", 0);
    hd_statement s[] = {
        plain("begin"),
        text_of("select 1"),
        copy_of(COPY, rows, ROW, 3),
        text_of("select * from copied order by id"),
        copy_of("copy copied from stdin (format binary) where id < 0", rows, ROW, 3),
        plain("commit")};
    s[4].expect = -1;
    assert_runs(&db, s, COUNT(s));
    assert_rows(&db, "(1)(1, 'a\t\n\\.', 10)(2, null, -1)(9223372036854775807, '', 0)");
    assert_int_equal(s[2].affected, 3);
    assert_int_equal(s[4].affected, 0);
    assert_true(s[2].sent && s[2].elapsed >= 0);
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
    assert_query(&other, "select count(*) from copied", "(3)");
}

static void alone_it_commits_itself(void **state) {
    (void)state;
    hd_value row[ROW];
    set_row(row, 1, "x", 1);
    hd_statement s = copy_of(COPY, row, ROW, 1);
    assert_runs(&db, &s, 1);
    assert_query(&other, "select * from copied", "(1, 'x', 1)");
    assert_query(&db, "select 2", "(2)");
}

/* Every type arrives as an INSERT would have sent it. */
static void values_are_those_of_an_insert(void **state) {
    (void)state;
    hd_value rows[COLUMNS * 3];
    memset(rows, 0, sizeof rows); /* the last row is NULL */
    for (int r = 0; r < 2; r++) {
        hd_value *v = rows + (ptrdiff_t)r * COLUMNS;
        v[0] = hd_int(r ? INT16_MIN : INT16_MAX, HD_T_SMALLINT);
        v[1] = hd_int(r ? INT32_MIN : INT32_MAX, HD_T_INTEGER);
        v[2] = hd_int(r ? INT64_MIN : INT64_MAX, HD_T_BIGINT);
        v[3] = number_value(r ? -0.1 : 1e300, HD_T_DOUBLE);
        v[4] = text_value(r ? "" : "h\xc3\xa9", HD_TEXT, HD_T_STRING);
        v[5] = integer_kind(HD_BOOL, r, HD_T_BOOLEAN);
        v[6] = text_value("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", HD_UUID, HD_T_UUID);
        v[7] = text_value(r ? "[]" : "{\"a\": [1, null]}", HD_JSON, HD_T_JSON);
        v[8] = integer_kind(HD_TIMESTAMP, r ? -1 : 1700000000123456, HD_T_TIMESTAMP);
        v[9] = hd_bytes(HD_BLOB, r ? "" : "\0\xff\\", r ? 0 : 3, HD_T_BLOB);
        v[10] = text_value(r ? "mood" : "ok", HD_TEXT, HD_T_ENUM);
    }
    execute(&other,
            "create table c1 (a int2, b int4, c int8, d float8, e varchar(9), f bool, g uuid,"
            " h jsonb, i timestamptz, j bytea, k text); create table c2 (like c1)");
    hd_statement s[] = {
        copy_of("copy c1 from stdin (format binary)", rows, COLUMNS, 3),
        with_params("insert into c2 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)", rows,
                    COLUMNS)};
    s[1].repeat = 3;
    assert_runs(&db, s, 2);
    assert_query(
        &other,
        "select (select count(*) from c1), count(*) from c1 join c2 on c1.* is not distinct "
        "from c2.*",
        "(3, 3)");
    execute(&other, "drop table c1, c2");
}

static void a_stream_may_be_larger_than_the_socket(void **state) {
    (void)state;
    static char name[200];
    memset(name, 'x', sizeof name - 1);
    hd_statement s[] = {copy_of(COPY, many_rows(name), ROW, MANY),
                        text_of("select count(*), sum(id)::int8, sum(length(name)) from copied")};
    assert_runs(&db, s, 2);
    assert_rows(&db, "(60000, 1799970000, 11940000)");
    assert_true(db.waits > 2);
}

/* ---- What fails ---- */

/* The batch failed at its COPY, and the transaction can be left. */
static void assert_left(hd_statement *behind) {
    hd_statement rollback = plain("rollback");
    assert_int_equal(db.err.statement, 1);
    assert_false(behind->sent);
    assert_int_equal(status_of(&db, false), HD_CONN_FAILED);
    assert_runs(&db, &rollback, 1);
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
    assert_query(&db, "select count(*) from copied", "(0)");
}

static void a_constraint_ends_it(void **state) {
    (void)state;
    hd_value *rows = many_rows("x");
    set_row(rows + ROW * 50000, 7, "twice", 1);
    hd_statement s[] = {plain("begin"), copy_of(COPY, rows, ROW, MANY), plain("commit")};
    assert_fails(&db, s, 3, HD_E_UNIQUE_VIOLATION);
    assert_string_equal(db.err.constraint, "copied_pkey");
    assert_left(&s[2]);
    set_row(rows + ROW * 50000, 50000, "too large", 1000);
    assert_fails(&db, s, 3, HD_E_CHECK_VIOLATION);
    assert_left(&s[2]);
}

static void a_command_that_is_refused_sends_no_rows(void **state) {
    (void)state;
    hd_statement s[] = {plain("begin"),
                        copy_of("copy nowhere from stdin (format binary)", many_rows("x"), ROW, 9),
                        plain("commit")};
    assert_fails(&db, s, 3, HD_E_TABLE_NOT_FOUND);
    assert_left(&s[2]);
}

static void a_value_that_does_not_fit_takes_all_rows_back(void **state) {
    (void)state;
    for (int at = 3; at < MANY; at += MANY - 10) { /* in the first piece, and in a late one */
        hd_value *rows = many_rows("x");
        rows[ROW * at + 2] = hd_int(INT64_MAX, HD_T_INTEGER);
        hd_statement s[] = {plain("begin"), copy_of(COPY, rows, ROW, MANY), plain("commit")};
        assert_fails(&db, s, 3, HD_E_VALIDATION);
        assert_int_equal(db.err.row, at);
        assert_left(&s[2]);
    }
}

static void rows_that_were_dropped_are_counted(void **state) {
    (void)state;
    hd_value *rows = many_rows("x");
    hd_statement s[] = {plain("begin"), copy_of(COPY " where id <> 9", rows, ROW, 20),
                        plain("commit")};
    hd_statement rollback = plain("rollback");
    assert_fails(&db, s, 3, HD_E_OPTIMISTIC_LOCK);
    assert_int_equal(db.err.statement, 1);
    assert_false(s[2].sent);
    assert_runs(&db, &rollback, 1);
    assert_query(&db, "select count(*) from copied", "(0)");
}

static void a_server_that_goes_away_is_noticed(void **state) {
    (void)state;
    pg p;
    open_pg(&p, NULL, NULL);
    execute(&other, "create function goes() returns trigger language plpgsql as"
                    " 'begin if new.id = 30000 then perform pg_terminate_backend(pg_backend_pid());"
                    " end if; return new; end';"
                    "create trigger goes before insert on copied for each row execute function "
                    "goes()");
    hd_statement s[] = {plain("begin"), copy_of(COPY, many_rows("x"), ROW, MANY), plain("commit")};
    assert_int_equal(run(&p, s, 3), HD_FAILED);
    assert_true(p.err.kind == HD_E_CONNECTION);
    assert_int_equal(status_of(&p, false), HD_CONN_CLOSED);
    assert_false(s[2].sent);
    close_pg(&p);
    execute(&other, "drop function goes() cascade");
    assert_query(&other, "select count(*) from copied", "(0)");
}

static void it_can_be_canceled(void **state) {
    (void)state;
    hd_statement s[] = {plain("begin"), copy_of(COPY, many_rows("x"), ROW, MANY), plain("commit")};
    hd_statement rollback = plain("rollback");
    hd_wait wait;
    hd_step step = HD_WAIT;
    execute(&other, "begin; lock table copied");
    hd_error_clear(&db.err);
    assert_int_equal(db.conn->driver->start(db.conn, s, 3, &db.err), HD_OK);
    for (;;) { /* until it waits for the lock */
        step = db.conn->driver->step(db.conn, &wait, &db.err);
        assert_int_equal(step, HD_WAIT);
        if (s[1].sent) break;
        wait_for(&wait);
    }
    db.conn->driver->cancel(db.conn, false);
    while ((step = db.conn->driver->step(db.conn, &wait, &db.err)) == HD_WAIT) wait_for(&wait);
    assert_int_equal(step, HD_FAILED);
    assert_int_equal(db.err.kind, HD_E_CANCELED);
    execute(&other, "rollback");
    assert_runs(&db, &rollback, 1);
    assert_query(&db, "select count(*) from copied", "(0)");
}

#define TEST(name) cmocka_unit_test_setup(name, empty_table)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(it_runs_between_pipelines),
        TEST(alone_it_commits_itself),
        TEST(values_are_those_of_an_insert),
        TEST(a_stream_may_be_larger_than_the_socket),
        TEST(a_constraint_ends_it),
        TEST(a_command_that_is_refused_sends_no_rows),
        TEST(a_value_that_does_not_fit_takes_all_rows_back),
        TEST(rows_that_were_dropped_are_counted),
        TEST(a_server_that_goes_away_is_noticed),
        TEST(it_can_be_canceled),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
