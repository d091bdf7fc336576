/* Parameters. Texts and blobs are not copied: they live through the batch, unless the statement is a
 * cursor's, which outlives it. What SQLite has no type
 * for is written as text into an arena that lives until the next execution: timestamps in their one
 * storage form, arrays as JSON. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "conn.h"

/* ---- arrays ---- */

/* 0; -1: a value that JSON cannot hold; -2: nested too deep. Out of memory stands in the buffer. */
static int write_item(hd_json_writer *writer, const hd_value *v);

static int write_list(hd_json_writer *writer, const hd_list *list) {
    if (hd_json_open_array(writer) != 0) return -2;
    for (uint32_t i = 0; i < list->count; i++) {
        int result = write_item(writer, &list->items[i]);
        if (result != 0) return result;
    }
    hd_json_close_array(writer);
    return 0;
}

static int write_timestamp(hd_json_writer *writer, int64_t us) {
    char text[HD_TIMESTAMP_TEXT];
    return hd_json_put_string(writer, text, hd_timestamp_format_sql(us, text));
}

static void write_document(hd_json_writer *writer, const hd_value *v) {
    if (writer->comma) hd_buffer_char(writer->out, ',');
    hd_buffer_add(writer->out, v->as.p, v->len);
    writer->comma = true;
}

static int write_item(hd_json_writer *writer, const hd_value *v) {
    switch ((hd_kind)v->kind) {
    case HD_NULL:
        hd_json_put_null(writer);
        return 0;
    case HD_BOOL:
        hd_json_put_bool(writer, v->as.i != 0);
        return 0;
    case HD_INT:
        hd_json_put_integer(writer, v->as.i);
        return 0;
    case HD_FLOAT:
        return hd_json_put_number(writer, v->as.f);
    case HD_TIMESTAMP:
        return write_timestamp(writer, v->as.i);
    case HD_TEXT:
    case HD_DECIMAL:
    case HD_DATE:
    case HD_TIME:
    case HD_UUID:
        return hd_json_put_string(writer, v->as.p, v->len);
    case HD_JSON:
        write_document(writer, v);
        return 0;
    case HD_LIST:
        return write_list(writer, v->as.list);
    default:
        return -1;
    }
}

int hd_sqlite_write_list(hd_buffer *out, const hd_value *list) {
    hd_json_writer writer;
    hd_json_write(&writer, out);
    return write_list(&writer, list->as.list);
}

static int bind_list(hd_sqlite_conn *conn, sqlite3_stmt *stmt, int at, const hd_value *v,
                     sqlite3_destructor_type keep, hd_error *err) {
    if (v->type != HD_T_ARRAY) {
        hd_error_set(err, HD_E_DRIVER, "SQLite takes no list of values as one parameter");
        return HD_SQLITE_REFUSED;
    }
    hd_buffer text;
    hd_buffer_init(&text, conn->base.mem);
    int result = hd_sqlite_write_list(&text, v), code = HD_SQLITE_REFUSED;
    char *copy = text.failed ? NULL : hd_arena_copy(&conn->bound, text.data, text.len);
    if (result != 0) {
        hd_error_set(err, HD_E_VALIDATION,
                     result == -2
                         ? "the array of parameter %d is nested too deep"
                         : "the array of parameter %d holds a value that SQLite cannot store",
                     at);
    } else {
        code =
            copy ? sqlite3_bind_text64(stmt, at, copy, text.len, keep, SQLITE_UTF8) : SQLITE_NOMEM;
    }
    hd_buffer_free(&text);
    return code;
}

/* ---- scalars ---- */

static int bind_double(sqlite3_stmt *stmt, int at, double value, hd_error *err) {
    if (!isnan(value)) return sqlite3_bind_double(stmt, at, value);
    hd_error_set(err, HD_E_VALIDATION, "parameter %d is NaN, which SQLite would store as NULL", at);
    return HD_SQLITE_REFUSED;
}

static int bind_timestamp(hd_sqlite_conn *conn, sqlite3_stmt *stmt, int at, int64_t us,
                          sqlite3_destructor_type keep) {
    char *text = hd_arena_alloc(&conn->bound, HD_TIMESTAMP_TEXT);
    if (!text) return SQLITE_NOMEM;
    return sqlite3_bind_text64(stmt, at, text, hd_timestamp_format_sql(us, text), keep,
                               SQLITE_UTF8);
}

static int bind_one(hd_sqlite_conn *conn, sqlite3_stmt *stmt, int at, const hd_value *v,
                    sqlite3_destructor_type keep, hd_error *err) {
    const char *bytes = v->len ? v->as.p : ""; /* a null pointer would be NULL */
    switch ((hd_kind)v->kind) {
    case HD_NULL:
        return sqlite3_bind_null(stmt, at);
    case HD_BOOL:
    case HD_INT:
        return sqlite3_bind_int64(stmt, at, v->as.i);
    case HD_FLOAT:
        return bind_double(stmt, at, v->as.f, err);
    case HD_TEXT:
    case HD_DECIMAL:
    case HD_DATE:
    case HD_TIME:
    case HD_UUID:
    case HD_JSON:
        return sqlite3_bind_text64(stmt, at, bytes, v->len, keep, SQLITE_UTF8);
    case HD_BLOB:
        return sqlite3_bind_blob64(stmt, at, bytes, v->len, keep);
    case HD_TIMESTAMP:
        return bind_timestamp(conn, stmt, at, v->as.i, keep);
    case HD_LIST:
        return bind_list(conn, stmt, at, v, keep, err);
    case HD_PENDING:
    case HD_DEFAULT:
    case HD_EXPRESSION:
        break;
    }
    hd_error_set(err, HD_E_DRIVER, "parameter %d has no value yet", at);
    return HD_SQLITE_REFUSED;
}

int hd_sqlite_bind(hd_sqlite_conn *conn, sqlite3_stmt *stmt, const hd_value *params, uint32_t count,
                   bool keeps, hd_error *err) {
    sqlite3_destructor_type keep = keeps ? SQLITE_TRANSIENT : SQLITE_STATIC;
    if (conn->bound.block) hd_arena_reset(&conn->bound);
    for (uint32_t i = 0; i < count; i++) {
        int code = bind_one(conn, stmt, (int)i + 1, &params[i], keep, err);
        if (code != SQLITE_OK) return code;
    }
    return SQLITE_OK;
}
