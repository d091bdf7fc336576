/* Query: an SQL text with the columns that its parameters and results belong to. Made once, run often. */
#include "binding.h"

#include <string.h>

hdl_query *hdl_check_query(lua_State *L, int index) {
    return hdl_check_class(L, index, HDL_QUERY);
}

static int query_free(lua_State *L) {
    hdl_query *query = hdl_check_query(L, 1);
    hd_arena_free(&query->arena);
    memset(query, 0, sizeof *query);
    hd_arena_init(&query->arena, &hd_allocator_libc);
    return 0;
}

static hdl_column *read_columns(lua_State *L, hdl_query *query, int index, uint32_t *count) {
    *count = (uint32_t)lua_rawlen(L, index);
    hdl_column *columns = hd_arena_zero(&query->arena, (*count + 1) * sizeof *columns);
    if (!columns) luaL_error(L, "not enough memory");
    for (uint32_t i = 0; i < *count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        hdl_column_read(L, lua_gettop(L), &query->arena, &columns[i]);
        lua_pop(L, 1);
    }
    return columns;
}

static void result_types(lua_State *L, hdl_query *query) {
    uint8_t *types = hd_arena_zero(&query->arena, query->result_count + 1);
    if (!types) luaL_error(L, "not enough memory");
    for (uint32_t i = 0; i < query->result_count; i++) types[i] = query->results[i].core->type;
    query->statement.types = types;
    query->statement.type_count = query->result_count;
}

/* core.query(sql, params, results, options): params and results are lists of columns or descriptors, or nil for
 * raw SQL. options: cache = false (one-shot text), simple = true (a script). */
static int query_new(lua_State *L) {
    size_t len;
    const char *sql = luaL_checklstring(L, 1, &len);
    lua_settop(L, 4);
    hdl_query *query = hdl_new_userdata(L, sizeof *query, HDL_QUERY);
    hd_arena_init(&query->arena, &hd_allocator_libc);
    hd_statement *statement = &query->statement;
    statement->sql = hd_arena_copy(&query->arena, sql, len);
    if (!statement->sql) return luaL_error(L, "not enough memory");
    statement->sql_len = len;
    statement->hash = hd_sql_hash(sql, len);
    statement->repeat = 1;
    statement->expect = -1;
    statement->cache = true;
    query->natural = lua_isnil(L, 2);
    if (!query->natural) query->params = read_columns(L, query, 2, &query->param_count);
    if (!lua_isnil(L, 3)) {
        query->results = read_columns(L, query, 3, &query->result_count);
        result_types(L, query);
    }
    if (lua_istable(L, 4)) {
        hdl_getfield(L, 4, "cache");
        if (!lua_isnil(L, -1)) statement->cache = lua_toboolean(L, -1);
        hdl_getfield(L, 4, "simple");
        statement->simple = lua_toboolean(L, -1);
        lua_pop(L, 2);
    }
    query->batch.statements = statement;
    query->batch.count = 1;
    return 1;
}

static const luaL_Reg methods[] = {{NULL, NULL}};
static const luaL_Reg functions[] = {{"query", query_new}, {NULL, NULL}};

void hdl_open_query(lua_State *L) {
    hdl_new_class(L, HDL_QUERY, methods, query_free);
    luaL_setfuncs(L, functions, 0);
}
