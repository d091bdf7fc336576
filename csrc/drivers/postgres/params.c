/* Parameters for libpq: five parallel arrays in one block, and a buffer for encoded bytes. While
 * the buffer grows it may move, so encoded values are kept as offsets and turned into pointers at
 * the end; texts and blobs are not copied at all. */
#include "params.h"

#include <limits.h>
#include <string.h>

#define MOST_PARAMS  65535u
#define NOT_IN_BYTES SIZE_MAX
#define KEPT_BYTES   65536u

void hd_pg_params_init(hd_pg_params *params, const hd_allocator *mem) {
    memset(params, 0, sizeof *params);
    hd_buffer_init(&params->bytes, mem);
    hd_buffer_init(&params->piece, mem);
}

void hd_pg_params_free(hd_pg_params *params) {
    const hd_allocator *mem = params->bytes.mem;
    hd_free(mem, params->values);
    hd_buffer_free(&params->bytes);
    hd_buffer_free(&params->piece);
    hd_pg_params_init(params, mem);
}

void hd_pg_params_shrink(hd_pg_params *params) {
    if (params->bytes.capacity > KEPT_BYTES) hd_buffer_free(&params->bytes);
    if (params->piece.capacity > KEPT_BYTES) hd_buffer_free(&params->piece);
}

/* Pointers stand first in the block, so that everything in it is aligned. */
static bool make_room(hd_pg_params *params, uint32_t count) {
    if (count <= params->capacity) return true;
    size_t n = count < 16 ? 16 : count;
    size_t item = sizeof *params->values + sizeof *params->offsets + sizeof *params->oids +
                  sizeof *params->lengths + sizeof *params->formats;
    char *block = hd_alloc(params->bytes.mem, n * item);
    if (!block) return false;
    hd_free(params->bytes.mem, params->values);
    params->values = (const char **)(void *)block;
    params->offsets = (size_t *)(void *)(params->values + n);
    params->oids = (Oid *)(void *)(params->offsets + n);
    params->lengths = (int *)(void *)(params->oids + n);
    params->formats = params->lengths + n;
    params->capacity = (uint32_t)n;
    return true;
}

/* A list, or a scalar that has no plain bytes, into the buffer. */
static bool put_value(hd_pg_params *params, const hd_value *value, hd_type type, bool binary) {
    hd_buffer *bytes = &params->bytes;
    if (value->kind == HD_LIST) {
        if (!hd_pg_put_array(params, value->as.list, type, value->type != HD_T_ARRAY)) return false;
    } else if (binary) {
        return hd_pg_put_binary(params, bytes, value, type);
    } else if (!hd_pg_put_text(params, bytes, value, type)) {
        return false;
    }
    if (!binary) hd_buffer_char(bytes, '\0');
    return true;
}

static bool encode_one(hd_pg_params *params, uint32_t i, const hd_value *value) {
    bool is_list = value->kind == HD_LIST;
    hd_type type = (hd_type)value->type;
    if (is_list && type == HD_T_ARRAY) type = (hd_type)value->as.list->type;
    const hd_pg_binding *binding = hd_pg_binding_of(type);
    size_t len = value->len, start = params->bytes.len;
    params->index = i;
    params->oids[i] = is_list ? binding->array : binding->oid;
    params->formats[i] = binding->binary;
    params->offsets[i] = NOT_IN_BYTES;
    params->values[i] = NULL;
    params->lengths[i] = 0;
    if (value->kind == HD_NULL) return true;
    if (hd_pg_is_plain(value, type)) {
        params->values[i] = len ? value->as.p : "";
    } else {
        if (type == HD_T_ARRAY) return hd_pg_misfit(params, value, type);
        if (!put_value(params, value, type, binding->binary)) return false;
        params->offsets[i] = start;
        len = params->bytes.len - start;
    }
    if (len > INT_MAX) return hd_pg_misfit(params, value, type);
    params->lengths[i] = (int)len;
    params->size += len;
    return true;
}

static void resolve(hd_pg_params *params) {
    for (uint32_t i = 0; i < params->count; i++) {
        if (params->offsets[i] != NOT_IN_BYTES) {
            params->values[i] = params->bytes.data + params->offsets[i];
        }
    }
}

hd_error_kind hd_pg_params_encode(hd_pg_params *params, const hd_value *values, uint32_t count,
                                  hd_error *err) {
    if (count > MOST_PARAMS) {
        return hd_error_set(err, HD_E_UNSUPPORTED,
                            "a statement has %u parameters, PostgreSQL takes %u at most", count,
                            MOST_PARAMS);
    }
    if (!make_room(params, count)) return hd_error_memory(err);
    hd_buffer_clear(&params->bytes);
    params->count = count;
    params->size = (size_t)count * 8;
    params->err = err;
    for (uint32_t i = 0; i < count; i++) {
        if (!encode_one(params, i, &values[i])) return err->kind;
    }
    if (params->bytes.failed) return hd_error_memory(err);
    resolve(params);
    return HD_OK;
}
