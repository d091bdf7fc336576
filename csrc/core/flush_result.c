/* What comes back. Rows of a body batch find their change by their number, by their key, or by the
 * execution that gave them, never by the order in which the server sends them. Values are copied
 * into the flush's arena and marked in `came`. When a batch has run, its counts are looked at once
 * more here: drivers refuse a wrong count by themselves, but rows that should have come back and
 * did not are this room's to miss. */
#include <string.h>

#include "flush_parts.h"

/* ---- values ---- */

static bool copy_value(hd_arena *arena, hd_value *value) {
    if (hd_has_bytes(value)) {
        value->as.p = hd_arena_copy(arena, value->as.p, value->len);
        return value->as.p != NULL;
    }
    if (value->kind != HD_LIST) return true;
    const hd_list *from = value->as.list;
    hd_list *list = hd_arena_alloc(arena, sizeof *list);
    hd_value *items = hd_arena_alloc(arena, from->count * sizeof *items);
    if (!list || !items) return false;
    for (uint32_t i = 0; i < from->count; i++) {
        items[i] = from->items[i];
        if (!copy_value(arena, &items[i])) return false;
    }
    *list = (hd_list){from->type, from->count, items};
    value->as.list = list;
    return true;
}

bool hd_flush_store(hd_flush *flush, hd_change *change, uint16_t column, const hd_value *value) {
    hd_value copy = *value;
    if (!copy_value(&flush->arena, &copy)) return false;
    copy.type = (uint8_t)hd_write_param_type(&change->entity->columns[column]);
    change->set[column] = copy;
    change->came[column] = 1;
    return true;
}

bool hd_flush_resolve(const hd_flush *flush, const hd_change *change, uint16_t column,
                      const hd_value *value, hd_value *out) {
    uint8_t type = (uint8_t)hd_write_param_type(&change->entity->columns[column]);
    for (size_t steps = 0; value->kind == HD_PENDING; steps++) {
        if (steps > flush->count || (uint64_t)value->as.i >= flush->count) return false;
        const hd_change *target = flush->changes[value->as.i];
        if (value->len >= target->entity->column_count || !target->set) return false;
        column = (uint16_t)value->len;
        value = &target->set[column];
        if (value->kind == HD_DEFAULT && target->old) value = &target->old[column];
    }
    *out = *value;
    out->type = type;
    return value->kind != HD_DEFAULT;
}

/* ---- rows ---- */

static bool has_key(const hd_flush *flush, const hd_change *change, const hd_value *key) {
    const hd_entity *e = change->entity;
    for (uint16_t k = 0; k < e->key_count; k++) {
        hd_value sent;
        if (!hd_flush_resolve(flush, change, e->key[k], &change->set[e->key[k]], &sent))
            return false;
        if (!hd_value_equal(&sent, &key[k])) return false;
    }
    return true;
}

/* The row of the execution that has this key; rows mostly come in order, so the search begins
 * behind the last one. */
static int64_t find_by_key(const hd_flush *flush, const hd_flush_part *part, const hd_row *row) {
    uint32_t first = row->execution * part->per;
    if (first >= part->rows) return -1;
    uint32_t count = part->rows - first < part->per ? part->rows - first : part->per;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = first + (part->seen + i) % count;
        if (has_key(flush, hd_flush_row(flush, part, at), row->values)) return at;
    }
    return -1;
}

static int64_t find_row(const hd_flush *flush, const hd_flush_part *part, const hd_row *row) {
    if (part->match == HD_MATCH_EXECUTION) return row->execution;
    if (part->match == HD_MATCH_KEY) return find_by_key(flush, part, row);
    return row->values[0].kind == HD_INT ? row->values[0].as.i - 1 : -1;
}

static hd_error_kind take_row(hd_flush *flush, const hd_row *row, hd_error *err) {
    hd_flush_part *part = &flush->parts[row->statement];
    if (part->searches) part->seen++;
    if (!part->shape || part->match == HD_MATCH_NONE) return HD_OK; /* a guard that did not fail */
    const hd_write_shape *shape = part->shape;
    uint32_t head = part->match == HD_MATCH_ORDINAL ? 1
                    : part->match == HD_MATCH_KEY   ? shape->entity->key_count
                                                    : 0;
    if (row->count < head + shape->back_count)
        return hd_error_set(err, HD_E_DRIVER, "%s: a returned row has too few columns",
                            shape->entity->name);
    int64_t at = find_row(flush, part, row);
    if (at < 0 || at >= part->rows)
        return HD_OK; /* another key than was sent: counted as missing afterwards */
    hd_change *change = hd_flush_row(flush, part, (uint32_t)at);
    for (uint16_t b = 0; b < shape->back_count; b++) {
        if (!hd_flush_store(flush, change, shape->back[b], &row->values[head + b]))
            return hd_error_memory(err);
    }
    part->seen++;
    return HD_OK;
}

hd_error_kind hd_flush_sink(void *ctx, const hd_row *row, hd_error *err) {
    hd_flush *flush = ctx;
    if (flush->stage == HD_FLUSH_KEYS) return hd_flush_take_key(flush, row, err);
    if (row->statement >= flush->batch.count)
        return hd_error_set(err, HD_E_DRIVER, "a row of no statement");
    return take_row(flush, row, err);
}

/* ---- the end of a batch ---- */

static hd_error_kind missing(hd_error *err, const hd_flush_part *part, uint32_t statement) {
    err->statement = (int32_t)statement;
    hd_flush_word_missed(part, err);
    return err->kind;
}

static hd_error_kind settle_part(hd_flush *flush, uint32_t index, hd_error *err) {
    const hd_statement *statement = &flush->batch.statements[index];
    const hd_flush_part *part = &flush->parts[index];
    if (!part->shape) return HD_OK;
    bool checked = statement->expect >= 0 || part->shape->guarded;
    if (statement->expect >= 0 &&
        statement->affected != statement->expect * (int64_t)statement->repeat)
        return missing(err, part, index);
    if (checked && part->match != HD_MATCH_NONE && part->seen < part->rows)
        return missing(err, part, index);
    if (part->counts_keys && !hd_flush_counted_well(flush, index)) return missing(err, part, index);
    if (part->in_blocks && !hd_flush_block_is_sound(flush, index)) return missing(err, part, index);
    if (!part->last_id) return HD_OK;
    hd_change *change = hd_flush_row(flush, part, 0);
    hd_value key = hd_int(statement->last_id, HD_T_BIGINT);
    return hd_flush_store(flush, change, (uint16_t)change->entity->auto_key, &key)
               ? HD_OK
               : hd_error_memory(err);
}

hd_error_kind hd_flush_settle_batch(hd_flush *flush, hd_error *err) {
    for (uint32_t i = 0; i < flush->batch.count; i++) {
        hd_error_kind kind = settle_part(flush, i, err);
        if (kind) return kind;
    }
    return HD_OK;
}

/* References to rows that had no key when they were gathered hold it now. */
static hd_error_kind settle_references(hd_flush *flush, hd_change *change, hd_error *err) {
    for (uint16_t c = 0; change->set && c < change->entity->column_count; c++) {
        if (change->set[c].kind != HD_PENDING) continue;
        if (!hd_flush_resolve(flush, change, c, &change->set[c], &change->set[c]))
            return hd_error_set(err, HD_E_DRIVER, "%s.%s: the key it refers to never came",
                                change->entity->name, change->entity->columns[c].property);
        change->came[c] = 1;
    }
    return HD_OK;
}

hd_error_kind hd_flush_check(hd_flush *flush, hd_error *err) {
    hd_error_clear(err);
    if (flush->stage == HD_FLUSH_BODY) {
        hd_error_kind kind = hd_flush_settle_batch(flush, err);
        if (kind) return kind;
    }
    for (size_t i = 0; i < flush->count; i++) {
        hd_error_kind kind = settle_references(flush, flush->changes[i], err);
        if (kind) return kind;
        flush->changes[i]->reached = 1;
    }
    flush->stage = HD_FLUSH_DONE;
    return HD_OK;
}
