/* Decoders: one value of a result, in the server's text or binary form, to its normal form. A
 * decoder is chosen once for each column (hd_pg_column_init) and then called for each cell that is
 * not NULL. Bytes are borrowed from the result where the server's form is the normal one, else made
 * in the arena. A decoder that fails has set the error. */
#ifndef HD_PG_DECODE_H
#define HD_PG_DECODE_H

#include <libpq-fe.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/value.h"

typedef struct hd_pg_column hd_pg_column;

typedef struct hd_pg_decoding {
    hd_arena *arena;
    hd_error *err;
    const hd_pg_column *column;
} hd_pg_decoding;

typedef bool (*hd_pg_decoder)(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out);

/* A built-in type and its array type. */
typedef struct hd_pg_type {
    Oid oid, array;
    uint8_t type; /* hd_type, for elements of a list */
    hd_pg_decoder text, binary;
} hd_pg_type;

struct hd_pg_column {
    hd_pg_decoder decode;
    const hd_pg_type *element; /* of an array in text form */
    Oid oid;
    uint8_t declared; /* hd_type */
};

/* Chooses the decoder; false: err says which type cannot be read. */
bool hd_pg_column_init(hd_pg_column *column, Oid oid, bool binary, hd_type declared, hd_error *err);

const hd_pg_type *hd_pg_type_of(Oid oid); /* NULL: not a type known here */
const hd_pg_type *
hd_pg_element_of(Oid array); /* the element's type; NULL: not an array known here */

bool hd_pg_decode_label(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out);
bool hd_pg_decode_array_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out);
bool hd_pg_decode_array_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out);
bool hd_pg_malformed(hd_pg_decoding *to, const char *what); /* sets the error; false */
bool hd_pg_no_memory(hd_pg_decoding *to);

/* Big-endian numbers of the wire. */
static inline uint16_t hd_pg_load16(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint16_t)(b[0] << 8 | b[1]);
}
static inline uint32_t hd_pg_load32(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}
static inline uint64_t hd_pg_load64(const char *p) {
    return (uint64_t)hd_pg_load32(p) << 32 | hd_pg_load32(p + 4);
}

#endif
