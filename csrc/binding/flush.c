/* Flush for Lua: gather (instances to changes), running the core's batches on a link, apply (what the database gave
 * goes into instances and snapshots) and revert. Policy - which rows, which hooks, which transaction - is the
 * host's; planning is the core's.
 *
 * `state` is the host's table of one shelf: instances, slot_of, blocks, shelf. Change indexes and slots are 1-based. */
#include "binding.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

typedef struct hdl_flush {
    hd_flush *flush;
    hdl_model *model; /* pinned by the user value */
} hdl_flush;

static hdl_flush *check_flush(lua_State *L, int index) {
    hdl_flush *f = luaL_checkudata(L, index, HDL_FLUSH);
    luaL_argcheck(L, f->flush, index, "flush is closed");
    return f;
}

static int flush_free(lua_State *L) {
    hdl_flush *f = luaL_checkudata(L, 1, HDL_FLUSH);
    if (f->flush) hd_flush_free(f->flush);
    f->flush = NULL;
    return 0;
}

/* core.flush(model, batch_size, now) */
static int flush_new(lua_State *L) {
    hdl_model *model = hdl_check_model(L, 1);
    hd_flush_options options = {model->dialect, (uint32_t)luaL_optinteger(L, 2, 0), 0};
    options.now = (int64_t)(luaL_optnumber(L, 3, 0) * 1e6);
    hdl_flush *f = hdl_new_userdata(L, sizeof *f, HDL_FLUSH);
    f->model = model;
    f->flush = hd_flush_new(&hd_allocator_libc, &options);
    if (!f->flush) return luaL_error(L, "not enough memory");
    lua_getuservalue(L, -1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "model");
    lua_pop(L, 1);
    return 1;
}

static hd_change *check_change(lua_State *L, hdl_flush *f, int index) {
    lua_Integer i = luaL_checkinteger(L, index);
    luaL_argcheck(L, i >= 1 && (uint64_t)i <= hd_flush_count(f->flush), index, "no such change");
    return hd_flush_change(f->flush, (uint32_t)(i - 1));
}

static const hdl_entity *entity_of(const hdl_flush *f, const hd_change *change) {
    return &f->model->entities[change->entity->id];
}

/* ---- Gather ---- */

/* Fixed places: flush, id, state, slot, values or nil, mask or nil, then */
enum { FLUSH = 1, ID, STATE, SLOT, VALUES, MASK, INSTANCE, BLOCK };

typedef struct gather {
    lua_State *L;
    hdl_flush *f;
    const hdl_entity *entity;
    hd_change *change;
    int base; /* of the snapshot */
} gather;

static void push_name(lua_State *L, const hdl_entity *entity, int column) {
    lua_pushlstring(L, entity->core.columns[column].property,
                    entity->core.columns[column].property_len);
}

static void prepare(lua_State *L, gather *g, hd_change_op op) {
    g->L = L;
    g->f = check_flush(L, FLUSH);
    hdl_entity *entity = hdl_check_entity(L, g->f->model, ID);
    g->entity = entity;
    lua_Integer slot = luaL_checkinteger(L, SLOT);
    lua_settop(L, MASK);
    hdl_getfield(L, STATE, "instances");
    lua_rawgeti(L, -1, (int)slot);
    lua_replace(L, INSTANCE);
    hdl_place place = hdl_locate((uint32_t)slot - 1, entity->core.column_count);
    hdl_getfield(L, STATE, "blocks");
    lua_rawgeti(L, -1, place.block);
    lua_replace(L, BLOCK);
    g->base = place.base;
    g->change = NULL;
    if (op != HD_UPDATE) {
        g->change = hd_flush_add(g->f->flush, op, &entity->core, (uint32_t)slot - 1);
        if (!g->change) luaL_error(L, "not enough memory");
    }
}

/* The column's value in memory, on top of the stack; false (nothing pushed): the host gave none for it. */
static bool push_current(gather *g, int column) {
    lua_State *L = g->L;
    if (g->entity->columns[column].raw) {
        push_name(L, g->entity, column);
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
        hdl_raise_value(g->L, &err, g->entity->core.name, c->core->property);
}

/* The snapshot on top of the stack as a value. */
static void convert_snapshot(gather *g, int column, hd_value *out) {
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    if (hdl_from_snapshot(g->L, -1, &g->entity->columns[column], hd_flush_arena(g->f->flush), out, &err) != HD_OK)
        hdl_raise(g->L, &err);
}

static int push_change(lua_State *L, const hd_change *change) {
    lua_pushinteger(L, (lua_Integer)change->index + 1);
    return 1;
}

/* A relation that was never assigned is NULL, not a column left out: rows of one tree stay rows of one statement. */
static void fill_relations(gather *g) {
    const hd_entity *entity = &g->entity->core;
    const unsigned filled = HD_COL_AUTO_KEY | HD_COL_SERVER_DEFAULT | HD_COL_GENERATED;
    for (int k = 0; k < entity->foreign_key_count; k++) {
        const hd_foreign_key *key = &entity->foreign_keys[k];
        for (int i = 0; i < key->count; i++) {
            hd_value *set = &g->change->set[key->columns[i]];
            const hd_column *column = &entity->columns[key->columns[i]];
            if (set->kind != HD_DEFAULT || !(column->flags & HD_COL_NULLABLE) || (column->flags & filled)) continue;
            *set = hd_null();
            set->type = column->type;
        }
    }
}

/* flush:insert(id, state, slot, values) -> change. An absent value leaves its column out, unless it is a relation's;
 * orm.null in `values` says NULL. */
static int flush_insert(lua_State *L) {
    gather g;
    prepare(L, &g, HD_INSERT);
    for (int c = 0; c < g.entity->core.column_count; c++) {
        if (g.entity->core.columns[c].flags & HD_COL_GENERATED) continue;
        if (!push_current(&g, c)) continue;
        if (!lua_isnil(L, -1)) convert(&g, c, &g.change->set[c]);
        lua_pop(L, 1);
    }
    fill_relations(&g);
    return push_change(L, g.change);
}

static void fill_old(gather *g, hd_value *old, bool all) {
    for (int c = 0; c < g->entity->core.column_count; c++) {
        if (!all && !g->entity->tracked[c]) continue;
        lua_rawgeti(g->L, BLOCK, g->base + c + 1);
        convert_snapshot(g, c, &old[c]);
        lua_pop(g->L, 1);
    }
}

/* flush:delete(id, state, slot) -> change */
static int flush_delete(lua_State *L) {
    gather g;
    prepare(L, &g, HD_DELETE);
    fill_old(&g, g.change->old, false);
    return push_change(L, g.change);
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
    hd_value set = hd_null(), old = hd_null();
    set.type = c->type;
    bool assigned = is_assigned(g, column);
    if (assigned || differs(g, column)) {
        convert(g, column, &set);
        lua_pop(L, 1);
        convert_snapshot(g, column, &old);
        if (assigned || !hd_value_equal(&set, &old)) {
            if (!g->change) {
                g->change =
                    hd_flush_add(g->f->flush, HD_UPDATE, (hd_entity *)(uintptr_t)&g->entity->core,
                                 (uint32_t)lua_tointeger(L, SLOT) - 1);
                if (!g->change) luaL_error(L, "not enough memory");
            }
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
    fill_old(&g, g.change->old, false);
    return push_change(L, g.change);
}

/* flush:touch(id, state, slot) -> an update without values, for flush:pending to fill. */
static int flush_touch(lua_State *L) {
    gather g;
    prepare(L, &g, HD_UPDATE);
    g.change = hd_flush_add(g.f->flush, HD_UPDATE, (hd_entity *)(uintptr_t)&g.entity->core,
                            (uint32_t)lua_tointeger(L, SLOT) - 1);
    if (!g.change) return luaL_error(L, "not enough memory");
    fill_old(&g, g.change->old, false);
    return push_change(L, g.change);
}

/* flush:set(change, column, value), flush:pending(change, column, target change, target column) */
static int flush_set(lua_State *L) {
    gather g = {.L = L, .f = check_flush(L, 1)};
    hd_change *change = check_change(L, g.f, 2);
    int column = (int)luaL_checkinteger(L, 3) - 1;
    g.entity = entity_of(g.f, change);
    luaL_argcheck(L, column >= 0 && column < g.entity->core.column_count, 3, "no such column");
    lua_settop(L, 4);
    convert(&g, column, &change->set[column]);
    return 0;
}

static int flush_pending(lua_State *L) {
    hdl_flush *f = check_flush(L, 1);
    hd_change *change = check_change(L, f, 2), *target = check_change(L, f, 4);
    int column = (int)luaL_checkinteger(L, 3) - 1;
    luaL_argcheck(L, column >= 0 && column < change->entity->column_count, 3, "no such column");
    hd_value v = hd_int(target->index, (hd_type)change->entity->columns[column].type);
    v.kind = HD_PENDING;
    v.len = (uint32_t)luaL_checkinteger(L, 5) - 1;
    change->set[column] = v;
    return 0;
}

/* U4: flush:missing() -> change, property of the first column that must not be NULL and is. */
static bool is_missing(const hd_change *change, int c) {
    const hd_column *column = &change->entity->columns[c];
    const unsigned filled = HD_COL_NULLABLE | HD_COL_AUTO_KEY | HD_COL_SERVER_DEFAULT |
                            HD_COL_GENERATED | HD_COL_VERSION;
    if (change->set[c].kind == HD_NULL) return !(column->flags & HD_COL_NULLABLE);
    return change->op == HD_INSERT && change->set[c].kind == HD_DEFAULT &&
           !(column->flags & filled);
}

static int flush_missing(lua_State *L) {
    hdl_flush *f = check_flush(L, 1);
    for (uint32_t i = 0; i < hd_flush_count(f->flush); i++) {
        const hd_change *change = hd_flush_change(f->flush, i);
        for (int c = 0; change->set && c < change->entity->column_count; c++) {
            if (!is_missing(change, c)) continue;
            lua_pushinteger(L, (lua_Integer)i + 1);
            lua_pushstring(L, change->entity->columns[c].property);
            return 2;
        }
    }
    return 0;
}

/* ---- Running ---- */

static int push_record(lua_State *L, hd_error *err) {
    hdl_push_error(L, err);
    hd_error_clear(err);
    return 1;
}

/* flush:plan() -> nothing, or an error record */
static int flush_plan(lua_State *L) {
    hd_error err;
    hdl_flush *f = check_flush(L, 1);
    hd_error_init(&err, &hd_allocator_libc);
    return hd_flush_plan(f->flush, &err) == HD_OK ? 0 : push_record(L, &err);
}

/* flush:can_commit(): whether COMMIT may go with the batch that flush:body gave last. */
static int flush_can_commit(lua_State *L) {
    lua_pushboolean(L, hd_flush_can_commit(check_flush(L, 1)->flush));
    return 1;
}

static int flush_is_bare(lua_State *L) {
    lua_pushboolean(L, hd_flush_is_bare(check_flush(L, 1)->flush));
    return 1;
}

typedef const hd_batch *(*next_batch)(hd_flush *flush, hd_error *err);

/* The next batch starts on the link: status..., nothing when there is none; raises what the core refuses. */
static int start(lua_State *L, next_batch next, unsigned flags) {
    hdl_flush *f = check_flush(L, 1);
    hd_link *link = hdl_check_link(L, 2);
    hd_time deadline =
        lua_isnoneornil(L, 3) ? HD_NEVER : hd_now() + (hd_time)(luaL_checknumber(L, 3) * 1e6);
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    const hd_batch *batch = next(f->flush, &err);
    if (!batch) return err.kind == HD_OK ? 0 : hdl_raise(L, &err);
    if (!hd_flush_can_commit(f->flush)) flags &= ~(unsigned)HD_RUN_COMMIT;
    hd_link_prepare(link);
    return hdl_link_start(L, 2, batch, flags, deadline, 1);
}

static int flush_keys(lua_State *L) {
    return start(L, hd_flush_keys, 0);
}

/* flush:body(link, timeout, commit) */
static int flush_body(lua_State *L) {
    unsigned flags = HD_RUN_XID;
    if (lua_toboolean(L, 4)) flags |= HD_RUN_COMMIT;
    return start(L, hd_flush_body, flags);
}

/* flush:verify() -> nothing, or record, change, again */
static int flush_verify(lua_State *L) {
    hdl_flush *f = check_flush(L, 1);
    hd_error err;
    hd_change *change = NULL;
    hd_error_init(&err, &hd_allocator_libc);
    if (hd_flush_check(f->flush, &err) == HD_OK) return 0;
    bool again = hd_flush_blame(f->flush, &err, &change);
    push_record(L, &err);
    if (change)
        push_change(L, change);
    else
        lua_pushnil(L);
    lua_pushboolean(L, again);
    return 3;
}

/* flush:blame(link) -> record, change or nil, again: words the link's error. */
static int flush_blame(lua_State *L) {
    hdl_flush *f = check_flush(L, 1);
    hd_link *link = hdl_check_link(L, 2);
    hd_change *change = NULL;
    const hd_entity *entity = hd_flush_blamed_entity(f->flush, &link->error);
    bool again = hd_flush_blame(f->flush, &link->error, &change);
    hdl_push_error(L, &link->error);
    if (entity) {
        lua_pushstring(L, entity->name);
        lua_setfield(L, -2, "entity");
    }
    if (change)
        push_change(L, change);
    else
        lua_pushnil(L);
    lua_pushboolean(L, again);
    return 3;
}

static int flush_replan(lua_State *L) {
    hd_flush_replan(check_flush(L, 1)->flush);
    return 0;
}

/* ---- Apply and revert ---- */

typedef struct apply {
    lua_State *L;
    hdl_flush *f;
    const hdl_entity *entity;
    hd_shelf *shelf;
    int instances, blocks, instance, block, normal; /* places on the stack */
    int base, normal_count;
} apply;

/* (flush, id, state, ...) */
static void prepare_apply(lua_State *L, apply *a) {
    a->L = L;
    a->f = check_flush(L, 1);
    a->entity = hdl_check_entity(L, a->f->model, 2);
    lua_settop(L, 3);
    hdl_getfield(L, 3, "shelf");
    a->shelf = hdl_check_shelf(L, 4)->shelf;
    hdl_getfield(L, 3, "instances");
    hdl_getfield(L, 3, "blocks");
    lua_getuservalue(L, 1);
    if (hdl_getfield(L, -1, "normal") != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, 7, "normal");
    }
    lua_replace(L, 7);
    a->instances = 5;
    a->blocks = 6;
    a->normal = 7;
    a->instance = 8;
    a->block = 9;
    a->normal_count = (int)lua_rawlen(L, 7);
    lua_settop(L, 9);
}

static void enter_row(apply *a, uint32_t slot) {
    lua_State *L = a->L;
    hdl_place place = hdl_locate(slot, a->entity->core.column_count);
    lua_rawgeti(L, a->instances, (int)slot + 1);
    lua_replace(L, a->instance);
    if (hdl_rawgeti(L, a->blocks, place.block) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, place.rows * a->entity->core.column_count, 0);
        lua_pushvalue(L, -1);
        lua_rawseti(L, a->blocks, place.block);
    }
    lua_replace(L, a->block);
    a->base = place.base;
}

/* A property whose stored form differs from what the program gave: the given one is remembered for revert. */
static void note_given(apply *a, int column) {
    lua_State *L = a->L;
    lua_pushvalue(L, a->instance);
    lua_rawseti(L, a->normal, ++a->normal_count);
    push_name(L, a->entity, column);
    lua_rawseti(L, a->normal, ++a->normal_count);
    push_name(L, a->entity, column);
    lua_rawget(L, a->instance);
    lua_rawseti(L, a->normal, ++a->normal_count);
}

static void push_json_image(lua_State *L, const hd_value *value) {
    hd_hash128 hash;
    if (hd_json_hash(value->as.p, value->len, &hd_allocator_libc, &hash) != 0) {
        lua_pushliteral(L, "?");
        return;
    }
    luaL_Buffer image;
    luaL_buffinit(L, &image);
    luaL_addlstring(&image, (const char *)&hash, sizeof hash);
    luaL_addlstring(&image, value->as.p, value->len);
    luaL_pushresult(&image);
}

/* The snapshot of one column becomes `value`; a mutable one keeps the program's table. */
static void set_snapshot(apply *a, int column, const hd_value *value) {
    lua_State *L = a->L;
    const hdl_column *c = &a->entity->columns[column];
    if (!hdl_is_mutable(c) || value->kind == HD_NULL) {
        hdl_push_value(L, value, c);
    } else if (value->kind == HD_JSON) {
        push_json_image(L, value);
    } else {
        hdl_push_value(L, value, c);
        hdl_push_image(L, -1);
        lua_remove(L, -2);
    }
    lua_rawseti(L, a->block, a->base + column + 1);
}

static bool is_written(const hd_value *value) {
    return value->kind != HD_DEFAULT && value->kind != HD_PENDING;
}

/* Equal, integers and floats told apart, and the two zeros. */
static bool is_identical(lua_State *L, int a, int b) {
    if (lua_type(L, a) == LUA_TNUMBER && !signbit(lua_tonumber(L, a)) != !signbit(lua_tonumber(L, b)))
        return false;
#if !HDL_DOUBLES
    if (lua_isinteger(L, a) != lua_isinteger(L, b)) return false;
#endif
    return lua_rawequal(L, a, b);
}

/* U7: a property that is given in another form than the stored one gets that. A table stays the program's own while
 * reading it gives the same. */
static void settle_column(apply *a, int c) {
    lua_State *L = a->L;
    const hdl_column *column = &a->entity->columns[c];
    const unsigned servers = HD_COL_GENERATED | HD_COL_VERSION;
    if (!column->raw || (column->core->flags & servers)) return;
    int top = lua_gettop(L);
    push_name(L, a->entity, c);
    lua_rawget(L, a->instance);
    lua_rawgeti(L, a->block, a->base + c + 1);
    if (hdl_is_mutable(column) ? !hdl_same_image(L, top + 1, top + 2) : !is_identical(L, top + 1, top + 2)) {
        note_given(a, c);
        push_name(L, a->entity, c);
        if (hdl_is_mutable(column))
            hdl_push_from_image(L, top + 2, column);
        else
            lua_pushvalue(L, top + 2);
        lua_rawset(L, a->instance);
    }
    lua_settop(L, top);
}

static void apply_column(apply *a, int c, const hd_value *value, bool came) {
    lua_State *L = a->L;
    set_snapshot(a, c, value);
    if (!came || !a->entity->columns[c].raw) return;
    push_name(L, a->entity, c);
    hdl_push_value(L, value, &a->entity->columns[c]);
    lua_rawset(L, a->instance);
}

static void apply_columns(apply *a, const hd_change *change) {
    for (int c = 0; c < a->entity->core.column_count; c++) {
        bool written = is_written(&change->set[c]);
        if (written) apply_column(a, c, &change->set[c], change->came[c] != 0);
        if (!written || !change->came[c]) settle_column(a, c);
    }
}

static void apply_key(apply *a, const hd_change *change) {
    hd_value key[HDL_KEY_COLUMNS];
    const hd_entity *entity = change->entity;
    bool changed = change->op == HD_INSERT;
    for (int k = 0; k < entity->key_count; k++) {
        const hd_value *set = &change->set[entity->key[k]];
        if (is_written(set)) changed = true;
        key[k] = is_written(set) || change->op == HD_INSERT ? *set : change->old[entity->key[k]];
    }
    if (!changed) return;
    if (hd_shelf_find(a->shelf, key) == change->slot) return;
    if (hd_shelf_drop_key(a->shelf, change->slot) != 0 ||
        hd_shelf_set_key(a->shelf, change->slot, key) < 0)
        luaL_error(a->L, "not enough memory");
}

/* flush:apply(id, state): keys, versions, defaults and normal forms go into the entity's instances and snapshots.
 * Deleted rows are the host's to detach. */
static int flush_apply(lua_State *L) {
    apply a;
    prepare_apply(L, &a);
    for (uint32_t i = 0; i < hd_flush_count(a.f->flush); i++) {
        const hd_change *change = hd_flush_change(a.f->flush, i);
        if (change->entity != &a.entity->core || change->op == HD_DELETE) continue;
        enter_row(&a, change->slot);
        apply_columns(&a, change);
        apply_key(&a, change);
        if (change->op == HD_INSERT &&
            hd_shelf_set_state(a.shelf, change->slot, HD_ROW_MANAGED) != 0)
            return luaL_error(L, "not enough memory");
    }
    return 0;
}

/* flush:settle(id, state, slot): a row without a change gets the forms that a read would give. */
static int flush_settle(lua_State *L) {
    apply a;
    lua_Integer slot = luaL_checkinteger(L, 4);
    prepare_apply(L, &a);
    enter_row(&a, (uint32_t)slot - 1);
    for (int c = 0; c < a.entity->core.column_count; c++) settle_column(&a, c);
    return 0;
}

static void revert_change(apply *a, const hd_change *change) {
    lua_State *L = a->L;
    for (int c = 0; c < a->entity->core.column_count; c++) {
        const hdl_column *column = &a->entity->columns[c];
        if (!is_written(&change->set[c])) continue;
        hd_value none = hd_null();
        const hd_value *old = change->op == HD_INSERT ? &none : &change->old[c];
        if (change->came[c] && column->raw) {
            push_name(L, a->entity, c);
            hdl_push_value(L, old, column);
            lua_rawset(L, a->instance);
        }
        set_snapshot(a, c, old);
    }
}

/* flush:revert(id, state): takes back what apply wrote into instances and snapshots. Keys and states are the session's
 * journal's. */
static int flush_revert(lua_State *L) {
    apply a;
    prepare_apply(L, &a);
    for (uint32_t i = hd_flush_count(a.f->flush); i-- > 0;) {
        const hd_change *change = hd_flush_change(a.f->flush, i);
        if (change->entity != &a.entity->core || change->op == HD_DELETE) continue;
        enter_row(&a, change->slot);
        if (lua_istable(L, a.instance)) revert_change(&a, change);
    }
    return 0;
}

/* flush:given() -> flat list instance, property, value of what normal forms replaced; empties it. */
static int flush_given(lua_State *L) {
    check_flush(L, 1);
    lua_getuservalue(L, 1);
    hdl_getfield(L, -1, "normal");
    lua_pushnil(L);
    lua_setfield(L, -3, "normal");
    return 1;
}

/* ---- Looking at changes ---- */

static int flush_count(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)hd_flush_count(check_flush(L, 1)->flush));
    return 1;
}

/* flush:change(i) -> "insert", "update" or "delete"; entity id; slot */
static int flush_change(lua_State *L) {
    static const char *const names[] = {"delete", "update", "insert"};
    const hd_change *change = check_change(L, check_flush(L, 1), 2);
    lua_pushstring(L, names[change->op]);
    lua_pushinteger(L, (lua_Integer)change->entity->id);
    lua_pushinteger(L, (lua_Integer)change->slot + 1);
    return 3;
}

/* flush:columns(i) -> { [column index] = new value or orm.null }, { ... = old value or orm.null } of what is written */
static int flush_columns(lua_State *L) {
    hdl_flush *f = check_flush(L, 1);
    const hd_change *change = check_change(L, f, 2);
    const hdl_entity *entity = entity_of(f, change);
    lua_newtable(L);
    lua_newtable(L);
    for (int c = 0; change->set && c < entity->core.column_count; c++) {
        const hd_value *pair[] = {&change->set[c], &change->old[c]};
        if (!is_written(pair[0])) continue;
        for (int side = 0; side < (change->op == HD_INSERT ? 1 : 2); side++) {
            if (pair[side]->kind == HD_NULL)
                lua_pushlightuserdata(L, NULL);
            else
                hdl_push_value(L, pair[side], &entity->columns[c]);
            lua_rawseti(L, side == 0 ? -3 : -2, c + 1);
        }
    }
    return 2;
}

static const luaL_Reg methods[] = {
    {"insert", flush_insert},   {"update", flush_update},   {"delete", flush_delete},
    {"touch", flush_touch}, {"settle", flush_settle},     {"set", flush_set},         {"pending", flush_pending},
    {"missing", flush_missing}, {"plan", flush_plan},       {"is_bare", flush_is_bare},
                                   {"can_commit", flush_can_commit},
    {"keys", flush_keys},       {"body", flush_body},       {"verify", flush_verify},
    {"blame", flush_blame},     {"replan", flush_replan},   {"apply", flush_apply},
    {"revert", flush_revert},   {"given", flush_given},     {"count", flush_count},
    {"change", flush_change},   {"columns", flush_columns}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"flush", flush_new}, {NULL, NULL}};

void hdl_open_flush(lua_State *L) {
    hdl_new_class(L, HDL_FLUSH, methods, flush_free);
    luaL_setfuncs(L, functions, 0);
}
