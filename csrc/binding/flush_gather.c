/* Gather: instances become changes. Reads properties, overlays and snapshots, converts them, and leaves out what is equal
 * as a database value. `state` is the host's table of one shelf: instances, slot_of, blocks, shelf. */
#include "flush_rooms.h"

#include <string.h>

#include "base/json.h"

/* Fixed places: flush, id, state, slot, values or nil, mask or nil, then */
enum { FLUSH = 1, ID, STATE, SLOT, VALUES, MASK, INSTANCE, BLOCK };

typedef struct gather {
    lua_State *L;
    hdl_flush *f;
    const hdl_entity *entity;
    const hdl_kind *kind; /* of the instance */
    hd_change *change;
    int base; /* of the snapshot */
} gather;

/* What a row must have depends on its kind: flush:missing finds it by the change. */
static void note_kind(gather *g) {
    lua_State *L = g->L;
    if (!g->kind) return;
    lua_getuservalue(L, FLUSH);
    if (hdl_getfield(L, -1, "kinds") != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "kinds");
    }
    lua_pushinteger(L, g->kind - g->entity->kinds + 1);
    lua_rawseti(L, -2, (int)g->change->index + 1);
    lua_pop(L, 2);
}

static void prepare(lua_State *L, gather *g, hd_change_op op) {
    g->L = L;
    g->f = hdl_check_flush(L, FLUSH);
    hdl_entity *entity = hdl_check_entity(L, g->f->model, ID);
    g->entity = entity;
    lua_Integer slot = luaL_checkinteger(L, SLOT);
    lua_settop(L, MASK);
    hdl_push_part(L, STATE, HDL_PART_INSTANCES);
    lua_rawgeti(L, -1, (int)slot);
    lua_replace(L, INSTANCE);
    hdl_place place = hdl_locate((uint32_t)slot - 1, entity->core.column_count);
    hdl_push_part(L, STATE, HDL_PART_BLOCKS);
    lua_rawgeti(L, -1, place.block);
    lua_replace(L, BLOCK);
    g->base = place.base;
    g->kind = hdl_kind_of(L, entity, INSTANCE);
    g->change = NULL;
    if (op != HD_UPDATE) {
        g->change = hd_flush_add(g->f->flush, op, &entity->core, (uint32_t)slot - 1);
        if (!g->change) luaL_error(L, "not enough memory");
        note_kind(g);
    }
}

/* The column's value in memory, on top of the stack; false (nothing pushed): the host gave none for it. */
static bool push_current(gather *g, int column) {
    lua_State *L = g->L;
    if (!hdl_owns(g->kind, column)) return false;
    if (g->entity->columns[column].raw) {
        hdl_push_property(L, g->entity, column);
        lua_rawget(L, INSTANCE);
        return true;
    }
    if (!lua_istable(L, VALUES)) return false;
    if (hdl_rawgeti(L, VALUES, column + 1) != LUA_TNIL) return true;
    lua_pop(L, 1);
    return false;
}

static void convert(gather *g, int column, hd_value *out) {
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    const hdl_column *c = &g->entity->columns[column];
    if (hdl_to_value(g->L, -1, c, hd_flush_arena(g->f->flush), out, &err) != HD_OK)
        hdl_raise_value(g->L, &err, g->kind ? g->kind->name : g->entity->core.name,
                        c->core->property);
}

/* The value on top of the stack goes into a column of the change. */
static void take_value(gather *g, int column) {
    if (hdl_is_expression(g->L, -1))
        hdl_express(g->L, FLUSH, g->change, column);
    else
        convert(g, column, &g->change->set[column]);
}

/* The snapshot on top of the stack as a value. */
static void convert_snapshot(gather *g, int column, hd_value *out) {
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    if (hdl_from_snapshot(g->L, -1, &g->entity->columns[column], hd_flush_arena(g->f->flush), out,
                          &err) != HD_OK)
        hdl_raise(g->L, &err);
}

/* A relation that was never assigned is NULL, not a column left out: rows of one tree stay rows of one statement. */
void hdl_fill_relations(hd_change *change) {
    const hd_entity *entity = change->entity;
    const unsigned filled = HD_COL_AUTO_KEY | HD_COL_SERVER_DEFAULT | HD_COL_GENERATED;
    for (int k = 0; k < entity->foreign_key_count; k++) {
        const hd_foreign_key *key = &entity->foreign_keys[k];
        for (int i = 0; i < key->count; i++) {
            hd_value *set = &change->set[key->columns[i]];
            const hd_column *column = &entity->columns[key->columns[i]];
            if (set->kind != HD_DEFAULT || !(column->flags & HD_COL_NULLABLE) ||
                (column->flags & filled))
                continue;
            *set = hd_null();
            set->type = column->type;
        }
    }
}

/* flush:insert(id, state, slot, values) -> change. An absent value leaves its column out, unless it is a relation's or
 * was emptied after its default had been applied; orm.null in `values` says NULL. */
static int flush_insert(lua_State *L) {
    gather g;
    prepare(L, &g, HD_INSERT);
    for (int c = 0; c < g.entity->core.column_count; c++) {
        if (g.entity->core.columns[c].flags & HD_COL_GENERATED) continue;
        hd_value *set = &g.change->set[c];
        if (push_current(&g, c)) {
            if (!lua_isnil(L, -1)) take_value(&g, c);
            lua_pop(L, 1);
        }
        bool alien =
            !hdl_owns(g.kind, c) && (g.entity->core.columns[c].flags & HD_COL_SERVER_DEFAULT);
        if (set->kind == HD_DEFAULT && (alien || g.entity->columns[c].emptied)) {
            *set = hd_null();
            set->type = g.entity->core.columns[c].type;
        }
    }
    hdl_fill_relations(g.change);
    return hdl_push_change(L, g.change);
}

/* Pushes the set of loaded columns of a partial row, nil for others. */
static void push_loaded(gather *g) {
    lua_State *L = g->L;
    hdl_push_part(L, STATE, HDL_PART_OVERLAY);
    if (hdl_rawgeti(L, -1, (int)lua_tointeger(L, SLOT)) == LUA_TTABLE)
        hdl_getfield(L, -1, "loaded");
    else
        lua_pushnil(L);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Key and version are known of every row, or NULL. */
static bool is_unknown(gather *g, int column) {
    const unsigned always = HD_COL_PRIMARY | HD_COL_VERSION | HD_COL_GENERATED;
    if (!lua_istable(g->L, -1) || (g->entity->core.columns[column].flags & always)) return false;
    bool in = hdl_rawgeti(g->L, -1, column + 1) != LUA_TNIL;
    lua_pop(g->L, 1);
    return !in;
}

/* What the planner needs, and what a failure behind the statements takes back. */
static void fill_old(gather *g, hd_value *old) {
    push_loaded(g);
    for (int c = 0; c < g->entity->core.column_count; c++) {
        bool generated = g->entity->core.columns[c].flags & HD_COL_GENERATED;
        if (!g->entity->tracked[c] && !generated) continue;
        if (is_unknown(g, c)) {
            old[c] = (hd_value){.kind = HD_DEFAULT};
            continue;
        }
        lua_rawgeti(g->L, BLOCK, g->base + c + 1);
        convert_snapshot(g, c, &old[c]);
        lua_pop(g->L, 1);
    }
    lua_pop(g->L, 1);
}

/* flush:delete(id, state, slot) -> change */
static int flush_delete(lua_State *L) {
    gather g;
    prepare(L, &g, HD_DELETE);
    fill_old(&g, g.change->old);
    return hdl_push_change(L, g.change);
}

static bool is_masked(gather *g, int column) {
    if (!lua_istable(g->L, MASK)) return false;
    bool in = hdl_rawgeti(g->L, MASK, column + 1) != LUA_TNIL;
    lua_pop(g->L, 1);
    return !in;
}

/* Never loaded, and assigned: there is nothing to compare with, and NULL is a value like others. */
static bool is_assigned(gather *g, int column) {
    if (!lua_istable(g->L, MASK)) return false;
    bool assigned = hdl_rawgeti(g->L, MASK, column + 1) == LUA_TSTRING;
    lua_pop(g->L, 1);
    return assigned;
}

/* Do memory (on top) and snapshot (below it) differ, as far as Lua can tell without converting? */
static bool differs(gather *g, int column) {
    lua_State *L = g->L;
    int top = lua_gettop(L);
    if (hdl_is_mutable(&g->entity->columns[column])) return !hdl_same_image(L, top, top - 1);
    return !lua_rawequal(L, top, top - 1);
}

static void need_change(gather *g) {
    if (g->change) return;
    g->change = hd_flush_add(g->f->flush, HD_UPDATE, (hd_entity *)(uintptr_t)&g->entity->core,
                             (uint32_t)lua_tointeger(g->L, SLOT) - 1);
    if (!g->change) luaL_error(g->L, "not enough memory");
    note_kind(g);
}

/* An expression (on top of the snapshot) is a change whatever it will be. */
static void diff_expression(gather *g, int column) {
    need_change(g);
    hdl_express(g->L, FLUSH, g->change, column);
    lua_pop(g->L, 1);
    convert_snapshot(g, column, &g->change->old[column]);
    lua_pop(g->L, 1);
}

/* Compares one column; a real difference (of database values) goes into set and old. The change is made when the first
 * one is found, so that a row without any leaves no trace. */
static void diff_column(gather *g, int column) {
    lua_State *L = g->L;
    const hd_column *c = &g->entity->core.columns[column];
    if ((c->flags & (HD_COL_GENERATED | HD_COL_VERSION)) || is_masked(g, column)) return;
    lua_rawgeti(L, BLOCK, g->base + column + 1);
    if (!push_current(g, column)) {
        lua_pop(L, 1);
        return;
    }
    if (hdl_is_expression(L, -1)) {
        diff_expression(g, column);
        return;
    }
    hd_value set = hd_null(), old = hd_null();
    set.type = c->type;
    bool assigned = is_assigned(g, column);
    if (assigned || differs(g, column)) {
        convert(g, column, &set);
        lua_pop(L, 1);
        convert_snapshot(g, column, &old);
        if (assigned || !hd_value_equal(&set, &old)) {
            need_change(g);
            g->change->set[column] = set;
            g->change->old[column] = old;
        }
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 2);
}

/* flush:update(id, state, slot, values, mask) -> change, or nil when no database value differs. `mask` (partial rows): the
 * columns that count, true for loaded ones, "assigned" for those that have no snapshot. */
static int flush_update(lua_State *L) {
    gather g;
    prepare(L, &g, HD_UPDATE);
    for (int c = 0; c < g.entity->core.column_count; c++) diff_column(&g, c);
    if (!g.change) return 0;
    fill_old(&g, g.change->old);
    return hdl_push_change(L, g.change);
}

/* flush:touch(id, state, slot) -> an update without values, for flush:pending to fill. */
static int flush_touch(lua_State *L) {
    gather g;
    prepare(L, &g, HD_UPDATE);
    need_change(&g);
    fill_old(&g, g.change->old);
    return hdl_push_change(L, g.change);
}

/* ---- Pairs of a many-to-many: rows of a hidden mapping, without instances ---- */

static void fill_pair(gather *g, hd_value *row) {
    lua_State *L = g->L;
    const hd_entity *entity = &g->entity->core;
    for (int c = 0; c < entity->column_count; c++) {
        if (hdl_rawgeti(L, 4, c + 1) != LUA_TNIL) convert(g, c, &row[c]);
        lua_pop(L, 1);
    }
    for (int k = 0; g->change->op == HD_DELETE && k < entity->key_count; k++)
        luaL_argcheck(L, row[entity->key[k]].kind != HD_NULL, 4,
                      "a pair is deleted by its whole key");
}

/* flush:pair("create" or "delete", id, { [column index] = value }) -> change. A pair that is there already is not created
 * again, one that is gone is not missed. Key columns that are not given are flush:pending's. */
static int flush_pair(lua_State *L) {
    static const char *const names[] = {"delete", "create", NULL};
    gather g = {.L = L, .f = hdl_check_flush(L, 1)};
    bool create = luaL_checkoption(L, 2, NULL, names);
    hdl_entity *entity = hdl_check_entity(L, g.f->model, 3);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    g.entity = entity;
    g.change = hd_flush_add(g.f->flush, create ? HD_INSERT : HD_DELETE, &entity->core, HD_NO_SLOT);
    if (!g.change) return luaL_error(L, "not enough memory");
    g.change->flags = create ? HD_CHANGE_MAY_EXIST : HD_CHANGE_MAY_MISS;
    fill_pair(&g, create ? g.change->set : g.change->old);
    return hdl_push_change(L, g.change);
}

/* ---- Values that a change gets later ---- */

static void check_set(lua_State *L, const hd_change *change) {
    luaL_argcheck(L, change->set, 2, "a deleted row is given no values");
}

/* flush:set(change, column, value), flush:pending(change, column, target change, target column) */
static int flush_set(lua_State *L) {
    gather g = {.L = L, .f = hdl_check_flush(L, 1)};
    hd_change *change = hdl_check_change(L, g.f, 2);
    int column = (int)luaL_checkinteger(L, 3) - 1;
    g.entity = hdl_entity_of(g.f, change);
    check_set(L, change);
    luaL_argcheck(L, column >= 0 && column < g.entity->core.column_count, 3, "no such column");
    lua_settop(L, 4);
    g.change = change;
    if (change->expressions) change->expressions[column] = NULL;
    take_value(&g, column);
    return 0;
}

static int flush_pending(lua_State *L) {
    hdl_flush *f = hdl_check_flush(L, 1);
    hd_change *change = hdl_check_change(L, f, 2), *target = hdl_check_change(L, f, 4);
    int column = (int)luaL_checkinteger(L, 3) - 1;
    check_set(L, change);
    luaL_argcheck(L, column >= 0 && column < change->entity->column_count, 3, "no such column");
    hd_value v = hd_int(target->index, (hd_type)change->entity->columns[column].type);
    v.kind = HD_PENDING;
    v.len = (uint32_t)luaL_checkinteger(L, 5) - 1;
    change->set[column] = v;
    return 0;
}

/* U4: flush:missing() -> change, property of the first column that must not be NULL and is. */
static bool is_missing(const hd_change *change, int c, const hdl_kind *kind) {
    unsigned flags = change->entity->columns[c].flags;
    const unsigned filled = HD_COL_NULLABLE | HD_COL_AUTO_KEY | HD_COL_SERVER_DEFAULT |
                            HD_COL_GENERATED | HD_COL_VERSION;
    if (kind && kind->required[c]) flags &= ~(unsigned)HD_COL_NULLABLE;
    if (change->set[c].kind == HD_NULL) return !(flags & HD_COL_NULLABLE);
    return change->op == HD_INSERT && change->set[c].kind == HD_DEFAULT && !(flags & filled);
}

bool hdl_lacks(const hd_change *change, int column) {
    return is_missing(change, column, NULL);
}

/* The kind of a change's row; `kinds` is their list on the stack, or nil. */
static const hdl_kind *noted_kind(lua_State *L, int kinds, const hdl_flush *f,
                                  const hd_change *change) {
    if (!lua_istable(L, kinds)) return NULL;
    lua_rawgeti(L, kinds, (int)change->index + 1);
    lua_Integer place = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return place > 0 ? &hdl_entity_of(f, change)->kinds[place - 1] : NULL;
}

static int flush_missing(lua_State *L) {
    hdl_flush *f = hdl_check_flush(L, 1);
    lua_settop(L, 1);
    lua_getuservalue(L, 1);
    hdl_getfield(L, 2, "kinds");
    for (uint32_t i = 0; i < hd_flush_count(f->flush); i++) {
        const hd_change *change = hd_flush_change(f->flush, i);
        const hdl_kind *kind = noted_kind(L, 3, f, change);
        for (int c = 0; change->set && c < change->entity->column_count; c++) {
            if (!is_missing(change, c, kind)) continue;
            lua_pushinteger(L, (lua_Integer)i + 1);
            lua_pushstring(L, change->entity->columns[c].property);
            return 2;
        }
    }
    return 0;
}

const luaL_Reg hdl_flush_gather_methods[] = {
    {"insert", flush_insert},   {"update", flush_update},   {"delete", flush_delete},
    {"touch", flush_touch},     {"pair", flush_pair},       {"set", flush_set},
    {"pending", flush_pending}, {"missing", flush_missing}, {NULL, NULL}};
