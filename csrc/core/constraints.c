/* Constraints to edges. A flush touches few entities (`player`s here) and few of their keys matter: a key is hashed
 * only when both sides that could meet in it are in the flush. So ten thousand plain inserts hash nothing, and a
 * foreign key whose target has no change in this flush costs one comparison.
 *
 * Two kinds of entries stand in the one hash table: values that a write brings (looked up by foreign keys) and values that
 * a write gives up (looked up by those who take a unique value, and by those who leave a row that goes). NULL never
 * meets anything unless the unique key says so; a value that is not known yet is found by its pending reference. */
#include "constraints.h"

#include <string.h>

#define NONE UINT32_MAX
enum { LABELS_PER_KEY = 3 }; /* of a foreign key: REFERS, AWAITS, LEAVES */

typedef enum side { BRINGS, GIVES_UP } side;

typedef struct key_set {
    const hd_entity *entity;
    const uint16_t *columns;
    uint16_t count;
    bool wanted[2]; /* by side */
    uint32_t next;  /* of the same player */
} key_set;

typedef struct player {
    const hd_entity *entity;
    bool does[3];      /* by hd_change_op */
    uint32_t label;    /* of its first constraint: foreign keys, primary key, unique keys */
    uint32_t *targets; /* key set that each foreign key refers to; NONE: nothing of it in this flush */
    uint32_t keys;     /* key set of the primary key; those of the unique keys follow */
    uint32_t sets;     /* all of its key sets */
} player;

typedef struct entry {
    uint64_t hash;
    uint32_t set, write, next;
    uint8_t side;
} entry;

typedef struct finder {
    hd_arena *arena;
    const hd_dialect *dialect;
    const hd_write *writes;
    const uint32_t *by_change;
    uint32_t count;
    player *players;
    uint32_t player_count;
    uint32_t *player_of; /* per write */
    key_set *sets;
    uint32_t set_count;
    entry *entries;
    uint32_t entry_count, entry_capacity;
    uint32_t *buckets, mask;
    hd_value *values; /* scratch: one key */
    hd_edges *out;
    uint32_t edge_capacity;
    bool failed;
} finder;

/* ---- players and their keys ---- */

static void *grow(finder *f, void *items, uint32_t *capacity, uint32_t need, size_t item) {
    if (need <= *capacity) return items;
    uint32_t larger = *capacity ? *capacity * 2 : 64;
    void *grown = hd_arena_alloc(f->arena, larger * item);
    if (!grown) {
        f->failed = true;
        return items;
    }
    if (*capacity) memcpy(grown, items, *capacity * item);
    *capacity = larger;
    return grown;
}

static uint32_t find_player(const finder *f, const hd_entity *entity) {
    for (uint32_t p = 0; p < f->player_count; p++) {
        if (f->players[p].entity == entity) return p;
    }
    return NONE;
}

static void collect_players(finder *f) {
    uint32_t capacity = 0, p = NONE;
    f->player_of = hd_arena_alloc(f->arena, f->count * sizeof(uint32_t));
    if (!f->player_of) f->failed = true;
    for (uint32_t w = 0; w < f->count && !f->failed; w++) {
        const hd_entity *entity = f->writes[w].change->entity;
        if (p == NONE || f->players[p].entity != entity) p = find_player(f, entity);
        if (p == NONE) {
            f->players = grow(f, f->players, &capacity, f->player_count + 1, sizeof(player));
            if (f->failed) return;
            p = f->player_count++;
            memset(&f->players[p], 0, sizeof(player));
            f->players[p].entity = entity;
            f->players[p].sets = NONE;
        }
        f->players[p].does[f->writes[w].op] = true;
        f->player_of[w] = p;
    }
}

static uint32_t add_set(finder *f, player *p, const uint16_t *columns, uint16_t count) {
    uint32_t s = f->set_count++;
    f->sets[s] = (key_set){.entity = p->entity, .columns = columns, .count = count, .next = p->sets};
    p->sets = s;
    return s;
}

static uint32_t target_set(finder *f, const hd_foreign_key *fk) {
    uint32_t t = fk->target ? find_player(f, fk->target) : NONE;
    if (t == NONE) return NONE;
    for (uint32_t s = f->players[t].sets; s != NONE; s = f->sets[s].next) {
        const key_set *set = &f->sets[s];
        if (set->count == fk->count && !memcmp(set->columns, fk->target_columns, fk->count * sizeof(uint16_t))) return s;
    }
    return add_set(f, &f->players[t], fk->target_columns, fk->count);
}

static void label_player(finder *f, player *p) {
    const hd_entity *e = p->entity;
    hd_constraint *c = f->out->constraints + f->out->constraint_count;
    p->label = f->out->constraint_count;
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        for (uint8_t r = 0; r < LABELS_PER_KEY; r++) *c++ = (hd_constraint){r, e, &e->foreign_keys[k], NULL};
    }
    *c++ = (hd_constraint){HD_EDGE_TAKES, e, NULL, NULL};
    for (uint16_t u = 0; u < e->unique_count; u++) *c++ = (hd_constraint){HD_EDGE_TAKES, e, NULL, &e->uniques[u]};
    f->out->constraint_count = (uint32_t)(c - f->out->constraints);
}

/* Makes the key sets, notes which of them can matter, and numbers the constraints. */
static void collect_keys(finder *f) {
    size_t sets = 0, labels = 1, widest = 1;
    for (uint32_t p = 0; p < f->player_count; p++) {
        const hd_entity *e = f->players[p].entity;
        sets += 1u + e->unique_count + e->foreign_key_count;
        labels += 1u + e->unique_count + LABELS_PER_KEY * (size_t)e->foreign_key_count;
    }
    f->sets = hd_arena_alloc(f->arena, sets * sizeof(key_set));
    f->out->constraints = hd_arena_alloc(f->arena, labels * sizeof(hd_constraint));
    if (!f->sets || !f->out->constraints) {
        f->failed = true;
        return;
    }
    for (uint32_t p = 0; p < f->player_count; p++) {
        player *pl = &f->players[p];
        pl->keys = add_set(f, pl, pl->entity->key, pl->entity->key_count);
        for (uint16_t u = 0; u < pl->entity->unique_count; u++) {
            add_set(f, pl, pl->entity->uniques[u].columns, pl->entity->uniques[u].count);
        }
        label_player(f, pl);
    }
    f->out->constraints[f->out->constraint_count++] = (hd_constraint){.reason = HD_EDGE_HALVES};
    for (uint32_t p = 0; p < f->player_count; p++) {
        player *pl = &f->players[p];
        pl->targets = hd_arena_alloc(f->arena, pl->entity->foreign_key_count * sizeof(uint32_t));
        if (!pl->targets) f->failed = true;
        for (uint16_t k = 0; k < pl->entity->foreign_key_count && !f->failed; k++) {
            pl->targets[k] = target_set(f, &pl->entity->foreign_keys[k]);
        }
    }
    for (uint32_t s = 0; s < f->set_count; s++) {
        if (f->sets[s].count > widest) widest = f->sets[s].count;
    }
    f->values = hd_arena_alloc(f->arena, widest * sizeof(hd_value));
    if (!f->values) f->failed = true;
}

static void note_wanted(finder *f) {
    for (uint32_t p = 0; p < f->player_count; p++) {
        const player *pl = &f->players[p];
        bool writes = pl->does[HD_INSERT] || pl->does[HD_UPDATE], frees = pl->does[HD_DELETE] || pl->does[HD_UPDATE];
        for (uint16_t u = 0; u <= pl->entity->unique_count; u++) {
            if (writes && frees) f->sets[pl->keys + u].wanted[GIVES_UP] = true;
        }
        for (uint16_t k = 0; k < pl->entity->foreign_key_count; k++) {
            if (pl->targets[k] == NONE) continue;
            key_set *set = &f->sets[pl->targets[k]];
            const player *target = &f->players[find_player(f, set->entity)];
            if (writes && (target->does[HD_INSERT] || target->does[HD_UPDATE])) set->wanted[BRINGS] = true;
            if (frees && target->does[HD_DELETE]) set->wanted[GIVES_UP] = true;
        }
    }
}

/* ---- the hash of values ---- */

typedef struct key_state {
    bool known, has_null;
} key_state;

static const hd_value *value_of(const hd_write *w, uint16_t column, side which) {
    return which == BRINGS ? hd_write_after(w, column) : hd_write_old(w, column);
}

static key_state gather(finder *f, const hd_write *w, const uint16_t *columns, uint16_t count, side which) {
    key_state state = {true, false};
    for (uint16_t i = 0; i < count; i++) {
        f->values[i] = *value_of(w, columns[i], which);
        if (f->values[i].kind == HD_PENDING || f->values[i].kind == HD_DEFAULT) state.known = false;
        if (f->values[i].kind == HD_NULL) state.has_null = true;
    }
    return state;
}

static uint64_t key_hash(const finder *f, uint32_t set, side which) {
    uint64_t hash = hd_value_hash(f->values, f->sets[set].count);
    return hash ^ ((uint64_t)(set * 2 + (uint32_t)which + 1) * 0x9E3779B97F4A7C15u);
}

/* True when the write gives the columns other values than they have. */
static bool moves(const hd_write *w, const uint16_t *columns, uint16_t count) {
    if (w->op != HD_UPDATE) return true;
    for (uint16_t i = 0; i < count; i++) {
        if (hd_write_sets(w, columns[i]) && !hd_value_equal(hd_write_new(w, columns[i]), hd_write_old(w, columns[i])))
            return true;
    }
    return false;
}

static void add_entry(finder *f, uint32_t set, uint32_t write, side which) {
    f->entries = grow(f, f->entries, &f->entry_capacity, f->entry_count + 1, sizeof(entry));
    if (f->failed) return;
    f->entries[f->entry_count++] = (entry){key_hash(f, set, which), set, write, NONE, (uint8_t)which};
}

static void index_values(finder *f) {
    for (uint32_t w = 0; w < f->count && !f->failed; w++) {
        const hd_write *write = &f->writes[w];
        for (uint32_t s = f->players[f->player_of[w]].sets; s != NONE; s = f->sets[s].next) {
            const key_set *set = &f->sets[s];
            if (!(set->wanted[BRINGS] || set->wanted[GIVES_UP]) || !moves(write, set->columns, set->count)) continue;
            if (set->wanted[BRINGS] && write->op != HD_DELETE
                && gather(f, write, set->columns, set->count, BRINGS).known)
                add_entry(f, s, w, BRINGS);
            if (set->wanted[GIVES_UP] && write->op != HD_INSERT
                && gather(f, write, set->columns, set->count, GIVES_UP).known)
                add_entry(f, s, w, GIVES_UP);
        }
    }
    uint32_t buckets = 16;
    while (buckets < f->entry_count * 2) buckets *= 2;
    f->mask = buckets - 1;
    f->buckets = f->failed ? NULL : hd_arena_alloc(f->arena, buckets * sizeof(uint32_t));
    if (!f->buckets) {
        f->failed = true;
        return;
    }
    memset(f->buckets, 0xff, buckets * sizeof(uint32_t));
    for (uint32_t i = f->entry_count; i-- > 0;) { /* backwards: a chain then runs in call order */
        uint32_t *bucket = &f->buckets[f->entries[i].hash & f->mask];
        f->entries[i].next = *bucket;
        *bucket = i;
    }
}

/* The next entry after `from` (NONE: the first) that holds the gathered values. */
static uint32_t find_entry(const finder *f, uint32_t set, side which, uint64_t hash, uint32_t from) {
    uint32_t i = from == NONE ? f->buckets[hash & f->mask] : f->entries[from].next;
    for (; i != NONE; i = f->entries[i].next) {
        const entry *e = &f->entries[i];
        if (e->hash != hash || e->set != set || e->side != which) continue;
        const key_set *ks = &f->sets[set];
        uint16_t c = 0;
        while (c < ks->count && hd_value_equal(value_of(&f->writes[e->write], ks->columns[c], which), &f->values[c])) c++;
        if (c == ks->count) return i;
    }
    return NONE;
}

/* ---- edges ---- */

static void add_edge(finder *f, uint32_t before, uint32_t after, uint32_t label, hd_order_bond bond) {
    f->out->items = grow(f, f->out->items, &f->edge_capacity, f->out->count + 1, sizeof(hd_order_edge));
    if (f->failed) return;
    f->out->items[f->out->count++] = (hd_order_edge){before, after, label, (uint8_t)bond};
}

static hd_order_bond refers_bond(const finder *f, const hd_write *before, const hd_write *after) {
    if (before->key == HD_KEY_AWAITED || after->key == HD_KEY_AWAITED) return HD_IN_ORDER; /* row by row */
    if (after->op == HD_UPDATE && !f->dialect->bulk_unnest) return HD_APART;
    return HD_TOGETHER;
}

static bool has_pending(const hd_write *w, const hd_foreign_key *fk) {
    for (uint16_t i = 0; i < fk->count; i++) {
        if (hd_write_after(w, fk->columns[i])->kind == HD_PENDING) return true;
    }
    return false;
}

static void refer_pending(finder *f, uint32_t w, const hd_foreign_key *fk, uint32_t label) {
    for (uint16_t i = 0; i < fk->count; i++) {
        const hd_value *v = hd_write_after(&f->writes[w], fk->columns[i]);
        uint32_t target = v->kind == HD_PENDING ? f->by_change[v->as.i] : NONE;
        if (target == NONE) continue;
        bool awaited = f->writes[target].key == HD_KEY_AWAITED;
        if (awaited) add_edge(f, target, w, label + HD_EDGE_AWAITS, HD_APART); /* to itself too: held back, then */
        else if (target != w)
            add_edge(f, target, w, label + HD_EDGE_REFERS, refers_bond(f, &f->writes[target], &f->writes[w]));
    }
}

static void refer_value(finder *f, uint32_t w, const hd_foreign_key *fk, uint32_t set, uint32_t label) {
    key_state state = gather(f, &f->writes[w], fk->columns, fk->count, BRINGS);
    if (!state.known || state.has_null) return;
    uint64_t hash = key_hash(f, set, BRINGS);
    for (uint32_t i = NONE; (i = find_entry(f, set, BRINGS, hash, i)) != NONE;) {
        uint32_t target = f->entries[i].write;
        if (target == w) continue;
        add_edge(f, target, w, label + HD_EDGE_REFERS, refers_bond(f, &f->writes[target], &f->writes[w]));
    }
}

static void leave(finder *f, uint32_t w, const hd_foreign_key *fk, uint32_t set, uint32_t label) {
    key_state state = gather(f, &f->writes[w], fk->columns, fk->count, GIVES_UP);
    if (!state.known || state.has_null) return;
    uint64_t hash = key_hash(f, set, GIVES_UP);
    for (uint32_t i = NONE; (i = find_entry(f, set, GIVES_UP, hash, i)) != NONE;) {
        uint32_t target = f->entries[i].write;
        if (target != w && f->writes[target].op == HD_DELETE) add_edge(f, w, target, label + HD_EDGE_LEAVES, HD_TOGETHER);
    }
}

static void take(finder *f, uint32_t w, uint32_t set, const hd_unique *unique, uint32_t label) {
    const key_set *ks = &f->sets[set];
    const hd_write *write = &f->writes[w];
    if (!ks->wanted[GIVES_UP] || write->op == HD_DELETE || !moves(write, ks->columns, ks->count)) return;
    key_state state = gather(f, write, ks->columns, ks->count, BRINGS);
    if (!state.known || (state.has_null && !(unique && unique->nulls_equal))) return;
    uint64_t hash = key_hash(f, set, GIVES_UP);
    for (uint32_t i = NONE; (i = find_entry(f, set, GIVES_UP, hash, i)) != NONE;) {
        uint32_t giver = f->entries[i].write;
        if (f->writes[giver].change == write->change) continue;
        add_edge(f, giver, w, label, f->dialect->bulk_unnest ? HD_APART : HD_IN_ORDER);
    }
}

static void edges_of(finder *f, uint32_t w) {
    const hd_write *write = &f->writes[w];
    const player *pl = &f->players[f->player_of[w]];
    const hd_entity *e = pl->entity;
    if (write->later) add_edge(f, f->by_change[write->change->index], w, f->out->constraint_count - 1, HD_APART);
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        const hd_foreign_key *fk = &e->foreign_keys[k];
        uint32_t set = pl->targets[k], label = pl->label + LABELS_PER_KEY * (uint32_t)k;
        if (!moves(write, fk->columns, fk->count)) continue;
        if (write->op != HD_DELETE && has_pending(write, fk)) refer_pending(f, w, fk, label);
        else if (write->op != HD_DELETE && set != NONE && f->sets[set].wanted[BRINGS]) refer_value(f, w, fk, set, label);
        if (write->op != HD_INSERT && set != NONE && f->sets[set].wanted[GIVES_UP]) leave(f, w, fk, set, label);
    }
    uint32_t label = pl->label + LABELS_PER_KEY * (uint32_t)e->foreign_key_count;
    take(f, w, pl->keys, NULL, label);
    for (uint16_t u = 0; u < e->unique_count; u++) take(f, w, pl->keys + 1u + u, &e->uniques[u], label + 1u + u);
}

hd_error_kind hd_constraints_edges(hd_arena *arena, const hd_dialect *dialect, const hd_write *writes, uint32_t count,
                                   const uint32_t *by_change, hd_edges *out) {
    finder f = {.arena = arena, .dialect = dialect, .writes = writes, .by_change = by_change, .count = count, .out = out};
    memset(out, 0, sizeof *out);
    collect_players(&f);
    if (!f.failed) collect_keys(&f);
    if (!f.failed) {
        note_wanted(&f);
        index_values(&f);
    }
    for (uint32_t w = 0; w < count && !f.failed; w++) edges_of(&f, w);
    return f.failed ? HD_E_DRIVER : HD_OK;
}
