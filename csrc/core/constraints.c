/* Constraints to edges. Each write looks for the writes it has to wait for: those that bring what
 * its foreign keys refer to, those that give up the unique values it takes; and a write that turns
 * away from a row which is deleted, or gets another key, makes that wait. NULL never meets anything
 * unless the unique key says so; a reference to a row without a key is found by its change. */
#include "constraints.h"

#include <string.h>

#include "key_index.h"

enum { LABELS_PER_KEY = 4 }; /* of a foreign key: REFERS, AWAITS, LEAVES, TURNS */

typedef struct finder {
    hd_arena *arena;
    const hd_dialect *dialect;
    const hd_write *writes;
    const uint32_t *by_change;
    hd_key_index index;
    uint32_t *labels; /* by player: of its first constraint */
    uint32_t *pairs;  /* by player: the last insert of a pair, UINT32_MAX: none yet */
    hd_edges *out;
    uint32_t capacity;
    bool failed;
} finder;

/* ---- labels: foreign keys, primary key, unique keys of each player; HALVES and FOLLOWS at the end
 * ---- */

static hd_constraint *label_entity(hd_constraint *c, const hd_entity *e) {
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        for (uint8_t r = 0; r < LABELS_PER_KEY; r++)
            *c++ = (hd_constraint){r, e, &e->foreign_keys[k], NULL};
    }
    *c++ = (hd_constraint){HD_EDGE_TAKES, e, NULL, NULL};
    for (uint16_t u = 0; u < e->unique_count; u++) {
        *c++ = (hd_constraint){HD_EDGE_TAKES, e, NULL, &e->uniques[u]};
    }
    return c;
}

static bool make_labels(finder *f) {
    const hd_key_index *x = &f->index;
    size_t most = 2;
    for (uint32_t p = 0; p < x->player_count; p++) {
        const hd_entity *e = x->players[p].entity;
        most += 1u + e->unique_count + LABELS_PER_KEY * (size_t)e->foreign_key_count;
    }
    hd_constraint *next = f->out->constraints = hd_arena_alloc(f->arena, most * sizeof *next);
    f->labels = hd_arena_alloc(f->arena, x->player_count * sizeof(uint32_t));
    f->pairs = hd_arena_alloc(f->arena, x->player_count * sizeof(uint32_t));
    if (!next || !f->labels || !f->pairs) return false;
    memset(f->pairs, 0xff, x->player_count * sizeof(uint32_t));
    for (uint32_t p = 0; p < x->player_count; p++) {
        f->labels[p] = (uint32_t)(next - f->out->constraints);
        next = label_entity(next, x->players[p].entity);
    }
    next[0] = (hd_constraint){.reason = HD_EDGE_HALVES};
    next[1] = (hd_constraint){.reason = HD_EDGE_FOLLOWS};
    f->out->constraint_count = (uint32_t)most;
    return true;
}

/* ---- edges ---- */

static void add_edge(finder *f, uint32_t before, uint32_t after, uint32_t label,
                     hd_order_bond bond) {
    hd_edges *out = f->out;
    if (out->count == f->capacity) {
        uint32_t capacity = f->capacity ? f->capacity * 2 : 64;
        hd_order_edge *items = hd_arena_alloc(f->arena, capacity * sizeof *items);
        if (items && out->count) memcpy(items, out->items, out->count * sizeof *items);
        if (!items)
            f->failed = true;
        else
            out->items = items, f->capacity = capacity;
    }
    if (!f->failed) out->items[out->count++] = (hd_order_edge){before, after, label, (uint8_t)bond};
}

static hd_order_bond refers_bond(const finder *f, const hd_write *before, const hd_write *after) {
    bool row_by_row = before->key == HD_KEY_AWAITED || after->key == HD_KEY_AWAITED ||
                      hd_write_is_expressed(before) || hd_write_is_expressed(after);
    if (row_by_row) return HD_IN_ORDER;
    return after->op == HD_UPDATE && !f->dialect->bulk_unnest ? HD_APART : HD_TOGETHER;
}

static bool has_pending(const hd_write *w, const hd_foreign_key *fk) {
    for (uint16_t i = 0; i < fk->count; i++) {
        if (hd_write_after(w, fk->columns[i])->kind == HD_PENDING) return true;
    }
    return false;
}

static void refer_pending(finder *f, uint32_t w, const hd_foreign_key *fk, uint32_t label) {
    const hd_write *after = &f->writes[w];
    for (uint16_t i = 0; i < fk->count; i++) {
        const hd_value *v = hd_write_after(after, fk->columns[i]);
        uint32_t target = v->kind == HD_PENDING ? f->by_change[v->as.i] : UINT32_MAX;
        if (target == UINT32_MAX) continue;
        const hd_write *before = &f->writes[target];
        /* The row is there, under the key that it keeps. */
        if (before->op == HD_UPDATE && !hd_write_sets(before, (uint16_t)v->len)) continue;
        if (before->key == HD_KEY_AWAITED) { /* to itself too: it has to be held back, then */
            add_edge(f, target, w, label + HD_EDGE_AWAITS, HD_APART);
        } else if (target != w) {
            add_edge(f, target, w, label + HD_EDGE_REFERS, refers_bond(f, before, after));
        }
    }
}

static void refer_value(finder *f, uint32_t w, const hd_foreign_key *fk, uint32_t set,
                        uint32_t label) {
    const hd_write *after = &f->writes[w];
    hd_key_state state = hd_key_gather(&f->index, after, fk->columns, fk->count, HD_KEY_BRINGS);
    if (!state.known || state.has_null) return;
    for (uint32_t i = HD_KEY_NONE;
         (i = hd_key_find(&f->index, set, HD_KEY_BRINGS, i)) != HD_KEY_NONE;) {
        uint32_t target = f->index.entries[i].write;
        hd_order_bond bond = refers_bond(f, &f->writes[target], after);
        if (target != w) add_edge(f, target, w, label + HD_EDGE_REFERS, bond);
    }
}

/* The database takes care of those that refer to a key which changes. */
static bool follows(const hd_foreign_key *fk) {
    return fk->on_update != HD_RULE_NONE && fk->on_update != HD_RULE_RESTRICT;
}

/* Parking a key defers what can be deferred. */
static bool is_deferred(const finder *f, const hd_foreign_key *fk) {
    return (fk->deferrable || f->dialect->row_sequence) && fk->on_update != HD_RULE_RESTRICT;
}

/* RESTRICT looks at each row by itself. */
static hd_order_bond turns_bond(const finder *f, const hd_foreign_key *fk) {
    if (!f->dialect->bulk_unnest) return HD_IN_ORDER;
    return fk->on_update == HD_RULE_RESTRICT ? HD_APART : HD_TOGETHER;
}

static void leave(finder *f, uint32_t w, const hd_foreign_key *fk, uint32_t set, uint32_t label) {
    hd_key_state state =
        hd_key_gather(&f->index, &f->writes[w], fk->columns, fk->count, HD_KEY_GIVES_UP);
    if (!state.known || state.has_null) return;
    for (uint32_t i = HD_KEY_NONE;
         (i = hd_key_find(&f->index, set, HD_KEY_GIVES_UP, i)) != HD_KEY_NONE;) {
        uint32_t target = f->index.entries[i].write;
        const hd_write *gives = &f->writes[target];
        if (gives->change == f->writes[w].change) continue;
        if (gives->op == HD_DELETE)
            add_edge(f, w, target, label + HD_EDGE_LEAVES, HD_TOGETHER);
        else if (!follows(fk) && !(gives->parks && is_deferred(f, fk)))
            add_edge(f, w, target, label + HD_EDGE_TURNS, turns_bond(f, fk));
    }
}

static void take(finder *f, uint32_t w, uint32_t set, const hd_unique *unique, uint32_t label) {
    const hd_key_set *ks = &f->index.sets[set];
    const hd_write *write = &f->writes[w];
    if (!ks->wanted[HD_KEY_GIVES_UP] || write->op == HD_DELETE) return;
    if (!hd_key_crosses(ks, write).brings) return;
    hd_key_state state = hd_key_gather(&f->index, write, ks->columns, ks->count, HD_KEY_BRINGS);
    if (!state.known || (state.has_null && !(unique && unique->nulls_equal))) return;
    hd_order_bond bond = f->dialect->bulk_unnest ? HD_APART : HD_IN_ORDER;
    for (uint32_t i = HD_KEY_NONE;
         (i = hd_key_find(&f->index, set, HD_KEY_GIVES_UP, i)) != HD_KEY_NONE;) {
        uint32_t giver = f->index.entries[i].write;
        if (f->writes[giver].change != write->change) add_edge(f, giver, w, label, bond);
    }
}

static void edges_of_key(finder *f, uint32_t w, uint16_t k, const hd_key_player *player,
                         uint32_t label) {
    const hd_write *write = &f->writes[w];
    const hd_foreign_key *fk = &player->entity->foreign_keys[k];
    if (!hd_key_moves(write, fk->columns, fk->count)) return;
    uint32_t set = player->targets[k];
    const bool *wanted = set == HD_KEY_NONE ? NULL : f->index.sets[set].wanted;
    if (write->op != HD_DELETE && has_pending(write, fk)) {
        refer_pending(f, w, fk, label);
    } else if (write->op != HD_DELETE && wanted && wanted[HD_KEY_BRINGS]) {
        refer_value(f, w, fk, set, label);
    }
    if (write->op != HD_INSERT && wanted && wanted[HD_KEY_GIVES_UP]) leave(f, w, fk, set, label);
}

/* Nothing waits for the insert of a pair, so these edges close no cycle. */
static void follow(finder *f, uint32_t w) {
    uint32_t *last = &f->pairs[f->index.player_of[w]];
    if (*last != UINT32_MAX) add_edge(f, *last, w, f->out->constraint_count - 1, HD_IN_ORDER);
    *last = w;
}

static void edges_of(finder *f, uint32_t w) {
    const hd_write *write = &f->writes[w];
    const hd_key_player *player = &f->index.players[f->index.player_of[w]];
    const hd_entity *e = player->entity;
    uint32_t label = f->labels[f->index.player_of[w]];
    uint32_t own = f->by_change[write->change->index];
    if (write->later) add_edge(f, own, w, f->out->constraint_count - 2, HD_APART);
    if (write->parks) add_edge(f, w, own, f->out->constraint_count - 2, HD_APART);
    if (write->change->flags & HD_CHANGE_MAY_EXIST) follow(f, w);
    for (uint16_t k = 0; k < e->foreign_key_count; k++, label += LABELS_PER_KEY) {
        edges_of_key(f, w, k, player, label);
    }
    take(f, w, player->keys, NULL, label);
    for (uint16_t u = 0; u < e->unique_count; u++) {
        take(f, w, player->keys + 1u + u, &e->uniques[u], label + 1u + u);
    }
}

hd_error_kind hd_constraints_edges(hd_arena *arena, const hd_dialect *dialect,
                                   const hd_write *writes, uint32_t count,
                                   const uint32_t *by_change, hd_edges *out) {
    finder f = {
        .arena = arena, .dialect = dialect, .writes = writes, .by_change = by_change, .out = out};
    memset(out, 0, sizeof *out);
    if (!hd_key_index_build(&f.index, arena, writes, count) || !make_labels(&f)) return HD_E_DRIVER;
    for (uint32_t w = 0; w < count && !f.failed; w++) edges_of(&f, w);
    return f.failed ? HD_E_DRIVER : HD_OK;
}
