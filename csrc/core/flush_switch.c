/* Row switch: a row that is deleted and another of the same entity that is inserted under its
 * primary key are one UPDATE. What refers to the row stays where it is, no declared rule fires, and
 * the version goes on counting. Both changes stay in the change set, linked as twins; the write is
 * the INSERT's, which learns the old values from the DELETE.
 *
 * Keys are compared as values; one that refers to another row of the flush counts when that row's
 * key is known. A key that the database is yet to give meets nothing.
 *
 * One write has fewer orders than two. Where that leaves none the rows are deleted and inserted
 * after all, unless a rule of the database would act on what refers to them. */
#include <string.h>

#include "flush_parts.h"

#define NONE UINT32_MAX

typedef struct matcher {
    hd_flush *flush;
    hd_value *key;   /* the key that was read last */
    uint32_t *table; /* indexes of deleted rows, open addressing */
    uint32_t mask;
} matcher;

static bool may_switch(const hd_change *change, hd_change_op op) {
    return change->op == op && change->slot != HD_NO_SLOT;
}

/* False: the key is not known, or not whole. */
static bool read_key(matcher *m, const hd_change *change) {
    const hd_entity *e = change->entity;
    const hd_value *row = change->op == HD_DELETE ? change->old : change->set;
    for (uint16_t k = 0; k < e->key_count; k++) {
        if (!hd_flush_resolve(m->flush, change, e->key[k], &row[e->key[k]], &m->key[k]))
            return false;
        if (m->key[k].kind == HD_NULL) return false;
    }
    return e->key_count > 0;
}

static uint32_t place_of_key(const matcher *m, const hd_entity *e) {
    return (uint32_t)(hd_value_hash(m->key, e->key_count) + e->id * 0x9E3779B9u) & m->mask;
}

static bool has_read_key(const matcher *m, const hd_change *change, const hd_entity *e) {
    if (change->entity != e) return false;
    for (uint16_t k = 0; k < e->key_count; k++) {
        if (!hd_value_equal(&change->old[e->key[k]], &m->key[k])) return false;
    }
    return true;
}

static void enter(matcher *m, const hd_change *change) {
    if (!read_key(m, change)) return;
    uint32_t at = place_of_key(m, change->entity);
    while (m->table[at] != NONE) at = (at + 1) & m->mask;
    m->table[at] = change->index;
}

static void link_twins(matcher *m, hd_change *made) {
    if (!read_key(m, made)) return;
    uint32_t at = place_of_key(m, made->entity);
    for (; m->table[at] != NONE; at = (at + 1) & m->mask) {
        hd_change *gone = m->flush->changes[m->table[at]];
        if (gone->twin || !has_read_key(m, gone, made->entity)) continue;
        gone->twin = made;
        made->twin = gone;
        made->old = gone->old;
        return;
    }
}

bool hd_flush_may_unlink_twins(const hd_flush *flush) {
    bool any = false;
    for (size_t i = 0; i < flush->count; i++) {
        const hd_entity *e = flush->changes[i]->entity;
        if (!flush->changes[i]->twin) continue;
        any = true;
        for (uint16_t k = 0; k < e->key_count; k++) {
            if (e->columns[e->key[k]].flags & HD_COL_RULED) return false;
        }
    }
    return any;
}

void hd_flush_unlink_twins(hd_flush *flush) {
    for (size_t i = 0; i < flush->count; i++) {
        hd_change *change = flush->changes[i];
        if (change->twin && change->op == HD_INSERT) change->old = NULL;
        change->twin = NULL;
    }
}

bool hd_flush_link_twins(hd_flush *flush) {
    uint32_t deleted = 0, inserted = 0;
    uint16_t widest = 0;
    for (size_t i = 0; i < flush->count; i++) {
        const hd_change *change = flush->changes[i];
        deleted += may_switch(change, HD_DELETE);
        inserted += may_switch(change, HD_INSERT);
        if (change->entity->key_count > widest) widest = change->entity->key_count;
    }
    if (!deleted || !inserted) return true;
    matcher m = {.flush = flush, .mask = 15};
    while (m.mask < deleted * 2) m.mask = m.mask * 2 + 1;
    m.key = hd_arena_alloc(&flush->work, widest * sizeof *m.key);
    m.table = hd_arena_alloc(&flush->work, (m.mask + 1) * sizeof(uint32_t));
    if (!m.key || !m.table) return false;
    memset(m.table, 0xff, (m.mask + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < flush->count; i++) {
        if (may_switch(flush->changes[i], HD_DELETE)) enter(&m, flush->changes[i]);
    }
    for (size_t i = 0; i < flush->count; i++) {
        if (may_switch(flush->changes[i], HD_INSERT)) link_twins(&m, flush->changes[i]);
    }
    return true;
}
