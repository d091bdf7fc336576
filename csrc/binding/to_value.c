/* Lua values to core values: the one place where a value meets its column (U4: what cannot be stored exactly is
 * refused before the first statement; U7: what is stored is the normal form). Messages say what is wrong with
 * the value without showing it. */
#include "binding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define EXACT   9007199254740992.0 /* 2^53 */
#define LARGEST 9223372036854775808.0

typedef struct converter {
    lua_State *L;
    int index;
    const hdl_column *column;
    hd_arena *arena;
    hd_value *out;
    hd_error *err;
} converter;

static hd_error_kind refuse(converter *c, const char *why) {
    return hd_error_set(c->err, HD_E_VALIDATION, "%s", why);
}

static hd_error_kind refuse_type(converter *c, const char *wanted) {
    return hd_error_set(c->err, HD_E_VALIDATION, "expected %s, got %s", wanted,
                        luaL_typename(c->L, c->index));
}

static hd_error_kind keep_bytes(converter *c, hd_kind kind, const char *text, size_t len) {
    if (len > INT32_MAX) return refuse(c, "value is larger than 2 GiB");
    const char *copy = hd_arena_copy(c->arena, text, len);
    if (!copy) return hd_error_memory(c->err);
    *c->out = hd_bytes(kind, copy, len, (hd_type)c->column->core->type);
    return HD_OK;
}

/* ---- Numbers ---- */

/* The integer that a Lua value stands for: integral number, or canonical decimal text. */
static bool to_integer(lua_State *L, int index, int64_t *value) {
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t len;
        const char *text = lua_tolstring(L, index, &len);
        return hd_integer_parse(text, len, value) == 0;
    }
    if (lua_type(L, index) != LUA_TNUMBER) return false;
#if !HDL_DOUBLES
    if (lua_isinteger(L, index)) {
        *value = (int64_t)lua_tointeger(L, index);
        return true;
    }
#endif
    double number = lua_tonumber(L, index);
    if (number != floor(number) || number < -LARGEST || number >= LARGEST) return false;
    if (HDL_DOUBLES && (number > EXACT || number < -EXACT)) return false;
    *value = (int64_t)number;
    return true;
}

static hd_error_kind integer(converter *c, int64_t low, int64_t high, const char *type) {
    int64_t value;
    if (!to_integer(c->L, c->index, &value)) {
        int kind = lua_type(c->L, c->index);
        if (kind != LUA_TNUMBER && kind != LUA_TSTRING) return refuse_type(c, "an integer");
        return refuse(
            c,
            HDL_DOUBLES && kind == LUA_TNUMBER
                ? "not an integer that a double holds exactly (give a decimal string beyond 2^53)"
                : "not an integer");
    }
    if (value < low || value > high)
        return hd_error_set(c->err, HD_E_VALIDATION, "out of range for %s", type);
    *c->out = hd_int(value, (hd_type)c->column->core->type);
    return HD_OK;
}

/* as = "string": the program holds numbers as texts. */
static hd_error_kind floating_text(converter *c, double *value) {
    size_t len;
    const char *text = lua_tolstring(c->L, c->index, &len);
    return hd_double_parse(text, len, value) == 0 ? HD_OK : refuse(c, "not a number");
}

static hd_error_kind floating(converter *c) {
    double value = 0;
    if (c->column->as == HDL_AS_STRING && lua_type(c->L, c->index) == LUA_TSTRING) {
        hd_error_kind kind = floating_text(c, &value);
        if (kind != HD_OK) return kind;
    } else if (lua_type(c->L, c->index) == LUA_TNUMBER) {
        value = lua_tonumber(c->L, c->index);
    } else {
        return refuse_type(c, "a number");
    }
#if !HDL_DOUBLES
    if (lua_isinteger(c->L, c->index) &&
        (value >= LARGEST || (int64_t)value != (int64_t)lua_tointeger(c->L, c->index)))
        return refuse(c, "an integer that a double cannot hold exactly");
#endif
    if (c->column->finite && isnan(value))
        return refuse(c, "NaN cannot be stored in this database");
    if (c->column->plus_zero && value == 0) value = 0.0;
    *c->out = hd_null();
    c->out->kind = HD_FLOAT;
    c->out->type = c->column->core->type;
    c->out->as.f = isnan(value) ? (double)NAN : value; /* there is one NaN, without a sign */
    return HD_OK;
}

static hd_error_kind decimal(converter *c) {
    char number[40];
    size_t len, n;
    const char *text = number;
    int64_t whole;
    if (lua_type(c->L, c->index) == LUA_TSTRING)
        text = lua_tolstring(c->L, c->index, &len);
    else if (lua_type(c->L, c->index) != LUA_TNUMBER)
        return refuse_type(c, "a decimal as a string");
    else if (to_integer(c->L, c->index, &whole))
        len = hd_integer_format(whole, number);
    else
        len = hd_double_format(lua_tonumber(c->L, c->index), number);
    size_t cap = len + 512 + (size_t)(c->column->core->scale > 0 ? c->column->core->scale : 0);
    char *out = hd_arena_alloc(c->arena, cap);
    if (!out) return hd_error_memory(c->err);
    int scale =
        c->column->core->precision > 0 || c->column->core->scale >= 0 ? c->column->core->scale : -1;
    if (c->column->core->precision > 0 && scale < 0) scale = 0;
    switch (hd_decimal_normalize(text, len, c->column->core->precision, scale, out, cap, &n)) {
    case HD_DECIMAL_OK:
        *c->out = hd_bytes(HD_DECIMAL, out, n, HD_T_DECIMAL);
        return HD_OK;
    case HD_DECIMAL_SCALE:
        return hd_error_set(c->err, HD_E_VALIDATION, "more than %d digits behind the point", scale);
    case HD_DECIMAL_PRECISION:
        return hd_error_set(c->err, HD_E_VALIDATION, "more than %d digits",
                            c->column->core->precision);
    default:
        return refuse(c, "not a decimal number");
    }
}

/* ---- Texts ---- */

static hd_error_kind check_label(converter *c, const char *text, size_t len) {
    const hd_column *column = c->column->core;
    for (uint32_t i = 0; i < column->label_count; i++) {
        if (strlen(column->labels[i]) == len && memcmp(column->labels[i], text, len) == 0)
            return HD_OK;
    }
    return column->label_count ? refuse(c, "not one of the enum's values") : HD_OK;
}

static hd_error_kind text_value(converter *c) {
    size_t len, chars;
    if (lua_type(c->L, c->index) != LUA_TSTRING) return refuse_type(c, "a string");
    const char *text = lua_tolstring(c->L, c->index, &len);
    if (memchr(text, '\0', len)) return refuse(c, "text cannot hold a NUL byte");
    if (hd_utf8_check(text, len, &chars) != 0) return refuse(c, "not valid UTF-8");
    if (c->column->core->length > 0 && chars > (size_t)c->column->core->length)
        return hd_error_set(c->err, HD_E_VALIDATION, "longer than %d characters",
                            c->column->core->length);
    hd_error_kind kind = check_label(c, text, len);
    return kind == HD_OK ? keep_bytes(c, HD_TEXT, text, len) : kind;
}

static hd_error_kind blob_value(converter *c) {
    size_t len;
    if (lua_type(c->L, c->index) != LUA_TSTRING) return refuse_type(c, "a string of bytes");
    const char *bytes = lua_tolstring(c->L, c->index, &len);
    if (c->column->core->length > 0 && len > (size_t)c->column->core->length)
        return hd_error_set(c->err, HD_E_VALIDATION, "longer than %d bytes",
                            c->column->core->length);
    return keep_bytes(c, HD_BLOB, bytes, len);
}

static hd_error_kind uuid_value(converter *c) {
    char out[HD_UUID_TEXT];
    size_t len;
    if (lua_type(c->L, c->index) != LUA_TSTRING) return refuse_type(c, "a uuid as a string");
    const char *text = lua_tolstring(c->L, c->index, &len);
    if (hd_uuid_normalize(text, len, out) != 0) return refuse(c, "not a uuid");
    return keep_bytes(c, HD_UUID, out, HD_UUID_TEXT);
}

static hd_error_kind date_or_time(converter *c, bool date) {
    char out[HD_TIMESTAMP_TEXT];
    size_t len, n;
    if (lua_type(c->L, c->index) != LUA_TSTRING)
        return refuse_type(c, date ? "a date as a string" : "a time as a string");
    const char *text = lua_tolstring(c->L, c->index, &len);
    int result =
        date ? hd_date_normalize(text, len, out, &n) : hd_time_normalize(text, len, out, &n);
    if (result != 0) return refuse(c, date ? "not a date (YYYY-MM-DD)" : "not a time (HH:MM:SS)");
    return keep_bytes(c, date ? HD_DATE : HD_TIME, out, n);
}

/* ---- Timestamps, booleans ---- */

#define FIRST_TIMESTAMP (-210866803200000000) /* 4713 BC, PostgreSQL's first */
#define LAST_TIMESTAMP  INT64_MAX             /* 294247: what 64 bits of microseconds hold */

static hd_error_kind timestamp(converter *c) {
    int64_t us, seconds;
    if (lua_type(c->L, c->index) == LUA_TSTRING) {
        size_t len;
        const char *text = lua_tolstring(c->L, c->index, &len);
        if (hd_timestamp_parse(text, len, &us) != 0)
            return refuse(c, "not a timestamp (seconds, or ISO 8601)");
    } else if (lua_type(c->L, c->index) != LUA_TNUMBER) {
        return refuse_type(c, "a timestamp (seconds, or ISO 8601)");
    } else if (to_integer(c->L, c->index, &seconds)) {
        if (seconds > LAST_TIMESTAMP / 1000000 || seconds < FIRST_TIMESTAMP / 1000000)
            return refuse(c, "out of range for timestamp");
        us = seconds * 1000000;
    } else {
        double value = lua_tonumber(c->L, c->index) * 1e6;
        if (!(value >= (double)FIRST_TIMESTAMP && value <= 9.2e18))
            return refuse(c, "out of range for timestamp");
        us = (int64_t)llround(value);
    }
    *c->out = hd_int(us, HD_T_TIMESTAMP);
    c->out->kind = HD_TIMESTAMP;
    return HD_OK;
}

static hd_error_kind boolean(converter *c) {
    if (!lua_isboolean(c->L, c->index)) return refuse_type(c, "a boolean");
    *c->out = hd_int(lua_toboolean(c->L, c->index), HD_T_BOOLEAN);
    c->out->kind = HD_BOOL;
    return HD_OK;
}

/* ---- Json, arrays, lists ---- */

static hd_error_kind json_value(converter *c) {
    hd_buffer text;
    const char *problem;
    hd_buffer_init(&text, &hd_allocator_libc);
    hd_error_kind kind = HD_OK;
    if (!hdl_json_encode(c->L, c->index, &text, &problem))
        kind = hd_error_set(c->err, HD_E_VALIDATION, "json cannot hold this: %s", problem);
    else
        kind = keep_bytes(c, HD_JSON, text.data, text.len);
    hd_buffer_free(&text);
    return kind;
}

#define HOLES "an array has the keys 1..n and no holes (orm.null is NULL)"

#define DIMENSIONS 6 /* PostgreSQL's arrays have no more */

/* Arrays inside an array are all of one shape, and not empty: PostgreSQL has no others. */
static bool is_rectangular(const hd_value *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const hd_value *first = &items[0], *item = &items[i];
        while (first->kind == HD_LIST && item->kind == HD_LIST) {
            if (first->as.list->count != item->as.list->count || item->as.list->count == 0)
                return false;
            first = &first->as.list->items[0];
            item = &item->as.list->items[0];
        }
        if ((first->kind == HD_LIST) != (item->kind == HD_LIST)) return false;
    }
    return true;
}

static hd_error_kind list_value(converter *c, hd_type element, hd_type type, int depth) {
    lua_State *L = c->L;
    if (!lua_istable(L, c->index)) return refuse_type(c, "an array (a table)");
    if (depth > DIMENSIONS) return refuse(c, "an array nested too deeply (or cyclic)");
    if (!lua_checkstack(L, 4)) return hd_error_memory(c->err);
    size_t count = lua_rawlen(L, c->index), keys = 0;
    for (lua_pushnil(L); lua_next(L, c->index); lua_pop(L, 1)) keys++;
    if (keys != count) return refuse(c, HOLES);
    hd_list *list = hd_arena_zero(c->arena, sizeof *list);
    hd_value *items = hd_arena_zero(c->arena, (count + 1) * sizeof *items);
    if (!list || !items) return hd_error_memory(c->err);
    hd_column core = *c->column->core;
    hdl_column column = *c->column;
    core.type = (uint8_t)element;
    column.core = &core;
    column.list = false;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, c->index, (int)i + 1);
        converter inner = {L, lua_gettop(L), c->column, c->arena, &items[i], c->err};
        bool nested = type == HD_T_ARRAY && element != HD_T_ARRAY && lua_istable(L, -1);
        hd_error_kind kind =
            /* As many keys as the length says may still be others. */
            lua_isnil(L, -1) ? refuse(c, HOLES)
            : nested         ? list_value(&inner, element, type, depth + 1)
                             : hdl_to_value(L, inner.index, &column, c->arena, &items[i], c->err);
        lua_pop(L, 1);
        if (kind != HD_OK) return kind;
    }
    if (type == HD_T_ARRAY && element != HD_T_ARRAY && !is_rectangular(items, count))
        return refuse(c, "arrays inside an array are of one length, and not empty");
    list->type = (uint8_t)element;
    list->count = (uint32_t)count;
    list->items = items;
    *c->out = hd_null();
    c->out->kind = HD_LIST;
    c->out->type = (uint8_t)type;
    c->out->as.list = list;
    return HD_OK;
}

hd_error_kind hdl_to_value(lua_State *L, int index, const hdl_column *column, hd_arena *arena,
                           hd_value *out, hd_error *err) {
    converter c = {L, lua_absindex(L, index), column, arena, out, err};
    hd_type type = (hd_type)column->core->type;
    *out = hd_null();
    out->type = (uint8_t)type;
    if (lua_isnil(L, index) || (lua_islightuserdata(L, index) && !lua_touserdata(L, index)))
        return HD_OK;
    if (column->list) return list_value(&c, type, type, 1);
    switch (type) {
    case HD_T_SMALLINT:
        return integer(&c, -32768, 32767, "smallint");
    case HD_T_INTEGER:
        return integer(&c, INT32_MIN, INT32_MAX, "integer");
    case HD_T_BIGINT:
        return integer(&c, INT64_MIN, INT64_MAX, "bigint");
    case HD_T_FLOAT:
    case HD_T_DOUBLE:
        return floating(&c);
    case HD_T_DECIMAL:
        return decimal(&c);
    case HD_T_STRING:
    case HD_T_TEXT:
    case HD_T_ENUM:
        return text_value(&c);
    case HD_T_BOOLEAN:
        return boolean(&c);
    case HD_T_UUID:
        return uuid_value(&c);
    case HD_T_JSON:
        return json_value(&c);
    case HD_T_TIMESTAMP:
        return timestamp(&c);
    case HD_T_DATE:
    case HD_T_TIME:
        return date_or_time(&c, type == HD_T_DATE);
    case HD_T_BLOB:
        return blob_value(&c);
    case HD_T_ARRAY:
        return list_value(&c, (hd_type)column->core->element, HD_T_ARRAY, 1);
    default: {
        hd_error_kind kind = hdl_to_natural(L, index, arena, out, err);
        out->type = (uint8_t)type;
        return kind;
    }
    }
}

/* ---- Without a type ---- */

/* A number says its own type, so that `select ?` gives it back; a string may stand for anything. */
static hd_value natural_integer(int64_t i) {
    return hd_int(i, i >= INT32_MIN && i <= INT32_MAX ? HD_T_INTEGER : HD_T_BIGINT);
}

static hd_value natural_float(double f) {
    hd_value v = hd_int(0, HD_T_DOUBLE);
    v.kind = HD_FLOAT;
    v.as.f = f;
    return v;
}

hd_error_kind hdl_to_natural(lua_State *L, int index, hd_arena *arena, hd_value *out,
                             hd_error *err) {
    static hd_column unknown = {.scale = -1};
    const hdl_column column = {.core = &unknown};
    converter c = {L, lua_absindex(L, index), &column, arena, out, err};
    size_t len;
    int64_t whole;
    *out = hd_null();
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return HD_OK;
    case LUA_TLIGHTUSERDATA:
        return lua_touserdata(L, index) ? refuse_type(&c, "a scalar") : HD_OK;
    case LUA_TBOOLEAN:
        *out = hd_int(lua_toboolean(L, index), HD_T_BOOLEAN);
        out->kind = HD_BOOL;
        return HD_OK;
    case LUA_TNUMBER:
#if !HDL_DOUBLES
        if (!lua_isinteger(L, index)) {
            *out = natural_float(lua_tonumber(L, index));
            return HD_OK;
        }
#endif
        *out = to_integer(L, index, &whole) ? natural_integer(whole)
                                            : natural_float(lua_tonumber(L, index));
        return HD_OK;
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, index, &len);
        if (memchr(text, '\0', len)) return refuse(&c, "text cannot hold a NUL byte");
        if (hd_utf8_check(text, len, NULL) != 0) return refuse(&c, "not valid UTF-8");
        return keep_bytes(&c, HD_TEXT, text, len);
    }
    case LUA_TTABLE: {
        hd_error_kind kind = json_value(&c);
        return kind;
    }
    default:
        return refuse_type(&c, "a scalar");
    }
}

/* ---- Snapshots ---- */

hd_error_kind hdl_from_snapshot(lua_State *L, int index, const hdl_column *column, hd_arena *arena,
                                hd_value *out, hd_error *err) {
    size_t len;
    index = lua_absindex(L, index);
    if (column->core->type == HD_T_JSON) {
        converter c = {L, index, column, arena, out, err};
        const char *image = lua_tolstring(L, index, &len);
        *out = hd_null();
        if (!image || len < sizeof(hd_hash128)) return HD_OK;
        return keep_bytes(&c, HD_JSON, image + sizeof(hd_hash128), len - sizeof(hd_hash128));
    }
    int top = lua_gettop(L);
    if (hdl_is_mutable(column)) {
        hdl_push_from_image(L, index, column);
        index = top + 1;
    }
    hd_error_kind kind = hdl_to_value(L, index, column, arena, out, err);
    if (kind == HD_E_VALIDATION) {
        hd_error_clear(err);
        kind = hdl_to_natural(L, index, arena, out, err);
        out->type = column->core->type;
    }
    if (index > top) lua_pop(L, 1);
    return kind;
}
