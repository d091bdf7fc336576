/* The dirty scan reads every instance of a shelf, and is bound by memory, not by what it compares: where tables stand all
 * over the heap, asking for those of a block before they are read lets the processor fetch many at a time. Where one stands
 * behind the other it sees that by itself, and asking takes longer than it saves: some are looked at first. */
#include "binding.h"

/* A table of a few fields: its header, and its nodes, which were allocated right behind it. */
enum { LINE = 64, LINES = 4 };

enum { SAMPLES = 4, NEAR = 1024 /* bytes from one to the next */ };

static const char *table_at(lua_State *L, int i) {
    lua_rawgeti(L, 1, i);
    const char *table = lua_topointer(L, -1);
    lua_pop(L, 1);
    return table;
}

/* Does each of some stand close behind the one before? */
static bool are_in_a_row(lua_State *L, int first, int last) {
    if (last - first < SAMPLES) return false;
    uintptr_t before = (uintptr_t)table_at(L, first);
    for (int i = first + 1; i <= first + SAMPLES; i++) {
        uintptr_t next = (uintptr_t)table_at(L, i);
        if (next - before >= NEAR) return false;
        before = next;
    }
    return true;
}

/* core.prefetch(instances, first, last) */
static int prefetch(lua_State *L) {
    int first = (int)luaL_checkinteger(L, 2), last = (int)luaL_checkinteger(L, 3);
    luaL_checktype(L, 1, LUA_TTABLE);
    if (are_in_a_row(L, first, last) && are_in_a_row(L, first + (last - first) / 2, last)) return 0;
    for (int i = first; i <= last; i++) {
        const char *table = table_at(L, i);
        for (int line = 0; line < LINES; line++) __builtin_prefetch(table + line * LINE);
    }
    return 0;
}

void hdl_open_prefetch(lua_State *L) {
    lua_pushcfunction(L, prefetch);
    lua_setfield(L, -2, "prefetch");
}
