/* Handles: what a program sees of a collection. A userdata, because only that answers `#` and `[i]` on every
 * interpreter; its state is a Lua table which it holds as its user value, so that the two live exactly as long as one
 * of them is known. What a handle can do is the host's: it fills the metatable. */
#include "binding.h"

static const char class_name[] = "heddle.collection";

/* core.handle(state) -> userdata */
static int new_handle(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_newuserdata(L, 0);
    lua_pushvalue(L, 1);
    lua_setuservalue(L, 2);
    luaL_getmetatable(L, class_name);
    lua_setmetatable(L, 2);
    return 1;
}

/* core.handle_state(value) -> the state of a handle, nil for anything else */
static int handle_state(lua_State *L) {
    if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1)) return 0;
    luaL_getmetatable(L, class_name);
    if (!lua_rawequal(L, -1, -2)) return 0;
    lua_getuservalue(L, 1);
    return 1;
}

void hdl_open_handle(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"handle", new_handle}, {"handle_state", handle_state}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, class_name);
    lua_pushstring(L, class_name);
    lua_setfield(L, -2, "__name");
    lua_setfield(L, -2, "handle_meta");
}
