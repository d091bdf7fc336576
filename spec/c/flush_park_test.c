/* Parking and rings without a database: what is sent, and memory that runs out on the way. */
#include "flush_fake.h"
#include "scarce.h"

/* seat (id, hall, place, name, version): UNIQUE (hall, place), UNIQUE (name) */
enum { SEAT_HALL = 1, SEAT_PLACE, SEAT_NAME, SEAT_VERSION };
static const uint16_t col3[] = {3};
static hd_column seat_columns[5];
static hd_unique seat_uniques[2];
static hd_entity seat;

static void make_seats(bool versioned) {
    static const hd_column columns[] = {
        KEY_COLUMN(HD_T_INTEGER), COLUMN("hall", HD_T_INTEGER, 0), COLUMN("place", HD_T_INTEGER, 0),
        COLUMN("name", HD_T_STRING, 0), COLUMN("version", HD_T_INTEGER, 0)};
    memcpy(seat_columns, columns, sizeof columns);
    seat = ENTITY(20, seat, "seats");
    if (versioned) seat.version = SEAT_VERSION;
    seat_uniques[0] = (hd_unique){.columns = cols12, .count = 2};
    seat_uniques[1] = (hd_unique){.columns = col3, .count = 1};
    seat.uniques = seat_uniques;
    seat.unique_count = 2;
}

static hd_change *move_seat(int64_t id, int64_t from, int64_t to) {
    hd_change *c = update_row(flush, &seat, id);
    c->old[SEAT_HALL] = int_value(1);
    c->old[SEAT_PLACE] = int_value(from);
    c->old[SEAT_VERSION] = int_value(1);
    c->set[SEAT_PLACE] = int_value(to);
    return c;
}

static void expect_text(uint32_t statement, const char *text) {
    const hd_statement *s = &batch->statements[statement];
    char got[2048];
    snprintf(got, sizeof got, "%.*s", (int)s->sql_len, s->sql);
    assert_string_equal(got, text);
}

static void a_number_goes_below_all_others_in_its_scope(void **state) {
    (void)state;
    make_seats(true);
    begin(&server);
    move_seat(1, 1, 2);
    move_seat(2, 2, 1);
    plan();
    next_body();
    assert_int_equal(batch->count, 2);
    expect_text(
        0, "WITH hd_i (c0, c1, c2, n) AS (SELECT * FROM unnest($1::int4[], $2::int4[], $3::int4[])"
           " WITH ORDINALITY), hd_w (n) AS (UPDATE \"seats\" AS hd_t SET \"place\" ="
           " (SELECT CASE WHEN hd_m.v >= -2147483648 + hd_i.n THEN hd_m.v - hd_i.n"
           " ELSE (SELECT max(hd_s.\"place\") FROM \"seats\" AS hd_s WHERE hd_s.\"hall\" = "
           "hd_t.\"hall\") + hd_i.n END"
           " FROM (SELECT least((SELECT min(hd_s.\"place\") FROM \"seats\" AS hd_s"
           " WHERE hd_s.\"hall\" = hd_t.\"hall\"), hd_i.c0) AS v) AS hd_m)"
           " FROM hd_i WHERE hd_t.\"id\" = hd_i.c1 AND hd_t.\"version\" = hd_i.c2 RETURNING hd_i.n)"
           " SELECT ('heddle_stale:' || min(n))::int FROM hd_i WHERE n NOT IN (SELECT n FROM hd_w)"
           " HAVING min(n) IS NOT NULL");
    assert_null(strstr(batch->statements[1].sql, "\"version\" = hd_i.c3")); /* checked once */
    assert_int_equal(hd_flush_change(flush, 0)->set[SEAT_VERSION].as.i, 2);
    done();
}

static void a_column_of_several_keys_goes_below_the_whole_table(void **state) {
    (void)state;
    static const uint16_t cols23[] = {2, 3};
    make_seats(false);
    seat_uniques[1] = (hd_unique){.columns = cols23, .count = 2};
    begin(&server);
    move_seat(1, 1, 2);
    move_seat(2, 2, 1);
    plan();
    next_body();
    assert_non_null(strstr(batch->statements[0].sql,
                           "least((SELECT min(hd_s.\"place\") FROM \"seats\" AS hd_s), hd_i.c0)"));
}

static void a_value_to_come_is_no_spare_one(void **state) {
    (void)state;
    make_seats(true);
    begin(&server);
    move_seat(1, 10, 11);
    move_seat(2, 11, 10);
    move_seat(3, 12, 8);
    move_seat(4, 13, 9);
    plan();
    next_body();
    const hd_statement *park = batch->statements;
    while (!strstr(park->sql, "least(")) park++;
    const hd_list *below = park->params[0].as.list;
    assert_int_equal(below->count, 2);
    for (uint32_t i = 0; i < below->count; i++) {
        assert_int_equal(below->items[i].kind, HD_INT);
        assert_int_equal(below->items[i].as.i, 8);
    }
}

/* The column of a foreign key, as there is no other, or the other is not written. */
static void which_column_is_spare_depends_on_what_ties_it(void **state) {
    (void)state;
    static hd_foreign_key fk[1];
    struct {
        uint16_t hall, place; /* flags */
        bool refers, deferrable, deferred;
        const char *set; /* NULL: refused */
    } cases[] = {
        {0, 0, false, false, false, "\"hall\" = (SELECT CASE"},
        {HD_COL_NULLABLE, 0, false, false, false, "\"hall\" = hd_i.c0"},
        {HD_COL_NULLABLE, 0, true, false, false, "\"hall\" = hd_i.c0"},
        {0, HD_COL_CHECKED, false, false, false, "\"hall\" = (SELECT CASE"},
        {0, HD_COL_CHECKED, true, true, true, "\"hall\" = (SELECT CASE"},
        {0, HD_COL_CHECKED, true, false, false, NULL},
        {0, HD_COL_CHECKED | HD_COL_NULLABLE, true, false, false, "\"place\" = hd_i.c0"},
        {0, HD_COL_GENERATED, false, false, false, "\"hall\" = (SELECT CASE"},
        {HD_COL_CHECKED, HD_COL_REFERENCED, false, false, true, "\"place\" = (SELECT CASE"},
    };
    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        make_seats(false);
        seat_columns[SEAT_HALL].flags = cases[i].hall;
        seat_columns[SEAT_PLACE].flags = cases[i].place;
        if (cases[i].refers) {
            refer(&seat, fk, col1, &node, cases[i].hall & HD_COL_NULLABLE);
            fk[0].deferrable = cases[i].deferrable;
        }
        begin(&server);
        for (int64_t id = 1; id <= 2; id++) { /* two halls swap their only seat */
            hd_change *c = move_seat(id, 1, 1);
            c->old[SEAT_HALL] = int_value(id);
            c->set[SEAT_HALL] = int_value(3 - id);
            c->set[SEAT_PLACE] = (hd_value){.kind = HD_DEFAULT};
        }
        if (!cases[i].set) {
            assert_int_equal(hd_flush_plan(flush, &err), HD_E_COMMIT_ORDER);
            continue;
        }
        plan();
        next_body();
        assert_int_equal(hd_flush_told(flush).deferred, cases[i].deferred);
        if (!strstr(batch->statements[cases[i].deferred].sql, cases[i].set))
            fail_msg("%u: %s", i, batch->statements[cases[i].deferred].sql);
    }
}

static void a_file_takes_bytes_and_is_told_to_overlook_checks(void **state) {
    (void)state;
    make_seats(false);
    seat_columns[SEAT_PLACE].flags |= HD_COL_CHECKED;
    begin(&file);
    move_seat(1, 1, 2);
    move_seat(2, 2, 1);
    plan();
    next_body();
    assert_int_equal(batch->count, 2);
    assert_true(batch->statements[0].unconfined);
    assert_false(batch->statements[1].unconfined);
    assert_int_equal(batch->statements[0].params[0].kind, HD_BLOB);
    assert_int_equal(batch->statements[0].repeat, 2);
    expect_text(0, "UPDATE \"seats\" SET \"place\" = ?1 WHERE \"id\" = ?2");
}

static const hd_value *nth(const hd_statement *s, uint32_t slots, uint32_t slot, uint32_t row) {
    return s->params[0].kind == HD_LIST ? &s->params[slot].as.list->items[row]
                                        : &s->params[row * slots + slot];
}

static void keys_are_parked_at_values_that_find_them_again(void **state) {
    (void)state;
    const hd_dialect *dialects[] = {&server, &file};
    for (int d = 0; d < 2; d++) {
        begin(dialects[d]);
        for (int64_t i = 0; i < 3; i++)
            update_row(flush, &node, 10 + i)->set[ID] = int_value(10 + (i + 1) % 3);
        plan();
        next_body();
        assert_int_equal(batch->count, 2);
        const hd_statement *park = &batch->statements[0], *place = &batch->statements[1];
        for (uint32_t i = 0; i < 3; i++) {
            const hd_value *spare = nth(park, 2, 0, i);
            int found = 0;
            for (uint32_t k = 0; k < 3; k++) found += hd_value_equal(spare, nth(place, 2, 1, k));
            assert_int_equal(spare->kind, HD_INT);
            assert_true(spare->as.i < 0);
            assert_int_equal(found, 1);
        }
    }
}

static void a_spare_key_that_is_somebodys_is_tried_again(void **state) {
    (void)state;
    hd_change *change;
    begin(&server);
    update_row(flush, &node, 1)->set[ID] = int_value(2);
    update_row(flush, &node, 2)->set[ID] = int_value(1);
    plan();
    next_body();
    hd_error_set(&err, HD_E_UNIQUE_VIOLATION, "taken");
    err.statement = 0;
    assert_true(hd_flush_blame(flush, &err, &change));
    err.statement = 1;
    assert_false(hd_flush_blame(flush, &err, &change));
    hd_error_clear(&err);
}

static void what_is_dropped_from_a_partial_key_takes_nothing(void **state) {
    (void)state;
    static const hd_test unnamed = {.column = SEAT_NAME, .word = HD_TEST_IS_NULL};
    make_seats(false);
    seat.unique_count = 1;
    seat_uniques[0].tests = &unnamed;
    seat_uniques[0].test_count = 1;
    seat_columns[SEAT_NAME].flags |= HD_COL_NULLABLE;
    begin(&server);
    move_seat(1, 1, 2);                                        /* members both */
    move_seat(2, 2, 1)->set[SEAT_NAME] = text_value("leaves"); /* takes nothing */
    plan();
    assert_int_equal(hd_flush_told(flush).parked, 0);
    begin(&server);
    move_seat(1, 1, 2)->old[SEAT_NAME] = text_value("never was one");
    move_seat(2, 2, 1);
    plan();
    assert_int_equal(hd_flush_told(flush).parked, 0);
    begin(&server);
    move_seat(1, 1, 2);
    move_seat(2, 2, 1)->old[SEAT_NAME] = (hd_value){.kind = HD_DEFAULT}; /* who knows */
    plan();
    assert_int_equal(hd_flush_told(flush).parked, 2);
}

/* ---- memory ------------------------------------------------------------------------------ */

static void gather_everything(bool refuse) {
    if (hd_flush_count(flush)) return;
    move_seat(1, 1, 2);
    move_seat(2, 2, 1);
    hd_change *a = update_row(flush, &seat, 3), *b = update_row(flush, &seat, 4);
    a->old[SEAT_NAME] = b->set[SEAT_NAME] = text_value("a");
    b->old[SEAT_NAME] = a->set[SEAT_NAME] = text_value("b");
    hd_change *x = add_change(flush, HD_INSERT, &yin), *y = add_change(flush, HD_INSERT, &yang);
    x->set[ID] = y->set[ID] = int_value(1);
    x->set[1] = y->set[1] = int_value(1);
    hd_change *t = add_change(flush, HD_INSERT, &team), *p = add_change(flush, HD_INSERT, &person);
    t->set[ID] = p->set[ID] = int_value(1);
    t->set[1] = p->set[1] = int_value(1);
    if (refuse) seat_columns[SEAT_NAME].type = HD_T_BOOLEAN;
}

static hd_error_kind plan_and_build(void) {
    hd_error_kind kind = hd_flush_plan(flush, &err);
    while (!kind && (batch = hd_flush_body(flush, &err))) all_reached();
    return kind ? kind : err.kind;
}

static void out_of_memory_is_said_wherever_it_happens(void **state) {
    (void)state;
    for (int refuse = 0; refuse < 2; refuse++) {
        hd_error_kind kind = HD_E_DRIVER, end = refuse ? HD_E_COMMIT_ORDER : HD_OK;
        yin_fks[0].deferrable = yang_fks[0].deferrable = false;
        for (long n = 1; kind != end; n++) {
            make_seats(true);
            scarce_from(0);
            begin_with(&scarce, &server, 0, 1000);
            gather_everything(refuse);
            scarce_from(n);
            kind = plan_and_build();
            if (kind != end) assert_int_equal(kind, HD_E_DRIVER);
            assert_true(n < 10000);
        }
        scarce_from(0);
        if (refuse) assert_non_null(err.message);
        if (!refuse) assert_int_equal(hd_flush_told(flush).whole, 1);
        if (!refuse) assert_int_equal(hd_flush_told(flush).held, 1);
        hd_flush_free(flush);
        flush = NULL;
        hd_error_clear(&err);
        assert_int_equal(memory.live, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_number_goes_below_all_others_in_its_scope),
        TEST(a_value_to_come_is_no_spare_one),
        TEST(a_column_of_several_keys_goes_below_the_whole_table),
        TEST(which_column_is_spare_depends_on_what_ties_it),
        TEST(a_file_takes_bytes_and_is_told_to_overlook_checks),
        TEST(keys_are_parked_at_values_that_find_them_again),
        TEST(a_spare_key_that_is_somebodys_is_tried_again),
        TEST(what_is_dropped_from_a_partial_key_takes_nothing),
        TEST(out_of_memory_is_said_wherever_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
