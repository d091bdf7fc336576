/* Rows: see rows.h. The loop over a row's cells is the hottest of the driver: two calls of libpq
 * and one of a decoder for each cell. libpq tells NULL from empty only by a third call, which is
 * made for values of length zero alone. */
#include "rows.h"

#include <string.h>

#define KEPT_BYTES 65536 /* of the arena, between results */

void hd_pg_rows_init(hd_pg_rows *rows, const hd_allocator *mem) {
    memset(rows, 0, sizeof *rows);
    hd_arena_init(&rows->arena, mem);
    hd_buffer_init(&rows->name_text, mem);
}

void hd_pg_rows_free(hd_pg_rows *rows) {
    const hd_allocator *mem = rows->arena.mem;
    hd_pg_rows_end(rows);
    hd_free(mem, rows->columns);
    hd_free(mem, rows->values);
    hd_free(mem, rows->names);
    hd_arena_free(&rows->arena);
    hd_buffer_free(&rows->name_text);
}

void hd_pg_rows_end(hd_pg_rows *rows) {
    PQclear(rows->result);
    rows->result = NULL;
    hd_arena_reset(&rows->arena);
    if (rows->arena.end - rows->arena.next > KEPT_BYTES) hd_arena_free(&rows->arena);
}

static bool grow(const hd_allocator *mem, void *array, size_t *capacity, size_t need, size_t item) {
    void *grown;
    memcpy(&grown, array, sizeof grown);
    if (hd_grow(mem, &grown, capacity, need, item) != 0) return false;
    memcpy(array, &grown, sizeof grown);
    return true;
}

static bool make_room(hd_pg_rows *rows, size_t width) {
    const hd_allocator *mem = rows->arena.mem;
    return grow(mem, &rows->columns, &rows->column_capacity, width, sizeof *rows->columns) &&
           grow(mem, &rows->values, &rows->value_capacity, width, sizeof *rows->values);
}

/* Copies, because names outlive the result. */
static bool keep_names(hd_pg_rows *rows, hd_conn *conn) {
    hd_buffer *text = &rows->name_text;
    if (!grow(rows->arena.mem, &rows->names, &rows->name_capacity, rows->width,
              sizeof *rows->names)) {
        return false;
    }
    hd_buffer_clear(text);
    for (uint32_t i = 0; i < rows->width; i++) hd_buffer_str(text, PQfname(rows->result, (int)i));
    if (text->failed) return false;
    const char *at = text->data;
    for (uint32_t i = 0; i < rows->width; i++) {
        rows->names[i].text = at;
        rows->names[i].len = strlen(PQfname(rows->result, (int)i));
        at += rows->names[i].len;
    }
    conn->names = rows->names;
    conn->name_count = rows->width;
    return true;
}

static bool choose_decoders(hd_pg_rows *rows, const hd_statement *statement, hd_error *err) {
    for (uint32_t i = 0; i < rows->width; i++) {
        bool declared = statement->types && i < statement->type_count;
        hd_type type = declared ? (hd_type)statement->types[i] : HD_T_UNKNOWN;
        bool binary = PQfformat(rows->result, (int)i) == 1;
        Oid oid = PQftype(rows->result, (int)i);
        if (!hd_pg_column_init(&rows->columns[i], oid, binary, type, err)) return false;
    }
    return true;
}

hd_error_kind hd_pg_rows_begin(hd_pg_rows *rows, PGresult *result, const hd_statement *statement,
                               hd_conn *conn, hd_error *err) {
    rows->result = result;
    rows->next = 0;
    rows->count = PQntuples(result);
    rows->width = (uint32_t)PQnfields(result);
    if (!make_room(rows, rows->width)) return hd_error_memory(err);
    if (!statement->types && !keep_names(rows, conn)) return hd_error_memory(err);
    if (rows->width) memset(rows->values, 0, rows->width * sizeof *rows->values);
    return choose_decoders(rows, statement, err) ? HD_OK : err->kind;
}

int hd_pg_rows_next(hd_pg_rows *rows, hd_error *err) {
    const PGresult *result = rows->result;
    hd_pg_decoding to = {&rows->arena, err, NULL};
    int row = rows->next;
    if (row == rows->count) {
        hd_pg_rows_end(rows);
        return 0;
    }
    rows->next++;
    hd_arena_reset(&rows->arena);
    for (uint32_t i = 0; i < rows->width; i++) {
        hd_value *value = &rows->values[i];
        size_t len = (size_t)PQgetlength(result, row, (int)i);
        to.column = &rows->columns[i];
        if (len == 0 && PQgetisnull(result, row, (int)i)) {
            *value = hd_null();
        } else if (!to.column->decode(&to, PQgetvalue(result, row, (int)i), len, value)) {
            return -1;
        }
        value->type = to.column->declared;
    }
    return 1;
}
