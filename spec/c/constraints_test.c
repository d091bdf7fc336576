/* Constraints to edges: which write waits for which, and why (O1). */
#include "constraints.h"
#include "flush_support.h"

static const hd_dialect server = {.dollar_params = true, .bulk_unnest = true, .max_params = 65535};
static const hd_dialect file = {.row_sequence = true, .max_params = 32766, .insert_rows = 100};

static hd_flush *flush;
static hd_write writes[16];
static hd_edges edges;

static int set_up(void **state) {
    const hd_flush_options options = {.dialect = &server};
    make_schema(state);
    flush = hd_flush_new(&hd_allocator_libc, &options);
    memset(writes, 0, sizeof writes);
    return flush ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    hd_flush_free(flush);
    return 0;
}

/* Every change as one write; `awaited` is the change whose key only its INSERT tells (-1: none). */
static void find(const hd_dialect *dialect, int awaited) {
    uint32_t by_change[16], count = hd_flush_count(flush);
    for (uint32_t i = 0; i < count; i++) {
        writes[i].change = hd_flush_change(flush, i);
        writes[i].op = writes[i].change->op;
        writes[i].key_column = -1;
        if ((int)i == awaited) writes[i].key = HD_KEY_AWAITED;
        by_change[i] = i;
    }
    assert_int_equal(
        hd_constraints_edges(hd_flush_arena(flush), dialect, writes, count, by_change, &edges),
        HD_OK);
}

static const hd_order_edge *edge_between(uint32_t before, uint32_t after) {
    for (uint32_t i = 0; i < edges.count; i++) {
        if (edges.items[i].before == before && edges.items[i].after == after)
            return &edges.items[i];
    }
    return NULL;
}

static void expect_edge(uint32_t before, uint32_t after, hd_edge_reason reason,
                        hd_order_bond bond) {
    const hd_order_edge *edge = edge_between(before, after);
    assert_non_null(edge);
    assert_int_equal(edges.constraints[edge->label].reason, reason);
    assert_int_equal(edge->bond, bond);
}

static void a_new_row_is_written_before_those_that_refer_to_it(void **state) {
    (void)state;
    hd_change *by_key = insert_book(flush, text_value("a"), int_value(7));
    hd_change *by_reference = insert_book(flush, text_value("b"), hd_null());
    insert_author(flush, "x")->set[ID] = int_value(7);
    hd_change *moved = update_row(flush, &book, 1);
    moved->old[BOOK_AUTHOR] = int_value(1);
    moved->set[BOOK_AUTHOR] = int_value(7);
    by_reference->set[BOOK_AUTHOR] = key_of(hd_flush_change(flush, 2));
    insert_book(flush, text_value("c"), int_value(8));
    find(&server, -1);
    assert_int_equal(edges.count, 3);
    expect_edge(2, by_key->index, HD_EDGE_REFERS, HD_TOGETHER);
    expect_edge(2, by_reference->index, HD_EDGE_REFERS, HD_TOGETHER);
    expect_edge(2, moved->index, HD_EDGE_REFERS, HD_TOGETHER);
    assert_ptr_equal(edges.constraints[edges.items[0].label].foreign_key, &book_fks[0]);
}

static void an_awaited_key_keeps_rows_apart_even_from_themselves(void **state) {
    (void)state;
    hd_change *child = insert_node(flush, hd_null()), *parent = insert_node(flush, hd_null());
    child->set[NODE_PARENT] = key_of(parent);
    find(&server, 1);
    assert_int_equal(edges.count, 1);
    expect_edge(1, 0, HD_EDGE_AWAITS, HD_APART);
    parent->set[NODE_PARENT] = key_of(parent);
    find(&server, 1);
    assert_int_equal(edges.count, 2);
    expect_edge(1, 1, HD_EDGE_AWAITS, HD_APART);
    writes[1].key = HD_KEY_KNOWN;
    find(&server, -1);
    assert_int_equal(edges.count, 1); /* a known row may refer to itself */
}

static void what_refers_to_a_row_leaves_before_it_goes(void **state) {
    (void)state;
    delete_row(flush, &author, 1);
    delete_row(flush, &book, 1)->old[BOOK_AUTHOR] = int_value(1);
    hd_change *moved = update_row(flush, &book, 2);
    moved->old[BOOK_AUTHOR] = int_value(1);
    moved->set[BOOK_AUTHOR] = int_value(2);
    hd_change *renamed = update_row(flush, &book, 3);
    renamed->old[BOOK_AUTHOR] = int_value(1);
    renamed->set[BOOK_TITLE] = text_value("x");
    delete_row(flush, &book, 4)->old[BOOK_AUTHOR] = int_value(5);
    hd_change *rekeyed = update_row(flush, &author, 5);
    rekeyed->set[ID] = int_value(6);
    find(&server, -1);
    assert_int_equal(edges.count, 3);
    expect_edge(1, 0, HD_EDGE_LEAVES, HD_TOGETHER);
    expect_edge(2, 0, HD_EDGE_LEAVES, HD_TOGETHER);
    expect_edge(4, 5, HD_EDGE_TURNS, HD_TOGETHER);
    book_fks[0].on_update = HD_RULE_RESTRICT;
    find(&server, -1);
    expect_edge(4, 5, HD_EDGE_TURNS, HD_APART);
    book_fks[0].on_update = HD_RULE_CASCADE; /* the database takes them along */
    find(&server, -1);
    assert_int_equal(edges.count, 2);
}

static void a_unique_value_is_given_up_before_it_is_taken(void **state) {
    (void)state;
    retitle_book(flush, 1, "one", "two");
    retitle_book(flush, 2, "two", "three");
    delete_row(flush, &book, 3)->old[BOOK_TITLE] = text_value("three");
    insert_book(flush, text_value("one"), int_value(1));
    insert_book(flush, text_value("new"), int_value(1))->set[ID] =
        hd_int(3, HD_T_BIGINT); /* the deleted key */
    find(&server, -1);
    assert_int_equal(edges.count, 4);
    expect_edge(1, 0, HD_EDGE_TAKES, HD_APART);
    expect_edge(2, 1, HD_EDGE_TAKES, HD_APART);
    expect_edge(0, 3, HD_EDGE_TAKES, HD_APART);
    expect_edge(2, 4, HD_EDGE_TAKES, HD_APART);
    assert_null(edges.constraints[edge_between(2, 4)->label].unique); /* the primary key */
    assert_ptr_equal(edges.constraints[edge_between(2, 1)->label].unique, &book_uniques[0]);
    find(&file, -1); /* stepped row by row: order is enough */
    expect_edge(1, 0, HD_EDGE_TAKES, HD_IN_ORDER);
}

static void null_meets_null_only_where_the_key_says_so(void **state) {
    (void)state;
    hd_change *freed = update_row(flush, &book, 1);
    freed->set[BOOK_TITLE] = text_value("x"); /* old: NULL */
    hd_change *taker = insert_book(flush, hd_null(), int_value(1));
    find(&server, -1);
    assert_int_equal(edges.count, 0);
    book_uniques[0].nulls_equal = true;
    find(&server, -1);
    assert_int_equal(edges.count, 1);
    expect_edge(freed->index, taker->index, HD_EDGE_TAKES, HD_APART);
}

static void columns_of_a_key_that_did_not_change_count_with_their_old_value(void **state) {
    (void)state;
    static const hd_unique both = {.columns = cols12, .count = 2};
    static hd_entity place;
    place = node; /* unique (parent_id, name) */
    place.uniques = &both;
    place.unique_count = 1;
    place.foreign_key_count = 0;
    for (int64_t i = 0; i < 3; i++) {
        hd_change *c = update_row(flush, &place, i);
        c->old[1] = int_value(i < 2 ? 5 : 6);
        c->old[2] = text_value(i ? "b" : "a");
        c->set[2] = text_value(i ? "c" : "b");
    }
    find(&server, -1);
    assert_int_equal(edges.count,
                     1); /* (5, b) from the second to the first; the third's list is another */
    expect_edge(1, 0, HD_EDGE_TAKES, HD_APART);
    hd_flush_change(flush, 1)->set[2] = text_value("b"); /* written, not changed */
    find(&server, -1);
    assert_int_equal(edges.count, 0);
}

static void the_later_half_of_a_row_waits_for_the_first_and_for_its_target(void **state) {
    (void)state;
    uint8_t held[3] = {0, 1, 0};
    hd_change *child = insert_node(flush, hd_null()), *parent = insert_node(flush, hd_null());
    child->set[NODE_PARENT] = key_of(parent);
    uint32_t by_change[] = {0, 1};
    writes[0] = (hd_write){.change = child, .op = HD_INSERT, .held = held, .key_column = -1};
    writes[1] = (hd_write){.change = parent, .op = HD_INSERT, .key_column = -1};
    writes[2] =
        (hd_write){.change = child, .op = HD_UPDATE, .held = held, .later = true, .key_column = -1};
    assert_int_equal(
        hd_constraints_edges(hd_flush_arena(flush), &server, writes, 3, by_change, &edges), HD_OK);
    assert_int_equal(edges.count, 2);
    expect_edge(0, 2, HD_EDGE_HALVES, HD_APART);
    expect_edge(1, 2, HD_EDGE_REFERS, HD_TOGETHER);
}

static void nothing_is_hashed_where_nothing_can_meet(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) insert_book(flush, text_value("same"), int_value(i));
    find(&server, -1);
    assert_int_equal(edges.count, 0); /* only the database can tell: nothing is freed here */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_new_row_is_written_before_those_that_refer_to_it),
        TEST(an_awaited_key_keeps_rows_apart_even_from_themselves),
        TEST(what_refers_to_a_row_leaves_before_it_goes),
        TEST(a_unique_value_is_given_up_before_it_is_taken),
        TEST(null_meets_null_only_where_the_key_says_so),
        TEST(columns_of_a_key_that_did_not_change_count_with_their_old_value),
        TEST(the_later_half_of_a_row_waits_for_the_first_and_for_its_target),
        TEST(nothing_is_hashed_where_nothing_can_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
