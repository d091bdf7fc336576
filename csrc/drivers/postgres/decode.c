/* Scalars from the wire. Each type has a text and a binary decoder that give the same value for the
 * same datum: a column reads alike whether its statement was built by Heddle (binary) or by the
 * user (text). What the type table does not know is text in text form; in binary form it is an
 * error, except for types made in the database (enums, extensions) that a caller declares as
 * texts. */
#include "decode.h"

#include <string.h>

#include "base/text.h"
#include "oids.h"

#define DAY_US (INT64_C(86400) * 1000000)

bool hd_pg_malformed(hd_pg_decoding *to, const char *what) {
    hd_error_set(to->err, HD_E_DRIVER, "PostgreSQL sent %s that Heddle cannot read", what);
    return false;
}

bool hd_pg_no_memory(hd_pg_decoding *to) {
    hd_error_memory(to->err);
    return false;
}

static bool give_bytes(hd_value *out, hd_kind kind, const char *bytes, size_t len) {
    *out = hd_bytes(kind, bytes, len, HD_T_UNKNOWN);
    return true;
}

/* A copy of a short text in the arena. */
static bool give_copy(hd_pg_decoding *to, hd_value *out, hd_kind kind, const char *text,
                      size_t len) {
    char *copy = hd_arena_copy(to->arena, text, len);
    return copy ? give_bytes(out, kind, copy, len) : hd_pg_no_memory(to);
}

static bool give_int(hd_value *out, hd_kind kind, int64_t i) {
    out->kind = (uint8_t)kind;
    out->as.i = i;
    return true;
}

static bool give_float(hd_value *out, double f) {
    out->kind = HD_FLOAT;
    out->as.f = f;
    return true;
}

static bool is(const char *bytes, size_t len, const char *word) {
    return len == strlen(word) && memcmp(bytes, word, len) == 0;
}

/* ---- Bytes as they are ---- */

static bool decode_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    (void)to;
    return give_bytes(out, HD_TEXT, bytes, len);
}

static bool decode_json(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    (void)to;
    return give_bytes(out, HD_JSON, bytes, len);
}

static bool decode_jsonb_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len < 1 || bytes[0] != 1) return hd_pg_malformed(to, "a jsonb of a version");
    return give_bytes(out, HD_JSON, bytes + 1, len - 1);
}

static bool decode_blob_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    (void)to;
    return give_bytes(out, HD_BLOB, bytes, len);
}

static bool decode_void(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    (void)to, (void)bytes, (void)len;
    *out = hd_null();
    return true;
}

/* A type of the database's own: its binary form is taken as text when it is one. */
bool hd_pg_decode_label(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (hd_utf8_check(bytes, len, NULL) == 0) return give_bytes(out, HD_TEXT, bytes, len);
    hd_error_set(
        to->err, HD_E_UNSUPPORTED,
        "a column of PostgreSQL type number %u is not text in binary form; cast it to text",
        to->column ? to->column->oid : 0);
    return false;
}

/* bytea in text form is "\x0aff", or, with bytea_output = escape, bytes with "\\" and "\ooo". */
static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unescape_blob(const char *bytes, size_t len, char *to, size_t *n) {
    char *start = to;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\\') {
            *to++ = bytes[i];
        } else if (i + 1 < len && bytes[i + 1] == '\\') {
            *to++ = bytes[++i];
        } else if (i + 3 < len) {
            int high = bytes[i + 1] - '0', middle = bytes[i + 2] - '0', low = bytes[i + 3] - '0';
            if ((high | middle | low) & ~7) return false;
            *to++ = (char)(high << 6 | middle << 3 | low);
            i += 3;
        } else {
            return false;
        }
    }
    *n = (size_t)(to - start);
    return true;
}

static bool unhex_blob(const char *bytes, size_t len, char *to, size_t *n) {
    for (size_t i = 2; i + 1 < len; i += 2) {
        int high = hex_value(bytes[i]), low = hex_value(bytes[i + 1]);
        if (high < 0 || low < 0) return false;
        *to++ = (char)(high << 4 | low);
    }
    *n = (len - 2) / 2;
    return len % 2 == 0;
}

static bool decode_blob_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    size_t n = 0;
    char *copy = hd_arena_alloc(to->arena, len);
    if (!copy) return hd_pg_no_memory(to);
    bool hex = len >= 2 && bytes[0] == '\\' && bytes[1] == 'x';
    if (!(hex ? unhex_blob : unescape_blob)(bytes, len, copy, &n)) {
        return hd_pg_malformed(to, "a bytea");
    }
    return give_bytes(out, HD_BLOB, copy, n);
}

/* ---- Numbers ---- */

static bool decode_bool_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    (void)to;
    return give_int(out, HD_BOOL, len == 1 && bytes[0] == 't');
}

static bool decode_bool_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len != 1) return hd_pg_malformed(to, "a boolean");
    return give_int(out, HD_BOOL, bytes[0] != 0);
}

static bool decode_int_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    int64_t i;
    if (hd_integer_parse(bytes, len, &i) != 0) return hd_pg_malformed(to, "an integer");
    return give_int(out, HD_INT, i);
}

static bool decode_int2_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len != 2) return hd_pg_malformed(to, "an int2");
    return give_int(out, HD_INT, (int16_t)hd_pg_load16(bytes));
}

static bool decode_int4_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len != 4) return hd_pg_malformed(to, "an int4");
    return give_int(out, HD_INT, (int32_t)hd_pg_load32(bytes));
}

static bool decode_int8_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len != 8) return hd_pg_malformed(to, "an int8");
    return give_int(out, HD_INT, (int64_t)hd_pg_load64(bytes));
}

static bool decode_oid_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len != 4) return hd_pg_malformed(to, "an oid");
    return give_int(out, HD_INT, hd_pg_load32(bytes));
}

static bool decode_float8_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    double f;
    if (hd_double_parse(bytes, len, &f) != 0) return hd_pg_malformed(to, "a float8");
    return give_float(out, f);
}

/* The exact value of the real, as in binary form, not the double nearest to its short text. */
static bool decode_float4_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    double f;
    if (hd_double_parse(bytes, len, &f) != 0) return hd_pg_malformed(to, "a float4");
    return give_float(out, (double)(float)f);
}

static bool decode_float8_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    uint64_t bits;
    if (len != 8) return hd_pg_malformed(to, "a float8");
    bits = hd_pg_load64(bytes);
    out->kind = HD_FLOAT;
    memcpy(&out->as.f, &bits, sizeof bits);
    return true;
}

static bool decode_float4_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    uint32_t bits;
    float f;
    if (len != 4) return hd_pg_malformed(to, "a float4");
    bits = hd_pg_load32(bytes);
    memcpy(&f, &bits, sizeof f);
    return give_float(out, (double)f);
}

static bool decode_numeric_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    (void)to;
    return give_bytes(out, HD_DECIMAL, bytes, len);
}

/* Room for the text: four digits a group, as many groups of zeros as the weight asks for, the scale
 * and sign, point and "-Infinity". Header: groups, weight, sign, scale. */
static bool decode_numeric_binary(hd_pg_decoding *to, const char *bytes, size_t len,
                                  hd_value *out) {
    if (len < 8) return hd_pg_malformed(to, "a numeric");
    int weight = (int16_t)hd_pg_load16(bytes + 2);
    size_t whole = weight > 0 ? (size_t)weight + 1 : 1;
    size_t cap = whole * 4 + hd_pg_load16(bytes + 6) + 16, n;
    char *text = hd_arena_alloc(to->arena, cap);
    if (!text) return hd_pg_no_memory(to);
    if (hd_decimal_from_pg((const unsigned char *)bytes, len, text, cap, &n) != 0) {
        return hd_pg_malformed(to, "a numeric");
    }
    return give_bytes(out, HD_DECIMAL, text, n);
}

/* ---- Dates, times, uuids ---- */

static bool decode_date_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    char text[HD_TIMESTAMP_TEXT];
    size_t n;
    if (hd_date_normalize(bytes, len, text, &n) != 0) return decode_text(to, bytes, len, out);
    if (n != len) return give_copy(to, out, HD_DATE, text, n);
    return give_bytes(out, HD_DATE, bytes, len); /* is normal already */
}

static bool decode_date_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    char text[HD_TIMESTAMP_TEXT];
    if (len != 4) return hd_pg_malformed(to, "a date");
    int32_t days = (int32_t)hd_pg_load32(bytes);
    if (days == INT32_MAX) return give_bytes(out, HD_TEXT, "infinity", 8);
    if (days == INT32_MIN) return give_bytes(out, HD_TEXT, "-infinity", 9);
    return give_copy(to, out, HD_DATE, text, hd_date_format((int64_t)days + PG_EPOCH_DAYS, text));
}

static bool decode_time_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    char text[HD_TIMESTAMP_TEXT];
    size_t n;
    if (hd_time_normalize(bytes, len, text, &n) != 0) { /* 24:00:00 */
        return give_bytes(out, HD_TIME, bytes, len);
    }
    return give_copy(to, out, HD_TIME, text, n);
}

static bool decode_time_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    char text[HD_TIMESTAMP_TEXT];
    if (len != 8) return hd_pg_malformed(to, "a time");
    int64_t us = (int64_t)hd_pg_load64(bytes);
    if (us < 0 || us > DAY_US) return hd_pg_malformed(to, "a time");
    return give_copy(to, out, HD_TIME, text, hd_time_format(us, text));
}

static bool decode_timestamp_text(hd_pg_decoding *to, const char *bytes, size_t len,
                                  hd_value *out) {
    int64_t us;
    if (hd_timestamp_parse(bytes, len, &us) == 0) return give_int(out, HD_TIMESTAMP, us);
    if (is(bytes, len, "infinity") || is(bytes, len, "-infinity")) {
        return give_bytes(out, HD_TEXT, bytes, len);
    }
    return hd_pg_malformed(to, "a timestamp (years end at 294246, DateStyle must stay ISO)");
}

static bool decode_timestamp_binary(hd_pg_decoding *to, const char *bytes, size_t len,
                                    hd_value *out) {
    if (len != 8) return hd_pg_malformed(to, "a timestamp");
    int64_t us = (int64_t)hd_pg_load64(bytes);
    if (us == INT64_MAX) return give_bytes(out, HD_TEXT, "infinity", 8);
    if (us == INT64_MIN) return give_bytes(out, HD_TEXT, "-infinity", 9);
    if (us > INT64_MAX - PG_EPOCH_US) {
        return hd_pg_malformed(to, "a timestamp (years end at 294246)");
    }
    return give_int(out, HD_TIMESTAMP, us + PG_EPOCH_US);
}

static bool decode_uuid_text(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    (void)to;
    return give_bytes(out, HD_UUID, bytes, len);
}

static bool decode_uuid_binary(hd_pg_decoding *to, const char *bytes, size_t len, hd_value *out) {
    if (len != 16) return hd_pg_malformed(to, "a uuid");
    char *text = hd_arena_alloc(to->arena, HD_UUID_TEXT);
    if (!text) return hd_pg_no_memory(to);
    hd_uuid_format((const unsigned char *)bytes, text);
    return give_bytes(out, HD_UUID, text, HD_UUID_TEXT);
}

/* ---- Which decoder ---- */

static const hd_pg_type types[] = {
    {OID_INT8, OID_INT8_ARRAY, HD_T_BIGINT, decode_int_text, decode_int8_binary},
    {OID_INT4, OID_INT4_ARRAY, HD_T_INTEGER, decode_int_text, decode_int4_binary},
    {OID_TEXT, OID_TEXT_ARRAY, HD_T_TEXT, decode_text, decode_text},
    {OID_VARCHAR, OID_VARCHAR_ARRAY, HD_T_STRING, decode_text, decode_text},
    {OID_BOOL, OID_BOOL_ARRAY, HD_T_BOOLEAN, decode_bool_text, decode_bool_binary},
    {OID_TIMESTAMPTZ, OID_TIMESTAMPTZ_ARRAY, HD_T_TIMESTAMP, decode_timestamp_text,
     decode_timestamp_binary},
    {OID_TIMESTAMP, OID_TIMESTAMP_ARRAY, HD_T_TIMESTAMP, decode_timestamp_text,
     decode_timestamp_binary},
    {OID_NUMERIC, OID_NUMERIC_ARRAY, HD_T_DECIMAL, decode_numeric_text, decode_numeric_binary},
    {OID_FLOAT8, OID_FLOAT8_ARRAY, HD_T_DOUBLE, decode_float8_text, decode_float8_binary},
    {OID_UUID, OID_UUID_ARRAY, HD_T_UUID, decode_uuid_text, decode_uuid_binary},
    {OID_JSONB, OID_JSONB_ARRAY, HD_T_JSON, decode_json, decode_jsonb_binary},
    {OID_DATE, OID_DATE_ARRAY, HD_T_DATE, decode_date_text, decode_date_binary},
    {OID_TIME, OID_TIME_ARRAY, HD_T_TIME, decode_time_text, decode_time_binary},
    {OID_BYTEA, OID_BYTEA_ARRAY, HD_T_BLOB, decode_blob_text, decode_blob_binary},
    {OID_INT2, OID_INT2_ARRAY, HD_T_SMALLINT, decode_int_text, decode_int2_binary},
    {OID_FLOAT4, OID_FLOAT4_ARRAY, HD_T_FLOAT, decode_float4_text, decode_float4_binary},
    {OID_JSON, OID_JSON_ARRAY, HD_T_JSON, decode_json, decode_json},
    {OID_BPCHAR, OID_BPCHAR_ARRAY, HD_T_STRING, decode_text, decode_text},
    {OID_NAME, OID_NAME_ARRAY, HD_T_TEXT, decode_text, decode_text},
    {OID_CHAR, OID_CHAR_ARRAY, HD_T_TEXT, decode_text, decode_text},
    {OID_OID, OID_OID_ARRAY, HD_T_BIGINT, decode_int_text, decode_oid_binary},
    {OID_UNKNOWN, 0, HD_T_TEXT, decode_text, decode_text},
    {OID_XML, 0, HD_T_TEXT, decode_text, decode_text},
    {OID_VOID, 0, HD_T_UNKNOWN, decode_void, decode_void},
};

const hd_pg_type *hd_pg_type_of(Oid oid) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].oid == oid) return &types[i];
    }
    return NULL;
}

const hd_pg_type *hd_pg_element_of(Oid array) {
    for (size_t i = 0; array && i < sizeof types / sizeof *types; i++) {
        if (types[i].array == array) return &types[i];
    }
    return NULL;
}

static bool may_be_label(hd_type declared) {
    return declared == HD_T_UNKNOWN || declared == HD_T_STRING || declared == HD_T_TEXT ||
           declared == HD_T_ENUM;
}

static hd_pg_decoder decoder_of_stranger(Oid oid, bool binary, hd_type declared) {
    if (!binary) return decode_text;
    if (oid < OID_FIRST_OF_USER) return NULL;
    if (declared == HD_T_ARRAY) return hd_pg_decode_array_binary;
    return may_be_label(declared) ? hd_pg_decode_label : NULL;
}

bool hd_pg_column_init(hd_pg_column *column, Oid oid, bool binary, hd_type declared,
                       hd_error *err) {
    const hd_pg_type *type = hd_pg_type_of(oid);
    column->oid = oid;
    column->declared = (uint8_t)declared;
    column->element = type ? NULL : hd_pg_element_of(oid);
    if (type) {
        column->decode = binary ? type->binary : type->text;
    } else if (column->element) {
        column->decode = binary ? hd_pg_decode_array_binary : hd_pg_decode_array_text;
    } else {
        column->decode = decoder_of_stranger(oid, binary, declared);
    }
    if (column->decode) return true;
    hd_error_set(err, HD_E_UNSUPPORTED,
                 "a result column has PostgreSQL type number %u, which cannot be read as %s; "
                 "cast it to text in the statement",
                 oid, hd_type_name(declared));
    return false;
}
