/* Counted keys (SQLite). Where the whole flush is many new rows of one table, whose keys follow the highest in use, they need
 * not be sent: the database counts on in the same way, and does so without looking in the table whether each is free. What
 * it has counted is what was told when three things hold behind the statement, under the write lock: no trigger has touched
 * any row, the last rowid is the last row's key, and a row is found by that key, for else the column is none that the
 * database counts in. Where one does not hold the keys are sent next time. */
#include <string.h>

#include "flush_parts.h"

static bool refers_to_itself(const hd_entity *e) {
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        if (e->foreign_keys[k].target == e) return true;
    }
    return false;
}

static const hd_value *key_at(const hd_flush *flush, uint32_t row, uint16_t column) {
    return &flush->writes[flush->order.nodes[row]].change->set[column];
}

/* Keys that the program gave may be among them, or higher. */
static bool follow_highest(const hd_flush *flush, const hd_order_run *run,
                           const hd_key_request *request) {
    for (uint32_t i = 0; i < run->count; i++) {
        const hd_value *key = key_at(flush, run->first + i, request->column);
        if (key->kind != HD_INT || key->as.i != request->highest + 1 + i) return false;
    }
    return true;
}

bool hd_flush_counts_keys(const hd_flush *flush, const hd_order_run *run,
                          const hd_write_shape *shape) {
    const hd_entity *e = shape->entity;
    const hd_dialect *dialect = flush->options.dialect;
    if (!dialect->row_sequence || flush->write_count != run->count ||
        run->count < dialect->insert_rows || run->whole)
        return false;
    if (shape->op != HD_INSERT || shape->set_count < 2 || shape->back_count || shape->may_exist ||
        !shape->keys_fetched || !shape->writes_auto_key)
        return false;
    if (e->sends_keys || !e->check_rows || refers_to_itself(e)) return false;
    const hd_key_request *request = hd_flush_request_of(flush, e);
    return request && follow_highest(flush, run, request);
}

void hd_flush_leave_keys_out(hd_write_shape *shape) {
    uint16_t kept = 0;
    for (uint16_t s = 0; s < shape->slot_count; s++) {
        if (shape->slots[s] != shape->entity->auto_key) shape->slots[kept++] = shape->slots[s];
    }
    shape->slot_count = shape->set_count = kept;
    shape->param_count = kept;
    shape->writes_auto_key = false;
}

static bool put_search(hd_flush *flush, hd_statement *statement, const hd_entity *e) {
    const hd_column *column = &e->columns[e->auto_key];
    hd_buffer sql;
    hd_buffer_init(&sql, flush->mem);
    hd_buffer_str(&sql, "SELECT 1 FROM ");
    hd_buffer_str(&sql, e->table);
    hd_buffer_str(&sql, " WHERE ");
    hd_buffer_ident(&sql, column->name, column->name_len);
    hd_buffer_str(&sql, " = ?1");
    return hd_flush_take_text(flush, statement, &sql);
}

bool hd_flush_search_key(hd_flush *flush, uint32_t first, hd_error *err) {
    for (uint32_t i = first; i < flush->batch.count; i++) flush->parts[i].counts_keys = true;
    static const uint8_t answer[] = {HD_T_INTEGER};
    const hd_flush_part *last = &flush->parts[flush->batch.count - 1];
    const hd_entity *e = last->shape->entity;
    hd_value *key = hd_arena_alloc(&flush->work, sizeof *key);
    if (key) *key = *key_at(flush, last->first + last->rows - 1, (uint16_t)e->auto_key);
    const hd_flush_part search = {.searches = true};
    hd_statement *s = key ? hd_flush_add_statement(flush, &search) : NULL;
    if (!s || !put_search(flush, s, e)) {
        hd_error_memory(err);
        return false;
    }
    s->cache = true;
    s->params = key;
    s->param_count = 1;
    s->types = answer;
    s->type_count = 1;
    return true;
}

bool hd_flush_counted_well(const hd_flush *flush, uint32_t statement) {
    const hd_flush_part *part = &flush->parts[statement];
    const hd_statement *s = &flush->batch.statements[statement];
    uint16_t column = (uint16_t)part->shape->entity->auto_key;
    const hd_flush_part *search = &flush->parts[flush->batch.count - 1];
    return s->besides == 0 && search->seen == 1 &&
           s->last_id == key_at(flush, part->first + part->rows - 1, column)->as.i;
}
