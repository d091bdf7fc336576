/* SQLite driver: what fails, as which kind, naming what, and without a value in its words. */
#include "sqlite_support.h"

static db d;

static int set_up(void **state) {
    (void)state;
    db_open(&d, ":memory:");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    db_close(&d);
    return 0;
}

static void refused_texts(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE t (id INTEGER)");
    db_fails(&d, "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", HD_E_SYNTAX);
    db_fails(&d, "INSERT INTO t VALUES (1); nonsense", HD_E_SYNTAX);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);

    hd_statement s = text_of("SELECT 1");
    s.sql = "SELECT 1\0 WHERE 0";
    s.sql_len = 17;
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_SYNTAX);

    const hd_value two[] = {hd_int(1, HD_T_INTEGER), hd_int(2, HD_T_INTEGER)};
    s = with_params("INSERT INTO t VALUES (?1)", two, 2);
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_VALIDATION);
    s = text_of("INSERT INTO t VALUES (?1)");
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_VALIDATION);
    const hd_value pending = {HD_PENDING, HD_T_INTEGER, 0, 0, {.i = 0}};
    s = with_params("INSERT INTO t VALUES (?1)", &pending, 1);
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_DRIVER);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 0);
}

static const char *or_null(const char *text) {
    return text ? text : "-";
}

typedef struct error_case {
    const char *sql;
    hd_error_kind kind;
    const char *table, *column, *constraint;
} error_case;

static void error_kinds(void **state) {
    (void)state;
    db_exec(
        &d,
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, age INTEGER, "
        "  a INTEGER, b INTEGER, UNIQUE (a, b), CONSTRAINT adult CHECK (age > 17), "
        "  CHECK (a < 1000)); "
        "CREATE UNIQUE INDEX next_age ON users (age + 1); "
        "CREATE TABLE books (author INTEGER REFERENCES users (id) DEFERRABLE, isbn TEXT PRIMARY "
        "KEY) "
        "  WITHOUT ROWID; "
        "CREATE TABLE plain (v); CREATE TABLE typed (n INTEGER) STRICT; "
        "CREATE TRIGGER guard BEFORE DELETE ON users BEGIN SELECT RAISE(ABORT, 's3cret'); END; "
        "INSERT INTO users VALUES (1, 'x', 20, 1, 1); INSERT INTO plain (rowid, v) VALUES (1, 1); "
        "INSERT INTO books VALUES (1, 's3cret')");
    const error_case cases[] = {
        {"INSERT INTO users (id, email) VALUES (1, 's3cret')", HD_E_UNIQUE_VIOLATION, "users", "id",
         "-"},
        {"INSERT INTO users (email) VALUES ('x')", HD_E_UNIQUE_VIOLATION, "users", "email", "-"},
        {"INSERT INTO users (email, age) VALUES ('y', 20)", HD_E_UNIQUE_VIOLATION, "-", "-",
         "next_age"},
        {"INSERT INTO users (email, a, b) VALUES ('y', 1, 1)", HD_E_UNIQUE_VIOLATION, "users",
         "a,b", "-"},
        {"INSERT INTO plain (rowid, v) VALUES (1, 1)", HD_E_UNIQUE_VIOLATION, "plain", "rowid",
         "-"},
        {"INSERT INTO books VALUES (1, 's3cret')", HD_E_UNIQUE_VIOLATION, "books", "isbn", "-"},
        {"INSERT INTO users (email) VALUES (NULL)", HD_E_NOT_NULL_VIOLATION, "users", "email", "-"},
        {"INSERT INTO users (email, age) VALUES ('s3cret', 3)", HD_E_CHECK_VIOLATION, "-", "-",
         "adult"},
        {"INSERT INTO users (email, a) VALUES ('s3cret', 1000)", HD_E_CHECK_VIOLATION, "-", "-",
         "a < 1000"},
        {"INSERT INTO books VALUES (99, 's3cret2')", HD_E_FOREIGN_KEY_VIOLATION, "-", "-", "-"},
        {"DELETE FROM users", HD_E_DRIVER, "-", "-", "-"},
        {"INSERT INTO typed VALUES ('s3cret')", HD_E_VALIDATION, "typed", "n", "-"},
        {"INSERT INTO users (id, email) VALUES ('s3cret', 'y')", HD_E_VALIDATION, "-", "-", "-"},
        {"SELECT 's3cret' FORM users", HD_E_SYNTAX, "-", "-", "-"},
        {"SELECT 's3cret", HD_E_SYNTAX, "-", "-", "-"},
        {"SELECT nmae FROM users", HD_E_SYNTAX, "-", "nmae", "-"},
        {"SELECT \"nmae\" FROM users", HD_E_SYNTAX, "-", "nmae", "-"}, /* never the string 'nmae' */
        {"SELECT u.nmae FROM users u", HD_E_SYNTAX, "-", "nmae", "-"},
        {"SELECT nothing('s3cret')", HD_E_SYNTAX, "-", "-", "-"},
        {"INSERT INTO users (nmae) VALUES ('s3cret')", HD_E_SYNTAX, "-", "-", "-"},
        {"SELECT * FROM usres", HD_E_TABLE_NOT_FOUND, "usres", "-", "-"},
        {"SELECT * FROM main.usres", HD_E_TABLE_NOT_FOUND, "usres", "-", "-"},
        {"DROP TABLE usres", HD_E_TABLE_NOT_FOUND, "usres", "-", "-"},
        {"SELECT abs(-9223372036854775808)", HD_E_VALIDATION, "-", "-", "-"},
        {"SELECT json('s3cret')", HD_E_VALIDATION, "-", "-", "-"},
        {"SELECT zeroblob(2147483647)", HD_E_VALIDATION, "-", "-", "-"},
        {"ROLLBACK", HD_E_DRIVER, "-", "-", "-"},
        {"ROLLBACK TO missing", HD_E_SYNTAX, "-", "-", "-"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const error_case *c = &cases[i];
        db_fails(&d, c->sql, c->kind);
        assert_string_equal(or_null(d.err.table), c->table);
        assert_string_equal(or_null(d.err.column), c->column);
        assert_string_equal(or_null(d.err.constraint), c->constraint);
        assert_non_null(d.err.message);
        assert_non_null(d.err.cause);
        assert_null(strstr(d.err.message, "s3cret"));
        assert_int_not_equal(d.err.native, 0);
        assert_int_equal(db_status(&d), HD_CONN_IDLE);
    }
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM users"), 1);
}

static void always(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc, (void)argv;
    sqlite3_result_int(ctx, 1);
}

/* What SQLite understands and does not take; REGEXP only until the program gives it its function. */
static void limits_are_unsupported(void **state) {
    (void)state;
    char sql[8192] = "SELECT 1 FROM (SELECT 1) AS t0";
    for (int i = 1; i < 70; i++) {
        char join[48];
        snprintf(join, sizeof join, " JOIN (SELECT %d) AS t%d", i, i);
        strcat(sql, join);
    }
    db_fails(&d, sql, HD_E_UNSUPPORTED);
    strcpy(sql, "SELECT ");
    for (int i = 0; i < 1500; i++) strcat(sql, "(0+");
    db_fails(&d, strcat(sql, "0"), HD_E_UNSUPPORTED);
    db_fails(&d, "SELECT 'a' REGEXP 'b'", HD_E_UNSUPPORTED);
    assert_non_null(strstr(d.err.message, "regexp"));
    sqlite3_create_function(inside(&d)->db, "regexp", 2, SQLITE_UTF8, NULL, always, NULL, NULL);
    assert_int_equal(db_integer(&d, "SELECT 'a' REGEXP 'b'"), 1);
}

static void deferred_foreign_key_fails_the_commit(void **state) {
    (void)state;
    db_exec(&d, "CREATE TABLE p (id INTEGER PRIMARY KEY); "
                "CREATE TABLE c (p INTEGER REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)");
    hd_statement s[] = {text_of("BEGIN"), text_of("INSERT INTO c VALUES (1)"), text_of("COMMIT")};
    assert_int_equal(db_run(&d, s, 3), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_FOREIGN_KEY_VIOLATION);
    assert_int_equal(d.err.statement, 2);
    assert_int_equal(db_status(&d), HD_CONN_TRANSACTION);
    db_exec(&d, "INSERT INTO p VALUES (1); COMMIT");
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(refused_texts),
        T(error_kinds),
        T(limits_are_unsupported),
        T(deferred_foreign_key_fails_the_commit),
    };
    return cmocka_run_group_tests_name("sqlite errors", tests, NULL, NULL);
}
