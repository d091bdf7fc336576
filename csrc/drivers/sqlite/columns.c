/* Result columns to values in normal form. A decoder is chosen for each column when a statement
 * gives its first row, by the declared type; each row is then one tight loop. A value whose storage
 * does not fit the declared type ('abc' in an integer column) comes back as what it is rather than
 * as something that was never stored.
 *
 * Bytes point into SQLite's memory, which lives until the next step; texts that must be made (a
 * decimal stored as a number, an upper-case uuid) go to an arena that lives as long.
 *
 * The sqlite3_value functions are used on what sqlite3_column_value gives: half the work of the
 * sqlite3_column functions. That is sound for a connection that only one thread uses. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "conn.h"

/* ---- by storage ---- */

static inline bool take_text(sqlite3_value *from, hd_value *to, hd_kind kind) {
    to->as.p = (const char *)sqlite3_value_text(from);
    to->len = (uint32_t)sqlite3_value_bytes(from);
    to->kind = (uint8_t)kind;
    return to->as.p != NULL;
}

static bool take_blob(sqlite3_value *from, hd_value *to) {
    to->as.p = sqlite3_value_blob(from);
    to->len = (uint32_t)sqlite3_value_bytes(from);
    to->kind = HD_BLOB;
    if (to->as.p) return true;
    to->as.p = "";
    return to->len == 0;
}

static inline bool take_int(hd_value *to, hd_kind kind, int64_t i) {
    to->kind = (uint8_t)kind;
    to->as.i = i;
    return true;
}

static inline bool take_float(hd_value *to, double f) {
    to->kind = HD_FLOAT;
    to->as.f = f;
    return true;
}

static bool natural(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    (void)conn;
    switch (sqlite3_value_type(from)) {
    case SQLITE_INTEGER:
        return take_int(to, HD_INT, sqlite3_value_int64(from));
    case SQLITE_FLOAT:
        return take_float(to, sqlite3_value_double(from));
    case SQLITE_TEXT:
        return take_text(from, to, HD_TEXT);
    case SQLITE_BLOB:
        return take_blob(from, to);
    default:
        to->kind = HD_NULL;
        return true;
    }
}

/* ---- numbers ---- */

static bool fits_integer(double f) {
    return f >= -0x1p63 && f < 0x1p63 && f == trunc(f);
}

static bool integer(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    int type = sqlite3_value_type(from);
    if (type == SQLITE_INTEGER) return take_int(to, HD_INT, sqlite3_value_int64(from));
    if (type != SQLITE_FLOAT) return natural(conn, from, to);
    double f = sqlite3_value_double(from);
    return fits_integer(f) ? take_int(to, HD_INT, (int64_t)f) : take_float(to, f);
}

static bool floating(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    int type = sqlite3_value_type(from);
    if (type == SQLITE_FLOAT) return take_float(to, sqlite3_value_double(from));
    if (type != SQLITE_INTEGER) return natural(conn, from, to);
    int64_t i = sqlite3_value_int64(from);
    double f = (double)i;
    return f < 0x1p63 && (int64_t)f == i ? take_float(to, f) : take_int(to, HD_INT, i);
}

static bool boolean(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    if (sqlite3_value_type(from) != SQLITE_INTEGER) return natural(conn, from, to);
    int64_t i = sqlite3_value_int64(from);
    return take_int(to, i == 0 || i == 1 ? HD_BOOL : HD_INT, i);
}

/* Numbers are seconds since the epoch, as other programs store them. */
static bool timestamp(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    int64_t i;
    double f;
    switch (sqlite3_value_type(from)) {
    case SQLITE_TEXT:
        if (!take_text(from, to, HD_TEXT)) return false;
        return hd_timestamp_parse(to->as.p, to->len, &i) == 0 ? take_int(to, HD_TIMESTAMP, i)
                                                              : true;
    case SQLITE_INTEGER:
        i = sqlite3_value_int64(from);
        if (i > INT64_MAX / 1000000 || i < INT64_MIN / 1000000) return take_int(to, HD_INT, i);
        return take_int(to, HD_TIMESTAMP, i * 1000000);
    case SQLITE_FLOAT:
        f = sqlite3_value_double(from);
        if (!(fabs(f) < 9e12)) return take_float(to, f);
        return take_int(to, HD_TIMESTAMP, llround(f * 1e6));
    default:
        return natural(conn, from, to);
    }
}

/* ---- texts ---- */

static bool take_copy(hd_sqlite_conn *conn, hd_value *to, hd_kind kind, const char *text,
                      size_t len) {
    to->as.p = hd_arena_copy(&conn->decoded, text, len);
    to->len = (uint32_t)len;
    to->kind = (uint8_t)kind;
    return to->as.p != NULL;
}

/* `to` holds the stored text: it becomes `kind`, in its normal form `text`. */
static bool take_normal(hd_sqlite_conn *conn, hd_value *to, hd_kind kind, const char *text,
                        size_t len) {
    if (to->len != len || memcmp(to->as.p, text, len) != 0)
        return take_copy(conn, to, kind, text, len);
    to->kind = (uint8_t)kind;
    return true;
}

static bool uuid(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    char text[HD_UUID_TEXT];
    if (sqlite3_value_type(from) != SQLITE_TEXT) return natural(conn, from, to);
    if (!take_text(from, to, HD_TEXT)) return false;
    if (hd_uuid_normalize(to->as.p, to->len, text) != 0) return true;
    return take_normal(conn, to, HD_UUID, text, sizeof text);
}

static bool date(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    char text[HD_TIMESTAMP_TEXT];
    size_t len;
    if (sqlite3_value_type(from) != SQLITE_TEXT) return natural(conn, from, to);
    if (!take_text(from, to, HD_TEXT)) return false;
    if (hd_date_normalize(to->as.p, to->len, text, &len) != 0) return true;
    return take_normal(conn, to, HD_DATE, text, len);
}

static bool time_of_day(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    char text[HD_TIMESTAMP_TEXT];
    size_t len;
    if (sqlite3_value_type(from) != SQLITE_TEXT) return natural(conn, from, to);
    if (!take_text(from, to, HD_TEXT)) return false;
    if (hd_time_normalize(to->as.p, to->len, text, &len) != 0) return true;
    return take_normal(conn, to, HD_TIME, text, len);
}

static bool array(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    if (sqlite3_value_type(from) != SQLITE_TEXT) return natural(conn, from, to);
    return take_text(from, to, HD_JSON);
}

static bool blob(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    switch (sqlite3_value_type(from)) {
    case SQLITE_BLOB:
        return take_blob(from, to);
    case SQLITE_TEXT:
        return take_text(from, to, HD_BLOB);
    default:
        return natural(conn, from, to);
    }
}

/* Text of a number; 0 when it has none that JSON or a decimal could hold. */
static size_t number_text(sqlite3_value *from, char out[40]) {
    if (sqlite3_value_type(from) == SQLITE_INTEGER) {
        return hd_integer_format(sqlite3_value_int64(from), out);
    }
    double f = sqlite3_value_double(from);
    return isfinite(f) ? hd_double_format(f, out) : 0;
}

/* A column declared "json" has numeric affinity: a document that is one number is stored as a
 * number. */
static bool json(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    char text[40];
    int type = sqlite3_value_type(from);
    if (type == SQLITE_TEXT) return take_text(from, to, HD_JSON);
    size_t len = type == SQLITE_INTEGER || type == SQLITE_FLOAT ? number_text(from, text) : 0;
    return len ? take_copy(conn, to, HD_JSON, text, len) : natural(conn, from, to);
}

/* "-12.50": what Heddle writes, recognised without going through the general reader. */
static bool is_normal_decimal(const char *text, size_t len) {
    const char *at = text, *end = text + len;
    if (at < end && *at == '-') at++;
    const char *digits = at;
    while (at < end && *at >= '0' && *at <= '9') at++;
    if (at == digits || (*digits == '0' && at - digits > 1)) return false;
    if (at == end) return *digits != '0' || digits == text;
    const char *fraction = ++at;
    if (at[-1] != '.') return false;
    bool zero = *digits == '0';
    for (; at < end && *at >= '0' && *at <= '9'; at++) zero = zero && *at == '0';
    return at == end && at > fraction && !(zero && digits > text);
}

static bool is_decimal_word(const char *text, size_t len) {
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (len == strlen(words[i]) && memcmp(text, words[i], len) == 0) return true;
    }
    return false;
}

/* Foreign spellings ("1e3", "+.5") and numbers. false: out of memory. */
static bool normalize_decimal(hd_sqlite_conn *conn, hd_value *to, const char *text, size_t len) {
    size_t room = len + 400, n; /* a double's exponent makes at most 325 digits more */
    char *out = hd_arena_alloc(&conn->decoded, room);
    if (!out) return false;
    if (hd_decimal_normalize(text, len, 0, -1, out, room, &n) != HD_DECIMAL_OK) return true;
    to->kind = HD_DECIMAL;
    to->as.p = out;
    to->len = (uint32_t)n;
    return true;
}

static bool decimal(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to) {
    char number[40];
    size_t len;
    switch (sqlite3_value_type(from)) {
    case SQLITE_TEXT:
        if (!take_text(from, to, HD_TEXT)) return false;
        if (!is_normal_decimal(to->as.p, to->len) && !is_decimal_word(to->as.p, to->len)) {
            return normalize_decimal(conn, to, to->as.p, to->len);
        }
        to->kind = HD_DECIMAL;
        return true;
    case SQLITE_INTEGER:
    case SQLITE_FLOAT:
        len = number_text(from, number);
        return natural(conn, from, to) && (len == 0 || normalize_decimal(conn, to, number, len));
    default:
        return natural(conn, from, to);
    }
}

/* ---- rows ---- */

static hd_sqlite_decoder *const by_type[HD_TYPES] = {
    [HD_T_UNKNOWN] = natural,     [HD_T_SMALLINT] = integer, [HD_T_INTEGER] = integer,
    [HD_T_BIGINT] = integer,      [HD_T_FLOAT] = floating,   [HD_T_DOUBLE] = floating,
    [HD_T_DECIMAL] = decimal,     [HD_T_STRING] = natural,   [HD_T_TEXT] = natural,
    [HD_T_BOOLEAN] = boolean,     [HD_T_UUID] = uuid,        [HD_T_JSON] = json,
    [HD_T_TIMESTAMP] = timestamp, [HD_T_DATE] = date,        [HD_T_TIME] = time_of_day,
    [HD_T_BLOB] = blob,           [HD_T_ENUM] = natural,     [HD_T_ARRAY] = array,
};

int hd_sqlite_columns(hd_sqlite_conn *conn, uint32_t columns, const hd_statement *s) {
    const hd_allocator *mem = conn->base.mem;
    if (hd_grow(mem, (void **)&conn->values, &conn->value_cap, columns, sizeof *conn->values) !=
            0 ||
        hd_grow(mem, (void **)&conn->columns, &conn->column_cap, columns, sizeof *conn->columns) !=
            0) {
        return SQLITE_NOMEM;
    }
    for (uint32_t i = 0; i < columns; i++) {
        uint8_t type = s->types && i < s->type_count ? s->types[i] : HD_T_UNKNOWN;
        conn->values[i] = (hd_value){HD_NULL, type, 0, 0, {0}};
        conn->columns[i] = (hd_sqlite_column){by_type[type], NULL};
    }
    conn->base.row.values = conn->values;
    conn->base.row.count = columns;
    return SQLITE_OK;
}

/* A row's values stand side by side in the statement's memory, mostly the same for each row: where the first one is
 * where it was, all are. */
static void find_values(hd_sqlite_conn *conn, sqlite3_stmt *stmt) {
    uint32_t count = conn->base.row.count;
    sqlite3_value *first = sqlite3_column_value(stmt, 0);
    if (first == conn->columns[0].from) return;
    conn->columns[0].from = first;
    for (uint32_t i = 1; i < count; i++) conn->columns[i].from = sqlite3_column_value(stmt, (int)i);
}

int hd_sqlite_read_row(hd_sqlite_conn *conn, sqlite3_stmt *stmt) {
    uint32_t count = conn->base.row.count;
    const hd_sqlite_column *columns = conn->columns;
    hd_value *to = conn->values;
    if (conn->decoded.block) hd_arena_reset(&conn->decoded);
    find_values(conn, stmt);
    for (uint32_t i = 0; i < count; i++) {
        if (!columns[i].decode(conn, columns[i].from, &to[i])) return SQLITE_NOMEM;
    }
    return SQLITE_OK;
}
