/* The structural hash of a Lua value, without writing it as JSON first: what hd_json_hash says of the text that
 * hdl_json_encode makes of it. A table that only a second look tells to be an array (its items come out of order) or to be
 * neither array nor object is left to the encoder. Strings are not looked into: one that JSON cannot hold equals none
 * that was read. */
#include "binding.h"

#include <math.h>

#include "base/json.h"

typedef struct digest {
    lua_State *L;
    int depth;
} digest;

static bool digest_value(digest *d, int index, hd_hash128 *out);

static bool digest_number(lua_State *L, int index, hd_hash128 *out) {
#if !HDL_DOUBLES
    if (lua_isinteger(L, index)) {
        *out = hd_hash_number(0, true, (int64_t)lua_tointeger(L, index));
        return true;
    }
#endif
    double number = lua_tonumber(L, index);
    *out = hd_hash_number(number, false, 0);
    return isfinite(number);
}

/* Has the table a metatable that says anything else than that it is an array? */
static bool is_special(lua_State *L, int index, bool *is_array) {
    *is_array = false;
    if (!lua_getmetatable(L, index)) return false;
    lua_pop(L, 1);
    *is_array = hdl_is_array(L, index);
    return !*is_array;
}

/* Keys are on the stack, each below its value; the first one says what the table is. */
static bool digest_members(digest *d, int index, hd_hash128 *out, uint64_t *count) {
    lua_State *L = d->L;
    hd_hash128 item;
    size_t len;
    for (*count = 0; lua_next(L, index); ++*count) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &len) : NULL;
        if (!key || !digest_value(d, lua_gettop(L), &item)) return false;
        *out = hd_hash_object_add(*out, key, len, item);
        lua_pop(L, 1);
    }
    return true;
}

static bool digest_items(digest *d, int index, hd_hash128 *out, uint64_t *count) {
    lua_State *L = d->L;
    hd_hash128 item;
    for (*count = 0; lua_next(L, index); ++*count) {
        if (lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != (lua_Number)(*count + 1))
            return false;
        if (!digest_value(d, lua_gettop(L), &item)) return false;
        *out = hd_hash_array_add(*out, item);
        lua_pop(L, 1);
    }
    return true;
}

static bool digest_table(digest *d, int index, hd_hash128 *out) {
    lua_State *L = d->L;
    bool is_array;
    uint64_t count = 0;
    if (!lua_checkstack(L, 8) || d->depth >= HD_JSON_DEPTH || is_special(L, index, &is_array))
        return false;
    lua_pushnil(L);
    if (!lua_next(L, index)) {
        *out = hd_hash_close(hd_hash_object_start(), 0, false);
        return true;
    }
    bool is_list = lua_type(L, -2) == LUA_TNUMBER;
    if (is_array && !is_list) return false;
    lua_pop(L, 2);
    lua_pushnil(L);
    d->depth++;
    *out = is_list ? hd_hash_array_start() : hd_hash_object_start();
    bool ok = is_list ? digest_items(d, index, out, &count) : digest_members(d, index, out, &count);
    d->depth--;
    if (ok) *out = hd_hash_close(*out, count, is_list);
    return ok;
}

static bool digest_value(digest *d, int index, hd_hash128 *out) {
    lua_State *L = d->L;
    size_t len;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TTABLE:
        return digest_table(d, index, out);
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        *out = hd_hash_string(text, len);
        return true;
    case LUA_TNUMBER:
        return digest_number(L, index, out);
    case LUA_TBOOLEAN:
        *out = hd_hash_bool(lua_toboolean(L, index));
        return true;
    case LUA_TLIGHTUSERDATA:
        *out = hd_hash_null();
        return !lua_touserdata(L, index);
    case LUA_TNIL:
        *out = hd_hash_null();
        return true;
    default:
        return false;
    }
}

bool hdl_json_digest(lua_State *L, int index, hd_hash128 *out) {
    digest d = {L, 0};
    int top = lua_gettop(L);
    bool ok = digest_value(&d, lua_absindex(L, index), out);
    lua_settop(L, top);
    return ok;
}
