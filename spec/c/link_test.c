/* Link: what is sent and when, what holds a connection, and what a failure leaves of a transaction. */
#include "link_support.h"

#include <unistd.h>

/* ---- What is sent ---- */

static void a_connection_is_held_for_one_batch(void **state) {
    (void)state;
    assert_int_equal(run("a", 0), HD_DONE);
    assert_int_equal(in_use(), 0);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_int_equal(fake.opened, 1);
    assert_sent("a;b;");
}

static void begin_travels_with_the_first_batch(void **state) {
    (void)state;
    begin();
    assert_int_equal(in_use(), 0);
    assert_int_equal(run("a", 0), HD_DONE);
    assert_int_equal(in_use(), 1);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_int_equal(in_use(), 0);
    assert_int_equal(link_.depth, 0);
    assert_sent("BEGIN;a;b;COMMIT;");
}

static void a_held_connection_stays_to_the_end(void **state) {
    (void)state;
    for (int commits = 0; commits < 2; commits++) {
        begin();
        assert_int_equal(end(hd_link_hold), HD_DONE);
        assert_int_equal(end(hd_link_hold), HD_DONE);
        assert_int_equal(in_use(), 1);
        assert_int_equal(end(commits ? hd_link_commit : hd_link_rollback), HD_DONE);
        assert_int_equal(in_use(), 0);
        assert_sent("");
    }
    begin();
    assert_int_equal(end(hd_link_hold), HD_DONE);
    assert_int_equal(run("a", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_int_equal(in_use(), 0);
    assert_int_equal(fake.opened, 1);
    assert_sent("BEGIN;a;COMMIT;");
}

static void nothing_done_is_nothing_sent(void **state) {
    (void)state;
    for (int commits = 0; commits < 2; commits++) {
        begin();
        savepoint();
        savepoint();
        assert_int_equal(hd_link_release(&link_), 0);
        savepoint();
        assert_int_equal(end(hd_link_rollback_to), HD_DONE);
        assert_int_equal(link_.depth, 2);
        assert_int_equal(end(commits ? hd_link_commit : hd_link_rollback), HD_DONE);
        assert_int_equal(link_.depth, 0);
    }
    assert_int_equal(fake.opened, 0);
    assert_sent("");
}

static void savepoints_travel_with_the_next_batch(void **state) {
    (void)state;
    begin();
    savepoint();
    run("a", 0);
    hd_link_release(&link_);
    savepoint();
    run("b", 0);
    savepoint();
    run("c", 0);
    end(hd_link_rollback_to);
    hd_link_release(&link_);
    end(hd_link_commit);
    assert_sent("BEGIN;SAVEPOINT hd_2;a;RELEASE SAVEPOINT hd_2;SAVEPOINT hd_2;b;SAVEPOINT hd_3;c;"
                "ROLLBACK TO SAVEPOINT hd_3;RELEASE SAVEPOINT hd_3;RELEASE SAVEPOINT hd_2;COMMIT;");
}

static void what_waited_inside_a_savepoint_dies_with_it(void **state) {
    (void)state;
    begin();
    savepoint();
    run("a", 0);
    savepoint();
    run("b", 0);
    hd_link_release(&link_); /* noted, never sent */
    end(hd_link_rollback_to);
    end(hd_link_rollback);
    assert_sent("BEGIN;SAVEPOINT hd_2;a;SAVEPOINT hd_3;b;ROLLBACK TO SAVEPOINT hd_2;RELEASE "
                "SAVEPOINT hd_2;ROLLBACK;");
}

static void a_commit_can_travel_behind_the_batch(void **state) {
    (void)state;
    begin();
    assert_int_equal(run("a", HD_RUN_COMMIT), HD_DONE);
    assert_int_equal(link_.depth, 0);
    assert_int_equal(in_use(), 0);
    assert_sent("BEGIN;a;COMMIT;");
    assert_int_equal(one.affected, 0);
    assert_true(one.sent);
}

static void the_transactions_id_is_asked_for_once(void **state) {
    (void)state;
    fake.rows = 1;
    fake.shows_ids = true;
    begin();
    assert_int_equal(run("a", HD_RUN_XID), HD_DONE);
    assert_string_equal(link_.xid, "1");
    run("b", HD_RUN_XID);
    end(hd_link_commit);
    assert_string_equal(link_.xid, "");
    begin();
    run("c", 0);
    end(hd_link_commit);                             /* known only to the COMMIT */
    assert_int_equal(run("d", HD_RUN_XID), HD_DONE); /* no transaction, no id */
    assert_sent("BEGIN;select id;a;b;COMMIT;BEGIN;c;select id if;COMMIT;d;");
}

static void a_commit_says_whether_anything_was_written(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    run("a", 0);
    end(hd_link_commit);
    assert_true(link_.wrote);
    fake.rows = 0; /* no id was given */
    begin();
    run("b", 0);
    assert_false(link_.wrote);
    end(hd_link_commit);
    assert_false(link_.wrote);
    fake.rows = 1;
    begin();
    run("c", HD_RUN_XID | HD_RUN_COMMIT);
    assert_true(link_.wrote);
    begin();
    end(hd_link_commit);
    assert_false(link_.wrote);
}

static void a_question_travels_behind_one_batch(void **state) {
    (void)state;
    fake.rows = 1;
    hd_link_ask(&link_, "select x");
    assert_int_equal(start("select a", 0), HD_OK);
    assert_int_equal(step(), HD_ROW);
    assert_string_equal(link_.answer, "");
    assert_int_equal(step(), HD_DONE); /* its row is the link's own */
    assert_string_equal(link_.answer, "1");
    assert_int_equal(in_use(), 0);
    run("b", 0);
    assert_string_equal(link_.answer, "1");
    hd_link_ask(&link_, "select y");
    begin();
    run("c", HD_RUN_COMMIT);
    assert_sent("select a;select x;b;BEGIN;c;COMMIT;select y;");
}

static void what_was_not_sent_asks_nothing_later(void **state) {
    (void)state;
    fake.rows = 1;
    fake.refuse = true;
    hd_link_ask(&link_, "select x");
    assert_int_equal(run("a", 0), HD_FAILED);
    fake.refuse = false;
    run("b", 0);
    fake.fail_at = 1;
    hd_link_ask(&link_, "select x");
    assert_int_equal(run("c", 0), HD_FAILED);
    assert_string_equal(link_.answer, "");
    assert_int_equal(link_.error.statement, 0);
    run("d", 0);
    hd_link_ask(&link_, "select x");
    hd_link_reset(&link_);
    run("e", 0);
    assert_sent("b;c;d;e;");
}

/* ---- Rows ---- */

static void rows_are_the_batchs_own(void **state) {
    (void)state;
    fake.rows = 2;
    begin();
    assert_int_equal(start("select x", HD_RUN_XID), HD_OK);
    assert_int_equal(step(), HD_ROW); /* not the id's */
    assert_int_equal(link_.row.statement, 0);
    assert_int_equal(link_.row.values[0].as.i, 1);
    assert_int_equal(step(), HD_ROW);
    assert_int_equal(link_.row.values[0].as.i, 2);
    assert_int_equal(step(), HD_DONE);
    assert_int_equal(one.affected, 2);
}

static void reading_may_stop_early(void **state) {
    (void)state;
    fake.rows = 9;
    start("select x", 0);
    assert_int_equal(step(), HD_ROW);
    hd_link_finish(&link_);
    assert_int_equal(in_use(), 0);
    begin();
    start("select x", 0);
    step();
    hd_link_finish(&link_);
    assert_int_equal(in_use(), 1); /* the transaction goes on */
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    start("select x", 0);
    step();
    fake.cannot_abandon = true;
    hd_link_finish(&link_);
    assert_int_equal(fake.closed, 1);
    hd_link_finish(&link_); /* idle: nothing to do */
}

static int sunk;

static hd_error_kind sink(void *ctx, const hd_row *row, hd_error *err) {
    sunk += (int)row->values[0].as.i;
    return sunk > *(int *)ctx ? hd_error_set(err, HD_E_VALIDATION, "enough") : HD_OK;
}

static hd_step run_into(int limit) {
    static int kept;
    kept = limit;
    sunk = 0;
    one = text("select x");
    batch = (hd_batch){&one, 1, sink, &kept};
    hd_link_prepare(&link_);
    assert_int_equal(hd_link_run(&link_, &batch, 0, HD_NEVER), HD_OK);
    return finish(step());
}

static void a_sink_takes_every_row_or_ends_the_batch(void **state) {
    (void)state;
    fake.rows = 4;
    assert_int_equal(run_into(100), HD_DONE);
    assert_int_equal(sunk, 10);
    assert_int_equal(run_into(2), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_VALIDATION);
    assert_int_equal(sunk, 3);
    assert_int_equal(in_use(), 0);
    assert_int_equal(fake.closed, 0);
    fake.cannot_abandon = true;
    assert_int_equal(run_into(2), HD_FAILED);
    assert_int_equal(fake.closed, 1);
    begin();
    run("a", 0);
    fake.cannot_abandon = false;
    assert_int_equal(run_into(2), HD_FAILED);
    assert_false(link_.over);
    assert_int_equal(end(hd_link_rollback), HD_DONE);
}

/* ---- Failure ---- */

static void a_failed_statement_outside_keeps_the_connection(void **state) {
    (void)state;
    fake.fail_at = 1;
    assert_int_equal(run("a", 0), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_SYNTAX);
    assert_int_equal(link_.error.statement, 0);
    assert_int_equal(in_use(), 0);
    assert_int_equal(run("b", 0), HD_DONE);
    assert_int_equal(fake.opened, 1);
}

static void a_failed_statement_leaves_the_transaction_to_the_host(void **state) {
    (void)state;
    begin();
    savepoint();
    run("a", 0);
    fake.fail_at = 1;
    assert_int_equal(run("b", 0), HD_FAILED);
    assert_int_equal(link_.error.statement, 0);
    assert_false(link_.over);
    assert_int_equal(run("c", 0), HD_FAILED); /* as the database says */
    fake.bad = HD_DONE;
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    assert_int_equal(run("d", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
}

static void a_begin_that_failed_is_sent_again(void **state) {
    (void)state;
    begin();
    savepoint();
    fake.fail_at = 1;
    assert_int_equal(run("a", 0), HD_FAILED);
    assert_int_equal(link_.error.statement, -2); /* before the batch's first */
    assert_int_equal(in_use(), 1);               /* the transaction's, still */
    assert_int_equal(run("a", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_sent("BEGIN;BEGIN;SAVEPOINT hd_2;a;COMMIT;");
}

static void a_database_that_rolls_back_by_itself_ends_the_transaction(void **state) {
    (void)state;
    begin();
    savepoint();
    run("a", 0);
    fake.ends_transaction = true;
    fake.fail_at = 1;
    assert_int_equal(run("b", 0), HD_FAILED);
    assert_true(link_.over);
    assert_int_equal(run("c", 0), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_CONNECTION);
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_FAILED);
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    assert_int_equal(in_use(), 0);
    assert_sent("BEGIN;SAVEPOINT hd_2;a;b;");
    assert_int_equal(run("d", 0), HD_DONE);
}

static void a_lost_connection_ends_the_transaction(void **state) {
    (void)state;
    begin();
    run("a", 0);
    fake.lose_at = 1;
    assert_int_equal(run("b", 0), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_CONNECTION);
    assert_int_equal(link_.error.outcome, HD_OUTCOME_NONE);
    assert_int_equal(fake.closed, 1);
    savepoint();
    assert_int_equal(hd_link_release(&link_), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run("c", 0), HD_FAILED);
        assert_non_null(strstr(link_.error.message, "over"));
    }
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    begin();
    assert_int_equal(run("d", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_sent("BEGIN;a;b;BEGIN;d;COMMIT;");
}

static void a_lost_connection_outside_is_replaced(void **state) {
    (void)state;
    run("a", 0);
    fake.lose_at = 1;
    assert_int_equal(run("b", 0), HD_FAILED);
    assert_int_equal(run("c", 0), HD_DONE);
    assert_int_equal(fake.opened, 2);
}

static void a_lost_commit_is_unknown(void **state) {
    (void)state;
    for (int merged = 0; merged < 2; merged++) {
        fake.rows = 1;
        begin();
        if (!merged) run("a", HD_RUN_XID);
        fake.lose_at = merged ? 4 : 1;
        assert_int_equal(merged ? run("a", HD_RUN_COMMIT | HD_RUN_XID) : end(hd_link_commit),
                         HD_FAILED);
        assert_int_equal(link_.error.outcome, HD_OUTCOME_UNKNOWN);
        assert_string_equal(link_.xid, "1"); /* to look it up with */
        assert_int_equal(end(hd_link_rollback), HD_DONE);
    }
    begin();
    run("a", 0);
    fake.fail_at = 2; /* behind the id */
    assert_int_equal(end(hd_link_commit), HD_FAILED);
    assert_int_equal(link_.error.outcome, HD_OUTCOME_NONE);
    assert_int_equal(end(hd_link_rollback), HD_DONE);
}

static void a_connection_that_cannot_be_opened_leaves_the_transaction_unbegun(void **state) {
    (void)state;
    begin();
    fake.refuse = true;
    assert_int_equal(run("a", 0), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_CONNECTION);
    fake.refuse = false;
    assert_int_equal(run("a", 0), HD_DONE);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_sent("BEGIN;a;COMMIT;");
}

static void one_operation_at_a_time(void **state) {
    (void)state;
    fake.wait_at = 1;
    start("a", 0);
    assert_int_equal(step(), HD_WAIT);
    const hd_batch other = {&one, 1, NULL, NULL};
    assert_int_equal(hd_link_run(&link_, &other, 0, HD_NEVER), HD_E_BUSY);
    assert_int_equal(finish(HD_WAIT), HD_DONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_held_for_one_batch),
        TEST(begin_travels_with_the_first_batch),
        TEST(a_held_connection_stays_to_the_end),
        TEST(nothing_done_is_nothing_sent),
        TEST(savepoints_travel_with_the_next_batch),
        TEST(what_waited_inside_a_savepoint_dies_with_it),
        TEST(a_commit_can_travel_behind_the_batch),
        TEST(the_transactions_id_is_asked_for_once),
        TEST(a_commit_says_whether_anything_was_written),
        TEST(a_question_travels_behind_one_batch),
        TEST(what_was_not_sent_asks_nothing_later),
        TEST(rows_are_the_batchs_own),
        TEST(reading_may_stop_early),
        TEST(a_sink_takes_every_row_or_ends_the_batch),
        TEST(a_failed_statement_outside_keeps_the_connection),
        TEST(a_failed_statement_leaves_the_transaction_to_the_host),
        TEST(a_begin_that_failed_is_sent_again),
        TEST(a_database_that_rolls_back_by_itself_ends_the_transaction),
        TEST(a_lost_connection_ends_the_transaction),
        TEST(a_lost_connection_outside_is_replaced),
        TEST(a_lost_commit_is_unknown),
        TEST(a_connection_that_cannot_be_opened_leaves_the_transaction_unbegun),
        TEST(one_operation_at_a_time),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
