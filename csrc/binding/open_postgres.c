/* Entry of the shared object heddle.postgres: gives its driver to whoever requires it. */
#include <lua.h>

#include "drivers/postgres/postgres.h"

__attribute__((visibility("default"))) int luaopen_heddle_postgres(lua_State *L);

int luaopen_heddle_postgres(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&hd_postgres_driver);
    return 1;
}
