/* The short way of a flush for changed rows (flush_new.c has that of new ones): rows that hold nothing but raw values
 * become changes in bulk, a shelf at a call. The host has seen to it that there are no overlays, no kinds and nothing that
 * it would have to convert; what a row is to the database is decided as in flush_gather.c. `state` is the host's table of
 * one shelf. */
#include <math.h>

#include "flush_rooms.h"
#include "quick_value.h"

/* Fixed places (what a function does not take is nil); from NAMES on stand the properties' names, a column each. */
enum { FLUSH = 1, ID, STATE, SLOTS, LINK, MAY_BLOCK, INSTANCES, BLOCKS, NAMES };

typedef struct lane {
    lua_State *L;
    hdl_flush *f;
    hdl_entity *entity;
    hd_shelf *shelf;
    int columns;
    int instance, block; /* places on the stack */
    int block_number, base;
} lane;

static void enter(lua_State *L, lane *l) {
    l->L = L;
    l->f = hdl_check_flush(L, FLUSH);
    l->entity = hdl_check_entity(L, l->f->model, ID);
    l->columns = l->entity->core.column_count;
    l->block_number = 0;
    luaL_checkstack(L, 3 * l->columns + 20, "flush");
    lua_settop(L, MAY_BLOCK);
    hdl_push_part(L, STATE, HDL_PART_SHELF);
    l->shelf = hdl_check_shelf(L, -1)->shelf;
    lua_pop(L, 1); /* the state keeps it */
    hdl_push_part(L, STATE, HDL_PART_INSTANCES);
    hdl_push_part(L, STATE, HDL_PART_BLOCKS);
    hdl_push_property_names(L, FLUSH, l->entity);
    lua_settop(L, NAMES + l->columns + 1);
    l->instance = NAMES + l->columns;
    l->block = l->instance + 1;
}

static void enter_row(lane *l, uint32_t slot) {
    lua_rawgeti(l->L, INSTANCES, (int)slot + 1);
    lua_replace(l->L, l->instance);
}

static void enter_block(lane *l, uint32_t slot) {
    hdl_place place = hdl_locate(slot, l->columns);
    l->base = place.base;
    if (place.block == l->block_number) return;
    lua_rawgeti(l->L, BLOCKS, place.block);
    lua_replace(l->L, l->block);
    l->block_number = place.block;
}

static void push_current(lane *l, int column) {
    lua_pushvalue(l->L, NAMES + column);
    lua_rawget(l->L, l->instance);
}

static hd_change *add(lane *l, hd_change_op op, uint32_t slot) {
    hd_change *change = hd_flush_add(l->f->flush, op, &l->entity->core, slot);
    if (!change) luaL_error(l->L, "not enough memory");
    return change;
}

/* The value on top of the stack, which stays there. */
static void convert(lane *l, int column, hd_value *out) {
    hd_error err;
    const hdl_column *c = &l->entity->columns[column];
    hd_arena *arena = hd_flush_arena(l->f->flush);
    if (hdl_take_quickly(l->L, lua_type(l->L, -1), c, arena, out)) return;
    hd_error_init(&err, &hd_allocator_libc);
    if (hdl_to_value(l->L, -1, c, arena, out, &err) != HD_OK)
        hdl_raise_value(l->L, &err, l->entity->core.name, c->core->property);
}

/* The same of a snapshot. */
static void convert_old(lane *l, int column, hd_value *out) {
    hd_error err;
    const hdl_column *c = &l->entity->columns[column];
    hd_arena *arena = hd_flush_arena(l->f->flush);
    if (hdl_take_quickly(l->L, lua_type(l->L, -1), c, arena, out)) return;
    hd_error_init(&err, &hd_allocator_libc);
    if (hdl_from_snapshot(l->L, -1, c, arena, out, &err) != HD_OK) hdl_raise(l->L, &err);
}

static void convert_snapshot(lane *l, int column, hd_value *out) {
    lua_rawgeti(l->L, l->block, l->base + column + 1);
    convert_old(l, column, out);
    lua_pop(l->L, 1);
}

/* ---- Changed rows ---- */

typedef struct difference {
    hd_change *change; /* made when the first column differs */
    uint32_t slot;
    bool in_form; /* some value is the same to the database and looks otherwise */
} difference;

static void need_change(lane *l, difference *d) {
    if (!d->change) d->change = add(l, HD_UPDATE, d->slot);
}

/* The value in memory is on top of the stack, its snapshot below. */
static void take_difference(lane *l, difference *d, int column) {
    hd_value set, old;
    if (hdl_is_expression(l->L, -1)) {
        need_change(l, d);
        hdl_express(l->L, FLUSH, d->change, column);
        convert_snapshot(l, column, &d->change->old[column]);
        return;
    }
    convert(l, column, &set);
    lua_pushvalue(l->L, -2);
    convert_old(l, column, &old);
    lua_pop(l->L, 1);
    if (hd_value_equal(&set, &old)) {
        d->in_form = true;
        return;
    }
    need_change(l, d);
    d->change->set[column] = set;
    d->change->old[column] = old;
}

typedef enum likeness { SAME, OTHER_IN_FORM, OTHER } likeness;

/* The two topmost values, neither of which is a table's: most are the same, and in the same form. */
static inline likeness compare_plain(lua_State *L) {
    if (!lua_rawequal(L, -1, -2)) return OTHER;
    if (lua_type(L, -1) != LUA_TNUMBER) return SAME;
#if !HDL_DOUBLES
    bool whole = lua_isinteger(L, -1);
    if (whole != lua_isinteger(L, -2)) return OTHER_IN_FORM;
    if (whole) return SAME;
#endif
    if (lua_tonumber(L, -1) != 0) return SAME;
    return !signbit(lua_tonumber(L, -1)) == !signbit(lua_tonumber(L, -2)) ? SAME : OTHER_IN_FORM;
}

static likeness compare_mutable(lua_State *L) {
    bool same = !hdl_is_expression(L, -1) && hdl_same_image(L, lua_gettop(L), lua_gettop(L) - 1);
    if (!same) return OTHER;
    bool is_number = lua_type(L, -1) == LUA_TNUMBER;
    return is_number && !hdl_is_identical(L, -1, -2) ? OTHER_IN_FORM : SAME;
}

/* Leaves the snapshot and the value on the stack. */
static inline void compare(lane *l, difference *d, int column) {
    lua_State *L = l->L;
    lua_rawgeti(L, l->block, l->base + column + 1);
    push_current(l, column);
    bool is_mutable = hdl_is_mutable(&l->entity->columns[column]);
    likeness how = is_mutable ? compare_mutable(L) : compare_plain(L);
    if (how == OTHER) take_difference(l, d, column);
    if (how == OTHER_IN_FORM) d->in_form = true;
}

/* What of the row at `slot` differs from its snapshot. */
static void compare_row(lane *l, difference *d, uint32_t slot) {
    int top = lua_gettop(l->L), count = l->entity->compared_count;
    *d = (difference){NULL, slot, false};
    enter_row(l, slot);
    enter_block(l, slot);
    for (int i = 0; i < count; i++) compare(l, d, l->entity->compared[i]);
    lua_settop(l->L, top);
    if (d->change && !d->in_form) d->change->flags |= HD_CHANGE_SETTLED;
}

/* What the planner needs of the row as it was; false: its key changed, which others may follow. */
static bool fill_old(lane *l, hd_change *change) {
    for (int c = 0; c < l->columns; c++) {
        unsigned flags = l->entity->core.columns[c].flags;
        if ((flags & HD_COL_PRIMARY) && change->set[c].kind != HD_DEFAULT) return false;
        if (l->entity->tracked[c] || (flags & HD_COL_GENERATED))
            convert_snapshot(l, c, &change->old[c]);
    }
    return true;
}

static bool update_row(lane *l, uint32_t slot, bool *in_form) {
    difference d;
    compare_row(l, &d, slot);
    *in_form = !d.change && d.in_form;
    return !d.change || fill_old(l, d.change);
}

/* Remembers a slot in the list on top of the stack, made when there is none. */
static void note_slot(lua_State *L, uint32_t slot) {
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    lua_pushinteger(L, (lua_Integer)slot + 1);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
}

/* flush:updates(id, state, slots) -> true, and the slots of rows that differ in form only, or nil; false when a key was
 * changed */
static int flush_updates(lua_State *L) {
    lane l;
    luaL_checktype(L, SLOTS, LUA_TTABLE);
    enter(L, &l);
    lua_pushboolean(L, 1);
    lua_pushnil(L);
    int count = (int)lua_rawlen(L, SLOTS);
    for (int i = 1; i <= count; i++) {
        bool in_form;
        lua_rawgeti(L, SLOTS, i);
        uint32_t slot = (uint32_t)lua_tointeger(L, -1) - 1;
        lua_pop(L, 1);
        if (!update_row(&l, slot, &in_form)) {
            lua_pushboolean(L, 0);
            return 1;
        }
        if (in_form) note_slot(L, slot);
    }
    return 2;
}

/* ---- One changed row, from its values to the database and back ---- */

/* The flush holds the change of one row that is written by a single statement, which is given. NULL: it takes the way of
 * all others, which says what is wrong with it. */
static const hd_batch *plan_row(lane *l, uint32_t slot) {
    hd_error err;
    difference d;
    hd_flush *flush = l->f->flush;
    compare_row(l, &d, slot);
    if (!d.change || d.change->expressions) return NULL;
    for (int c = 0; c < l->columns; c++) {
        if (hdl_lacks(d.change, c)) return NULL;
    }
    if (!fill_old(l, d.change)) return NULL;
    hd_error_init(&err, &hd_allocator_libc);
    const hd_batch *batch = NULL;
    if (hd_flush_plan(flush, &err) == HD_OK && hd_flush_is_bare(flush))
        batch = hd_flush_body(flush, &err);
    hd_error_clear(&err);
    return batch;
}

/* The statement has run. What it wrote becomes the snapshot; nothing is left on the stack. False: it reached no row. */
static bool conclude_row(lua_State *L, hd_flush *flush) {
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    bool reached = hd_flush_check(flush, &err) == HD_OK;
    hd_error_clear(&err);
    if (reached) hdl_flush_apply_for_good(L);
    return reached;
}

/* Does the row's version tell the time? */
static bool has_clock(const hd_entity *entity) {
    return entity->version >= 0 && entity->columns[entity->version].type == HD_T_TIMESTAMP;
}

/* flush:row(id, state, slot, link, may_block) -> step, when the row's statement was started: nothing in memory has
 * changed before flush:concluded says that it has been written; true, when that was done at once; nothing: it is not
 * for this way. A flush is good for many rows, one after the other. */
static int flush_row(lua_State *L) {
    lane l;
    hd_wait wait = {-1, 0, HD_NEVER};
    hd_flush *flush = hdl_check_flush(L, FLUSH)->flush;
    hd_link *link = hdl_check_link(L, LINK);
    uint32_t slot = (uint32_t)luaL_checkinteger(L, SLOTS) - 1;
    hdl_link_ready(link);
    if (!link->mem || link->state != HD_LINK_IDLE || link->over || link->depth) return 0;
    enter(L, &l);
    hd_flush_reset(flush, has_clock(&l.entity->core) ? hdl_now() : 0);
    const hd_batch *batch = plan_row(&l, slot);
    if (!batch) return 0;
    hdl_pin(L, LINK, FLUSH);
    if (hd_link_run(link, batch, HD_RUN_XID, HD_NEVER) != HD_OK) return 0;
    hd_step step = hdl_step(link, &wait);
    if (step == HD_WAIT && wait.fd >= 0 && lua_toboolean(L, MAY_BLOCK))
        step = hdl_block(link, &wait);
    if (step != HD_DONE || !conclude_row(L, flush)) return hdl_push_step(L, step, &wait);
    lua_pushboolean(L, 1);
    return 1;
}

/* flush:concluded(id, state): whether the statement of flush:row reached its row, which is up to date then. */
static int flush_concluded(lua_State *L) {
    lua_pushboolean(L, conclude_row(L, hdl_check_flush(L, FLUSH)->flush));
    return 1;
}

const luaL_Reg hdl_flush_lane_methods[] = {
    {"updates", flush_updates}, {"row", flush_row}, {"concluded", flush_concluded}, {NULL, NULL}};
