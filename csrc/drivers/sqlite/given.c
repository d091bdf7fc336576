/* hd_met and hd_given: rows that a walk meets on its way along a table (hd_statement.walk).
 *
 * hd_met is asked once for each row of the stretch, in the order of the keys, so that it goes along the given rows
 * beside the table. hd_given is asked at once where SQLite writes while it reads, and else when all have been met, so that
 * it may have to look for its row. To any other statement nothing is given. */
#include <math.h>

#include "base/buffer.h"
#include "base/text.h"
#include "conn.h"

static int64_t key_of(const hd_sqlite_given *g, uint32_t row) {
    return g->rows[(size_t)row * g->width + g->key].as.i;
}

int hd_sqlite_give(hd_sqlite_conn *conn, const hd_statement *s, sqlite3_stmt *stmt) {
    hd_sqlite_given *g = &conn->given;
    *g = (hd_sqlite_given){.rows = s->params, .count = s->repeat, .width = s->param_count};
    g->key = s->walk - 1;
    int code = sqlite3_bind_int64(stmt, 1, key_of(g, 0));
    return code == SQLITE_OK ? sqlite3_bind_int64(stmt, 2, key_of(g, g->count - 1)) : code;
}

void hd_sqlite_take_back(hd_sqlite_conn *conn, hd_statement *s) {
    s->strayed = conn->given.strayed;
    conn->given = (hd_sqlite_given){0};
}

static void sql_met(sqlite3_context *ctx, int count, sqlite3_value **values) {
    hd_sqlite_given *g = sqlite3_user_data(ctx);
    (void)count;
    if (sqlite3_value_type(values[0]) != SQLITE_INTEGER) return;
    int64_t key = sqlite3_value_int64(values[0]);
    if (g->under_way && key <= g->behind) {
        g->strayed = true;
        sqlite3_result_error(ctx, "rows are not met in the order of their keys", -1);
        return;
    }
    g->under_way = true;
    g->behind = key;
    while (g->next < g->count && key_of(g, g->next) < key) g->next++;
    sqlite3_result_int(ctx, g->next < g->count && key_of(g, g->next) == key);
}

/* The row of the key, or `count`. */
static uint32_t find(const hd_sqlite_given *g, int64_t key) {
    uint32_t low = 0, high = g->count, at = g->next;
    if (at < g->count && key_of(g, at) == key) return at;
    if (at + 1 < g->count && key_of(g, at + 1) == key) return at + 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (key_of(g, middle) < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < g->count && key_of(g, low) == key ? low : g->count;
}

static void give_list(sqlite3_context *ctx, const hd_value *v) {
    hd_buffer text;
    hd_buffer_init(&text, &hd_allocator_libc);
    int result = hd_sqlite_write_list(&text, v);
    if (result != 0)
        sqlite3_result_error(ctx, "the array cannot be stored", -1);
    else if (text.failed)
        sqlite3_result_error_nomem(ctx);
    else
        sqlite3_result_text64(ctx, text.data, text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
    hd_buffer_free(&text);
}

static void give_timestamp(sqlite3_context *ctx, int64_t us) {
    char text[HD_TIMESTAMP_TEXT];
    size_t len = hd_timestamp_format_sql(us, text);
    sqlite3_result_text64(ctx, text, len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/* As hd_sqlite_bind has it. What it refuses is refused row by row, too, and said there. */
static void give(sqlite3_context *ctx, const hd_value *v) {
    const char *bytes = v->len ? v->as.p : "";
    switch ((hd_kind)v->kind) {
    case HD_NULL:
        return;
    case HD_BOOL:
    case HD_INT:
        sqlite3_result_int64(ctx, v->as.i);
        return;
    case HD_FLOAT:
        if (isnan(v->as.f)) break;
        sqlite3_result_double(ctx, v->as.f);
        return;
    case HD_TEXT:
    case HD_DECIMAL:
    case HD_DATE:
    case HD_TIME:
    case HD_UUID:
    case HD_JSON:
        sqlite3_result_text64(ctx, bytes, v->len, SQLITE_STATIC, SQLITE_UTF8);
        return;
    case HD_BLOB:
        sqlite3_result_blob64(ctx, bytes, v->len, SQLITE_STATIC);
        return;
    case HD_TIMESTAMP:
        give_timestamp(ctx, v->as.i);
        return;
    case HD_LIST:
        give_list(ctx, v);
        return;
    case HD_PENDING:
    case HD_DEFAULT:
    case HD_EXPRESSION:
        break;
    }
    sqlite3_result_error(ctx, "the value cannot be stored", -1);
}

static void sql_given(sqlite3_context *ctx, int count, sqlite3_value **values) {
    hd_sqlite_given *g = sqlite3_user_data(ctx);
    (void)count;
    int64_t n = sqlite3_value_int64(values[1]);
    uint32_t row = find(g, sqlite3_value_int64(values[0]));
    if (row == g->count || n < 1 || n > g->width) {
        sqlite3_result_error(ctx, "no such row is given", -1);
        return;
    }
    g->next = row;
    give(ctx, &g->rows[(size_t)row * g->width + (size_t)n - 1]);
}

int hd_sqlite_register_given(hd_sqlite_conn *conn) {
    const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    int code = sqlite3_create_function_v2(conn->db, "hd_met", 1, flags, &conn->given, sql_met, NULL,
                                          NULL, NULL);
    if (code != SQLITE_OK) return code;
    return sqlite3_create_function_v2(conn->db, "hd_given", 2, flags, &conn->given, sql_given, NULL,
                                      NULL, NULL);
}
