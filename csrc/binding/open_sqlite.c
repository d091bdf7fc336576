/* Entry of the shared object heddle.sqlite: gives its driver to whoever requires it. */
#include <lua.h>

#include "drivers/sqlite/sqlite.h"

__attribute__((visibility("default"))) int luaopen_heddle_sqlite(lua_State *L);

int luaopen_heddle_sqlite(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&hd_sqlite_driver);
    return 1;
}
