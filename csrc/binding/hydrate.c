/* Hydration: rows of a running operation become instances.
 *
 * A row whose key is new gets a slot, one presized table with its raw values, and the same values in its snapshot
 * block. A row that is managed already is merged by I3 in here when that is simple (every column is there, the row
 * is fully loaded and has no overlay); otherwise it goes to the list of late rows, which the host merges after this
 * returned. Nothing in here calls the host.
 *
 * A row may tell more than its instance holds: which owner of a collection it was found for. These values, behind the
 * columns of the entity, go to a list of their own.
 *
 * A result of many rows is built with the collector stopped: what it makes is all alive. It is stopped inside one
 * call only, never across a wait, and put back whatever happens. */
#include "hydrate.h"

#include <string.h>

#include "base/json.h"

/* ---- One run ---- */

/* Places on the stack, above the run's base. */
enum {
    SHELF = 1,
    LINK,
    HYDRATOR,
    STATE,
    RESULTS,
    LATE,
    OTHERS,
    INSTANCES,
    SLOT_OF,
    BLOCKS,
    OVERLAY,
    META,
    KINDS,
    BLOCK,
    NAMES
};

#define AT(place) (r->base + (place))

typedef hdl_run run;

static const hdl_column *column_of(const run *r, uint32_t i) {
    return &r->h->entity->columns[r->h->columns[i]];
}

/* Does the row's kind have this column? What stands in others is nobody's. */
static bool is_own(const run *r, uint32_t i) {
    return hdl_owns(r->kind, r->h->columns[i]);
}

/* Puts the row's snapshot block at BLOCK, made when it is not there. */
static hdl_place enter_block(run *r, uint32_t slot) {
    hdl_place place = hdl_locate(slot, r->columns);
    if (place.block == r->block_number) return place;
    lua_State *L = r->L;
    if (hdl_rawgeti(L, AT(BLOCKS), place.block) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, place.rows * r->columns, 0);
        lua_pushvalue(L, -1);
        lua_rawseti(L, AT(BLOCKS), place.block);
    }
    lua_replace(L, AT(BLOCK));
    r->block_number = place.block;
    return place;
}

/* The value on top also becomes the snapshot at `at` in a block. */
static void take_snapshot(lua_State *L, const hdl_column *column, int block, int at) {
    if (hdl_is_mutable(column))
        hdl_push_image(L, -1);
    else
        lua_pushvalue(L, -1);
    lua_rawseti(L, block, at);
}

static void push_fresh(run *r, const hd_value *values, uint32_t slot) {
    lua_State *L = r->L;
    const hdl_hydrator *h = r->h;
    const hdl_column *columns = h->entity->columns;
    const hdl_kind *kind = r->kind;
    int at = enter_block(r, slot).base + 1, block = AT(BLOCK), names = AT(NAMES);
    lua_createtable(L, 0, (int)h->raw_count);
    for (uint32_t i = 0; i < h->count; i++) {
        if (values[i].kind == HD_NULL || !hdl_owns(kind, h->columns[i])) continue;
        const hdl_column *column = &columns[h->columns[i]];
        if (column->raw) lua_pushvalue(L, names + (int)i);
        hdl_push_value(L, &values[i], column);
        take_snapshot(L, column, block, at + h->columns[i]);
        if (column->raw)
            lua_rawset(L, -3);
        else
            lua_pop(L, 1);
    }
    lua_pushvalue(L, AT(META));
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, AT(INSTANCES), (int)slot + 1);
    lua_pushvalue(L, -1);
    lua_pushinteger(L, (lua_Integer)slot + 1);
    lua_rawset(L, AT(SLOT_OF));
}

/* ---- Known rows ---- */

/* The table on top is for the host to look at: joins the list of the late. */
static void push_late(run *r) {
    if (r->part > 0) {
        lua_pushinteger(r->L, r->part);
        lua_setfield(r->L, -2, "part");
    }
    lua_rawseti(r->L, AT(LATE), ++*r->late_count);
}

/* { slot =, fresh =, [column index] = value } for the host; NULL columns are named by `null`. */
static void add_late(run *r, const hd_value *values, uint32_t slot, bool fresh) {
    lua_State *L = r->L;
    lua_createtable(L, r->columns, 2);
    lua_pushinteger(L, (lua_Integer)slot + 1);
    lua_setfield(L, -2, "slot");
    lua_pushboolean(L, fresh);
    lua_setfield(L, -2, "fresh");
    for (uint32_t i = 0; i < r->h->count && !fresh; i++) {
        if (!is_own(r, i)) continue;
        hdl_push_value(L, &values[i], column_of(r, i));
        lua_rawseti(L, -2, r->h->columns[i] + 1);
    }
    push_late(r);
}

/* Was this property changed in memory? The instance is on top. */
static bool is_changed(run *r, uint32_t i, int at) {
    lua_State *L = r->L;
    const hdl_column *column = column_of(r, i);
    if (!column->raw || !is_own(r, i)) return false;
    lua_pushvalue(L, AT(NAMES) + (int)i);
    lua_rawget(L, -2);
    lua_rawgeti(L, AT(BLOCK), at);
    int top = lua_gettop(L);
    bool same = hdl_same_value(L, r->shelf, r->h->columns[i], top - 1, top);
    lua_pop(L, 2);
    return !same;
}

/* Does the row hold what the snapshot holds? */
static bool is_same(run *r, const hd_value *value, const hdl_column *column, int at) {
    lua_State *L = r->L;
    bool same;
    lua_rawgeti(L, AT(BLOCK), at);
    if (hdl_is_mutable(column) && value->kind == HD_JSON) {
        hd_hash128 hash;
        size_t len;
        const char *image = lua_tolstring(L, -1, &len);
        same = image && len >= sizeof hash &&
               hd_json_hash(value->as.p, value->len, &hd_allocator_libc, &hash) == 0 &&
               memcmp(image, &hash, sizeof hash) == 0;
    } else if (hdl_is_mutable(column)) {
        hdl_push_value(L, value, column);
        same = hdl_same_image(L, lua_gettop(L), lua_gettop(L) - 1);
        lua_pop(L, 1);
    } else {
        hdl_push_value(L, value, column);
        same = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return same;
}

/* The row's value replaces property and snapshot. The instance is on top. */
static void refresh(run *r, const hd_value *value, uint32_t i, int at) {
    lua_State *L = r->L;
    const hdl_column *column = column_of(r, i);
    lua_pushvalue(L, AT(NAMES) + (int)i);
    hdl_push_value(L, value, column);
    take_snapshot(L, column, AT(BLOCK), at);
    if (column->raw)
        lua_rawset(L, -3);
    else
        lua_pop(L, 2);
}

static bool brings_news(run *r, const hd_value *values, uint32_t slot) {
    hdl_place place = enter_block(r, slot);
    for (uint32_t i = 0; i < r->h->count; i++) {
        int at = place.base + r->h->columns[i] + 1;
        if (is_own(r, i) && !is_same(r, &values[i], column_of(r, i), at)) return true;
    }
    return false;
}

/* I3. The instance is on top and stays there. */
static void merge(run *r, const hd_value *values, uint32_t slot) {
    hdl_place place = enter_block(r, slot);
    int version = r->h->entity->core.version;
    bool dirty = false, stale = false;
    for (uint32_t i = 0; i < r->h->count; i++) {
        int at = place.base + r->h->columns[i] + 1;
        dirty = dirty || is_changed(r, i, at);
        if (r->h->columns[i] == version) stale = !is_same(r, &values[i], column_of(r, i), at);
    }
    if (dirty && stale) return;
    for (uint32_t i = 0; i < r->h->count; i++) {
        int at = place.base + r->h->columns[i] + 1;
        if (!is_own(r, i) || (dirty && is_changed(r, i, at))) continue;
        if (!is_same(r, &values[i], column_of(r, i), at)) refresh(r, &values[i], i, at);
    }
}

static bool has_overlay(run *r, uint32_t slot) {
    if (!r->has_overlay) return false;
    bool there = hdl_rawgeti(r->L, AT(OVERLAY), (int)slot + 1) != LUA_TNIL;
    lua_pop(r->L, 1);
    return there;
}

static void push_known(run *r, const hd_value *values, uint32_t slot) {
    lua_rawgeti(r->L, AT(INSTANCES), (int)slot + 1);
    switch (hd_shelf_state(r->shelf->shelf, slot)) {
    case HD_ROW_MANAGED:
        if (!r->h->full || r->h->converts || has_overlay(r, slot) ||
            hdl_kind_of(r->L, r->h->entity, -1) != r->kind)
            add_late(r, values, slot, false);
        else if (!r->has_marks)
            merge(r, values, slot);
        else if (brings_news(r, values, slot))
            add_late(r, values, slot, false); /* the host notes what a rollback has to bring back */
        break;
    case HD_ROW_PARTIAL:
    case HD_ROW_REFERENCE:
    case HD_ROW_REMOVED:
        add_late(r, values, slot, false);
        break;
    default: /* to be inserted: what is pending stays */
        break;
    }
}

/* ---- Rows ---- */

/* The host wants to know what was not loaded before: the instance on top. */
static void add_load(run *r) {
    lua_State *L = r->L;
    hdl_getfield(L, AT(STATE), "loads");
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* Finds the row's kind, with its metatable at META; false: nobody knows it, and the host is told. */
static bool enter_kind(run *r, const hd_value *values) {
    lua_State *L = r->L;
    r->kind =
        hdl_push_kind(L, r->h, values, AT(KINDS), r->h->full ? "loaded_meta" : "partial_meta");
    if (r->kind)
        lua_replace(L, AT(META));
    else
        push_late(r);
    return r->kind != NULL;
}

static uint32_t add_slot(run *r, const hd_value *key) {
    uint32_t slot = hd_shelf_add(r->shelf->shelf, r->h->full ? HD_ROW_MANAGED : HD_ROW_PARTIAL);
    if (slot == HD_NO_SLOT || hd_shelf_set_key(r->shelf->shelf, slot, key) != 0)
        luaL_error(r->L, "not enough memory");
    return slot;
}

static inline uint32_t push_row(run *r, const hd_value *values) {
    hd_value key[HDL_KEY_COLUMNS];
    const hd_entity *entity = &r->h->entity->core;
    if (r->has_kinds && !enter_kind(r, values)) return HD_NO_SLOT;
    for (uint32_t k = 0; k < entity->key_count; k++) key[k] = values[r->h->key[k]];
    uint32_t slot = hd_shelf_find(r->shelf->shelf, key);
    if (slot != HD_NO_SLOT) {
        push_known(r, values, slot);
        return slot;
    }
    slot = add_slot(r, key);
    push_fresh(r, values, slot);
    if (!r->h->full || r->h->converts) add_late(r, values, slot, true);
    if (r->has_loads) add_load(r);
    return slot;
}

uint32_t hdl_run_row(run *r, const hd_value *values) {
    return push_row(r, values);
}

static void add_row(run *r, const hd_row *row) {
    if (push_row(r, row->values) == HD_NO_SLOT) return;
    lua_rawseti(r->L, AT(RESULTS), ++r->result_count);
    if (r->h->other_count > 0) r->others = hdl_add_others(r->L, r->h, row, AT(OTHERS), r->others);
}

static hd_step add_rows(run *r, int limit, hd_wait *wait) {
    hd_step step = HD_ROW;
    while (step == HD_ROW && limit-- != 0) {
        add_row(r, &r->link->row);
        step = hdl_step(r->link, wait);
    }
    return step;
}

void hdl_run_enter(lua_State *L, run *r, int base, int *late_count) {
    r->L = L;
    r->base = base;
    r->part = 0;
    r->shelf = hdl_check_shelf(L, AT(SHELF));
    r->link = hdl_check_link(L, AT(LINK));
    r->h = hdl_check_hydrator(L, AT(HYDRATOR));
    r->columns = r->h->entity->core.column_count;
    r->block_number = 0;
    r->late_count = late_count;
    r->has_marks = hd_shelf_has_marks(r->shelf->shelf);
    lua_settop(L, AT(OTHERS));
    if (r->h->other_count > 0) luaL_checktype(L, AT(OTHERS), LUA_TTABLE);
    luaL_checkstack(L, (int)r->h->count + 24, "hydrate");
    hdl_getfield(L, AT(STATE), "instances");
    hdl_getfield(L, AT(STATE), "slot_of");
    hdl_getfield(L, AT(STATE), "blocks");
    r->has_overlay = hdl_getfield(L, AT(STATE), "overlay") == LUA_TTABLE;
    hdl_getfield(L, AT(STATE), r->h->full ? "loaded_meta" : "partial_meta");
    hdl_getfield(L, AT(STATE), "kinds");
    lua_pushnil(L);
    r->kind = NULL;
    r->has_kinds = hdl_has_kinds(L, r->h);
    lua_getuservalue(L, AT(HYDRATOR));
    for (uint32_t i = 0; i < r->h->count; i++)
        lua_rawgeti(L, AT(NAMES) + (int)i, (int)i + 1), lua_insert(L, AT(NAMES) + (int)i);
    lua_pop(L, 1);
    r->result_count = (int)lua_rawlen(L, AT(RESULTS));
    r->others = r->h->other_count > 0 ? (int)lua_rawlen(L, AT(OTHERS)) : 0;
    r->has_loads = hdl_getfield(L, AT(STATE), "loads") == LUA_TTABLE;
    lua_pop(L, 1);
}

/* A row stands ready on the link: hydrates rows until there is none, or `limit` are done. */
static int hydrate_rows(lua_State *L, int limit, hd_step *step) {
    run r;
    hd_wait wait = {-1, 0, HD_NEVER};
    lua_settop(L, OTHERS);
    int late_count = (int)lua_rawlen(L, LATE);
    hdl_run_enter(L, &r, 0, &late_count);
    *step = add_rows(&r, limit, &wait);
    return hdl_push_step(L, *step, &wait);
}

static int hydrate_many(lua_State *L) {
    hd_step step;
    return hydrate_rows(L, -1, &step);
}

/* core.hydrate(shelf, link, hydrator, state, results, late, others) -> step... A row stands ready on the link. */
static int hydrate(lua_State *L) {
    hd_step step;
    int count = hydrate_rows(L, HDL_FEW, &step);
    if (step != HD_ROW) return count;
    lua_settop(L, OTHERS);
    return hdl_undisturbed(L, hydrate_many);
}

/* ---- The collector ---- */

static bool stop_collector(lua_State *L) {
#ifdef LUA_GCISRUNNING
    if (!lua_gc(L, LUA_GCISRUNNING, 0)) return false;
    lua_gc(L, LUA_GCSTOP, 0);
    return true;
#else
    (void)L;
    return false;
#endif
}

int hdl_undisturbed(lua_State *L, lua_CFunction fn) {
    lua_pushcfunction(L, fn);
    lua_insert(L, 1);
    bool stopped = stop_collector(L);
    int failed = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    if (stopped) lua_gc(L, LUA_GCRESTART, 0);
    return failed ? lua_error(L) : lua_gettop(L);
}

static const luaL_Reg functions[] = {{"hydrate", hydrate}, {NULL, NULL}};

void hdl_open_hydrate(lua_State *L) {
    hdl_open_hydrator(L);
    luaL_setfuncs(L, functions, 0);
}
