/* Poller for Lua: core.poller(), for an adapter whose scheduler reads what it says from poller:path(). */
#include "poller.h"
#include "binding.h"

typedef struct poller_box {
    hd_poller *poller; /* NULL: closed */
} poller_box;

static hd_poller *check_poller(lua_State *L, hd_error *err) {
    poller_box *box = hdl_check_class(L, 1, HDL_POLLER);
    hd_error_init(err, &hd_allocator_libc);
    if (!box->poller) hd_error_set(err, HD_E_CLOSED, "the poller is closed");
    if (!box->poller || hd_poller_check(box->poller, err) != HD_OK) return NULL;
    return box->poller;
}

/* poller:close() ends the thread. */
static int poller_free(lua_State *L) {
    poller_box *box = hdl_check_class(L, 1, HDL_POLLER);
    hd_poller *poller = box->poller;
    box->poller = NULL;
    hd_poller_free(poller);
    return 0;
}

/* core.poller(); raises driver when there can be none. */
static int poller_new(lua_State *L) {
    hd_error err;
    poller_box *box = hdl_new_userdata(L, sizeof *box, HDL_POLLER);
    hd_error_init(&err, &hd_allocator_libc);
    box->poller = hd_poller_new(&hd_allocator_libc, &err);
    return box->poller ? 1 : hdl_raise(L, &err);
}

/* poller:path(): where the connection is to be made, once. */
static int poller_path(lua_State *L) {
    hd_error err;
    hd_poller *poller = check_poller(L, &err);
    if (!poller) return hdl_raise(L, &err);
    lua_pushstring(L, hd_poller_path(poller));
    return 1;
}

/* poller:arm(fd, events, id): events are "r", "w" or "rw", id is 1 to 2^32 - 1. */
static int poller_arm(lua_State *L) {
    static const char *const names[] = {"r", "w", "rw", NULL};
    static const unsigned events[] = {HD_READ, HD_WRITE, HD_READ | HD_WRITE};
    hd_error err;
    hd_poller *poller = check_poller(L, &err);
    if (!poller) return hdl_raise(L, &err);
    int fd = (int)luaL_checkinteger(L, 2);
    int which = luaL_checkoption(L, 3, NULL, names);
    lua_Number id = luaL_checknumber(L, 4);
    luaL_argcheck(L, id >= 1 && id <= (lua_Number)UINT32_MAX, 4, "not an id");
    if (hd_poller_arm(poller, fd, events[which], (uint32_t)id, &err) != HD_OK)
        return hdl_raise(L, &err);
    return 0;
}

/* poller:disarm(fd): its id may be under way already. */
static int poller_disarm(lua_State *L) {
    hd_error err;
    hd_poller *poller = check_poller(L, &err);
    if (!poller) return hdl_raise(L, &err);
    hd_poller_disarm(poller, (int)luaL_checkinteger(L, 2));
    return 0;
}

static const luaL_Reg methods[] = {
    {"path", poller_path}, {"arm", poller_arm}, {"disarm", poller_disarm}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"poller", poller_new}, {NULL, NULL}};

void hdl_open_poller(lua_State *L) {
    hdl_new_class(L, HDL_POLLER, methods, poller_free);
    luaL_setfuncs(L, functions, 0);
}
