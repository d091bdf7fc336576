/* Flush: its life. It owns two arenas: one for the changes and every value, which lives as long as
 * the flush, one for the plan, which a second plan of the same changes starts anew. Planning never
 * touches what the host gathered but for columns that were left to the core or the database, and
 * these are marked in `came`, so that forgetting a plan is giving those columns back. */
#include "flush.h"

#include <string.h>

#include "flush_parts.h"

enum { DEFAULT_BATCH = 1000 };

hd_flush *hd_flush_new(const hd_allocator *mem, const hd_flush_options *options) {
    hd_flush *flush = hd_alloc_zero(mem, sizeof *flush);
    if (!flush) return NULL;
    flush->mem = mem;
    flush->options = *options;
    if (!flush->options.batch_size) flush->options.batch_size = DEFAULT_BATCH;
    hd_arena_init(&flush->arena, mem);
    hd_arena_init(&flush->work, mem);
    return flush;
}

void hd_flush_reset(hd_flush *flush, int64_t now) {
    hd_arena_reset(&flush->work);
    hd_arena_reset(&flush->arena);
    flush->options.now = now;
    flush->count = 0;
    flush->write_count = 0;
    flush->stage = HD_FLUSH_GATHERED;
    flush->singly = false;
}

void hd_flush_free(hd_flush *flush) {
    if (!flush) return;
    hd_arena_free(&flush->work);
    hd_arena_free(&flush->arena);
    hd_free(flush->mem, flush->changes);
    hd_free(flush->mem, flush);
}

hd_arena *hd_flush_arena(hd_flush *flush) {
    return &flush->arena;
}

static void fill_row(hd_value *row, uint16_t columns, hd_kind kind) {
    for (uint16_t c = 0; kind && c < columns; c++) row[c].kind = (uint8_t)kind;
}

/* Zeros, with its arrays behind it. */
static hd_change *new_change(hd_arena *arena, hd_change_op op, uint16_t columns) {
    size_t row = columns * sizeof(hd_value), rows = op == HD_UPDATE ? 2 : 1;
    hd_change *change = hd_arena_zero(arena, sizeof *change + rows * row + columns);
    if (!change) return NULL;
    hd_value *next = (hd_value *)(change + 1);
    if (op != HD_INSERT) {
        change->old = next;
        fill_row(next, columns, HD_NULL);
        next += columns;
    }
    if (op != HD_DELETE) {
        change->set = next;
        fill_row(next, columns, HD_DEFAULT);
        next += columns;
    }
    change->came = (uint8_t *)next;
    return change;
}

hd_change *hd_flush_add(hd_flush *flush, hd_change_op op, hd_entity *entity, uint32_t slot) {
    if (flush->count >= UINT32_MAX / 2) return NULL;
    hd_change *change = new_change(&flush->arena, op, entity->column_count);
    if (!change) return NULL;
    change->entity = entity;
    change->slot = slot;
    change->op = (uint8_t)op;
    change->index = (uint32_t)flush->count;
    if (flush->count == flush->capacity &&
        hd_grow(flush->mem, (void **)&flush->changes, &flush->capacity, flush->count + 1,
                sizeof *flush->changes) != 0)
        return NULL;
    flush->changes[flush->count++] = change;
    return change;
}

bool hd_flush_express(hd_flush *flush, hd_change *change, uint16_t column,
                      const hd_expression *expression) {
    if (!change->expressions) {
        change->expressions = hd_arena_zero(&flush->arena, change->entity->column_count *
                                                               sizeof *change->expressions);
    }
    if (!change->expressions) return false;
    change->expressions[column] = expression;
    change->set[column] = (hd_value){.kind = HD_EXPRESSION};
    return true;
}

uint32_t hd_flush_count(const hd_flush *flush) {
    return (uint32_t)flush->count;
}

hd_change *hd_flush_change(hd_flush *flush, uint32_t index) {
    return index < flush->count ? flush->changes[index] : NULL;
}

hd_flush_report hd_flush_told(const hd_flush *flush) {
    hd_flush_report report = {.deferred = flush->deferred};
    for (uint32_t w = 0; w < flush->write_count; w++) {
        if (flush->writes[w].parks) report.parked++;
        if (flush->writes[w].later) report.held++;
        if (hd_write_switches(&flush->writes[w])) report.switched++;
    }
    for (uint32_t r = 0; r < flush->order.run_count; r++) {
        const hd_order_run *run = &flush->order.runs[r];
        report.whole += run->whole || flush->writes[flush->order.nodes[run->first]].whole;
    }
    return report;
}

bool hd_flush_is_bare(const hd_flush *flush) {
    return flush->bare;
}

/* A column that is left out again, or to be evaluated again: nothing of the value stays, the bytes
 * are the arena's. */
static void forget_came(hd_change *change) {
    for (uint16_t c = 0; change->set && c < change->entity->column_count; c++) {
        bool expressed = change->expressions && change->expressions[c];
        if (change->came[c])
            change->set[c] = (hd_value){.kind = expressed ? HD_EXPRESSION : HD_DEFAULT};
        change->came[c] = 0;
    }
    change->reached = 0;
}

void hd_flush_replan(hd_flush *flush) {
    for (size_t i = 0; i < flush->count; i++) forget_came(flush->changes[i]);
    hd_flush_unlink_twins(flush);
    flush->stage = HD_FLUSH_GATHERED;
}
