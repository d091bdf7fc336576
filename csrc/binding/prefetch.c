/* The dirty scan reads every instance of a shelf, and is bound by memory, not by what it compares: tables stand all over
 * the heap. Asking for those of a block before they are read lets the processor fetch many at a time. */
#include "binding.h"

/* A table of a few fields: its header, and its nodes, which were allocated right behind it. */
enum { LINE = 64, LINES = 4 };

/* core.prefetch(instances, first, last) */
static int prefetch(lua_State *L) {
    int first = (int)luaL_checkinteger(L, 2), last = (int)luaL_checkinteger(L, 3);
    luaL_checktype(L, 1, LUA_TTABLE);
    for (int i = first; i <= last; i++) {
        lua_rawgeti(L, 1, i);
        const char *table = lua_topointer(L, -1);
        for (int line = 0; line < LINES; line++) __builtin_prefetch(table + line * LINE);
        lua_pop(L, 1);
    }
    return 0;
}

void hdl_open_prefetch(lua_State *L) {
    lua_pushcfunction(L, prefetch);
    lua_setfield(L, -2, "prefetch");
}
