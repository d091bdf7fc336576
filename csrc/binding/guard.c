/* Guard: what a coroutine holds while it waits for the database. A scheduler may forget a coroutine that it will never
 * resume; the collector then takes the guard with it, and what it waited for is given up there and then, whoever still
 * has the link. */
#include "binding.h"

typedef struct guard {
    hd_link *link; /* NULL: the wait is over. Its userdata is the user value's */
    uint32_t serial;
} guard;

static int guard_free(lua_State *L) {
    guard *g = hdl_check_class(L, 1, HDL_GUARD);
    hd_link *link = g->link;
    g->link = NULL;
    if (link && link->mem && link->serial == g->serial) hd_link_reset(link);
    return 0;
}

/* Keeps a value, or nil, with the guard at `index`. */
static void keep(lua_State *L, int index, int value) {
    lua_getuservalue(L, index);
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
}

static void hold(lua_State *L, guard *g, int index, int link_index) {
    hd_link *link = hdl_check_link(L, link_index);
    keep(L, index, link_index);
    g->link = link;
    g->serial = link->serial;
    link->offload = true;
}

/* guard:release(): the coroutine goes on. */
static int guard_release(lua_State *L) {
    guard *g = hdl_check_class(L, 1, HDL_GUARD);
    g->link = NULL;
    lua_settop(L, 1);
    lua_pushnil(L);
    keep(L, 1, 2);
    return 0;
}

/* guard:hold(link): a released one holds again. */
static int guard_hold(lua_State *L) {
    hold(L, hdl_check_class(L, 1, HDL_GUARD), 1, 2);
    return 0;
}

/* core.guard(link) */
static int guard_new(lua_State *L) {
    hdl_check_link(L, 1);
    lua_settop(L, 1);
    hold(L, hdl_new_userdata(L, sizeof(guard), HDL_GUARD), 2, 1);
    return 1;
}

static const luaL_Reg methods[] = {{"release", guard_release}, {"hold", guard_hold}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"guard", guard_new}, {NULL, NULL}};

void hdl_open_guard(lua_State *L) {
    hdl_new_class(L, HDL_GUARD, methods, guard_free);
    luaL_setfuncs(L, functions, 0);
}
