/* Key index: which writes of a flush bring a key value, and which give one up. Keys are the column
 * lists that constraints speak of: primary keys, unique keys, targets of foreign keys. A key is
 * hashed only when both sides that could meet in it are in the flush. */
#ifndef HD_KEY_INDEX_H
#define HD_KEY_INDEX_H

#include "base/arena.h"
#include "write.h"

#define HD_KEY_NONE UINT32_MAX

typedef enum hd_key_side { HD_KEY_BRINGS, HD_KEY_GIVES_UP } hd_key_side;

typedef struct hd_key_set {
    const hd_entity *entity;
    const hd_unique *partial; /* its members alone have the key; NULL: every row */
    const uint16_t *columns;
    uint16_t count;
    bool wanted[2]; /* by side: it is in the index */
    uint32_t next;  /* of the same player, HD_KEY_NONE: the last */
} hd_key_set;

/* An entity that has writes in the flush. */
typedef struct hd_key_player {
    const hd_entity *entity;
    bool does[3];      /* by hd_change_op */
    uint32_t *targets; /* by foreign key: the set it refers to; HD_KEY_NONE: not in this flush */
    uint32_t keys;     /* set of the primary key; those of the unique keys follow */
    uint32_t sets;     /* first of all its sets */
} hd_key_player;

typedef struct hd_key_entry {
    uint64_t hash;
    uint32_t set, write, next;
    uint8_t side;
} hd_key_entry;

typedef struct hd_key_index {
    hd_arena *arena;
    const hd_write *writes;
    uint32_t count;
    hd_key_player *players;
    uint32_t player_count;
    uint32_t *player_of; /* by write */
    hd_key_set *sets;
    uint32_t set_count;
    hd_key_entry *entries;
    uint32_t entry_count, entry_capacity;
    uint32_t *buckets, mask;
    hd_value *values; /* the key that was gathered last */
} hd_key_index;

/* False: out of memory. All memory is from `arena`. */
bool hd_key_index_build(hd_key_index *index, hd_arena *arena, const hd_write *writes,
                        uint32_t count);

/* True when the write gives the columns other values than they have (INSERT and DELETE do). */
bool hd_key_moves(const hd_write *write, const uint16_t *columns, uint16_t count);

/* Whether the write makes a row give up its key in the set, and whether it brings one: by what it
 * writes, and for a partial key by what becomes a member or is none any more. What is not known
 * counts as both. */
typedef struct hd_key_crossing {
    bool gives_up, brings;
} hd_key_crossing;
hd_key_crossing hd_key_crosses(const hd_key_set *set, const hd_write *write);

/* Gathers a write's values of these columns; `known`: none is left out or pending. */
typedef struct hd_key_state {
    bool known, has_null;
} hd_key_state;
hd_key_state hd_key_gather(hd_key_index *index, const hd_write *write, const uint16_t *columns,
                           uint16_t count, hd_key_side side);

/* The entries that hold the gathered values in a set, in call order: begin with HD_KEY_NONE, go on
 * with the last one found; HD_KEY_NONE when there is none. */
uint32_t hd_key_find(const hd_key_index *index, uint32_t set, hd_key_side side, uint32_t from);

#endif
