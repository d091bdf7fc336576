/* Plain statements, where the driver counts rows: one row, or (SQLite) a VALUES list of inserts or
 * updates, or a whole DELETE by a list of keys. Where the statement has to count by itself, write_guarded.c
 * writes it. */
#include "sql_writer.h"

static bool is_plain(const hd_dialect *dialect, const hd_write_shape *shape, hd_write_form form) {
    if (!dialect->bulk_unnest) return true;
    return form == HD_FORM_ROW && !hd_write_has_guard(dialect, shape, form);
}

static void plain_insert(hd_sql_writer *w) {
    hd_sql_insert_rows(w);
    if (w->shape->may_exist) hd_buffer_str(w->out, " ON CONFLICT DO NOTHING");
    if (!w->shape->back_count) return;
    hd_buffer_str(w->out, " RETURNING ");
    if (w->form != HD_FORM_ROW) hd_sql_key(w);
    hd_sql_back(w, "", w->form == HD_FORM_ROW);
}

static void block_update(hd_sql_writer *w) {
    hd_sql_target(w);
    hd_buffer_str(w->out, " FROM (");
    hd_sql_rows(w, false);
    hd_buffer_str(w->out, ") AS hd_i");
    hd_sql_join(w);
}

static void plain_update(hd_sql_writer *w) {
    if (w->form == HD_FORM_WALK) {
        hd_sql_walk(w);
        return;
    }
    if (w->form != HD_FORM_ROW) {
        block_update(w);
        return;
    }
    hd_sql_update_row(w);
    if (!w->shape->back_count) return;
    hd_buffer_str(w->out, " RETURNING ");
    hd_sql_back(w, "", true);
}

static void plain_delete(hd_sql_writer *w) {
    hd_buffer_str(w->out, "DELETE FROM ");
    hd_buffer_str(w->out, w->shape->entity->table);
    if (w->form == HD_FORM_ROW) {
        hd_sql_where(w);
        return;
    }
    hd_buffer_str(w->out, " WHERE (");
    for (uint32_t s = 0; s < w->shape->slot_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        hd_sql_name(w, w->shape->slots[s]);
    }
    hd_buffer_str(w->out, ") IN (");
    hd_sql_rows(w, false);
    hd_buffer_char(w->out, ')');
}

void hd_write_sql(hd_buffer *out, const hd_dialect *dialect, const hd_write_shape *shape,
                  hd_write_form form, uint32_t rows) {
    hd_sql_writer w = {out, dialect, shape, form, rows, 0, -1};
    if (is_plain(dialect, shape, form)) {
        (shape->op == HD_INSERT   ? plain_insert
         : shape->op == HD_UPDATE ? plain_update
                                  : plain_delete)(&w);
    } else if (shape->op == HD_INSERT && form != HD_FORM_ROW && !shape->back_count &&
               !shape->guarded) {
        plain_insert(&w);
    } else {
        hd_sql_guarded(&w);
    }
}
