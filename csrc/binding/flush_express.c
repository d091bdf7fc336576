/* Expressions: `user.visits = orm.raw("visits + ?", 2)`. A value of that kind becomes texts and parameters of a change;
 * the object itself is kept for those who look at the change before the database has evaluated it. */
#include "flush_rooms.h"

#include <string.h>

bool hdl_is_expression(lua_State *L, int index) {
    if (!lua_istable(L, index) || !luaL_getmetafield(L, index, "__name")) return false;
    bool is = lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "heddle.operator");
    lua_pop(L, 1);
    if (!is) return false;
    is = hdl_getfield(L, index, "kind") == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "raw");
    lua_pop(L, 1);
    return is;
}

/* The table of the user value that holds the objects of a change, made when it is missing; pushed. */
static void push_kept(lua_State *L, int flush, const hd_change *change) {
    lua_getuservalue(L, flush);
    if (hdl_getfield(L, -1, "expressions") != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "expressions");
    }
    lua_remove(L, -2);
    if (hdl_rawgeti(L, -1, (int)change->index + 1) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (int)change->index + 1);
    }
    lua_remove(L, -2);
}

void hdl_push_expression(lua_State *L, int flush, const hd_change *change, int column) {
    push_kept(L, flush, change);
    lua_rawgeti(L, -1, column + 1);
    lua_remove(L, -2);
}

static void *take(lua_State *L, hdl_flush *f, size_t size) {
    void *p = hd_arena_zero(hd_flush_arena(f->flush), size ? size : 1);
    if (!p) luaL_error(L, "not enough memory");
    return p;
}

/* The pieces of its text for this database, from the table on top of the stack. */
static const hd_value *take_texts(lua_State *L, hdl_flush *f, uint32_t count) {
    hd_value *texts = take(L, f, (count + 1) * sizeof *texts);
    for (uint32_t i = 0; i <= count; i++) {
        size_t len;
        lua_rawgeti(L, -1, (int)i + 1);
        const char *text = luaL_checklstring(L, -1, &len);
        const char *copy = hd_arena_copy(hd_flush_arena(f->flush), text, len);
        if (!copy) luaL_error(L, "not enough memory");
        texts[i] = hd_bytes(HD_TEXT, copy, len, HD_T_TEXT);
        lua_pop(L, 1);
    }
    return texts;
}

/* Its parameters, which the database types by their place, from the list on top of the stack. */
static const hd_value *take_params(lua_State *L, hdl_flush *f, const hdl_entity *entity, int column,
                                   uint32_t count) {
    hd_value *params = take(L, f, count * sizeof *params);
    for (uint32_t i = 0; i < count; i++) {
        hd_error err;
        hd_error_init(&err, &hd_allocator_libc);
        lua_rawgeti(L, -1, (int)i + 1);
        if (hdl_to_natural(L, -1, hd_flush_arena(f->flush), &params[i], &err) != HD_OK)
            hdl_raise_value(L, &err, entity->core.name, entity->core.columns[column].property);
        params[i].type = HD_T_UNKNOWN;
        lua_pop(L, 1);
    }
    return params;
}

void hdl_express(lua_State *L, int flush, hd_change *change, int column) {
    hdl_flush *f = hdl_check_flush(L, flush);
    const hdl_entity *entity = hdl_entity_of(f, change);
    int top = lua_gettop(L);
    if (entity->core.columns[column].flags & (HD_COL_PRIMARY | HD_COL_VERSION)) {
        hd_error err;
        hd_error_init(&err, &hd_allocator_libc);
        hd_error_set(&err, HD_E_VALIDATION, "a key or version cannot be an expression");
        hdl_raise_value(L, &err, entity->core.name, entity->core.columns[column].property);
    }
    lua_getfield(L, top, "parts"); /* object:parts(driver) -> pieces of text, parameters */
    lua_pushvalue(L, top);
    lua_pushstring(L, f->model->dialect->row_sequence ? "sqlite" : "postgres");
    lua_call(L, 2, 2);
    hd_expression *x = take(L, f, sizeof *x);
    x->count = (uint32_t)lua_rawlen(L, -2) - 1;
    x->params = take_params(L, f, entity, column, x->count);
    lua_pop(L, 1);
    x->texts = take_texts(L, f, x->count);
    if (!hd_flush_express(f->flush, change, (uint16_t)column, x))
        luaL_error(L, "not enough memory");
    push_kept(L, flush, change);
    lua_pushvalue(L, top);
    lua_rawseti(L, -2, column + 1);
    lua_settop(L, top);
}
