/* Commit order: sorts rows so that every constraint edge is respected and rows that one statement
 * can write stand together. Knows nodes and edges only, no entity and no SQL (see constraints.h
 * for where edges come from). */
#ifndef HD_COMMIT_ORDER_H
#define HD_COMMIT_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

typedef struct hd_order_node {
    uint32_t group; /* nodes of one group may be one statement; dense numbers from 0 */
    uint32_t rank;  /* lower goes first among ready groups; the same for all nodes of a group */
} hd_order_node;

/* What an edge means for two nodes of one group. Between groups all three mean "before". */
typedef enum hd_order_bond {
    HD_APART = 0, /* not in one run */
    HD_IN_ORDER,  /* one run may hold both, in this order */
    HD_TOGETHER   /* the same, and a statement that writes both at once needs no order at all */
} hd_order_bond;

typedef struct hd_order_edge {
    uint32_t before, after; /* node indexes */
    uint32_t label;         /* the caller's, untouched */
    uint8_t bond;           /* hd_order_bond */
} hd_order_edge;

/* Nodes of one group that follow each other. `whole`: a ring of HD_TOGETHER edges, so the run is
 * valid as one statement only. */
typedef struct hd_order_run {
    uint32_t first, count; /* in hd_order.nodes */
    bool whole;
} hd_order_run;

typedef struct hd_order {
    uint32_t *nodes; /* node indexes in order */
    uint32_t count;  /* = node count when sorted */
    hd_order_run *runs;
    uint32_t run_count;
    /* When HD_E_COMMIT_ORDER: edge indexes; each one's `after` is the next one's `before`. */
    uint32_t *cycle;
    uint32_t cycle_length;
} hd_order;

/* Kahn over groups: of the ready groups the lowest rank goes first, then one that can be finished,
 * then the lowest number; a run goes on as long as its group has ready nodes, in the order in
 * which they became ready (at first: node order). All memory is from `arena`. HD_OK,
 * HD_E_COMMIT_ORDER (cycle filled), HD_E_DRIVER (out of memory). */
hd_error_kind hd_commit_order_sort(hd_arena *arena, const hd_order_node *nodes, uint32_t node_count,
                                   const hd_order_edge *edges, uint32_t edge_count, hd_order *out);

#endif
