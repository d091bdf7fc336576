/* COPY in a flush: when it is asked for, what the answers lead to, and what is learned. */
#include "flush_fake.h"
#include "scarce.h"

static const hd_dialect copying = {
    .dollar_params = true, .bulk_unnest = true, .max_params = 65535, .copy_rows = 3};

#define COPY_NODES "COPY \"nodes\" (\"id\", \"parent_id\", \"name\") FROM STDIN (FORMAT binary)"

static void gather(uint32_t rows) {
    for (uint32_t i = 0; i < rows; i++) insert_node(flush, hd_null());
}

static void begin_nodes(uint32_t batch_size, uint32_t rows) {
    begin_with(&hd_allocator_libc, &copying, batch_size, 1000);
    gather(rows);
    plan();
}

static hd_error_kind give_keys(uint32_t statement, uint32_t count) {
    hd_value items[8], list = {.kind = HD_LIST};
    for (uint32_t i = 0; i < count; i++) items[i] = hd_int(100 + i, HD_T_BIGINT);
    const hd_list keys = {HD_T_BIGINT, count, items};
    list.as.list = &keys;
    return give(statement, 0, &list, 1);
}

static hd_error_kind give_look(bool possible) {
    hd_value v = {.kind = HD_BOOL, .as.i = possible};
    return give(2, 0, &v, 1);
}

static void assert_text(uint32_t statement, const char *text) {
    assert_int_equal(batch->statements[statement].sql_len, strlen(text));
    assert_memory_equal(batch->statements[statement].sql, text, strlen(text));
}

static void rows_are_copied_where_the_table_allows_it(void **state) {
    (void)state;
    begin_nodes(0, 3);
    next_keys();
    assert_int_equal(batch->count, 3);
    assert_text(1, "LOCK TABLE \"nodes\" IN ROW EXCLUSIVE MODE");
    assert_true(starts_with(&batch->statements[2], "SELECT current_setting"));
    assert_int_equal(give_look(true), HD_OK);
    assert_int_equal(give_keys(0, 3), HD_OK);
    next_body();
    const hd_statement *s = batch->statements;
    assert_int_equal(batch->count, 1);
    assert_text(0, COPY_NODES);
    assert_int_equal(s->copy, 3);
    assert_int_equal(s->param_count, 9);
    assert_int_equal(s->expect, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s->params[3 * i].as.i, 100 + i);
        assert_int_equal(s->params[3 * i].type, HD_T_INTEGER);
        assert_int_equal(s->params[3 * i + 1].kind, HD_NULL);
        assert_int_equal(s->params[3 * i + 2].kind, HD_TEXT);
    }
    done();
    assert_int_equal(hd_flush_change(flush, 2)->set[ID].as.i, 102);
}

static void rows_are_inserted_where_it_does_not(void **state) {
    (void)state;
    begin_nodes(0, 3);
    next_keys();
    give_look(false);
    give_keys(0, 3);
    next_body();
    assert_true(starts_with(batch->statements, "WITH hd_w AS (INSERT INTO \"nodes\""));
    assert_int_equal(batch->statements->copy, 0);
    done();
}

/* Few rows, batches of another size, types without a binary form, rows that nobody counts. */
static void it_is_not_asked_for_without_need(void **state) {
    (void)state;
    for (int why = 0; why < 4; why++) {
        make_schema(state);
        hd_column columns[3];
        memcpy(columns, node_columns, sizeof columns);
        node.columns = columns;
        if (why == 2) columns[NODE_NAME].type = HD_T_DECIMAL;
        if (why == 3) node.check_rows = false;
        begin_nodes(why == 1 ? 999 : 0, why == 0 ? 2 : 3);
        next_keys();
        assert_int_equal(batch->count, 1);
        hd_flush_free(flush);
        flush = NULL;
    }
}

static void a_refused_lock_is_learned(void **state) {
    (void)state;
    for (int32_t statement = 1; statement <= 2; statement++) {
        make_schema(state);
        begin_nodes(0, 3);
        next_keys();
        hd_change *change;
        hd_error_set(&err, HD_E_DRIVER, "no");
        memcpy(err.sqlstate, "42501", 6);
        err.statement = statement;
        assert_ptr_equal(hd_flush_blamed_entity(flush, &err), &node);
        assert_true(hd_flush_blame(flush, &err, &change));
        assert_true(node.uncopied);
        assert_int_equal(node.key_source, HD_KEY_SEQUENCE);
        hd_flush_replan(flush);
        plan();
        next_keys();
        assert_int_equal(batch->count, 1);
        give_keys(0, 3);
        next_body();
        done();
    }
}

static void what_passes_is_no_lesson(void **state) {
    (void)state;
    static const hd_error_kind kinds[] = {HD_E_CONNECTION, HD_E_LOCK_TIMEOUT,
                                          HD_E_CANCELED,   HD_E_TIMEOUT,
                                          HD_E_DEADLOCK,   HD_E_SERIALIZATION_FAILURE};
    begin_nodes(0, 3);
    next_keys();
    for (uint32_t i = 0; i < COUNT_OF(kinds); i++) {
        hd_change *change;
        hd_error_set(&err, kinds[i], "later, perhaps");
        err.statement = 1;
        assert_false(hd_flush_blame(flush, &err, &change));
        assert_false(node.uncopied);
    }
}

/* The whole way behind gathering; HD_E_DRIVER where memory ran out. */
static hd_error_kind go(uint32_t rows) {
    if (hd_flush_plan(flush, &err)) return err.kind;
    if (!(batch = hd_flush_keys(flush, &err))) return err.kind;
    all_reached();
    if (give_look(true) || give_keys(0, rows)) return err.kind;
    if (!(batch = hd_flush_body(flush, &err))) return err.kind;
    all_reached();
    assert_text(0, COPY_NODES);
    if (hd_flush_body(flush, &err) || err.kind) return err.kind;
    return hd_flush_check(flush, &err);
}

static void memory_may_end_anywhere(void **state) {
    (void)state;
    for (uint32_t rows = 3; rows < 8; rows++) { /* arenas end at other places */
        hd_error_kind kind = HD_E_DRIVER;
        for (long n = 1; kind; n++) {
            scarce_from(0);
            begin_with(&scarce, &copying, 0, 1000);
            gather(rows);
            scarce_from(n);
            kind = go(rows);
            if (kind) assert_int_equal(kind, HD_E_DRIVER);
            assert_true(n < 1000);
        }
        scarce_from(0);
        hd_flush_free(flush);
        flush = NULL;
        assert_int_equal(memory.live, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(rows_are_copied_where_the_table_allows_it),
        TEST(rows_are_inserted_where_it_does_not),
        TEST(it_is_not_asked_for_without_need),
        TEST(a_refused_lock_is_learned),
        TEST(what_passes_is_no_lesson),
        TEST(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
