/* The collector, while a result of many rows is built: what is made there is all alive, so that looking at it would be in
 * vain. It rests inside one call only, never across a wait, and is put back whatever happens.
 *
 * A collector that goes on has forgotten what was made meanwhile, and works for what is made from then on: a program that
 * reads one large result after the other would grow and grow. So what is owed is noted, and the next large result begins
 * with the work for it, when most of it may be garbage already.
 *
 * Stopped and started again, Lua 5.4's would begin a collection with the next thing that is made, however little there is
 * to collect. So it is not stopped, but told that some is collected ahead, and afterwards that this was not so. */
#include "hydrate.h"

#if defined LUA_GCISRUNNING

static char level_key,
    owed_key; /* in the registry: how much there was behind the last result, what is owed; KB */

static int get(lua_State *L, char *key) {
    lua_pushlightuserdata(L, key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    int value = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void set(lua_State *L, char *key, int value) {
    lua_pushlightuserdata(L, key);
    lua_pushinteger(L, value);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* What was collected since then was worked for. */
static void pay(lua_State *L) {
    int now = lua_gc(L, LUA_GCCOUNT, 0), level = get(L, &level_key), owed = get(L, &owed_key);
    if (now < level) owed -= level - now;
    if (owed > 0) lua_gc(L, LUA_GCSTEP, owed);
    set(L, &level_key, lua_gc(L, LUA_GCCOUNT, 0));
    set(L, &owed_key, 0);
}

static void owe(lua_State *L) {
    int now = lua_gc(L, LUA_GCCOUNT, 0);
    set(L, &owed_key, now - get(L, &level_key));
    set(L, &level_key, now);
}

#if LUA_VERSION_NUM == 504

enum { AHEAD = 1 << 20 }; /* KB */

static void rest(lua_State *L) {
    lua_gc(L, LUA_GCSTEP, -AHEAD);
}

/* What was made meanwhile is owed, not due: it is left out of what is to be collected. */
static void go_on(lua_State *L) {
    int made = lua_gc(L, LUA_GCCOUNT, 0) - get(L, &level_key);
    if (made < 0 || made >= AHEAD) made = 0; /* it has collected all the same */
    lua_gc(L, LUA_GCSTEP, AHEAD - made);
}

#else

static void rest(lua_State *L) {
    lua_gc(L, LUA_GCSTOP, 0);
}

static void go_on(lua_State *L) {
    lua_gc(L, LUA_GCRESTART, 0);
}

#endif

static bool stop_collector(lua_State *L) {
    if (!lua_gc(L, LUA_GCISRUNNING, 0)) return false;
    pay(L);
    rest(L);
    return true;
}

static void restart_collector(lua_State *L) {
    go_on(L);
    owe(L);
}

#else /* Lua 5.1 cannot tell whether the program has stopped it */

static bool stop_collector(lua_State *L) {
    (void)L;
    return false;
}

static void restart_collector(lua_State *L) {
    (void)L;
}

#endif

int hdl_undisturbed(lua_State *L, lua_CFunction fn, int count) {
    int below = lua_gettop(L) - count;
    lua_pushcfunction(L, fn);
    lua_insert(L, below + 1);
    bool stopped = stop_collector(L);
    int failed = lua_pcall(L, count, LUA_MULTRET, 0);
    if (stopped) restart_collector(L);
    return failed ? -1 : lua_gettop(L) - below;
}
