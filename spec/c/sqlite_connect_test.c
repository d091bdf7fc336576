/* SQLite driver: options, opening, pragmas, files that cannot be used, forks. */
#include <sys/stat.h>
#include <sys/wait.h>

#include "sqlite_support.h"

static db d;

static int set_up(void **state) {
    memset(&d, 0, sizeof d);
    return make_directory(state);
}

static int tear_down(void **state) {
    db_close(&d);
    return remove_directory(state);
}

static void write_file(const char *path, const char *bytes, size_t len) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static hd_step connect_mode(const char *path, const char *mode) {
    const hd_option options[] = {{"database", path}, {"mode", mode}};
    return db_connect(&d, options, 2);
}

/* ---- options ---- */

static void option_is_refused(const char *name, const char *value) {
    const hd_option options[] = {{"database", ":memory:"}, {name, value}};
    assert_int_equal(db_connect(&d, options, 2), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CONFIG);
    assert_non_null(d.err.message);
    db_close(&d);
}

static void wrong_options(void **state) {
    (void)state;
    option_is_refused("databse", "x");
    option_is_refused("mode", "w");
    option_is_refused("busy_timeout", "-1");
    option_is_refused("busy_timeout", "nan");
    option_is_refused("busy_timeout", "inf");
    option_is_refused("busy_timeout", "5 s");
    option_is_refused("statement_cache", "-1");
    option_is_refused("statement_cache", "1.5");
    option_is_refused("database", "");
    option_is_refused("pragma.", "1");
    option_is_refused("pragma.a b", "1");
    option_is_refused("pragma.cache_size; DROP TABLE t; --", "1");
    option_is_refused("pragma.busy_timeout", "1000");
    option_is_refused("pragma.cache_sze", "1"); /* SQLite itself would say nothing */
    const hd_option none[] = {{"mode", "rw"}};
    assert_int_equal(db_connect(&d, none, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CONFIG);
}

static void default_pragmas(void **state) {
    (void)state;
    const char *path = in_directory("a.db");
    db_open(&d, path);
    assert_string_equal(db_text(&d, "PRAGMA journal_mode"), "wal");
    assert_int_equal(db_integer(&d, "PRAGMA synchronous"), 1);
    assert_int_equal(db_integer(&d, "PRAGMA foreign_keys"), 1);
    assert_int_equal(db_integer(&d, "PRAGMA busy_timeout"), 0);
    assert_int_equal(db_integer(&d, "SELECT 'ABC' LIKE 'abc'"), 0);
    db_fails(&d, "SELECT load_extension('x')", HD_E_DRIVER); /* not authorized */
    db_close(&d);
    db_open(&d, ":memory:");
    assert_string_equal(db_text(&d, "PRAGMA journal_mode"), "memory");
}

static void pragmas_of_the_user(void **state) {
    (void)state;
    const hd_option options[] = {
        {"database", in_directory("a.db")}, {"pragma.FOREIGN_KEYS", "off"},
        {"pragma.journal_mode", "delete"},  {"pragma.cache_size", "-4321"},
        {"pragma.page_size", "8192"},       {"pragma.user_version", "7"},
        {"pragma.cache_size", "-1234"},
    };
    assert_int_equal(db_connect(&d, options, COUNT(options)), HD_DONE);
    assert_string_equal(db_text(&d, "PRAGMA journal_mode"), "delete");
    assert_int_equal(db_integer(&d, "PRAGMA foreign_keys"), 0);
    assert_int_equal(db_integer(&d, "PRAGMA cache_size"), -1234);
    assert_int_equal(db_integer(&d, "PRAGMA page_size"), 8192);
    assert_int_equal(db_integer(&d, "PRAGMA user_version"), 7);
    db_close(&d);

    /* Also where the first page is written by the default WAL, and whatever stands before it. */
    const hd_option wal[] = {{"pragma.cache_size", "1'; DROP TABLE t; --"},
                             {"pragma.page_size", "16384"},
                             {"database", in_directory("b.db")}};
    assert_int_equal(db_connect(&d, wal, COUNT(wal)), HD_DONE);
    assert_string_equal(db_text(&d, "PRAGMA journal_mode"), "wal");
    assert_int_equal(db_integer(&d, "PRAGMA page_size"), 16384);
}

/* ---- opening ---- */

static void opening_fails(const char *path, const char *mode, const char *reason) {
    assert_int_equal(connect_mode(path, mode), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CONNECTION);
    assert_non_null(strstr(d.err.message, path));
    assert_non_null(strstr(d.err.message, reason));
    assert_non_null(d.err.cause);
    assert_int_equal(db_status(&d), HD_CONN_CLOSED);
    hd_statement s = text_of("SELECT 1");
    assert_int_equal(hd_sqlite_driver.start(d.conn, &s, 1, &d.err), HD_E_CLOSED);
    db_close(&d);
}

static void files_that_cannot_be_opened(void **state) {
    (void)state;
    opening_fails(in_directory("missing/a.db"), "rwc", "does not exist");
    opening_fails(in_directory("missing.db"), "rw", "does not exist");
    opening_fails(in_directory("missing.db"), "ro", "does not exist");
    opening_fails(directory, "rwc", "is a directory");
    char text[3000];
    memset(text, 'x', sizeof text);
    write_file(in_directory("text.db"), text, sizeof text);
    opening_fails(in_directory("text.db"), "rwc", "not a SQLite database");
    write_file(in_directory("short.db"), "hello", 5);
    opening_fails(in_directory("short.db"), "rw", "not a SQLite database");
    struct stat info;
    assert_int_equal(stat(in_directory("missing.db"), &info), -1);
}

static void a_failed_connection_can_try_again(void **state) {
    (void)state;
    hd_wait wait;
    const char *path = in_directory("late.db");
    assert_int_equal(connect_mode(path, "rw"), HD_FAILED);
    write_file(path, "", 0);
    assert_int_equal(hd_sqlite_driver.connect(d.conn, NULL, &wait, &d.err), HD_DONE);
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
}

static void read_only(void **state) {
    (void)state;
    const char *path = in_directory("a.db");
    const hd_option make[] = {{"database", path}, {"pragma.journal_mode", "delete"}};
    assert_int_equal(db_connect(&d, make, 2), HD_DONE);
    db_exec(&d, "CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)");
    db_close(&d);
    assert_int_equal(connect_mode(path, "ro"), HD_DONE);
    assert_string_equal(db_text(&d, "PRAGMA journal_mode"), "delete");
    assert_int_equal(db_integer(&d, "SELECT id FROM t"), 1);
    db_fails(&d, "INSERT INTO t VALUES (2)", HD_E_READ_ONLY);
    assert_non_null(strstr(d.err.message, path));
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
}

static void uris(void **state) {
    (void)state;
    char uri[256], text[256];
    snprintf(uri, sizeof uri, "file:%s?mode=rw&key=s3cret", in_directory("u.db"));
    assert_int_equal(connect_mode(uri, "rwc"), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_CONNECTION);
    assert_null(strstr(d.err.message, "s3cret"));
    hd_sqlite_driver.describe(d.conn, text, sizeof text);
    assert_null(strstr(text, "s3cret"));
    assert_non_null(strstr(text, "u.db"));
    db_close(&d);
    snprintf(uri, sizeof uri, "file:%s?key=s3cret", in_directory("u.db"));
    db_open(&d, uri);
    db_exec(&d, "CREATE TABLE t (id)");
    hd_sqlite_driver.describe(d.conn, text, sizeof text);
    char expected[256];
    snprintf(expected, sizeof expected, "sqlite %s %s", sqlite3_libversion(), in_directory("u.db"));
    assert_string_equal(text, expected);
    char small[8];
    hd_sqlite_driver.describe(d.conn, small, sizeof small);
    assert_string_equal(small, "sqlite ");
    db_close(&d);
    db_open(&d, ":memory:");
    hd_sqlite_driver.describe(d.conn, text, sizeof text);
    assert_non_null(strstr(text, " :memory:"));
}

static void versions(void **state) {
    (void)state;
    hd_error_init(&d.err, &hd_allocator_libc);
    assert_int_equal(hd_sqlite_driver.check(&d.err), HD_OK);
    assert_int_equal(hd_sqlite_driver.abi, HD_DRIVER_ABI);
    assert_int_equal(strncmp(hd_sqlite_driver.version(), "sqlite 3.", 9), 0);
}

/* ---- files that go bad ---- */

static void full_disk(void **state) {
    (void)state;
    const char *path = in_directory("full.db");
    const hd_option options[] = {{"database", path}, {"pragma.max_page_count", "20"}};
    assert_int_equal(db_connect(&d, options, 2), HD_DONE);
    db_exec(&d, "CREATE TABLE t (v BLOB)");
    hd_statement s = text_of("INSERT INTO t VALUES (zeroblob(5000))");
    s.repeat = 100;
    assert_int_equal(db_run(&d, &s, 1), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_DRIVER);
    assert_int_equal(d.err.native, SQLITE_FULL);
    assert_non_null(strstr(d.err.message, "no room"));
    assert_non_null(strstr(d.err.message, path));
    assert_int_equal(db_status(&d), HD_CONN_IDLE);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), s.affected);
    assert_true(s.affected > 0 && s.affected < 20);
}

static void damaged_file(void **state) {
    (void)state;
    const char *path = in_directory("bad.db");
    const hd_option options[] = {{"database", path}, {"pragma.journal_mode", "delete"}};
    assert_int_equal(db_connect(&d, options, 2), HD_DONE);
    db_exec(&d, "CREATE TABLE t (v TEXT); INSERT INTO t VALUES (hex(randomblob(9000)))");
    db_close(&d);
    FILE *file = fopen(path, "r+b");
    fseek(file, 4096, SEEK_SET);
    for (int i = 0; i < 4096; i++) fputc(0x77, file);
    fclose(file);
    assert_int_equal(db_connect(&d, options, 2), HD_DONE);
    db_fails(&d, "SELECT v FROM t", HD_E_DRIVER);
    assert_non_null(strstr(d.err.message, "damaged"));
}

static void a_file_that_was_replaced_is_noticed(void **state) {
    (void)state;
    const char *path = in_directory("a.db");
    db_open(&d, path);
    db_exec(&d, "CREATE TABLE t (id INTEGER)");
    inside(&d)->probed -= 2000000;
    assert_int_equal(hd_sqlite_driver.status(d.conn, true), HD_CONN_IDLE);
    unlink(path);
    write_file(path, "", 0);
    assert_int_equal(hd_sqlite_driver.status(d.conn, true), HD_CONN_IDLE); /* one look a second */
    inside(&d)->probed -= 2000000;
    assert_int_equal(hd_sqlite_driver.status(d.conn, false), HD_CONN_IDLE);
    assert_int_equal(hd_sqlite_driver.status(d.conn, true), HD_CONN_CLOSED);
}

/* ---- forks ---- */

/* Closing it there would roll back what the parent is doing, in memory that both share. */
static void discarded_in_a_child(void **state) {
    (void)state;
    db_open(&d, in_directory("a.db"));
    db_exec(&d, "CREATE TABLE t (id INTEGER); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 1);
    sqlite3 *left_behind = inside(&d)->db;
    pid_t child = fork();
    if (child == 0) {
        hd_sqlite_driver.discard(d.conn);
        bool untouched =
            !sqlite3_get_autocommit(left_behind) && sqlite3_next_stmt(left_behind, NULL);
        const char *answer = untouched ? "true" : "false";
        execlp(answer, answer, (char *)NULL); /* no checker complains of what stays on purpose */
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    db_exec(&d, "INSERT INTO t VALUES (2); COMMIT");
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 2);
}

/* What the child of the fork does: writes a row, and another when the parent has closed its own. */
static void write_in_a_child(const char *path, int parent, int child) {
    char word;
    db own;
    hd_sqlite_driver.discard(d.conn);
    db_open(&own, path);
    db_exec(&own, "INSERT INTO t VALUES (2)");
    if (write(child, "1", 1) != 1 || read(parent, &word, 1) != 1) _exit(1);
    db_exec(&own, "INSERT INTO t VALUES (3)");
    if (write(child, "2", 1) != 1 || read(parent, &word, 1) != 1) _exit(2);
    db_close(&own);
    _exit(0);
}

/* A handle left open in the child would make its new connection believe in locks that the parent
 * holds, and the parent's last close delete the log that the child writes to. */
static void a_childs_rows_outlive_the_parents_close(void **state) {
    (void)state;
    char path[256], word;
    int parent[2], child[2], status;
    snprintf(path, sizeof path, "%s", in_directory("forked.db"));
    db_open(&d, path);
    db_exec(&d, "CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)");
    assert_int_equal(pipe(parent) | pipe(child), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(parent[1]);
        alarm(60);
        write_in_a_child(path, parent[0], child[1]);
    }
    close(parent[0]); /* so that a child that dies is the end of the pipe, not a wait for ever */
    close(child[1]);
    assert_int_equal(read(child[0], &word, 1), 1);
    db_close(&d);
    assert_int_equal(write(parent[1], "1", 1), 1);
    assert_int_equal(read(child[0], &word, 1), 1);
    db_open(&d, path);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 3);
    assert_int_equal(write(parent[1], "2", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 3);
    close(parent[1]);
    close(child[0]);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(wrong_options),
        T(default_pragmas),
        T(pragmas_of_the_user),
        T(files_that_cannot_be_opened),
        T(a_failed_connection_can_try_again),
        T(read_only),
        T(uris),
        T(versions),
        T(full_disk),
        T(damaged_file),
        T(a_file_that_was_replaced_is_noticed),
        T(discarded_in_a_child),
        T(a_childs_rows_outlive_the_parents_close),
    };
    return cmocka_run_group_tests_name("sqlite connections", tests, NULL, NULL);
}
