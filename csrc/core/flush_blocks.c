/* Updates in blocks (SQLite). Rows of one shape, none of which takes or gives up what another could want, need not be
 * looked up one by one. Where their keys are integers that stand close together, one UPDATE goes along the table and
 * asks for each row what it is to be (a walk, driver.h): a third of what stepping a statement for each row takes. Other
 * rows, when there are many, are joined with a VALUES list: a long text, which takes as long to prepare as a thousand
 * rows to be written, and then half of it. Either is the same as row by row as long as each row is met and nobody else
 * touches any: when a block fails, or a trigger has written something besides, it is undone, and the flush goes row by
 * row, where each fault has its row. */
#include <string.h>

#include "flush_parts.h"

enum {
    WORTH = 8, /* blocks */
    SPARSE =
        8 /* keys, of which one is a row's: coming by the others takes as long as looking the row up */
};

bool hd_flush_may_take_blocks(const hd_flush *flush, const hd_order_run *run,
                              const hd_write_shape *shape) {
    const hd_entity *e = shape->entity;
    const hd_write *w = &flush->writes[flush->order.nodes[run->first]];
    if (shape->op != HD_UPDATE || flush->singly || e->steps_rows || !e->check_rows) return false;
    if (run->whole || w->unchecked || w->parks || w->later || shape->back_count ||
        shape->reset_count || !shape->set_count)
        return false;
    return !hd_flush_may_meet(w);
}

bool hd_flush_blocks_pay(const hd_flush *flush, const hd_order_run *run) {
    uint32_t block = flush->options.dialect->update_rows;
    return block && run->count / WORTH >= block;
}

/* ---- walks ---- */

typedef struct stretch {
    int64_t first, last;
    bool in_order;
} stretch;

static bool read_key(const hd_flush *flush, uint32_t node, int64_t *key) {
    const hd_write *w = &flush->writes[node];
    const hd_value *value = &w->change->old[w->change->entity->key[0]];
    *key = value->as.i;
    return value->kind == HD_INT && !w->parking && !w->held;
}

/* False: some key is none to walk along. */
static bool measure(const hd_flush *flush, const uint32_t *nodes, uint32_t count, stretch *out) {
    int64_t key, before;
    if (!read_key(flush, nodes[0], &before)) return false;
    *out = (stretch){before, before, true};
    for (uint32_t i = 1; i < count; i++, before = key) {
        if (!read_key(flush, nodes[i], &key)) return false;
        if (key <= before) out->in_order = false;
        if (key < out->first) out->first = key;
        if (key > out->last) out->last = key;
    }
    return (uint64_t)out->last - (uint64_t)out->first < (uint64_t)count * SPARSE;
}

/* Each to its place, of which there are few more than rows. False: two of one key, or no memory. */
static bool put_in_order(hd_flush *flush, uint32_t *nodes, uint32_t count, const stretch *keys) {
    size_t places = (size_t)(keys->last - keys->first) + 1;
    uint32_t *at = hd_arena_alloc(&flush->work, places * sizeof *at), n = 0;
    if (!at) return false;
    memset(at, 0xff, places * sizeof *at);
    for (uint32_t i = 0; i < count; i++) {
        int64_t key;
        read_key(flush, nodes[i], &key);
        uint32_t *place = &at[key - keys->first];
        if (*place != UINT32_MAX) return false;
        *place = nodes[i];
    }
    for (size_t p = 0; p < places; p++) {
        if (at[p] != UINT32_MAX) nodes[n++] = at[p];
    }
    return true;
}

bool hd_flush_walks(hd_flush *flush, const hd_order_run *run, const hd_write_shape *shape) {
    const hd_entity *e = shape->entity;
    uint32_t least = flush->options.dialect->walk_rows, *nodes = &flush->order.nodes[run->first];
    stretch keys;
    if (!least || run->count < least || e->key_count != 1 || shape->how) return false;
    if (!measure(flush, nodes, run->count, &keys)) return false;
    return keys.in_order || put_in_order(flush, nodes, run->count, &keys);
}

/* ---- afterwards ---- */

bool hd_flush_block_is_sound(const hd_flush *flush, uint32_t statement) {
    const hd_flush_part *part = &flush->parts[statement];
    if (flush->batch.statements[statement].besides == 0) return true;
    hd_flush_row(flush, part, 0)->entity->steps_rows = true;
    return false;
}
