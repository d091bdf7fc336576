/* Places: see places.h. An instance is known by its address, which is its own as long as it has a slot: the shelf holds
 * it, and says when it lets go. When the shelf is gone, nobody asks but instances that were in it.
 *
 * A table of Lua's with an entry for each instance would cost three times the memory, the collector a look at each of
 * them in every cycle, and most of them nobody ever asks for. So addresses are merely noted, and join a table when the
 * first of them is looked for. */
#include "places.h"

#define PLACES "heddle.places"

struct hdl_places {
    const void **at; /* by slot; NULL: not from here */
    size_t count, capacity;
    uint32_t *table; /* slots plus 1 by the hash of the address, a power of two of them; 0: free */
    uint32_t shift;  /* of a hash, to get a place in the table */
    uint32_t mask;
    size_t used;    /* entries of the table, with those that are let go of */
    size_t entered; /* slots from here on are not in the table */
};

static uint32_t first_place(const hdl_places *p, const void *instance) {
    return (uint32_t)((uint64_t)(uintptr_t)instance * 0x9e3779b97f4a7c15u >> 32) >> p->shift;
}

static void enter(hdl_places *p, uint32_t slot) {
    uint32_t i = first_place(p, p->at[slot]);
    while (p->table[i]) i = (i + 1) & p->mask;
    p->table[i] = slot + 1;
    p->used++;
}

/* Empty, with twice as many places as there are slots, or more. */
static bool make_table(hdl_places *p) {
    uint32_t size = 64;
    while (size / 2 < p->count && size < UINT32_MAX / 4) size *= 2;
    uint32_t *table = hd_alloc_zero(&hd_allocator_libc, size * sizeof *table);
    if (!table) return false;
    hd_free(&hd_allocator_libc, p->table);
    p->table = table;
    p->mask = size - 1;
    p->shift = 32 - (uint32_t)__builtin_ctz(size);
    p->used = p->entered = 0;
    return true;
}

static bool has_room(const hdl_places *p, size_t more) {
    return p->table && p->used + more <= p->mask / 4 * 3;
}

static bool enter_all(hdl_places *p) {
    if (!has_room(p, p->count - p->entered) && !make_table(p)) return false;
    for (; p->entered < p->count; p->entered++) {
        if (p->at[p->entered]) enter(p, (uint32_t)p->entered);
    }
    return true;
}

int hdl_places_put(hdl_places *p, uint32_t slot, const void *instance) {
    if (slot >= p->capacity && hd_grow(&hd_allocator_libc, (void **)&p->at, &p->capacity,
                                       (size_t)slot + 1, sizeof *p->at) != 0)
        return -1;
    while (p->count <= slot) p->at[p->count++] = NULL;
    p->at[slot] = instance;
    if (slot >= p->entered) return 0;
    if (!has_room(p, 1)) return make_table(p) ? 0 : -1;
    enter(p, slot);
    return 0;
}

void hdl_places_leave(hdl_places *p, uint32_t slot) {
    if (p && slot < p->count) p->at[slot] = NULL;
}

hdl_places *hdl_places_at(lua_State *L, int index) {
    lua_pushliteral(L, "places");
    lua_rawget(L, index);
    hdl_places *p = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return p;
}

hdl_places *hdl_places_of(lua_State *L, int index) {
    hdl_places *p = hdl_places_at(L, index);
    if (p) return p;
    lua_pushliteral(L, "places");
    p = lua_newuserdata(L, sizeof *p);
    *p = (hdl_places){0};
    luaL_getmetatable(L, PLACES);
    lua_setmetatable(L, -2);
    lua_rawset(L, index);
    return p;
}

static uint32_t find(lua_State *L, hdl_places *p, const void *instance) {
    if (!p || !instance) return HD_NO_SLOT;
    if (!enter_all(p)) luaL_error(L, "not enough memory");
    for (uint32_t i = first_place(p, instance); p->table[i]; i = (i + 1) & p->mask) {
        uint32_t slot = p->table[i] - 1;
        if (p->at[slot] == instance) return slot;
    }
    return HD_NO_SLOT;
}

uint32_t hdl_slot_of(lua_State *L, int index, hdl_places *places, int instance) {
    uint32_t found = find(L, places, lua_topointer(L, instance));
    if (found != HD_NO_SLOT) return found;
    lua_pushvalue(L, instance);
    lua_rawget(L, index);
    lua_Integer slot = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return slot > 0 ? (uint32_t)slot - 1 : HD_NO_SLOT;
}

/* core.slot_of(slots, e): the slot of an instance that the host's table does not hold, which holds it from now on; nil:
 * it has none. The table's __index. */
static int slot_of(lua_State *L) {
    uint32_t slot = find(L, hdl_places_at(L, 1), lua_topointer(L, 2));
    if (slot == HD_NO_SLOT) return 0;
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)slot + 1);
    lua_pushvalue(L, -1);
    lua_insert(L, 2);
    lua_rawset(L, 1);
    return 1;
}

/* core.leave_slot(slots, e, slot): the instance has no slot any more. */
static int leave_slot(lua_State *L) {
    hdl_places *p = hdl_places_at(L, 1);
    lua_Integer slot = luaL_checkinteger(L, 3) - 1;
    lua_settop(L, 2);
    lua_pushnil(L);
    lua_rawset(L, 1);
    if (slot >= 0) hdl_places_leave(p, (uint32_t)slot);
    return 0;
}

static int free_places(lua_State *L) {
    hdl_places *p = luaL_checkudata(L, 1, PLACES);
    hd_free(&hd_allocator_libc, p->at);
    hd_free(&hd_allocator_libc, p->table);
    *p = (hdl_places){0};
    return 0;
}

static const luaL_Reg methods[] = {{NULL, NULL}};
static const luaL_Reg functions[] = {
    {"slot_of", slot_of}, {"leave_slot", leave_slot}, {NULL, NULL}};

void hdl_open_places(lua_State *L) {
    hdl_new_class(L, PLACES, methods, free_places);
    luaL_setfuncs(L, functions, 0);
}
