/* Pieces of statement text that the rooms of writes share (see sql_writer.h). No value ever stands
 * in a text, but for numbers of rows. */
#include "sql_writer.h"

#include "sql_types.h"

/* ---- names and values ---- */

const hd_column *hd_sql_column(const hd_sql_writer *w, uint16_t column) {
    return &w->shape->entity->columns[column];
}

static const hd_column *slot_column(const hd_sql_writer *w, uint32_t slot) {
    return hd_sql_column(w, w->shape->slots[slot]);
}

void hd_sql_name(hd_sql_writer *w, uint16_t column) {
    hd_buffer_ident(w->out, hd_sql_column(w, column)->name, hd_sql_column(w, column)->name_len);
}

static void put_param(hd_sql_writer *w) {
    hd_buffer_char(w->out, w->dialect->dollar_params ? '$' : '?');
    hd_buffer_int(w->out, ++w->param);
}

/* In parentheses; a comment at its end does not take the closing one with it. */
static void put_expression(hd_sql_writer *w, const hd_expression *x) {
    hd_buffer_char(w->out, '(');
    for (uint32_t i = 0; i <= x->count; i++) {
        if (i) put_param(w);
        hd_buffer_add(w->out, x->texts[i].as.p, x->texts[i].len);
    }
    hd_buffer_str(w->out, "\n)");
}

void hd_sql_value(hd_sql_writer *w, uint32_t slot, bool always_cast) {
    const hd_expression *x = hd_write_slot_expression(w->shape, slot);
    if (x) {
        put_expression(w, x);
        return;
    }
    put_param(w);
    if (w->dialect->dollar_params && (always_cast || slot_column(w, slot)->cast))
        hd_sql_cast(w->out, slot_column(w, slot), "");
}

void hd_sql_array(hd_sql_writer *w, uint32_t slot) {
    put_param(w);
    hd_sql_cast(w->out, slot_column(w, slot), "[]");
}

void hd_sql_arrays(hd_sql_writer *w) {
    hd_buffer_str(w->out, "SELECT * FROM unnest(");
    for (uint32_t s = 0; s < w->shape->slot_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        hd_sql_array(w, s);
    }
    hd_buffer_char(w->out, ')');
}

/* "VALUES (..), (..)"; numbered rows end with their number. */
void hd_sql_rows(hd_sql_writer *w, bool numbered) {
    hd_buffer_str(w->out, "VALUES ");
    for (uint32_t r = 0; r < w->rows; r++) {
        hd_buffer_str(w->out, r ? ", (" : "(");
        for (uint32_t s = 0; s < w->shape->slot_count; s++) {
            if (s) hd_buffer_str(w->out, ", ");
            hd_sql_value(w, s, numbered);
        }
        if (numbered) {
            hd_buffer_str(w->out, ", ");
            hd_buffer_int(w->out, (long long)r + 1);
        }
        hd_buffer_char(w->out, ')');
    }
}

void hd_sql_back(hd_sql_writer *w, const char *prefix, bool first) {
    for (uint16_t b = 0; b < w->shape->back_count; b++) {
        if (b || !first) hd_buffer_str(w->out, ", ");
        hd_buffer_str(w->out, prefix);
        hd_sql_name(w, w->shape->back[b]);
    }
}

void hd_sql_key(hd_sql_writer *w) {
    const hd_entity *e = w->shape->entity;
    for (uint16_t k = 0; k < e->key_count; k++) {
        if (k) hd_buffer_str(w->out, ", ");
        hd_sql_name(w, e->key[k]);
    }
}

/* ---- INSERT ---- */

void hd_sql_insert_head(hd_sql_writer *w) {
    hd_buffer_str(w->out, "INSERT INTO ");
    hd_buffer_str(w->out, w->shape->entity->table);
    if (!w->shape->set_count) {
        hd_buffer_str(w->out, " DEFAULT VALUES");
        return;
    }
    hd_buffer_str(w->out, " (");
    for (uint16_t s = 0; s < w->shape->set_count; s++) {
        if (s) hd_buffer_str(w->out, ", ");
        hd_sql_name(w, w->shape->slots[s]);
    }
    hd_buffer_str(w->out, w->dialect->bulk_unnest && w->shape->writes_auto_key
                              ? ") OVERRIDING SYSTEM VALUE "
                              : ") ");
}

void hd_sql_insert_rows(hd_sql_writer *w) {
    hd_sql_insert_head(w);
    if (!w->shape->set_count) return;
    if (w->form == HD_FORM_ARRAYS)
        hd_sql_arrays(w);
    else
        hd_sql_rows(w, false);
}

/* ---- UPDATE ---- */

void hd_sql_slot(hd_sql_writer *w, uint32_t slot) {
    if (w->form == HD_FORM_WALK) {
        hd_buffer_str(w->out, "hd_given(hd_t.");
        hd_sql_name(w, w->shape->entity->key[0]);
        hd_buffer_str(w->out, ", ");
        hd_buffer_int(w->out, (long long)slot + 1);
        hd_buffer_char(w->out, ')');
        return;
    }
    hd_buffer_str(w->out, w->dialect->bulk_unnest ? "hd_i.c" : "hd_i.column");
    hd_buffer_int(w->out, (long long)slot + !w->dialect->bulk_unnest);
}

static void put_default(hd_sql_writer *w, const hd_column *column) {
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

/* `text` with the version column of the row for each '@'. */
static void put_version_text(hd_sql_writer *w, const char *prefix, const char *text) {
    for (; *text; text++) {
        if (*text != '@') {
            hd_buffer_char(w->out, *text);
            continue;
        }
        hd_buffer_str(w->out, prefix);
        hd_sql_name(w, (uint16_t)w->shape->entity->version);
    }
}

/* The version after one that nobody has read. A timestamp is later than the row's own, whatever
 * the clock says; SQLite keeps it as text, always with six digits. */
static void put_next_version(hd_sql_writer *w, const char *prefix) {
    static const char in_file[] = "CASE WHEN @ >= strftime('%Y-%m-%d %H:%M:%f000', 'now') THEN"
                                  " CASE substr(@, 21) WHEN '999999' THEN datetime(substr(@, 1, "
                                  "19), '+1 second') || '.000000'"
                                  " ELSE substr(@, 1, 20) || printf('%06d', substr(@, 21) + 1) END"
                                  " ELSE strftime('%Y-%m-%d %H:%M:%f000', 'now') END";
    bool timestamp = hd_sql_column(w, (uint16_t)w->shape->entity->version)->type == HD_T_TIMESTAMP;
    const char *text = "coalesce(@, 0) + 1";
    if (timestamp)
        text = w->dialect->bulk_unnest ? "greatest(clock_timestamp(), @ + interval '1 microsecond')"
                                       : in_file;
    put_version_text(w, prefix, text);
}

static void put_target(hd_sql_writer *w, uint16_t column, uint32_t *count) {
    if ((*count)++) hd_buffer_str(w->out, ", ");
    hd_sql_name(w, column);
    hd_buffer_str(w->out, " = ");
}

/* What stands behind SET; `joined`: values come from hd_i. A row switch of a table that is all key
 * changes nothing, but the row has to be there. */
void hd_sql_assignments(hd_sql_writer *w, bool joined) {
    const hd_write_shape *shape = w->shape;
    const char *old = joined ? "hd_t." : "";
    uint32_t count = 0;
    for (uint16_t s = 0; s < shape->set_count; s++) {
        put_target(w, shape->slots[s], &count);
        if (shape->how && shape->how[shape->slots[s]] == HD_SPARE_BELOW)
            hd_sql_below(w, s, joined);
        else if (joined)
            hd_sql_slot(w, s);
        else
            hd_sql_value(w, s, false);
    }
    for (uint16_t r = 0; r < shape->reset_count; r++) {
        put_target(w, shape->resets[r], &count);
        put_default(w, hd_sql_column(w, shape->resets[r]));
    }
    if (shape->counts) {
        put_target(w, (uint16_t)shape->entity->version, &count);
        put_next_version(w, old);
    }
    if (count) return;
    put_target(w, shape->entity->key[0], &count);
    hd_buffer_str(w->out, old);
    hd_sql_name(w, shape->entity->key[0]);
}

void hd_sql_where(hd_sql_writer *w) {
    hd_buffer_str(w->out, " WHERE ");
    for (uint32_t s = w->shape->set_count; s < w->shape->slot_count; s++) {
        if (s > w->shape->set_count) hd_buffer_str(w->out, " AND ");
        hd_sql_name(w, w->shape->slots[s]);
        hd_buffer_str(w->out, " = ");
        hd_sql_value(w, s, false);
    }
}

/* Expressions may call the row e0, as those of queries do. */
void hd_sql_update_row(hd_sql_writer *w) {
    hd_buffer_str(w->out, "UPDATE ");
    hd_buffer_str(w->out, w->shape->entity->table);
    hd_buffer_str(w->out, w->shape->expressions ? " AS e0 SET " : " SET ");
    hd_sql_assignments(w, false);
    hd_sql_where(w);
}

/* ---- writes that are joined with their rows ---- */

void hd_sql_target(hd_sql_writer *w) {
    bool update = w->shape->op == HD_UPDATE;
    hd_buffer_str(w->out, update ? "UPDATE " : "DELETE FROM ");
    hd_buffer_str(w->out, w->shape->entity->table);
    hd_buffer_str(w->out, " AS hd_t");
    if (!update) return;
    hd_buffer_str(w->out, " SET ");
    hd_sql_assignments(w, true);
}

void hd_sql_join(hd_sql_writer *w) {
    const hd_write_shape *shape = w->shape;
    for (uint32_t s = shape->set_count; s < shape->slot_count; s++) {
        hd_buffer_str(w->out, s == shape->set_count ? " WHERE hd_t." : " AND hd_t.");
        hd_sql_name(w, shape->slots[s]);
        hd_buffer_str(w->out, " = ");
        hd_sql_slot(w, s);
    }
}

/* ?1 and ?2 are the first key and the last. */
void hd_sql_walk(hd_sql_writer *w) {
    const hd_write_shape *shape = w->shape;
    uint16_t key = shape->entity->key[0];
    hd_sql_target(w);
    hd_buffer_str(w->out, " WHERE hd_t.");
    hd_sql_name(w, key);
    hd_buffer_str(w->out, " BETWEEN ?1 AND ?2 AND hd_met(hd_t.");
    hd_sql_name(w, key);
    hd_buffer_char(w->out, ')');
    for (uint32_t s = shape->set_count + 1u; s < shape->slot_count; s++) {
        hd_buffer_str(w->out, " AND hd_t.");
        hd_sql_name(w, shape->slots[s]);
        hd_buffer_str(w->out, " = ");
        hd_sql_slot(w, s);
    }
}
