/* Refusal: commit_order in words, before any statement. The message names the rows of the cycle,
 * by their keys where these are numbers or uuids, the constraints between them, and for each kind
 * of constraint what would make an order. Keys that are texts stand in the detail only: they may be
 * anybody's data. */
#include "base/buffer.h"
#include "flush_parts.h"

enum { SHOWN = 6 };

/* ---- pieces ---- */

static bool is_plain(const hd_value *v) {
    return v->kind == HD_INT || v->kind == HD_UUID;
}

static void put_key_value(hd_buffer *out, const hd_value *v) {
    if (v->kind == HD_INT)
        hd_buffer_int(out, v->as.i);
    else if (hd_has_bytes(v) && v->kind != HD_BLOB)
        hd_buffer_add(out, v->as.p, v->len);
    else
        hd_buffer_str(out, v->kind >= HD_PENDING ? "new" : "?");
}

/* "update of Seat#1,2"; without the key where it is new, or not to be seen. */
static void put_row(hd_buffer *out, const hd_write *w, bool all) {
    static const char *const verbs[] = {"delete", "update", "insert"};
    const hd_change *change = w->change;
    const hd_entity *e = change->entity;
    const hd_value *row = change->old ? change->old : change->set;
    hd_buffer_fmt(out, "%s of %s", verbs[w->op], e->name);
    for (uint16_t k = 0; k < e->key_count; k++) {
        if (!all && !is_plain(&row[e->key[k]])) return;
    }
    for (uint16_t k = 0; k < e->key_count; k++) {
        hd_buffer_char(out, k ? ',' : '#');
        put_key_value(out, &row[e->key[k]]);
    }
}

static void put_columns(hd_buffer *out, const hd_entity *e, const uint16_t *columns,
                        uint16_t count) {
    hd_buffer_str(out, e->name);
    for (uint16_t i = 0; i < count; i++) {
        hd_buffer_char(out, i ? ',' : '.');
        hd_buffer_add(out, e->columns[columns[i]].property, e->columns[columns[i]].property_len);
    }
}

static void put_constraint(hd_buffer *out, const hd_constraint *c) {
    if (!c->entity) {
        hd_buffer_str(out, "the same row");
    } else if (c->foreign_key) {
        hd_buffer_str(out, "foreign key ");
        put_columns(out, c->entity, c->foreign_key->columns, c->foreign_key->count);
    } else if (c->unique) {
        hd_buffer_str(out, "unique ");
        put_columns(out, c->entity, c->unique->columns, c->unique->count);
    } else {
        hd_buffer_str(out, "primary key ");
        put_columns(out, c->entity, c->entity->key, c->entity->key_count);
    }
}

/* ---- sentences ---- */

/* "update of A#1 waits for update of A#2 (unique A.code), which waits for ..." */
static void put_cycle(hd_buffer *out, const hd_flush *flush, const hd_edges *edges,
                      const hd_order *order, bool all) {
    uint32_t length = order->cycle_length;
    for (uint32_t i = 0; i < length && i < SHOWN; i++) { /* from what waits to what it waits for */
        const hd_order_edge *edge = &edges->items[order->cycle[length - 1 - i]];
        if (!i) put_row(out, &flush->writes[edge->after], all);
        hd_buffer_str(out, i ? ", which waits for " : " waits for ");
        put_row(out, &flush->writes[edge->before], all);
        hd_buffer_str(out, " (");
        put_constraint(out, &edges->constraints[edge->label]);
        hd_buffer_char(out, ')');
    }
    if (length > SHOWN) hd_buffer_str(out, ", ...");
}

/* What to do about the first constraint of each kind. */
static void put_remedies(hd_buffer *out, const hd_edges *edges, const hd_order *order) {
    const hd_constraint *taken = NULL, *referred = NULL;
    for (uint32_t i = 0; i < order->cycle_length; i++) {
        const hd_constraint *c = &edges->constraints[edges->items[order->cycle[i]].label];
        if (c->reason == HD_EDGE_TAKES && !taken) taken = c;
        if (c->foreign_key && !referred) referred = c;
    }
    if (taken) {
        hd_buffer_str(out, "; no column of ");
        put_constraint(out, taken);
        hd_buffer_str(out, " has a value to spare: make one of them nullable, or write the new"
                           " value of one of these rows in a flush of its own");
    }
    if (referred) {
        hd_buffer_str(out, taken ? "; or make " : "; make ");
        put_columns(out, referred->entity, referred->foreign_key->columns,
                    referred->foreign_key->count);
        hd_buffer_str(out, " nullable, or its foreign key deferrable");
    }
}

void hd_flush_refuse(const hd_flush *flush, const hd_edges *edges, const hd_order *order,
                     hd_error *err) {
    hd_buffer words, rows;
    hd_buffer_init(&words, flush->mem);
    hd_buffer_init(&rows, flush->mem);
    put_cycle(&words, flush, edges, order, false);
    put_remedies(&words, edges, order);
    put_cycle(&rows, flush, edges, order, true);
    hd_error_set(err, HD_E_COMMIT_ORDER, "no order of statements satisfies the constraints: %s",
                 hd_buffer_text(&words));
    hd_error_text(err, &err->detail, rows.data, rows.len);
    hd_buffer_free(&words);
    hd_buffer_free(&rows);
}
