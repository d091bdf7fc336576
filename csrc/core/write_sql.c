/* Text of writes. Two families:
 *
 * Plain statements, where the driver counts rows: one row, or (SQLite) a VALUES list of inserts,
 * or a whole DELETE by a list of keys. Guarded ones (PostgreSQL, several rows or COMMIT behind
 * them): rows travel as arrays, or as a VALUES list where a type has no array form, in a CTE
 * `hd_i` whose rows are numbered; the write is the CTE `hd_w`; the SELECT behind them raises when
 * a row was not reached, so that a COMMIT in the same pipeline cannot commit it. The raise is a
 * cast of "heddle_stale:N" to int, over values that no planner can fold: N comes out of a CTE or
 * an aggregate.
 *
 * Rows that bring values back carry their number (the server joins them by key), so nobody relies
 * on the order in which RETURNING gives rows. An INSERT without such values is not numbered:
 * counting is all but free where joining costs half of the insert again; when its keys came from a
 * sequence, the count is of rows that kept the key sent, and otherwise no column is named, so that
 * a role that may only INSERT can. */
#include "write_sql.h"

#include "sql_types.h"

typedef struct writer {
    hd_buffer *out;
    const hd_dialect *dialect;
    const hd_write_shape *shape;
    hd_write_form form;
    uint32_t rows, param; /* param: of the last placeholder */
} writer;

/* ---- pieces ---- */

static const hd_column *column_at(const writer *w, uint16_t column) {
    return &w->shape->entity->columns[column];
}

static const hd_column *slot_column(const writer *w, uint32_t slot) {
    return column_at(w, w->shape->slots[slot]);
}

static void put_name(writer *w, uint16_t column) {
    hd_buffer_ident(w->out, column_at(w, column)->name, column_at(w, column)->name_len);
}

static void put_param(writer *w) {
    hd_buffer_char(w->out, w->dialect->dollar_params ? '$' : '?');
    hd_buffer_int(w->out, ++w->param);
}

/* A scalar parameter for a slot. A cast stands where the context does not give the type. */
static void put_value(writer *w, uint32_t slot, bool always_cast) {
    put_param(w);
    if (w->dialect->dollar_params && (always_cast || slot_column(w, slot)->cast))
        hd_sql_cast(w->out, slot_column(w, slot), "");
}

static void put_array(writer *w, uint32_t slot) {
    put_param(w);
    hd_sql_cast(w->out, slot_column(w, slot), "[]");
}

static void put_arrays(writer *w) {
    hd_buffer_str(w->out, "SELECT * FROM unnest(");
    for (uint32_t s = 0; s < w->shape->slot_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        put_array(w, s);
    }
    hd_buffer_char(w->out, ')');
}

/* "VALUES (..), (..)"; numbered rows end with their number. */
static void put_rows(writer *w, bool numbered) {
    hd_buffer_str(w->out, "VALUES ");
    for (uint32_t r = 0; r < w->rows; r++) {
        hd_buffer_str(w->out, r ? ", (" : "(");
        for (uint32_t s = 0; s < w->shape->slot_count; s++) {
            if (s) hd_buffer_str(w->out, ", ");
            put_value(w, s, numbered);
        }
        if (numbered) {
            hd_buffer_str(w->out, ", ");
            hd_buffer_int(w->out, (long long)r + 1);
        }
        hd_buffer_char(w->out, ')');
    }
}

static void put_back(writer *w, const char *prefix, bool first) {
    for (uint16_t b = 0; b < w->shape->back_count; b++) {
        if (b || !first) hd_buffer_str(w->out, ", ");
        hd_buffer_str(w->out, prefix);
        put_name(w, w->shape->back[b]);
    }
}

static void put_key(writer *w) {
    const hd_entity *e = w->shape->entity;
    for (uint16_t k = 0; k < e->key_count; k++) {
        if (k) hd_buffer_str(w->out, ", ");
        put_name(w, e->key[k]);
    }
}

static bool is_plain(const hd_dialect *dialect, const hd_write_shape *shape, hd_write_form form) {
    if (!dialect->bulk_unnest) return true;
    return form == HD_FORM_ROW && !(shape->guarded && shape->op == HD_INSERT);
}

/* ---- plain statements ---- */

static void put_insert_head(writer *w) {
    hd_buffer_str(w->out, "INSERT INTO ");
    hd_buffer_str(w->out, w->shape->entity->table);
    if (!w->shape->set_count) {
        hd_buffer_str(w->out, " DEFAULT VALUES");
        return;
    }
    hd_buffer_str(w->out, " (");
    for (uint16_t s = 0; s < w->shape->set_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        put_name(w, w->shape->slots[s]);
    }
    hd_buffer_str(w->out, w->dialect->bulk_unnest && w->shape->writes_auto_key
                              ? ") OVERRIDING SYSTEM VALUE "
                              : ") ");
}

static void put_insert_rows(writer *w) {
    put_insert_head(w);
    if (!w->shape->set_count) return;
    if (w->form == HD_FORM_ARRAYS)
        put_arrays(w);
    else
        put_rows(w, false);
}

static void plain_insert(writer *w) {
    put_insert_rows(w);
    if (w->shape->may_exist) hd_buffer_str(w->out, " ON CONFLICT DO NOTHING");
    if (!w->shape->back_count) return;
    hd_buffer_str(w->out, " RETURNING ");
    if (w->form != HD_FORM_ROW) put_key(w);
    put_back(w, "", w->form == HD_FORM_ROW);
}

static void put_where(writer *w) {
    hd_buffer_str(w->out, " WHERE ");
    for (uint32_t s = w->shape->set_count; s < w->shape->slot_count; s++) {
        if (s > w->shape->set_count) hd_buffer_str(w->out, " AND ");
        put_name(w, w->shape->slots[s]);
        hd_buffer_str(w->out, " = ");
        put_value(w, s, false);
    }
}

static void put_slot(writer *w, uint32_t slot) {
    hd_buffer_str(w->out, "hd_i.c");
    hd_buffer_int(w->out, (long long)slot);
}

static void put_default(writer *w, const hd_column *column) {
    if (w->dialect->bulk_unnest) {
        hd_buffer_str(w->out, "DEFAULT");
    } else if (column->default_sql) {
        hd_buffer_char(w->out, '(');
        hd_buffer_str(w->out, column->default_sql);
        hd_buffer_char(w->out, ')');
    } else {
        hd_buffer_str(w->out, "NULL");
    }
}

/* What stands behind SET; `joined`: values come from hd_i. A row switch of a table that is all key
 * changes nothing, but the row has to be there. */
static void put_assignments(writer *w, bool joined) {
    const hd_write_shape *shape = w->shape;
    for (uint16_t s = 0; s < shape->set_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        put_name(w, shape->slots[s]);
        hd_buffer_str(w->out, " = ");
        if (joined)
            put_slot(w, s);
        else
            put_value(w, s, false);
    }
    for (uint16_t r = 0; r < shape->reset_count; r++) {
        if (r || shape->set_count) hd_buffer_str(w->out, ", ");
        put_name(w, shape->resets[r]);
        hd_buffer_str(w->out, " = ");
        put_default(w, column_at(w, shape->resets[r]));
    }
    if (shape->set_count || shape->reset_count) return;
    put_name(w, shape->entity->key[0]);
    hd_buffer_str(w->out, joined ? " = hd_t." : " = ");
    put_name(w, shape->entity->key[0]);
}

static void plain_update(writer *w) {
    hd_buffer_str(w->out, "UPDATE ");
    hd_buffer_str(w->out, w->shape->entity->table);
    hd_buffer_str(w->out, " SET ");
    put_assignments(w, false);
    put_where(w);
    if (!w->shape->back_count) return;
    hd_buffer_str(w->out, " RETURNING ");
    put_back(w, "", true);
}

static void plain_delete(writer *w) {
    hd_buffer_str(w->out, "DELETE FROM ");
    hd_buffer_str(w->out, w->shape->entity->table);
    if (w->form == HD_FORM_ROW) {
        put_where(w);
        return;
    }
    hd_buffer_str(w->out, " WHERE (");
    for (uint32_t s = 0; s < w->shape->slot_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        put_name(w, w->shape->slots[s]);
    }
    hd_buffer_str(w->out, ") IN (");
    put_rows(w, false);
    hd_buffer_char(w->out, ')');
}

/* ---- numbered rows: the CTE hd_i (c0, c1, .., n) ---- */

static void put_input(writer *w) {
    hd_buffer_str(w->out, "WITH hd_i (");
    for (uint32_t s = 0; s < w->shape->slot_count; s++)
        hd_buffer_fmt(w->out, "c%lu, ", (unsigned long)s);
    hd_buffer_str(w->out, "n) AS (");
    if (w->form == HD_FORM_ARRAYS) {
        put_arrays(w);
        hd_buffer_str(w->out, " WITH ORDINALITY");
    } else {
        put_rows(w, true);
    }
    hd_buffer_char(w->out, ')');
}

static void put_joined_write(writer *w) {
    const hd_write_shape *shape = w->shape;
    hd_buffer_str(w->out, shape->op == HD_UPDATE ? "UPDATE " : "DELETE FROM ");
    hd_buffer_str(w->out, shape->entity->table);
    hd_buffer_str(w->out, shape->op == HD_UPDATE ? " AS hd_t SET " : " AS hd_t USING hd_i");
    if (shape->op == HD_UPDATE) {
        put_assignments(w, true);
        hd_buffer_str(w->out, " FROM hd_i");
    }
    for (uint32_t s = shape->set_count; s < shape->slot_count; s++) {
        hd_buffer_str(w->out, s == shape->set_count ? " WHERE hd_t." : " AND hd_t.");
        put_name(w, shape->slots[s]);
        hd_buffer_str(w->out, " = ");
        put_slot(w, s);
    }
    if (!shape->guarded && !shape->back_count) return;
    hd_buffer_str(w->out, " RETURNING hd_i.n");
    put_back(w, "hd_t.", false);
}

/* Names of hd_w's columns behind `head`: b0, b1, .. */
static void put_back_names(writer *w, const char *prefix) {
    for (uint16_t b = 0; b < w->shape->back_count; b++) {
        hd_buffer_str(w->out, ", ");
        hd_buffer_str(w->out, prefix);
        hd_buffer_int(w->out, b);
    }
}

static void joined_write(writer *w) {
    put_input(w);
    if (!w->shape->guarded) { /* hd_t's own RETURNING gives number and values */
        hd_buffer_char(w->out, ' ');
        put_joined_write(w);
        return;
    }
    hd_buffer_str(w->out, ", hd_w (n");
    put_back_names(w, "b");
    hd_buffer_str(w->out, ") AS (");
    put_joined_write(w);
    if (!w->shape->back_count) {
        hd_buffer_str(w->out, ") SELECT ('" HD_STALE_MARK "' || min(n))::int FROM hd_i"
                              " WHERE n NOT IN (SELECT n FROM hd_w) HAVING min(n) IS NOT NULL");
        return;
    }
    hd_buffer_str(w->out, ") SELECT hd_i.n");
    put_back_names(w, "hd_w.b");
    hd_buffer_str(w->out, ", CASE WHEN hd_w.n IS NULL THEN ('" HD_STALE_MARK "' || hd_i.n)::int END"
                          " FROM hd_i LEFT JOIN hd_w ON hd_w.n = hd_i.n");
}

/* ---- inserts of several rows ---- */

static uint32_t slot_of(const hd_write_shape *shape, uint16_t column) {
    uint32_t slot = 0;
    while (slot < shape->set_count && shape->slots[slot] != column) slot++;
    return slot;
}

/* INSERT that brings values back: rows are numbered, the server joins by key. */
static void numbered_insert(writer *w) {
    const hd_entity *e = w->shape->entity;
    put_input(w);
    hd_buffer_str(w->out, ", hd_w (");
    for (uint16_t k = 0; k < e->key_count; k++) hd_buffer_fmt(w->out, "k%u, ", k);
    hd_buffer_str(w->out, "hit");
    put_back_names(w, "b");
    hd_buffer_str(w->out, ") AS (");
    put_insert_head(w);
    hd_buffer_str(w->out, "SELECT ");
    for (uint16_t s = 0; s < w->shape->set_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        put_slot(w, s);
    }
    hd_buffer_str(w->out, " FROM hd_i RETURNING ");
    put_key(w);
    hd_buffer_str(w->out, ", true");
    put_back(w, "", false);
    hd_buffer_str(w->out, ") SELECT hd_i.n");
    put_back_names(w, "hd_w.b");
    if (w->shape->guarded)
        hd_buffer_str(w->out,
                      ", CASE WHEN hd_w.hit IS NULL THEN ('" HD_STALE_MARK "' || hd_i.n)::int END");
    hd_buffer_str(w->out,
                  w->shape->guarded ? " FROM hd_i LEFT JOIN hd_w ON " : " FROM hd_i JOIN hd_w ON ");
    for (uint16_t k = 0; k < e->key_count; k++) {
        hd_buffer_fmt(w->out, "%shd_w.k%u = ", k ? " AND " : "", k);
        put_slot(w, slot_of(w->shape, e->key[k]));
    }
}

/* One row whose key the INSERT tells. */
static void awaited_insert(writer *w) {
    hd_buffer_str(w->out, "WITH hd_w AS (");
    put_insert_rows(w);
    hd_buffer_str(w->out, " RETURNING true AS hit");
    put_back(w, "", false);
    hd_buffer_str(w->out, ") SELECT ");
    put_back(w, "hd_w.", true);
    if (w->shape->back_count) hd_buffer_str(w->out, ", ");
    hd_buffer_str(w->out, "CASE WHEN hd_c.n = 0 THEN ('" HD_STALE_MARK "' || hd_c.n)::int END"
                          " FROM (SELECT count(*) AS n FROM hd_w) AS hd_c LEFT JOIN hd_w ON true");
}

/* The keys that were sent, as what stands behind IN: a subquery over the arrays, or a list of the
 * parameters. */
static void put_sent_keys(writer *w) {
    const hd_entity *e = w->shape->entity;
    uint32_t rows = w->form == HD_FORM_ARRAYS ? 1 : w->rows;
    if (w->form == HD_FORM_ARRAYS) hd_buffer_str(w->out, "SELECT * FROM unnest(");
    for (uint32_t r = 0; r < rows; r++) {
        if (r) hd_buffer_str(w->out, ", ");
        if (w->form != HD_FORM_ARRAYS && e->key_count > 1) hd_buffer_char(w->out, '(');
        for (uint16_t k = 0; k < e->key_count; k++) {
            uint32_t slot = slot_of(w->shape, e->key[k]);
            if (k) hd_buffer_str(w->out, ", ");
            w->param = r * w->shape->slot_count + slot;
            if (w->form == HD_FORM_ARRAYS)
                put_array(w, slot);
            else
                put_value(w, slot, true);
        }
        if (w->form != HD_FORM_ARRAYS && e->key_count > 1) hd_buffer_char(w->out, ')');
    }
    if (w->form == HD_FORM_ARRAYS) hd_buffer_char(w->out, ')');
}

static void put_row_count(writer *w) {
    if (w->form == HD_FORM_ARRAYS) {
        hd_buffer_str(w->out, "cardinality(");
        w->param = 0;
        put_array(w, 0);
        hd_buffer_char(w->out, ')');
    } else {
        hd_buffer_int(w->out, w->rows);
    }
}

static void counted_insert(writer *w) {
    hd_buffer_str(w->out, "WITH hd_w AS (");
    put_insert_rows(w);
    hd_buffer_str(w->out, " RETURNING ");
    if (w->shape->keys_fetched)
        put_key(w);
    else
        hd_buffer_char(w->out, '1');
    hd_buffer_str(w->out,
                  ") SELECT ('" HD_STALE_MARK "' || count(*))::int FROM hd_w HAVING count(*)");
    if (w->shape->keys_fetched) {
        hd_buffer_str(w->out, " FILTER (WHERE (");
        put_key(w);
        hd_buffer_str(w->out, ") IN (");
        put_sent_keys(w);
        hd_buffer_str(w->out, "))");
    }
    hd_buffer_str(w->out, " <> ");
    put_row_count(w);
}

void hd_write_sql(hd_buffer *out, const hd_dialect *dialect, const hd_write_shape *shape,
                  hd_write_form form, uint32_t rows) {
    writer w = {out, dialect, shape, form, rows, 0};
    if (is_plain(dialect, shape, form)) {
        (shape->op == HD_INSERT   ? plain_insert
         : shape->op == HD_UPDATE ? plain_update
                                  : plain_delete)(&w);
    } else if (shape->op != HD_INSERT) {
        joined_write(&w);
    } else if (form == HD_FORM_ROW) {
        awaited_insert(&w);
    } else if (shape->back_count) {
        numbered_insert(&w);
    } else if (shape->guarded) {
        counted_insert(&w);
    } else {
        plain_insert(&w);
    }
}
