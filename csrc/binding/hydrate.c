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
 * A result of many rows is built with the collector stopped (`collector.c`). */
#include "hydrate_rooms.h"

/* ---- One run ---- */

typedef hdl_run run;

int hdl_enter_block(run *r, uint32_t slot) {
    if (slot - r->block_first < r->block_rows) return (int)(slot - r->block_first) * r->columns;
    lua_State *L = r->L;
    hdl_place place = hdl_locate(slot, r->columns);
    if (hdl_rawgeti(L, AT(BLOCKS), place.block) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, place.rows * r->columns, 0);
        lua_pushvalue(L, -1);
        lua_rawseti(L, AT(BLOCKS), place.block);
    }
    lua_replace(L, AT(BLOCK));
    r->block_first = slot - (uint32_t)(place.base / r->columns);
    r->block_rows = (uint32_t)place.rows;
    return place.base;
}

/* ---- New rows ---- */

/* The usual values in here, the others where all are made. */
static inline void push_value(lua_State *L, const hd_value *value, const hdl_column *column) {
    if (value->kind == HD_TEXT)
        lua_pushlstring(L, value->as.p, value->len);
    else if (value->kind == HD_FLOAT)
        lua_pushnumber(L, value->as.f);
    else
        hdl_push_value(L, value, column);
}

/* Every column is raw, as the row has it, and stays what it is: nothing is to be asked of it. */
static void fill_plain(run *r, const hd_value *values, int before) {
    lua_State *L = r->L;
    const hdl_hydrator *h = r->h;
    int block = AT(BLOCK), names = AT(NAMES);
    for (uint32_t i = 0; i < h->count; i++) {
        if (values[i].kind == HD_NULL) continue;
        lua_pushvalue(L, names + (int)i);
        push_value(L, &values[i], &h->entity->columns[h->columns[i]]);
        lua_pushvalue(L, -1);
        lua_rawseti(L, block, before + h->columns[i]);
        lua_rawset(L, -3);
    }
}

static void fill(run *r, const hd_value *values, int before) {
    lua_State *L = r->L;
    const hdl_hydrator *h = r->h;
    for (uint32_t i = 0; i < h->count; i++) {
        if (values[i].kind == HD_NULL || !hdl_owns(r->kind, h->columns[i])) continue;
        const hdl_column *column = &h->entity->columns[h->columns[i]];
        if (column->raw) lua_pushvalue(L, AT(NAMES) + (int)i);
        hdl_push_value(L, &values[i], column);
        hdl_take_snapshot(L, &values[i], column, AT(BLOCK), before + h->columns[i]);
        if (column->raw)
            lua_rawset(L, -3);
        else
            lua_pop(L, 1);
    }
}

/* Fills a new instance; what becomes the snapshot stays on the stack below the instance. */
static void push_piled(run *r, const hd_value *values) {
    lua_State *L = r->L;
    const hdl_hydrator *h = r->h;
    const hdl_column *columns = h->entity->columns;
    int names = AT(NAMES), first = lua_gettop(L) + 1, count = (int)h->count;
    for (int i = 0; i < count; i++) {
        if (h->plain)
            push_value(L, &values[i], &columns[i]);
        else
            hdl_push_value(L, &values[i], &columns[i]);
    }
    lua_createtable(L, 0, (int)h->raw_count);
    for (int i = 0; i < count; i++) {
        if (values[i].kind == HD_NULL || !columns[i].raw) continue;
        lua_pushvalue(L, names + i);
        lua_pushvalue(L, first + i);
        lua_rawset(L, first + count);
    }
}

static bool goes_on_pile(run *r, uint32_t slot) {
    hdl_pile *pile = r->pile;
    if (!pile) return false;
    if (pile->rows > 0 && slot == pile->first + pile->rows) return true;
    if (slot - r->block_first < r->block_rows) return false;
    hdl_pile_settle(r);
    return hdl_pile_begin(r, slot);
}

static void push_fresh(run *r, const hd_value *values, uint32_t slot) {
    lua_State *L = r->L;
    bool piled = goes_on_pile(r, slot);
    if (piled) {
        push_piled(r, values);
    } else {
        int before = hdl_enter_block(r, slot) + 1;
        lua_createtable(L, 0, (int)r->h->raw_count);
        if (r->h->plain)
            fill_plain(r, values, before);
        else
            fill(r, values, before);
    }
    lua_pushvalue(L, AT(META));
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, AT(INSTANCES), (int)slot + 1);
    if (piled) r->pile->rows++;
    if (r->places) {
        if (hdl_places_put(r->places, slot, lua_topointer(L, -1)) != 0)
            luaL_error(L, "not enough memory");
        return;
    }
    lua_pushvalue(L, -1);
    lua_pushinteger(L, (lua_Integer)slot + 1);
    lua_rawset(L, AT(SLOT_OF));
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
        hdl_push_late(r);
    return r->kind != NULL;
}

static uint32_t enter_key(run *r, const hd_value *values, bool *is_new) {
    hd_value key[HDL_KEY_COLUMNS];
    const hdl_hydrator *h = r->h;
    hd_row_state state = h->full ? HD_ROW_MANAGED : HD_ROW_PARTIAL;
    for (uint32_t k = 0; k < h->entity->core.key_count; k++) key[k] = values[h->key[k]];
    uint32_t slot = hd_shelf_enter(r->shelf->shelf, key, state, is_new);
    if (slot == HD_NO_SLOT) luaL_error(r->L, "not enough memory");
    return slot;
}

static inline uint32_t push_row(run *r, const hd_value *values) {
    bool is_new;
    if (r->has_kinds && !enter_kind(r, values)) return HD_NO_SLOT;
    if (r->pile && r->pile->rows == r->pile->room) hdl_pile_settle(r);
    uint32_t slot = enter_key(r, values, &is_new);
    r->fresh = is_new || !hdl_push_known(r, values, slot);
    if (!r->fresh) return slot;
    push_fresh(r, values, slot);
    if (!r->h->full || r->h->converts) hdl_add_late(r, values, slot, true);
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
        step = hdl_next(r->link, wait);
    }
    return step;
}

/* What is looked for in the table alone, since it may well not be there. */
static int push_own_field(lua_State *L, int index, const char *name) {
    lua_pushstring(L, name);
    return hdl_rawget(L, index);
}

/* The metatable of what is read; that of partial rows the shelf makes when it is needed first. Kinds have their own. */
static void push_metatable(run *r) {
    lua_State *L = r->L;
    if (r->has_kinds) {
        lua_pushnil(L);
        return;
    }
    if (r->h->full) {
        hdl_push_part(L, AT(STATE), HDL_PART_LOADED_META);
        return;
    }
    if (push_own_field(L, AT(STATE), "partial_meta") != LUA_TNIL) return;
    lua_pop(L, 1);
    hdl_getfield(L, AT(STATE), "partial_metatable");
    lua_pushvalue(L, AT(STATE));
    lua_call(L, 1, 1);
}

void hdl_run_enter(lua_State *L, run *r, int base, int *late_count) {
    r->L = L;
    r->base = base;
    r->part = 0;
    r->shelf = hdl_check_shelf(L, AT(SHELF));
    r->link = hdl_check_link(L, AT(LINK));
    r->h = hdl_check_hydrator(L, AT(HYDRATOR));
    r->columns = r->h->entity->core.column_count;
    r->block_first = r->block_rows = 0;
    r->places = NULL;
    r->pile = NULL;
    r->late_count = late_count;
    r->has_marks = hd_shelf_has_marks(r->shelf->shelf);
    lua_settop(L, AT(OTHERS));
    if (r->h->other_count > 0) luaL_checktype(L, AT(OTHERS), LUA_TTABLE);
    luaL_checkstack(L, (int)r->h->count + 24, "hydrate");
    hdl_push_part(L, AT(STATE), HDL_PART_INSTANCES);
    hdl_push_part(L, AT(STATE), HDL_PART_SLOT_OF);
    hdl_push_part(L, AT(STATE), HDL_PART_BLOCKS);
    r->has_overlay = hdl_push_part(L, AT(STATE), HDL_PART_OVERLAY) == LUA_TTABLE;
    r->kind = NULL;
    r->has_kinds = hdl_has_kinds(L, r->h);
    push_metatable(r);
    if (r->has_kinds)
        push_own_field(L, AT(STATE), "kinds");
    else
        lua_pushnil(L);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_getuservalue(L, AT(HYDRATOR));
    for (uint32_t i = 0; i < r->h->count; i++) lua_rawgeti(L, AT(NAMES), (int)i + 1);
    lua_remove(L, AT(NAMES));
    r->result_count = (int)lua_rawlen(L, AT(RESULTS));
    r->others = r->h->other_count > 0 ? (int)lua_rawlen(L, AT(OTHERS)) : 0;
    r->has_loads = push_own_field(L, AT(STATE), "loads") == LUA_TTABLE;
    lua_pop(L, 1);
}

void hdl_run_many(run *r, hdl_pile *pile) {
    r->places = hdl_places_of(r->L, AT(SLOT_OF));
    hdl_pile_enter(r, pile);
}

void hdl_run_leave(run *r) {
    if (r->pile) hdl_pile_settle(r);
}

/* A row stands ready on the link: hydrates rows until there is none, or a few are done where there is no pile. */
static int hydrate_rows(lua_State *L, hdl_pile *pile, hd_step *step) {
    run r;
    hd_wait wait = {-1, 0, HD_NEVER};
    lua_settop(L, OTHERS);
    int late_count = (int)lua_rawlen(L, LATE);
    hdl_run_enter(L, &r, 0, &late_count);
    if (pile) hdl_run_many(&r, pile);
    *step = add_rows(&r, pile ? -1 : HDL_FEW, &wait);
    hdl_run_leave(&r);
    return hdl_push_step(L, *step, &wait);
}

static int hydrate_many(lua_State *L) {
    hd_step step;
    return hydrate_rows(L, lua_touserdata(L, PILE), &step);
}

/* core.hydrate(shelf, link, hydrator, state, results, late, others) -> step... A row stands ready on the link. */
static int hydrate(lua_State *L) {
    hd_step step;
    int count = hydrate_rows(L, NULL, &step);
    return step == HD_ROW ? hdl_run_undisturbed(L, hydrate_many) : count;
}

static const luaL_Reg functions[] = {{"hydrate", hydrate}, {NULL, NULL}};

void hdl_open_hydrate(lua_State *L) {
    hdl_open_hydrator(L);
    hdl_open_pile(L);
    luaL_setfuncs(L, functions, 0);
}
