/* Plan: versions, writes, where keys come from, and the order. The order is found in a loop: edges
 * from constraints, sort, and when the sort meets a cycle, one change to the plan that breaks it
 * and again. A second sort follows when rows refer to keys that only an INSERT tells: such rows
 * wait for a later batch, and every row goes as early as it can, so that there are as many batches
 * as levels of dependency. */
#include <string.h>

#include "flush_parts.h"

#define NONE UINT32_MAX

/* ---- versions ---- */

static int64_t largest_of(const hd_column *column) {
    if (column->type == HD_T_SMALLINT) return INT16_MAX;
    return column->type == HD_T_INTEGER ? INT32_MAX : INT64_MAX;
}

/* A timestamp that is not later than the old one (a coarse or turned back clock) would let a stale
 * writer in. */
static int64_t next_timestamp(int64_t now, const hd_value *old) {
    return old && old->kind == HD_TIMESTAMP && old->as.i >= now ? old->as.i + 1 : now;
}

/* A version that the program gave is a new row's; in a row switch it must not be one that the old
 * row had. */
static bool is_given(const hd_change *change, const hd_value *set, const hd_value *old) {
    if (set->kind == HD_DEFAULT) return false;
    return !change->twin || (set->kind == old->kind && set->as.i > old->as.i);
}

static hd_error_kind set_version(hd_flush *flush, hd_change *change, hd_error *err) {
    const hd_entity *e = change->entity;
    if (e->version < 0 || change->op == HD_DELETE) return HD_OK;
    const hd_column *column = &e->columns[e->version];
    const hd_value *old = change->old ? &change->old[e->version] : NULL;
    hd_value *set = &change->set[e->version];
    if (is_given(change, set, old)) return HD_OK;
    if (old && old->kind == HD_NULL) { /* of a row that was never read: the UPDATE counts it on */
        *set = (hd_value){.kind = HD_DEFAULT};
        return HD_OK;
    }
    if (column->type == HD_T_TIMESTAMP) {
        *set = (hd_value){.kind = HD_TIMESTAMP,
                          .type = HD_T_TIMESTAMP,
                          .as.i = next_timestamp(flush->options.now, old)};
    } else {
        int64_t last = old && old->kind == HD_INT ? old->as.i : 0;
        if (last >= largest_of(column))
            return hd_error_set(err, HD_E_VALIDATION,
                                "%s.%s: the version has reached the largest %s", e->name,
                                column->property, hd_type_name((hd_type)column->type));
        *set = hd_int(last + 1, (hd_type)column->type);
    }
    change->came[e->version] = 1;
    return HD_OK;
}

/* ---- writes ---- */

/* An UPDATE that would set nothing is no statement; it counts as done. A row switch is one always,
 * and its DELETE none. */
static bool writes_anything(const hd_write *w) {
    if (w->op == HD_DELETE) return !w->change->twin;
    if (w->op != HD_UPDATE || hd_write_switches(w)) return true;
    for (uint16_t c = 0; c < w->change->entity->column_count; c++) {
        if (hd_write_sets(w, c)) return true;
    }
    return false;
}

static bool make_writes(hd_flush *flush) {
    flush->writes = hd_arena_alloc(&flush->work, flush->count * sizeof(hd_write));
    flush->by_change = hd_arena_alloc(&flush->work, flush->count * sizeof(uint32_t));
    flush->write_count = 0;
    if (!flush->writes || !flush->by_change) return false;
    for (size_t i = 0; i < flush->count; i++) {
        hd_write *w = &flush->writes[flush->write_count];
        hd_change *change = flush->changes[i];
        *w = (hd_write){.change = change,
                        .op = change->op,
                        .unchecked =
                            (change->flags & (HD_CHANGE_MAY_EXIST | HD_CHANGE_MAY_MISS)) != 0,
                        .key_column = -1};
        if (change->twin && change->op == HD_INSERT) w->op = HD_UPDATE;
        flush->by_change[i] = writes_anything(w) ? flush->write_count++ : NONE;
    }
    return true;
}

/* The only row of a flush can refer to none but itself; it needs its key beforehand. */
static bool refers_to_itself(const hd_write *w) {
    for (uint16_t c = 0; w->op != HD_DELETE && c < w->change->entity->column_count; c++) {
        if (w->change->set[c].kind == HD_PENDING) return true;
    }
    return false;
}

static void choose_key(hd_write *w, bool bare) {
    const hd_entity *e = w->change->entity;
    int missing = -1, count = 0;
    for (uint16_t k = 0; k < e->key_count; k++) {
        if (w->change->set[e->key[k]].kind != HD_DEFAULT) continue;
        missing = e->key[k];
        count++;
    }
    if (!count) return;
    bool can_ask = (e->key_source == HD_KEY_SEQUENCE && missing == e->auto_key) ||
                   (e->key_source == HD_KEY_EXPRESSION && e->columns[missing].default_sql);
    w->key = count == 1 && can_ask && !bare ? HD_KEY_FETCHED : HD_KEY_AWAITED;
    if (w->key == HD_KEY_FETCHED) w->key_column = missing;
}

/* ---- groups ---- */

typedef struct grouping {
    uint32_t *first; /* a write of each group */
    uint32_t *table; /* group numbers, open addressing */
    uint32_t mask, count;
} grouping;

static uint32_t group_of(const hd_flush *flush, grouping *g, uint32_t w) {
    const hd_write *write = &flush->writes[w];
    uint32_t at = (uint32_t)hd_write_likeness(write) & g->mask;
    while (g->table[at] != NONE && !hd_write_alike(write, &flush->writes[g->first[g->table[at]]]))
        at = (at + 1) & g->mask;
    if (g->table[at] == NONE) {
        g->first[g->count] = w;
        g->table[at] = g->count++;
    }
    return g->table[at];
}

static hd_order_node *make_nodes(hd_flush *flush) {
    grouping g = {.mask = 15};
    while (g.mask < flush->write_count * 2) g.mask = g.mask * 2 + 1;
    hd_order_node *nodes = hd_arena_alloc(&flush->work, flush->write_count * sizeof *nodes);
    g.first = hd_arena_alloc(&flush->work, flush->write_count * sizeof(uint32_t));
    g.table = hd_arena_alloc(&flush->work, (g.mask + 1) * sizeof(uint32_t));
    if (!nodes || !g.first || !g.table) return NULL;
    memset(g.table, 0xff, (g.mask + 1) * sizeof(uint32_t));
    for (uint32_t w = 0; w < flush->write_count; w++) {
        const hd_write *write = &flush->writes[w];
        bool same = w && hd_write_alike(write, write - 1); /* the usual case */
        nodes[w].group = same ? nodes[w - 1].group : group_of(flush, &g, w);
        bool mixed = write->whole == HD_RING_MIXED; /* a group has one rank */
        nodes[w].rank = write->wave * 3 + (mixed ? HD_INSERT : write->op);
    }
    return nodes;
}

/* ---- order ---- */

static void drop_edges(const hd_flush *flush, hd_edges *edges) {
    uint32_t kept = 0;
    for (uint32_t i = 0; flush->dropped && i < edges->count; i++) {
        if (!flush->dropped[edges->items[i].label]) edges->items[kept++] = edges->items[i];
    }
    if (flush->dropped) edges->count = kept;
}

static hd_error_kind sort(hd_flush *flush, const hd_edges *edges) {
    hd_order_node *nodes = make_nodes(flush);
    if (!nodes) return HD_E_DRIVER;
    return hd_commit_order_sort(&flush->work, nodes, flush->write_count, edges->items, edges->count,
                                &flush->order);
}

/* Sends rows that need an awaited key to a later batch. True when there are any. */
static bool find_waves(hd_flush *flush, const hd_edges *edges) {
    bool changed = true, any = false;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < edges->count; i++) {
            const hd_write *before = &flush->writes[edges->items[i].before];
            hd_write *after = &flush->writes[edges->items[i].after];
            uint8_t reason = edges->constraints[edges->items[i].label].reason;
            bool waits = before->key == HD_KEY_AWAITED &&
                         (reason == HD_EDGE_AWAITS || reason == HD_EDGE_HALVES);
            if (after->wave >= before->wave + waits) continue;
            after->wave = before->wave + waits;
            changed = any = true;
        }
    }
    return any;
}

/* Who refers to a key that another row takes over cannot be known here; the key is there in the end,
 * so checking waits. */
static bool hands_keys_on(const hd_edges *edges) {
    for (uint32_t i = 0; i < edges->count; i++) {
        const hd_constraint *c = &edges->constraints[edges->items[i].label];
        if (c->reason != HD_EDGE_TAKES || c->unique) continue;
        for (uint16_t k = 0; k < c->entity->key_count; k++) {
            if (c->entity->columns[c->entity->key[k]].flags & HD_COL_REFERENCED) return true;
        }
    }
    return false;
}

static hd_error_kind find_order(hd_flush *flush, hd_error *err) {
    hd_edges edges;
    hd_error_kind kind;
    bool looked = false, parked;
    flush->dropped = NULL;
    flush->spares = NULL;
    flush->deferred = flush->roomy = false;
    if (hd_flush_is_plain(flush))
        return hd_flush_order_plainly(flush) ? HD_OK : hd_error_memory(err);
    for (;;) {
        kind = hd_constraints_edges(&flush->work, flush->options.dialect, flush->writes,
                                    flush->write_count, flush->by_change, &edges);
        if (kind) return hd_error_memory(err);
        drop_edges(flush, &edges);
        if (!looked) {
            looked = true;
            flush->deferred = hands_keys_on(&edges);
            if (!hd_flush_park_chains(flush, &edges, &parked)) return hd_error_memory(err);
            if (parked) continue;
        }
        kind = sort(flush, &edges);
        if (kind != HD_E_COMMIT_ORDER) break;
        if (!hd_flush_break_cycle(flush, &edges, &flush->order, err)) return err->kind;
    }
    if (!kind && find_waves(flush, &edges)) kind = sort(flush, &edges);
    return kind ? hd_error_memory(err) : HD_OK;
}

hd_error_kind hd_flush_arrange(hd_flush *flush, hd_error *err) {
    hd_arena_reset(&flush->work);
    flush->next_run = 0;
    flush->request_count = 0;
    flush->batch = (hd_batch){0};
    flush->parts = NULL;
    flush->statement_capacity = 0;
    if (!make_writes(flush)) return hd_error_memory(err);
    flush->bare = flush->write_count == 1 && !refers_to_itself(&flush->writes[0]);
    for (uint32_t w = 0; w < flush->write_count; w++) {
        if (flush->writes[w].op == HD_INSERT) choose_key(&flush->writes[w], flush->bare);
    }
    hd_error_kind kind = find_order(flush, err);
    if (flush->write_count != 1)
        flush->bare = false; /* a row that refers to itself may have become two */
    return kind;
}

hd_error_kind hd_flush_plan(hd_flush *flush, hd_error *err) {
    hd_error_clear(err);
    hd_arena_reset(&flush->work);
    if (!hd_flush_link_twins(flush)) return hd_error_memory(err);
    for (size_t i = 0; i < flush->count; i++) {
        hd_error_kind kind = set_version(flush, flush->changes[i], err);
        if (kind) return kind;
    }
    hd_error_kind kind = hd_flush_arrange(flush, err);
    if (kind == HD_E_COMMIT_ORDER && hd_flush_may_unlink_twins(flush)) {
        hd_flush_unlink_twins(flush);
        hd_error_clear(err);
        kind = hd_flush_arrange(flush, err);
    }
    if (!kind) flush->stage = HD_FLUSH_PLANNED;
    return kind;
}
