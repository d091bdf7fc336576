/* One statement for a ring of rows: PostgreSQL checks foreign keys when a statement ends, so rows
 * that wait for each other by foreign keys alone, which may be neither NULL nor checked later, are
 * written by one statement, whatever their tables: a CTE for each shape of rows. That a statement
 * which writes two such rows needs no order is what their edges say already (HD_TOGETHER); here
 * they are made one group, and the sort finds the rings. flush_whole.c writes the statement. */
#include <string.h>

#include "flush_parts.h"

#define NONE UINT32_MAX

/* The edges of some constraints as a graph of the writes. */
typedef struct rings {
    hd_flush *flush;
    const hd_edges *edges;
    uint8_t *labels;               /* the constraints of the cycle */
    uint8_t *out;                  /* writes that are in no ring */
    uint32_t *first, *next, *left; /* by write: first edge, edges that hold it; by edge: next */
    uint32_t *queue;
} rings;

static bool may_be_together(const hd_edges *edges, const hd_order_edge *edge) {
    return edges->constraints[edge->label].foreign_key && edge->bond == HD_TOGETHER;
}

bool hd_flush_can_be_whole(const hd_flush *flush, const hd_edges *edges, const hd_order *order) {
    if (!flush->options.dialect->bulk_unnest) return false;
    for (uint32_t i = 0; i < order->cycle_length; i++) {
        if (!may_be_together(edges, &edges->items[order->cycle[i]])) return false;
    }
    return true;
}

static bool counts(const rings *r, uint32_t edge) {
    const hd_order_edge *e = &r->edges->items[edge];
    return r->labels[e->label] && may_be_together(r->edges, e) && !r->out[e->before] &&
           !r->out[e->after];
}

/* Takes away what nothing of the rings comes before (`back`: behind), and what only that comes
 * before, and so on. */
static void trim(rings *r, bool back) {
    uint32_t head = 0, tail = 0, count = r->flush->write_count;
    memset(r->first, 0xff, count * sizeof *r->first);
    memset(r->left, 0, count * sizeof *r->left);
    for (uint32_t i = 0; i < r->edges->count; i++) {
        const hd_order_edge *e = &r->edges->items[i];
        if (!counts(r, i)) continue;
        uint32_t from = back ? e->after : e->before;
        r->next[i] = r->first[from];
        r->first[from] = i;
        r->left[back ? e->before : e->after]++;
    }
    for (uint32_t w = 0; w < count; w++) {
        if (!r->out[w] && !r->left[w]) r->queue[tail++] = w;
    }
    for (; head < tail; head++) {
        r->out[r->queue[head]] = 1;
        for (uint32_t i = r->first[r->queue[head]]; i != NONE; i = r->next[i]) {
            uint32_t to = back ? r->edges->items[i].before : r->edges->items[i].after;
            if (--r->left[to] == 0) r->queue[tail++] = to;
        }
    }
}

bool hd_flush_make_whole(hd_flush *flush, const hd_edges *edges, const hd_order *order) {
    hd_arena *arena = &flush->work;
    uint32_t count = flush->write_count;
    rings r = {.flush = flush, .edges = edges};
    r.labels = hd_arena_zero(arena, edges->constraint_count);
    r.out = hd_arena_zero(arena, count);
    r.first = hd_arena_alloc(arena, (3 * (size_t)count + edges->count) * sizeof *r.first);
    if (!r.labels || !r.out || !r.first) return false;
    r.left = r.first + count;
    r.queue = r.left + count;
    r.next = r.queue + count;
    for (uint32_t i = 0; i < order->cycle_length; i++)
        r.labels[edges->items[order->cycle[i]].label] = 1;
    trim(&r, false);
    trim(&r, true);
    hd_write_ring ring = HD_RING_DELETES;
    for (uint32_t w = 0; w < count; w++) {
        if (!r.out[w] && flush->writes[w].op != HD_DELETE) ring = HD_RING_MIXED;
    }
    for (uint32_t w = 0; w < count; w++) {
        if (!r.out[w]) flush->writes[w].whole = (uint8_t)ring;
    }
    return true;
}
