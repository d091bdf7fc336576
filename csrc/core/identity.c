/* Identity map. The nodes hold hash and slot only; the key itself stands in the shelf's row, so that a lookup
 * compares with it there. Two kinds of key, told apart by hd_key.length: one integer (the usual case: no
 * allocation, one comparison) and serialised columns. */
#include "identity.h"

#include <string.h>

#define WAS_USED UINT32_MAX

void hd_identity_init(hd_identity *map, const hd_allocator *mem, uint32_t key_count) {
    memset(map, 0, sizeof *map);
    map->mem = mem;
    map->key_count = key_count;
}

void hd_identity_free(hd_identity *map) {
    hd_free(map->mem, map->nodes);
    hd_identity_init(map, map->mem, map->key_count);
}

/* ---- Keys ---- */

static uint64_t mix(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

static uint64_t hash_bytes(const char *bytes, size_t len) {
    uint64_t h = 0x9ae16a3b2f90404fu ^ len;
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        h = mix(h ^ word);
        bytes += 8;
        len -= 8;
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes, len);
    return mix(h ^ rest);
}

/* Sixteen numbers that follow one another lie side by side; such sixteens, by the golden ratio, lie apart, be they
 * neighbours or multiples of a power of two. */
static uint32_t hash_number(int64_t number) {
    uint64_t sixteen = (uint64_t)(number >> 4) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(sixteen >> 36 << 4) | (uint32_t)(number & 15);
}

static uint32_t hash_key(const hd_key *key) {
    return key->length ? (uint32_t)hash_bytes(key->as.bytes, key->length)
                       : hash_number(key->as.number);
}

static size_t part_size(const hd_value *v) {
    return hd_has_bytes(v) ? 5 + (size_t)v->len : 9;
}

static char *write_part(char *out, const hd_value *v) {
    *out++ = (char)v->kind;
    if (hd_has_bytes(v)) {
        memcpy(out, &v->len, 4);
        if (v->len) memcpy(out + 4, v->as.p, v->len);
        return out + 4 + v->len;
    }
    memcpy(out, &v->as.i, 8);
    return out + 8;
}

static bool is_number(const hd_value *values, uint32_t count) {
    return count == 1 && values->kind == HD_INT;
}

int hd_key_make(const hd_allocator *mem, const hd_value *values, uint32_t count, hd_key *key) {
    key->used = true;
    key->length = 0;
    if (is_number(values, count)) {
        key->as.number = values->as.i;
        return 0;
    }
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) size += part_size(&values[i]);
    char *bytes = size < UINT32_MAX ? hd_alloc(mem, size) : NULL;
    if (!bytes) {
        key->used = false;
        return -1;
    }
    key->as.bytes = bytes;
    key->length = (uint32_t)size;
    for (uint32_t i = 0; i < count; i++) bytes = write_part(bytes, &values[i]);
    return 0;
}

void hd_key_free(const hd_allocator *mem, hd_key *key) {
    if (key->used && key->length) hd_free(mem, key->as.bytes);
    memset(key, 0, sizeof *key);
}

void hd_key_read(const hd_key *key, hd_value *values, uint32_t count) {
    if (!key->length) {
        values[0] = hd_int(key->as.number, HD_T_BIGINT);
        return;
    }
    const char *at = key->as.bytes;
    for (uint32_t i = 0; i < count; i++) {
        hd_value v = hd_null();
        v.kind = (uint8_t)*at++;
        if (hd_has_bytes(&v)) {
            memcpy(&v.len, at, 4);
            v.as.p = at + 4;
            at += 4 + v.len;
        } else {
            memcpy(&v.as.i, at, 8);
            at += 8;
        }
        values[i] = v;
    }
}

/* ---- The table ---- */

static bool same_key(const hd_key *a, const hd_key *b) {
    if (a->length != b->length) return false;
    return a->length ? memcmp(a->as.bytes, b->as.bytes, a->length) == 0
                     : a->as.number == b->as.number;
}

static const hd_key *key_at(const hd_key *keys, size_t stride, uint32_t slot) {
    return (const hd_key *)(const void *)((const char *)keys + stride * slot);
}

static uint32_t first_place(const hd_identity *map, uint32_t hash) {
    return (hash >> map->shift & ~15u) | (hash & 15);
}

static uint32_t find_number(const hd_identity *map, const hd_key *keys, size_t stride,
                            int64_t number) {
    uint32_t hash = hash_number(number), i = first_place(map, hash);
    for (; map->nodes[i].slot; i = (i + 1) & map->mask) {
        const hd_identity_node *node = &map->nodes[i];
        if (node->hash != hash || node->slot == WAS_USED) continue;
        const hd_key *key = key_at(keys, stride, node->slot - 1);
        if (key->length == 0 && key->as.number == number) return node->slot - 1;
    }
    return UINT32_MAX;
}

static uint32_t find_bytes(const hd_identity *map, const hd_key *keys, size_t stride,
                           const hd_key *key) {
    uint32_t hash = hash_key(key), i = first_place(map, hash);
    for (; map->nodes[i].slot; i = (i + 1) & map->mask) {
        const hd_identity_node *node = &map->nodes[i];
        if (node->hash != hash || node->slot == WAS_USED) continue;
        if (same_key(key_at(keys, stride, node->slot - 1), key)) return node->slot - 1;
    }
    return UINT32_MAX;
}

uint32_t hd_identity_find(const hd_identity *map, const hd_key *keys, size_t stride,
                          const hd_value *values) {
    if (map->used == 0) return UINT32_MAX;
    if (is_number(values, map->key_count)) return find_number(map, keys, stride, values->as.i);
    char small[256];
    size_t size = 0;
    for (uint32_t i = 0; i < map->key_count; i++) size += part_size(&values[i]);
    char *bytes = size <= sizeof small ? small : hd_alloc(map->mem, size), *at = bytes;
    if (!bytes) return UINT32_MAX;
    for (uint32_t i = 0; i < map->key_count; i++) at = write_part(at, &values[i]);
    hd_key key = {.as.bytes = bytes, .length = (uint32_t)size, .used = true};
    uint32_t found = find_bytes(map, keys, stride, &key);
    if (bytes != small) hd_free(map->mem, bytes);
    return found;
}

static void place(hd_identity *map, uint32_t hash, uint32_t slot_plus_1) {
    uint32_t i = first_place(map, hash);
    while (map->nodes[i].slot != 0 && map->nodes[i].slot != WAS_USED) i = (i + 1) & map->mask;
    if (map->nodes[i].slot == 0) map->dirty++;
    map->nodes[i].hash = hash;
    map->nodes[i].slot = slot_plus_1;
    map->used++;
}

int hd_identity_reserve(hd_identity *map) {
    uint32_t size = map->nodes ? map->mask + 1 : 0;
    if (map->dirty + 1 <= size / 2 + size / 4) return 0;
    uint32_t grown = size ? (map->used * 2 >= size ? size * 2 : size) : 16;
    if (grown < size || grown > UINT32_MAX / 4) return -1;
    hd_identity_node *nodes = hd_alloc_zero(map->mem, grown * sizeof *nodes);
    if (!nodes) return -1;
    hd_identity old = *map;
    map->nodes = nodes;
    map->mask = grown - 1;
    map->shift = 32 - (uint32_t)__builtin_ctz(grown);
    map->used = map->dirty = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t slot = old.nodes[i].slot;
        if (slot != 0 && slot != WAS_USED) place(map, old.nodes[i].hash, slot);
    }
    hd_free(map->mem, old.nodes);
    return 0;
}

void hd_identity_insert(hd_identity *map, const hd_key *key, uint32_t slot) {
    place(map, hash_key(key), slot + 1);
}

void hd_identity_remove(hd_identity *map, const hd_key *key, uint32_t slot) {
    if (map->used == 0) return;
    uint32_t i = first_place(map, hash_key(key));
    for (; map->nodes[i].slot; i = (i + 1) & map->mask) {
        if (map->nodes[i].slot == slot + 1) {
            map->nodes[i].slot = WAS_USED;
            map->used--;
            return;
        }
    }
}
