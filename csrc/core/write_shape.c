/* Shapes: which writes are alike, which columns they write and which come back. A column comes
 * back when the database filled it in: a key that only the INSERT tells, a declared default that
 * was left out, a generated column. */
#include "write_shape.h"

/* ---- likeness ---- */

static bool same_text(const hd_expression *a, const hd_expression *b) {
    if (!a || !b) return a == b;
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i <= a->count; i++) {
        if (!hd_value_equal(&a->texts[i], &b->texts[i])) return false;
    }
    return true;
}

static uint64_t hash_of_texts(const hd_write *w) {
    uint64_t hash = 0;
    for (uint16_t c = 0; hd_write_is_expressed(w) && c < w->change->entity->column_count; c++) {
        const hd_expression *x = hd_write_expression(w, c);
        if (x) hash = (hash ^ hd_value_hash(x->texts, x->count + 1)) * 0xFF51AFD7ED558CCDu;
    }
    return hash;
}

bool hd_write_same_shape(const hd_write *a, const hd_write *b) {
    const hd_entity *e = a->change->entity;
    if (e != b->change->entity || a->op != b->op || a->wave != b->wave || a->later != b->later ||
        a->parks != b->parks || a->unchecked != b->unchecked ||
        (a->key == HD_KEY_AWAITED) != (b->key == HD_KEY_AWAITED) ||
        hd_write_versioned(a) != hd_write_versioned(b) ||
        hd_write_switches(a) != hd_write_switches(b))
        return false;
    if (a->op == HD_DELETE) return true;
    for (uint16_t c = 0; c < e->column_count; c++) {
        if (hd_write_sets(a, c) != hd_write_sets(b, c)) return false;
        if (a->parks && a->parking->how[c] != b->parking->how[c]) return false;
        if (!same_text(hd_write_expression(a, c), hd_write_expression(b, c))) return false;
    }
    return true;
}

bool hd_write_alike(const hd_write *a, const hd_write *b) {
    if (!a->whole && !b->whole) return hd_write_same_shape(a, b);
    return a->whole == b->whole && a->wave == b->wave;
}

uint64_t hd_write_likeness(const hd_write *w) {
    const hd_entity *e = w->change->entity;
    if (w->whole) return w->wave * 4u + w->whole;
    uint64_t hash = e->id * 8u + w->op * 2u + (w->key == HD_KEY_AWAITED), bits = 1;
    hash = hash * 0x9E3779B97F4A7C15u + w->wave * 32u + w->parks * 16u + hd_write_switches(w) * 8u +
           w->later * 4u + w->unchecked * 2u + hd_write_versioned(w);
    for (uint16_t c = 0; c < e->column_count && w->op != HD_DELETE; c++) {
        bits = bits << 1 | hd_write_sets(w, c);
        if (c % 32 == 31) hash = (hash ^ bits) * 0xFF51AFD7ED558CCDu;
    }
    hash = (hash ^ bits ^ hash_of_texts(w)) * 0xFF51AFD7ED558CCDu;
    return hash ^ hash >> 32;
}

/* ---- shape ---- */

static bool comes_back(const hd_write *w, uint16_t column) {
    uint16_t flags = w->change->entity->columns[column].flags;
    if (w->op == HD_DELETE || w->parks || w->change->slot == HD_NO_SLOT) return false;
    if ((flags & HD_COL_GENERATED) || hd_write_expression(w, column)) return true;
    if ((flags & HD_COL_VERSION) && hd_write_counts(w)) return true;
    if (hd_write_resets(w, column)) return flags & HD_COL_SERVER_DEFAULT;
    if (w->op != HD_INSERT || hd_write_sets(w, column)) return false;
    return (flags & HD_COL_SERVER_DEFAULT) ||
           (w->key == HD_KEY_AWAITED && (flags & HD_COL_PRIMARY));
}

hd_type hd_write_param_type(const hd_column *column) {
    return column->cast ? HD_T_UNKNOWN : (hd_type)column->type;
}

static void add_slot(hd_write_shape *shape, uint16_t column) {
    hd_type type = hd_write_param_type(&shape->entity->columns[column]);
    if (type == HD_T_UNKNOWN || type == HD_T_ARRAY) shape->has_array_form = false;
    shape->slots[shape->slot_count++] = column;
    const hd_expression *x = hd_write_slot_expression(shape, shape->slot_count - 1u);
    shape->param_count += x ? x->count : 1;
}

bool hd_write_describe(hd_arena *arena, const hd_write *w, bool guarded, hd_write_shape *out) {
    const hd_entity *e = w->change->entity;
    *out = (hd_write_shape){
        .entity = e, .op = w->op, .versioned = hd_write_versioned(w), .has_array_form = true};
    out->parks = w->parks;
    out->how = w->parks ? w->parking->how : NULL;
    out->guarded = guarded && e->check_rows && !w->unchecked;
    out->may_exist = w->op == HD_INSERT && w->unchecked;
    out->counts = hd_write_counts(w);
    out->expressions = hd_write_is_expressed(w) ? w->change->expressions : NULL;
    out->set_count = UINT16_MAX; /* none of the slots is WHERE yet */
    out->slots =
        hd_arena_alloc(arena, (e->column_count * 3u + e->key_count + 1u) * sizeof(uint16_t));
    if (!out->slots) return false;
    out->back = out->slots + e->column_count + e->key_count + 1;
    out->resets = out->back + e->column_count;
    for (uint16_t c = 0; c < e->column_count; c++) {
        if (comes_back(w, c)) out->back[out->back_count++] = c;
        if (hd_write_resets(w, c)) out->resets[out->reset_count++] = c;
        if (!hd_write_sets(w, c)) continue;
        if (w->parks && (e->columns[c].flags & HD_COL_CHECKED)) out->unconfined = true;
        add_slot(out, c);
        if (e->columns[c].flags & HD_COL_AUTO_KEY) out->writes_auto_key = true;
    }
    out->set_count = out->slot_count;
    if (w->op == HD_INSERT) return true;
    for (uint16_t k = 0; k < e->key_count; k++) add_slot(out, e->key[k]);
    if (out->versioned) add_slot(out, (uint16_t)e->version);
    return true;
}

/* ---- results ---- */

hd_write_match hd_write_matching(const hd_dialect *dialect, const hd_write_shape *shape,
                                 hd_write_form form) {
    if (!shape->back_count) return HD_MATCH_NONE;
    if (form == HD_FORM_ROW) return HD_MATCH_EXECUTION;
    return dialect->bulk_unnest ? HD_MATCH_ORDINAL : HD_MATCH_KEY;
}

bool hd_write_has_guard(const hd_dialect *dialect, const hd_write_shape *shape,
                        hd_write_form form) {
    return dialect->bulk_unnest && shape->guarded &&
           (form != HD_FORM_ROW || shape->op == HD_INSERT || shape->expressions);
}

uint32_t hd_write_result_types(const hd_dialect *dialect, const hd_write_shape *shape,
                               hd_write_form form, uint8_t *types) {
    const hd_entity *e = shape->entity;
    hd_write_match match = hd_write_matching(dialect, shape, form);
    uint32_t n = 0;
    if (match == HD_MATCH_ORDINAL) types[n++] = HD_T_BIGINT;
    for (uint16_t k = 0; k < e->key_count && match == HD_MATCH_KEY; k++) {
        types[n++] = (uint8_t)hd_write_param_type(&e->columns[e->key[k]]);
    }
    for (uint16_t b = 0; b < shape->back_count; b++) {
        types[n++] = (uint8_t)hd_write_param_type(&e->columns[shape->back[b]]);
    }
    if (hd_write_has_guard(dialect, shape, form)) types[n++] = HD_T_INTEGER;
    return n;
}
