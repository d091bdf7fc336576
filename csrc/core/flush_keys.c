/* Keys batch: every row that lacks a key it can be told beforehand gets it here, so that the body
 * needs neither RETURNING nor waves for keys. Keys are handed out in the order of the calls. A
 * request that is answered with NULL cannot be asked for at all (no sequence belongs to the
 * column): its entity is remembered as one whose key only the INSERT tells, and the plan is made
 * again with what the others were given. */
#include <string.h>

#include "flush_parts.h"
#include "keys_sql.h"

/* ---- asking ---- */

hd_key_request *hd_flush_request_of(const hd_flush *flush, const hd_entity *entity) {
    for (uint32_t r = 0; r < flush->request_count; r++) {
        if (flush->requests[r].entity == entity) return &flush->requests[r];
    }
    return NULL;
}

static uint32_t count_entities(const hd_flush *flush, uint32_t *rows) {
    uint32_t entities = 0;
    const hd_entity *last = NULL;
    *rows = 0;
    for (uint32_t w = 0; w < flush->write_count; w++) {
        if (flush->writes[w].key != HD_KEY_FETCHED) continue;
        ++*rows;
        if (flush->writes[w].change->entity != last)
            entities++; /* at most one too many for each switch */
        last = flush->writes[w].change->entity;
    }
    return entities;
}

static bool collect(hd_flush *flush) {
    uint32_t rows, most = count_entities(flush, &rows);
    if (!rows) return true;
    flush->requests = hd_arena_zero(&flush->work, most * sizeof *flush->requests);
    uint32_t *changes = hd_arena_alloc(&flush->work, rows * sizeof *changes);
    if (!flush->requests || !changes) return false;
    for (int pass = 0; pass < 2; pass++) { /* count, then fill */
        for (uint32_t i = 0; i < flush->write_count; i++) {
            const hd_write *w = &flush->writes[i];
            if (w->key != HD_KEY_FETCHED) continue;
            hd_key_request *r = hd_flush_request_of(flush, w->change->entity);
            if (!r) {
                r = &flush->requests[flush->request_count++];
                r->entity = w->change->entity;
                r->column = (uint16_t)w->key_column;
            }
            if (pass) r->changes[r->count] = w->change->index;
            r->count++;
        }
        for (uint32_t r = 0; !pass && r < flush->request_count; r++) {
            flush->requests[r].changes = changes;
            changes += flush->requests[r].count;
            flush->requests[r].count = 0;
        }
    }
    return true;
}

static bool make_statement(hd_flush *flush, const hd_key_request *r, hd_statement *out) {
    const hd_dialect *dialect = flush->options.dialect;
    hd_value *count = hd_arena_alloc(&flush->work, sizeof *count);
    uint8_t *type = hd_arena_alloc(&flush->work, 1);
    hd_buffer sql;
    hd_buffer_init(&sql, flush->mem);
    hd_keys_sql(&sql, dialect, r->entity, r->column);
    char *text = sql.failed ? NULL : hd_arena_copy(&flush->work, sql.data, sql.len);
    size_t len = sql.len;
    hd_buffer_free(&sql);
    if (!count || !type || !text) return false;
    *count = hd_int(r->count, HD_T_INTEGER);
    *type = (uint8_t)hd_write_param_type(&r->entity->columns[r->column]);
    if (r->entity->key_source == HD_KEY_SEQUENCE)
        *type = hd_keys_sql_is_base(dialect, r->entity) ? HD_T_BIGINT : HD_T_ARRAY;
    *out = (hd_statement){.sql = text,
                          .sql_len = len,
                          .hash = hd_sql_hash(text, len),
                          .repeat = 1,
                          .expect = -1,
                          .types = type,
                          .type_count = 1,
                          .cache = true,
                          .affected = -1};
    if (hd_keys_sql_is_base(dialect, r->entity)) return true;
    out->params = count;
    out->param_count = 1;
    return true;
}

/* Behind the statements that ask for keys, two for each entity whose rows may be copied. */
static uint32_t place_looks(hd_flush *flush) {
    uint32_t count = flush->request_count;
    for (uint32_t r = 0; r < flush->request_count; r++) {
        if (!hd_flush_wants_copy(flush, &flush->requests[r])) continue;
        flush->requests[r].look = count + 1;
        count += 2;
    }
    return count;
}

static bool make_statements(hd_flush *flush) {
    hd_batch *batch = &flush->batch;
    batch->statements = hd_arena_alloc(&flush->work, batch->count * sizeof(hd_statement));
    for (uint32_t r = 0; batch->statements && r < flush->request_count; r++) {
        const hd_key_request *request = &flush->requests[r];
        if (!make_statement(flush, request, &batch->statements[r])) return false;
        if (request->look && !hd_flush_ask_to_copy(flush, request)) return false;
    }
    return batch->statements != NULL;
}

const hd_batch *hd_flush_keys(hd_flush *flush, hd_error *err) {
    hd_error_clear(err);
    if (!collect(flush)) {
        hd_error_memory(err);
        return NULL;
    }
    if (!flush->request_count) return NULL;
    flush->batch =
        (hd_batch){.count = place_looks(flush), .sink = hd_flush_sink, .sink_ctx = flush};
    if (!make_statements(flush)) {
        hd_error_memory(err);
        return NULL;
    }
    flush->stage = HD_FLUSH_KEYS;
    return &flush->batch;
}

/* ---- answers ---- */

static bool take_one(hd_flush *flush, hd_key_request *r, const hd_value *key) {
    if (key->kind == HD_NULL) {
        r->refused = true;
    } else if (r->answered < r->count) {
        hd_change *change = flush->changes[r->changes[r->answered++]];
        return hd_flush_store(flush, change, r->column, key);
    }
    return true;
}

static void take_look(hd_flush *flush, const hd_row *row) {
    for (uint32_t r = 0; r < flush->request_count; r++) {
        hd_key_request *request = &flush->requests[r];
        if (request->look == row->statement)
            request->copies = row->values[0].kind == HD_BOOL && row->values[0].as.i;
    }
}

hd_error_kind hd_flush_take_key(hd_flush *flush, const hd_row *row, hd_error *err) {
    if (row->statement >= flush->batch.count || row->count < 1)
        return hd_error_set(err, HD_E_DRIVER, "a row of the keys statement has no column");
    if (row->statement >= flush->request_count) {
        take_look(flush, row);
        return HD_OK;
    }
    hd_key_request *r = &flush->requests[row->statement];
    const hd_value *key = &row->values[0];
    if (key->kind == HD_INT && hd_keys_sql_is_base(flush->options.dialect, r->entity)) {
        r->highest = key->as.i;
        r->answered = r->count;
        return HD_OK;
    }
    uint32_t count = key->kind == HD_LIST ? key->as.list->count : 1;
    if (key->kind == HD_LIST) key = key->as.list->items;
    for (uint32_t i = 0; i < count; i++) {
        if (!take_one(flush, r, &key[i])) return hd_error_memory(err);
    }
    return HD_OK;
}

/* The highest key that this flush itself brings: a generated one must not meet it. */
static int64_t highest_given(const hd_flush *flush, const hd_key_request *r) {
    int64_t highest = 0;
    for (size_t i = 0; i < flush->count; i++) {
        const hd_change *c = flush->changes[i];
        if (c->entity != r->entity || c->op == HD_DELETE || c->set[r->column].kind != HD_INT)
            continue;
        if (c->set[r->column].as.i > highest) highest = c->set[r->column].as.i;
    }
    return highest;
}

static hd_error_kind number_rows(hd_flush *flush, const hd_key_request *r, hd_error *err) {
    const hd_column *column = &r->entity->columns[r->column];
    int64_t base = highest_given(flush, r);
    if (r->highest > base) base = r->highest;
    if (base > INT64_MAX - (int64_t)r->count)
        return hd_error_set(err, HD_E_VALIDATION,
                            "%s.%s: no key is left above the highest one in use; give the keys of"
                            " new rows yourself",
                            r->entity->name, column->property);
    for (uint32_t i = 0; i < r->count; i++) {
        hd_value key = hd_int(base + 1 + i, (hd_type)column->type);
        if (!hd_flush_store(flush, flush->changes[r->changes[i]], r->column, &key))
            return hd_error_memory(err);
    }
    return HD_OK;
}

hd_error_kind hd_flush_settle_keys(hd_flush *flush, hd_error *err) {
    bool again = false;
    for (uint32_t i = 0; i < flush->request_count; i++) {
        hd_key_request *r = &flush->requests[i];
        if (r->refused) {
            r->entity->key_source = HD_KEY_RETURNING;
            again = true;
        } else if (r->answered < r->count) {
            return hd_error_set(
                err, HD_E_DRIVER, "%s: the database gave %lu keys, %lu were asked for",
                r->entity->name, (unsigned long)r->answered, (unsigned long)r->count);
        } else if (hd_keys_sql_is_base(flush->options.dialect, r->entity)) {
            hd_error_kind kind = number_rows(flush, r, err);
            if (kind) return kind;
        }
    }
    return again ? hd_flush_arrange(flush, err) : HD_OK;
}
