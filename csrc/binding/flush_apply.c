/* Apply: what the database gave goes into instances and snapshots; revert takes it back. Keys and states are the
 * session's, and its journal's. */
#include "flush_rooms.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

typedef struct apply {
    lua_State *L;
    hdl_flush *f;
    const hdl_entity *entity;
    const hdl_kind *kind; /* of the row's instance */
    hd_shelf *shelf;
    int instances, blocks, instance, block, normal, names; /* places on the stack */
    int block_number, base, normal_count;
} apply;

static void push_name(const apply *a, int column) {
    lua_pushvalue(a->L, a->names + column);
}

/* The property's value in the instance. */
static void push_current(const apply *a, int column) {
    push_name(a, column);
    lua_rawget(a->L, a->instance);
}

/* (flush, id, state, ...) */
static void prepare_apply(lua_State *L, apply *a) {
    a->L = L;
    a->f = hdl_check_flush(L, 1);
    a->entity = hdl_check_entity(L, a->f->model, 2);
    lua_settop(L, 3);
    hdl_getfield(L, 3, "shelf");
    a->shelf = hdl_check_shelf(L, 4)->shelf;
    hdl_getfield(L, 3, "instances");
    hdl_getfield(L, 3, "blocks");
    lua_getuservalue(L, 1);
    a->normal_count = hdl_getfield(L, -1, "normal") == LUA_TTABLE ? (int)lua_rawlen(L, -1) : 0;
    lua_replace(L, 7);
    a->instances = 5;
    a->blocks = 6;
    a->normal = 7;
    a->instance = 8;
    a->block = 9;
    a->block_number = 0;
    a->names = 10;
    lua_settop(L, 9);
    luaL_checkstack(L, a->entity->core.column_count + 20, "apply");
    hdl_push_property_names(L, 1, a->entity);
}

void hdl_need_block(lua_State *L, int blocks, hdl_place place, int columns) {
    if (hdl_rawgeti(L, blocks, place.block) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_createtable(L, place.rows * columns, 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, blocks, place.block);
}

static void enter_row(apply *a, uint32_t slot) {
    lua_State *L = a->L;
    hdl_place place = hdl_locate(slot, a->entity->core.column_count);
    lua_rawgeti(L, a->instances, (int)slot + 1);
    lua_replace(L, a->instance);
    a->kind = hdl_kind_of(L, a->entity, a->instance);
    a->base = place.base;
    if (place.block == a->block_number) return;
    hdl_need_block(L, a->blocks, place, a->entity->core.column_count);
    lua_replace(L, a->block);
    a->block_number = place.block;
}

/* The list of what normal forms replaced, made for the first one. */
static void need_list(apply *a) {
    lua_State *L = a->L;
    if (lua_istable(L, a->normal)) return;
    lua_newtable(L);
    lua_replace(L, a->normal);
    lua_getuservalue(L, 1);
    lua_pushvalue(L, a->normal);
    lua_setfield(L, -2, "normal");
    lua_pop(L, 1);
}

/* A property whose stored form differs from what the program gave: the given one is remembered for revert. */
static void note_given(apply *a, int column) {
    lua_State *L = a->L;
    need_list(a);
    lua_pushvalue(L, a->instance);
    lua_rawseti(L, a->normal, ++a->normal_count);
    push_name(a, column);
    lua_rawseti(L, a->normal, ++a->normal_count);
    push_current(a, column);
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

bool hdl_is_identical(lua_State *L, int a, int b) {
    if (lua_type(L, a) == LUA_TNUMBER &&
        !signbit(lua_tonumber(L, a)) != !signbit(lua_tonumber(L, b)))
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
    if (!column->raw || (column->core->flags & servers) || !hdl_owns(a->kind, c)) return;
    int top = lua_gettop(L);
    push_current(a, c);
    lua_rawgeti(L, a->block, a->base + c + 1);
    if (hdl_is_mutable(column) ? !hdl_same_image(L, top + 1, top + 2)
                               : !hdl_is_identical(L, top + 1, top + 2)) {
        note_given(a, c);
        push_name(a, c);
        if (hdl_is_mutable(column))
            hdl_push_from_image(L, top + 2, column);
        else
            lua_pushvalue(L, top + 2);
        lua_rawset(L, a->instance);
    }
    lua_settop(L, top);
}

/* What the program gave and does not get back: an expression, or a new row's version in a row switch. */
static void note_overruled(apply *a, const hd_change *change, int c) {
    bool expressed = change->expressions && change->expressions[c];
    if (!expressed && (change->op != HD_INSERT || !change->twin)) return;
    lua_State *L = a->L;
    push_current(a, c);
    bool given = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (given) note_given(a, c);
}

static void apply_column(apply *a, const hd_change *change, int c) {
    lua_State *L = a->L;
    const hd_value *value = &change->set[c];
    set_snapshot(a, c, value);
    if (!change->came[c] || !a->entity->columns[c].raw) return;
    note_overruled(a, change, c);
    push_name(a, c);
    hdl_push_value(L, value, &a->entity->columns[c]);
    lua_rawset(L, a->instance);
}

/* Deleted rows are the host's to detach; pairs have no instances. */
static bool is_applied(const apply *a, const hd_change *change) {
    return change->entity == &a->entity->core && change->op != HD_DELETE &&
           change->slot != HD_NO_SLOT;
}

static bool is_float(lua_State *L, double expected) {
    if (lua_type(L, -1) != LUA_TNUMBER) return false;
#if !HDL_DOUBLES
    if (lua_isinteger(L, -1)) return false;
#endif
    double number = lua_tonumber(L, -1);
    return number == expected && !signbit(number) == !signbit(expected);
}

static bool is_integer(lua_State *L, int64_t expected) {
#if HDL_DOUBLES
    const int64_t exact = INT64_C(1) << 53;
    return expected < exact && expected > -exact && is_float(L, (double)expected);
#else
    return lua_isinteger(L, -1) && lua_tointeger(L, -1) == expected;
#endif
}

static bool is_text(lua_State *L, const hd_value *value) {
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING) return false;
    const char *text = lua_tolstring(L, -1, &len);
    return len == value->len && memcmp(text, value->as.p, len) == 0;
}

/* Does the value on top of the stack stand for the written one already, in the form in which it would be read? False also
 * where that would be long to tell. */
static bool is_normal(lua_State *L, const hdl_column *column, const hd_value *value) {
    if (column->as != HDL_AS_PLAIN || column->list) return false;
    switch (value->kind) {
    case HD_TEXT:
        return is_text(L, value);
    case HD_INT:
        return is_integer(L, value->as.i);
    case HD_FLOAT:
        return is_float(L, value->as.f);
    case HD_TIMESTAMP:
        return value->as.i % 1000000 == 0 ? is_integer(L, value->as.i / 1000000)
                                          : is_float(L, (double)value->as.i / 1e6);
    default:
        return false;
    }
}

/* What the program gave is what was written: it becomes the snapshot as it is. */
static bool keep_column(apply *a, const hd_change *change, int c) {
    lua_State *L = a->L;
    const hdl_column *column = &a->entity->columns[c];
    if (change->came[c] || !column->raw) return false;
    push_current(a, c);
    if (is_normal(L, column, &change->set[c])) {
        lua_rawseti(L, a->block, a->base + c + 1);
        return true;
    }
    lua_pop(L, 1);
    return false;
}

/* A flush that failed may have left something there (flush_new.c). */
static void forget_snapshot(apply *a, int column) {
    lua_pushnil(a->L);
    lua_rawseti(a->L, a->block, a->base + column + 1);
}

static void apply_columns(apply *a, const hd_change *change) {
    for (int c = 0; c < a->entity->core.column_count; c++) {
        if (change->set[c].flags & HDL_KEPT) continue;
        bool written = hdl_is_written(&change->set[c]);
        if (!hdl_owns(a->kind, c)) continue;
        if (written && keep_column(a, change, c)) continue;
        if (written) apply_column(a, change, c);
        if (!written && change->op == HD_INSERT) forget_snapshot(a, c);
        bool settled = !written && (change->flags & HD_CHANGE_SETTLED);
        if (!settled && (!written || !change->came[c])) settle_column(a, c);
    }
}

/* The key that the row has now; false: the one it had. */
static bool has_new_key(const hd_change *change, hd_value *key) {
    const hd_entity *entity = change->entity;
    bool changed = change->op == HD_INSERT;
    for (int k = 0; k < entity->key_count; k++) {
        const hd_value *set = &change->set[entity->key[k]];
        if (hdl_is_written(set)) changed = true;
        key[k] =
            hdl_is_written(set) || change->op == HD_INSERT ? *set : change->old[entity->key[k]];
    }
    return changed;
}

/* Keys may go round among the rows: all that change are given up before the first is taken. */
static void give_keys_up(apply *a) {
    hd_value key[HDL_KEY_COLUMNS];
    for (uint32_t i = 0; i < hd_flush_count(a->f->flush); i++) {
        const hd_change *change = hd_flush_change(a->f->flush, i);
        if (!is_applied(a, change) || change->op != HD_UPDATE || !has_new_key(change, key))
            continue;
        if (hd_shelf_find(a->shelf, key) == change->slot) continue;
        if (hd_shelf_drop_key(a->shelf, change->slot) != 0) luaL_error(a->L, "not enough memory");
    }
}

static void apply_key(apply *a, const hd_change *change) {
    hd_value key[HDL_KEY_COLUMNS];
    if (!has_new_key(change, key)) return;
    uint32_t owner = hd_shelf_find(a->shelf, key);
    if (owner == change->slot) return;
    bool switched = change->twin && owner == change->twin->slot;
    if ((switched && hd_shelf_drop_key(a->shelf, owner) != 0) ||
        hd_shelf_drop_key(a->shelf, change->slot) != 0 ||
        hd_shelf_set_key(a->shelf, change->slot, key) < 0)
        luaL_error(a->L, "not enough memory");
}

static void apply_changes(lua_State *L, apply *a) {
    prepare_apply(L, a);
    give_keys_up(a);
    for (uint32_t i = 0; i < hd_flush_count(a->f->flush); i++) {
        const hd_change *change = hd_flush_change(a->f->flush, i);
        if (!is_applied(a, change)) continue;
        enter_row(a, change->slot);
        apply_columns(a, change);
        apply_key(a, change);
        if (change->op == HD_INSERT &&
            hd_shelf_set_state(a->shelf, change->slot, HD_ROW_MANAGED) != 0)
            luaL_error(L, "not enough memory");
    }
}

/* flush:apply(id, state): keys, versions, defaults and normal forms go into the entity's instances and
 * snapshots. */
static int flush_apply(lua_State *L) {
    apply a;
    apply_changes(L, &a);
    return 0;
}

void hdl_flush_apply_for_good(lua_State *L) {
    apply a;
    apply_changes(L, &a);
    if (a.normal_count == 0) return;
    lua_getuservalue(L, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "normal");
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
        if (!hdl_is_written(&change->set[c]) || !hdl_owns(a->kind, c)) continue;
        hd_value none = hd_null();
        const hd_value *old = change->op == HD_INSERT ? &none : &change->old[c];
        if (change->came[c] && column->raw) {
            push_name(a, c);
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
        if (!is_applied(&a, change)) continue;
        enter_row(&a, change->slot);
        if (lua_istable(L, a.instance)) revert_change(&a, change);
    }
    return 0;
}

/* flush:given() -> flat list instance, property, value of what normal forms replaced; empties it. */
static int flush_given(lua_State *L) {
    hdl_check_flush(L, 1);
    lua_getuservalue(L, 1);
    hdl_getfield(L, -1, "normal");
    lua_pushnil(L);
    lua_setfield(L, -3, "normal");
    return 1;
}

const luaL_Reg hdl_flush_apply_methods[] = {{"apply", flush_apply},
                                            {"settle", flush_settle},
                                            {"revert", flush_revert},
                                            {"given", flush_given},
                                            {NULL, NULL}};
