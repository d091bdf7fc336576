/* Arrays to the wire: bulk parameters (a column of values, for unnest) and array values. Elements
 * that have a binary form make a binary array, the others an array literal. PostgreSQL's arrays are
 * rectangular: lists that are not are misfits, and so is a list of empty lists, which it cannot
 * tell from an empty one. */
#include <string.h>

#include "params.h"

#define MAX_DIMENSIONS 6

typedef struct shape {
    uint32_t sizes[MAX_DIMENSIONS];
    uint32_t dimensions;
} shape;

static bool refuse(hd_pg_params *params, const char *what) {
    hd_error_set(params->err, HD_E_VALIDATION, "parameter %u is %s, which PostgreSQL cannot store",
                 params->index + 1, what);
    return false;
}

/* The shape that the first elements promise; the writers below hold the others to it. */
static bool find_shape(hd_pg_params *params, const hd_list *list, bool bulk, shape *to) {
    to->dimensions = 0;
    while (list->count) {
        if (to->dimensions == MAX_DIMENSIONS) {
            return refuse(params, "an array of more than six dimensions");
        }
        to->sizes[to->dimensions++] = list->count;
        if (bulk || list->items[0].kind != HD_LIST) return true;
        list = list->items[0].as.list;
    }
    return to->dimensions == 0 || refuse(params, "an array of empty arrays");
}

/* Whether `item` is what stands at this depth: a list of the next size, or an element. */
static bool in_shape(hd_pg_params *params, const shape *s, uint32_t depth, const hd_value *item) {
    bool innermost = depth + 1 == s->dimensions;
    bool is_list = item->kind == HD_LIST;
    if (innermost != is_list && (innermost || item->as.list->count == s->sizes[depth + 1])) {
        return true;
    }
    return refuse(params, "an array whose inner arrays differ in length");
}

/* ---- Binary ---- */

/* A length and as many bytes. */
static void put_counted(hd_buffer *to, const char *bytes, size_t len) {
    char *at = hd_buffer_room(to, 4 + len);
    if (!at) return;
    hd_pg_store32(at, (uint32_t)len);
    if (len) memcpy(at + 4, bytes, len);
}

/* What most elements are, in one go; the rest has its form found. */
static bool put_usual(hd_buffer *to, const hd_value *item, hd_type type) {
    char number[8];
    int64_t i = item->as.i;
    if (type == HD_T_STRING || type == HD_T_TEXT) {
        if (item->kind != HD_TEXT) return false;
        put_counted(to, item->as.p, item->len);
    } else if (type == HD_T_INTEGER) {
        if (item->kind != HD_INT || i < INT32_MIN || i > INT32_MAX) return false;
        hd_pg_store32(number, (uint32_t)i);
        put_counted(to, number, 4);
    } else if (type == HD_T_BIGINT || type == HD_T_DOUBLE) { /* a double's bits lie as an int's */
        if (item->kind != (type == HD_T_BIGINT ? HD_INT : HD_FLOAT)) return false;
        hd_pg_store64(number, (uint64_t)i);
        put_counted(to, number, 8);
    } else {
        return false;
    }
    return true;
}

bool hd_pg_put_element(hd_pg_params *params, const hd_value *item, hd_type type) {
    hd_buffer *bytes = &params->bytes;
    if (put_usual(bytes, item, type)) return true;
    size_t at = bytes->len;
    if (!hd_buffer_room(bytes, 4)) return true; /* the buffer remembers */
    hd_pg_store32(bytes->data + at, UINT32_MAX);
    if (item->kind == HD_NULL) return true;
    if (!hd_pg_put_binary(params, bytes, item, type)) return false;
    if (!bytes->failed) hd_pg_store32(bytes->data + at, (uint32_t)(bytes->len - at - 4));
    return true;
}

static bool put_list_binary(hd_pg_params *params, const hd_list *list, hd_type type, const shape *s,
                            uint32_t depth) {
    for (uint32_t i = 0; i < list->count; i++) {
        const hd_value *item = &list->items[i];
        if (!in_shape(params, s, depth, item)) return false;
        bool ok = item->kind == HD_LIST ? put_list_binary(params, item->as.list, type, s, depth + 1)
                                        : hd_pg_put_element(params, item, type);
        if (!ok) return false;
    }
    return true;
}

static void put_word(hd_buffer *to, uint32_t word) {
    char bytes[4];
    hd_pg_store32(bytes, word);
    hd_buffer_add(to, bytes, sizeof bytes);
}

static void put_header(hd_buffer *to, Oid element, const shape *s) {
    put_word(to, s->dimensions);
    put_word(to, 1); /* NULLs may follow: the server looks for itself */
    put_word(to, element);
    for (uint32_t i = 0; i < s->dimensions; i++) {
        put_word(to, s->sizes[i]);
        put_word(to, 1); /* lower bound */
    }
}

/* ---- Text ---- */

static bool put_element_text(hd_pg_params *params, const hd_value *item, hd_type type) {
    hd_buffer *piece = &params->piece, *bytes = &params->bytes;
    if (item->kind == HD_NULL) {
        hd_buffer_str(bytes, "NULL");
        return true;
    }
    hd_buffer_clear(piece);
    if (!hd_pg_put_text(params, piece, item, type)) return false;
    hd_buffer_char(bytes, '"');
    for (size_t i = 0; i < piece->len; i++) {
        if (piece->data[i] == '"' || piece->data[i] == '\\') hd_buffer_char(bytes, '\\');
        hd_buffer_char(bytes, piece->data[i]);
    }
    hd_buffer_char(bytes, '"');
    bytes->failed |= piece->failed;
    return true;
}

static bool put_list_text(hd_pg_params *params, const hd_list *list, hd_type type, const shape *s,
                          uint32_t depth) {
    hd_buffer_char(&params->bytes, '{');
    for (uint32_t i = 0; i < list->count; i++) {
        const hd_value *item = &list->items[i];
        if (i) hd_buffer_char(&params->bytes, ',');
        if (!in_shape(params, s, depth, item)) return false;
        bool ok = item->kind == HD_LIST ? put_list_text(params, item->as.list, type, s, depth + 1)
                                        : put_element_text(params, item, type);
        if (!ok) return false;
    }
    hd_buffer_char(&params->bytes, '}');
    return true;
}

bool hd_pg_put_array(hd_pg_params *params, const hd_list *list, hd_type type, bool bulk) {
    const hd_pg_binding *binding = hd_pg_binding_of(type);
    shape s;
    if (!find_shape(params, list, bulk, &s)) return false;
    if (!binding->binary) return put_list_text(params, list, type, &s, 0);
    put_header(&params->bytes, binding->oid, &s);
    return put_list_binary(params, list, type, &s, 0);
}
