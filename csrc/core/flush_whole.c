/* The statement for a ring of rows: one CTE for each shape of rows, and, where the database fills
 * values in, a SELECT behind it that reads them, since no result could hold the columns of all. */
#include <string.h>

#include "flush_parts.h"
#include "write_sql.h"

typedef struct assembly {
    hd_flush *flush;
    const hd_order_run *run;
    hd_error *err;
    hd_write_piece *pieces; /* one for each shape, from which nothing comes back */
    hd_write_shape *writes, *reads;
    hd_flush_part *parts;
    uint32_t count;
} assembly;

static hd_write_form form_of(const hd_write_shape *shape) {
    return shape->has_array_form ? HD_FORM_ARRAYS : HD_FORM_VALUES;
}

static uint32_t params_of(const hd_write_piece *piece) {
    return piece->shape->slot_count * (piece->form == HD_FORM_ARRAYS ? 1 : piece->rows);
}

/* ---- pieces ---- */

/* Rows of one shape come to stand together, which is for one statement to do as it likes. Gives
 * the number of shapes; lengths[i] is that of the ith. Both arrays have room for every row. */
static uint32_t gather_shapes(const hd_flush *flush, const hd_order_run *run, uint32_t *lengths,
                              uint32_t *rest) {
    uint32_t *nodes = flush->order.nodes + run->first, shapes = 0, done = 0;
    while (done < run->count) {
        const hd_write *model = &flush->writes[nodes[done]];
        uint32_t begin = done, left = 0;
        for (uint32_t i = begin; i < run->count; i++) {
            if (hd_write_same_shape(model, &flush->writes[nodes[i]]))
                nodes[done++] = nodes[i];
            else
                rest[left++] = nodes[i];
        }
        memcpy(&nodes[done], rest, left * sizeof *nodes);
        lengths[shapes++] = done - begin;
    }
    return shapes;
}

/* What reads the rows of a shape back: the keys are the slots. */
static void make_reading(hd_write_shape *shape) {
    const hd_entity *e = shape->entity;
    shape->reads = true;
    shape->guarded = false;
    memcpy(shape->slots, e->key, e->key_count * sizeof *shape->slots);
    shape->set_count = 0;
    shape->slot_count = e->key_count;
    shape->param_count = e->key_count;
}

static bool describe_piece(assembly *a, uint32_t k, uint32_t first, uint32_t rows) {
    const hd_write *w = &a->flush->writes[a->flush->order.nodes[first]];
    if (!hd_write_describe(&a->flush->work, w, true, &a->writes[k]) ||
        !hd_write_describe(&a->flush->work, w, true, &a->reads[k]))
        return false;
    a->writes[k].back_count = 0;
    make_reading(&a->reads[k]);
    a->pieces[k] = (hd_write_piece){&a->writes[k], form_of(&a->writes[k]), rows};
    a->parts[k] =
        (hd_flush_part){.shape = &a->writes[k], .first = first, .rows = rows, .per = rows};
    return true;
}

static bool describe_pieces(assembly *a) {
    hd_arena *arena = &a->flush->work;
    uint32_t *lengths = hd_arena_alloc(arena, 2 * (size_t)a->run->count * sizeof *lengths);
    if (!lengths) return false;
    a->count = gather_shapes(a->flush, a->run, lengths, lengths + a->run->count);
    a->pieces = hd_arena_alloc(arena, a->count * sizeof *a->pieces);
    a->writes = hd_arena_alloc(arena, 2 * (size_t)a->count * sizeof *a->writes);
    a->parts = hd_arena_alloc(arena, a->count * sizeof *a->parts);
    if (!a->pieces || !a->writes || !a->parts) return false;
    a->reads = a->writes + a->count;
    for (uint32_t k = 0, first = a->run->first; k < a->count; first += lengths[k++]) {
        if (!describe_piece(a, k, first, lengths[k])) return false;
    }
    return true;
}

/* ---- statements ---- */

static bool set_params(assembly *a, hd_statement *s) {
    for (uint32_t k = 0; k < a->count; k++) s->param_count += params_of(&a->pieces[k]);
    hd_value *next = hd_arena_alloc(&a->flush->work, s->param_count * sizeof *next);
    s->params = next;
    for (uint32_t k = 0; next && k < a->count; k++) {
        const hd_write_piece *p = &a->pieces[k];
        const hd_value *params =
            hd_flush_params(a->flush, p->shape, p->form, a->parts[k].first, p->rows, a->err);
        if (!params) return false;
        memcpy(next, params, params_of(p) * sizeof *next);
        next += params_of(p);
    }
    return next != NULL;
}

static bool build_write(assembly *a) {
    static const uint8_t guard = HD_T_INTEGER;
    hd_flush_part part = a->parts[0];
    part.rows = part.per = a->run->count;
    part.pieces = a->parts;
    part.piece_count = a->count;
    hd_statement *s = hd_flush_add_statement(a->flush, &part);
    if (!s) return false;
    hd_buffer sql;
    hd_buffer_init(&sql, a->flush->mem);
    hd_write_whole_sql(&sql, a->flush->options.dialect, a->pieces, a->count);
    if (!hd_flush_take_text(a->flush, s, &sql)) return false;
    s->cache = true;
    s->types = &guard;
    s->type_count = 1;
    return set_params(a, s);
}

static bool build_read(assembly *a, uint32_t k) {
    hd_flush *flush = a->flush;
    const hd_write_shape *shape = &a->reads[k];
    const hd_write_piece piece = {shape, form_of(shape), a->pieces[k].rows};
    hd_flush_part part = a->parts[k];
    part.shape = shape;
    part.match = HD_MATCH_ORDINAL;
    hd_statement *s = hd_flush_add_statement(flush, &part);
    uint8_t *types = hd_arena_alloc(&flush->work, shape->back_count + 2u);
    if (!s || !types) return false;
    hd_buffer sql;
    hd_buffer_init(&sql, flush->mem);
    hd_write_read_sql(&sql, flush->options.dialect, &piece);
    if (!hd_flush_take_text(flush, s, &sql)) return false;
    s->cache = true;
    s->types = types;
    s->type_count = hd_write_result_types(flush->options.dialect, shape, piece.form, types);
    s->param_count = params_of(&piece);
    s->params = hd_flush_params(flush, shape, piece.form, part.first, part.rows, a->err);
    return s->params != NULL;
}

bool hd_flush_build_whole(hd_flush *flush, const hd_order_run *run, hd_error *err) {
    assembly a = {.flush = flush, .run = run, .err = err};
    bool built = describe_pieces(&a) && build_write(&a);
    for (uint32_t k = 0; built && k < a.count; k++) {
        if (a.reads[k].back_count) built = build_read(&a, k);
    }
    if (!built && !err->kind) hd_error_memory(err);
    return built;
}
