/* What a flush makes of answers: rows, counts, errors, and memory that ends anywhere. */
#include "flush_fake.h"

/* ---- what comes back --------------------------------------------------------------------- */

static hd_change *insert_doc(int n) {
    static char ids[8][37];
    hd_change *d = add_change(flush, HD_INSERT, &doc);
    snprintf(ids[n], sizeof ids[n], "00000000-0000-0000-0000-%012d", n);
    d->set[ID] = hd_bytes(HD_UUID, ids[n], 36, HD_T_UUID);
    return d;
}

static void U5_rows_find_their_change_by_number_or_key_whatever_their_order(void **state) {
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        begin(turn ? &file : &server);
        hd_change *docs[3] = {insert_doc(0), insert_doc(1), insert_doc(2)};
        plan();
        next_body();
        assert_int_equal(batch->count, 1);
        for (int i = 2; i >= 0; i--) {
            hd_value row[4] = {turn ? docs[i]->set[ID] : hd_int(i + 1, HD_T_BIGINT), int_value(i),
                               int_value(2 * i), hd_null()};
            assert_int_equal(give(0, 0, row, turn ? 3 : 4), HD_OK);
        }
        done();
        for (int i = 0; i < 3; i++) {
            assert_int_equal(docs[i]->set[DOC_SIZE].as.i, i);
            assert_int_equal(docs[i]->set[DOC_TWICE].as.i, 2 * i);
            assert_int_equal(docs[i]->came[DOC_TWICE], 1);
        }
        hd_flush_replan(flush);
        assert_int_equal(docs[1]->set[DOC_SIZE].kind, HD_DEFAULT);
        assert_int_equal(docs[1]->set[ID].kind, HD_UUID);
    }
}

static void U6_a_row_that_does_not_come_back_is_missed(void **state) {
    (void)state;
    begin(&file);
    hd_change *d = insert_doc(0);
    insert_doc(1);
    plan();
    next_body();
    hd_value row[3] = {d->set[ID], int_value(1), int_value(2)};
    assert_int_equal(give(0, 0, row, 3), HD_OK);
    row[0] = hd_bytes(HD_UUID, "ffffffff-0000-0000-0000-000000000000", 36,
                      HD_T_UUID); /* of nobody here */
    assert_int_equal(give(0, 0, row, 3), HD_OK);
    assert_null(hd_flush_body(flush, &err));
    assert_int_equal(hd_flush_check(flush, &err), HD_E_NOT_FOUND);
    hd_change *change;
    assert_false(hd_flush_blame(flush, &err, &change));
    assert_int_equal(err.kind, HD_E_NOT_FOUND);
    assert_ptr_equal(hd_flush_blamed_entity(flush, &err), &doc);
}

static void returned_bytes_are_the_flushs_own(void **state) {
    (void)state;
    char text[] = "00000000-0000-0000-0000-000000000009";
    doc_columns[ID].default_sql = "f()";
    begin(&server);
    hd_change *d = add_change(flush, HD_INSERT, &doc), *e = add_change(flush, HD_INSERT, &doc);
    plan();
    next_keys();
    hd_value key = hd_bytes(HD_UUID, text, 36, HD_T_UUID);
    assert_int_equal(give(0, 0, &key, 1), HD_OK);
    text[35] = '8';
    assert_int_equal(give(0, 0, &key, 1), HD_OK);
    memset(text, 'x', 36);
    next_body();
    assert_memory_equal(d->set[ID].as.p, "00000000-0000-0000-0000-000000000009", 36);
    assert_memory_equal(e->set[ID].as.p, "00000000-0000-0000-0000-000000000008", 36);
}

static void a_count_that_no_driver_noticed_is_noticed(void **state) {
    (void)state;
    begin(&file);
    rename_author(flush, 1, 1, "a");
    rename_author(flush, 2, 1, "b");
    plan();
    next_body();
    batch->statements[0].affected = 1;
    assert_null(hd_flush_body(flush, &err));
    assert_int_equal(hd_flush_check(flush, &err), HD_E_OPTIMISTIC_LOCK);
    assert_int_equal(err.statement, 0);
}

/* ---- blame ------------------------------------------------------------------------------- */

static hd_change *blame(hd_error_kind kind, const char *cause, int32_t statement, int64_t row,
                        bool again) {
    hd_change *change = NULL;
    hd_error_set(&err, kind, "what the driver says");
    hd_error_text(&err, &err.cause, cause, strlen(cause));
    err.statement = statement;
    err.row = row;
    assert_int_equal(hd_flush_blame(flush, &err, &change), again);
    return change;
}

static void F2_a_guard_names_its_row(void **state) {
    (void)state;
    begin_with(&hd_allocator_libc, &server, 2, 0);
    for (int i = 0; i < 5; i++) rename_author(flush, i, 1, "a");
    delete_row(flush, &node, 1);
    plan();
    next_body();
    assert_int_equal(batch->count, 4); /* the delete, then 2 + 2 + 1 */
    assert_ptr_equal(blame(HD_E_VALIDATION, "invalid input: \"heddle_stale:2\"", 2, -1, false),
                     hd_flush_change(flush, 3));
    assert_int_equal(err.kind, HD_E_OPTIMISTIC_LOCK);
    assert_null(err.cause);
    assert_int_equal(err.statement, 2);
    assert_ptr_equal(blame(HD_E_VALIDATION, "heddle_stale:1", 0, -1, false),
                     hd_flush_change(flush, 5));
    assert_int_equal(err.kind, HD_E_NOT_FOUND);
    assert_null(blame(HD_E_VALIDATION, "heddle_stale:99999999999999999999", 2, -1, false));
    assert_null(blame(HD_E_VALIDATION, "heddle_stale:1", 77, -1, false));
    assert_null(blame(HD_E_CONNECTION, "gone", -1, -1, false));
    assert_int_equal(err.kind, HD_E_CONNECTION);
}

static void F2_an_execution_names_its_row(void **state) {
    (void)state;
    begin(&file);
    for (int i = 0; i < 5; i++) rename_author(flush, i, 1, "a");
    for (int i = 0; i < 101; i++) insert_node(flush, hd_null())->set[ID] = int_value(i);
    plan();
    next_body();
    assert_ptr_equal(blame(HD_E_OPTIMISTIC_LOCK, "", 0, 3, false), hd_flush_change(flush, 3));
    assert_int_equal(err.kind, HD_E_OPTIMISTIC_LOCK);
    assert_null(blame(HD_E_OPTIMISTIC_LOCK, "", 1, 0, false)); /* one of a hundred rows */
    assert_int_equal(err.kind, HD_E_NOT_FOUND);
    assert_ptr_equal(blame(HD_E_UNIQUE_VIOLATION, "", 2, 0, false), hd_flush_change(flush, 105));
}

static void rows_of_blocks_go_one_by_one_when_a_block_fails(void **state) {
    (void)state;
    begin(&file);
    for (int i = 0; i < 17; i++) rename_author(flush, i, 1, "a");
    plan();
    next_body();
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->statements[0].repeat, 8);
    assert_int_equal(batch->statements[0].expect, 2);
    assert_int_equal(batch->statements[1].repeat, 1);
    assert_null(blame(HD_E_CONNECTION, "gone", 0, 0, false));
    assert_null(blame(HD_E_OPTIMISTIC_LOCK, "", 0, 3, true));
    hd_flush_replan(flush);
    plan();
    next_body();
    assert_int_equal(batch->count, 1);
    assert_int_equal(batch->statements[0].repeat, 17);
    assert_ptr_equal(blame(HD_E_OPTIMISTIC_LOCK, "", 0, 3, false), hd_flush_change(flush, 3));
}

static void blocks_that_a_trigger_joined_are_not_tried_again(void **state) {
    (void)state;
    hd_change *change;
    begin(&file);
    for (int i = 0; i < 16; i++) rename_author(flush, i, 1, "a");
    plan();
    next_body();
    assert_int_equal(batch->count, 1);
    batch->statements[0].affected = 16;
    batch->statements[0].besides = 1;
    assert_null(hd_flush_body(flush, &err));
    assert_int_not_equal(hd_flush_check(flush, &err), HD_OK);
    assert_true(hd_flush_blame(flush, &err, &change));
    assert_true(author.steps_rows);
    hd_flush_reset(flush, 0);
    for (int i = 0; i < 16; i++) rename_author(flush, i, 1, "a");
    plan();
    next_body();
    assert_int_equal(batch->statements[0].repeat, 16);
}

static void keys_that_came_otherwise_are_asked_for_another_way(void **state) {
    (void)state;
    begin(&server);
    for (int i = 0; i < 2; i++) insert_node(flush, hd_null());
    plan();
    next_keys();
    for (int i = 0; i < 2; i++) give_integer(0, i);
    next_body();
    blame(HD_E_VALIDATION, "heddle_stale:0", 0, -1, true);
    assert_int_equal(node.key_source, HD_KEY_RETURNING);
    hd_flush_replan(flush);
    plan();
    assert_null(hd_flush_keys(flush, &err));
    next_body();
    assert_int_equal(batch->statements[0].repeat, 2);
}

static void F5_constraints_name_their_column(void **state) {
    (void)state;
    static const struct {
        const char *constraint, *column;
    } cases[] = {{"books_title_key", "title"},
                 {"books_author_id_fkey", "author_id"},
                 {"books_pkey", "id"},
                 {"other", NULL}};
    begin(&server);
    insert_book(flush, text_value("t"), int_value(1));
    plan();
    next_body();
    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        hd_change *change;
        hd_error_set(&err, HD_E_UNIQUE_VIOLATION, "x");
        hd_error_text(&err, &err.constraint, cases[i].constraint, strlen(cases[i].constraint));
        err.statement = 0;
        assert_false(hd_flush_blame(flush, &err, &change));
        assert_ptr_equal(change, hd_flush_change(flush, 0));
        assert_string_equal(err.table, "books");
        if (cases[i].column)
            assert_string_equal(err.column, cases[i].column);
        else
            assert_null(err.column);
    }
}

/* ---- memory ------------------------------------------------------------------------------ */

typedef struct failing {
    long fail_at, calls, live;
} failing;

static void *failing_resize(void *ud, void *ptr, size_t size) {
    failing *f = ud;
    if (size == 0) {
        if (ptr) f->live--;
        free(ptr);
        return NULL;
    }
    if (++f->calls == f->fail_at) return NULL;
    void *out = realloc(ptr, size);
    if (out && !ptr) f->live++;
    return out;
}

/* A flush with everything in it: keys, references, versions, unique values, a cycle that is
 * broken, values back. */
static bool gather_everything(void) {
    hd_change *made[40];
    for (int i = 0; i < 40; i++) {
        hd_entity *e = i % 4 == 0 ? &team : i % 4 == 1 ? &person : i % 4 == 2 ? &node : &doc;
        if (!(made[i] = hd_flush_add(flush, HD_INSERT, e, 0))) return false;
        made[i]->set[1] = hd_null();
        if (i % 4 == 1)
            made[i]->set[1] = key_of(made[i - 1]), made[i - 1]->set[1] = key_of(made[i]);
    }
    for (int i = 0; i < 40; i++) {
        hd_change *u = hd_flush_add(flush, i % 2 ? HD_UPDATE : HD_DELETE, &book, 0);
        if (!u) return false;
        u->old[ID] = hd_int(i, HD_T_BIGINT);
        u->old[BOOK_TITLE] = hd_int(i, HD_T_BIGINT);
        if (i % 2) u->set[BOOK_TITLE] = hd_int(i - 1, HD_T_BIGINT);
    }
    hd_change *again = hd_flush_add(flush, HD_INSERT, &book, 1); /* under a deleted one's key */
    if (!again) return false;
    again->set[ID] = hd_int(2, HD_T_BIGINT);
    again->set[BOOK_TITLE] = hd_int(99, HD_T_BIGINT);
    static const hd_value text = {.kind = HD_TEXT, .len = 4, .as.p = "f(1)"};
    static const hd_expression expression = {.texts = &text};
    if (!hd_flush_express(flush, again, BOOK_NOTE, &expression)) return false;
    return true;
}

static hd_error_kind answer(bool keys) {
    char text[] = "00000000-0000-0000-0000-000000000009";
    all_reached();
    for (uint32_t s = 0; s < batch->count && keys; s++) {
        bool uuid = batch->statements[s].types[0] == HD_T_UUID;
        uint32_t count =
            batch->statements[s].param_count ? (uint32_t)batch->statements[s].params[0].as.i : 1;
        for (uint32_t i = 0; i < count; i++) {
            text[35] = (char)('a' + i);
            hd_value key =
                uuid ? hd_bytes(HD_UUID, text, 36, HD_T_UUID) : hd_int(i + 1, HD_T_BIGINT);
            hd_error_kind kind = give(s, 0, &key, 1);
            if (kind) return kind;
        }
    }
    for (uint32_t s = 0; s < batch->count && !keys; s++) {
        if (strstr(batch->statements[s].sql, "f(1)")) {
            hd_value evaluated = text_value("x");
            hd_error_kind kind = give(s, 0, &evaluated, 1);
            if (kind) return kind;
        }
        if (!strstr(batch->statements[s].sql, "\"twice\"")) continue;
        for (uint32_t i = 0; i < 10; i++) {
            text[35] = (char)('a' + i);
            bool by_key = batch->statements[s].types[0] == HD_T_UUID;
            hd_value row[4] = {by_key ? hd_bytes(HD_UUID, text, 36, HD_T_UUID)
                                      : hd_int(i + 1, HD_T_BIGINT),
                               int_value(1), int_value(2), hd_null()};
            hd_error_kind kind = give(s, 0, row, by_key ? 3 : 4);
            if (kind) return kind;
        }
    }
    return HD_OK;
}

static hd_error_kind flush_everything(void) {
    if (!flush || !gather_everything()) return HD_E_DRIVER;
    if (hd_flush_plan(flush, &err)) return err.kind;
    if ((batch = hd_flush_keys(flush, &err)) && answer(true)) return err.kind;
    while (!err.kind && (batch = hd_flush_body(flush, &err))) {
        if (answer(false)) return err.kind;
    }
    return err.kind ? err.kind : hd_flush_check(flush, &err);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    const hd_dialect *dialects[] = {&server, &file};
    doc_columns[ID].default_sql = "f()";
    for (int d = 0; d < 2; d++) {
        long n = 0, failures = 0;
        for (;;) {
            failing f = {.fail_at = ++n};
            const hd_allocator mem = {failing_resize, &f};
            begin_with(&mem, dialects[d], 0, 0);
            hd_error_kind kind = flush_everything();
            if (f.calls < n && kind) fail_msg("%s", err.message);
            if (kind) assert_int_equal(kind, HD_E_DRIVER);
            hd_flush_free(flush);
            flush = NULL;
            hd_error_clear(&err);
            assert_int_equal(f.live, 0);
            if (f.calls < n) break;
            assert_int_equal(kind, HD_E_DRIVER);
            failures++;
        }
        assert_true(failures > 10);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(U5_rows_find_their_change_by_number_or_key_whatever_their_order),
        TEST(U6_a_row_that_does_not_come_back_is_missed),
        TEST(returned_bytes_are_the_flushs_own),
        TEST(a_count_that_no_driver_noticed_is_noticed),
        TEST(F2_a_guard_names_its_row),
        TEST(F2_an_execution_names_its_row),
        TEST(rows_of_blocks_go_one_by_one_when_a_block_fails),
        TEST(blocks_that_a_trigger_joined_are_not_tried_again),
        TEST(keys_that_came_otherwise_are_asked_for_another_way),
        TEST(F5_constraints_name_their_column),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
