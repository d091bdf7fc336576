/* One statement for rows of several shapes (PostgreSQL): a CTE writes each shape's rows, all of
 * them see the tables as they were before, and what a foreign key refers to has to be there when
 * the whole has ended. The SELECT behind them has the guards of all pieces; it gives no row unless
 * it raises. */
#include "sql_writer.h"

static uint32_t params_of(const hd_write_piece *piece) {
    return piece->shape->slot_count * (piece->form == HD_FORM_ARRAYS ? 1 : piece->rows);
}

static hd_sql_writer writer_of(hd_buffer *out, const hd_dialect *dialect,
                               const hd_write_piece *piece, uint32_t param, uint32_t number) {
    return (hd_sql_writer){out,         dialect, piece->shape, piece->form,
                           piece->rows, param,   (int)number};
}

static void put_write(hd_sql_writer *w) {
    if (w->shape->op == HD_INSERT) {
        hd_sql_cte(w, "hd_w");
        hd_buffer_str(w->out, " AS (");
        hd_sql_insert_rows(w);
        hd_buffer_str(w->out, w->shape->guarded ? " RETURNING 1)" : ")");
        return;
    }
    hd_sql_input(w);
    hd_buffer_str(w->out, ", ");
    hd_sql_cte(w, "hd_w");
    hd_buffer_str(w->out, " AS (");
    hd_sql_joined_write(w);
    hd_buffer_char(w->out, ')');
}

static void put_guard(hd_sql_writer *w, uint32_t param) {
    const char *found = w->shape->op == HD_INSERT ? "count(*)" : "min(n)";
    hd_buffer_fmt(w->out, " UNION ALL SELECT ('" HD_STALE_MARK "' || %s || '/%d')::int FROM ",
                  found, w->piece);
    if (w->shape->op == HD_INSERT) {
        hd_sql_cte(w, "hd_w");
        hd_buffer_str(w->out, " HAVING count(*) <> ");
        hd_sql_row_count(w, param);
        return;
    }
    hd_sql_cte(w, "hd_i");
    hd_buffer_str(w->out, " WHERE n NOT IN (SELECT n FROM ");
    hd_sql_cte(w, "hd_w");
    hd_buffer_str(w->out, ") HAVING min(n) IS NOT NULL");
}

void hd_write_whole_sql(hd_buffer *out, const hd_dialect *dialect, const hd_write_piece *pieces,
                        uint32_t count) {
    uint32_t param = 0;
    for (uint32_t k = 0; k < count; k++) {
        hd_sql_writer w = writer_of(out, dialect, &pieces[k], param, k);
        hd_buffer_str(out, k ? ", " : "WITH ");
        put_write(&w);
        param += params_of(&pieces[k]);
    }
    hd_buffer_str(out, " SELECT NULL::int WHERE false");
    param = 0;
    for (uint32_t k = 0; k < count; k++) {
        hd_sql_writer w = writer_of(out, dialect, &pieces[k], param, k);
        if (pieces[k].shape->guarded) put_guard(&w, param);
        param += params_of(&pieces[k]);
    }
}

void hd_write_read_sql(hd_buffer *out, const hd_dialect *dialect, const hd_write_piece *piece) {
    hd_sql_writer w = {out, dialect, piece->shape, piece->form, piece->rows, 0, -1};
    hd_buffer_str(out, "WITH ");
    hd_sql_input(&w);
    hd_buffer_str(out, " SELECT hd_i.n");
    hd_sql_back(&w, "hd_t.", false);
    hd_buffer_str(out, " FROM hd_i JOIN ");
    hd_buffer_str(out, piece->shape->entity->table);
    hd_buffer_str(out, " AS hd_t ON ");
    for (uint32_t s = 0; s < piece->shape->slot_count; s++) {
        hd_buffer_str(out, s ? " AND hd_t." : "hd_t.");
        hd_sql_name(&w, piece->shape->slots[s]);
        hd_buffer_str(out, " = ");
        hd_sql_slot(&w, s);
    }
}
