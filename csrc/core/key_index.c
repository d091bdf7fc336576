/* Key index. A flush touches few entities (the players) and few of their keys matter: a unique key
 * only when some row of its entity is freed and some row written, the target of a foreign key only
 * when both entities have writes that could meet. So ten thousand plain inserts hash nothing, and
 * a foreign key whose target has no change in this flush costs one comparison.
 *
 * Both sides stand in one chained hash table; a chain runs in the order of calls, so that edges do
 * too. Values that are pending or left out are in no entry: nobody can know what they will meet. */
#include "key_index.h"

#include <string.h>

/* ---- players ---- */

static uint32_t find_player(const hd_key_index *x, const hd_entity *entity) {
    for (uint32_t p = 0; p < x->player_count; p++) {
        if (x->players[p].entity == entity) return p;
    }
    return HD_KEY_NONE;
}

/* The array with room for `need` items; NULL: out of memory. */
static void *grow(hd_arena *arena, void *items, uint32_t *capacity, uint32_t need, size_t item) {
    if (need <= *capacity) return items;
    uint32_t larger = *capacity ? *capacity * 2 : 64;
    void *grown = hd_arena_alloc(arena, larger * item);
    if (grown && *capacity) memcpy(grown, items, *capacity * item);
    *capacity = larger;
    return grown;
}

static bool collect_players(hd_key_index *x) {
    uint32_t capacity = 0, p = HD_KEY_NONE;
    x->player_of = hd_arena_alloc(x->arena, x->count * sizeof(uint32_t));
    if (!x->player_of) return false;
    for (uint32_t w = 0; w < x->count; w++) {
        const hd_entity *entity = x->writes[w].change->entity;
        if (p == HD_KEY_NONE || x->players[p].entity != entity) p = find_player(x, entity);
        if (p == HD_KEY_NONE) {
            p = x->player_count++;
            x->players = grow(x->arena, x->players, &capacity, p + 1, sizeof(hd_key_player));
            if (!x->players) return false;
            x->players[p] = (hd_key_player){.entity = entity, .sets = HD_KEY_NONE};
        }
        x->players[p].does[x->writes[w].op] = true;
        x->player_of[w] = p;
    }
    return true;
}

/* ---- sets ---- */

static uint32_t add_set(hd_key_index *x, hd_key_player *p, const uint16_t *columns,
                        uint16_t count) {
    uint32_t s = x->set_count++;
    x->sets[s] =
        (hd_key_set){.entity = p->entity, .columns = columns, .count = count, .next = p->sets};
    p->sets = s;
    return s;
}

static uint32_t target_set(hd_key_index *x, const hd_foreign_key *fk) {
    uint32_t t = fk->target ? find_player(x, fk->target) : HD_KEY_NONE;
    if (t == HD_KEY_NONE) return HD_KEY_NONE;
    for (uint32_t s = x->players[t].sets; s != HD_KEY_NONE; s = x->sets[s].next) {
        const hd_key_set *set = &x->sets[s];
        if (set->count != fk->count || set->partial) continue;
        if (!memcmp(set->columns, fk->target_columns, fk->count * sizeof(uint16_t))) return s;
    }
    return add_set(x, &x->players[t], fk->target_columns, fk->count);
}

static void add_own_sets(hd_key_index *x, hd_key_player *p) {
    const hd_entity *e = p->entity;
    p->keys = add_set(x, p, e->key, e->key_count);
    for (uint16_t u = 0; u < e->unique_count; u++) {
        uint32_t set = add_set(x, p, e->uniques[u].columns, e->uniques[u].count);
        if (e->uniques[u].test_count) x->sets[set].partial = &e->uniques[u];
    }
}

static bool collect_sets(hd_key_index *x) {
    size_t most = 0, widest = 1;
    for (uint32_t p = 0; p < x->player_count; p++) {
        most += 1u + x->players[p].entity->unique_count + x->players[p].entity->foreign_key_count;
    }
    x->sets = hd_arena_alloc(x->arena, most * sizeof(hd_key_set));
    if (!x->sets) return false;
    for (uint32_t p = 0; p < x->player_count; p++) add_own_sets(x, &x->players[p]);
    for (uint32_t p = 0; p < x->player_count; p++) {
        const hd_entity *e = x->players[p].entity;
        uint32_t *targets = hd_arena_alloc(x->arena, e->foreign_key_count * sizeof(uint32_t));
        if (!targets) return false;
        for (uint16_t k = 0; k < e->foreign_key_count; k++)
            targets[k] = target_set(x, &e->foreign_keys[k]);
        x->players[p].targets = targets;
    }
    for (uint32_t s = 0; s < x->set_count; s++) {
        if (x->sets[s].count > widest) widest = x->sets[s].count;
    }
    x->values = hd_arena_alloc(x->arena, widest * sizeof(hd_value));
    return x->values != NULL;
}

static void note_wanted(hd_key_index *x) {
    for (uint32_t p = 0; p < x->player_count; p++) {
        const hd_key_player *pl = &x->players[p];
        bool writes = pl->does[HD_INSERT] || pl->does[HD_UPDATE];
        bool frees = pl->does[HD_DELETE] || pl->does[HD_UPDATE];
        for (uint16_t u = 0; u <= pl->entity->unique_count; u++) {
            if (writes && frees) x->sets[pl->keys + u].wanted[HD_KEY_GIVES_UP] = true;
        }
        for (uint16_t k = 0; k < pl->entity->foreign_key_count; k++) {
            if (pl->targets[k] == HD_KEY_NONE) continue;
            hd_key_set *set = &x->sets[pl->targets[k]];
            const bool *target_does = x->players[find_player(x, set->entity)].does;
            if (writes && (target_does[HD_INSERT] || target_does[HD_UPDATE]))
                set->wanted[HD_KEY_BRINGS] = true;
            if (frees && (target_does[HD_DELETE] || target_does[HD_UPDATE]))
                set->wanted[HD_KEY_GIVES_UP] = true;
        }
    }
}

/* ---- values ---- */

static const hd_value *value_of(const hd_write *w, uint16_t column, hd_key_side side) {
    return side == HD_KEY_BRINGS ? hd_write_after(w, column) : hd_write_old(w, column);
}

hd_key_state hd_key_gather(hd_key_index *x, const hd_write *w, const uint16_t *columns,
                           uint16_t count, hd_key_side side) {
    hd_key_state state = {true, false};
    for (uint16_t i = 0; i < count; i++) {
        x->values[i] = *value_of(w, columns[i], side);
        if (x->values[i].kind >= HD_PENDING) state.known = false; /* not known before it is there */
        if (x->values[i].kind == HD_NULL) state.has_null = true;
    }
    return state;
}

bool hd_key_moves(const hd_write *w, const uint16_t *columns, uint16_t count) {
    if (w->op != HD_UPDATE) return true;
    for (uint16_t i = 0; i < count; i++) {
        if (hd_write_resets(w, columns[i])) return true;
        if (!hd_write_sets(w, columns[i])) continue;
        if (!hd_value_equal(hd_write_new(w, columns[i]), hd_write_old(w, columns[i]))) return true;
    }
    return false;
}

/* ---- members of partial keys ---- */

typedef enum membership { OUTSIDE, INSIDE, PERHAPS } membership;

static membership test(const hd_test *t, const hd_value *value) {
    bool holds;
    if (value->kind >= HD_PENDING) return PERHAPS;
    if (t->word == HD_TEST_IS_NULL || t->word == HD_TEST_NOT_NULL)
        holds = (value->kind == HD_NULL) == (t->word == HD_TEST_IS_NULL);
    else if (value->kind == HD_NULL)
        holds = false;
    else
        holds = hd_value_equal(value, &t->value) == (t->word == HD_TEST_EQUAL);
    return holds ? INSIDE : OUTSIDE;
}

static membership member(const hd_unique *partial, const hd_write *w, hd_key_side side) {
    membership is = INSIDE;
    for (uint16_t i = 0; i < partial->test_count; i++) {
        const hd_test *t = &partial->tests[i];
        membership one = test(t, value_of(w, t->column, side));
        if (one == OUTSIDE) return OUTSIDE;
        if (one == PERHAPS) is = PERHAPS;
    }
    return is;
}

static bool may_cross(const hd_unique *partial, const hd_write *w) {
    for (uint16_t i = 0; i < partial->test_count; i++) {
        if (hd_key_moves(w, &partial->tests[i].column, 1)) return true;
    }
    return false;
}

hd_key_crossing hd_key_crosses(const hd_key_set *set, const hd_write *w) {
    bool moves = hd_key_moves(w, set->columns, set->count);
    if (!set->partial)
        return (hd_key_crossing){moves && w->op != HD_INSERT, moves && w->op != HD_DELETE};
    if (!moves && !may_cross(set->partial, w)) return (hd_key_crossing){false, false};
    membership was = w->op == HD_INSERT ? OUTSIDE : member(set->partial, w, HD_KEY_GIVES_UP);
    membership will = w->op == HD_DELETE ? OUTSIDE : member(set->partial, w, HD_KEY_BRINGS);
    return (hd_key_crossing){was != OUTSIDE && (moves || will != INSIDE),
                             will != OUTSIDE && (moves || was != INSIDE)};
}

/* ---- hashing ---- */

static uint64_t key_hash(const hd_key_index *x, uint32_t set, hd_key_side side) {
    uint64_t hash = hd_value_hash(x->values, x->sets[set].count);
    return hash ^ (set * 2u + (uint64_t)side + 1) * 0x9E3779B97F4A7C15u;
}

/* ---- the index ---- */

static bool add_entry(hd_key_index *x, uint32_t set, uint32_t write, hd_key_side side) {
    const hd_key_set *s = &x->sets[set];
    if (!s->wanted[side] || !hd_key_gather(x, &x->writes[write], s->columns, s->count, side).known)
        return true;
    x->entries =
        grow(x->arena, x->entries, &x->entry_capacity, x->entry_count + 1, sizeof(hd_key_entry));
    if (!x->entries) return false;
    x->entries[x->entry_count++] =
        (hd_key_entry){key_hash(x, set, side), set, write, HD_KEY_NONE, (uint8_t)side};
    return true;
}

static bool add_entries(hd_key_index *x, uint32_t write) {
    const hd_write *w = &x->writes[write];
    for (uint32_t s = x->players[x->player_of[write]].sets; s != HD_KEY_NONE; s = x->sets[s].next) {
        const hd_key_set *set = &x->sets[s];
        if (!set->wanted[HD_KEY_BRINGS] && !set->wanted[HD_KEY_GIVES_UP]) continue;
        hd_key_crossing crossing = hd_key_crosses(set, w);
        if (crossing.brings && !add_entry(x, s, write, HD_KEY_BRINGS)) return false;
        if (crossing.gives_up && !add_entry(x, s, write, HD_KEY_GIVES_UP)) return false;
    }
    return true;
}

static bool chain_entries(hd_key_index *x) {
    uint32_t buckets = 16;
    while (buckets < x->entry_count * 2) buckets *= 2;
    x->mask = buckets - 1;
    x->buckets = hd_arena_alloc(x->arena, buckets * sizeof(uint32_t));
    if (!x->buckets) return false;
    memset(x->buckets, 0xff, buckets * sizeof(uint32_t));
    for (uint32_t i = x->entry_count; i-- > 0;) {
        uint32_t *bucket = &x->buckets[x->entries[i].hash & x->mask];
        x->entries[i].next = *bucket;
        *bucket = i;
    }
    return true;
}

bool hd_key_index_build(hd_key_index *x, hd_arena *arena, const hd_write *writes, uint32_t count) {
    *x = (hd_key_index){.arena = arena, .writes = writes, .count = count};
    if (!collect_players(x) || !collect_sets(x)) return false;
    note_wanted(x);
    for (uint32_t w = 0; w < count; w++) {
        if (!add_entries(x, w)) return false;
    }
    return chain_entries(x);
}

static bool holds_gathered(const hd_key_index *x, const hd_key_entry *e) {
    const hd_key_set *set = &x->sets[e->set];
    for (uint16_t c = 0; c < set->count; c++) {
        const hd_value *value =
            value_of(&x->writes[e->write], set->columns[c], (hd_key_side)e->side);
        if (!hd_value_equal(value, &x->values[c])) return false;
    }
    return true;
}

uint32_t hd_key_find(const hd_key_index *x, uint32_t set, hd_key_side side, uint32_t from) {
    bool first = from == HD_KEY_NONE;
    uint64_t hash = first ? key_hash(x, set, side) : x->entries[from].hash;
    uint32_t i = first ? x->buckets[hash & x->mask] : x->entries[from].next;
    for (; i != HD_KEY_NONE; i = x->entries[i].next) {
        const hd_key_entry *e = &x->entries[i];
        if (e->hash == hash && e->set == set && e->side == side && holds_gathered(x, e)) return i;
    }
    return HD_KEY_NONE;
}
