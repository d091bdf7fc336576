/* Identity map of one shelf: primary key to slot. Keys of one integer are kept as they are, all others as bytes
 * (kind, length, content of each column), owned here. Open addressing, linear probing, power of two. */
#ifndef HD_IDENTITY_H
#define HD_IDENTITY_H

#include "base/alloc.h"
#include "base/value.h"

/* A key at rest: an integer, or owned bytes. Trivially movable. */
typedef struct hd_key {
    union {
        int64_t number;
        char *bytes;
    } as;
    uint32_t length; /* of bytes; 0: number */
    bool used;
} hd_key;

typedef struct hd_identity_node {
    uint32_t hash;
    uint32_t slot; /* plus 1; 0 free, UINT32_MAX was used */
} hd_identity_node;

typedef struct hd_identity {
    const hd_allocator *mem;
    hd_identity_node *nodes;
    uint32_t mask, used, dirty; /* dirty: used and formerly used */
    uint32_t shift;             /* of a hash, to get a place but for its last four bits */
    uint32_t key_count;
} hd_identity;

void hd_identity_init(hd_identity *map, const hd_allocator *mem, uint32_t key_count);
void hd_identity_free(hd_identity *map);
/* `keys` is the shelf's array of keys by slot. */
uint32_t hd_identity_find(const hd_identity *map, const hd_key *keys, size_t stride,
                          const hd_value *key);
int hd_identity_reserve(hd_identity *map); /* room for one more; -1: memory */
void hd_identity_insert(hd_identity *map, const hd_key *key,
                        uint32_t slot); /* after reserve; not there yet */
void hd_identity_remove(hd_identity *map, const hd_key *key, uint32_t slot);

int hd_key_make(const hd_allocator *mem, const hd_value *values, uint32_t count,
                hd_key *key); /* -1: memory */
void hd_key_free(const hd_allocator *mem, hd_key *key);
void hd_key_read(const hd_key *key, hd_value *values, uint32_t count); /* bytes stay the key's */

#endif
