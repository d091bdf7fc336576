/* Snapshots of many new rows. Their values stay on the stack, one row's behind the other's, until a block is full; then
 * Lua itself makes the block of all of them, which takes a fifth of what putting them there one by one does. While values
 * are on such a pile the block is not there: whoever wants to look at it settles the pile first.
 *
 * Should a row fail (memory, an interrupt), those that are on the pile would be managed, and nobody would see that they
 * change: they leave the shelf then. Nobody has got hold of them yet. */
#include "hydrate_rooms.h"

static const char PACK[] = "heddle.pack";

enum {
    LARGEST = 256, /* rows of a block */
    MOST = 6000    /* values; Lua 5.1 gives a function 8,000 */
};

/* Every column of the entity, in its order. */
static bool is_whole(const hdl_hydrator *h) {
    if (!h->flat || !h->full) return false;
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->columns[i] != i) return false;
    }
    return true;
}

void hdl_pile_enter(hdl_run *r, hdl_pile *pile) {
    int most = LARGEST * r->columns;
    bool fits = !r->has_loads && is_whole(r->h) && most <= MOST &&
                lua_checkstack(r->L, most + r->columns + HDL_ABOVE_PILE);
    *pile = (hdl_pile){.first = 0};
    r->pile = fits ? pile : NULL;
    hdl_push_registered(r->L, PACK);
    lua_replace(r->L, AT(PACKING));
}

bool hdl_pile_begin(hdl_run *r, uint32_t slot) {
    lua_State *L = r->L;
    hdl_pile *pile = r->pile;
    hdl_place place = hdl_locate(slot, r->columns);
    if (place.base != 0) return false;
    bool there = hdl_rawgeti(L, AT(BLOCKS), place.block) != LUA_TNIL;
    lua_pop(L, 1);
    if (there) return false;
    lua_pushvalue(L, AT(PACKING));
    *pile = (hdl_pile){.first = slot, .room = (uint32_t)place.rows, .block = place.block};
    return true;
}

/* Makes the block of less than all of its rows: it has room for the others. */
static void settle_few(lua_State *L, int room, int count) {
    int at = lua_gettop(L) - count;
    lua_createtable(L, room, 0);
    lua_replace(L, at);
    for (int i = count; i > 0; i--) lua_rawseti(L, at, i);
}

void hdl_pile_settle(hdl_run *r) {
    lua_State *L = r->L;
    hdl_pile *pile = r->pile;
    int count = (int)pile->rows * r->columns;
    if (count == 0) return;
    if (pile->rows == pile->room)
        lua_call(L, count, 1);
    else
        settle_few(L, (int)pile->room * r->columns, count);
    lua_rawseti(L, AT(BLOCKS), pile->block);
    pile->rows = 0;
}

/* ---- Failure ---- */

/* The run did not come to its end: the rows on the pile leave, as if they had not been read. Nothing in here is Lua code,
 * which a hook could break off again. */
static void leave(lua_State *L, const hdl_pile *pile) {
    const hdl_shelf *shelf = hdl_check_shelf(L, SHELF);
    int top = lua_gettop(L);
    hdl_push_part(L, STATE, HDL_PART_INSTANCES);
    hdl_push_part(L, STATE, HDL_PART_SLOT_OF);
    hdl_places *places = hdl_places_at(L, top + 2);
    for (uint32_t i = 0; i < pile->rows; i++) {
        uint32_t slot = pile->first + i;
        lua_pushnil(L);
        lua_rawseti(L, top + 1, (int)slot + 1);
        hdl_places_leave(places, slot);
        if (hd_shelf_remove(shelf->shelf, slot) != 0) luaL_error(L, "not enough memory");
    }
    lua_settop(L, top);
}

int hdl_run_undisturbed(lua_State *L, lua_CFunction many) {
    lua_settop(L, OTHERS);
    hdl_pile *pile = lua_newuserdata(L, sizeof *pile);
    *pile = (hdl_pile){.first = 0};
    for (int i = 1; i <= PILE; i++) lua_pushvalue(L, i);
    int count = hdl_undisturbed(L, many, PILE);
    if (count >= 0) return count;
    if (pile->rows > 0) leave(L, pile);
    return lua_error(L);
}

/* ---- Packing ---- */

void hdl_open_pile(lua_State *L) {
    static const char code[] = "return {...}";
    lua_pushlightuserdata(L, (void *)(uintptr_t)PACK);
    if (luaL_loadbuffer(L, code, sizeof code - 1, "=heddle.pack") != 0) lua_error(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
}
