/* Breaking cycles. The sort hands over one cycle as a list of edges; what breaks it, in this
 * order:
 *
 *   an edge that a declared rule makes harmless (on_delete "set null"; on_delete "cascade", whose
 *   rows may then be gone already: I6);
 *   a nullable foreign key, written as NULL first and with its value once both rows are there;
 *   a foreign key whose check the database can defer to the end of the body;
 *   a unique value, given up for a spare one before all else (flush_park.c);
 *   an edge that only may be one: a partial unique key whose condition is not known here;
 *   one statement for all rows of the cycle, where only foreign keys tie them (flush_whole.c).
 *
 * Each of these is done for every row that the constraint concerns, not for the one row of this
 * cycle: the next sort then meets another constraint or none, and the statements stay few. What is
 * left (a unique key without a spare value, foreign keys that the database checks at once around
 * such a key) is commit_order, in words, before any statement. */
#include <string.h>

#include "flush_parts.h"

static const hd_constraint *constraint_of(const hd_edges *edges, const hd_order_edge *edge) {
    return &edges->constraints[edge->label];
}

/* ---- ways out ---- */

static bool is_harmless(const hd_constraint *c) {
    if (c->reason != HD_EDGE_LEAVES) return false;
    return c->foreign_key->on_delete == HD_RULE_CASCADE ||
           c->foreign_key->on_delete == HD_RULE_SET_NULL;
}

static bool can_hold(const hd_flush *flush, const hd_constraint *c, const hd_order_edge *edge) {
    if (c->reason != HD_EDGE_REFERS && c->reason != HD_EDGE_AWAITS) return false;
    return c->foreign_key->nullable && !flush->writes[edge->after].later;
}

/* Rules act at once, whatever is deferred. */
static bool can_defer(const hd_constraint *c) {
    if (!c->foreign_key || !c->foreign_key->deferrable) return false;
    if (c->reason == HD_EDGE_REFERS) return true;
    if (c->reason == HD_EDGE_LEAVES) return c->foreign_key->on_delete == HD_RULE_NONE;
    return c->reason == HD_EDGE_TURNS && c->foreign_key->on_update == HD_RULE_NONE;
}

static bool is_guess(const hd_constraint *c) {
    return c->reason == HD_EDGE_TAKES && c->unique && c->unique->conditional;
}

static bool drop(hd_flush *flush, const hd_edges *edges, uint32_t label) {
    if (!flush->dropped) flush->dropped = hd_arena_zero(&flush->work, edges->constraint_count);
    if (!flush->dropped) return false;
    flush->dropped[label] = 1;
    const hd_constraint *c = &edges->constraints[label];
    if (c->reason != HD_EDGE_LEAVES || c->foreign_key->on_delete != HD_RULE_CASCADE) return true;
    for (uint32_t i = 0; i < edges->count; i++) {
        hd_write *w = &flush->writes[edges->items[i].before];
        if (edges->items[i].label == label && w->op == HD_DELETE) w->unchecked = true;
    }
    return true;
}

bool hd_flush_make_room(hd_flush *flush) {
    if (flush->roomy) return true;
    hd_write *writes = hd_arena_alloc(&flush->work, 3 * flush->count * sizeof *writes);
    if (!writes) return false;
    memcpy(writes, flush->writes, flush->write_count * sizeof *writes);
    flush->writes = writes;
    return flush->roomy = true;
}

static bool hold(hd_flush *flush, const hd_edges *edges, uint32_t label) {
    const hd_foreign_key *fk = edges->constraints[label].foreign_key;
    if (!hd_flush_make_room(flush)) return false;
    for (uint32_t i = 0; i < edges->count; i++) {
        hd_write *w = &flush->writes[edges->items[i].after];
        if (edges->items[i].label != label || w->later) continue;
        if (!w->held) {
            w->held = hd_arena_zero(&flush->work, w->change->entity->column_count);
            if (!w->held) return false;
            flush->writes[flush->write_count++] = (hd_write){.change = w->change,
                                                             .op = HD_UPDATE,
                                                             .later = true,
                                                             .key_column = -1,
                                                             .held = w->held};
        }
        for (uint16_t c = 0; c < fk->count; c++) w->held[fk->columns[c]] = 1;
    }
    return true;
}

/* ---- choice ---- */

typedef enum way { HARMLESS, HOLD, DEFER, PARK, GUESS, WAYS } way;

static bool is_open(hd_flush *flush, const hd_edges *edges, const hd_order_edge *edge, way which) {
    const hd_constraint *c = constraint_of(edges, edge);
    switch (which) {
    case HARMLESS:
        return is_harmless(c);
    case HOLD:
        return can_hold(flush, c, edge);
    case DEFER:
        return can_defer(c);
    case PARK:
        return hd_flush_can_park(flush, edges, edge);
    default:
        return is_guess(c);
    }
}

static bool take_way(hd_flush *flush, const hd_edges *edges, uint32_t label, way which) {
    if (which == HOLD) return hold(flush, edges, label);
    if (which == PARK) return hd_flush_park(flush, edges, label);
    if (which == DEFER) flush->deferred = true;
    return drop(flush, edges, label);
}

bool hd_flush_break_cycle(hd_flush *flush, const hd_edges *edges, const hd_order *order,
                          hd_error *err) {
    for (way which = HARMLESS; which < WAYS; which++) {
        for (uint32_t i = 0; i < order->cycle_length; i++) {
            const hd_order_edge *edge = &edges->items[order->cycle[i]];
            if (!is_open(flush, edges, edge, which)) continue;
            if (take_way(flush, edges, edge->label, which)) return true;
            hd_error_memory(err);
            return false;
        }
    }
    if (hd_flush_can_be_whole(flush, edges, order)) {
        if (hd_flush_make_whole(flush, edges, order)) return true;
        hd_error_memory(err);
        return false;
    }
    hd_flush_refuse(flush, edges, order, err);
    return false;
}
