/* Parking: rows that hand unique values on to each other are first put aside, all of them by one
 * statement, each with a spare value in one column of the key; then each is written as it shall be.
 * The values are free then, so the second statement needs no order.
 *
 * Order alone does for a chain, but on PostgreSQL, where the rows of one UPDATE are written in no
 * order, every link of the chain is a statement of its own. So a chain is parked when it would take
 * more than two, and a ring, which has no order, always. Only UPDATEs count: what a DELETE frees is
 * free before, and what an INSERT takes it takes behind them.
 *
 * Where a cycle of other constraints runs through a unique value, the row that gives it up is
 * parked, were it one that is deleted: a parked row waits for nothing, so no cycle runs through it.
 *
 * The version is checked by the first UPDATE of a row and counted on by the second. A row that is
 * deleted is neither checked nor counted when it is parked: its DELETE does both. */
#include <string.h>

#include "base/text.h"
#include "flush_parts.h"

#define NONE UINT32_MAX

/* ---- spare values ---- */

static bool ask_spares(hd_flush *flush, const hd_edges *edges) {
    if (flush->spares) return true;
    flush->spares = hd_arena_zero(&flush->work, edges->constraint_count * sizeof *flush->spares);
    return flush->spares != NULL;
}

/* The same for every row of a constraint: kind NONE is not asked yet. */
static const hd_spare *spare_of(hd_flush *flush, const hd_edges *edges, const hd_order_edge *edge) {
    hd_spare *spare = &flush->spares[edge->label];
    if (spare->kind == HD_SPARE_NONE && spare->column == 0)
        *spare = hd_spare_choose(flush->options.dialect, edges->constraints[edge->label].unique,
                                 &flush->writes[edge->after]);
    return spare;
}

/* ---- rows ---- */

static hd_parking *new_parking(hd_flush *flush, uint16_t columns) {
    hd_parking *parking = hd_arena_alloc(&flush->work, sizeof *parking);
    if (!parking) return NULL;
    parking->how = hd_arena_zero(&flush->work, columns);
    parking->values = hd_arena_zero(&flush->work, columns * sizeof(hd_value));
    return parking->how && parking->values ? parking : NULL;
}

/* The row's first write, its change's own becoming the second. */
static bool split(hd_flush *flush, hd_write *w) {
    if (w->parking) return true;
    if (!(w->parking = new_parking(flush, w->change->entity->column_count))) return false;
    flush->writes[flush->write_count++] =
        (hd_write){.change = w->change,
                   .op = HD_UPDATE,
                   .parks = true,
                   .unchecked = w->unchecked || w->change->op == HD_DELETE,
                   .key_column = -1,
                   .parking = w->parking};
    return true;
}

static bool park_row(hd_flush *flush, hd_write *w, const hd_spare *spare) {
    if (!split(flush, w)) return false;
    uint16_t column = (uint16_t)spare->column;
    if (w->parking->how[column]) return true;
    w->parking->how[column] = spare->kind;
    if (spare->defers) flush->deferred = true;
    hd_value *value = &w->parking->values[column];
    value->kind = HD_DEFAULT;
    return spare->kind == HD_SPARE_BELOW ||
           hd_spare_value(&flush->work, flush->options.dialect, &w->change->entity->columns[column],
                          spare, &flush->spare_source, value);
}

/* ---- one constraint ---- */

static bool gives_up(const hd_flush *flush, const hd_edges *edges, const hd_order_edge *edge) {
    const hd_write *giver = &flush->writes[edge->before];
    return edges->constraints[edge->label].reason == HD_EDGE_TAKES && !giver->later &&
           !giver->parks;
}

bool hd_flush_can_park(hd_flush *flush, const hd_edges *edges, const hd_order_edge *edge) {
    return gives_up(flush, edges, edge) && ask_spares(flush, edges) &&
           spare_of(flush, edges, edge)->column >= 0;
}

bool hd_flush_park(hd_flush *flush, const hd_edges *edges, uint32_t label) {
    if (!hd_flush_make_room(flush)) return false;
    for (uint32_t i = 0; i < edges->count; i++) {
        const hd_order_edge *edge = &edges->items[i];
        if (edge->label != label || !gives_up(flush, edges, edge)) continue;
        if (!park_row(flush, &flush->writes[edge->before], &flush->spares[label])) return false;
    }
    return true;
}

/* ---- chains ---- */

/* The links are the edges between two UPDATEs of a constraint that has a spare value. */
typedef struct chains {
    hd_flush *flush;
    const hd_edges *edges;
    uint32_t count;
    uint32_t *links, link_count; /* edge indexes */
    uint32_t *first, *next;      /* by giver: its first link; by link: the next of its giver */
    uint32_t *waits;             /* by write: links that lead to it and are not counted off */
    uint32_t *level;             /* by write: statements that have to go before its own */
    uint32_t *root;              /* by write: its chain, as a forest */
    uint8_t *parked;             /* by root */
} chains;

static bool is_link(chains *c, const hd_order_edge *edge) {
    const hd_write *writes = c->flush->writes;
    return writes[edge->before].op == HD_UPDATE && writes[edge->after].op == HD_UPDATE &&
           gives_up(c->flush, c->edges, edge) && spare_of(c->flush, c->edges, edge)->column >= 0;
}

static uint32_t root_of(chains *c, uint32_t w) {
    while (c->root[w] != w) w = c->root[w] = c->root[c->root[w]];
    return w;
}

static bool allocate(chains *c) {
    hd_arena *arena = &c->flush->work;
    uint32_t n = c->count = c->flush->write_count, *words;
    words = hd_arena_zero(arena, (4 * (size_t)n + c->link_count) * sizeof *words);
    c->parked = hd_arena_zero(arena, n);
    if (!words || !c->parked) return false;
    c->first = words;
    c->waits = c->first + n;
    c->level = c->waits + n;
    c->root = c->level + n;
    c->next = c->root + n;
    for (uint32_t w = 0; w < n; w++) c->root[w] = w;
    memset(c->first, 0xff, n * sizeof *words);
    return true;
}

static bool find_links(chains *c) {
    const hd_edges *edges = c->edges;
    c->links = hd_arena_alloc(&c->flush->work, edges->count * sizeof *c->links);
    if (!c->links) return false;
    for (uint32_t i = 0; i < edges->count; i++) {
        if (is_link(c, &edges->items[i])) c->links[c->link_count++] = i;
    }
    if (!c->link_count) return true;
    if (!allocate(c)) return false;
    for (uint32_t l = 0; l < c->link_count; l++) {
        const hd_order_edge *edge = &edges->items[c->links[l]];
        c->next[l] = c->first[edge->before];
        c->first[edge->before] = l;
        c->waits[edge->after]++;
        c->root[root_of(c, edge->before)] = root_of(c, edge->after);
    }
    return true;
}

/* Rows of one run need no statement of their own, where runs keep the order. */
static uint32_t step_of(const chains *c, const hd_order_edge *edge) {
    const hd_write *writes = c->flush->writes;
    return edge->bond == HD_APART || !hd_write_alike(&writes[edge->before], &writes[edge->after]);
}

/* Walks every chain from its free end. What is never reached is a ring, or behind one. */
static bool choose(chains *c) {
    uint32_t head = 0, tail = 0, *queue = hd_arena_alloc(&c->flush->work, c->count * sizeof *queue);
    if (!queue) return false;
    for (uint32_t w = 0; w < c->count; w++) {
        if (!c->waits[w] && c->first[w] != NONE) queue[tail++] = w;
    }
    while (head < tail) {
        uint32_t w = queue[head++];
        for (uint32_t l = c->first[w]; l != NONE; l = c->next[l]) {
            const hd_order_edge *edge = &c->edges->items[c->links[l]];
            uint32_t level = c->level[w] + step_of(c, edge);
            if (level > c->level[edge->after]) c->level[edge->after] = level;
            if (level > 1) c->parked[root_of(c, w)] = 1;
            if (--c->waits[edge->after] == 0) queue[tail++] = edge->after;
        }
    }
    for (uint32_t w = 0; w < c->count; w++) {
        if (c->waits[w]) c->parked[root_of(c, w)] = 1;
    }
    return true;
}

bool hd_flush_park_chains(hd_flush *flush, const hd_edges *edges, bool *parked) {
    chains c = {.flush = flush, .edges = edges};
    *parked = false;
    if (!edges->count) return true;
    if (!ask_spares(flush, edges) || !find_links(&c)) return false;
    if (!c.link_count) return true;
    if (!choose(&c) || !hd_flush_make_room(flush)) return false;
    for (uint32_t l = 0; l < c.link_count; l++) {
        const hd_order_edge *edge = &edges->items[c.links[l]];
        if (!c.parked[root_of(&c, edge->before)]) continue;
        const hd_spare *spare = &flush->spares[edge->label];
        if (!park_row(flush, &flush->writes[edge->before], spare) ||
            !park_row(flush, &flush->writes[edge->after], spare))
            return false;
        *parked = true;
    }
    return true;
}

/* ---- what is to come ---- */

static bool is_less(const hd_value *a, const hd_value *b) {
    int64_t x = 0, y = 0;
    if (a->kind == HD_DECIMAL) return hd_decimal_compare(a->as.p, a->len, b->as.p, b->len) < 0;
    if (a->kind != HD_DATE) return a->as.i < b->as.i;
    hd_timestamp_parse(a->as.p, a->len, &x);
    hd_timestamp_parse(b->as.p, b->len, &y);
    return x < y;
}

static bool has_order(const hd_value *value) {
    return value->kind == HD_INT || value->kind == HD_TIMESTAMP || value->kind == HD_DECIMAL ||
           value->kind == HD_DATE;
}

hd_value hd_flush_least_coming(hd_flush *flush, const hd_entity *entity, uint16_t column) {
    hd_value least = hd_null(), value;
    if (flush->least.entity == entity && flush->least.column == column) return flush->least.value;
    for (uint32_t i = 0; i < flush->write_count; i++) {
        const hd_write *w = &flush->writes[i];
        if (w->change->entity != entity || w->op == HD_DELETE || w->parks) continue;
        if (!hd_flush_resolve(flush, w->change, column, hd_write_after(w, column), &value))
            continue;
        if (has_order(&value) && (!has_order(&least) || is_less(&value, &least))) least = value;
    }
    flush->least.entity = entity;
    flush->least.column = column;
    flush->least.value = least;
    return least;
}
