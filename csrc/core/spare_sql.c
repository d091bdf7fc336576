/* Spare values that only the statement can find (PostgreSQL): below the least value that the table
 * has or the flush is going to write, a step for each row of the statement; above the greatest of
 * the table where the type ends. The table is seen as it was before the statement, so the rows
 * cannot meet each other. Where the column is part of one unique key alone, only rows with the same
 * other columns count, which that key's index finds at once. */
#include "spare.h"
#include "sql_writer.h"

/* The type's least value as SQL; NULL: it has none that matters. */
static const char *least_of(const hd_column *column) {
    switch (column->type) {
    case HD_T_SMALLINT:
        return "-32768";
    case HD_T_INTEGER:
        return "-2147483648";
    case HD_T_BIGINT:
        return "-9223372036854775808";
    default:
        return NULL;
    }
}

static void put_table_column(hd_sql_writer *w, uint16_t column, bool joined) {
    hd_buffer_str(w->out, joined ? "hd_t" : w->shape->entity->table);
    hd_buffer_char(w->out, '.');
    hd_sql_name(w, column);
}

static void put_extreme(hd_sql_writer *w, const char *function, uint16_t column, bool joined) {
    const hd_entity *e = w->shape->entity;
    const hd_unique *scope = hd_spare_scope(e, column);
    hd_buffer_fmt(w->out, "(SELECT %s(hd_s.", function);
    hd_sql_name(w, column);
    hd_buffer_str(w->out, ") FROM ");
    hd_buffer_str(w->out, e->table);
    hd_buffer_str(w->out, " AS hd_s");
    bool first = true;
    for (uint16_t i = 0; scope && i < scope->count; i++) {
        if (scope->columns[i] == column) continue;
        hd_buffer_str(w->out, first ? " WHERE hd_s." : " AND hd_s.");
        hd_sql_name(w, scope->columns[i]);
        hd_buffer_str(w->out, " = ");
        put_table_column(w, scope->columns[i], joined);
        first = false;
    }
    hd_buffer_char(w->out, ')');
}

/* As many steps as the row's number says. */
static void put_steps(hd_sql_writer *w, const hd_column *column, bool joined) {
    const char *n = joined ? "hd_i.n" : "1";
    if (column->type == HD_T_DATE)
        hd_buffer_fmt(w->out, "%s::int4", n);
    else if (column->type == HD_T_TIMESTAMP)
        hd_buffer_fmt(w->out, "%s * interval '1 second'", n);
    else
        hd_buffer_str(w->out, n);
}

/* hd_m: the least value that the table has or is to get. */
void hd_sql_below(hd_sql_writer *w, uint32_t slot, bool joined) {
    uint16_t at = w->shape->slots[slot];
    const hd_column *column = hd_sql_column(w, at);
    const char *least = least_of(column);
    hd_buffer_str(w->out, "(SELECT ");
    if (least) {
        hd_buffer_fmt(w->out, "CASE WHEN hd_m.v >= %s + ", least);
        put_steps(w, column, joined);
        hd_buffer_str(w->out, " THEN ");
    }
    hd_buffer_str(w->out, "hd_m.v - ");
    put_steps(w, column, joined);
    if (least) {
        hd_buffer_str(w->out, " ELSE ");
        put_extreme(w, "max", at, joined);
        hd_buffer_str(w->out, " + ");
        put_steps(w, column, joined);
        hd_buffer_str(w->out, " END");
    }
    hd_buffer_str(w->out, " FROM (SELECT least(");
    put_extreme(w, "min", at, joined);
    hd_buffer_str(w->out, ", ");
    if (joined)
        hd_sql_slot(w, slot);
    else
        hd_sql_value(w, slot, true);
    hd_buffer_str(w->out, ") AS v) AS hd_m)");
}
