/* Expressions against a real database, for both drivers; and versions that nobody has read, which
 * the database counts on. */
#ifndef HD_SPEC_FLUSH_EXPRESS_SUITE_H
#define HD_SPEC_FLUSH_EXPRESS_SUITE_H

#include "flush_run.h"

static const char two_docs[] = "INSERT INTO docs (id, size) VALUES"
                               " ('00000000-0000-0000-0000-000000000001', 10),"
                               " ('00000000-0000-0000-0000-000000000002', 20)";

static hd_value doc_key(int n) {
    hd_value key = numbered(flush, "00000000-0000-0000-0000-00000000000", n);
    key.kind = HD_UUID;
    return key;
}

/* size = size + `by` for the doc. */
static hd_change *grow_doc(int n, int64_t by) {
    hd_change *change = add_change(flush, HD_UPDATE, &doc);
    change->old[ID] = doc_key(n);
    express(flush, change, DOC_SIZE, "size + ", hd_int(by, HD_T_UNKNOWN), "");
    return change;
}

static void U7_an_expression_is_evaluated_over_the_row_and_comes_back(void **state) {
    (void)state;
    exec(two_docs);
    new_flush();
    hd_change *alone = grow_doc(1, 5);
    must_flush();
    assert_true(hd_flush_is_bare(flush));
    assert_int_equal(alone->set[DOC_SIZE].as.i, 15);
    assert_int_equal(alone->set[DOC_TWICE].as.i, 30);
    assert_int_equal(alone->came[DOC_SIZE], 1);
    new_flush();
    hd_change *first = grow_doc(1, 100), *second = grow_doc(2, 200);
    must_flush();
    assert_int_equal(statements, 1); /* one text, executed for each */
    assert_int_equal(first->set[DOC_SIZE].as.i, 115);
    assert_int_equal(second->set[DOC_SIZE].as.i, 220);
    assert_string_equal(query("SELECT size FROM docs ORDER BY id"), "115;220");
}

static void U6_a_row_with_an_expression_is_counted(void **state) {
    (void)state;
    exec(two_docs);
    new_flush();
    hd_change *there = grow_doc(2, 1), *gone = grow_doc(7, 1);
    must_fail(HD_E_NOT_FOUND);
    assert_ptr_equal(blamed, gone);
    assert_string_equal(query("SELECT size FROM docs ORDER BY id"), "10;20");
    exec("INSERT INTO docs (id, size) VALUES ('00000000-0000-0000-0000-000000000007', 70)");
    hd_flush_replan(flush);
    assert_int_equal(there->set[DOC_SIZE].kind, HD_EXPRESSION);
    must_flush();
    assert_string_equal(query("SELECT size FROM docs ORDER BY id"), "10;21;71");
}

static void F2_the_version_is_checked_beside_an_expression(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (1, 'a', 3), (2, 'b', 4)");
    for (int i = 0; i < 2; i++) {
        new_flush();
        hd_change *a = rename_author(flush, 1, 3, "x"), *b = rename_author(flush, 2, 3 + i, "x");
        express(flush, a, AUTHOR_NAME, "upper(e0.name) || ", text_value("?"), " -- upper");
        express(flush, b, AUTHOR_NAME, "upper(e0.name) || ", text_value("!"), " -- upper");
        if (i) {
            must_flush();
            continue;
        }
        must_fail(HD_E_OPTIMISTIC_LOCK);
        assert_ptr_equal(blamed, b);
    }
    assert_string_equal(query("SELECT name, version FROM authors ORDER BY id"), "A?,4;B!,5");
}

static void an_insert_may_hold_an_expression(void **state) {
    (void)state;
    new_flush();
    hd_change *bare = insert_node(flush, hd_null());
    express(flush, bare, NODE_NAME, "lower(", text_value("ONE"), ")");
    must_flush();
    assert_int_equal(bare->came[NODE_NAME], 1);
    assert_memory_equal(bare->set[NODE_NAME].as.p, "one", 3);
    new_flush();
    hd_change *made[3];
    for (int i = 0; i < 3; i++) {
        made[i] = insert_node(flush, i ? key_of(made[i - 1]) : hd_null());
        if (i < 2) express(flush, made[i], NODE_NAME, "lower(", text_value(i ? "B" : "A"), ")");
    }
    made[0]->set[NODE_PARENT] = key_of(made[2]); /* a ring: rows one by one cannot close it */
    must_flush();
    assert_memory_equal(made[1]->set[NODE_NAME].as.p, "b", 1);
    assert_string_equal(
        query("SELECT a.name, b.name FROM nodes a JOIN nodes b ON b.id = a.parent_id"
              " ORDER BY a.name"),
        "a,n;b,a;n,b");
}

static void F2_a_version_that_was_never_read_is_counted_on(void **state) {
    (void)state;
    exec("INSERT INTO authors (id, name, version) VALUES (1, 'a', 1), (2, 'b', 8), (3, 'c', 5)");
    new_flush();
    hd_change *a = rename_author(flush, 1, 0, "A"), *b = rename_author(flush, 2, 0, "B");
    a->old[AUTHOR_VERSION] = b->old[AUTHOR_VERSION] = hd_null();
    hd_change *made = insert_author(flush, "C");
    made->set[ID] = int_value(3);
    made->set[AUTHOR_VERSION] = int_value(1);
    delete_row(flush, &author, 3);
    must_flush();
    assert_int_equal(a->set[AUTHOR_VERSION].as.i, 2);
    assert_int_equal(b->set[AUTHOR_VERSION].as.i, 9);
    assert_int_equal(made->set[AUTHOR_VERSION].as.i, 6);
    assert_string_equal(query("SELECT name, version FROM authors ORDER BY id"), "A,2;B,9;C,6");
    new_flush();
    rename_author(flush, 4, 0, "D")->old[AUTHOR_VERSION] = hd_null();
    must_fail(HD_E_NOT_FOUND);
}

/* authors whose version is a timestamp: 1 was last written when our clock will be in a year */
static void make_stamped_authors(void) {
    static hd_column columns[3];
    memcpy(columns, author_columns, sizeof columns);
    columns[AUTHOR_VERSION].type = HD_T_TIMESTAMP;
    author.columns = columns;
    exec(on_postgres()
             ? "ALTER TABLE authors DROP version; ALTER TABLE authors ADD version timestamptz"
             : "DROP TABLE books; DROP TABLE authors; CREATE TABLE authors (id INTEGER PRIMARY KEY,"
               " name TEXT, version TEXT)");
    exec(on_postgres() ? "SET timezone = 'UTC'" : "SELECT 1");
    exec("INSERT INTO authors (id, name, version) VALUES (1, 'a', '2999-12-31 23:59:59.999999'),"
         " (2, 'b', '2020-01-01 00:00:00.000000'), (3, 'c', '2020-01-01 00:00:00.000000')");
}

static hd_value moment(int64_t us) {
    return (hd_value){.kind = HD_TIMESTAMP, .type = HD_T_TIMESTAMP, .as.i = us};
}

static void F2_a_version_may_be_a_timestamp(void **state) {
    (void)state;
    const int64_t far = 32503680000000000 - 1, early = 1577836800000000;
    make_stamped_authors();
    for (int stale = 1; stale >= 0; stale--) {
        new_flush();
        rename_author(flush, 1, 0, "A")->old[AUTHOR_VERSION] = moment(far);
        hd_change *b = rename_author(flush, 2, 0, "B");
        b->old[AUTHOR_VERSION] = moment(early + stale);
        delete_row(flush, &author, 3)->old[AUTHOR_VERSION] = moment(early);
        if (!stale) {
            must_flush();
            break;
        }
        must_fail(HD_E_OPTIMISTIC_LOCK);
        assert_ptr_equal(blamed, b);
        assert_string_equal(query("SELECT name FROM authors ORDER BY id"), "a;b;c");
    }
    assert_int_equal(hd_flush_change(flush, 0)->set[AUTHOR_VERSION].as.i, far + 1);
    assert_int_equal(hd_flush_change(flush, 1)->set[AUTHOR_VERSION].as.i, 1700000000000000);
    assert_string_equal(query("SELECT name, CAST(version AS text) FROM authors ORDER BY id"),
                        on_postgres()
                            ? "A,3000-01-01 00:00:00+00;B,2023-11-14 22:13:20+00"
                            : "A,3000-01-01 00:00:00.000000;B,2023-11-14 22:13:20.000000");
}

static void F2_a_timestamp_that_was_never_read_is_counted_on(void **state) {
    (void)state;
    const int64_t far = 32503680000000000 - 1;
    make_stamped_authors();
    for (int turn = 0; turn < 3; turn++) {
        new_flush();
        hd_change *ahead = rename_author(flush, 1, 0, "A"), *late = rename_author(flush, 2, 0, "B");
        ahead->old[AUTHOR_VERSION] = late->old[AUTHOR_VERSION] = hd_null();
        must_flush();
        assert_int_equal(ahead->set[AUTHOR_VERSION].kind, HD_TIMESTAMP);
        assert_int_equal(ahead->set[AUTHOR_VERSION].as.i, far + 1 + turn);
        int64_t came = late->set[AUTHOR_VERSION].as.i;
        assert_true(came > 1700000000000000 && came < far);
        new_flush(); /* it is what the row holds */
        late = rename_author(flush, 2, 0, "C");
        late->old[AUTHOR_VERSION] = moment(came);
        must_flush();
    }
}

#define EXPRESS_SUITE(setup, teardown)                                                             \
    SUITE_TEST(U7_an_expression_is_evaluated_over_the_row_and_comes_back, setup, teardown),        \
        SUITE_TEST(U6_a_row_with_an_expression_is_counted, setup, teardown),                       \
        SUITE_TEST(F2_the_version_is_checked_beside_an_expression, setup, teardown),               \
        SUITE_TEST(an_insert_may_hold_an_expression, setup, teardown),                             \
        SUITE_TEST(F2_a_version_that_was_never_read_is_counted_on, setup, teardown),               \
        SUITE_TEST(F2_a_version_may_be_a_timestamp, setup, teardown),                              \
        SUITE_TEST(F2_a_timestamp_that_was_never_read_is_counted_on, setup, teardown)

#endif
