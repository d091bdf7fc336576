/* Plain flushes: one row, or many of one shape between which no constraint can stand. They need
 * neither edges nor a sort: their order is that of the calls, their run is one. Whatever is in
 * doubt is not plain, and has its order found. */
#include "flush_parts.h"

static bool is_pending(const hd_write *w) {
    for (uint16_t c = 0; w->change->set && c < w->change->entity->column_count; c++) {
        if (w->change->set[c].kind == HD_PENDING) return true;
    }
    return false;
}

static bool has(const uint16_t *columns, uint16_t count, uint16_t column) {
    for (uint16_t i = 0; i < count; i++) {
        if (columns[i] == column) return true;
    }
    return false;
}

/* Whether a row takes or gives up something by this column, or changes what it is a member of. */
static bool is_keyed(const hd_entity *e, uint16_t column) {
    if (e->columns[column].flags & (HD_COL_PRIMARY | HD_COL_REFERENCED)) return true;
    for (uint16_t u = 0; u < e->unique_count; u++) {
        const hd_unique *unique = &e->uniques[u];
        if (has(unique->columns, unique->count, column)) return true;
        for (uint16_t t = 0; t < unique->test_count; t++) {
            if (unique->tests[t].column == column) return true;
        }
    }
    return false;
}

/* New rows only take, deleted ones only give up: what can hold them up then is a reference within
 * the table. */
bool hd_flush_may_meet(const hd_write *w) {
    const hd_entity *e = w->change->entity;
    if (w->op != HD_UPDATE) {
        for (uint16_t k = 0; k < e->foreign_key_count; k++) {
            if (e->foreign_keys[k].target == e) return true;
        }
        return false;
    }
    for (uint16_t c = 0; c < e->column_count; c++) {
        if (hd_write_sets(w, c) && is_keyed(e, c)) return true;
    }
    return false;
}

static bool is_usual(const hd_write *w) {
    const hd_change *change = w->change;
    return !change->twin && !change->expressions && !w->unchecked;
}

/* As hd_write_same_shape, for usual rows; what is left to the database is so in all of them. */
static bool is_like(const hd_write *first, const hd_write *w) {
    const hd_change *a = first->change, *b = w->change;
    uint16_t columns = a->entity->column_count;
    if (a->entity != b->entity || first->op != w->op || first->key != w->key ||
        first->key_column != w->key_column || !is_usual(w) ||
        hd_write_versioned(first) != hd_write_versioned(w))
        return false;
    for (uint16_t c = 0; a->set && c < columns; c++) {
        if ((a->set[c].kind == HD_DEFAULT) != (b->set[c].kind == HD_DEFAULT) ||
            b->set[c].kind == HD_PENDING)
            return false;
    }
    return true;
}

bool hd_flush_is_plain(const hd_flush *flush) {
    const hd_write *first = flush->writes;
    if (!flush->write_count || is_pending(first)) return false;
    if (flush->write_count == 1) return true;
    if (!is_usual(first) || hd_flush_may_meet(first)) return false;
    for (uint32_t w = 1; w < flush->write_count; w++) {
        if (!is_like(first, &flush->writes[w])) return false;
    }
    return true;
}

bool hd_flush_order_plainly(hd_flush *flush) {
    hd_order *order = &flush->order;
    *order = (hd_order){.count = flush->write_count, .run_count = 1};
    order->nodes = hd_arena_alloc(&flush->work, flush->write_count * sizeof *order->nodes);
    order->runs = hd_arena_alloc(&flush->work, sizeof *order->runs);
    if (!order->nodes || !order->runs) return false;
    for (uint32_t w = 0; w < flush->write_count; w++) order->nodes[w] = w;
    *order->runs = (hd_order_run){.first = 0, .count = flush->write_count};
    return true;
}
