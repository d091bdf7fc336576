/* A write: one row of one statement. Most changes are one write. A change whose foreign key closes
 * a cycle is written twice, first with NULL in the `held` columns, later once more with their
 * values. A row whose unique values go round is written twice too: first it is parked, its
 * `parking` columns at spare values and nothing else changed, then the change itself is made. */
#ifndef HD_WRITE_H
#define HD_WRITE_H

#include "change.h"

/* Where an inserted row's key comes from. */
typedef enum hd_write_key {
    HD_KEY_KNOWN = 0, /* in the row */
    HD_KEY_FETCHED,   /* from the keys batch, before the body */
    HD_KEY_AWAITED    /* from the INSERT itself */
} hd_write_key;

/* Where a parked row's column stands meanwhile. */
typedef enum hd_spare_kind {
    HD_SPARE_NONE = 0, /* where it was */
    HD_SPARE_VALUE,    /* at a value that is chosen here */
    HD_SPARE_BELOW     /* below all others of its table: the statement finds the value */
} hd_spare_kind;

typedef struct hd_parking {
    uint8_t *how;     /* by column: hd_spare_kind */
    hd_value *values; /* by column: of HD_SPARE_VALUE; HD_DEFAULT where it is not known */
} hd_parking;

/* Rows that one statement has to write, whatever their tables. */
typedef enum hd_write_ring {
    HD_RING_NONE = 0,
    HD_RING_DELETES, /* all of them go */
    HD_RING_MIXED
} hd_write_ring;

typedef struct hd_write {
    hd_change *change;
    uint8_t op;     /* hd_change_op of the statement */
    uint8_t key;    /* hd_write_key */
    bool parks;     /* the first write of its change: an UPDATE to spare values */
    bool later;     /* the second write of its change: an UPDATE of the held columns */
    uint8_t whole;  /* hd_write_ring */
    bool unchecked; /* its row may be there (INSERT) or gone already, by what the change says or by
                       a declared rule (I6) */
    int key_column; /* the column whose value is fetched, -1 */
    uint8_t *held;  /* per column, shared by both writes; NULL: nothing is held */
    hd_parking *parking; /* shared by both writes; NULL: the row is not parked */
    uint32_t wave;       /* body batch, from 0: rows that refer to awaited keys go later */
} hd_write;

/* A row switch: the new row is written over the old one, whose key it has. */
static inline bool hd_write_switches(const hd_write *w) {
    return w->op == HD_UPDATE && w->change->twin && !w->later && !w->parks;
}

/* True when the column of the row is, or has been, parked. */
static inline bool hd_write_parked(const hd_write *w, uint16_t column) {
    return w->parking && w->parking->how[column] != HD_SPARE_NONE;
}

/* True when the statement gives this column a value. */
static inline bool hd_write_sets(const hd_write *w, uint16_t column) {
    uint16_t flags = w->change->entity->columns[column].flags;
    if (w->op == HD_DELETE || (flags & HD_COL_GENERATED)) return false;
    if (w->later) return w->held[column] != 0;
    if (w->parks) return hd_write_parked(w, column);
    if (hd_write_switches(w) && (flags & HD_COL_PRIMARY)) return hd_write_parked(w, column);
    if (w->change->set[column].kind != HD_DEFAULT) return true;
    if (hd_write_parked(w, column) && !w->change->twin) return true; /* back to where it was */
    return w->key == HD_KEY_FETCHED && w->key_column == (int)column;
}

/* True when a row switch gives this column its declared default, as the new row leaves it out. */
static inline bool hd_write_resets(const hd_write *w, uint16_t column) {
    const unsigned kept = HD_COL_PRIMARY | HD_COL_AUTO_KEY | HD_COL_GENERATED | HD_COL_VERSION;
    return hd_write_switches(w) && w->change->set[column].kind == HD_DEFAULT &&
           !(w->change->entity->columns[column].flags & kept);
}

/* True when nobody knows the version that the row has: the database counts it on. */
static inline bool hd_write_counts(const hd_write *w) {
    int version = w->change->entity->version;
    return version >= 0 && w->op == HD_UPDATE && !w->later && !w->parks &&
           w->change->set[version].kind == HD_DEFAULT && w->change->old[version].kind == HD_NULL;
}

/* What the database is to evaluate for this column; NULL: it gets a value. */
static inline const hd_expression *hd_write_expression(const hd_write *w, uint16_t column) {
    bool any = w->op != HD_DELETE && !w->later && !w->parks && w->change->expressions;
    return any ? w->change->expressions[column] : NULL;
}

/* True when the row has an expression: it is a statement, or an execution, of its own. */
static inline bool hd_write_is_expressed(const hd_write *w) {
    return w->op != HD_DELETE && !w->later && !w->parks && w->change->expressions;
}

static inline const hd_value *hd_write_null(void) {
    static const hd_value value;
    return &value;
}

/* What the statement writes into a column that it sets. */
static inline const hd_value *hd_write_new(const hd_write *w, uint16_t column) {
    const hd_change *c = w->change;
    if (w->parks) return &w->parking->values[column];
    if (!w->later && w->held && w->held[column]) return hd_write_null();
    bool back =
        c->set[column].kind == HD_DEFAULT && !w->later && hd_write_parked(w, column) && !c->twin;
    return back ? &c->old[column] : &c->set[column];
}

/* What the column holds before the statement (UPDATE, DELETE). */
static inline const hd_value *hd_write_old(const hd_write *w, uint16_t column) {
    const hd_change *c = w->change;
    if (!w->later && !w->parks && hd_write_parked(w, column)) return &w->parking->values[column];
    if (!w->later) return &c->old[column];
    if (w->held[column]) return hd_write_null();
    bool old = c->set[column].kind == HD_DEFAULT && c->old && !c->twin;
    return old ? &c->old[column] : &c->set[column];
}

/* What the column holds after it; HD_DEFAULT: the database decides. */
static inline const hd_value *hd_write_after(const hd_write *w, uint16_t column) {
    if (w->op == HD_INSERT || hd_write_sets(w, column) || hd_write_resets(w, column))
        return hd_write_new(w, column);
    return hd_write_old(w, column);
}

/* True when the version is part of the statement's WHERE: of the first UPDATE of a row, or of its
 * DELETE. */
static inline bool hd_write_versioned(const hd_write *w) {
    int version = w->change->entity->version;
    if (version < 0 || w->op == HD_INSERT || w->later) return false;
    bool checks = w->change->op == HD_DELETE ? !w->parks : w->parks || !w->parking;
    return checks && w->change->old[version].kind != HD_NULL;
}

#endif
