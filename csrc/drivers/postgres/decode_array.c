/* Arrays from the wire, to nested lists in the arena. PostgreSQL's arrays are rectangular and have
 * a lower bound for each dimension; the bounds are not kept. Binary form: dimensions, flags,
 * element type, (size, bound) for each dimension, then the elements in storage order with their
 * lengths. Text form: nested braces, elements separated by commas, quoted where needed, NULL
 * unquoted. */
#include <string.h>

#include "decode.h"

#define MAX_DIMENSIONS 6

static bool give_list(hd_pg_decoding *to, hd_type type, const hd_value *items, uint32_t count,
                      hd_value *out) {
    hd_list *list = hd_arena_alloc(to->arena, sizeof *list);
    if (!list) return hd_pg_no_memory(to);
    list->type = (uint8_t)type;
    list->count = count;
    list->items = items;
    *out = hd_null();
    out->kind = HD_LIST;
    out->as.list = list;
    return true;
}

/* ---- Binary ---- */

typedef struct binary_array {
    const char *at, *end;
    uint32_t sizes[MAX_DIMENSIONS];
    uint32_t dimensions;
    hd_pg_decoder decode;
    hd_type type;
} binary_array;

static bool binary_element(hd_pg_decoding *to, binary_array *array, hd_value *out) {
    *out = hd_null();
    if (array->end - array->at < 4) return hd_pg_malformed(to, "an array");
    int32_t len = (int32_t)hd_pg_load32(array->at);
    array->at += 4;
    if (len == -1) return true;
    if (len < 0 || len > array->end - array->at) return hd_pg_malformed(to, "an array");
    const char *bytes = array->at;
    array->at += len;
    return array->decode(to, bytes, (size_t)len, out);
}

static bool binary_dimension(hd_pg_decoding *to, binary_array *array, uint32_t depth,
                             hd_value *out) {
    uint32_t count = array->sizes[depth];
    if (count > (size_t)(array->end - array->at)) return hd_pg_malformed(to, "an array");
    hd_value *items = hd_arena_alloc(to->arena, count * sizeof *items);
    if (!items) return hd_pg_no_memory(to);
    bool innermost = depth + 1 == array->dimensions;
    for (uint32_t i = 0; i < count; i++) {
        bool ok = innermost ? binary_element(to, array, &items[i])
                            : binary_dimension(to, array, depth + 1, &items[i]);
        if (!ok) return false;
    }
    return give_list(to, array->type, items, count, out);
}

bool hd_pg_decode_array_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len < 12) return hd_pg_malformed(to, "an array");
    uint32_t dimensions = hd_pg_load32(bytes);
    const hd_pg_type *element = hd_pg_type_of(hd_pg_load32(bytes + 8));
    binary_array array = {.at = bytes + 12, .end = bytes + len, .dimensions = dimensions};
    array.decode = element ? element->binary : hd_pg_decode_label;
    array.type = element ? (hd_type)element->type : HD_T_UNKNOWN;
    if (dimensions > MAX_DIMENSIONS || len - 12 < dimensions * 8) {
        return hd_pg_malformed(to, "an array");
    }
    if (dimensions == 0) return give_list(to, array.type, NULL, 0, out);
    for (uint32_t i = 0; i < dimensions; i++, array.at += 8) {
        array.sizes[i] = hd_pg_load32(array.at);
    }
    return binary_dimension(to, &array, 0, out);
}

/* ---- Text ---- */

typedef struct text_array {
    const char *at, *end;
    const hd_pg_type *element;
} text_array;

/* How many items the list at `at` (behind its brace) has: its commas outside quotes and inner
 * braces, plus one. */
static uint32_t count_items(const char *at, const char *end) {
    uint32_t count = 1;
    int depth = 0;
    bool quoted = false;
    if (at < end && *at == '}') return 0;
    for (; at < end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            if (*at == '}' && depth-- == 0) break;
            depth += *at == '{';
            count += *at == ',' && depth == 0;
        }
    }
    return count;
}

/* One element without its quotes and backslashes, in the arena; at stands behind it afterwards. */
static bool text_element(hd_pg_decoding *to, text_array *array, hd_value *out) {
    bool quoted = array->at < array->end && *array->at == '"';
    const char *start = array->at += quoted, *stop = start;
    bool escaped = false;
    *out = hd_null();
    while (stop < array->end && !(quoted ? *stop == '"' : *stop == ',' || *stop == '}')) {
        escaped |= *stop == '\\';
        stop += *stop == '\\' ? 2 : 1;
    }
    if (stop >= array->end) return hd_pg_malformed(to, "an array");
    array->at = stop + quoted;
    size_t len = (size_t)(stop - start);
    if (!quoted && len == 4 && memcmp(start, "NULL", 4) == 0) return true;
    if (escaped) {
        char *plain = hd_arena_alloc(to->arena, len), *end = plain;
        if (!plain) return hd_pg_no_memory(to);
        for (const char *p = start; p < stop; p++) *end++ = *p == '\\' ? *++p : *p;
        start = plain;
        len = (size_t)(end - plain);
    }
    return array->element->text(to, start, len, out);
}

/* Reads a list from its opening brace to behind its closing one. */
static bool text_list(hd_pg_decoding *to, text_array *array, int depth, hd_value *out) {
    if (depth == MAX_DIMENSIONS || array->at >= array->end || *array->at != '{') {
        return hd_pg_malformed(to, "an array");
    }
    uint32_t count = count_items(++array->at, array->end);
    hd_value *items = hd_arena_alloc(to->arena, count * sizeof *items);
    if (!items) return hd_pg_no_memory(to);
    for (uint32_t i = 0; i < count; i++, array->at++) {
        bool nested = array->at < array->end && *array->at == '{';
        bool ok = nested ? text_list(to, array, depth + 1, &items[i])
                         : text_element(to, array, &items[i]);
        if (!ok) return false;
        if (array->at >= array->end || *array->at != (i + 1 < count ? ',' : '}')) {
            return hd_pg_malformed(to, "an array");
        }
    }
    if (count == 0) array->at++;
    return give_list(to, (hd_type)array->element->type, items, count, out);
}

bool hd_pg_decode_array_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    text_array array = {bytes, bytes + len, to->column->element};
    if (len && bytes[0] == '[') { /* "[0:1][1:2]={{..." */
        array.at = memchr(bytes, '=', len);
        if (!array.at) return hd_pg_malformed(to, "an array");
        array.at++;
    }
    if (!text_list(to, &array, 0, out)) return false;
    return array.at == array.end || hd_pg_malformed(to, "an array");
}
