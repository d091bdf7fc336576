/* Values as keys: names of types, equality and hash. Two values are one key when they are of one
 * kind and hold the same bits; the type that a value is bound as does not count. */
#include "value.h"

#include <string.h>

static const char *const type_names[HD_TYPES] = {
    [HD_T_UNKNOWN] = "unknown",     [HD_T_SMALLINT] = "smallint", [HD_T_INTEGER] = "integer",
    [HD_T_BIGINT] = "bigint",       [HD_T_FLOAT] = "float",       [HD_T_DOUBLE] = "double",
    [HD_T_DECIMAL] = "decimal",     [HD_T_STRING] = "string",     [HD_T_TEXT] = "text",
    [HD_T_BOOLEAN] = "boolean",     [HD_T_UUID] = "uuid",         [HD_T_JSON] = "json",
    [HD_T_TIMESTAMP] = "timestamp", [HD_T_DATE] = "date",         [HD_T_TIME] = "time",
    [HD_T_BLOB] = "blob",           [HD_T_ENUM] = "enum",         [HD_T_ARRAY] = "array",
};

const char *hd_type_name(hd_type type) {
    return (unsigned)type < HD_TYPES ? type_names[type] : type_names[HD_T_UNKNOWN];
}

hd_type hd_type_from_name(const char *name, size_t len) {
    for (unsigned type = HD_T_UNKNOWN + 1; type < HD_TYPES; type++) {
        if (strlen(type_names[type]) == len && memcmp(type_names[type], name, len) == 0) {
            return (hd_type)type;
        }
    }
    return HD_T_UNKNOWN;
}

/* ---- Equality ---------------------------------------------------------------------------- */

static bool list_equal(const hd_list *a, const hd_list *b) {
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (!hd_value_equal(&a->items[i], &b->items[i])) return false;
    }
    return true;
}

bool hd_value_equal(const hd_value *a, const hd_value *b) {
    if (a->kind != b->kind) return false;
    if (hd_has_bytes(a)) {
        return a->len == b->len && (a->len == 0 || memcmp(a->as.p, b->as.p, a->len) == 0);
    }
    if (a->kind == HD_NULL || a->kind == HD_DEFAULT) return true;
    if (a->kind == HD_LIST) return list_equal(a->as.list, b->as.list);
    return memcmp(&a->as, &b->as, sizeof a->as) == 0;
}

/* ---- Hash -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93u;
    return hash ^ (hash >> 29);
}

static uint64_t mix_bytes(uint64_t hash, const char *bytes, size_t len) {
    uint64_t word;
    hash = mix(hash, len);
    for (; len >= sizeof word; bytes += sizeof word, len -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    if (len) memcpy(&word, bytes, len);
    return len ? mix(hash, word) : hash;
}

static uint64_t mix_value(uint64_t hash, const hd_value *v) {
    uint64_t bits = 0;
    hash = mix(hash, v->kind);
    if (hd_has_bytes(v)) return mix_bytes(hash, v->as.p, v->len);
    if (v->kind == HD_NULL || v->kind == HD_DEFAULT) return hash;
    if (v->kind == HD_LIST) {
        hash = mix(hash, v->as.list->count);
        for (uint32_t i = 0; i < v->as.list->count; i++) {
            hash = mix_value(hash, &v->as.list->items[i]);
        }
        return hash;
    }
    memcpy(&bits, &v->as, sizeof bits);
    return mix(hash, bits);
}

uint64_t hd_value_hash(const hd_value *values, size_t count) {
    uint64_t hash = 0x2545F4914F6CDD1Du;
    for (size_t i = 0; i < count; i++) hash = mix_value(hash, &values[i]);
    return hash;
}
