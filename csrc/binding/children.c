/* Children: the rows of a one_to_many, hydrated for many owners at once. Each joins the list of its owner as it comes, so
 * that neither the rows nor the owners' keys are ever listed by themselves.
 *
 * Owners are known by a key of one number. Their children mostly come one behind the other: they wait until another
 * owner's turns up, when the size of the list is known. An owner among whose children is one that was managed
 * before is known: whether that one is still the owner's is for the host to say. */
#include <stdlib.h>

#include "hydrate_rooms.h"

#define OWNERS "heddle.owners"

enum {
    HELD = 200,
    FEW_HELD = 4
}; /* children of one owner that wait, at most; that are not worth a call */

typedef struct owner {
    int64_t key, last; /* its own, and that of its last child */
    uint32_t slot;
    int count;
    bool known;  /* the host has to look at its children */
    bool sorted; /* by key, as they came */
} owner;

typedef struct owners {
    uint32_t count;
    int column; /* of the row, that has the owner's key; from 0 */
    bool sorts; /* children are in the order of their keys, whatever order they come in */
    int held;   /* how many of the current one's wait for their number to be known */
    uint32_t slots[HELD];
    owner *current;  /* NULL: of nobody who is asked for */
    uint32_t next;   /* behind the place of the last that was found */
    owner *by_key[]; /* and, behind these, the owners as they were given */
} owners;

static owner *all_of(owners *o) {
    return (owner *)(void *)&o->by_key[o->count];
}

/* ---- Whose they are ---- */

static int compare_owners(const void *a, const void *b) {
    int64_t x = (*(owner *const *)a)->key, y = (*(owner *const *)b)->key;
    return (x > y) - (x < y);
}

/* False: one of them is there twice. */
static bool sort_owners(owners *o) {
    owner *all = all_of(o);
    bool sorted = true;
    for (uint32_t i = 0; i < o->count; i++) {
        o->by_key[i] = &all[i];
        sorted = sorted && (i == 0 || all[i].key > all[i - 1].key);
    }
    if (sorted) return true;
    qsort(o->by_key, o->count, sizeof *o->by_key, compare_owners);
    for (uint32_t i = 1; i < o->count; i++) {
        if (o->by_key[i]->key == o->by_key[i - 1]->key) return false;
    }
    return true;
}

static owner *find_owner(owners *o, int64_t key) {
    uint32_t low = 0, high = o->count;
    if (o->next < o->count && o->by_key[o->next]->key == key) return o->by_key[o->next++];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (o->by_key[middle]->key < key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == o->count || o->by_key[low]->key != key) return NULL;
    o->next = low + 1;
    return o->by_key[low];
}

/* Does the table at `index` have nothing for the slot? */
static bool has_none(lua_State *L, int index, uint32_t slot) {
    bool none = hdl_rawgeti(L, index, (int)slot + 1) == LUA_TNIL;
    lua_pop(L, 1);
    return none;
}

/* core.owners(state, list, filled, column, sorts) -> owners, lists; nothing when one of the list is no row with a key of
 * one number of which nobody knows the members. `filled` has what was read of the relation before, or is nil. `lists` is
 * for their children, by slot. */
static int new_owners(lua_State *L) {
    enum { HOST = 1, LIST, FILLED, COLUMN, SORTS, CORE, SLOTS, ADOPTED, COLLECTIONS, MADE };
    hd_value key[HDL_KEY_COLUMNS];
    luaL_checktype(L, LIST, LUA_TTABLE);
    uint32_t count = (uint32_t)lua_rawlen(L, LIST), highest = 0;
    lua_settop(L, SORTS);
    hdl_push_part(L, HOST, HDL_PART_SHELF);
    const hdl_shelf *shelf = hdl_check_shelf(L, CORE);
    hdl_push_part(L, HOST, HDL_PART_SLOT_OF);
    hdl_getfield(L, HOST, "adopted");
    hdl_getfield(L, HOST, "collections");
    owners *o = lua_newuserdata(L, sizeof *o + count * (sizeof(owner *) + sizeof(owner)));
    luaL_getmetatable(L, OWNERS);
    lua_setmetatable(L, MADE);
    *o = (owners){.count = count,
                  .column = (int)luaL_checkinteger(L, COLUMN) - 1,
                  .sorts = lua_toboolean(L, SORTS)};
    hdl_places *places = hdl_places_at(L, SLOTS);
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, LIST, (int)i + 1);
        uint32_t slot = hdl_slot_of(L, SLOTS, places, MADE + 1);
        if (slot == HD_NO_SLOT) return 0;
        hd_row_state state = hd_shelf_state(shelf->shelf, slot);
        bool is_row =
            state == HD_ROW_MANAGED || state == HD_ROW_PARTIAL || state == HD_ROW_REFERENCE;
        if (!is_row || !hd_shelf_key(shelf->shelf, slot, key) || key[0].kind != HD_INT ||
            !has_none(L, ADOPTED, slot) || !has_none(L, COLLECTIONS, slot) ||
            (!lua_isnil(L, FILLED) && !has_none(L, FILLED, slot)))
            return 0;
        all_of(o)[i] = (owner){.key = key[0].as.i, .slot = slot, .sorted = true};
        if (slot >= highest) highest = slot + 1;
        lua_pop(L, 1);
    }
    if (!sort_owners(o)) return 0;
    lua_createtable(L, highest / 2 < count ? (int)highest : 0, 0);
    return 2;
}

/* owners:range() -> the lowest and the highest key, where they are all that lie between; else nothing */
static int range(lua_State *L) {
    owners *o = luaL_checkudata(L, 1, OWNERS);
    if (o->count == 0) return 0;
    int64_t low = o->by_key[0]->key, high = o->by_key[o->count - 1]->key;
    if ((uint64_t)high - (uint64_t)low != o->count - 1) return 0;
    hd_value value = {.kind = HD_INT, .as.i = low};
    hdl_push_value(L, &value, NULL);
    value.as.i = high;
    hdl_push_value(L, &value, NULL);
    return 2;
}

/* owners:keys() -> array */
static int keys(lua_State *L) {
    owners *o = luaL_checkudata(L, 1, OWNERS);
    lua_createtable(L, (int)o->count, 0);
    for (uint32_t i = 0; i < o->count; i++) {
        hd_value value = {.kind = HD_INT, .as.i = o->by_key[i]->key};
        hdl_push_value(L, &value, NULL);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* ---- Rows ---- */

/* Pushes the list of those that are held. */
static void push_held(hdl_run *r, const owners *o) {
    lua_State *L = r->L;
    bool packs = r->pile && o->held >= FEW_HELD;
    if (packs)
        lua_pushvalue(L, AT(PACKING));
    else
        lua_createtable(L, o->held, 0);
    for (int i = 0; i < o->held; i++) {
        lua_rawgeti(L, AT(INSTANCES), (int)o->slots[i] + 1);
        if (!packs) lua_rawseti(L, -2, i + 1);
    }
    if (packs) lua_call(L, o->held, 1);
}

/* Those that are held join their owner's list. */
static void give(hdl_run *r, owners *o) {
    lua_State *L = r->L;
    owner *to = o->current;
    if (o->held == 0) return;
    if (to->count == 0) {
        push_held(r, o);
        lua_rawseti(L, AT(RESULTS), (int)to->slot + 1);
    } else {
        lua_rawgeti(L, AT(RESULTS), (int)to->slot + 1);
        for (int i = 0; i < o->held; i++) {
            lua_rawgeti(L, AT(INSTANCES), (int)o->slots[i] + 1);
            lua_rawseti(L, -2, to->count + i + 1);
        }
        lua_pop(L, 1);
    }
    to->count += o->held;
    o->held = 0;
}

static void add_child(hdl_run *r, owners *o, const hd_value *values) {
    const hd_value *whose = &values[o->column];
    if (!o->current || o->current->key != whose->as.i || o->held == HELD) {
        give(r, o);
        o->current = whose->kind == HD_INT ? find_owner(o, whose->as.i) : NULL;
        if (!o->current) return;
    }
    owner *to = o->current;
    int64_t key = values[r->h->key[0]].as.i;
    bool is_first = to->count == 0 && o->held == 0;
    o->slots[o->held++] = hdl_run_row(r, values);
    lua_pop(r->L, 1);
    if (!r->fresh) to->known = true;
    if (!is_first && key < to->last) to->sorted = false;
    to->last = key;
}

static hd_step add_children(hdl_run *r, owners *o, int limit, hd_wait *wait) {
    hd_step step = HD_ROW;
    while (step == HD_ROW && limit-- != 0) {
        add_child(r, o, r->link->row.values);
        step = hdl_next(r->link, wait);
    }
    give(r, o);
    return step;
}

/* The owners stand where other runs list what is behind their rows' columns. */
static int hydrate_some(lua_State *L, hdl_pile *pile, hd_step *step) {
    hdl_run r;
    hd_wait wait = {-1, 0, HD_NEVER};
    lua_settop(L, OTHERS);
    owners *o = luaL_checkudata(L, OTHERS, OWNERS);
    int late_count = (int)lua_rawlen(L, LATE);
    hdl_run_enter(L, &r, 0, &late_count);
    luaL_checkstack(L, HELD + 1, "children");
    luaL_argcheck(L, r.h->other_count == 0 && !r.has_kinds && o->column < (int)r.h->count, HYDRATOR,
                  "not for children");
    if (pile) hdl_run_many(&r, pile);
    o->held = 0;
    *step = add_children(&r, o, pile ? -1 : HDL_FEW, &wait);
    hdl_run_leave(&r);
    return hdl_push_step(L, *step, &wait);
}

static int hydrate_many(lua_State *L) {
    hd_step step;
    return hydrate_some(L, lua_touserdata(L, PILE), &step);
}

/* core.children(shelf, link, hydrator, state, lists, late, owners) -> step...: as core.hydrate. A row of nobody's who is
 * asked for is passed over. */
static int children(lua_State *L) {
    hd_step step;
    int count = hydrate_some(L, NULL, &step);
    return step == HD_ROW ? hdl_run_undisturbed(L, hydrate_many) : count;
}

/* ---- When all are there ---- */

typedef struct child {
    int64_t key;
    int place;
} child;

static int compare_children(const void *a, const void *b) {
    int64_t x = ((const child *)a)->key, y = ((const child *)b)->key;
    return (x > y) - (x < y);
}

/* Replaces the list on top by one in the order of the keys. */
static void sort_list(lua_State *L, const hdl_shelf *shelf, int slots) {
    int list = lua_gettop(L), count = (int)lua_rawlen(L, list);
    child *order = lua_newuserdata(L, (size_t)count * sizeof *order);
    hdl_places *places = hdl_places_at(L, slots);
    for (int i = 0; i < count; i++) {
        hd_value key[HDL_KEY_COLUMNS];
        lua_rawgeti(L, list, i + 1);
        uint32_t slot = hdl_slot_of(L, slots, places, lua_gettop(L));
        lua_pop(L, 1);
        if (slot == HD_NO_SLOT || !hd_shelf_key(shelf->shelf, slot, key)) luaL_error(L, "no row");
        order[i] = (child){key[0].as.i, i + 1};
    }
    qsort(order, (size_t)count, sizeof *order, compare_children);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, list, order[i].place);
        lua_rawseti(L, -2, i + 1);
    }
    lua_replace(L, list);
    lua_settop(L, list);
}

/* Appends the list on top to the one at `all`, which has `count`; gives its new length. */
static int append(lua_State *L, int all, int count) {
    int length = (int)lua_rawlen(L, -1);
    for (int i = 1; i <= length; i++) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, all, ++count);
    }
    return count;
}

/* core.settle_children(owners, lists, state, all) -> slots of the owners who are known, or nil. Lists come into their
 * order; who has no child gets false instead; `all`, when there is one, gets the children of one owner after the other. */
static int settle(lua_State *L) {
    enum { OWNER = 1, LISTS, CHILDREN, ALL, CHILD_SHELF, SLOTS, KNOWN };
    owners *o = luaL_checkudata(L, OWNER, OWNERS);
    int known = 0, count = 0;
    lua_settop(L, ALL);
    hdl_push_part(L, CHILDREN, HDL_PART_SHELF);
    const hdl_shelf *shelf = hdl_check_shelf(L, CHILD_SHELF);
    hdl_push_part(L, CHILDREN, HDL_PART_SLOT_OF);
    lua_pushnil(L);
    for (uint32_t i = 0; i < o->count; i++) {
        const owner *each = &all_of(o)[i];
        if (each->count == 0)
            lua_pushboolean(L, 0);
        else
            lua_rawgeti(L, LISTS, (int)each->slot + 1);
        bool sort = o->sorts && !each->sorted;
        if (sort) sort_list(L, shelf, SLOTS);
        if (each->count > 0 && lua_istable(L, ALL)) count = append(L, ALL, count);
        if (each->count == 0 || sort)
            lua_rawseti(L, LISTS, (int)each->slot + 1);
        else
            lua_pop(L, 1);
        if (!each->known) continue;
        if (known == 0) {
            lua_newtable(L);
            lua_replace(L, KNOWN);
        }
        lua_pushinteger(L, (lua_Integer)each->slot + 1);
        lua_rawseti(L, KNOWN, ++known);
    }
    return 1;
}

static const luaL_Reg methods[] = {{"range", range}, {"keys", keys}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"owners", new_owners}, {"children", children}, {"settle_children", settle}, {NULL, NULL}};

void hdl_open_children(lua_State *L) {
    luaL_newmetatable(L, OWNERS);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
