/* The short way of a flush: rows that hold nothing but raw values become changes in bulk, a shelf at a call. The host has
 * seen to it that there are no overlays, no kinds and nothing that it would have to convert; what a row is to the database
 * is decided as in flush_gather.c. `state` is the host's table of one shelf. */
#include "flush_rooms.h"

/* Fixed places; from NAMES on stand the properties' names, a column each. */
enum { FLUSH = 1, ID, STATE, SLOTS, INSTANCES, BLOCKS, NAMES };

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
    luaL_checkstack(L, l->columns + 20, "flush");
    lua_settop(L, SLOTS);
    hdl_getfield(L, STATE, "shelf");
    l->shelf = hdl_check_shelf(L, -1)->shelf;
    lua_pop(L, 1); /* the state keeps it */
    hdl_getfield(L, STATE, "instances");
    hdl_getfield(L, STATE, "blocks");
    for (int c = 0; c < l->columns; c++) hdl_push_property(L, l->entity, c);
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
    hd_error_init(&err, &hd_allocator_libc);
    const hdl_column *c = &l->entity->columns[column];
    if (hdl_to_value(l->L, -1, c, hd_flush_arena(l->f->flush), out, &err) != HD_OK)
        hdl_raise_value(l->L, &err, l->entity->core.name, c->core->property);
}

static void convert_snapshot(lane *l, int column, hd_value *out) {
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    lua_rawgeti(l->L, l->block, l->base + column + 1);
    if (hdl_from_snapshot(l->L, -1, &l->entity->columns[column], hd_flush_arena(l->f->flush), out,
                          &err) != HD_OK)
        hdl_raise(l->L, &err);
    lua_pop(l->L, 1);
}

/* ---- New rows ---- */

static void insert_row(lane *l, uint32_t slot) {
    lua_State *L = l->L;
    hd_change *change = add(l, HD_INSERT, slot);
    enter_row(l, slot);
    for (int c = 0; c < l->columns; c++) {
        const hdl_column *column = &l->entity->columns[c];
        if (column->core->flags & HD_COL_GENERATED) continue;
        hd_value *set = &change->set[c];
        if (column->raw) {
            push_current(l, c);
            if (hdl_is_expression(L, -1))
                hdl_express(L, FLUSH, change, c);
            else if (!lua_isnil(L, -1))
                convert(l, c, set);
            lua_pop(L, 1);
        }
        if (set->kind == HD_DEFAULT && column->emptied) {
            *set = hd_null();
            set->type = column->core->type;
        }
    }
    hdl_fill_relations(change);
}

/* flush:inserts(id, state): every new row of a shelf, in the order of their slots. */
static int flush_inserts(lua_State *L) {
    lane l;
    enter(L, &l);
    uint32_t count = hd_shelf_count(l.shelf);
    for (uint32_t slot = 0; slot < count; slot++) {
        if (hd_shelf_state(l.shelf, slot) == HD_ROW_NEW) insert_row(&l, slot);
    }
    return 0;
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
    convert_snapshot(l, column, &old);
    if (hd_value_equal(&set, &old)) {
        d->in_form = true;
        return;
    }
    need_change(l, d);
    d->change->set[column] = set;
    d->change->old[column] = old;
}

static void compare(lane *l, difference *d, int column) {
    lua_State *L = l->L;
    const hdl_column *c = &l->entity->columns[column];
    if (!c->raw || (c->core->flags & (HD_COL_GENERATED | HD_COL_VERSION))) return;
    lua_rawgeti(L, l->block, l->base + column + 1);
    push_current(l, column);
    bool same = hdl_is_mutable(c) ? !hdl_is_expression(L, -1) &&
                                        hdl_same_image(L, lua_gettop(L), lua_gettop(L) - 1)
                                  : lua_rawequal(L, -1, -2);
    if (!same)
        take_difference(l, d, column);
    else if (lua_type(L, -1) == LUA_TNUMBER && !hdl_is_identical(L, -1, -2))
        d->in_form = true;
    lua_pop(L, 2);
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

static bool update_row(lane *l, uint32_t slot, bool *changed) {
    difference d = {NULL, slot, false};
    enter_row(l, slot);
    enter_block(l, slot);
    for (int c = 0; c < l->columns; c++) compare(l, &d, c);
    *changed = d.change != NULL;
    if (!d.change) return true;
    if (!d.in_form) d.change->flags |= HD_CHANGE_SETTLED;
    return fill_old(l, d.change);
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

/* flush:updates(id, state, slots) -> true, and the slots of rows without a change, or nil; false when a key was changed */
static int flush_updates(lua_State *L) {
    lane l;
    luaL_checktype(L, SLOTS, LUA_TTABLE);
    enter(L, &l);
    lua_pushboolean(L, 1);
    lua_pushnil(L);
    int count = (int)lua_rawlen(L, SLOTS);
    for (int i = 1; i <= count; i++) {
        bool changed;
        lua_rawgeti(L, SLOTS, i);
        uint32_t slot = (uint32_t)lua_tointeger(L, -1) - 1;
        lua_pop(L, 1);
        if (!update_row(&l, slot, &changed)) {
            lua_pushboolean(L, 0);
            return 1;
        }
        if (!changed) note_slot(L, slot);
    }
    return 2;
}

const luaL_Reg hdl_flush_lane_methods[] = {
    {"inserts", flush_inserts}, {"updates", flush_updates}, {NULL, NULL}};
