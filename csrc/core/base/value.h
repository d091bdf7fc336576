/* Values as the core knows them: 16 bytes, tagged, borrowed bytes. */
#ifndef HD_VALUE_H
#define HD_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a value holds. A driver gives only normal forms; texts are canonical (see text.h). */
typedef enum hd_kind {
    HD_NULL = 0,
    HD_BOOL,      /* i: 0 or 1 */
    HD_INT,       /* i */
    HD_FLOAT,     /* f */
    HD_TEXT,      /* p,len: UTF-8 without NUL; also enum labels and unknown types */
    HD_BLOB,      /* p,len: any byte */
    HD_DECIMAL,   /* p,len: "-12.50" */
    HD_TIMESTAMP, /* i: microseconds since 1970-01-01 00:00:00 UTC */
    HD_DATE,      /* p,len: "2026-01-31" */
    HD_TIME,      /* p,len: "23:59:59.000001" (fraction only when not zero) */
    HD_UUID,      /* p,len: 36 characters, lower case */
    HD_JSON,      /* p,len: one JSON text */
    HD_LIST,      /* list: an array value or the elements of a bulk parameter; see hd_list */
    HD_PENDING, /* i: index of the change, len: its column whose value this will be; never reaches a driver */
    HD_DEFAULT,   /* column left out; never reaches a driver */
    HD_EXPRESSION /* what SQL of the program's says (see change.h); never reaches a driver */
} hd_kind;

/* Column types of the contract; what a parameter is bound as. */
typedef enum hd_type {
    HD_T_UNKNOWN =
        0, /* the server infers: text format, OID 0. Raw SQL, enums and domains of the server */
    HD_T_SMALLINT,
    HD_T_INTEGER,
    HD_T_BIGINT,
    HD_T_FLOAT,
    HD_T_DOUBLE,
    HD_T_DECIMAL,
    HD_T_STRING,
    HD_T_TEXT,
    HD_T_BOOLEAN,
    HD_T_UUID,
    HD_T_JSON,
    HD_T_TIMESTAMP,
    HD_T_DATE,
    HD_T_TIME,
    HD_T_BLOB,
    HD_T_ENUM,  /* text with a CHECK */
    HD_T_ARRAY, /* the element type stands in hd_list.type */
    HD_TYPES
} hd_type;

typedef struct hd_list hd_list;

typedef struct hd_value {
    uint8_t kind; /* hd_kind */
    uint8_t type; /* hd_type this is bound as; in a result: the declared type, else UNKNOWN */
    uint16_t flags;
    uint32_t len;
    union {
        int64_t i;
        double f;
        const char *p;
        const hd_list *list;
    } as;
} hd_value;

/* As a parameter whose hd_value.type is not HD_T_ARRAY, a list is a bulk parameter: one array of that
 * column type, an element for each row (PostgreSQL's unnest). With HD_T_ARRAY it is one array value. */
struct hd_list {
    uint8_t type; /* hd_type of the elements */
    uint32_t count;
    const hd_value *items; /* nested HD_LIST for arrays of arrays */
};

static inline hd_value hd_null(void) {
    hd_value v = {0, 0, 0, 0, {0}};
    return v;
}
static inline hd_value hd_int(int64_t i, hd_type type) {
    hd_value v = {HD_INT, (uint8_t)type, 0, 0, {.i = i}};
    return v;
}
static inline hd_value hd_bytes(hd_kind kind, const char *p, size_t len, hd_type type) {
    hd_value v = {(uint8_t)kind, (uint8_t)type, 0, (uint32_t)len, {.p = p}};
    return v;
}
static inline bool hd_has_bytes(const hd_value *v) {
    return v->kind == HD_TEXT || v->kind == HD_BLOB ||
           (v->kind >= HD_DECIMAL && v->kind <= HD_JSON && v->kind != HD_TIMESTAMP);
}
const char *hd_type_name(hd_type type);                  /* "timestamp" */
hd_type hd_type_from_name(const char *name, size_t len); /* HD_T_UNKNOWN when there is none */
/* Equality and hash as keys: same kind and same bits. Integers, texts, uuids, timestamps, lists of those. */
bool hd_value_equal(const hd_value *a, const hd_value *b);
uint64_t hd_value_hash(const hd_value *values, size_t count);

#endif
