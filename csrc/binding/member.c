/* Members of a json object: a value with a type of its own inside a document. JSON has fewer types than columns have, so
 * each value has two forms: the one that the program sees, and the *stored* one that stands in the document (timestamps as
 * ISO 8601 with six digits, so that texts sort as the times do; blobs in hexadecimal; the rest as JSON has it). */
#include "binding.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

static const char HDL_MEMBER[] = "heddle.member";

typedef struct hdl_member {
    hd_arena arena, scratch; /* of the column; of one value */
    hdl_column column;
} hdl_member;

static hdl_member *check_member(lua_State *L, int index) {
    hdl_member *m = hdl_check_class(L, index, HDL_MEMBER);
    luaL_argcheck(L, m->column.core, index, "member is closed");
    return m;
}

static int member_free(lua_State *L) {
    hdl_member *m = hdl_check_class(L, 1, HDL_MEMBER);
    if (m->column.core) {
        hd_arena_free(&m->scratch);
        hd_arena_free(&m->arena);
    }
    m->column.core = NULL;
    return 0;
}

/* core.member(column): column is a mapping's, or a table like one. */
static int member_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    hdl_member *m = hdl_new_userdata(L, sizeof *m, HDL_MEMBER);
    static hd_column none;
    hd_arena_init(&m->arena, &hd_allocator_libc);
    hd_arena_init(&m->scratch, &hd_allocator_libc);
    m->column.core = &none; /* what a failure leaves behind is freed */
    hdl_column column;
    hdl_column_read(L, 1, &m->arena, &column);
    m->column = column;
    m->column.finite = m->column.plus_zero = true; /* JSON has no NaN, and jsonb no -0 */
    return 1;
}

/* ---- The stored form ---- */

static void push_hex(lua_State *L, const char *bytes, size_t len) {
    static const char digits[] = "0123456789abcdef";
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        luaL_addchar(&text, digits[byte >> 4]);
        luaL_addchar(&text, digits[byte & 15]);
    }
    luaL_pushresult(&text);
}

static void push_stored(lua_State *L, const hd_value *value) {
    char text[HD_TIMESTAMP_TEXT + 1];
    size_t len;
    switch ((hd_kind)value->kind) {
    case HD_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    case HD_TIMESTAMP:
        len = hd_timestamp_format_sql(value->as.i, text);
        for (char *p = text; p < text + len; p++) {
            if (*p == ' ') *p = 'T';
        }
        text[len++] = 'Z';
        lua_pushlstring(L, text, len);
        break;
    case HD_BLOB:
        push_hex(L, value->as.p, value->len);
        break;
    case HD_LIST:
        luaL_checkstack(L, 4, "array");
        lua_createtable(L, (int)value->as.list->count, 0);
        for (uint32_t i = 0; i < value->as.list->count; i++) {
            push_stored(L, &value->as.list->items[i]);
            lua_rawseti(L, -2, (int)i + 1);
        }
        hdl_mark_array(L);
        break;
    default:
        hdl_push_value(L, value, NULL);
        break;
    }
}

static bool is_infinite(const hd_value *value) {
    if (value->kind == HD_FLOAT) return isinf(value->as.f);
    if (value->kind != HD_LIST) return false;
    for (uint32_t i = 0; i < value->as.list->count; i++) {
        if (is_infinite(&value->as.list->items[i])) return true;
    }
    return false;
}

/* Is the Lua value at `index` what a read of `value` would give? */
static bool is_normal(lua_State *L, int index, const hd_value *value, const hdl_column *column) {
    if (value->kind == HD_JSON) return true;
    if (value->kind == HD_LIST && lua_istable(L, index)) {
        bool normal = true;
        for (uint32_t i = 0; i < value->as.list->count && normal; i++) {
            lua_rawgeti(L, index, (int)i + 1);
            normal = is_normal(L, lua_gettop(L), &value->as.list->items[i], NULL);
            lua_pop(L, 1);
        }
        return normal;
    }
    if (value->kind == HD_NULL && lua_islightuserdata(L, index)) return true;
    hdl_push_value(L, value, column);
    bool normal = lua_rawequal(L, index, -1);
#if !HDL_DOUBLES
    normal = normal && lua_isinteger(L, index) == lua_isinteger(L, -1);
#endif
    lua_pop(L, 1);
    return normal;
}

/* member:stored(value) -> its stored form, and whether the value is in normal form; nil and why (a text) for what the
 * type does not take. */
static int member_stored(lua_State *L) {
    hdl_member *m = check_member(L, 1);
    hd_value value;
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    hd_arena_reset(&m->scratch);
    lua_settop(L, 2);
    hd_error_kind kind = hdl_to_value(L, 2, &m->column, &m->scratch, &value, &err);
    if (kind == HD_OK && is_infinite(&value))
        kind = hd_error_set(&err, HD_E_VALIDATION, "json has no infinity");
    if (kind != HD_OK) {
        lua_pushnil(L);
        lua_pushstring(L, err.message ? err.message : "out of memory");
        hd_error_clear(&err);
        return 2;
    }
    if (value.kind == HD_JSON)
        lua_pushvalue(L, 2);
    else
        push_stored(L, &value);
    lua_pushboolean(L, is_normal(L, 2, &value, &m->column));
    return 2;
}

/* member:check(value) -> nil, or why (a text) a column of the type does not take the value. */
static int member_check(lua_State *L) {
    hdl_member *m = check_member(L, 1);
    hdl_column column = m->column;
    hd_value value;
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    hd_arena_reset(&m->scratch);
    lua_settop(L, 2);
    column.finite = false;
    if (hdl_to_value(L, 2, &column, &m->scratch, &value, &err) == HD_OK) return 0;
    lua_pushstring(L, err.message ? err.message : "out of memory");
    hd_error_clear(&err);
    return 1;
}

/* ---- The program's form ---- */

static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* Pushes the bytes of the hexadecimal text on top; false when it is none. */
static bool decode_hex(lua_State *L) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    luaL_Buffer bytes;
    if (len % 2) return false;
    for (size_t i = 0; i < len; i++) {
        if (digit_of(text[i]) < 0) return false;
    }
    luaL_buffinit(L, &bytes);
    for (size_t i = 0; i < len; i += 2)
        luaL_addchar(&bytes, (char)(digit_of(text[i]) * 16 + digit_of(text[i + 1])));
    luaL_pushresult(&bytes);
    return true;
}

/* Is the stored value at `index` what would be written for `value`? */
static bool is_as_stored(lua_State *L, int index, const hd_value *value) {
    if (value->kind == HD_LIST && lua_istable(L, index)) {
        bool same = hdl_is_array(L, index);
        for (uint32_t i = 0; i < value->as.list->count && same; i++) {
            lua_rawgeti(L, index, (int)i + 1);
            same = is_as_stored(L, lua_gettop(L), &value->as.list->items[i]);
            lua_pop(L, 1);
        }
        return same;
    }
    push_stored(L, value);
    bool same = lua_rawequal(L, index, -1);
#if !HDL_DOUBLES
    same = same && lua_isinteger(L, index) == lua_isinteger(L, -1);
#endif
    lua_pop(L, 1);
    return same;
}

/* member:value(stored) -> the program's form, and whether the stored one is as this program would write it. What the type
 * would not take from a program it takes from here: it was read. */
static int member_value(lua_State *L) {
    hdl_member *m = check_member(L, 1);
    hd_value value;
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    hd_arena_reset(&m->scratch);
    lua_settop(L, 2);
    bool same;
    if (m->column.core->type == HD_T_JSON) {
        lua_pushboolean(L, 1);
        return 2;
    }
    if (m->column.core->type == HD_T_BLOB && lua_type(L, 2) == LUA_TSTRING) {
        lua_pushboolean(L, decode_hex(L));
        return 2;
    }
    if (hdl_to_value(L, 2, &m->column, &m->scratch, &value, &err) == HD_OK &&
        value.kind != HD_JSON) {
        same = is_as_stored(L, 2, &value);
        hdl_push_value(L, &value, &m->column);
    } else {
        same = false;
    }
    hd_error_clear(&err);
    lua_pushboolean(L, same);
    return 2;
}

static const luaL_Reg methods[] = {
    {"stored", member_stored}, {"check", member_check}, {"value", member_value}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"member", member_new}, {NULL, NULL}};

void hdl_open_member(lua_State *L) {
    hdl_new_class(L, HDL_MEMBER, methods, member_free);
    luaL_setfuncs(L, functions, 0);
}
