/* Statements of a body batch: their place in it, their text, the parameters of their rows. */
#include <string.h>

#include "flush_parts.h"

/* Who asks for the parameters of which rows. */
typedef struct asker {
    hd_flush *flush;
    const hd_write_shape *shape;
    const uint8_t *types; /* of the slots' values */
    bool usual;           /* the shape has rows whose values stand in their changes */
    hd_error *err;
} asker;

static const uint8_t *slot_types(hd_arena *arena, const hd_write_shape *shape) {
    uint8_t *types = hd_arena_alloc(arena, shape->slot_count);
    for (uint32_t s = 0; types && s < shape->slot_count; s++)
        types[s] = (uint8_t)hd_write_param_type(&shape->entity->columns[shape->slots[s]]);
    return types;
}

/* ---- parameters ---- */

static hd_value *copy_params(const hd_expression *x, hd_value *to) {
    if (x->count) memcpy(to, x->params, x->count * sizeof *to);
    return to + x->count;
}

static bool find_value(const asker *a, const hd_write *w, uint16_t column, bool is_old,
                       hd_value *out) {
    if (!is_old && a->shape->how && a->shape->how[column] == HD_SPARE_BELOW) {
        *out = hd_flush_least_coming(a->flush, a->shape->entity, column);
        return true;
    }
    const hd_value *value = a->shape->reads ? hd_write_after(w, column)
                            : is_old        ? hd_write_old(w, column)
                                            : hd_write_new(w, column);
    if (hd_flush_resolve(a->flush, w->change, column, value, out)) return true;
    hd_error_set(a->err, HD_E_COMMIT_ORDER,
                 "%s.%s: the value it refers to is not known before the row is written",
                 a->shape->entity->name, a->shape->entity->columns[column].property);
    return false;
}

static inline bool slot_value(const asker *a, const hd_write *w, uint32_t slot, hd_value *out) {
    uint16_t column = a->shape->slots[slot];
    bool is_old = hd_write_slot_is_old(a->shape, slot);
    const hd_value *value = is_old ? &w->change->old[column] : &w->change->set[column];
    bool usual = a->usual && !w->parking && !w->held;
    if (!usual || value->kind == HD_PENDING || value->kind == HD_DEFAULT)
        return find_value(a, w, column, is_old, out);
    *out = *value;
    out->type = a->types[slot];
    return true;
}

static const hd_write *write_at(const asker *a, uint32_t row) {
    return &a->flush->writes[a->flush->order.nodes[row]];
}

static hd_value *row_params(const asker *a, uint32_t first, uint32_t rows) {
    const hd_write_shape *shape = a->shape;
    size_t count = (size_t)rows * shape->param_count;
    hd_value *params = hd_arena_alloc(&a->flush->work, count * sizeof *params), *next = params;
    if (!params) hd_error_memory(a->err);
    for (uint32_t r = first; params && r < first + rows; r++) {
        const hd_write *w = write_at(a, r);
        for (uint32_t s = 0; s < shape->slot_count; s++) {
            if (hd_write_slot_expression(shape, s))
                next = copy_params(hd_write_expression(w, shape->slots[s]), next);
            else if (!slot_value(a, w, s, next++))
                return NULL;
        }
    }
    return params;
}

static hd_value *array_params(const asker *a, uint32_t first, uint32_t rows) {
    uint32_t slots = a->shape->slot_count;
    hd_value *params = hd_arena_zero(&a->flush->work, slots * sizeof *params);
    hd_value *items = hd_arena_alloc(&a->flush->work, (size_t)rows * slots * sizeof *items);
    hd_list *lists = hd_arena_alloc(&a->flush->work, slots * sizeof *lists);
    if (!params || !items || !lists) {
        hd_error_memory(a->err);
        return NULL;
    }
    for (uint32_t s = 0; s < slots; s++, items += rows) {
        for (uint32_t r = 0; r < rows; r++) {
            if (!slot_value(a, write_at(a, first + r), s, &items[r])) return NULL;
        }
        lists[s] = (hd_list){a->types[s], rows, items};
        params[s] = (hd_value){.kind = HD_LIST, .type = a->types[s], .as.list = &lists[s]};
    }
    return params;
}

hd_value *hd_flush_params(hd_flush *flush, const hd_write_shape *shape, hd_write_form form,
                          uint32_t first, uint32_t rows, hd_error *err) {
    const asker a = {flush, shape, slot_types(&flush->work, shape), !shape->how && !shape->reads,
                     err};
    if (!a.types) {
        hd_error_memory(err);
        return NULL;
    }
    return form == HD_FORM_ARRAYS ? array_params(&a, first, rows) : row_params(&a, first, rows);
}

/* ---- statements ---- */

hd_statement *hd_flush_add_statement(hd_flush *flush, const hd_flush_part *part) {
    void *old[2] = {flush->batch.statements, flush->parts};
    uint32_t count = flush->batch.count;
    if (count == flush->statement_capacity) {
        uint32_t capacity = count ? count * 4 : 2;
        flush->batch.statements = hd_arena_alloc(&flush->work, capacity * sizeof(hd_statement));
        flush->parts = hd_arena_alloc(&flush->work, capacity * sizeof(hd_flush_part));
        if (!flush->batch.statements || !flush->parts) return NULL;
        if (count) {
            memcpy(flush->batch.statements, old[0], count * sizeof(hd_statement));
            memcpy(flush->parts, old[1], count * sizeof(hd_flush_part));
        }
        flush->statement_capacity = capacity;
    }
    flush->parts[count] = *part;
    flush->batch.count++;
    flush->batch.statements[count] = (hd_statement){.repeat = 1, .expect = -1, .affected = -1};
    return &flush->batch.statements[count];
}

void hd_flush_set_text(hd_statement *statement, const char *text, size_t len) {
    statement->sql = text;
    statement->sql_len = len;
    statement->hash = hd_sql_hash(text, len);
}

bool hd_flush_take_text(hd_flush *flush, hd_statement *statement, hd_buffer *sql) {
    size_t len = sql->len;
    const char *text = sql->failed ? NULL : hd_arena_copy(&flush->work, sql->data, len);
    hd_buffer_free(sql);
    if (text) hd_flush_set_text(statement, text, len);
    return text != NULL;
}
