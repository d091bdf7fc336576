/* The flush without a database: a fake one answers, in whatever order and number the test likes. */
#include "flush_support.h"

static const hd_dialect server = {.dollar_params = true, .bulk_unnest = true, .max_params = 65535};
static const hd_dialect narrow = {.dollar_params = true, .bulk_unnest = true, .max_params = 10};
static const hd_dialect file = {.row_sequence = true, .max_params = 32766, .insert_rows = 100};

static hd_flush *flush;
static hd_error err;
static const hd_batch *batch;

static void begin_with(const hd_allocator *mem, const hd_dialect *dialect, uint32_t batch_size, int64_t now) {
    const hd_flush_options options = {.dialect = dialect, .batch_size = batch_size, .now = now};
    hd_flush_free(flush);
    flush = hd_flush_new(mem, &options);
    batch = NULL;
}

static void begin(const hd_dialect *dialect) {
    begin_with(&hd_allocator_libc, dialect, 0, 1000);
    assert_non_null(flush);
}

static int set_up(void **state) {
    hd_error_init(&err, &hd_allocator_libc);
    return make_schema(state);
}

static int tear_down(void **state) {
    (void)state;
    hd_flush_free(flush);
    flush = NULL;
    hd_error_clear(&err);
    return 0;
}

/* ---- the fake database ------------------------------------------------------------------- */

static hd_error_kind give(uint32_t statement, uint32_t execution, const hd_value *values, uint32_t count) {
    const hd_row row = {values, count, statement, execution};
    return batch->sink(batch->sink_ctx, &row, &err);
}

static void give_integer(uint32_t statement, int64_t value) {
    hd_value v = hd_int(value, HD_T_BIGINT);
    assert_int_equal(give(statement, 0, &v, 1), HD_OK);
}

/* Every statement reached what it should. */
static void all_reached(void) {
    for (uint32_t i = 0; i < batch->count; i++) {
        hd_statement *s = &batch->statements[i];
        s->affected = s->expect < 0 ? 0 : s->expect * (int64_t)s->repeat;
    }
}

static void plan(void) {
    if (hd_flush_plan(flush, &err)) fail_msg("%s", err.message);
}

static void next_body(void) {
    batch = hd_flush_body(flush, &err);
    if (!batch) fail_msg("no body: %s", err.message ? err.message : "it is over");
    all_reached();
}

static void next_keys(void) {
    batch = hd_flush_keys(flush, &err);
    assert_non_null(batch);
    all_reached();
}

static void done(void) {
    assert_null(hd_flush_body(flush, &err));
    assert_int_equal(err.kind, HD_OK);
    if (hd_flush_check(flush, &err)) fail_msg("%s", err.message);
}

static bool starts_with(const hd_statement *s, const char *text) {
    return s->sql_len >= strlen(text) && !memcmp(s->sql, text, strlen(text));
}

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
    hd_change *ahead = rename_author(flush, 2, 0, "c"); /* its last writer's clock was ahead of ours */
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
    assert_true(hd_flush_is_last(flush));
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
        for (uint32_t i = 0; i < 40; i++) hd_flush_change(flush, 4 * i)->set[ID] = hd_int(i, HD_T_BIGINT);
        plan();
        next_body();
        counts[turn] = batch->count;
        for (uint32_t i = 0; i < batch->count; i++) hashes[turn][i] = batch->statements[i].hash;
    }
    assert_int_equal(counts[0], counts[1]);
    assert_memory_equal(hashes[0], hashes[1], counts[0] * sizeof(uint64_t));
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
    hd_change *a = insert_author(flush, "a"), *given = insert_author(flush, "b"), *c = insert_author(flush, "c");
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
    assert_false(hd_flush_is_last(flush));
    assert_int_equal(a->set[ID].as.i, 5); /* what others were given is kept */
    assert_int_equal(batch->count, 2);
    uint32_t root_at = starts_with(&batch->statements[0], "WITH hd_w AS (INSERT INTO \"nodes\"") ? 0 : 1;
    hd_value back[2] = {int_value(77), hd_null()};
    assert_int_equal(give(root_at, 0, back, 2), HD_OK);
    next_body();
    assert_true(hd_flush_is_last(flush));
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
            hd_value row[4] = {turn ? docs[i]->set[ID] : hd_int(i + 1, HD_T_BIGINT), int_value(i), int_value(2 * i),
                               hd_null()};
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
    row[0] = hd_bytes(HD_UUID, "ffffffff-0000-0000-0000-000000000000", 36, HD_T_UUID); /* of nobody here */
    assert_int_equal(give(0, 0, row, 3), HD_OK);
    assert_null(hd_flush_body(flush, &err));
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
    assert_int_equal(err.kind, HD_E_OPTIMISTIC_LOCK);
    assert_int_equal(err.statement, 0);
}

/* ---- blame ------------------------------------------------------------------------------- */

static hd_change *blame(hd_error_kind kind, const char *cause, int32_t statement, int64_t row, bool again) {
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
    assert_ptr_equal(blame(HD_E_VALIDATION, "invalid input: \"heddle_stale:2\"", 2, -1, false), hd_flush_change(flush, 3));
    assert_int_equal(err.kind, HD_E_OPTIMISTIC_LOCK);
    assert_null(err.cause);
    assert_int_equal(err.statement, 2);
    assert_ptr_equal(blame(HD_E_VALIDATION, "heddle_stale:1", 0, -1, false), hd_flush_change(flush, 5));
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
    static const struct { const char *constraint, *column; } cases[] = {
        {"books_title_key", "title"}, {"books_author_id_fkey", "author_id"}, {"books_pkey", "id"}, {"other", NULL}};
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
        if (cases[i].column) assert_string_equal(err.column, cases[i].column);
        else assert_null(err.column);
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

/* A flush with everything in it: keys, references, versions, unique values, a cycle that is broken, values back. */
static bool gather_everything(void) {
    hd_change *made[40];
    for (int i = 0; i < 40; i++) {
        hd_entity *e = i % 4 == 0 ? &team : i % 4 == 1 ? &person : i % 4 == 2 ? &node : &doc;
        if (!(made[i] = hd_flush_add(flush, HD_INSERT, e, 0))) return false;
        made[i]->set[1] = hd_null();
        if (i % 4 == 1) made[i]->set[1] = key_of(made[i - 1]), made[i - 1]->set[1] = key_of(made[i]);
    }
    for (int i = 0; i < 40; i++) {
        hd_change *u = hd_flush_add(flush, i % 2 ? HD_UPDATE : HD_DELETE, &book, 0);
        if (!u) return false;
        u->old[ID] = hd_int(i, HD_T_BIGINT);
        u->old[BOOK_TITLE] = hd_int(i, HD_T_BIGINT);
        if (i % 2) u->set[BOOK_TITLE] = hd_int(i - 1, HD_T_BIGINT);
    }
    return true;
}

static hd_error_kind answer(bool keys) {
    char text[] = "00000000-0000-0000-0000-000000000009";
    all_reached();
    for (uint32_t s = 0; s < batch->count && keys; s++) {
        bool uuid = batch->statements[s].types[0] == HD_T_UUID;
        uint32_t count = batch->statements[s].param_count ? (uint32_t)batch->statements[s].params[0].as.i : 1;
        for (uint32_t i = 0; i < count; i++) {
            text[35] = (char)('a' + i);
            hd_value key = uuid ? hd_bytes(HD_UUID, text, 36, HD_T_UUID) : hd_int(i + 1, HD_T_BIGINT);
            hd_error_kind kind = give(s, 0, &key, 1);
            if (kind) return kind;
        }
    }
    for (uint32_t s = 0; s < batch->count && !keys; s++) {
        if (!strstr(batch->statements[s].sql, "\"twice\"")) continue;
        for (uint32_t i = 0; i < 10; i++) {
            text[35] = (char)('a' + i);
            bool by_key = batch->statements[s].types[0] == HD_T_UUID;
            hd_value row[4] = {by_key ? hd_bytes(HD_UUID, text, 36, HD_T_UUID) : hd_int(i + 1, HD_T_BIGINT), int_value(1),
                               int_value(2), hd_null()};
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
        TEST(U1_nothing_to_write_is_no_statement),
        TEST(versions_count_on),
        TEST(O3_rows_are_cut_into_statements_of_one_text),
        TEST(O3_a_statement_never_holds_more_parameters_than_it_may),
        TEST(O3_a_file_steps_two_texts_for_any_number_of_rows),
        TEST(the_same_calls_give_the_same_statements),
        TEST(keys_go_to_rows_in_the_order_of_calls),
        TEST(too_few_keys_are_an_error),
        TEST(a_file_counts_on_from_the_highest_key),
        TEST(O4_keys_that_cannot_be_asked_for_make_waves),
        TEST(a_bare_insert_takes_the_rowid_from_the_driver),
        TEST(U5_rows_find_their_change_by_number_or_key_whatever_their_order),
        TEST(U6_a_row_that_does_not_come_back_is_missed),
        TEST(returned_bytes_are_the_flushs_own),
        TEST(a_count_that_no_driver_noticed_is_noticed),
        TEST(F2_a_guard_names_its_row),
        TEST(F2_an_execution_names_its_row),
        TEST(keys_that_came_otherwise_are_asked_for_another_way),
        TEST(F5_constraints_name_their_column),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
