/* Shape of writes: what rows have in common that can be one statement, and how the rows of its
 * result are read.
 *
 * Parameters of a row are its `slots`, in this order: the columns that are written, then (UPDATE,
 * DELETE) the key and the version as they were. HD_FORM_ARRAYS takes one array for each slot, the
 * other forms take row after row. A slot with an expression takes the parameters of that, and its
 * rows go one by one. */
#ifndef HD_WRITE_SHAPE_H
#define HD_WRITE_SHAPE_H

#include "base/arena.h"
#include "driver.h"
#include "write.h"

typedef enum hd_write_form {
    HD_FORM_ROW,    /* one row */
    HD_FORM_VALUES, /* n rows as a VALUES list */
    HD_FORM_ARRAYS, /* any number of rows as arrays (unnest) */
    HD_FORM_WALK    /* any number of updates, met on the way along their keys (hd_statement.walk) */
} hd_write_form;

/* How a result row says which row of the statement it belongs to. */
typedef enum hd_write_match {
    HD_MATCH_NONE = 0,  /* no rows come back */
    HD_MATCH_EXECUTION, /* one row for each execution: the back columns */
    HD_MATCH_ORDINAL,   /* the row's number from 1, then the back columns */
    HD_MATCH_KEY        /* the key columns, then the back columns */
} hd_write_match;

typedef struct hd_write_shape {
    const hd_entity *entity;
    uint8_t op;     /* hd_change_op */
    bool versioned; /* the version is part of the WHERE */
    bool guarded;   /* bulk_unnest: the statement itself fails when it reaches fewer rows */
    bool counts;    /* the database counts the version on */
    bool may_exist; /* INSERT: rows that are there already stay as they are */
    /* INSERT: some keys came from the keys batch (a trigger may choose others). The caller's to
     * set, as it may differ among rows that are alike. */
    bool keys_fetched;
    bool parks;          /* an UPDATE to spare values */
    bool reads;          /* writes nothing: the back columns of rows by their keys */
    bool unconfined;     /* these may not be what a CHECK takes (SQLite) */
    bool has_array_form; /* every slot's type can be unnested */
    bool writes_auto_key;
    uint16_t *slots;    /* columns */
    uint16_t set_count; /* slots[0 .. set_count) are written, the rest is WHERE */
    uint16_t slot_count;
    uint32_t param_count;                    /* of one row */
    const hd_expression *const *expressions; /* per column; NULL: no slot has one */
    uint16_t *resets; /* columns that get their declared default (row switch) */
    uint16_t reset_count;
    const uint8_t *how; /* per column: hd_spare_kind of rows that are parked; NULL: of none */
    uint16_t *back;     /* columns that the database fills in */
    uint16_t back_count;
} hd_write_shape;

/* Two writes that one statement may hold: equal exactly when their shapes are, or rows of a ring,
 * and never across waves. */
bool hd_write_alike(const hd_write *a, const hd_write *b);
bool hd_write_same_shape(const hd_write *a, const hd_write *b);
uint64_t hd_write_likeness(const hd_write *write); /* hash; equal for writes that are alike */

/* The shape of the group that `write` stands for. False: out of memory. */
bool hd_write_describe(hd_arena *arena, const hd_write *write, bool guarded, hd_write_shape *out);
/* True when the slot's values are the column's as they were before the statement. */
static inline bool hd_write_slot_is_old(const hd_write_shape *shape, uint32_t slot) {
    return slot >= shape->set_count;
}
/* The expression of a slot, NULL: its values are parameters. */
static inline const hd_expression *hd_write_slot_expression(const hd_write_shape *shape,
                                                            uint32_t slot) {
    bool any = shape->expressions && !hd_write_slot_is_old(shape, slot);
    return any ? shape->expressions[shape->slots[slot]] : NULL;
}
hd_type hd_write_param_type(const hd_column *column); /* what a value of the column is bound as */
/* True when the text ends with a guard, whose column is an int that is never seen. */
bool hd_write_has_guard(const hd_dialect *dialect, const hd_write_shape *shape, hd_write_form form);
hd_write_match hd_write_matching(const hd_dialect *dialect, const hd_write_shape *shape,
                                 hd_write_form form);
/* hd_type of each result column; returns their number. `types` has room for key_count + back_count
 * + 2. */
uint32_t hd_write_result_types(const hd_dialect *dialect, const hd_write_shape *shape,
                               hd_write_form form, uint8_t *types);

#endif
