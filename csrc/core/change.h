/* Change set: what one flush will write, as rows of old and new values. Filled by the host's
 * gather step, read by the planner. All values and bytes live in the flush's arena. */
#ifndef HD_CHANGE_H
#define HD_CHANGE_H

#include "entity.h"
#include "session.h"

typedef enum hd_change_op { HD_DELETE = 0, HD_UPDATE = 1, HD_INSERT = 2 } hd_change_op;

/* A pair of a many-to-many may be there already, or gone already: neither is a fault. */
enum {
    HD_CHANGE_MAY_EXIST = 1 << 0, /* INSERT ... ON CONFLICT DO NOTHING; written in call order */
    HD_CHANGE_MAY_MISS = 1 << 1,  /* DELETE whose rows are not counted */
    HD_CHANGE_SETTLED = 1 << 2    /* the host's: what is not written has its normal form */
};

/* SQL of the program's as a value: "visits + ", a parameter, "". */
typedef struct hd_expression {
    const hd_value *texts;  /* count + 1 pieces (HD_TEXT); a parameter stands between each two */
    const hd_value *params; /* none is HD_PENDING */
    uint32_t count;
} hd_expression;

typedef struct hd_change hd_change;

struct hd_change {
    hd_entity *entity;
    uint32_t slot;  /* the host's row number in its shelf; HD_NO_SLOT: a row without instance */
    uint8_t op;     /* hd_change_op */
    uint8_t flags;  /* HD_CHANGE_* */
    uint32_t index; /* in the change set */
    /* Arrays of entity->column_count values. `old`: the snapshot; for UPDATE and DELETE holds at
     * least key, version and what of foreign and unique keys the host has loaded, HD_DEFAULT where
     * it has not; NULL for INSERT.
     * `set`: what is written: HD_DEFAULT where the column is left out (INSERT) or unchanged
     * (UPDATE), a reference to a row without a key as HD_PENDING, HD_EXPRESSION where
     * `expressions` has what the database is to evaluate; NULL for DELETE. After the flush's body `set` also holds keys, versions and values that the database gave (see `came`).
     */
    hd_value *old, *set;
    hd_change *twin; /* row switch: the DELETE and the INSERT of one key, which together are one
                        UPDATE; the INSERT's `old` is then the DELETE's. NULL otherwise */
    const hd_expression **expressions; /* per column; NULL: none in this row */
    uint8_t *came;   /* per column: 1 when the value of `set` came from the database or the core */
    uint8_t reached; /* the row was touched (set by the body) */
};

#endif
