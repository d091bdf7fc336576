/* Updates in blocks (SQLite). Rows of one shape, none of which takes or gives up what another could want, are written by an
 * UPDATE of their table joined with a VALUES list: a long text, which takes as long to prepare as a thousand rows to be
 * written, and then half of what stepping a short one for each row does. It is the same as row by row as long as each
 * row is met and nobody else touches any: when a block fails, or a trigger has written something besides, it is undone,
 * and the flush goes row by row, where each fault has its row. */
#include "flush_parts.h"

enum { WORTH = 8 /* blocks */ };

bool hd_flush_takes_blocks(const hd_flush *flush, const hd_order_run *run,
                           const hd_write_shape *shape) {
    const hd_entity *e = shape->entity;
    const hd_write *w = &flush->writes[flush->order.nodes[run->first]];
    if (shape->op != HD_UPDATE || flush->singly || e->steps_rows || !e->check_rows) return false;
    uint32_t block = flush->options.dialect->update_rows;
    if (block == 0 || run->count / WORTH < block) return false;
    if (run->whole || w->unchecked || w->parks || w->later || shape->back_count ||
        shape->reset_count || !shape->set_count)
        return false;
    return !hd_flush_may_meet(w);
}

bool hd_flush_block_is_sound(const hd_flush *flush, uint32_t statement) {
    const hd_flush_part *part = &flush->parts[statement];
    if (flush->batch.statements[statement].besides == 0) return true;
    hd_flush_row(flush, part, 0)->entity->steps_rows = true;
    return false;
}
