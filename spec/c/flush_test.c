/* Planning a flush and asking for keys: what is sent, before anything comes back. */
#include "flush_fake.h"
#include "write_sql.h"

/* ---- plan -------------------------------------------------------------------------------- */

static void U1_nothing_to_write_is_no_statement(void **state) {
    (void)state;
    begin(&server);
    plan();
    assert_null(hd_flush_keys(flush, &err));
    done();
    hd_change *unchanged = update_row(flush, &node, 1);
    hd_flush_replan(flush);
    plan();
    assert_null(hd_flush_keys(flush, &err));
    done();
    assert_int_equal(unchanged->reached, 1);
}

static void versions_count_on(void **state) {
    (void)state;
    static hd_column columns[3];
    begin(&server);
    hd_change *made = insert_author(flush, "a"), *changed = rename_author(flush, 1, 6, "b");
    hd_change *given = rename_author(flush, 2, 6, "c");
    given->set[AUTHOR_VERSION] = int_value(9);
    plan();
    assert_int_equal(made->set[AUTHOR_VERSION].as.i, 1);
    assert_int_equal(changed->set[AUTHOR_VERSION].as.i, 7);
    assert_int_equal(changed->came[AUTHOR_VERSION], 1);
    assert_int_equal(given->set[AUTHOR_VERSION].as.i, 9);
    assert_int_equal(given->came[AUTHOR_VERSION], 0);
    hd_flush_replan(flush);
    assert_int_equal(changed->set[AUTHOR_VERSION].kind, HD_DEFAULT);
    assert_int_equal(given->set[AUTHOR_VERSION].as.i, 9);
    changed->old[AUTHOR_VERSION] = int_value(INT32_MAX);
    assert_int_equal(hd_flush_plan(flush, &err), HD_E_VALIDATION);
    memcpy(columns, author_columns, sizeof columns);
    columns[AUTHOR_VERSION].type = HD_T_TIMESTAMP;
    author.columns = columns;
    begin(&server);
    changed = rename_author(flush, 1, 0, "b");
    changed->old[AUTHOR_VERSION] = (hd_value){.kind = HD_TIMESTAMP, .as.i = 500};
    hd_change *ahead =
        rename_author(flush, 2, 0, "c"); /* its last writer's clock was ahead of ours */
    ahead->old[AUTHOR_VERSION] = (hd_value){.kind = HD_TIMESTAMP, .as.i = 2000};
    plan();
    assert_int_equal(changed->set[AUTHOR_VERSION].as.i, 1000);
    assert_int_equal(ahead->set[AUTHOR_VERSION].as.i, 2001);
}

static void O3_rows_are_cut_into_statements_of_one_text(void **state) {
    (void)state;
    begin_with(&hd_allocator_libc, &server, 100, 0);
    for (int i = 0; i < 250; i++) insert_node(flush, hd_null())->set[ID] = int_value(i);
    plan();
    assert_null(hd_flush_keys(flush, &err));
    next_body();
    assert_true(hd_flush_can_commit(flush));
    assert_int_equal(batch->count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const hd_statement *s = &batch->statements[i];
        assert_int_equal(s->hash, batch->statements[0].hash);
        assert_int_equal(s->param_count, 3);
        assert_int_equal(s->params[0].kind, HD_LIST);
        assert_int_equal(s->params[0].as.list->count, i < 2 ? 100 : 50);
        assert_int_equal(s->params[0].as.list->items[7].as.i, i * 100 + 7);
        assert_int_equal(s->params[1].as.list->items[7].kind, HD_NULL);
        assert_int_equal(s->params[1].as.list->items[7].type, HD_T_INTEGER);
        assert_true(s->cache);
    }
    done();
}

static void O3_a_statement_never_holds_more_parameters_than_it_may(void **state) {
    (void)state;
    static hd_column columns[3];
    memcpy(columns, node_columns, sizeof columns);
    columns[NODE_NAME].cast = "mood"; /* no array form */
    node.columns = columns;
    begin(&narrow);
    for (int i = 0; i < 7; i++) insert_node(flush, hd_null())->set[ID] = int_value(i);
    plan();
    next_body();
    assert_int_equal(batch->count, 3); /* 3 columns: 3 rows each */
    assert_int_equal(batch->statements[0].param_count, 9);
    assert_int_equal(batch->statements[2].param_count, 3);
    assert_int_equal(batch->statements[0].hash, batch->statements[1].hash);
    assert_int_not_equal(batch->statements[0].hash, batch->statements[2].hash);
    assert_int_equal(batch->statements[0].params[2].type, HD_T_UNKNOWN);
}

static void O3_a_file_steps_two_texts_for_any_number_of_rows(void **state) {
    (void)state;
    begin(&file);
    for (int i = 0; i < 250; i++) insert_node(flush, hd_null())->set[ID] = int_value(i);
    for (int i = 0; i < 3; i++) rename_author(flush, i, 1, "x");
    plan();
    next_body();
    assert_int_equal(batch->count, 3);
    const hd_statement *update = &batch->statements[0], *blocks = update + 1, *rest = update + 2;
    assert_true(starts_with(update, "UPDATE"));
    assert_int_equal(update->repeat, 3);
    assert_int_equal(update->expect, 1);
    assert_int_equal(update->params[2 * update->param_count + 2].as.i, 2); /* third row's key */
    assert_int_equal(blocks->repeat, 2);
    assert_int_equal(blocks->expect, 100);
    assert_int_equal(blocks->param_count, 300);
    assert_int_equal(rest->repeat, 50);
    assert_int_equal(rest->expect, 1);
    assert_int_equal(rest->params[0].as.i, 200);
    done();
}

static void the_same_calls_give_the_same_statements(void **state) {
    (void)state;
    uint64_t hashes[2][16];
    uint32_t counts[2];
    for (int turn = 0; turn < 2; turn++) {
        begin(&server);
        for (int i = 0; i < 40; i++) {
            insert_book(flush, numbered(flush, "t", i), int_value(i % 7));
            insert_author(flush, "a")->set[ID] = int_value(i % 9);
            hd_change *n = update_row(flush, &node, i);
            n->set[1 + i % 2] = hd_null();
            delete_row(flush, &ring, i)->old[1] = int_value(i / 2);
        }
        for (uint32_t i = 0; i < 40; i++)
            hd_flush_change(flush, 4 * i)->set[ID] = hd_int(i, HD_T_BIGINT);
        plan();
        next_body();
        counts[turn] = batch->count;
        for (uint32_t i = 0; i < batch->count; i++) hashes[turn][i] = batch->statements[i].hash;
    }
    assert_int_equal(counts[0], counts[1]);
    assert_memory_equal(hashes[0], hashes[1], counts[0] * sizeof(uint64_t));
}

/* ---- pairs ------------------------------------------------------------------------------- */

static const char *pair_at(const hd_statement *s, uint32_t row) {
    static char text[8];
    const hd_value *b = &s->params[1].as.list->items[row];
    snprintf(text, sizeof text, "%.*s", (int)b->len, b->as.p);
    return text;
}

static void pairs_keep_the_order_of_calls_behind_what_they_refer_to(void **state) {
    (void)state;
    static hd_foreign_key fk;
    for (int awaited = 0; awaited < 2; awaited++) {
        refer(&pair_entity, &fk, col0, &author, false);
        author.key_source = awaited ? HD_KEY_RETURNING : HD_KEY_SEQUENCE;
        begin(&server);
        pair_row(flush, HD_INSERT, int_value(5), "p1");
        hd_change *p2 = pair_row(flush, HD_INSERT, hd_null(), "p2");
        pair_row(flush, HD_INSERT, int_value(6), "p3");
        p2->set[PAIR_A] = key_of(insert_author(flush, "a"));
        plan();
        if (!awaited) {
            next_keys();
            give_integer(0, 40);
        }
        next_body();
        if (awaited) { /* the first pair need not wait */
            assert_int_equal(batch->count, 2);
            hd_value key = int_value(40);
            assert_int_equal(give(1, 0, &key, 1), HD_OK);
            assert_string_equal(pair_at(&batch->statements[0], 0), "p1");
            next_body();
            assert_string_equal(pair_at(&batch->statements[0], 0), "p2");
            assert_string_equal(pair_at(&batch->statements[0], 1), "p3");
        } else {
            assert_int_equal(batch->count, 2);
            for (uint32_t i = 0; i < 3; i++)
                assert_string_equal(pair_at(&batch->statements[1], i), i == 0   ? "p1"
                                                                       : i == 1 ? "p2"
                                                                                : "p3");
            assert_true(hd_flush_can_commit(flush));
        }
        done();
        assert_int_equal(p2->set[PAIR_A].as.i, 40);
    }
}

static void pairs_are_not_counted_and_stand_apart_from_rows_that_are(void **state) {
    (void)state;
    const hd_dialect *dialects[] = {&server, &file};
    for (int d = 0; d < 2; d++) {
        begin(dialects[d]);
        for (int pair = 0; pair < 2; pair++) {
            for (int i = 0; i < 2; i++) {
                hd_change *made = pair_row(flush, HD_INSERT, int_value(i), pair ? "a" : "b");
                hd_change *gone = pair_row(flush, HD_DELETE, int_value(10 + i), pair ? "a" : "b");
                if (pair) continue;
                made->flags = gone->flags = 0;
                made->slot = gone->slot = (uint32_t)i;
            }
        }
        plan();
        next_body();
        assert_int_equal(batch->count, 4);
        assert_true(hd_flush_can_commit(flush));
        int counted = 0, uncounted = 0;
        for (uint32_t i = 0; i < batch->count; i++) {
            hd_statement *s = &batch->statements[i];
            if (s->expect >= 0 || strstr(s->sql, HD_STALE_MARK))
                counted++;
            else
                uncounted++, s->affected = 0;
        }
        assert_int_equal(counted, 2);
        assert_int_equal(uncounted, 2);
        done();
    }
}

/* ---- keys -------------------------------------------------------------------------------- */

static void keys_go_to_rows_in_the_order_of_calls(void **state) {
    (void)state;
    begin(&server);
    hd_change *b = insert_book(flush, text_value("b"), hd_null()), *a1 = insert_author(flush, "a1");
    hd_change *a2 = insert_author(flush, "a2");
    b->set[BOOK_AUTHOR] = key_of(a2);
    plan();
    assert_false(hd_flush_is_bare(flush));
    next_keys();
    assert_int_equal(batch->count, 2); /* one statement for each entity, one turn */
    assert_int_equal(batch->statements[1].params[0].as.i, 2);
    give_integer(1, 40);
    give_integer(0, 7);
    give_integer(1, 41);
    next_body();
    assert_int_equal(a1->set[ID].as.i, 40);
    assert_int_equal(a2->set[ID].as.i, 41);
    assert_int_equal(b->set[ID].type, HD_T_BIGINT);
    assert_int_equal(batch->statements[1].params[2].as.list->items[0].as.i, 41);
    assert_int_equal(b->set[BOOK_AUTHOR].kind, HD_PENDING); /* as gathered, until all is well */
    done();
    assert_int_equal(b->set[BOOK_AUTHOR].as.i, 41);
}

static void too_few_keys_are_an_error(void **state) {
    (void)state;
    begin(&server);
    insert_author(flush, "a1");
    insert_author(flush, "a2");
    plan();
    next_keys();
    give_integer(0, 1);
    assert_null(hd_flush_body(flush, &err));
    assert_int_equal(err.kind, HD_E_DRIVER);
}

static void a_file_counts_on_from_the_highest_key(void **state) {
    (void)state;
    begin(&file);
    hd_change *a = insert_author(flush, "a"), *given = insert_author(flush, "b"),
              *c = insert_author(flush, "c");
    given->set[ID] = int_value(20);
    plan();
    next_keys();
    assert_int_equal(batch->statements[0].param_count, 0);
    give_integer(0, 10);
    next_body();
    assert_int_equal(a->set[ID].as.i, 21); /* above what is given in the same flush */
    assert_int_equal(c->set[ID].as.i, 22);
    done();
}

static void O4_keys_that_cannot_be_asked_for_make_waves(void **state) {
    (void)state;
    begin(&server);
    hd_change *leaf = insert_node(flush, hd_null()), *root = insert_node(flush, hd_null());
    hd_change *a = insert_author(flush, "a");
    leaf->set[NODE_PARENT] = key_of(root);
    plan();
    next_keys();
    hd_value null = hd_null();
    for (int i = 0; i < 2; i++) assert_int_equal(give(0, 0, &null, 1), HD_OK);
    give_integer(1, 5);
    next_body();
    assert_int_equal(node.key_source, HD_KEY_RETURNING);
    assert_false(hd_flush_can_commit(flush));
    assert_int_equal(a->set[ID].as.i, 5); /* what others were given is kept */
    assert_int_equal(batch->count, 2);
    uint32_t root_at =
        starts_with(&batch->statements[0], "WITH hd_w AS (INSERT INTO \"nodes\"") ? 0 : 1;
    hd_value back[2] = {int_value(77), hd_null()};
    assert_int_equal(give(root_at, 0, back, 2), HD_OK);
    next_body();
    assert_false(hd_flush_can_commit(flush)); /* its answer alone tells the key */
    assert_int_equal(batch->count, 1);
    assert_int_equal(batch->statements[0].params[0].as.i, 77);
    back[0] = int_value(78);
    assert_int_equal(give(0, 0, back, 2), HD_OK);
    done();
    assert_int_equal(leaf->set[ID].as.i, 78);
    assert_int_equal(leaf->set[NODE_PARENT].as.i, 77);
}

static void a_bare_insert_takes_the_rowid_from_the_driver(void **state) {
    (void)state;
    begin(&file);
    hd_change *a = insert_author(flush, "a");
    plan();
    assert_true(hd_flush_is_bare(flush));
    assert_null(hd_flush_keys(flush, &err));
    next_body();
    assert_null(strstr(batch->statements[0].sql, "RETURNING"));
    batch->statements[0].last_id = 12;
    done();
    assert_int_equal(a->set[ID].as.i, 12);
    assert_int_equal(a->came[ID], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(U1_nothing_to_write_is_no_statement),
        TEST(versions_count_on),
        TEST(O3_rows_are_cut_into_statements_of_one_text),
        TEST(O3_a_statement_never_holds_more_parameters_than_it_may),
        TEST(O3_a_file_steps_two_texts_for_any_number_of_rows),
        TEST(the_same_calls_give_the_same_statements),
        TEST(pairs_keep_the_order_of_calls_behind_what_they_refer_to),
        TEST(pairs_are_not_counted_and_stand_apart_from_rows_that_are),
        TEST(keys_go_to_rows_in_the_order_of_calls),
        TEST(too_few_keys_are_an_error),
        TEST(a_file_counts_on_from_the_highest_key),
        TEST(O4_keys_that_cannot_be_asked_for_make_waves),
        TEST(a_bare_insert_takes_the_rowid_from_the_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
