/* Members of collections and their owners, for many rows at once: whose each of them is, and whether the members of one
 * owner are still where the database has them. */
#include "places.h"

/* How many keys from the one at `first` on are equal. */
static int run_of(lua_State *L, int keys, int first, int count) {
    int length = 1;
    lua_rawgeti(L, keys, first);
    for (; first + length <= count; length++) {
        lua_rawgeti(L, keys, first + length);
        bool same = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
        if (!same) break;
    }
    lua_pop(L, 1);
    return length;
}

/* Replaces the owner on top by the list of its members in the table at `lists`, made for `room` of them when it has none. */
static void push_list(lua_State *L, int lists, int room) {
    lua_pushvalue(L, -1);
    if (hdl_rawget(L, lists) == LUA_TTABLE) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_createtable(L, room, 0);
    lua_insert(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, lists);
}

/* core.by_owner(shelf, instances, rows, keys) -> { [owner] = { member, ... } }: `keys` has the key of each row's owner, of
 * one column; shelf and instances are the owners'. Rows whose owner is not managed are left out. */
static int by_owner(lua_State *L) {
    enum { SHELF = 1, INSTANCES, ROWS, KEYS, LISTS, LIST };
    hdl_shelf *shelf = hdl_check_shelf(L, SHELF);
    hd_value key[HDL_KEY_COLUMNS];
    int count = (int)lua_rawlen(L, ROWS), run;
    luaL_argcheck(L, shelf->entity->core.key_count == 1, SHELF, "the key has more columns");
    lua_settop(L, KEYS);
    lua_newtable(L);
    for (int first = 1; first <= count; first += run) {
        run = run_of(L, KEYS, first, count);
        lua_rawgeti(L, KEYS, first);
        hdl_check_key(L, shelf, LIST, key);
        uint32_t slot = hd_shelf_find(shelf->shelf, key);
        lua_settop(L, LISTS);
        if (slot == HD_NO_SLOT) continue;
        lua_rawgeti(L, INSTANCES, (int)slot + 1);
        push_list(L, LISTS, run);
        int length = (int)lua_rawlen(L, LIST);
        for (int i = 0; i < run; i++) {
            lua_rawgeti(L, ROWS, first + i);
            lua_rawseti(L, LIST, ++length);
        }
        lua_settop(L, LISTS);
    }
    return 1;
}

/* Is the value of a row's snapshot the one on top? */
static bool holds(lua_State *L, int blocks, uint32_t slot, int width, int column) {
    hdl_place place = hdl_locate(slot, width);
    bool same = hdl_rawgeti(L, blocks, place.block) == LUA_TTABLE;
    if (same) {
        lua_rawgeti(L, -1, place.base + column);
        same = lua_rawequal(L, -1, -3);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return same;
}

/* core.belonging(state, members, column, key) -> a copy of the members, or nil. `state` is the host's table of their shelf:
 * each of them is a row of it that the program has assigned nothing to, and has the key in the column. */
static int belonging(lua_State *L) {
    enum { STATE = 1, MEMBERS, COLUMN, KEY, SLOTS, OVERLAY, BLOCKS, ITEMS };
    luaL_checktype(L, STATE, LUA_TTABLE);
    int count = (int)lua_rawlen(L, MEMBERS), column = (int)luaL_checkinteger(L, COLUMN);
    lua_settop(L, KEY);
    hdl_getfield(L, STATE, "width");
    int width = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (lua_isnil(L, KEY)) return 0;
    hdl_push_part(L, STATE, HDL_PART_SLOT_OF);
    hdl_push_part(L, STATE, HDL_PART_OVERLAY);
    hdl_push_part(L, STATE, HDL_PART_BLOCKS);
    lua_createtable(L, count, 0);
    hdl_places *places = hdl_places_at(L, SLOTS);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, MEMBERS, i);
        uint32_t slot = hdl_slot_of(L, SLOTS, places, ITEMS + 1);
        if (slot == HD_NO_SLOT || hdl_rawgeti(L, OVERLAY, (int)slot + 1) != LUA_TNIL) return 0;
        lua_pop(L, 1);
        lua_pushvalue(L, KEY);
        if (!holds(L, BLOCKS, slot, width, column)) return 0;
        lua_pop(L, 1);
        lua_rawseti(L, ITEMS, i);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"by_owner", by_owner}, {"belonging", belonging}, {NULL, NULL}};

void hdl_open_owned(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
