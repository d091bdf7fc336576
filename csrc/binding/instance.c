/* What the host asks for when instances begin: their tables, made from data, their entry into a shelf as new rows, and where
 * their snapshots stand. */
#include "binding.h"
#include "places.h"

#include <string.h>

/* ---- Making ---- */

#define MAKER_DEFAULTS 64 /* names that may have one: the first */
#define USUAL_COUNT    5  /* of names: what the stack of a function has room for anyway */

/* What instances of one entity are made of. Strings are never moved: while the list of names holds them, the same text
 * stands at the same place, unless it is a long one. */
typedef struct maker {
    int count, fields;
    int first;         /* in data, the last time */
    uint64_t defaults; /* names that have one */
    struct {
        const void *text;
        int next; /* of those in data, the last time */
        bool is_key;
    } names[];
} maker;

enum { MAKER = 1, META, PLACES, NAMES, DEFAULTS }; /* upvalues */
enum { DATA = 1, MADE, FIRST_KEY };

/* Where the text of the string at `index` stands, or the string itself; NULL for what is no string. */
static inline const void *text_of(lua_State *L, int index) {
#if LUA_VERSION_NUM >= 504
    return lua_topointer(L, index);
#else
    return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
#endif
}

/* The place of the name at `index`, -1 when it has none. */
static int find_name(lua_State *L, const maker *m, int index, const void *text) {
    for (int i = 0; i < m->count; i++)
        if (m->names[i].text == text) return i;
    lua_pushvalue(L, index);
    int found = hdl_rawget(L, lua_upvalueindex(PLACES)) == LUA_TNUMBER;
    int i = found ? (int)lua_tointeger(L, -1) - 1 : -1;
    lua_pop(L, 1);
    return i;
}

/* The same; *guess is where it was the last time, and will be. */
static inline int guess_name(lua_State *L, const maker *m, int index, int *guess) {
    const void *text = text_of(L, index);
    if (m->count > 0 && m->names[*guess].text == text) return *guess;
    int found = find_name(L, m, index, text);
    if (found >= 0) *guess = found;
    return found;
}

static bool is_null(lua_State *L, int index) {
    return lua_type(L, index) == LUA_TLIGHTUSERDATA && !lua_touserdata(L, index);
}

static void give_defaults(lua_State *L, uint64_t missing) {
    for (int i = 0; missing; i++, missing >>= 1) {
        if (!(missing & 1)) continue;
        lua_rawgeti(L, lua_upvalueindex(NAMES), i + 1);
        lua_rawgeti(L, lua_upvalueindex(DEFAULTS), i + 1);
        lua_rawset(L, MADE);
    }
}

/* What of data is not usual. */
typedef struct reading {
    uint64_t missing; /* names with a default that data does not give */
    bool is_keyed, has_more;
} reading;

/* Leaves keys and values of data on the stack, one behind the other. Gives the number of values. Tables that the same code
 * has made have their keys in the same order. */
static int read_data(lua_State *L, maker *m, reading *r) {
    int key = FIRST_KEY, *guess = &m->first;
    for (lua_pushnil(L); lua_next(L, DATA);) {
        int i = guess_name(L, m, key, guess);
        if (i >= 0) guess = &m->names[i].next;
        if (i >= 0 && i < MAKER_DEFAULTS) r->missing &= ~((uint64_t)1 << i);
        if (i < 0 || is_null(L, key + 1)) {
            r->has_more = true;
            lua_settop(L, key);
            continue;
        }
        if (m->names[i].is_key) r->is_keyed = true;
        lua_pushvalue(L, key);
        key += 2;
    }
    return (key - FIRST_KEY) / 2;
}

/* make(data) -> a new instance with the raw values of a plain table and the defaults of those that it does not name. A
 * second result says what is not usual: "key" when a value of the key is among them, "more" when data holds something
 * else too (another name, null), which is left out; "data", and nil, when that is no plain table. */
static int make(lua_State *L) {
    maker *m = lua_touserdata(L, lua_upvalueindex(MAKER));
    if (lua_type(L, DATA) != LUA_TTABLE || lua_getmetatable(L, DATA)) {
        lua_pushnil(L);
        lua_pushliteral(L, "data");
        return 2;
    }
    if (m->count > USUAL_COUNT) luaL_checkstack(L, 2 * m->count + 10, "create");
    lua_settop(L, DATA);
    lua_createtable(L, 0, m->fields);
    reading r = {m->defaults, false, false};
    for (int count = read_data(L, m, &r); count > 0; count--) lua_rawset(L, MADE);
    if (r.missing) give_defaults(L, r.missing);
    lua_pushvalue(L, lua_upvalueindex(META));
    lua_setmetatable(L, MADE);
    if (!r.is_keyed && !r.has_more) return 1;
    lua_pushstring(L, r.has_more ? "more" : "key");
    return 2;
}

static void read_names(lua_State *L, maker *m) {
    for (int i = 0; i < m->count; i++) {
        lua_rawgeti(L, 2, i + 1);
        luaL_checktype(L, -1, LUA_TSTRING);
        m->names[i].text = text_of(L, -1);
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
    size_t size = sizeof(maker) + count * sizeof(((maker *)0)->names[0]);
    maker *m = memset(lua_newuserdata(L, size), 0, size);
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

/* What adopting an instance takes, by the metatable that it has until then: a list of what is known of its shelf, the
 * shelf's table and its sets `new` and `instances`, the metatable of managed instances, `adopted` or false, the property of
 * the key's first column or false, and what has to stay. */
enum { KNOWN = 1, STATE, NEW, INSTANCES, LOADED, ADOPTED, KEY_NAME, CORE, SLOT_OF };
enum { ADOPTERS = 1, SERIAL, FIRST }; /* places */

typedef struct known {
    hdl_shelf *shelf;
    hdl_places *places;
    bool has_key, is_whole; /* KEY_NAME is there, and the whole key */
    bool is_noted;          /* ADOPTED is there */
} known;

/* core.adopter(state, new, instances, loaded, adopted, key, shelf, slot_of, whole) -> what core.adopt takes. */
static int new_adopter(lua_State *L) {
    enum { LIST = SLOT_OF + 1 };
    known k = {.shelf = hdl_check_shelf(L, CORE - 1), .is_whole = lua_toboolean(L, SLOT_OF)};
    k.places = hdl_places_of(L, SLOT_OF - 1);
    k.has_key = lua_toboolean(L, KEY_NAME - 1);
    k.is_noted = lua_toboolean(L, ADOPTED - 1);
    lua_settop(L, SLOT_OF - 1);
    lua_createtable(L, SLOT_OF, 0);
    lua_insert(L, 1);
    for (int i = SLOT_OF; i > KNOWN; i--) lua_rawseti(L, 1, i);
    *(known *)lua_newuserdata(L, sizeof k) = k;
    lua_rawseti(L, 1, KNOWN);
    return 1;
}

/* Whether an instance can be adopted without a look at what else there is: *keyed says whether it has the key. Its key,
 * when it has one, is that of no other row. */
static bool can_adopt(lua_State *L, int index, int adopter, const known *k, hd_value *key,
                      bool *keyed) {
    *keyed = false;
    if (!k->shelf->shelf) return false;
    if (!k->has_key) return true;
    lua_rawgeti(L, adopter, KEY_NAME);
    int type = hdl_rawget(L, index);
    if (type == LUA_TNIL) return true;
    if (type == LUA_TTABLE || type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA) return false;
    if (!k->is_whole) return false;
    hdl_check_key(L, k->shelf, lua_gettop(L), key);
    *keyed = true;
    return hd_shelf_find(k->shelf->shelf, key) == HD_NO_SLOT;
}

static void enter_shelf(lua_State *L, int index, int adopter, const known *k, uint32_t slot) {
    int n = (int)slot + 1;
    lua_rawgeti(L, adopter, INSTANCES);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, n);
    if (hdl_places_put(k->places, slot, lua_topointer(L, index)) != 0)
        luaL_error(L, "not enough memory");
    lua_rawgeti(L, adopter, NEW);
    lua_pushboolean(L, 1);
    lua_rawseti(L, -2, n);
    if (k->is_noted) {
        lua_rawgeti(L, adopter, ADOPTED);
        lua_pushvalue(L, SERIAL);
        lua_rawseti(L, -2, n);
    }
    lua_rawgeti(L, adopter, LOADED);
    lua_setmetatable(L, index);
}

/* The instance at index becomes a new row; NULL, and nothing happens, when that takes more than is known here. Its adopter
 * is left on the stack, with other things on top. */
static const known *adopt_one(lua_State *L, int index, uint32_t *slot) {
    hd_value key[HDL_KEY_COLUMNS];
    bool keyed;
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return NULL;
    if (hdl_rawget(L, ADOPTERS) != LUA_TTABLE) return NULL;
    int adopter = lua_gettop(L);
    lua_rawgeti(L, adopter, KNOWN);
    const known *k = lua_touserdata(L, -1);
    if (!can_adopt(L, index, adopter, k, key, &keyed)) return NULL;
    *slot = hd_shelf_add(k->shelf->shelf, HD_ROW_NEW);
    if (*slot == HD_NO_SLOT || (keyed && hd_shelf_set_key(k->shelf->shelf, *slot, key) != 0))
        luaL_error(L, "not enough memory");
    enter_shelf(L, index, adopter, k, *slot);
    return k;
}

/* core.adopt(adopters, serial, e, ...) -> true: all of them are new rows now. Where a mark is open it stops at the first:
 * the table of its shelf and its slot, which has to be noted. false: somebody else has to look at them; those that came
 * before the one that is not usual are new rows already. */
static int adopt(lua_State *L) {
    int last = lua_gettop(L);
    uint32_t slot = 0;
    luaL_checktype(L, ADOPTERS, LUA_TTABLE);
    for (int i = FIRST; i <= last; i++) {
        const known *k = adopt_one(L, i, &slot);
        if (!k) return 0;
        if (hd_shelf_has_marks(k->shelf->shelf)) {
            lua_rawgeti(L, last + 1, STATE);
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

static const luaL_Reg functions[] = {{"maker", new_maker},
                                     {"adopter", new_adopter},
                                     {"adopt", adopt},
                                     {"locate", locate},
                                     {NULL, NULL}};

void hdl_open_instance(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
