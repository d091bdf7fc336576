/* One scalar to the wire. The column's type decides the form; the value's kind must be one that the
 * type holds exactly, else the value is a misfit and nothing is sent: 2.5 is no integer, 2^53 + 1
 * no double. Text of unknown type lets the server infer, as for a literal in the statement. */
#include <string.h>

#include "base/text.h"
#include "oids.h"
#include "params.h"

#define DAY_US (INT64_C(86400) * 1000000)

static const hd_pg_binding bindings[HD_TYPES] = {
    [HD_T_UNKNOWN] = {0, 0, false},
    [HD_T_SMALLINT] = {OID_INT2, OID_INT2_ARRAY, true},
    [HD_T_INTEGER] = {OID_INT4, OID_INT4_ARRAY, true},
    [HD_T_BIGINT] = {OID_INT8, OID_INT8_ARRAY, true},
    [HD_T_FLOAT] = {OID_FLOAT8, OID_FLOAT8_ARRAY, true},
    [HD_T_DOUBLE] = {OID_FLOAT8, OID_FLOAT8_ARRAY, true},
    [HD_T_DECIMAL] = {OID_NUMERIC, OID_NUMERIC_ARRAY, false},
    [HD_T_STRING] = {OID_TEXT, OID_TEXT_ARRAY, true},
    [HD_T_TEXT] = {OID_TEXT, OID_TEXT_ARRAY, true},
    [HD_T_BOOLEAN] = {OID_BOOL, OID_BOOL_ARRAY, true},
    [HD_T_UUID] = {OID_UUID, OID_UUID_ARRAY, true},
    [HD_T_JSON] = {OID_JSONB, OID_JSONB_ARRAY, true},
    [HD_T_TIMESTAMP] = {OID_TIMESTAMPTZ, OID_TIMESTAMPTZ_ARRAY, true},
    [HD_T_DATE] = {OID_DATE, OID_DATE_ARRAY, false},
    [HD_T_TIME] = {OID_TIME, OID_TIME_ARRAY, false},
    [HD_T_BLOB] = {OID_BYTEA, OID_BYTEA_ARRAY, true},
    [HD_T_ENUM] = {OID_TEXT, OID_TEXT_ARRAY, true},
    [HD_T_ARRAY] = {0, 0, false},
};

const hd_pg_binding *hd_pg_binding_of(hd_type type) {
    return &bindings[(unsigned)type < HD_TYPES ? type : HD_T_UNKNOWN];
}

bool hd_pg_misfit(hd_pg_params *params, const hd_value *value, hd_type type) {
    static const char *const kinds[] = {"null", "boolean", "integer",   "float",       "text",
                                        "blob", "decimal", "timestamp", "date",        "time",
                                        "uuid", "json",    "list",      "pending key", "default"};
    const char *kind = value->kind <= HD_DEFAULT ? kinds[value->kind] : "value";
    hd_error_set(params->err, HD_E_VALIDATION, "parameter %u is a %s that %s cannot hold exactly",
                 params->index + 1, kind,
                 type == HD_T_UNKNOWN ? "a PostgreSQL text" : hd_type_name(type));
    return false;
}

static bool is_text(const hd_value *value) {
    return hd_has_bytes(value) && value->kind != HD_BLOB;
}

bool hd_pg_is_plain(const hd_value *value, hd_type type) {
    switch (type) {
    case HD_T_STRING:
    case HD_T_TEXT:
    case HD_T_ENUM:
        return is_text(value);
    case HD_T_BLOB:
        return value->kind == HD_BLOB || value->kind == HD_TEXT;
    default:
        return false;
    }
}

/* ---- Binary ---- */

static bool to_integer(const hd_value *value, int64_t *i) {
    if (value->kind == HD_INT) {
        *i = value->as.i;
        return true;
    }
    if (value->kind == HD_FLOAT) {
        if (!(value->as.f >= -0x1p63 && value->as.f < 0x1p63)) return false;
        *i = (int64_t)value->as.f;
        return (double)*i == value->as.f;
    }
    bool digits = value->kind == HD_TEXT || value->kind == HD_DECIMAL;
    return digits && hd_integer_parse(value->as.p, value->len, i) == 0;
}

static bool put_integer(hd_pg_params *params, hd_buffer *to, const hd_value *value, hd_type type) {
    size_t size = type == HD_T_SMALLINT ? 2 : type == HD_T_INTEGER ? 4 : 8;
    int64_t i, limit = size == 8 ? INT64_MAX : (INT64_C(1) << (size * 8 - 1)) - 1;
    char bytes[8];
    if (!to_integer(value, &i) || i > limit || i < -limit - 1) {
        return hd_pg_misfit(params, value, type);
    }
    hd_pg_store64(bytes, (uint64_t)i);
    hd_buffer_add(to, bytes + 8 - size, size);
    return true;
}

static bool put_double(hd_pg_params *params, hd_buffer *to, const hd_value *value, hd_type type) {
    double f = value->as.f;
    uint64_t bits;
    char bytes[8];
    if (value->kind == HD_INT) {
        f = (double)value->as.i;
        if (f >= 0x1p63 || (int64_t)f != value->as.i) return hd_pg_misfit(params, value, type);
    } else if (value->kind != HD_FLOAT) {
        return hd_pg_misfit(params, value, type);
    }
    memcpy(&bits, &f, sizeof bits);
    hd_pg_store64(bytes, bits);
    hd_buffer_add(to, bytes, sizeof bytes);
    return true;
}

static bool to_timestamp(const hd_value *value, int64_t *us) {
    if (value->kind == HD_TIMESTAMP) {
        *us = value->as.i;
    } else if (!is_text(value) || hd_timestamp_parse(value->as.p, value->len, us) != 0) {
        return false;
    }
    if (*us < INT64_MIN + 1 + PG_EPOCH_US) return false;
    *us -= PG_EPOCH_US;
    return true;
}

static bool to_infinity(const hd_value *value, int64_t *us) {
    if (value->kind != HD_TEXT) return false;
    bool minus = value->len == 9 && memcmp(value->as.p, "-infinity", 9) == 0;
    *us = minus ? INT64_MIN : INT64_MAX;
    return minus || (value->len == 8 && memcmp(value->as.p, "infinity", 8) == 0);
}

static bool put_timestamp(hd_pg_params *params, hd_buffer *to, const hd_value *value) {
    int64_t us;
    char bytes[8];
    if (!to_infinity(value, &us) && !to_timestamp(value, &us)) {
        return hd_pg_misfit(params, value, HD_T_TIMESTAMP);
    }
    hd_pg_store64(bytes, (uint64_t)us);
    hd_buffer_add(to, bytes, sizeof bytes);
    return true;
}

static bool put_uuid(hd_pg_params *params, hd_buffer *to, const hd_value *value) {
    unsigned char bytes[16];
    bool text = value->kind == HD_UUID || value->kind == HD_TEXT;
    if (!text || hd_uuid_parse(value->as.p, value->len, bytes) != 0) {
        return hd_pg_misfit(params, value, HD_T_UUID);
    }
    hd_buffer_add(to, (const char *)bytes, sizeof bytes);
    return true;
}

bool hd_pg_put_binary(hd_pg_params *params, hd_buffer *to, const hd_value *value, hd_type type) {
    if (hd_pg_is_plain(value, type)) {
        hd_buffer_add(to, value->as.p, value->len);
        return true;
    }
    switch (type) {
    case HD_T_SMALLINT:
    case HD_T_INTEGER:
    case HD_T_BIGINT:
        return put_integer(params, to, value, type);
    case HD_T_FLOAT:
    case HD_T_DOUBLE:
        return put_double(params, to, value, type);
    case HD_T_TIMESTAMP:
        return put_timestamp(params, to, value);
    case HD_T_UUID:
        return put_uuid(params, to, value);
    case HD_T_BOOLEAN:
        if (value->kind != HD_BOOL) break;
        hd_buffer_char(to, value->as.i != 0);
        return true;
    case HD_T_JSON:
        if (value->kind != HD_JSON) break;
        hd_buffer_char(to, 1); /* version of the binary form of jsonb */
        hd_buffer_add(to, value->as.p, value->len);
        return true;
    default:
        break;
    }
    return hd_pg_misfit(params, value, type);
}

/* ---- Text ---- */

static bool text_holds(const hd_value *value, hd_type type) {
    switch (type) {
    case HD_T_DECIMAL:
        return value->kind == HD_DECIMAL || value->kind == HD_INT || value->kind == HD_FLOAT ||
               value->kind == HD_TEXT;
    case HD_T_DATE:
        return value->kind == HD_DATE || value->kind == HD_TEXT;
    case HD_T_TIME:
        return value->kind == HD_TIME || value->kind == HD_TEXT;
    default:
        return value->kind > HD_NULL && value->kind <= HD_JSON;
    }
}

/* PostgreSQL's spelling of an instant: "0044-03-15 12:00:00+00 BC". */
static void put_instant(hd_buffer *to, int64_t us) {
    char date[HD_TIMESTAMP_TEXT], clock[HD_TIMESTAMP_TEXT];
    int64_t days = us / DAY_US - (us % DAY_US < 0);
    size_t date_len = hd_date_format(days, date);
    size_t clock_len = hd_time_format(us - days * DAY_US, clock);
    bool before_christ = date[date_len - 1] == 'C';
    hd_buffer_add(to, date, before_christ ? date_len - 3 : date_len);
    hd_buffer_char(to, ' ');
    hd_buffer_add(to, clock, clock_len);
    hd_buffer_str(to, before_christ ? "+00 BC" : "+00");
}

static void put_hex(hd_buffer *to, const char *bytes, size_t len) {
    static const char digits[] = "0123456789abcdef";
    char *out = hd_buffer_room(to, 2 + 2 * len);
    if (!out) return;
    *out++ = '\\';
    *out++ = 'x';
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[(unsigned char)bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

bool hd_pg_put_text(hd_pg_params *params, hd_buffer *to, const hd_value *value, hd_type type) {
    char number[40];
    if (!text_holds(value, type)) return hd_pg_misfit(params, value, type);
    switch (value->kind) {
    case HD_BOOL:
        hd_buffer_char(to, value->as.i ? 't' : 'f');
        break;
    case HD_INT:
        hd_buffer_int(to, value->as.i);
        break;
    case HD_FLOAT:
        hd_buffer_add(to, number, hd_double_format(value->as.f, number));
        break;
    case HD_TIMESTAMP:
        put_instant(to, value->as.i);
        break;
    case HD_BLOB:
        put_hex(to, value->as.p, value->len);
        break;
    default: /* a NUL would end the text on its way */
        if (value->len && memchr(value->as.p, '\0', value->len)) {
            return hd_pg_misfit(params, value, type);
        }
        hd_buffer_add(to, value->as.p, value->len);
    }
    return true;
}
