/* What the server complains of becomes kinds and words of Heddle's own; values that were bound
 * never stand in them. */
#include "postgres_support.h"

static pg db, other;

static int open_db(void **state) {
    (void)state;
    open_pg(&db, NULL, NULL);
    open_pg(&other, NULL, NULL);
    execute(&other,
            "drop table if exists error_child, error_parent; "
            "create table error_parent (id int8 primary key, email text, "
            "  constraint \"parent's email\" unique (email)); "
            "create table error_child (id int8 primary key, parent int8 not null, "
            "  n int2 constraint n_small check (n < 10), label varchar(3), during int4range, "
            "  constraint child_parent foreign key (parent) references error_parent, "
            "  constraint child_during exclude using gist (during with &&)); "
            "insert into error_parent values (1, 's3cret'), (2, 'b'); "
            "insert into error_child values (1, 1, 1, 'a', '[1,5)')");
    return 0;
}

static int close_db(void **state) {
    (void)state;
    execute(&other, "drop table error_child, error_parent");
    close_pg(&db);
    close_pg(&other);
    return 0;
}

/* Runs it alone; kind, SQLSTATE and message must be these. */
static void check_error(hd_statement s, hd_error_kind kind, const char *sqlstate,
                        const char *message) {
    assert_fails(&db, &s, 1, kind);
    assert_string_equal(db.err.sqlstate, sqlstate);
    assert_string_equal(db.err.message, message);
    assert_non_null(db.err.cause);
    assert_int_equal(db.err.statement, 0);
    assert_memory_equal(db.err.sql, s.sql, s.sql_len);
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
}

static void violations_name_their_constraint(void **state) {
    (void)state;
    check_error(text_of("insert into error_parent values (3, 's3cret')"), HD_E_UNIQUE_VIOLATION,
                "23505", "unique constraint 'parent's email' of table 'error_parent' was violated");
    assert_string_equal(db.err.constraint, "parent's email");
    assert_string_equal(db.err.table, "error_parent");
    assert_string_equal(db.err.schema, "public");
    assert_non_null(strstr(db.err.detail, "s3cret"));
    check_error(text_of("insert into error_child values (2, 77)"), HD_E_FOREIGN_KEY_VIOLATION,
                "23503",
                "foreign key constraint 'child_parent' of table 'error_child' was violated");
    check_error(text_of("delete from error_parent where id = 1"), HD_E_FOREIGN_KEY_VIOLATION,
                "23503",
                "foreign key constraint 'child_parent' of table 'error_child' was violated");
    check_error(text_of("insert into error_child values (2, null)"), HD_E_NOT_NULL_VIOLATION,
                "23502", "column 'parent' of table 'error_child' may not be NULL");
    assert_string_equal(db.err.column, "parent");
    check_error(text_of("update error_child set n = 10"), HD_E_CHECK_VIOLATION, "23514",
                "check constraint 'n_small' of table 'error_child' was violated");
    check_error(text_of("insert into error_child values (2, 1, 1, 'a', '[4,9)')"),
                HD_E_CHECK_VIOLATION, "23P01",
                "exclusion constraint 'child_during' of table 'error_child' was violated");
}

static void statements_that_make_no_sense(void **state) {
    (void)state;
    check_error(text_of("select * from nowhere"), HD_E_TABLE_NOT_FOUND, "42P01",
                "a table does not exist: 'nowhere', at character 15");
    assert_string_equal(db.err.table, "nowhere");
    check_error(text_of("create table nowhere.t (a int)"), HD_E_TABLE_NOT_FOUND, "3F000",
                "a schema does not exist: 'nowhere', at character 14");
    check_error(text_of("select from where"), HD_E_SYNTAX, "42601",
                "syntax error: 'where', at character 13");
    check_error(text_of("select nme from error_parent"), HD_E_SYNTAX, "42703",
                "a column does not exist: 'nme', at character 8");
    check_error(text_of("select no_such(1)"), HD_E_SYNTAX, "42883",
                "a function or operator does not exist for these types, at character 8");
    check_error(text_of("create table error_parent ()"), HD_E_SYNTAX, "42P07",
                "a table or index exists already: 'error_parent'");
}

static void values_that_do_not_fit(void **state) {
    (void)state;
    check_error(text_of("insert into error_child values (3, 1, 1, 'long')"), HD_E_VALIDATION,
                "22001", "a text is longer than its column");
    check_error(text_of("select 99999::int2"), HD_E_VALIDATION, "22003",
                "a number is out of its type's range");
    check_error(text_of("select 1 / 0"), HD_E_VALIDATION, "22012", "a number was divided by zero");
    check_error(text_of("select '2026-02-30'::date"), HD_E_VALIDATION, "22008",
                "a date or time is out of range");
    check_error(text_of("select sqrt(-1)"), HD_E_VALIDATION, "2201F", "PostgreSQL refused a value");
}

static void other_kinds(void **state) {
    (void)state;
    check_error(plain("do $$ begin raise exception 'own' using hint = 'h', detail = 'd'; end $$"),
                HD_E_DRIVER, "P0001", "PostgreSQL reported an error");
    assert_string_equal(db.err.cause, "own");
    assert_string_equal(db.err.hint, "h");
    assert_string_equal(db.err.detail, "d");
    check_error(plain("do $$ begin raise sqlstate '40001'; end $$"), HD_E_SERIALIZATION_FAILURE,
                "40001", "the transaction collided with one that ran beside it; run it again");
    check_error(plain("do $$ begin raise sqlstate '40P01'; end $$"), HD_E_DEADLOCK, "40P01",
                "the transaction was chosen to end a deadlock; run it again");
    check_error(plain("do $$ begin raise sqlstate '53300'; end $$"), HD_E_CONNECTION, "53300",
                "the server has no connections left");
    check_error(text_of("select 1 for update of nothing"), HD_E_TABLE_NOT_FOUND, "42P01",
                "a table does not exist: 'nothing', at character 24");
    check_error(text_of("select array_agg(1) over () from error_parent for update"),
                HD_E_UNSUPPORTED, "0A000",
                "PostgreSQL does not support what the statement asks for");
    hd_statement s[] = {plain("begin read only"), text_of("delete from error_child")};
    assert_fails(&db, s, 2, HD_E_READ_ONLY);
    hd_statement rollback = plain("rollback");
    assert_runs(&db, &rollback, 1);
}

static void locks_and_limits(void **state) {
    (void)state;
    hd_statement lock[] = {plain("begin"), text_of("select 1 from error_child for update")};
    hd_statement rollback = plain("rollback");
    assert_runs(&other, lock, 2);
    check_error(text_of("select 1 from error_child for update nowait"), HD_E_LOCK_TIMEOUT, "55P03",
                "a lock could not be had in time");
    execute(&db, "set lock_timeout = 30");
    check_error(text_of("update error_child set n = 2"), HD_E_LOCK_TIMEOUT, "55P03",
                "a lock could not be had in time");
    execute(&db, "reset lock_timeout");
    assert_runs(&other, &rollback, 1);
    execute(&db, "set statement_timeout = 30");
    check_error(text_of("select pg_sleep(10)"), HD_E_TIMEOUT, "57014",
                "the statement ran longer than the session's statement_timeout allows");
    execute(&db, "reset statement_timeout");
}

static void a_statement_can_be_canceled(void **state) {
    (void)state;
    hd_statement s = text_of("select pg_sleep(20)");
    hd_wait wait;
    hd_step step;
    db.conn->driver->cancel(db.conn, false); /* nothing runs: nothing happens */
    assert_int_equal(db.conn->driver->start(db.conn, &s, 1, &db.err), HD_OK);
    assert_int_equal(db.conn->driver->step(db.conn, &wait, &db.err), HD_WAIT);
    poll(NULL, 0, 50);
    db.conn->driver->cancel(db.conn, false);
    while ((step = db.conn->driver->step(db.conn, &wait, &db.err)) == HD_WAIT) wait_for(&wait);
    assert_int_equal(step, HD_FAILED);
    assert_int_equal(db.err.kind, HD_E_CANCELED);
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
    assert_query(&db, "select 1", "(1)");
}

/* The guard of bulk updates fails a cast on purpose; its text is for the core to read. */
static void guards_keep_their_message(void **state) {
    (void)state;
    check_error(text_of("select ('heddle_stale:' || '7,8')::int"), HD_E_VALIDATION, "22P02",
                "a value is not of the form that its type asks for");
    assert_string_equal(db.err.cause,
                        "invalid input syntax for type integer: \"heddle_stale:7,8\"");
}

/* Without BEGIN a statement is committed behind its own answer. */
static void a_statement_alone_can_fail_at_its_commit(void **state) {
    (void)state;
    execute(&other, "create table late_child (id int8 primary key, parent int8 constraint late "
                    "references error_parent deferrable initially deferred)");
    check_error(text_of("insert into late_child values (1, 77)"), HD_E_FOREIGN_KEY_VIOLATION,
                "23503", "foreign key constraint 'late' of table 'late_child' was violated");
    hd_statement two[] = {text_of("insert into late_child values (2, 1)"),
                          text_of("insert into late_child values (3, 77)")};
    assert_fails(&db, two, 2, HD_E_FOREIGN_KEY_VIOLATION);
    assert_int_equal(db.err.statement, 1);
    assert_int_equal(status_of(&db, true), HD_CONN_IDLE);
    hd_statement count = text_of("select count(*) from late_child");
    assert_int_equal(run(&db, &count, 1), HD_DONE);
    assert_rows(&db, "(0)");
    execute(&other, "drop table late_child");
}

static void bound_values_stay_out_of_messages(void **state) {
    (void)state;
    hd_value secret = text_value("s3cret", HD_TEXT, HD_T_UNKNOWN);
    hd_value typed = text_value("s3cret", HD_TEXT, HD_T_TEXT);
    hd_statement s[] = {
        with_params("select $1::int", &secret, 1),
        with_params("insert into error_parent values (9, $1)", &typed, 1),
        with_params("insert into error_child values (9, 1, 1, $1)", &typed, 1),
        with_params("select $1::pg_catalog.date", &secret, 1),
        with_params("select * from error_parent where $1::regclass is null", &secret, 1),
        with_params("select set_config('search_path', $1, true), 1 / (length($1) - 6)", &typed, 1),
        with_params("select $1::json", &secret, 1),
        with_params("select set_config($1, '1', true)", &typed, 1),
    };
    for (uint32_t i = 0; i < COUNT(s); i++) {
        assert_int_equal(run(&db, s + i, 1), HD_FAILED);
        assert_non_null(db.err.message);
        assert_null(strstr(db.err.message, "s3cret"));
    }
    hd_value wrong[] = {text_value("s3cret", HD_TEXT, HD_T_BIGINT),
                        text_value("s3cret", HD_TEXT, HD_T_UUID),
                        text_value("s3cret", HD_TEXT, HD_T_TIMESTAMP)};
    for (uint32_t i = 0; i < COUNT(wrong); i++) {
        hd_statement t = with_params("select $1", wrong + i, 1);
        assert_int_equal(run(&db, &t, 1), HD_FAILED);
        assert_null(strstr(db.err.message, "s3cret"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(violations_name_their_constraint),
        cmocka_unit_test(statements_that_make_no_sense),
        cmocka_unit_test(values_that_do_not_fit),
        cmocka_unit_test(other_kinds),
        cmocka_unit_test(locks_and_limits),
        cmocka_unit_test(a_statement_can_be_canceled),
        cmocka_unit_test(guards_keep_their_message),
        cmocka_unit_test(a_statement_alone_can_fail_at_its_commit),
        cmocka_unit_test(bound_values_stay_out_of_messages),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
