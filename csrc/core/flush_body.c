/* Body batches: runs of the commit order become statements. A batch holds one wave: all runs whose
 * values are known once the batches before it have run (without awaited keys that is the whole
 * flush).
 *
 * With unnest a run is one statement for each batch_size rows, as arrays where every type has an
 * array form, else as VALUES. Without it, a DELETE, and an UPDATE of rows that may meet, is one
 * text stepped for each row; an INSERT and other UPDATEs are full blocks of rows, then the rest row
 * by row (two texts for any number of rows), or one smaller block when values come back, since
 * RETURNING for single rows costs more than preparing a text. A ring of rows (a `whole` run) is one statement whatever its size. */
#include <string.h>

#include "flush_parts.h"
#include "write_sql.h"

/* One kind of statement that a run is cut into. */
typedef struct cut {
    hd_write_form form;
    uint32_t per; /* rows of one execution */
    uint32_t repeat;
} cut;

typedef struct builder {
    hd_flush *flush;
    const hd_order_run *run;
    hd_write_shape *shape;
    hd_error *err;
} builder;

/* ---- statements ---- */

static bool write_text(const builder *b, const cut *c, hd_statement *statement) {
    const hd_flush_options *options = &b->flush->options;
    if (hd_write_texts_find(options->texts, b->shape, c->form, c->per, &b->flush->work, statement))
        return true;
    hd_buffer sql;
    hd_buffer_init(&sql, b->flush->mem);
    hd_write_sql(&sql, options->dialect, b->shape, c->form, c->per);
    if (!hd_flush_take_text(b->flush, statement, &sql)) return false;
    hd_write_texts_keep(options->texts, b->shape, c->form, c->per, statement);
    return true;
}

static bool set_types(const builder *b, const cut *c, hd_statement *statement) {
    const hd_entity *e = b->shape->entity;
    uint8_t *types = hd_arena_alloc(&b->flush->work, e->key_count + b->shape->back_count + 2u);
    if (!types) return false;
    statement->type_count =
        hd_write_result_types(b->flush->options.dialect, b->shape, c->form, types);
    statement->types = statement->type_count ? types : NULL;
    return true;
}

/* Rows that each execution has to touch: unknown where nothing is checked or the statement checks
 * itself. */
static int64_t expected(const builder *b, const cut *c) {
    const hd_write *w = &b->flush->writes[b->flush->order.nodes[b->run->first]];
    if (b->shape->guarded || w->unchecked || !b->shape->entity->check_rows) return -1;
    return c->per;
}

/* One statement for the rows from `first` on (a position in the order). `same` gives the text when
 * it is not NULL. */
static hd_statement *build(const builder *b, const cut *c, uint32_t first, uint32_t same) {
    const hd_dialect *dialect = b->flush->options.dialect;
    uint32_t rows = c->per * c->repeat;
    hd_flush_part part = {.shape = b->shape, .first = first, .rows = rows, .per = c->per};
    part.match = (uint8_t)hd_write_matching(dialect, b->shape, c->form);
    hd_statement *s = hd_flush_add_statement(b->flush, &part);
    bool made = s != NULL;
    if (made && same != UINT32_MAX) {
        const hd_statement *other = &b->flush->batch.statements[same];
        hd_flush_set_text(s, other->sql, other->sql_len);
    } else if (made) {
        made = write_text(b, c, s);
    }
    if (!made || !set_types(b, c, s)) {
        hd_error_memory(b->err);
        return NULL;
    }
    s->repeat = c->repeat;
    s->expect = expected(b, c);
    s->cache = true;
    s->unconfined = b->shape->unconfined;
    s->param_count = b->shape->param_count;
    if (c->form == HD_FORM_VALUES) s->param_count *= c->per;
    if (c->form == HD_FORM_WALK) s->walk = b->shape->set_count + 1u;
    s->params = hd_flush_params(b->flush, b->shape, c->form, first, rows, b->err);
    return s->params ? s : NULL;
}

/* Cuts `rows` rows from position `first` on into statements of `most` rows. */
static bool build_pieces(const builder *b, hd_write_form form, uint32_t first, uint32_t rows,
                         uint32_t most) {
    uint32_t same = UINT32_MAX, last = 0;
    while (rows) {
        cut c = {form, rows < most ? rows : most, 1};
        uint32_t index = b->flush->batch.count;
        bool alike = index && same != UINT32_MAX && (form == HD_FORM_ARRAYS || c.per == last);
        if (!build(b, &c, first, alike ? same : UINT32_MAX)) return false;
        if (!alike) same = index;
        last = c.per;
        first += c.per;
        rows -= c.per;
    }
    return true;
}

/* ---- runs ---- */

static uint32_t rows_of_values(const builder *b, uint32_t most) {
    uint32_t slots = b->shape->slot_count,
             fit = b->flush->options.dialect->max_params / (slots ? slots : 1);
    uint32_t rows = fit < most ? fit : most;
    return rows ? rows : 1;
}

static bool build_bulk(const builder *b) {
    const hd_order_run *run = b->run;
    uint32_t most = run->whole ? run->count : b->flush->options.batch_size;
    if (b->shape->has_array_form)
        return build_pieces(b, HD_FORM_ARRAYS, run->first, run->count, most);
    return build_pieces(b, HD_FORM_VALUES, run->first, run->count, rows_of_values(b, most));
}

static bool build_rows(const builder *b, uint32_t first, uint32_t rows) {
    cut c = {HD_FORM_ROW, 1, rows};
    return !rows || build(b, &c, first, UINT32_MAX);
}

static bool build_blocks(const builder *b) {
    const hd_order_run *run = b->run;
    if (run->whole)
        return build_pieces(b, HD_FORM_VALUES, run->first, run->count,
                            rows_of_values(b, run->count));
    uint32_t block = rows_of_values(b, b->flush->options.dialect->insert_rows),
             full = run->count / block;
    uint32_t first = run->first + full * block, rest = run->count - full * block;
    cut c = {HD_FORM_VALUES, block, full};
    if (full && !build(b, &c, run->first, UINT32_MAX)) return false;
    if (!b->shape->back_count || rest < 2) return build_rows(b, first, rest);
    return build_pieces(b, HD_FORM_VALUES, first, rest, rest);
}

static bool build_update_blocks(const builder *b) {
    const hd_order_run *run = b->run;
    uint32_t block = rows_of_values(b, b->flush->options.dialect->update_rows);
    cut c = {HD_FORM_VALUES, block, run->count / block};
    uint32_t rest = run->count % block;
    if (c.repeat) {
        if (!build(b, &c, run->first, UINT32_MAX)) return false;
        b->flush->parts[b->flush->batch.count - 1].in_blocks = true;
    }
    return build_rows(b, run->first + run->count - rest, rest);
}

static bool build_walk(const builder *b) {
    cut c = {HD_FORM_WALK, 1, b->run->count};
    if (!build(b, &c, b->run->first, UINT32_MAX)) return false;
    b->flush->parts[b->flush->batch.count - 1].in_blocks = true;
    return true;
}

static bool build_updates(const builder *b) {
    const hd_order_run *run = b->run;
    if (hd_flush_may_take_blocks(b->flush, run, b->shape)) {
        if (hd_flush_walks(b->flush, run, b->shape)) return build_walk(b);
        if (hd_flush_blocks_pay(b->flush, run)) return build_update_blocks(b);
    }
    return build_rows(b, run->first, run->count);
}

static bool build_counted(const builder *b) {
    uint32_t first = b->flush->batch.count;
    hd_flush_leave_keys_out(b->shape);
    return build_blocks(b) && hd_flush_search_key(b->flush, first, b->err);
}

/* A ring of deletes in one statement; a cascade within it takes rows that are then not counted. */
static bool build_ring_of_deletes(const builder *b) {
    uint32_t first = b->flush->batch.count;
    if (!build_pieces(b, HD_FORM_VALUES, b->run->first, b->run->count,
                      rows_of_values(b, b->run->count)))
        return false;
    const hd_entity *e = b->shape->entity;
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        if (e->foreign_keys[k].target != e || e->foreign_keys[k].on_delete != HD_RULE_CASCADE)
            continue;
        for (uint32_t s = first; s < b->flush->batch.count; s++)
            b->flush->batch.statements[s].expect = -1;
    }
    return true;
}

/* The only row of the flush. SQLite tells a rowid without RETURNING. */
static bool build_bare(const builder *b) {
    const hd_entity *e = b->shape->entity;
    bool last_id = b->flush->options.dialect->row_sequence && b->shape->op == HD_INSERT &&
                   b->shape->back_count == 1 && b->shape->back[0] == e->auto_key;
    if (last_id) b->shape->back_count = 0;
    if (!build_rows(b, b->run->first, 1)) return false;
    b->flush->parts[b->flush->batch.count - 1].last_id = last_id;
    return true;
}

static bool any_key_came(const hd_flush *flush, const hd_order_run *run) {
    for (uint32_t i = run->first; i < run->first + run->count; i++) {
        const hd_change *change = flush->writes[flush->order.nodes[i]].change;
        for (uint16_t k = 0; k < change->entity->key_count; k++) {
            if (change->came[change->entity->key[k]]) return true;
        }
    }
    return false;
}

static bool has_several_shapes(const hd_flush *flush, const hd_order_run *run) {
    const hd_write *first = &flush->writes[flush->order.nodes[run->first]];
    for (uint32_t i = 1; first->whole && i < run->count; i++) {
        const hd_write *w = &flush->writes[flush->order.nodes[run->first + i]];
        if (!hd_write_same_shape(first, w)) return true;
    }
    return false;
}

static bool build_run(hd_flush *flush, const hd_order_run *run, hd_error *err) {
    const hd_dialect *dialect = flush->options.dialect;
    const hd_write *w = &flush->writes[flush->order.nodes[run->first]];
    if (has_several_shapes(flush, run)) return hd_flush_build_whole(flush, run, err);
    builder b = {flush, run, hd_arena_alloc(&flush->work, sizeof(hd_write_shape)), err};
    if (!b.shape ||
        !hd_write_describe(&flush->work, w, dialect->bulk_unnest && !flush->bare, b.shape)) {
        hd_error_memory(err);
        return false;
    }
    b.shape->keys_fetched = w->op == HD_INSERT && any_key_came(flush, run);
    if (flush->bare) return build_bare(&b);
    bool row_by_row = w->op == HD_INSERT && (w->key == HD_KEY_AWAITED || !b.shape->set_count);
    if (row_by_row || b.shape->expressions) return build_rows(&b, run->first, run->count);
    if (hd_flush_copies(flush, run, b.shape)) return hd_flush_build_copy(flush, run, b.shape, err);
    if (dialect->bulk_unnest) return build_bulk(&b);
    if (hd_flush_counts_keys(flush, run, b.shape)) return build_counted(&b);
    if (w->op == HD_INSERT) return build_blocks(&b);
    if (w->op == HD_UPDATE) return build_updates(&b);
    if (w->op == HD_DELETE && run->whole) return build_ring_of_deletes(&b);
    return build_rows(&b, run->first, run->count);
}

/* ---- batches ---- */

/* Deferred checks are asked for at the body's end. The server can be told to; SQLite makes them at
 * COMMIT (to switch its deferral off again would forget what it has counted), whoever deferred them
 * in the transaction, so the driver has to look. */
static bool build_deferral(hd_flush *flush, bool begins) {
    bool pragma = flush->options.dialect->row_sequence;
    if (!flush->deferred || (pragma && !begins)) return true;
    const char *text = begins ? "SET CONSTRAINTS ALL DEFERRED" : "SET CONSTRAINTS ALL IMMEDIATE";
    if (pragma) text = "PRAGMA defer_foreign_keys = ON";
    hd_flush_part none = {0};
    hd_statement *statement = hd_flush_add_statement(flush, &none);
    if (statement) hd_flush_set_text(statement, text, strlen(text));
    return statement != NULL;
}

static const hd_batch *build_batch(hd_flush *flush, hd_error *err) {
    bool first = flush->next_run == 0;
    const hd_order *order = &flush->order;
    uint32_t wave = flush->writes[order->nodes[order->runs[flush->next_run].first]].wave;
    flush->batch = (hd_batch){.sink = hd_flush_sink, .sink_ctx = flush};
    flush->parts = NULL;
    flush->least.entity = NULL;
    flush->statement_capacity = 0;
    if (first && !build_deferral(flush, true)) hd_error_memory(err);
    for (; !err->kind && flush->next_run < order->run_count; flush->next_run++) {
        const hd_order_run *run = &order->runs[flush->next_run];
        if (flush->writes[order->nodes[run->first]].wave != wave) break;
        build_run(flush, run, err);
    }
    if (!err->kind && flush->next_run == order->run_count) {
        if (!build_deferral(flush, false)) hd_error_memory(err);
        flush->batch.statements[flush->batch.count - 1].settles = true;
    }
    return err->kind ? NULL : &flush->batch;
}

const hd_batch *hd_flush_body(hd_flush *flush, hd_error *err) {
    hd_error_clear(err);
    hd_error_kind kind = HD_OK;
    bool ended = flush->stage == HD_FLUSH_BODY && flush->next_run == flush->order.run_count;
    if (ended) return NULL; /* hd_flush_check counts */
    if (flush->stage == HD_FLUSH_KEYS)
        kind = hd_flush_settle_keys(flush, err);
    else if (flush->stage == HD_FLUSH_BODY)
        kind = hd_flush_settle_batch(flush, err);
    if (kind) return NULL;
    flush->stage = HD_FLUSH_BODY;
    if (flush->order.run_count == 0) {
        flush->batch.count = 0;
        return NULL;
    }
    return build_batch(flush, err);
}

bool hd_flush_can_commit(const hd_flush *flush) {
    if (flush->stage != HD_FLUSH_BODY || flush->next_run < flush->order.run_count) return false;
    for (uint32_t w = 0; w < flush->write_count; w++) {
        if (flush->writes[w].key == HD_KEY_AWAITED) return false;
    }
    return true;
}
