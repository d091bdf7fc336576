/* One C API over Lua 5.4, 5.3, 5.1 and LuaJIT. */
#ifndef HDL_COMPAT_H
#define HDL_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen                lua_objlen
#define lua_absindex(L, i)        ((i) > 0 || (i) <= LUA_REGISTRYINDEX ? (i) : lua_gettop(L) + (i) + 1)
#define luaL_setfuncs(L, list, n) luaL_register(L, NULL, list)
#define lua_setuservalue          lua_setfenv
#define lua_getuservalue          lua_getfenv
#endif

#if LUA_VERSION_NUM < 503
#define HDL_DOUBLES 1 /* every number is a double */
static inline int hdl_rawget(lua_State *L, int index) {
    lua_rawget(L, index);
    return lua_type(L, -1);
}
static inline int hdl_rawgeti(lua_State *L, int index, int n) {
    lua_rawgeti(L, index, n);
    return lua_type(L, -1);
}
static inline int hdl_getfield(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    return lua_type(L, -1);
}
#else
#define HDL_DOUBLES  0
#define hdl_rawget   lua_rawget
#define hdl_rawgeti  lua_rawgeti
#define hdl_getfield lua_getfield
#endif

#endif
