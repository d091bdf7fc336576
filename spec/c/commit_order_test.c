/* Commit order: runs, rings, cycles; and against brute force on random graphs (O1, O3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commit_order.h"

enum { MAX = 7 };

static hd_arena arena;

static int open_arena(void **state) {
    (void)state;
    hd_arena_init(&arena, &hd_allocator_libc);
    return 0;
}

static int close_arena(void **state) {
    (void)state;
    hd_arena_free(&arena);
    return 0;
}

#define SORT(nodes, edges, out)                                                                    \
    hd_commit_order_sort(&arena, nodes, sizeof(nodes) / sizeof(nodes)[0], edges,                   \
                         sizeof(edges) / sizeof(edges)[0], out)

static void expect_nodes(const hd_order *order, const char *digits) {
    char got[64] = "";
    for (uint32_t r = 0; r < order->run_count; r++) {
        const hd_order_run *run = &order->runs[r];
        if (r) strcat(got, run->whole ? "|*" : "|");
        for (uint32_t i = 0; i < run->count; i++) {
            char digit[2] = {(char)('0' + order->nodes[run->first + i]), 0};
            strcat(got, digit);
        }
    }
    assert_string_equal(got, digits);
}

/* ---- examples ---------------------------------------------------------------------------- */

static void nothing_is_sorted(void **state) {
    (void)state;
    hd_order order;
    assert_int_equal(hd_commit_order_sort(&arena, NULL, 0, NULL, 0, &order), HD_OK);
    assert_int_equal(order.run_count, 0);
}

static void parents_go_first_in_one_run_each(void **state) {
    (void)state;
    hd_order_node nodes[] = {{0, 2}, {1, 2}, {0, 2}, {1, 2}};
    hd_order_edge edges[] = {{1, 0, 0, HD_TOGETHER}, {3, 2, 0, HD_TOGETHER}};
    hd_order order;
    assert_int_equal(SORT(nodes, edges, &order), HD_OK);
    expect_nodes(&order, "13|02");
}

static void ranks_decide_among_ready_groups(void **state) {
    (void)state;
    hd_order_node nodes[] = {{0, 2}, {1, 1}, {2, 0}};
    hd_order order;
    assert_int_equal(hd_commit_order_sort(&arena, nodes, 3, NULL, 0, &order), HD_OK);
    expect_nodes(&order, "2|1|0");
}

static void a_tree_in_one_group_is_one_run_parents_first(void **state) {
    (void)state;
    hd_order_node nodes[] = {{0, 2}, {0, 2}, {0, 2}, {0, 2}};
    hd_order_edge edges[] = {
        {3, 2, 0, HD_TOGETHER}, {2, 1, 0, HD_IN_ORDER}, {3, 0, 0, HD_TOGETHER}};
    hd_order order;
    assert_int_equal(SORT(nodes, edges, &order), HD_OK);
    expect_nodes(&order, "3201");
}

static void rows_kept_apart_are_in_runs_of_their_own(void **state) {
    (void)state;
    hd_order_node nodes[] = {{0, 1}, {0, 1}, {0, 1}};
    hd_order_edge edges[] = {{1, 0, 0, HD_APART}};
    hd_order order;
    assert_int_equal(SORT(nodes, edges, &order), HD_OK);
    expect_nodes(&order, "12|0");
}

static void a_group_that_can_be_finished_goes_before_one_that_cannot(void **state) {
    (void)state;
    hd_order_node nodes[] = {{0, 2}, {1, 2}, {0, 2}};
    hd_order_edge edges[] = {{1, 2, 0, HD_TOGETHER}};
    hd_order order;
    assert_int_equal(SORT(nodes, edges, &order), HD_OK);
    expect_nodes(&order, "1|02");
}

static void a_ring_within_one_statement_is_a_whole_run(void **state) {
    (void)state;
    hd_order_node nodes[] = {{1, 2}, {0, 2}, {0, 2}, {0, 2}};
    hd_order_edge edges[] = {{1, 2, 0, HD_TOGETHER},
                             {2, 1, 0, HD_TOGETHER},
                             {2, 3, 0, HD_TOGETHER},
                             {0, 1, 0, HD_APART}};
    hd_order order;
    assert_int_equal(SORT(nodes, edges, &order), HD_OK);
    expect_nodes(&order, "0|*123");
}

static void a_cycle_is_given_in_its_direction(void **state) {
    (void)state;
    hd_order_node nodes[] = {{0, 2}, {1, 2}, {2, 2}, {3, 2}};
    hd_order_edge edges[] = {
        {0, 1, 10, HD_APART}, {1, 2, 11, HD_APART}, {2, 1, 12, HD_APART}, {2, 3, 13, HD_APART}};
    hd_order order;
    assert_int_equal(SORT(nodes, edges, &order), HD_E_COMMIT_ORDER);
    assert_int_equal(order.cycle_length, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const hd_order_edge *edge = &edges[order.cycle[i]],
                            *next = &edges[order.cycle[(i + 1) % 2]];
        assert_int_equal(edge->after, next->before);
        assert_true(edge->label == 11 || edge->label == 12);
    }
}

static void a_ring_in_order_only_is_a_cycle(void **state) {
    (void)state;
    hd_order_node nodes[] = {{0, 1}, {0, 1}};
    hd_order_edge edges[] = {{0, 1, 0, HD_IN_ORDER}, {1, 0, 0, HD_IN_ORDER}};
    hd_order order;
    assert_int_equal(SORT(nodes, edges, &order), HD_E_COMMIT_ORDER);
    assert_int_equal(order.cycle_length, 2);
}

static void ten_thousand_rows_without_edges_are_one_run(void **state) {
    (void)state;
    enum { ROWS = 10000 };
    hd_order_node *nodes = hd_arena_zero(&arena, ROWS * sizeof *nodes);
    hd_order order;
    assert_int_equal(hd_commit_order_sort(&arena, nodes, ROWS, NULL, 0, &order), HD_OK);
    assert_int_equal(order.run_count, 1);
    for (uint32_t i = 0; i < ROWS; i++) assert_int_equal(order.nodes[i], i);
}

/* ---- against brute force ----------------------------------------------------------------- */

typedef struct graph {
    hd_order_node nodes[MAX];
    hd_order_edge edges[3 * MAX];
    uint32_t node_count, edge_count;
} graph;

static uint64_t seed = 20240611;

static uint32_t draw(uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static graph random_graph(void) {
    graph g = {.node_count = 1 + draw(MAX)};
    uint32_t groups = 1 + draw(3);
    g.edge_count = draw(2 * g.node_count);
    for (uint32_t n = 0; n < g.node_count; n++) {
        uint32_t group = draw(groups);
        g.nodes[n] = (hd_order_node){group, group % 3};
    }
    for (uint32_t i = 0; i < g.edge_count; i++) {
        uint8_t bond = (uint8_t)(draw(2) ? HD_TOGETHER : draw(2));
        g.edges[i] = (hd_order_edge){draw(g.node_count), draw(g.node_count), i, bond};
        if (g.edges[i].before == g.edges[i].after)
            g.edges[i].after = (g.edges[i].after + 1) % g.node_count;
        if (g.node_count == 1) g.edge_count = 0;
    }
    return g;
}

/* Whether writing the set `now` (of one group) as one statement behind `done` satisfies every
 * edge. */
static bool may_follow(const graph *g, unsigned done, unsigned now) {
    for (uint32_t i = 0; i < g->edge_count; i++) {
        const hd_order_edge *e = &g->edges[i];
        if (!(now & 1u << e->after) || (done & 1u << e->before)) continue;
        bool together =
            e->bond == HD_TOGETHER && g->nodes[e->before].group == g->nodes[e->after].group;
        if (!together || !(now & 1u << e->before)) return false;
    }
    return true;
}

/* Tries every sequence of statements; sets that are reached are remembered. */
static bool some_order_exists(const graph *g) {
    unsigned all = (1u << g->node_count) - 1;
    bool reached[1u << MAX] = {true};
    for (unsigned done = 0; done < all; done++) {
        for (unsigned now = 1; reached[done] && now <= all; now++) {
            int group = -1;
            bool one_group = !(now & done);
            for (uint32_t n = 0; n < g->node_count && one_group; n++) {
                if (!(now & 1u << n)) continue;
                if (group >= 0 && (uint32_t)group != g->nodes[n].group) one_group = false;
                group = (int)g->nodes[n].group;
            }
            if (one_group && may_follow(g, done, now)) reached[done | now] = true;
        }
    }
    return reached[all];
}

static void check_order(const graph *g, const hd_order *order) {
    uint32_t place[MAX], run_of[MAX], next = 0;
    assert_int_equal(order->count, g->node_count);
    for (uint32_t r = 0; r < order->run_count; r++) {
        const hd_order_run *run = &order->runs[r];
        assert_int_equal(run->first, next);
        assert_true(run->count > 0);
        next += run->count;
        for (uint32_t i = 0; i < run->count; i++) {
            uint32_t node = order->nodes[run->first + i];
            place[node] = run->first + i;
            run_of[node] = r;
            assert_int_equal(g->nodes[node].group, g->nodes[order->nodes[run->first]].group);
        }
    }
    assert_int_equal(next, g->node_count);
    for (uint32_t i = 0; i < g->edge_count; i++) {
        const hd_order_edge *e = &g->edges[i];
        bool same_run = run_of[e->before] == run_of[e->after];
        if (same_run && e->bond == HD_TOGETHER && order->runs[run_of[e->before]].whole) continue;
        assert_true(place[e->before] < place[e->after]);
        if (same_run) assert_int_not_equal(e->bond, HD_APART);
    }
}

static void check_cycle(const graph *g, const hd_order *order) {
    bool real = false;
    assert_in_range(order->cycle_length, 1, g->node_count);
    for (uint32_t i = 0; i < order->cycle_length; i++) {
        const hd_order_edge *e = &g->edges[order->cycle[i]];
        assert_int_equal(e->after, g->edges[order->cycle[(i + 1) % order->cycle_length]].before);
        if (e->bond != HD_TOGETHER || g->nodes[e->before].group != g->nodes[e->after].group)
            real = true;
    }
    assert_true(real);
}

static void whenever_an_order_exists_it_is_found(void **state) {
    (void)state;
    enum { GRAPHS = 20000 };
    unsigned sorted = 0, whole = 0;
    for (unsigned i = 0; i < GRAPHS; i++) {
        graph g = random_graph();
        hd_order order;
        hd_arena_reset(&arena);
        hd_error_kind kind =
            hd_commit_order_sort(&arena, g.nodes, g.node_count, g.edges, g.edge_count, &order);
        assert_int_equal(kind, some_order_exists(&g) ? HD_OK : HD_E_COMMIT_ORDER);
        if (kind) {
            check_cycle(&g, &order);
            continue;
        }
        check_order(&g, &order);
        sorted++;
        for (uint32_t r = 0; r < order.run_count; r++) whole += order.runs[r].whole;
    }
    assert_in_range(sorted, GRAPHS / 10, GRAPHS * 9 / 10); /* both answers were seen often */
    assert_in_range(whole, GRAPHS / 100, GRAPHS);
}

/* ---- memory ------------------------------------------------------------------------------ */

static void *no_memory(void *ud, void *ptr, size_t size) {
    (void)ud;
    if (!size) free(ptr);
    return NULL;
}

static void out_of_memory_is_said(void **state) {
    (void)state;
    const hd_allocator none = {no_memory, NULL};
    hd_arena empty;
    hd_order_node node = {0, 0};
    hd_order order;
    hd_arena_init(&empty, &none);
    assert_int_equal(hd_commit_order_sort(&empty, &node, 1, NULL, 0, &order), HD_E_DRIVER);
    hd_arena_free(&empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_sorted),
        cmocka_unit_test(parents_go_first_in_one_run_each),
        cmocka_unit_test(ranks_decide_among_ready_groups),
        cmocka_unit_test(a_tree_in_one_group_is_one_run_parents_first),
        cmocka_unit_test(rows_kept_apart_are_in_runs_of_their_own),
        cmocka_unit_test(a_group_that_can_be_finished_goes_before_one_that_cannot),
        cmocka_unit_test(a_ring_within_one_statement_is_a_whole_run),
        cmocka_unit_test(a_cycle_is_given_in_its_direction),
        cmocka_unit_test(a_ring_in_order_only_is_a_cycle),
        cmocka_unit_test(ten_thousand_rows_without_edges_are_one_run),
        cmocka_unit_test(whenever_an_order_exists_it_is_found),
        cmocka_unit_test(out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
