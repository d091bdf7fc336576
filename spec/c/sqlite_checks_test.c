/* SQLite driver: statements that overlook CHECK constraints, and what they leave behind; foreign keys
 * that are checked late. */
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

static int64_t checks_are_off(void) {
    return db_integer(&d, "PRAGMA ignore_check_constraints");
}

static void checks_are_overlooked_by_the_statements_that_say_so_alone(void **state) {
    (void)state;
    hd_statement s[] = {text_of("CREATE TABLE t (n INTEGER CHECK (n > 0))"),
                        text_of("INSERT INTO t VALUES (-1)"), text_of("INSERT INTO t VALUES (-1)")};
    s[1].unconfined = true;
    s[1].cache = s[2].cache = true;
    s[1].hash = s[2].hash = 77;
    for (int turn = 0; turn < 2; turn++) { /* the text is kept, prepared either way */
        assert_int_equal(db_run(&d, s + turn, 3u - (unsigned)turn), HD_FAILED);
        assert_int_equal(d.err.kind, HD_E_CHECK_VIOLATION);
        assert_int_equal(d.err.statement, 2 - turn);
        assert_int_equal(checks_are_off(), 0);
    }
    assert_int_equal(db_run(&d, s + 1, 1), HD_DONE);
    assert_int_equal(checks_are_off(), 0);
    assert_int_equal(db_integer(&d, "SELECT count(*) FROM t"), 3);
}

static void checks_come_back_when_such_a_statement_fails(void **state) {
    (void)state;
    hd_statement s[] = {text_of("CREATE TABLE t (n INTEGER PRIMARY KEY)"),
                        text_of("INSERT INTO t VALUES (1)"), text_of("INSERT INTO t VALUES (1)")};
    s[1].unconfined = s[2].unconfined = true;
    assert_int_equal(db_run(&d, s, 3), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_UNIQUE_VIOLATION);
    assert_int_equal(checks_are_off(), 0);
}

static void checks_that_were_off_stay_off(void **state) {
    (void)state;
    hd_statement s[] = {text_of("PRAGMA ignore_check_constraints = 1"),
                        text_of("CREATE TABLE t (n INTEGER)"), text_of("INSERT INTO t VALUES (1)")};
    s[2].unconfined = true;
    assert_int_equal(db_run(&d, s, 3), HD_DONE);
    assert_int_equal(checks_are_off(), 1);
}

static void a_batch_can_say_that_foreign_keys_have_to_be_whole_behind_it(void **state) {
    (void)state;
    hd_statement made[] = {
        text_of("CREATE TABLE t (id INTEGER PRIMARY KEY, up INTEGER REFERENCES t)"),
        text_of("BEGIN"), text_of("PRAGMA defer_foreign_keys = 1"), text_of("SAVEPOINT a")};
    assert_int_equal(db_run(&d, made, 4), HD_DONE);
    hd_statement s[] = {text_of("INSERT INTO t VALUES (1, 2)"),
                        text_of("INSERT INTO t VALUES (2, 1)")};
    s[0].settles = true;
    assert_int_equal(db_run(&d, s, 2), HD_FAILED);
    assert_int_equal(d.err.kind, HD_E_FOREIGN_KEY_VIOLATION);
    assert_int_equal(d.err.statement, -1);
    assert_int_equal(s[1].affected, -1);
    hd_statement back = text_of("ROLLBACK TO a");
    assert_int_equal(db_run(&d, &back, 1), HD_DONE);
    s[0].settles = false;
    s[1].settles = true;
    assert_int_equal(db_run(&d, s, 2), HD_DONE);
    hd_statement broken[] = {text_of("INSERT INTO t VALUES (3, 4)"), text_of("SELECT 1")};
    assert_int_equal(db_run(&d, broken, 1), HD_DONE);
    broken[1].settles = true; /* what was broken before the batch is not its fault */
    assert_int_equal(db_run(&d, broken + 1, 1), HD_DONE);
}

static void what_the_schema_defers_may_stay_broken(void **state) {
    (void)state;
    hd_statement s[] = {text_of("CREATE TABLE t (id INTEGER PRIMARY KEY, up INTEGER REFERENCES t "
                                "DEFERRABLE INITIALLY DEFERRED)"),
                        text_of("BEGIN"), text_of("INSERT INTO t VALUES (1, 2)")};
    s[2].settles = true;
    assert_int_equal(db_run(&d, s, 3), HD_DONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(checks_are_overlooked_by_the_statements_that_say_so_alone),
        TEST(checks_come_back_when_such_a_statement_fails),
        TEST(checks_that_were_off_stay_off),
        TEST(a_batch_can_say_that_foreign_keys_have_to_be_whole_behind_it),
        TEST(what_the_schema_defers_may_stay_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
