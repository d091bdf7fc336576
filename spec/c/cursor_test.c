/* Cursors of SQL over a link: what is sent, what ends them, and that no statement ever names one that is not there. The
 * fake driver keeps book of the cursors of its connection as PostgreSQL does. */
#include "link_support.h"

#include "cursor.h"

static const char sql[] = "select a";

static hd_cursor *new_cursor(void) {
    hd_cursor *c = hd_cursor_new(&scarce);
    assert_non_null(c);
    return c;
}

static hd_step fetch(hd_cursor *c, uint32_t count) {
    hd_statement query = text(sql);
    hd_link_prepare(&link_);
    if (hd_cursor_fetch(c, &link_, &query, count, HD_NEVER) != HD_OK) return HD_FAILED;
    return finish(step());
}

static hd_cursor *opened(uint32_t count) {
    hd_cursor *c = new_cursor();
    assert_int_equal(fetch(c, count), HD_DONE);
    return c;
}

static void sent(const char *log) {
    assert_string_equal(fake.log, log);
    fake.log[0] = '\0';
}

/* ---- Reading ---- */

static void is_declared_with_its_first_rows(void **state) {
    (void)state;
    fake.rows = 2;
    begin();
    hd_cursor *c = opened(2);
    sent("BEGIN;DECLARE hd_c1 NO SCROLL CURSOR FOR select a;FETCH FORWARD 2 FROM hd_c1;");
    assert_true(hd_cursor_has_more(c));
    assert_int_equal(fetch(c, 2), HD_DONE);
    fake.rows = 1;
    assert_true(hd_cursor_has_more(c));
    assert_int_equal(fetch(c, 2), HD_DONE);
    sent("FETCH FORWARD 2 FROM hd_c1;FETCH FORWARD 2 FROM hd_c1;");
    assert_false(hd_cursor_has_more(c));
    assert_int_equal(hd_cursor_end(c), HD_CURSOR_GOES_ON);
    assert_int_equal(fetch(c, 2), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_CLOSED);
    hd_cursor_free(c);
    assert_int_equal(run("b", 0), HD_DONE);
    sent("CLOSE hd_c1;b;");
}

static void rows_are_the_hosts(void **state) {
    (void)state;
    hd_statement query = text(sql);
    fake.rows = 3;
    begin();
    hd_cursor *c = new_cursor();
    hd_link_prepare(&link_);
    assert_int_equal(hd_cursor_fetch(c, &link_, &query, 3, HD_NEVER), HD_OK);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(step(), HD_ROW);
        assert_int_equal(link_.row.values[0].as.i, i);
    }
    assert_int_equal(step(), HD_DONE);
    hd_cursor_free(c);
}

static void each_has_a_name(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    hd_cursor *a = opened(1), *b = opened(1), *c = opened(1);
    sent("BEGIN;DECLARE hd_c1 NO SCROLL CURSOR FOR select a;FETCH FORWARD 1 FROM hd_c1;"
         "DECLARE hd_c2 NO SCROLL CURSOR FOR select a;FETCH FORWARD 1 FROM hd_c2;"
         "DECLARE hd_c3 NO SCROLL CURSOR FOR select a;FETCH FORWARD 1 FROM hd_c3;");
    hd_cursor_free(b);
    hd_cursor *d = opened(1); /* the name is still taken when its text is written */
    sent("CLOSE hd_c2;DECLARE hd_c4 NO SCROLL CURSOR FOR select a;FETCH FORWARD 1 FROM hd_c4;");
    hd_cursor *e = opened(1);
    sent("DECLARE hd_c2 NO SCROLL CURSOR FOR select a;FETCH FORWARD 1 FROM hd_c2;");
    hd_cursor_free(a);
    hd_cursor_free(c);
    hd_cursor_free(d);
    hd_cursor_free(e);
}

static void one_operation_at_a_time(void **state) {
    (void)state;
    hd_statement query = text(sql);
    fake.rows = 1;
    begin();
    hd_cursor *c = opened(1);
    fake.stuck = true;
    assert_int_equal(start("b", 0), HD_OK);
    assert_int_equal(step(), HD_WAIT);
    assert_int_equal(hd_cursor_fetch(c, &link_, &query, 1, HD_NEVER), HD_E_BUSY);
    fake.stuck = false;
    assert_int_equal(finish(step()), HD_DONE);
    assert_int_equal(fetch(c, 1), HD_DONE);
    hd_cursor_free(c);
}

/* ---- The transaction ---- */

static void ends_with_its_transaction(void **state) {
    (void)state;
    fake.rows = 1;
    for (int i = 0; i < 2; i++) {
        begin();
        hd_cursor *c = opened(1), *read = opened(2);
        assert_int_equal(end(i ? hd_link_commit : hd_link_rollback), HD_DONE);
        assert_int_equal(hd_cursor_end(c), HD_CURSOR_OUTLIVED);
        assert_int_equal(hd_cursor_end(read), HD_CURSOR_OUTLIVED); /* though it had no more rows */
        assert_int_equal(fetch(c, 1), HD_FAILED);
        assert_int_equal(link_.error.kind, HD_E_CLOSED);
        assert_int_equal(in_use(), 0);
        hd_cursor_free(c);
        hd_cursor_free(read);
    }
}

static void ends_with_its_savepoint(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    hd_cursor *outer = opened(1);
    savepoint();
    hd_cursor *inner = opened(1);
    savepoint();
    hd_cursor *released = opened(1);
    assert_int_equal(hd_link_release(&link_), 0);
    assert_int_equal(fetch(released, 1), HD_DONE);
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    assert_int_equal(hd_cursor_end(outer), HD_CURSOR_GOES_ON);
    assert_int_equal(hd_cursor_end(inner), HD_CURSOR_OUTLIVED);
    assert_int_equal(hd_cursor_end(released), HD_CURSOR_OUTLIVED);
    assert_int_equal(fetch(outer, 1), HD_DONE);
    hd_cursor_free(inner);
    hd_cursor_free(released);
    hd_cursor_free(outer);
    assert_int_equal(run("b", 0), HD_DONE);
}

static void a_released_one_lives_on(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    savepoint();
    hd_cursor *c = opened(1);
    assert_int_equal(hd_link_release(&link_), 0);
    savepoint();
    assert_int_equal(run("b", 0), HD_DONE);
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    assert_int_equal(fetch(c, 1), HD_DONE);
    hd_cursor_free(c);
}

static void a_close_survives_a_savepoint(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    hd_cursor *c = opened(1);
    savepoint();
    hd_cursor_free(c); /* due in front of the savepoint, which is not sent yet */
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    savepoint();
    hd_cursor *d = opened(1);
    savepoint();
    assert_int_equal(run("b", 0), HD_DONE);
    hd_cursor_free(d);
    fake.log[0] = '\0';
    assert_int_equal(end(hd_link_rollback_to), HD_DONE); /* sent bare */
    assert_int_equal(run("b", 0), HD_DONE);
    sent("ROLLBACK TO SAVEPOINT hd_3;RELEASE SAVEPOINT hd_3;CLOSE hd_c2;b;");
}

static void a_close_goes_with_its_transaction(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    hd_cursor_free(opened(1));
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    begin();
    assert_int_equal(run("b", 0), HD_DONE);
    sent("BEGIN;DECLARE hd_c1 NO SCROLL CURSOR FOR select a;FETCH FORWARD 1 FROM hd_c1;"
         "ROLLBACK;BEGIN;b;");
}

/* ---- Failure ---- */

static void what_was_not_declared_is_not_closed(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    savepoint();
    fake.fail_at = 3; /* BEGIN, SAVEPOINT, DECLARE */
    hd_cursor *c = new_cursor();
    assert_int_equal(fetch(c, 1), HD_FAILED);
    assert_int_equal(hd_cursor_end(c), HD_CURSOR_FAILED);
    hd_cursor_free(c);
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    assert_int_equal(run("b", 0), HD_DONE);
}

static void a_failed_fetch_leaves_a_cursor(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    hd_cursor *c = opened(1);
    savepoint();
    fake.fail_at = 2; /* SAVEPOINT, FETCH */
    assert_int_equal(fetch(c, 1), HD_FAILED);
    assert_int_equal(hd_cursor_end(c), HD_CURSOR_FAILED);
    hd_cursor_free(c);
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    fake.log[0] = '\0';
    assert_int_equal(run("b", 0), HD_DONE);
    sent("CLOSE hd_c1;b;");
}

static void a_close_that_did_not_run_is_due_again(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    hd_cursor *a = opened(1), *b = opened(1);
    savepoint();
    assert_int_equal(run("b", 0), HD_DONE);
    hd_cursor_free(a);
    hd_cursor_free(b);
    fake.fail_at = 2; /* the second CLOSE */
    assert_int_equal(run("b", 0), HD_FAILED);
    assert_int_equal(end(hd_link_rollback_to), HD_DONE);
    fake.log[0] = '\0';
    assert_int_equal(run("b", 0), HD_DONE);
    sent("CLOSE hd_c1;b;");
}

static void a_lost_connection_ends_all(void **state) {
    (void)state;
    fake.rows = 1;
    begin();
    hd_cursor *a = opened(1), *b = opened(1), *c = opened(1);
    hd_cursor_free(c);
    fake.lose_at = 1;
    assert_int_equal(fetch(a, 1), HD_FAILED);
    assert_int_equal(link_.error.kind, HD_E_CONNECTION);
    assert_int_equal(hd_cursor_end(b), HD_CURSOR_LOST);
    assert_int_equal(end(hd_link_rollback), HD_DONE);
    hd_cursor_free(a);
    hd_cursor_free(b);
    begin();
    assert_int_equal(run("b", 0), HD_DONE);
}

static void a_reset_link_ends_all(void **state) {
    (void)state;
    hd_statement query = text(sql);
    for (int i = 0; i < 3; i++) {
        fake.cannot_abandon = i == 1;
        fake.rows = 1;
        begin();
        hd_cursor *a = opened(1), *b = opened(1);
        fake.stuck = true;
        hd_link_prepare(&link_);
        assert_int_equal(hd_cursor_fetch(a, &link_, &query, 1, HD_NEVER), HD_OK);
        assert_int_equal(step(), HD_WAIT);
        if (i == 2) hd_cursor_free(a);
        fake.stuck = false;
        hd_link_reset(&link_);
        if (i < 2) assert_int_not_equal(hd_cursor_end(a), HD_CURSOR_GOES_ON);
        assert_int_not_equal(hd_cursor_end(b), HD_CURSOR_GOES_ON);
        if (i < 2) hd_cursor_free(a);
        hd_cursor_free(b);
        assert_int_equal(in_use(), 0);
        hd_link_rollback(&link_);
    }
    fake.cannot_abandon = false;
}

static void one_may_be_freed_while_it_is_read(void **state) {
    (void)state;
    hd_statement query = text(sql);
    fake.rows = 2;
    begin();
    hd_cursor *c = new_cursor();
    hd_link_prepare(&link_);
    assert_int_equal(hd_cursor_fetch(c, &link_, &query, 2, HD_NEVER), HD_OK);
    assert_int_equal(step(), HD_ROW);
    hd_cursor_free(c);
    assert_int_equal(finish(step()), HD_DONE);
    assert_int_equal(run("b", 0), HD_DONE);
    sent("BEGIN;DECLARE hd_c1 NO SCROLL CURSOR FOR select a;FETCH FORWARD 2 FROM hd_c1;"
         "CLOSE hd_c1;b;");
}

static void a_result_may_be_left(void **state) {
    (void)state;
    hd_statement query = text(sql);
    fake.rows = 2;
    begin();
    hd_cursor *c = opened(2);
    hd_link_prepare(&link_);
    assert_int_equal(hd_cursor_fetch(c, &link_, &query, 2, HD_NEVER), HD_OK);
    assert_int_equal(step(), HD_ROW);
    hd_link_finish(&link_);
    assert_int_equal(hd_cursor_end(c), HD_CURSOR_FAILED);
    hd_cursor_free(c);
    assert_int_equal(run("b", 0), HD_DONE);
}

/* ---- Whatever comes ---- */

static void memory_runs_out(void **state) {
    (void)state;
    for (long n = 1; n < 40; n++) {
        fake.rows = 1;
        begin();
        hd_cursor *a = opened(1);
        savepoint();
        assert_int_equal(run("b", 0), HD_DONE);
        scarce_from(n);
        hd_cursor *b = hd_cursor_new(&scarce);
        hd_step last = b ? fetch(b, 1) : HD_FAILED;
        if (b) hd_cursor_free(b);
        if (last == HD_DONE) last = fetch(a, 1);
        hd_cursor_free(a);
        memory.fail_at = 0;
        assert_int_not_equal(end(hd_link_rollback), HD_FAILED);
        assert_int_equal(in_use(), 0);
    }
}

enum { CURSORS = 6, STEPS = 60000 };

static unsigned draw(unsigned n) {
    static uint64_t seed = 42;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void act(hd_cursor **slot) {
    switch (draw(12)) {
    case 0:
        if (link_.depth == 0) begin();
        break;
    case 1:
        if (link_.depth > 0 && link_.depth < 6) savepoint();
        break;
    case 2:
        if (link_.depth > 1 && !link_.over) assert_int_equal(hd_link_release(&link_), 0);
        break;
    case 3:
        if (link_.depth > 1) end(hd_link_rollback_to);
        break;
    case 4:
        if (link_.depth > 0 && draw(4) == 0) end(draw(2) ? hd_link_commit : hd_link_rollback);
        break;
    case 5:
        if (link_.depth > 0) run("b", 0);
        break;
    case 6:
        if (*slot) hd_cursor_free(*slot);
        *slot = NULL;
        break;
    case 7:
        if (draw(40) == 0) hd_link_reset(&link_);
        break;
    default:
        if (link_.depth == 0) break;
        if (!*slot) *slot = new_cursor();
        if (draw(20) == 0) *(draw(4) ? &fake.fail_at : &fake.lose_at) = 1 + (int)draw(4);
        fetch(*slot, 1 + draw(2));
    }
}

/* A failed transaction takes nothing but its end, and the host ends it. */
static void mend(void) {
    hd_conn *conn = link_.ticket.state == HD_TICKET_HELD ? link_.ticket.conn : NULL;
    bool failed = link_.over || (conn && fake_of(conn)->status == HD_CONN_FAILED);
    while (failed && link_.depth > 0) {
        if (link_.depth > 1 && !link_.over) {
            end(hd_link_rollback_to);
            if (draw(2)) break;
        } else {
            end(hd_link_rollback);
        }
    }
}

static void random_lives(void **state) {
    (void)state;
    hd_cursor *cursors[CURSORS] = {NULL};
    fake.rows = 1;
    for (int i = 0; i < STEPS; i++) {
        act(&cursors[draw(CURSORS)]);
        fake.fail_at = fake.lose_at = 0;
        fake.log[0] = '\0';
        mend();
        assert_int_equal(fake.bad, HD_DONE);
    }
    for (int i = 0; i < CURSORS; i++) {
        if (cursors[i]) hd_cursor_free(cursors[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(is_declared_with_its_first_rows),
        TEST(rows_are_the_hosts),
        TEST(each_has_a_name),
        TEST(one_operation_at_a_time),
        TEST(ends_with_its_transaction),
        TEST(ends_with_its_savepoint),
        TEST(a_released_one_lives_on),
        TEST(a_close_survives_a_savepoint),
        TEST(a_close_goes_with_its_transaction),
        TEST(what_was_not_declared_is_not_closed),
        TEST(a_failed_fetch_leaves_a_cursor),
        TEST(a_close_that_did_not_run_is_due_again),
        TEST(a_lost_connection_ends_all),
        TEST(a_reset_link_ends_all),
        TEST(one_may_be_freed_while_it_is_read),
        TEST(a_result_may_be_left),
        TEST(memory_runs_out),
        TEST(random_lives),
    };
    return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
