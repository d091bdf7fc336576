/* Structural hash of JSON values: the snapshot of a json property. Two lanes of 64 bits; every step
 * is a bijection of the state for a given input and of the input for a given state, so that nothing
 * is lost on the way and only chance, at 2^-128, makes two values equal. Arrays absorb their items
 * in turn; objects add up their members' hashes, which is why the order of keys does not count. */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Odd random numbers: multipliers of the two lanes, then those of mix(). */
#define LANE_A UINT64_C(0xB95A2C9D6ECC925B)
#define LANE_B UINT64_C(0x91CD516E085093B3)
#define MIX_1  UINT64_C(0xA72152B843D6DFC9)
#define MIX_2  UINT64_C(0xFAB4B0C40E44A381)

typedef enum hash_tag {
    TAG_NULL = 1,
    TAG_FALSE,
    TAG_TRUE,
    TAG_INTEGER,
    TAG_DOUBLE,
    TAG_STRING,
    TAG_ARRAY,
    TAG_OBJECT,
    TAG_MEMBER,
    TAG_EMPTY
} hash_tag;

static uint64_t mix(uint64_t x) {
    x ^= x >> 32;
    x *= MIX_1;
    x ^= x >> 29;
    x *= MIX_2;
    return x ^ x >> 32;
}

static hd_hash128 absorb(hd_hash128 hash, hd_hash128 item) {
    hd_hash128 next;
    next.a = mix((hash.a ^ item.a) * LANE_A + hash.b);
    next.b = mix((hash.b + item.b) * LANE_B + next.a);
    return next;
}

static hd_hash128 of_word(hash_tag tag, uint64_t word) {
    hd_hash128 start = {(uint64_t)tag * LANE_B, (uint64_t)tag * LANE_A};
    hd_hash128 item = {word, ~word};
    return absorb(start, item);
}

/* ---- scalars ---- */

hd_hash128 hd_hash_null(void) {
    return of_word(TAG_NULL, 0);
}

hd_hash128 hd_hash_bool(bool value) {
    return of_word(value ? TAG_TRUE : TAG_FALSE, 0);
}

/* A double that is an integer of 64 bits is hashed as that, exactly; no other equals an integer. */
hd_hash128 hd_hash_number(double value, bool is_integer, int64_t integer) {
    if (is_integer) return of_word(TAG_INTEGER, (uint64_t)integer);
    if (value >= -0x1p63 && value < 0x1p63 && value == rint(value)) {
        return of_word(TAG_INTEGER, (uint64_t)(int64_t)value);
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return of_word(TAG_DOUBLE, bits);
}

hd_hash128 hd_hash_string(const char *text, size_t len) {
    hd_hash128 hash = {TAG_STRING * LANE_B + len, TAG_STRING * LANE_A ^ len};
    uint64_t word;
    for (; len >= sizeof word; len -= sizeof word, text += sizeof word) {
        memcpy(&word, text, sizeof word);
        hash.a = (hash.a ^ word) * LANE_A;
        hash.a ^= hash.a >> 32;
        hash.b = (hash.b + word) * LANE_B;
        hash.b ^= hash.b >> 29;
    }
    word = 0;
    if (len) memcpy(&word, text, len);
    hd_hash128 tail = {word, word};
    return absorb(hash, tail);
}

/* ---- containers ---- */

hd_hash128 hd_hash_array_start(void) {
    return of_word(TAG_ARRAY, 0);
}

hd_hash128 hd_hash_array_add(hd_hash128 array, hd_hash128 item) {
    return absorb(array, item);
}

hd_hash128 hd_hash_object_start(void) {
    return of_word(TAG_OBJECT, 0);
}

static hd_hash128 add_member(hd_hash128 object, hd_hash128 key, hd_hash128 value) {
    hd_hash128 member = absorb(absorb(of_word(TAG_MEMBER, 0), key), value);
    object.a += member.a;
    object.b += member.b;
    return object;
}

hd_hash128 hd_hash_object_add(hd_hash128 object, const char *key, size_t len, hd_hash128 value) {
    return add_member(object, hd_hash_string(key, len), value);
}

hd_hash128 hd_hash_close(hd_hash128 container, uint64_t count, bool is_array) {
    if (count == 0) return of_word(TAG_EMPTY, 0);
    hd_hash128 end = {count, is_array ? TAG_ARRAY : TAG_OBJECT};
    return absorb(container, end);
}

/* ---- texts ---- */

#define FEW_MEMBERS 24

/* Members wait until their object closes: of two with one name the last is the value. */
typedef struct member {
    hd_hash128 key, value;
    size_t order;
} member;

typedef struct level {
    hd_hash128 array, key; /* key: of the value to come, in an object */
    uint64_t count;        /* items of an array */
    size_t first;          /* where its members begin, in an object */
    bool object;
} level;

typedef struct hasher {
    const hd_allocator *mem;
    level *levels;
    member *members;
    size_t depth, level_room, count, member_room;
    hd_hash128 result;
} hasher;

static int by_key(const void *left, const void *right) {
    const member *x = left, *y = right;
    if (x->key.a != y->key.a) return x->key.a < y->key.a ? -1 : 1;
    if (x->key.b != y->key.b) return x->key.b < y->key.b ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static bool same_key(const member *x, const member *y) {
    return x->key.a == y->key.a && x->key.b == y->key.b;
}

/* Is members[i] replaced by one of the next `reach`? */
static bool replaced(const member *members, size_t count, size_t i, size_t reach) {
    size_t end = count - i - 1 < reach ? count : i + 1 + reach;
    for (size_t j = i + 1; j < end; j++) {
        if (same_key(&members[i], &members[j])) return true;
    }
    return false;
}

/* Few members are searched for a later one of their name; many are sorted, which brings it next. */
static hd_hash128 hash_members(member *members, size_t count) {
    hd_hash128 object = hd_hash_object_start();
    uint64_t distinct = 0;
    size_t reach = count;
    if (count > FEW_MEMBERS) {
        qsort(members, count, sizeof *members, by_key);
        reach = 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (replaced(members, count, i, reach)) continue;
        object = add_member(object, members[i].key, members[i].value);
        distinct++;
    }
    return hd_hash_close(object, distinct, false);
}

static int open_level(hasher *h, bool object) {
    void *levels = h->levels;
    if (hd_grow(h->mem, &levels, &h->level_room, h->depth + 1, sizeof(level)) != 0) return -1;
    h->levels = levels;
    level *top = &h->levels[h->depth++];
    memset(top, 0, sizeof *top);
    top->object = object;
    top->first = h->count;
    if (!object) top->array = hd_hash_array_start();
    return 0;
}

static int put_value(hasher *h, hd_hash128 value) {
    if (h->depth == 0) {
        h->result = value;
        return 0;
    }
    level *top = &h->levels[h->depth - 1];
    if (!top->object) {
        top->array = hd_hash_array_add(top->array, value);
        top->count++;
        return 0;
    }
    void *members = h->members;
    if (hd_grow(h->mem, &members, &h->member_room, h->count + 1, sizeof(member)) != 0) return -1;
    h->members = members;
    member *added = &h->members[h->count];
    added->key = top->key;
    added->value = value;
    added->order = h->count++;
    return 0;
}

static int close_level(hasher *h) {
    level *top = &h->levels[--h->depth];
    if (!top->object) return put_value(h, hd_hash_close(top->array, top->count, true));
    size_t count = h->count - top->first;
    hd_hash128 object = hash_members(count ? h->members + top->first : NULL, count);
    h->count = top->first;
    return put_value(h, object);
}

static int put_event(hasher *h, const hd_json_reader *r, hd_json_event event) {
    switch (event) {
    case HD_JSON_NULL:
        return put_value(h, hd_hash_null());
    case HD_JSON_TRUE:
        return put_value(h, hd_hash_bool(true));
    case HD_JSON_FALSE:
        return put_value(h, hd_hash_bool(false));
    case HD_JSON_INTEGER:
        return put_value(h, hd_hash_number(0, true, r->integer));
    case HD_JSON_NUMBER:
        if (r->big_integer) return put_value(h, hd_hash_string(r->text, r->len));
        return put_value(h, hd_hash_number(r->number, false, 0));
    case HD_JSON_STRING:
        return put_value(h, hd_hash_string(r->text, r->len));
    case HD_JSON_KEY:
        h->levels[h->depth - 1].key = hd_hash_string(r->text, r->len);
        return 0;
    case HD_JSON_ARRAY_OPEN:
        return open_level(h, false);
    case HD_JSON_OBJECT_OPEN:
        return open_level(h, true);
    case HD_JSON_ARRAY_CLOSE:
    case HD_JSON_OBJECT_CLOSE:
        return close_level(h);
    default:
        return -1;
    }
}

int hd_json_hash(const char *text, size_t len, const hd_allocator *mem, hd_hash128 *out) {
    hasher h = {.mem = mem};
    hd_json_reader reader;
    hd_json_read(&reader, text, len, mem);
    hd_json_event event;
    int failed = 0;
    while (!failed && (event = hd_json_next(&reader)) != HD_JSON_END) {
        failed = put_event(&h, &reader, event);
    }
    if (!failed) *out = h.result;
    hd_json_reader_free(&reader);
    hd_free(mem, h.levels);
    hd_free(mem, h.members);
    return failed;
}
