/* Commit order. Two counters for each node carry the algorithm: `hard` is what must have been
 * written in an earlier run, `soft` what may stand before it in the same run (an edge inside a
 * group that is not HD_APART). A node is ready when both are zero. Edges that keep two nodes of
 * the running group apart are counted off when the run ends.
 *
 * When no group has a ready node, rows of one group may still hold each other up by HD_TOGETHER
 * edges alone (a tree that closes in a ring): those are emitted as one `whole` run. What is left
 * then is a true cycle; each stuck node remembers the edge that holds it, and following these
 * edges backwards must come round.
 *
 * Everything follows from the order of nodes and edges given, so the same flush always gives the
 * same statements. */
#include "commit_order.h"

#include <string.h>

#define NONE UINT32_MAX

typedef struct sort_group {
    uint32_t head, tail; /* ready nodes, linked by sorter.next */
    uint32_t blocked;    /* nodes that wait for an earlier run */
    uint32_t rank;
} sort_group;

typedef struct sorter {
    const hd_order_node *nodes;
    const hd_order_edge *edges;
    uint32_t node_count, edge_count, group_count;
    uint32_t *offset, *out_edges; /* edges by `before`: out_edges[offset[n] .. offset[n + 1]) */
    uint32_t *hard, *soft, *next;
    uint32_t *held_by; /* stuck nodes: the edge that holds them; NONE otherwise */
    uint32_t *parted;  /* edges to count off at the end of the run */
    uint32_t parted_count;
    uint8_t *emitted;
    sort_group *groups;
    hd_order *out;
} sorter;

/* ---- setting up ---- */

static bool same_group(const sorter *s, const hd_order_edge *edge) {
    return s->nodes[edge->before].group == s->nodes[edge->after].group;
}

static bool is_soft(const sorter *s, const hd_order_edge *edge) {
    return edge->bond != HD_APART && same_group(s, edge);
}

static bool allocate(sorter *s, hd_arena *arena) {
    size_t n = s->node_count, e = s->edge_count;
    uint32_t *words = hd_arena_zero(arena, (8 * n + 2 * e + 1) * sizeof(uint32_t));
    s->groups = hd_arena_alloc(arena, s->group_count * sizeof(sort_group));
    s->emitted = hd_arena_zero(arena, n);
    s->out->runs = hd_arena_alloc(arena, n * sizeof(hd_order_run));
    if (!words || !s->groups || !s->emitted || !s->out->runs) return false;
    s->hard = words;
    s->soft = s->hard + n;
    s->next = s->soft + n;
    s->held_by = s->next + n;
    s->out->nodes = s->held_by + n;
    s->out->cycle = s->out->nodes + n; /* room for every node once and one more */
    s->offset = s->out->cycle + n + 1;
    s->out_edges = s->offset + n + 1;
    s->parted = s->out_edges + e;
    return true;
}

static void index_edges(sorter *s) {
    for (uint32_t i = 0; i < s->edge_count; i++) s->offset[s->edges[i].before + 1]++;
    for (uint32_t n = 0; n < s->node_count; n++) s->offset[n + 1] += s->offset[n];
    uint32_t *fill = s->next; /* not in use yet */
    memcpy(fill, s->offset, s->node_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < s->edge_count; i++) {
        const hd_order_edge *edge = &s->edges[i];
        s->out_edges[fill[edge->before]++] = i;
        (is_soft(s, edge) ? s->soft : s->hard)[edge->after]++;
    }
}

static void push_ready(sorter *s, uint32_t node) {
    sort_group *group = &s->groups[s->nodes[node].group];
    s->next[node] = NONE;
    if (group->head == NONE)
        group->head = node;
    else
        s->next[group->tail] = node;
    group->tail = node;
}

static void fill_groups(sorter *s) {
    for (uint32_t g = 0; g < s->group_count; g++) {
        s->groups[g].head = s->groups[g].tail = NONE;
        s->groups[g].blocked = s->groups[g].rank = 0;
    }
    for (uint32_t n = 0; n < s->node_count; n++) {
        sort_group *group = &s->groups[s->nodes[n].group];
        group->rank = s->nodes[n].rank;
        if (s->hard[n])
            group->blocked++;
        else if (!s->soft[n])
            push_ready(s, n);
    }
}

/* ---- runs ---- */

static void count_off(sorter *s, const hd_order_edge *edge) {
    uint32_t node = edge->after;
    if (s->emitted[node]) return;
    if (is_soft(s, edge))
        s->soft[node]--;
    else if (--s->hard[node] == 0)
        s->groups[s->nodes[node].group].blocked--;
    if (!s->hard[node] && !s->soft[node]) push_ready(s, node);
}

static void emit(sorter *s, uint32_t node) {
    s->out->nodes[s->out->count++] = node;
    for (uint32_t i = s->offset[node]; i < s->offset[node + 1]; i++) {
        const hd_order_edge *edge = &s->edges[s->out_edges[i]];
        if (edge->bond == HD_APART && same_group(s, edge))
            s->parted[s->parted_count++] = s->out_edges[i];
        else
            count_off(s, edge);
    }
}

static void end_run(sorter *s, uint32_t first, bool whole) {
    hd_order_run *run = &s->out->runs[s->out->run_count++];
    run->first = first;
    run->count = s->out->count - first;
    run->whole = whole;
    for (uint32_t i = 0; i < s->parted_count; i++) count_off(s, &s->edges[s->parted[i]]);
    s->parted_count = 0;
}

static void run_group(sorter *s, sort_group *group) {
    uint32_t first = s->out->count;
    while (group->head != NONE) {
        uint32_t node = group->head;
        group->head = s->next[node];
        s->emitted[node] = 1;
        emit(s, node);
    }
    end_run(s, first, false);
}

static sort_group *next_group(const sorter *s) {
    sort_group *best = NULL;
    for (uint32_t g = 0; g < s->group_count; g++) {
        sort_group *group = &s->groups[g];
        if (group->head == NONE) continue;
        if (!best || group->rank < best->rank ||
            (group->rank == best->rank && best->blocked && !group->blocked))
            best = group;
    }
    return best;
}

/* ---- rings and cycles ---- */

static bool is_pending(const sorter *s, const hd_order_edge *edge) {
    return !s->emitted[edge->before] && !s->emitted[edge->after];
}

/* Finds for every stuck node the edge that holds it, but for those that only rings of one
 * statement hold. */
static void find_holds(sorter *s) {
    uint32_t *queue = s->next, tail = 0; /* no ready nodes: `next` is free */
    for (uint32_t n = 0; n < s->node_count; n++) s->held_by[n] = NONE;
    for (uint32_t i = 0; i < s->edge_count; i++) {
        const hd_order_edge *edge = &s->edges[i];
        if (!is_pending(s, edge) || (edge->bond == HD_TOGETHER && same_group(s, edge))) continue;
        if (s->held_by[edge->after] == NONE) queue[tail++] = edge->after;
        s->held_by[edge->after] = i;
    }
    for (uint32_t head = 0; head < tail; head++) {
        for (uint32_t i = s->offset[queue[head]]; i < s->offset[queue[head] + 1]; i++) {
            const hd_order_edge *edge = &s->edges[s->out_edges[i]];
            if (!is_pending(s, edge) || s->held_by[edge->after] != NONE) continue;
            s->held_by[edge->after] = s->out_edges[i];
            queue[tail++] = edge->after;
        }
    }
}

/* Emits the rings of the first group that has any, all of the group's at once. */
static bool run_ring(sorter *s) {
    uint32_t group = NONE, first = s->out->count;
    find_holds(s);
    for (uint32_t n = 0; n < s->node_count; n++) {
        if (s->emitted[n] || s->held_by[n] != NONE) continue;
        uint32_t g = s->nodes[n].group;
        if (group == NONE || s->nodes[n].rank < s->groups[group].rank) group = g;
    }
    if (group == NONE) return false;
    for (uint32_t n = 0; n < s->node_count; n++) {
        if (s->emitted[n] || s->held_by[n] != NONE || s->nodes[n].group != group) continue;
        s->emitted[n] = 1;
        s->held_by[n] = group; /* marks the ring's members for the next loop */
    }
    for (uint32_t n = 0; n < s->node_count; n++) {
        if (s->emitted[n] && s->held_by[n] == group && s->nodes[n].group == group) emit(s, n);
    }
    end_run(s, first, true);
    return true;
}

static void find_cycle(sorter *s) {
    uint32_t node = 0, steps = 0;
    while (s->emitted[node]) node++;
    for (; steps < s->node_count; steps++)
        node = s->edges[s->held_by[node]].before; /* now inside the cycle */
    uint32_t start = node, length = 0;
    do {
        s->out->cycle[length++] = s->held_by[node];
        node = s->edges[s->held_by[node]].before;
    } while (node != start);
    for (uint32_t i = 0; i < length / 2; i++) { /* found against its direction */
        uint32_t edge = s->out->cycle[i];
        s->out->cycle[i] = s->out->cycle[length - 1 - i];
        s->out->cycle[length - 1 - i] = edge;
    }
    s->out->cycle_length = length;
}

hd_error_kind hd_commit_order_sort(hd_arena *arena, const hd_order_node *nodes, uint32_t node_count,
                                   const hd_order_edge *edges, uint32_t edge_count, hd_order *out) {
    sorter s = {.nodes = nodes,
                .edges = edges,
                .node_count = node_count,
                .edge_count = edge_count,
                .out = out};
    memset(out, 0, sizeof *out);
    for (uint32_t n = 0; n < node_count; n++) {
        if (nodes[n].group >= s.group_count) s.group_count = nodes[n].group + 1;
    }
    if (!allocate(&s, arena)) return HD_E_DRIVER;
    index_edges(&s);
    fill_groups(&s);
    while (out->count < node_count) {
        sort_group *group = next_group(&s);
        if (group) {
            run_group(&s, group);
        } else if (!run_ring(&s)) {
            find_cycle(&s);
            return HD_E_COMMIT_ORDER;
        }
    }
    return HD_OK;
}
