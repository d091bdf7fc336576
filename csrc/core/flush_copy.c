/* COPY (PostgreSQL): the new rows of one table, when they are so many that it pays. It gives no
 * rows back and cannot look at what became of them, as other inserts do (write_guarded.c), so
 * before the keys are asked for, the table is locked as every INSERT locks it, and looked at: no
 * trigger or rule that could change or drop a row, and columns of the very types that are sent. The
 * lock keeps it so until the transaction ends. What cannot be copied is written like few rows. */
#include <string.h>

#include "flush_parts.h"
#include "sql_types.h"

/* Batches of a size that the program chose are left at it. */
enum { LEAST_BATCH = 1000 };

/* ---- whether ---- */

static bool is_copied(const hd_entity *e) {
    if (e->uncopied || !e->check_rows) return false;
    for (uint16_t c = 0; c < e->column_count; c++) {
        if (!hd_sql_copied_types(&e->columns[c])) return false;
    }
    return true;
}

bool hd_flush_wants_copy(const hd_flush *flush, const hd_key_request *request) {
    uint32_t least = flush->options.dialect->copy_rows;
    return least && request->count >= least && flush->options.batch_size >= LEAST_BATCH &&
           is_copied(request->entity);
}

bool hd_flush_copies(const hd_flush *flush, const hd_order_run *run, const hd_write_shape *shape) {
    uint32_t least = flush->options.dialect->copy_rows;
    if (!least || run->count < least || run->whole) return false;
    if (shape->op != HD_INSERT || shape->back_count || shape->may_exist) return false;
    const hd_key_request *request = hd_flush_request_of(flush, shape->entity);
    return request && request->copies;
}

/* ---- looking at the table ---- */

static void put_literal(hd_buffer *out, const char *text, size_t len) {
    hd_buffer_char(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'') hd_buffer_char(out, '\'');
        hd_buffer_char(out, text[i]);
    }
    hd_buffer_char(out, '\'');
}

static void put_lock(hd_buffer *out, const hd_entity *e) {
    hd_buffer_str(out, "LOCK TABLE ");
    hd_buffer_str(out, e->table);
    hd_buffer_str(out, " IN ROW EXCLUSIVE MODE");
}

/* Later snapshots of a transaction see a table as it is now only where each statement has its own.
 * Of triggers those count that fire before (2) an INSERT (4) for each row (1). */
static void put_look(hd_buffer *out, const hd_entity *e) {
    hd_buffer_str(out, "SELECT current_setting('transaction_isolation') = 'read committed'"
                       " AND c.relkind = 'r' AND NOT c.relhasrules AND NOT c.relrowsecurity"
                       " AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid"
                       " AND NOT t.tgisinternal AND t.tgtype & 7 = 7)"
                       " AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid"
                       " AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND (");
    for (uint16_t i = 0; i < e->column_count; i++) {
        hd_buffer_str(out, i ? " OR a.attname = " : "a.attname = ");
        put_literal(out, e->columns[i].name, e->columns[i].name_len);
        hd_buffer_str(out, " AND a.atttypid = ANY ('{");
        hd_buffer_str(out, hd_sql_copied_types(&e->columns[i]));
        hd_buffer_str(out, "}'::regtype[])");
    }
    hd_buffer_str(out, ")) = ");
    hd_buffer_int(out, e->column_count);
    hd_buffer_str(out, " FROM pg_class c WHERE c.oid = ");
    put_literal(out, e->table, strlen(e->table));
    hd_buffer_str(out, "::regclass");
}

static bool make(hd_flush *flush, hd_statement *out, const hd_entity *e,
                 void (*put)(hd_buffer *out, const hd_entity *e)) {
    hd_buffer sql;
    hd_buffer_init(&sql, flush->mem);
    put(&sql, e);
    *out = (hd_statement){.repeat = 1, .expect = -1, .cache = true, .affected = -1};
    return hd_flush_take_text(flush, out, &sql);
}

bool hd_flush_ask_to_copy(hd_flush *flush, const hd_key_request *request) {
    static const uint8_t answer[] = {HD_T_BOOLEAN};
    hd_statement *statements = flush->batch.statements;
    if (!make(flush, &statements[request->look - 1], request->entity, put_lock)) return false;
    if (!make(flush, &statements[request->look], request->entity, put_look)) return false;
    statements[request->look].types = answer;
    statements[request->look].type_count = 1;
    return true;
}

/* ---- the statement ---- */

static void put_copy(hd_buffer *out, const hd_write_shape *shape) {
    const hd_entity *e = shape->entity;
    hd_buffer_str(out, "COPY ");
    hd_buffer_str(out, e->table);
    for (uint16_t s = 0; s < shape->set_count; s++) {
        const hd_column *column = &e->columns[shape->slots[s]];
        hd_buffer_str(out, s ? ", " : " (");
        hd_buffer_ident(out, column->name, column->name_len);
    }
    hd_buffer_str(out, ") FROM STDIN (FORMAT binary)");
}

bool hd_flush_build_copy(hd_flush *flush, const hd_order_run *run, const hd_write_shape *shape,
                         hd_error *err) {
    const hd_flush_part part = {
        .shape = shape, .first = run->first, .rows = run->count, .per = run->count};
    hd_statement *s = hd_flush_add_statement(flush, &part);
    hd_buffer sql;
    hd_buffer_init(&sql, flush->mem);
    if (s) put_copy(&sql, shape);
    if (!s || !hd_flush_take_text(flush, s, &sql)) {
        hd_error_memory(err);
        return false;
    }
    s->expect = run->count;
    s->copy = shape->set_count;
    s->param_count = shape->set_count * run->count;
    s->params = hd_flush_params(flush, shape, HD_FORM_VALUES, run->first, run->count, err);
    return s->params != NULL;
}
