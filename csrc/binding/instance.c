/* What the host asks for when instances begin: their tables, made from data, their entry into a shelf as new rows, and where
 * their snapshots stand. */
#include "binding.h"
#include "places.h"

#include <string.h>

/* ---- Making ---- */

#define MAKER_DEFAULTS 64 /* names that may have one: the first */

/* What instances of one entity are made of. Strings are never moved: while the list of names holds them, the same text
 * stands at the same place, unless it is a long one. */
typedef struct maker {
    int count, fields;
    uint64_t defaults; /* names that have one */
    struct {
        const char *text;
        bool is_key;
    } names[];
} maker;

enum { MAKER = 1, META, PLACES, NAMES, DEFAULTS }; /* upvalues */
enum { DATA = 1, MADE, KEY, VALUE };

/* Where the name at KEY stands among the maker's, -1 when it does not; `guess` is where it may. */
static int find_name(lua_State *L, const maker *m, int guess) {
    if (lua_type(L, KEY) == LUA_TSTRING) {
        const char *text = lua_tostring(L, KEY);
        for (int i = guess; i < m->count; i++)
            if (m->names[i].text == text) return i;
        for (int i = 0; i < guess; i++)
            if (m->names[i].text == text) return i;
    }
    lua_pushvalue(L, KEY);
    int found = hdl_rawget(L, lua_upvalueindex(PLACES)) == LUA_TNUMBER;
    int i = found ? (int)lua_tointeger(L, -1) - 1 : -1;
    lua_pop(L, 1);
    return i;
}

static bool is_null(lua_State *L, int index) {
    return lua_islightuserdata(L, index) && !lua_touserdata(L, index);
}

static void give_defaults(lua_State *L, uint64_t missing) {
    for (int i = 0; missing; i++, missing >>= 1) {
        if (!(missing & 1)) continue;
        lua_rawgeti(L, lua_upvalueindex(NAMES), i + 1);
        lua_rawgeti(L, lua_upvalueindex(DEFAULTS), i + 1);
        lua_rawset(L, MADE);
    }
}

/* make(data) -> a new instance with the raw values of a plain table and the defaults of those that it does not name. A
 * second result says what is not usual: "key" when a value of the key is among them, "more" when data holds something
 * else too (another name, null), which is left out; "data", and nil, when that is no plain table. */
static int make(lua_State *L) {
    const maker *m = lua_touserdata(L, lua_upvalueindex(MAKER));
    if (lua_type(L, DATA) != LUA_TTABLE || lua_getmetatable(L, DATA)) {
        lua_pushnil(L);
        lua_pushliteral(L, "data");
        return 2;
    }
    lua_settop(L, DATA);
    lua_createtable(L, 0, m->fields);
    uint64_t missing = m->defaults;
    bool is_keyed = false, has_more = false;
    int guess = 0;
    for (lua_pushnil(L); lua_next(L, DATA);) {
        int i = find_name(L, m, guess);
        if (i >= 0 && i < MAKER_DEFAULTS) missing &= ~((uint64_t)1 << i);
        if (i < 0 || is_null(L, VALUE)) {
            has_more = true;
        } else {
            if (m->names[i].is_key) is_keyed = true;
            lua_pushvalue(L, KEY);
            lua_pushvalue(L, VALUE);
            lua_rawset(L, MADE);
            guess = i + 1;
        }
        lua_settop(L, KEY);
    }
    if (missing) give_defaults(L, missing);
    lua_pushvalue(L, lua_upvalueindex(META));
    lua_setmetatable(L, MADE);
    if (!is_keyed && !has_more) return 1;
    lua_pushstring(L, has_more ? "more" : "key");
    return 2;
}

static void read_names(lua_State *L, maker *m) {
    for (int i = 0; i < m->count; i++) {
        lua_rawgeti(L, 2, i + 1);
        m->names[i].text = luaL_checkstring(L, -1);
        m->names[i].is_key = hdl_rawget(L, 3) == LUA_TBOOLEAN;
        lua_pop(L, 1);
        if (hdl_rawgeti(L, 4, i + 1) != LUA_TNIL && i < MAKER_DEFAULTS)
            m->defaults |= (uint64_t)1 << i;
        lua_pop(L, 1);
    }
}

/* core.maker(meta, names, keys, defaults, fields) -> make. Names in a list, those of the key as a set, defaults by the
 * places of their names (no further than 64), and how many fields an instance has room for. */
static int new_maker(lua_State *L) {
    for (int i = 1; i <= 4; i++) luaL_checktype(L, i, LUA_TTABLE);
    lua_settop(L, 5);
    size_t count = lua_rawlen(L, 2);
    maker *m = lua_newuserdata(L, sizeof *m + count * sizeof m->names[0]);
    memset(m, 0, sizeof *m);
    m->count = (int)count;
    m->fields = (int)luaL_checkinteger(L, 5);
    read_names(L, m);
    lua_pushvalue(L, 1);
    lua_createtable(L, 0, m->count);
    for (int i = 1; i <= m->count; i++) {
        lua_rawgeti(L, 2, i);
        lua_pushinteger(L, i);
        lua_rawset(L, -3);
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 4);
    lua_pushcclosure(L, make, DEFAULTS);
    return 1;
}

/* ---- Adopting ---- */

/* What adopting an instance takes, by the metatable that it has until then: a list of the shelf's table and its core's
 * shelf, `instances`, `slot_of`, the metatable of managed instances, `adopted` or false, the property of the key's first
 * column or false, and whether that is the whole key. */
enum { STATE = 1, CORE, INSTANCES, SLOT_OF, LOADED, ADOPTED, KEY_NAME, IS_WHOLE };
enum { ADOPTERS = 1, SERIAL, FIRST }; /* places */

/* Whether an instance can be adopted without a look at what else there is: *keyed says whether it has the key. Its key,
 * when it has one, is that of no other row. */
static bool can_adopt(lua_State *L, int index, int adopter, hdl_shelf *shelf, hd_value *key,
                      bool *keyed) {
    *keyed = false;
    if (hdl_rawgeti(L, adopter, KEY_NAME) != LUA_TSTRING) return true;
    int type = hdl_rawget(L, index);
    if (type == LUA_TNIL) return true;
    if (type == LUA_TTABLE || type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA) return false;
    lua_rawgeti(L, adopter, IS_WHOLE);
    if (!lua_toboolean(L, -1)) return false;
    hdl_check_key(L, shelf, lua_gettop(L) - 1, key);
    *keyed = true;
    return hd_shelf_find(shelf->shelf, key) == HD_NO_SLOT;
}

static void enter_shelf(lua_State *L, int index, int adopter, uint32_t slot) {
    int n = (int)slot + 1;
    lua_rawgeti(L, adopter, INSTANCES);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, n);
    lua_rawgeti(L, adopter, SLOT_OF);
    if (hdl_places_put(hdl_places_of(L, lua_gettop(L)), slot, lua_topointer(L, index)) != 0)
        luaL_error(L, "not enough memory");
    lua_rawgeti(L, adopter, STATE);
    lua_getfield(L, -1, "new");
    lua_pushboolean(L, 1);
    lua_rawseti(L, -2, n);
    if (hdl_rawgeti(L, adopter, ADOPTED) == LUA_TTABLE) {
        lua_pushvalue(L, SERIAL);
        lua_rawseti(L, -2, n);
    }
    lua_rawgeti(L, adopter, LOADED);
    lua_setmetatable(L, index);
}

/* The instance at index becomes a new row; nothing happens when that takes more than is known here. The adopter stays
 * on the stack, with other things on top. */
static hdl_shelf *adopt_one(lua_State *L, int index, uint32_t *slot) {
    hd_value key[HDL_KEY_COLUMNS];
    bool keyed;
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return NULL;
    if (hdl_rawget(L, ADOPTERS) != LUA_TTABLE) return NULL;
    int adopter = lua_gettop(L);
    lua_rawgeti(L, adopter, CORE);
    hdl_shelf *shelf = lua_touserdata(L, -1);
    if (!shelf || !shelf->shelf || !can_adopt(L, index, adopter, shelf, key, &keyed)) return NULL;
    *slot = hd_shelf_add(shelf->shelf, HD_ROW_NEW);
    if (*slot == HD_NO_SLOT || (keyed && hd_shelf_set_key(shelf->shelf, *slot, key) != 0))
        luaL_error(L, "not enough memory");
    enter_shelf(L, index, adopter, *slot);
    lua_settop(L, adopter);
    return shelf;
}

/* core.adopt(adopters, serial, e, ...) -> true: all of them are new rows now. Where a mark is open it stops at the first:
 * the table of its shelf and its slot, which has to be noted. false: somebody else has to look at them; those that came
 * before the one that is not usual are new rows already. */
static int adopt(lua_State *L) {
    int last = lua_gettop(L);
    uint32_t slot = 0;
    luaL_checktype(L, ADOPTERS, LUA_TTABLE);
    luaL_checkstack(L, 16, "adopt");
    for (int i = FIRST; i <= last; i++) {
        hdl_shelf *shelf = adopt_one(L, i, &slot);
        if (!shelf) return 0;
        if (hd_shelf_has_marks(shelf->shelf)) {
            lua_rawgeti(L, -1, STATE);
            lua_pushinteger(L, (lua_Integer)slot + 1);
            return 2;
        }
        lua_settop(L, last);
    }
    lua_pushboolean(L, last >= FIRST);
    return 1;
}

/* ---- Places ---- */

/* core.locate(slot, columns) -> block, base, rows: where a row's snapshot stands. */
static int locate(lua_State *L) {
    hdl_place place =
        hdl_locate((uint32_t)luaL_checkinteger(L, 1) - 1, (int)luaL_checkinteger(L, 2));
    lua_pushinteger(L, place.block);
    lua_pushinteger(L, place.base);
    lua_pushinteger(L, place.rows);
    return 3;
}

static const luaL_Reg functions[] = {
    {"maker", new_maker}, {"adopt", adopt}, {"locate", locate}, {NULL, NULL}};

void hdl_open_instance(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
