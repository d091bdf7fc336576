/* Guarded statements (PostgreSQL, several rows or COMMIT behind them): rows travel as arrays, or as
 * a VALUES list where a type has no array form, in a CTE `hd_i` whose rows are numbered; the write
 * is the CTE `hd_w`; the SELECT behind them raises when a row was not reached, so that a COMMIT in
 * the same pipeline cannot commit it. The raise is a cast of "heddle_stale:N" to int, over values
 * that no planner can fold: N comes out of a CTE or an aggregate.
 *
 * Where only their number counts, rows are not numbered: joining numbers costs a fifth of the
 * statement again, counting next to nothing. Which row was not reached is then looked for when it
 * is known that one was not.
 *
 * Rows that bring values back carry their number (the server joins them by key), so nobody relies
 * on the order in which RETURNING gives rows. An INSERT without such values is not numbered:
 * counting is all but free where joining costs half of the insert again; when its keys came from a
 * sequence, the count is of rows that kept the key sent, and otherwise no column is named, so that
 * a role that may only INSERT can. */
#include "sql_writer.h"

/* ---- numbered rows: the CTE hd_i (c0, c1, .., n) ---- */

void hd_sql_cte(hd_sql_writer *w, const char *name) {
    hd_buffer_str(w->out, name);
    if (w->piece >= 0) hd_buffer_int(w->out, w->piece);
}

void hd_sql_input(hd_sql_writer *w) {
    hd_sql_cte(w, "hd_i");
    hd_buffer_str(w->out, " (");
    for (uint32_t s = 0; s < w->shape->slot_count; s++)
        hd_buffer_fmt(w->out, "c%lu, ", (unsigned long)s);
    hd_buffer_str(w->out, "n) AS (");
    if (w->form == HD_FORM_ARRAYS) {
        hd_sql_arrays(w);
        hd_buffer_str(w->out, " WITH ORDINALITY");
    } else {
        hd_sql_rows(w, true);
    }
    hd_buffer_char(w->out, ')');
}

/* Whatever its CTE is called, the statement calls it hd_i. */
static void put_from(hd_sql_writer *w, const char *word) {
    hd_buffer_str(w->out, word);
    hd_sql_cte(w, "hd_i");
    if (w->piece >= 0) hd_buffer_str(w->out, " AS hd_i");
}

void hd_sql_joined_write(hd_sql_writer *w) {
    const hd_write_shape *shape = w->shape;
    hd_sql_target(w);
    put_from(w, shape->op == HD_UPDATE ? " FROM " : " USING ");
    hd_sql_join(w);
    if (!shape->guarded && !shape->back_count) return;
    hd_buffer_str(w->out, " RETURNING hd_i.n");
    hd_sql_back(w, "hd_t.", false);
}

/* Names of hd_w's columns behind `head`: b0, b1, .. */
static void put_back_names(hd_sql_writer *w, const char *prefix) {
    for (uint16_t b = 0; b < w->shape->back_count; b++) {
        hd_buffer_str(w->out, ", ");
        hd_buffer_str(w->out, prefix);
        hd_buffer_int(w->out, b);
    }
}

static void joined_write(hd_sql_writer *w) {
    hd_buffer_str(w->out, "WITH ");
    hd_sql_input(w);
    if (!w->shape->guarded) { /* hd_t's own RETURNING gives number and values */
        hd_buffer_char(w->out, ' ');
        hd_sql_joined_write(w);
        return;
    }
    hd_buffer_str(w->out, ", hd_w (n");
    put_back_names(w, "b");
    hd_buffer_str(w->out, ") AS (");
    hd_sql_joined_write(w);
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
static void numbered_insert(hd_sql_writer *w) {
    const hd_entity *e = w->shape->entity;
    hd_buffer_str(w->out, "WITH ");
    hd_sql_input(w);
    hd_buffer_str(w->out, ", hd_w (");
    for (uint16_t k = 0; k < e->key_count; k++) hd_buffer_fmt(w->out, "k%u, ", k);
    hd_buffer_str(w->out, "hit");
    put_back_names(w, "b");
    hd_buffer_str(w->out, ") AS (");
    hd_sql_insert_head(w);
    hd_buffer_str(w->out, "SELECT ");
    for (uint16_t s = 0; s < w->shape->set_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        hd_sql_slot(w, s);
    }
    hd_buffer_str(w->out, " FROM hd_i RETURNING ");
    hd_sql_key(w);
    hd_buffer_str(w->out, ", true");
    hd_sql_back(w, "", false);
    hd_buffer_str(w->out, ") SELECT hd_i.n");
    put_back_names(w, "hd_w.b");
    if (w->shape->guarded)
        hd_buffer_str(w->out,
                      ", CASE WHEN hd_w.hit IS NULL THEN ('" HD_STALE_MARK "' || hd_i.n)::int END");
    hd_buffer_str(w->out,
                  w->shape->guarded ? " FROM hd_i LEFT JOIN hd_w ON " : " FROM hd_i JOIN hd_w ON ");
    for (uint16_t k = 0; k < e->key_count; k++) {
        hd_buffer_fmt(w->out, "%shd_w.k%u = ", k ? " AND " : "", k);
        hd_sql_slot(w, slot_of(w->shape, e->key[k]));
    }
}

/* One row that brings values back: an INSERT that tells the key, a row with an expression. */
static void single_row(hd_sql_writer *w) {
    hd_buffer_str(w->out, "WITH hd_w AS (");
    if (w->shape->op == HD_INSERT)
        hd_sql_insert_rows(w);
    else
        hd_sql_update_row(w);
    hd_buffer_str(w->out, " RETURNING true AS hit");
    hd_sql_back(w, "", false);
    hd_buffer_str(w->out, ") SELECT ");
    hd_sql_back(w, "hd_w.", true);
    if (w->shape->back_count) hd_buffer_str(w->out, ", ");
    hd_buffer_str(w->out, "CASE WHEN hd_c.n = 0 THEN ('" HD_STALE_MARK "' || hd_c.n)::int END"
                          " FROM (SELECT count(*) AS n FROM hd_w) AS hd_c LEFT JOIN hd_w ON true");
}

/* ---- counted rows ---- */

void hd_sql_row_count(hd_sql_writer *w, uint32_t param) {
    if (w->form == HD_FORM_ARRAYS) {
        hd_buffer_str(w->out, "cardinality(");
        w->param = param;
        hd_sql_array(w, 0);
        hd_buffer_char(w->out, ')');
    } else {
        hd_buffer_int(w->out, w->rows);
    }
}

/* The slot of a key column that says which row is meant. */
static uint32_t key_slot(const hd_write_shape *shape, uint16_t k) {
    return shape->set_count + (uint32_t)k;
}

static void put_keys(hd_sql_writer *w, const char *prefix, bool slots) {
    for (uint16_t k = 0; k < w->shape->entity->key_count; k++) {
        hd_buffer_str(w->out, k ? ", " : "");
        hd_buffer_str(w->out, prefix);
        hd_buffer_int(w->out, slots ? (long long)key_slot(w->shape, k) : k);
    }
}

/* The number of the first row whose key did not come back. */
static void put_first_missing(hd_sql_writer *w) {
    hd_buffer_str(w->out, "(SELECT min(hd_k.n) FROM unnest(");
    for (uint16_t k = 0; k < w->shape->entity->key_count; k++) {
        if (k) hd_buffer_str(w->out, ", ");
        w->param = key_slot(w->shape, k);
        hd_sql_array(w, key_slot(w->shape, k));
    }
    hd_buffer_str(w->out, ") WITH ORDINALITY AS hd_k (");
    put_keys(w, "k", false);
    hd_buffer_str(w->out, ", n) WHERE (");
    put_keys(w, "hd_k.k", false);
    hd_buffer_str(w->out, ") NOT IN (SELECT * FROM hd_w))");
}

/* Nothing comes back, and no row needs its number. */
static bool is_counted(const hd_sql_writer *w) {
    return w->form == HD_FORM_ARRAYS && w->shape->guarded && !w->shape->back_count &&
           !w->shape->how;
}

static void counted_write(hd_sql_writer *w) {
    hd_buffer_str(w->out, "WITH hd_w AS (");
    hd_sql_target(w);
    hd_buffer_str(w->out, w->shape->op == HD_UPDATE ? " FROM unnest(" : " USING unnest(");
    for (uint32_t s = 0; s < w->shape->slot_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        hd_sql_array(w, s);
    }
    hd_buffer_str(w->out, ") AS hd_i (");
    for (uint32_t s = 0; s < w->shape->slot_count; s++)
        hd_buffer_fmt(w->out, s ? ", c%lu" : "c%lu", (unsigned long)s);
    hd_buffer_char(w->out, ')');
    hd_sql_join(w);
    hd_buffer_str(w->out, " RETURNING ");
    put_keys(w, "hd_i.c", true);
    hd_buffer_str(w->out, ") SELECT ('" HD_STALE_MARK "' || ");
    put_first_missing(w);
    hd_buffer_str(w->out, ")::int FROM hd_w HAVING count(*) <> ");
    hd_sql_row_count(w, 0);
}

/* The keys that were sent, as what stands behind IN: a subquery over the arrays, or a list of the
 * parameters. */
static void put_sent_keys(hd_sql_writer *w) {
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
                hd_sql_array(w, slot);
            else
                hd_sql_value(w, slot, true);
        }
        if (w->form != HD_FORM_ARRAYS && e->key_count > 1) hd_buffer_char(w->out, ')');
    }
    if (w->form == HD_FORM_ARRAYS) hd_buffer_char(w->out, ')');
}

static void counted_insert(hd_sql_writer *w) {
    hd_buffer_str(w->out, "WITH hd_w AS (");
    hd_sql_insert_rows(w);
    hd_buffer_str(w->out, " RETURNING ");
    if (w->shape->keys_fetched)
        hd_sql_key(w);
    else
        hd_buffer_char(w->out, '1');
    hd_buffer_str(w->out,
                  ") SELECT ('" HD_STALE_MARK "' || count(*))::int FROM hd_w HAVING count(*)");
    if (w->shape->keys_fetched) {
        hd_buffer_str(w->out, " FILTER (WHERE (");
        hd_sql_key(w);
        hd_buffer_str(w->out, ") IN (");
        put_sent_keys(w);
        hd_buffer_str(w->out, "))");
    }
    hd_buffer_str(w->out, " <> ");
    hd_sql_row_count(w, 0);
}

void hd_sql_guarded(hd_sql_writer *w) {
    const hd_write_shape *shape = w->shape;
    if (w->form == HD_FORM_ROW)
        single_row(w);
    else if (shape->op != HD_INSERT)
        (is_counted(w) ? counted_write : joined_write)(w);
    else if (shape->back_count)
        numbered_insert(w);
    else
        counted_insert(w);
}
