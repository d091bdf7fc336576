/* Waiters: who waits for a descriptor in a program whose event loop takes none of Lua's, but one of ours (nginx). All states
 * of the process share one poller, which that loop watches; when it is readable the loop calls `tell_all` from its own
 * code, and each waiter's host function is called with what the waiter was made with. No Lua runs there, and the state of
 * a waiter may be closed by then: waiters are known by number, and a number that is used again is another one's. */
#include "poller.h"
#include "base/pin.h"
#include "binding.h"

enum { AT_ONCE = 64 };

typedef struct waiter {
    void (*tell)(void *whom, int count);
    void *whom;
    uint32_t place; /* among the process's waiters, from 1 on; 0: closed */
    int kept;       /* in the registry */
} waiter;

/* A place in the list is free, or a waiter's. */
typedef struct place {
    const waiter *waiter;
    uint32_t age;  /* how many have had it */
    uint32_t next; /* free places */
} place;

/* The process's: the event loop that calls in here knows no state of Lua's. It lasts as long as the process. */
static struct {
    hd_poller *poller;
    place *places;
    size_t capacity, count;
    uint32_t free;
    bool is_known, is_watched; /* the loop has been told of it; has called */
} room;

static waiter *check_waiter(lua_State *L) {
    waiter *w = hdl_check_class(L, 1, HDL_WAITER);
    luaL_argcheck(L, w->place > 0, 1, "the waiter is closed");
    return w;
}

/* ---- Called by the event loop ---- */

static void tell_all(void *event) {
    uint64_t ids[AT_ONCE];
    (void)event;
    room.is_watched = true;
    size_t count = room.poller ? hd_poller_take(room.poller, ids, AT_ONCE) : 0;
    for (size_t i = 0; i < count; i++) {
        const place *p = &room.places[(uint32_t)ids[i]];
        if (p->waiter && p->age == ids[i] >> 32) p->waiter->tell(p->waiter->whom, 1);
    }
}

/* ---- Called by Lua ---- */

/* What this process has of its parent's poller is of no use to it. */
static hd_poller *open_poller(lua_State *L) {
    hd_error err;
    if (room.poller && !hd_poller_is_anothers(room.poller)) return room.poller;
    hd_poller_free(room.poller);
    room.is_known = room.is_watched = false;
    hd_error_init(&err, &hd_allocator_libc);
    room.poller = hd_poller_new(&hd_allocator_libc, &err);
    if (!room.poller) hdl_raise(L, &err);
    return room.poller;
}

/* core.polled(is_known) -> whether that was said before, descriptor, function. The event loop has to call
 * `function(anything)`, a light userdata, in this thread, while no Lua runs, whenever the descriptor is readable: once in a
 * process somebody tells it, and says so here. Raises driver. */
static int polled(lua_State *L) {
    const hd_poller *poller = open_poller(L);
    if (lua_toboolean(L, 1)) room.is_known = true;
    lua_pushboolean(L, room.is_known);
    if (hd_pin(tell_all) != 0) return luaL_error(L, "this library cannot be kept loaded");
    lua_pushinteger(L, hd_poller_descriptor(poller));
    lua_pushlightuserdata(L, (void *)(uintptr_t)tell_all);
    return 3;
}

static uint32_t take_place(lua_State *L) {
    if (room.free == 0) {
        if (room.count == 0) room.count = 1; /* 0 is nobody's */
        if (hd_grow(&hd_allocator_libc, (void **)&room.places, &room.capacity, room.count + 1,
                    sizeof *room.places) != 0)
            luaL_error(L, "not enough memory");
        room.places[room.count] = (place){NULL, 0, 0};
        return (uint32_t)room.count++;
    }
    uint32_t number = room.free;
    room.free = room.places[number].next;
    return number;
}

/* core.waiter(tell, whom, keep): addresses of a host's function and of its first argument, as numbers; the second is 1.
 * `keep` lives until the waiter is closed: the registry has it, since of two objects that become garbage together either
 * may be finalized first, and the event loop may call in between. */
static int waiter_new(lua_State *L) {
    uintptr_t tell = (uintptr_t)luaL_checknumber(L, 1);
    uintptr_t whom = (uintptr_t)luaL_checknumber(L, 2);
    luaL_checkany(L, 3);
    waiter *w = hdl_new_userdata(L, sizeof *w, HDL_WAITER);
    w->kept = LUA_NOREF;
    w->place = 0;
    w->place = take_place(L);
    w->tell = (void (*)(void *, int))tell;
    w->whom = (void *)whom;
    lua_pushvalue(L, 3);
    w->kept = luaL_ref(L, LUA_REGISTRYINDEX);
    room.places[w->place].waiter = w;
    return 1;
}

/* waiter:close(): what it has armed is told to nobody. */
static int waiter_free(lua_State *L) {
    waiter *w = hdl_check_class(L, 1, HDL_WAITER);
    if (w->place == 0) return 0;
    place *p = &room.places[w->place];
    p->waiter = NULL;
    p->age++;
    p->next = room.free;
    room.free = w->place;
    w->place = 0;
    luaL_unref(L, LUA_REGISTRYINDEX, w->kept);
    return 0;
}

/* waiter:arm(fd, events): it is told once when the descriptor is ready; events are "r", "w" or "rw". Gives whether the
 * event loop has ever called. Raises driver. */
static int waiter_arm(lua_State *L) {
    hd_error err;
    const waiter *w = check_waiter(L);
    int fd = (int)luaL_checkinteger(L, 2);
    unsigned events = 0;
    for (const char *word = luaL_checkstring(L, 3); *word; word++) {
        luaL_argcheck(L, *word == 'r' || *word == 'w', 3, "not r, w or rw");
        events |= *word == 'r' ? HD_READ : HD_WRITE;
    }
    uint64_t id = (uint64_t)room.places[w->place].age << 32 | w->place;
    hd_poller *poller = open_poller(L);
    hd_error_init(&err, &hd_allocator_libc);
    if (hd_poller_arm(poller, fd, events, id, &err) != HD_OK) return hdl_raise(L, &err);
    lua_pushboolean(L, room.is_watched);
    return 1;
}

/* waiter:disarm(fd): it may have been told already. */
static int waiter_disarm(lua_State *L) {
    check_waiter(L);
    hd_poller_disarm(open_poller(L), (int)luaL_checkinteger(L, 2));
    return 0;
}

static const luaL_Reg methods[] = {{"arm", waiter_arm}, {"disarm", waiter_disarm}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"polled", polled}, {"waiter", waiter_new}, {NULL, NULL}};

void hdl_open_poller(lua_State *L) {
    hdl_new_class(L, HDL_WAITER, methods, waiter_free);
    luaL_setfuncs(L, functions, 0);
}
