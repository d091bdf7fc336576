/* Hydrators, and the simple way to use one: rows become instances of no entity manager. `hydrate.c` has the other. */
#include "hydrator.h"

hdl_hydrator *hdl_check_hydrator(lua_State *L, int index) {
    return hdl_check_class(L, index, HDL_HYDRATOR);
}

static int hydrator_free(lua_State *L) {
    hdl_hydrator *h = hdl_check_hydrator(L, 1);
    hd_free(&hd_allocator_libc, h->columns);
    hd_free(&hd_allocator_libc, h->key);
    hd_arena_free(&h->arena);
    hd_arena_init(&h->arena, &hd_allocator_libc);
    h->columns = NULL;
    h->key = NULL;
    h->others = NULL;
    h->count = h->other_count = 0;
    return 0;
}

static void find_discriminator(hdl_hydrator *h) {
    h->discriminator = -1;
    for (uint32_t i = 0; i < h->count && h->entity->kind_count > 0; i++) {
        if (h->columns[i] == h->entity->discriminator) h->discriminator = (int)i;
    }
}

bool hdl_has_kinds(lua_State *L, const hdl_hydrator *h) {
    if (h->entity->kind_count == 0) return false;
    if (h->discriminator < 0) luaL_error(L, "a result without the discriminator");
    return true;
}

static void find_key(lua_State *L, hdl_hydrator *h) {
    const hd_entity *entity = &h->entity->core;
    for (uint32_t k = 0; k < entity->key_count; k++) {
        h->key[k] = -1;
        for (uint32_t i = 0; i < h->count; i++) {
            if (h->columns[i] == entity->key[k]) h->key[k] = (int)i;
        }
        if (h->key[k] < 0) luaL_error(L, "a result without the primary key");
    }
}

/* The 1-based index on top of the stack, as the core counts; pops it. */
static uint16_t pop_index(lua_State *L, const hdl_entity *entity) {
    lua_Integer index = lua_tointeger(L, -1) - 1;
    lua_pop(L, 1);
    if (index < 0 || index >= entity->core.column_count) luaL_error(L, "no such column");
    return (uint16_t)index;
}

static void find_kind(hdl_hydrator *h) {
    h->flat = h->plain = h->entity->kind_count == 0;
    for (uint32_t i = 0; i < h->count; i++) {
        const hdl_column *column = &h->entity->columns[h->columns[i]];
        if (column->converts || hdl_is_mutable(column)) h->flat = false;
        if (!column->raw || column->as != HDL_AS_PLAIN) h->plain = false;
    }
    h->plain = h->plain && h->flat;
}

static void read_others(lua_State *L, hdl_hydrator *h) {
    uint32_t count = (uint32_t)lua_rawlen(L, 4);
    h->others = hd_arena_zero(&h->arena, (count + 1) * sizeof *h->others);
    if (!h->others) luaL_error(L, "not enough memory");
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, 4, (int)i + 1);
        hdl_column_read(L, lua_gettop(L), &h->arena, &h->others[i]);
        lua_pop(L, 1);
    }
    h->other_count = count;
}

/* core.hydrator(model, id, columns, others): columns are 1-based indexes of the entity's columns in the result's order;
 * others describes the columns, of whatever entity, that stand behind them. */
static int hydrator_new(lua_State *L) {
    hdl_model *model = hdl_check_model(L, 1);
    const hdl_entity *entity = hdl_check_entity(L, model, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 4);
    if (!lua_isnil(L, 4)) luaL_checktype(L, 4, LUA_TTABLE);
    hdl_hydrator *h = hdl_new_userdata(L, sizeof *h, HDL_HYDRATOR);
    hd_arena_init(&h->arena, &hd_allocator_libc);
    h->entity = entity;
    h->count = (uint32_t)lua_rawlen(L, 3);
    h->columns = hd_alloc_zero(&hd_allocator_libc, (h->count + 1) * sizeof *h->columns);
    h->key = hd_alloc_zero(&hd_allocator_libc, (entity->core.key_count + 1u) * sizeof *h->key);
    if (!h->columns || !h->key) return luaL_error(L, "not enough memory");
    lua_getuservalue(L, -1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "model");
    for (uint32_t i = 0; i < h->count; i++) {
        lua_rawgeti(L, 3, (int)i + 1);
        uint16_t index = pop_index(L, entity);
        h->columns[i] = index;
        h->raw_count += entity->columns[index].raw;
        h->converts = h->converts || entity->columns[index].converts;
        lua_pushlstring(L, entity->core.columns[index].property,
                        entity->core.columns[index].property_len);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pop(L, 1);
    h->full = h->count == entity->core.column_count;
    find_kind(h);
    find_key(L, h);
    find_discriminator(h);
    if (!lua_isnil(L, 4)) read_others(L, h);
    return 1;
}

const hdl_kind *hdl_push_kind(lua_State *L, const hdl_hydrator *h, const hd_value *values,
                              int kinds, const char *meta) {
    const hdl_column *column = &h->entity->columns[h->entity->discriminator];
    hdl_push_value(L, &values[h->discriminator], column);
    lua_pushvalue(L, -1);
    if (lua_isnil(L, -1) || hdl_rawget(L, kinds) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_insert(L, -2);
        lua_setfield(L, -2, "value");
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "unknown");
        return NULL;
    }
    hdl_getfield(L, -1, "place");
    const hdl_kind *kind = &h->entity->kinds[lua_tointeger(L, -1) - 1];
    hdl_getfield(L, -2, meta);
    lua_insert(L, -4);
    lua_pop(L, 3);
    return kind;
}

int hdl_add_others(lua_State *L, const hdl_hydrator *h, const hd_row *row, int index, int count) {
    for (uint32_t i = 0; i < h->other_count; i++) {
        hdl_push_value(L, &row->values[h->count + i], &h->others[i]);
        lua_rawseti(L, index, ++count);
    }
    return count;
}

void hdl_fill_plain(lua_State *L, const hdl_hydrator *h, const hd_value *values,
                    const hdl_kind *kind, int names) {
    int rest = 0, instance = lua_gettop(L);
    for (uint32_t i = 0; i < h->count; i++) {
        const hdl_column *column = &h->entity->columns[h->columns[i]];
        if (!hdl_owns(kind, h->columns[i])) continue;
        if (column->raw && values[i].kind != HD_NULL) {
            lua_rawgeti(L, names, (int)i + 1);
            hdl_push_value(L, &values[i], column);
            lua_rawset(L, instance);
        } else if (!column->raw) {
            if (rest == 0) {
                lua_newtable(L);
                rest = lua_gettop(L);
                lua_pushvalue(L, instance);
                lua_setfield(L, rest, "instance");
            }
            hdl_push_value(L, &values[i], column);
            lua_rawseti(L, rest, h->columns[i] + 1);
        }
    }
    if (rest == 0) lua_pushnil(L);
}

/* core.hydrate_plain(link, hydrator, meta, results, rest, others) -> step...: instances of no entity manager. `rest` gets,
 * for each row that has columns which are not raw, { instance =, [column index] = value }. Where entities share the
 * table, `meta` has their kinds by discriminator value. */
static int hydrate_plain(lua_State *L) {
    hd_link *link = hdl_check_link(L, 1);
    const hdl_hydrator *h = hdl_check_hydrator(L, 2);
    hd_wait wait = {-1, 0, HD_NEVER};
    hd_step step = HD_ROW;
    enum { NAMES = 7 };
    lua_settop(L, 6);
    if (h->other_count > 0) luaL_checktype(L, 6, LUA_TTABLE);
    lua_getuservalue(L, 2);
    int results = (int)lua_rawlen(L, 4), rest = (int)lua_rawlen(L, 5);
    int others = h->other_count > 0 ? (int)lua_rawlen(L, 6) : 0;
    bool has_kinds = hdl_has_kinds(L, h);
    while (step == HD_ROW) {
        const hd_value *values = link->row.values;
        const hdl_kind *kind = NULL;
        if (!has_kinds)
            lua_pushvalue(L, 3);
        else if (!(kind = hdl_push_kind(L, h, values, 3, "stored_meta")))
            lua_rawseti(L, 5, ++rest); /* the host raises */
        if (!has_kinds || kind) {
            lua_createtable(L, 0, (int)h->raw_count);
            hdl_fill_plain(L, h, values, kind, NAMES);
            if (lua_isnil(L, -1))
                lua_pop(L, 1);
            else
                lua_rawseti(L, 5, ++rest);
            lua_insert(L, -2);
            lua_setmetatable(L, -2);
            lua_rawseti(L, 4, ++results);
            others = hdl_add_others(L, h, &link->row, 6, others);
        }
        step = hdl_step(link, &wait);
    }
    return hdl_push_step(L, step, &wait);
}

static const luaL_Reg methods[] = {{NULL, NULL}};
static const luaL_Reg functions[] = {
    {"hydrator", hydrator_new}, {"hydrate_plain", hydrate_plain}, {NULL, NULL}};

void hdl_open_hydrator(lua_State *L) {
    hdl_new_class(L, HDL_HYDRATOR, methods, hydrator_free);
    luaL_setfuncs(L, functions, 0);
}
