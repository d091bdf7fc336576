/* SQLite driver: statements that overlook CHECK constraints, and what they leave behind. */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(checks_are_overlooked_by_the_statements_that_say_so_alone),
        TEST(checks_come_back_when_such_a_statement_fails),
        TEST(checks_that_were_off_stay_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
