/* Request: what the links of a web server's request belong to, and end with. The server calls the clean-up from its own
 * code, when and however the request ends; this state may be closed by then, or the request's object collected. So both
 * sides hold a reference to the core's owner, and the clean-up touches nothing of Lua. */
#include "base/pin.h"
#include "binding.h"
#include "owner.h"

typedef struct request {
    hd_owner *owner;
} request;

/* Key of the registry: this library is pinned. */
static const char PINNED[] = "heddle.pinned";

static hd_owner *check_owner(lua_State *L) {
    hd_owner *owner = ((request *)hdl_check_class(L, 1, HDL_REQUEST))->owner;
    if (!owner) luaL_argerror(L, 1, "the request was finalized");
    return owner;
}

static void clean_up(void *data) {
    hd_owner *owner = data;
    hd_owner_end(owner);
    hd_owner_unref(owner);
}

static void pin(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, PINNED);
    if (lua_isnil(L, -1)) {
        if (hd_pin(clean_up) != 0) luaL_error(L, "this library cannot be kept loaded");
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, PINNED);
    }
    lua_pop(L, 1);
}

/* core.request() */
static int request_new(lua_State *L) {
    request *r = hdl_new_userdata(L, sizeof *r, HDL_REQUEST);
    r->owner = hd_owner_new(&hd_allocator_libc);
    if (!r->owner) return luaL_error(L, "out of memory");
    return 1;
}

/* request:own(link) */
static int request_own(lua_State *L) {
    hd_owner_own(check_owner(L), hdl_check_link(L, 2));
    return 0;
}

/* request:ended() */
static int request_ended(lua_State *L) {
    lua_pushboolean(L, check_owner(L)->ended);
    return 1;
}

/* request:finish(): what its links have under way is given up. */
static int request_finish(lua_State *L) {
    hd_owner_end(check_owner(L));
    return 0;
}

/* What nginx's ngx_http_cleanup_add gives: it calls `handler(data)`. */
typedef struct entry {
    void (*handler)(void *);
    void *data;
} entry;

/* request:attach(add, whole) -> whether it is: the addresses, as numbers, of a function of the server's and of its first
 * argument; the second is 0. It gives an entry, whose handler the server calls once when the request ends, in this process
 * and thread, while no Lua runs. False: the server has no memory for it. */
static int request_attach(lua_State *L) {
    hd_owner *owner = check_owner(L);
    uintptr_t add = (uintptr_t)luaL_checknumber(L, 2);
    uintptr_t whole = (uintptr_t)luaL_checknumber(L, 3);
    pin(L);
    entry *e = ((entry * (*)(void *, size_t)) add)((void *)whole, 0);
    if (e) {
        hd_owner_ref(owner);
        *e = (entry){clean_up, owner};
    }
    lua_pushboolean(L, e != NULL);
    return 1;
}

static int request_free(lua_State *L) {
    request *r = hdl_check_class(L, 1, HDL_REQUEST);
    if (r->owner) hd_owner_unref(r->owner);
    r->owner = NULL;
    return 0;
}

static const luaL_Reg methods[] = {{"own", request_own},
                                   {"ended", request_ended},
                                   {"finish", request_finish},
                                   {"attach", request_attach},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"request", request_new}, {NULL, NULL}};

void hdl_open_request(lua_State *L) {
    hdl_new_class(L, HDL_REQUEST, methods, request_free);
    luaL_setfuncs(L, functions, 0);
}
