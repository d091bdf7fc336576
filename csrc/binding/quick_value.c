/* What most values of new rows are - texts, numbers, instants and booleans in the form in which a read gives them - becomes
 * a value of the database in a few steps. Whatever is not as usual is left to to_value.c, which also has the words for
 * what is wrong; both decide alike. */
#include "quick_value.h"

#include <math.h>

#include "base/text.h"

hdl_quick hdl_quick_of(const hdl_column *column) {
    if (column->list || column->as != HDL_AS_PLAIN || column->core->label_count)
        return HDL_QUICK_NONE;
    switch ((hd_type)column->core->type) {
    case HD_T_SMALLINT:
    case HD_T_INTEGER:
    case HD_T_BIGINT:
        return HDL_QUICK_INTEGER;
    case HD_T_FLOAT:
    case HD_T_DOUBLE:
        return HDL_QUICK_FLOAT;
    case HD_T_STRING:
    case HD_T_TEXT:
        return HDL_QUICK_TEXT;
    case HD_T_TIMESTAMP:
        return HDL_QUICK_TIMESTAMP;
    case HD_T_BOOLEAN:
        return HDL_QUICK_BOOLEAN;
    default:
        return HDL_QUICK_NONE;
    }
}

/* An integer in Lua's form of one; false for other numbers. */
static inline bool read_integer(lua_State *L, int64_t *value) {
#if HDL_DOUBLES
    const double exact = 9007199254740992.0; /* 2^53 */
    double number = lua_tonumber(L, -1);
    if (!(number > -exact && number < exact)) return false;
    *value = (int64_t)number;
    return (double)*value == number && (*value != 0 || !signbit(number));
#else
    if (!lua_isinteger(L, -1)) return false;
    *value = (int64_t)lua_tointeger(L, -1);
    return true;
#endif
}

static bool take_integer(lua_State *L, const hd_column *column, hd_value *out) {
    int64_t value;
    if (!read_integer(L, &value)) return false;
    if (column->type != HD_T_BIGINT) {
        int64_t high = column->type == HD_T_INTEGER ? INT32_MAX : INT16_MAX;
        if (value > high || value < -high - 1) return false;
    }
    *out = hd_int(value, (hd_type)column->type);
    return true;
}

static bool take_float(lua_State *L, const hdl_column *column, hd_value *out) {
#if !HDL_DOUBLES
    if (lua_isinteger(L, -1)) return false;
#endif
    double value = lua_tonumber(L, -1);
    if (isnan(value) || (value == 0 && signbit(value))) return false;
    *out = hd_int(0, (hd_type)column->core->type);
    out->kind = HD_FLOAT;
    out->as.f = value;
    return true;
}

/* A fraction that a double and back again in microseconds is the same. */
static bool read_fraction(lua_State *L, int64_t *us) {
    const double limit =
        1e11; /* seconds: far from what 64 bits hold, and behind any calendar's first day */
    double value = lua_tonumber(L, -1);
    if (!(value > -limit && value < limit)) return false;
    *us = (int64_t)llround(value * 1e6);
    return *us % 1000000 != 0 && (double)*us / 1e6 == value;
}

static bool take_timestamp(lua_State *L, hd_value *out) {
    const int64_t limit = 100000000000;
    int64_t us;
    if (read_integer(L, &us)) {
        if (us <= -limit || us >= limit) return false;
        us *= 1000000;
    } else if (!read_fraction(L, &us)) {
        return false;
    }
    *out = hd_int(us, HD_T_TIMESTAMP);
    out->kind = HD_TIMESTAMP;
    return true;
}

static bool take_text(lua_State *L, const hd_column *column, hd_arena *arena, hd_value *out) {
    size_t len, chars;
    const char *text = lua_tolstring(L, -1, &len);
    if (len > INT32_MAX || hd_utf8_check(text, len, &chars) != 0) return false;
    if (column->length > 0 && chars > (size_t)column->length) return false;
    const char *copy = hd_arena_copy(arena, text, len);
    if (!copy) return false;
    *out = hd_bytes(HD_TEXT, copy, len, (hd_type)column->type);
    return true;
}

bool hdl_take_quickly(lua_State *L, int type, const hdl_column *column, hd_arena *arena,
                      hd_value *out) {
    switch ((hdl_quick)column->quick) {
    case HDL_QUICK_INTEGER:
        return type == LUA_TNUMBER && take_integer(L, column->core, out);
    case HDL_QUICK_FLOAT:
        return type == LUA_TNUMBER && take_float(L, column, out);
    case HDL_QUICK_TEXT:
        return type == LUA_TSTRING && take_text(L, column->core, arena, out);
    case HDL_QUICK_TIMESTAMP:
        return type == LUA_TNUMBER && take_timestamp(L, out);
    case HDL_QUICK_BOOLEAN:
        if (type != LUA_TBOOLEAN) return false;
        *out = hd_int(lua_toboolean(L, -1), HD_T_BOOLEAN);
        out->kind = HD_BOOL;
        return true;
    case HDL_QUICK_NONE:
        break;
    }
    return false;
}
