/* Parameters of one execution, as libpq takes them. Built anew for each execution; libpq copies
 * them while it sends, so nothing here lives longer than that. A value is bound with its column's
 * type: in binary form where that is plain, else as text; what has no type here goes as text of
 * unknown type and the server infers. Values that do not fit their type are HD_E_VALIDATION. */
#ifndef HD_PG_PARAMS_H
#define HD_PG_PARAMS_H

#include <libpq-fe.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/value.h"

typedef struct hd_pg_params {
    uint32_t count, capacity;
    Oid *oids;           /* one block of memory holds this and the next four */
    const char **values; /* NULL is SQL NULL */
    size_t *offsets;     /* of values that stand in bytes, while these may still move */
    int *lengths, *formats;
    hd_buffer bytes, piece;
    size_t size;    /* bytes of all values: what this execution adds to the output */
    uint32_t index; /* while encoding: the parameter at hand, for messages */
    hd_error *err;
} hd_pg_params;

void hd_pg_params_init(hd_pg_params *params, const hd_allocator *mem);
void hd_pg_params_free(hd_pg_params *params);
void hd_pg_params_shrink(hd_pg_params *params); /* gives large memory back, between batches */
/* Encodes. HD_OK, HD_E_VALIDATION (which parameter, never its value) or out of memory. */
hd_error_kind hd_pg_params_encode(hd_pg_params *params, const hd_value *values, uint32_t count,
                                  hd_error *err);

/* ---- Between params.c, scalars.c and arrays.c. What puts, appends; false: err is set ---- */

/* How a column type is bound. */
typedef struct hd_pg_binding {
    Oid oid, array;
    bool binary;
} hd_pg_binding;

const hd_pg_binding *hd_pg_binding_of(hd_type type);
bool hd_pg_misfit(hd_pg_params *params, const hd_value *value, hd_type type);
/* True when the value's bytes are its binary form as they stand (text, blob). */
bool hd_pg_is_plain(const hd_value *value, hd_type type);
bool hd_pg_put_binary(hd_pg_params *params, hd_buffer *to, const hd_value *value, hd_type type);
bool hd_pg_put_text(hd_pg_params *params, hd_buffer *to, const hd_value *value, hd_type type);
/* The length of an element in binary form, and the element; so stand fields of COPY, too. */
bool hd_pg_put_element(hd_pg_params *params, const hd_value *item, hd_type type);
/* Elements of `type`; a bulk parameter has one dimension, an array value up to six. */
bool hd_pg_put_array(hd_pg_params *params, const hd_list *list, hd_type type, bool bulk);

static inline void hd_pg_store32(char *to, uint32_t v) {
    to[0] = (char)(v >> 24);
    to[1] = (char)(v >> 16);
    to[2] = (char)(v >> 8);
    to[3] = (char)v;
}
static inline void hd_pg_store64(char *to, uint64_t v) {
    hd_pg_store32(to, (uint32_t)(v >> 32));
    hd_pg_store32(to + 4, (uint32_t)v);
}

#endif
