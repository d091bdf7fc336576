/* Breaking cycles. The sort hands over one cycle as a list of edges; what breaks it, in this
 * order:
 *
 *   an edge that only may be one (a partial unique key whose condition this row may not meet), or
 *   that a declared rule makes harmless (on_delete "set null"; on_delete "cascade", whose rows may
 *   then be gone already: I6);
 *   a nullable foreign key, written as NULL first and with its value once both rows are there;
 *   a foreign key whose check the database can defer to the end of the body.
 *
 * Each of these is done for every row that the constraint concerns, not for the one row of this
 * cycle: the next sort then meets another constraint or none, and the statements stay few. What is
 * left (unique values that go round, foreign keys that are NOT NULL and immediate) is
 * commit_order, in words, before any statement. */
#include <string.h>

#include "base/buffer.h"
#include "flush_parts.h"

static const hd_constraint *constraint_of(const hd_edges *edges, const hd_order_edge *edge) {
    return &edges->constraints[edge->label];
}

/* ---- ways out ---- */

static bool may_be_dropped(const hd_constraint *c) {
    if (c->reason == HD_EDGE_TAKES) return c->unique && c->unique->conditional;
    if (c->reason != HD_EDGE_LEAVES) return false;
    return c->foreign_key->on_delete == HD_RULE_CASCADE ||
           c->foreign_key->on_delete == HD_RULE_SET_NULL;
}

static bool can_hold(const hd_flush *flush, const hd_constraint *c, const hd_order_edge *edge) {
    if (c->reason != HD_EDGE_REFERS && c->reason != HD_EDGE_AWAITS) return false;
    return c->foreign_key->nullable && !flush->writes[edge->after].later;
}

static bool can_defer(const hd_constraint *c) {
    if (c->reason != HD_EDGE_REFERS && c->reason != HD_EDGE_LEAVES) return false;
    return c->foreign_key->deferrable &&
           (c->reason == HD_EDGE_REFERS || c->foreign_key->on_delete == HD_RULE_NONE);
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

/* Room for a second write of every change. */
static bool make_room(hd_flush *flush) {
    if (flush->write_count > flush->count)
        return true; /* some are split already: the room is there */
    hd_write *writes = hd_arena_alloc(&flush->work, 2 * flush->count * sizeof *writes);
    if (!writes) return false;
    memcpy(writes, flush->writes, flush->write_count * sizeof *writes);
    flush->writes = writes;
    return true;
}

static bool hold(hd_flush *flush, const hd_edges *edges, uint32_t label) {
    const hd_foreign_key *fk = edges->constraints[label].foreign_key;
    if (!make_room(flush)) return false;
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

/* ---- words ---- */

static void put_key_values(hd_buffer *out, const hd_change *change) {
    const hd_entity *e = change->entity;
    for (uint16_t k = 0; k < e->key_count; k++) {
        const hd_value *v = change->old ? &change->old[e->key[k]] : &change->set[e->key[k]];
        if (k) hd_buffer_str(out, ", ");
        if (v->kind == HD_INT)
            hd_buffer_int(out, v->as.i);
        else if (hd_has_bytes(v) && v->kind != HD_BLOB)
            hd_buffer_add(out, v->as.p, v->len);
        else
            hd_buffer_str(out, v->kind == HD_DEFAULT || v->kind == HD_PENDING ? "new" : "?");
    }
}

static void put_constraint(hd_buffer *out, const hd_constraint *c) {
    const uint16_t *columns;
    uint16_t count;
    if (c->reason == HD_EDGE_HALVES) {
        hd_buffer_str(out, "the same row");
        return;
    }
    if (c->reason == HD_EDGE_TAKES) {
        hd_buffer_str(out, c->unique ? "unique " : "primary key ");
        columns = c->unique ? c->unique->columns : c->entity->key;
        count = c->unique ? c->unique->count : c->entity->key_count;
    } else {
        hd_buffer_str(out, "foreign key ");
        columns = c->foreign_key->columns;
        count = c->foreign_key->count;
    }
    hd_buffer_str(out, c->entity->name);
    for (uint16_t i = 0; i < count; i++) {
        const hd_column *column = &c->entity->columns[columns[i]];
        hd_buffer_char(out, i ? ',' : '.');
        hd_buffer_add(out, column->property, column->property_len);
    }
}

/* "insert of A waits for update of B (unique B.code), which waits for ..."; `keys`: rows with
 * their keys instead. */
static void put_cycle(hd_buffer *out, const hd_flush *flush, const hd_edges *edges,
                      const hd_order *order, bool keys) {
    enum { SHOWN = 6 };
    static const char *const verbs[] = {"delete", "update", "insert"};
    for (uint32_t i = 0; i < order->cycle_length && i < SHOWN;
         i++) { /* backwards: from what waits to what it waits for */
        const hd_order_edge *edge = &edges->items[order->cycle[order->cycle_length - 1 - i]];
        const hd_write *after = &flush->writes[edge->after], *before = &flush->writes[edge->before];
        if (keys) {
            hd_buffer_fmt(out, "%s%s %s#", i ? ", " : "", verbs[after->op],
                          after->change->entity->name);
            put_key_values(out, after->change);
            continue;
        }
        if (i)
            hd_buffer_str(out, ", which waits for ");
        else
            hd_buffer_fmt(out, "%s of %s waits for ", verbs[after->op],
                          after->change->entity->name);
        hd_buffer_fmt(out, "%s of %s (", verbs[before->op], before->change->entity->name);
        put_constraint(out, constraint_of(edges, edge));
        hd_buffer_char(out, ')');
    }
    if (order->cycle_length > SHOWN) hd_buffer_str(out, ", ...");
}

static void word_cycle(const hd_flush *flush, const hd_edges *edges, const hd_order *order,
                       hd_error *err) {
    hd_buffer words, keys;
    bool unique = false;
    for (uint32_t i = 0; i < order->cycle_length; i++) {
        if (constraint_of(edges, &edges->items[order->cycle[i]])->reason == HD_EDGE_TAKES)
            unique = true;
    }
    hd_buffer_init(&words, flush->mem);
    hd_buffer_init(&keys, flush->mem);
    put_cycle(&words, flush, edges, order, false);
    put_cycle(&keys, flush, edges, order, true);
    if (unique) {
        hd_error_set(err, HD_E_COMMIT_ORDER,
                     "no order of statements satisfies the constraints: %s; write the new value of"
                     " one of these rows in a flush of its own",
                     hd_buffer_text(&words));
    } else {
        hd_error_set(err, HD_E_COMMIT_ORDER,
                     "no order of statements satisfies the constraints: %s; make one of these"
                     " columns nullable or its constraint deferrable",
                     hd_buffer_text(&words));
    }
    hd_error_text(err, &err->detail, keys.data, keys.len);
    hd_buffer_free(&words);
    hd_buffer_free(&keys);
}

/* ---- choice ---- */

typedef enum way { DROP, HOLD, DEFER, WAYS } way;

static bool is_open(const hd_flush *flush, const hd_constraint *c, const hd_order_edge *edge,
                    way which) {
    if (which == DROP) return may_be_dropped(c);
    return which == HOLD ? can_hold(flush, c, edge) : can_defer(c);
}

bool hd_flush_break_cycle(hd_flush *flush, const hd_edges *edges, const hd_order *order,
                          hd_error *err) {
    for (way which = DROP; which < WAYS; which++) {
        for (uint32_t i = 0; i < order->cycle_length; i++) {
            const hd_order_edge *edge = &edges->items[order->cycle[i]];
            if (!is_open(flush, constraint_of(edges, edge), edge, which)) continue;
            if (which == DEFER) flush->deferred = true;
            bool done =
                which == HOLD ? hold(flush, edges, edge->label) : drop(flush, edges, edge->label);
            if (!done) hd_error_memory(err);
            return done;
        }
    }
    word_cycle(flush, edges, order, err);
    return false;
}
