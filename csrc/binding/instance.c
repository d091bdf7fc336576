/* What the host asks for when it makes instances itself: their tables, and where their snapshots stand. */
#include "binding.h"

/* core.instance(data, raw, meta, count) -> a new table with the values of `data` and that metatable, presized for `count`
 * more; nil when a name of data is not in the set `raw` or a value is null: then it takes the long way. */
static int new_instance(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 4);
    lua_createtable(L, 0, (int)lua_tointeger(L, 4));
    for (lua_pushnil(L); lua_next(L, 1);) {
        lua_pushvalue(L, -2);
        if (hdl_rawget(L, 2) != LUA_TBOOLEAN || lua_islightuserdata(L, -2)) return 0;
        lua_pop(L, 1);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 5);
    }
    lua_pushvalue(L, 3);
    lua_setmetatable(L, 5);
    return 1;
}

/* core.locate(slot, columns) -> block, base, rows: where a row's snapshot stands. */
static int locate(lua_State *L) {
    hdl_place place =
        hdl_locate((uint32_t)luaL_checkinteger(L, 1) - 1, (int)luaL_checkinteger(L, 2));
    lua_pushinteger(L, place.block);
    lua_pushinteger(L, place.base);
    lua_pushinteger(L, place.rows);
    return 3;
}

static const luaL_Reg functions[] = {{"instance", new_instance}, {"locate", locate}, {NULL, NULL}};

void hdl_open_instance(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
