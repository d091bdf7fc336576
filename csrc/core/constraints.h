/* Constraints: which write has to come before which, by the foreign keys and unique keys of the
 * metadata. Edges are found by value (hash tables over the flush's rows only) and by pending
 * reference, never by looking into the database. */
#ifndef HD_CONSTRAINTS_H
#define HD_CONSTRAINTS_H

#include "base/arena.h"
#include "commit_order.h"
#include "driver.h"
#include "write.h"

typedef enum hd_edge_reason {
    HD_EDGE_REFERS = 0, /* a row is written before those that refer to it */
    HD_EDGE_AWAITS,     /* the same, and its key is known only when it has been written */
    HD_EDGE_LEAVES,     /* what refers to a row goes (or turns away) before the row goes */
    HD_EDGE_TURNS,      /* what refers to a row turns away before the row's key changes */
    HD_EDGE_TAKES,      /* a unique value is given up before it is taken */
    HD_EDGE_HALVES,     /* the writes of one change */
    HD_EDGE_FOLLOWS     /* inserts of pairs go in call order */
} hd_edge_reason;

/* What a label of an edge stands for. */
typedef struct hd_constraint {
    uint8_t reason;                    /* hd_edge_reason */
    const hd_entity *entity;           /* that declares it; NULL for HALVES and FOLLOWS */
    const hd_foreign_key *foreign_key; /* REFERS, AWAITS, LEAVES, TURNS */
    const hd_unique *unique;           /* TAKES; NULL is the primary key */
} hd_constraint;

typedef struct hd_edges {
    hd_order_edge *items; /* nodes are write indexes */
    uint32_t count;
    hd_constraint *constraints; /* by label; the same for the same entities in the same order */
    uint32_t constraint_count;
} hd_edges;

/* HD_OK or HD_E_DRIVER (out of memory). by_change[change->index] is the index of the change's
 * first write, UINT32_MAX when it has none. Everything is from `arena`. */
hd_error_kind hd_constraints_edges(hd_arena *arena, const hd_dialect *dialect,
                                   const hd_write *writes, uint32_t count,
                                   const uint32_t *by_change, hd_edges *out);

#endif
