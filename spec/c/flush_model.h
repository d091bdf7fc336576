/* A small database in memory that runs the statements of a flush as strictly as the real ones could:
 * unique keys at once, in the worst order of a statement's rows where the server promises none;
 * foreign keys when a statement ends, or at the end where they are deferred. */
#ifndef HD_SPEC_FLUSH_MODEL_H
#define HD_SPEC_FLUSH_MODEL_H

#include "flush_parts.h"

#include "flush_fake.h"

enum { TABLES = 2, ROWS = 24, COLUMNS = 4 };
enum { M_ID = 0, M_CODE, M_LINK, M_NOTE }; /* note: in no key */

typedef struct model_row {
    bool alive;
    hd_value values[COLUMNS];
} model_row;

typedef struct model {
    model_row rows[TABLES][ROWS];
    hd_entity *entities;
    bool in_order; /* rows are written one after the other (SQLite) */
    bool deferred;
    const char *broken; /* what no statement may do and one did; NULL: nothing */
} model;

MAYBE_UNUSED static int table_of(const model *m, const hd_entity *e) {
    return (int)(e - m->entities);
}

static void broke(model *m, const char *what) {
    if (!m->broken) m->broken = what;
}

/* ---- constraints ------------------------------------------------------------------------- */

static bool same_key(const hd_value *a, const hd_value *b, const uint16_t *columns,
                     uint16_t count) {
    for (uint16_t i = 0; i < count; i++) {
        const hd_value *x = &a[columns[i]], *y = &b[columns[i]];
        if (x->kind == HD_NULL || y->kind == HD_NULL || !hd_value_equal(x, y)) return false;
    }
    return true;
}

static bool is_member(const hd_unique *unique, const hd_value *row) {
    for (uint16_t i = 0; i < unique->test_count; i++) {
        if (!hd_value_equal(&row[unique->tests[i].column], &unique->tests[i].value)) return false;
    }
    return true;
}

/* Whether two rows cannot both be there. */
static bool collide(const hd_entity *e, const hd_value *a, const hd_value *b) {
    if (same_key(a, b, e->key, e->key_count)) return true;
    for (uint16_t u = 0; u < e->unique_count; u++) {
        if (is_member(&e->uniques[u], a) && is_member(&e->uniques[u], b) &&
            same_key(a, b, e->uniques[u].columns, e->uniques[u].count))
            return true;
    }
    return false;
}

static bool refers_well(const model *m, const hd_entity *e, const hd_value *row) {
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        const hd_foreign_key *fk = &e->foreign_keys[k];
        const hd_value *link = &row[fk->columns[0]];
        bool found = link->kind == HD_NULL || (m->deferred && fk->deferrable);
        const model_row *targets = m->rows[table_of(m, fk->target)];
        for (int i = 0; i < ROWS && !found; i++)
            found = targets[i].alive && hd_value_equal(&targets[i].values[M_ID], link);
        if (!found) return false;
    }
    return true;
}

MAYBE_UNUSED static bool all_refer_well(const model *m) {
    for (int t = 0; t < TABLES; t++) {
        for (int i = 0; i < ROWS; i++) {
            const model_row *row = &m->rows[t][i];
            if (row->alive && !refers_well(m, &m->entities[t], row->values)) return false;
        }
    }
    return true;
}

MAYBE_UNUSED static bool all_unique(const model *m) {
    for (int t = 0; t < TABLES; t++) {
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < i; j++) {
                if (m->rows[t][i].alive && m->rows[t][j].alive &&
                    collide(&m->entities[t], m->rows[t][i].values, m->rows[t][j].values))
                    return false;
            }
        }
    }
    return true;
}

/* ---- rows of a statement ----------------------------------------------------------------- */

/* What one row of a statement does. */
typedef struct effect {
    int table, row; /* row -1: an INSERT; found when the statement begins */
    bool gone;
    hd_value values[COLUMNS];
} effect;

static const hd_value *param_of(const hd_statement *s, const hd_write_shape *shape, uint32_t base,
                                uint32_t row, uint32_t slot) {
    if (s->param_count && s->params[base].kind == HD_LIST)
        return &s->params[base + slot].as.list->items[row];
    return &s->params[base + (size_t)row * shape->slot_count + slot];
}

static int find_row(const model *m, const hd_statement *s, const hd_write_shape *shape,
                    uint32_t base, uint32_t r) {
    const model_row *rows = m->rows[table_of(m, shape->entity)];
    for (int i = 0; i < ROWS; i++) {
        bool is = rows[i].alive;
        for (uint32_t slot = shape->set_count; slot < shape->slot_count; slot++) {
            const hd_value *value = param_of(s, shape, base, r, slot);
            is = is && hd_value_equal(value, &rows[i].values[shape->slots[slot]]);
        }
        if (is) return i;
    }
    return -1;
}

/* As spare_sql.c has it: below the least of the table and what is to come, a step for each row. */
static hd_value below(const model *m, int table, uint16_t column, const hd_value *coming,
                      uint32_t n) {
    int64_t least = coming->kind == HD_INT ? coming->as.i : INT64_MAX;
    for (int i = 0; i < ROWS; i++) {
        const model_row *row = &m->rows[table][i];
        if (row->alive && row->values[column].kind == HD_INT && row->values[column].as.i < least)
            least = row->values[column].as.i;
    }
    return int_value(least - 1 - n);
}

static void set_value(model *m, const hd_statement *s, const hd_write_shape *shape, uint16_t column,
                      const hd_value *value, effect *out) {
    const hd_column *c = &shape->entity->columns[column];
    if (value->kind == HD_NULL && !(c->flags & HD_COL_NULLABLE)) broke(m, "NULL where none may be");
    if (shape->parks && (c->flags & HD_COL_CHECKED) && value->kind != HD_NULL && !s->unconfined)
        broke(m, "a CHECK refuses a spare value");
    out->values[column] = *value;
    out->values[column].type = 0;
}

static effect effect_of(model *m, const hd_statement *s, const hd_write_shape *shape, uint32_t base,
                        uint32_t r, uint32_t n) {
    effect out = {.table = table_of(m, shape->entity), .row = -1};
    memset(out.values, 0, sizeof out.values);
    if (shape->op != HD_INSERT) {
        out.row = find_row(m, s, shape, base, r);
        if (out.row < 0) broke(m, "a row is not there");
        if (out.row < 0) return out;
        memcpy(out.values, m->rows[out.table][out.row].values, sizeof out.values);
    }
    out.gone = shape->op == HD_DELETE;
    for (uint32_t slot = 0; slot < shape->set_count; slot++) {
        uint16_t column = shape->slots[slot];
        hd_value value = *param_of(s, shape, base, r, slot);
        if (shape->how && shape->how[column] == HD_SPARE_BELOW)
            value = below(m, out.table, column, &value, n);
        set_value(m, s, shape, column, &value, &out);
    }
    for (uint16_t i = 0; i < shape->reset_count; i++) {
        hd_value null = hd_null();
        set_value(m, s, shape, shape->resets[i], &null, &out);
    }
    return out;
}

/* ---- statements -------------------------------------------------------------------------- */

static void put_row(model *m, effect *e) {
    model_row *rows = m->rows[e->table];
    for (int i = 0; i < ROWS && e->row < 0; i++) {
        if (!rows[i].alive) e->row = i;
    }
    assert_true(e->row >= 0);
    memcpy(rows[e->row].values, e->values, sizeof e->values);
    rows[e->row].alive = !e->gone;
}

/* Nothing that a row brings may be another row's before the statement, were it written by the same
 * one, nor another's that it brings. One that goes frees nothing within its statement. */
static void check_unique(model *m, const effect *effects, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const hd_entity *entity = &m->entities[effects[i].table];
        const model_row *rows = m->rows[effects[i].table];
        for (int r = 0; r < ROWS && !effects[i].gone; r++) {
            if (rows[r].alive && r != effects[i].row &&
                collide(entity, effects[i].values, rows[r].values))
                broke(m, "a unique value is taken already");
        }
        for (uint32_t j = 0; j < i && !effects[i].gone; j++) {
            if (!effects[j].gone && effects[j].table == effects[i].table &&
                collide(entity, effects[i].values, effects[j].values))
                broke(m, "a unique value is taken twice");
        }
    }
}

static void run_rows(model *m, effect *effects, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (m->in_order) check_unique(m, &effects[i], 1);
        if (!m->in_order && !i) check_unique(m, effects, count);
        put_row(m, &effects[i]);
    }
    if (!all_refer_well(m)) broke(m, "a foreign key refers to nothing");
}

static void run_statement(model *m, const hd_statement *s, const hd_flush_part *part) {
    effect effects[ROWS];
    uint32_t count = 0, base = 0;
    if (!part->shape) {
        if (strstr(s->sql, "DEFERRED") || strstr(s->sql, "PRAGMA defer")) m->deferred = true;
        if (strstr(s->sql, "IMMEDIATE")) m->deferred = false;
        if (!m->deferred && !all_refer_well(m))
            broke(m, "a foreign key refers to nothing at the end");
        return;
    }
    for (uint32_t p = 0; part->pieces && p < part->piece_count; p++) {
        const hd_flush_part *piece = &part->pieces[p];
        bool lists = s->params[base].kind == HD_LIST;
        for (uint32_t r = 0; r < piece->rows && !m->broken; r++)
            effects[count++] = effect_of(m, s, piece->shape, base, r, r);
        base += piece->shape->slot_count * (lists ? 1 : piece->rows);
    }
    if (part->pieces) {
        if (!m->broken) run_rows(m, effects, count);
        return;
    }
    for (uint32_t first = 0; first < part->rows && !m->broken; first += part->per) {
        for (count = 0; count < part->per && !m->broken; count++)
            effects[count] = effect_of(m, s, part->shape, 0, first + count, count);
        if (!m->broken) run_rows(m, effects, count);
    }
}

/* Runs the planned flush. */
MAYBE_UNUSED static void run_flush(model *m) {
    assert_null(hd_flush_keys(flush, &err));
    while (!m->broken && (batch = hd_flush_body(flush, &err))) {
        all_reached();
        for (uint32_t i = 0; i < batch->count && !m->broken; i++)
            run_statement(m, &batch->statements[i], &flush->parts[i]);
    }
    assert_int_equal(err.kind, HD_OK);
    m->deferred = false;
    if (!all_refer_well(m)) broke(m, "a foreign key refers to nothing at COMMIT");
}

#endif
