/* One row by its key: the query, its parameter, the row and its instance in one call, where the general way makes lists
 * of all of them. What waits for longer than a moment the host carries on, and comes back for the row. */
#include "hydrate.h"

enum { LINK = 1, QUERY, HYDRATOR, STATE, KEY, MAY_BLOCK };

/* The key goes into the link's arena. False: its column refuses it. */
static bool take_key(lua_State *L, hd_link *link, hdl_query *query, hd_value *key) {
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    bool taken = hdl_to_value(L, KEY, &query->params[0], &link->arena, key, &err) == HD_OK &&
                 key->kind != HD_NULL;
    hd_error_clear(&err);
    return taken;
}

static void start(lua_State *L, hd_link *link, const hdl_query *query, hd_value *key) {
    hd_batch *batch = hd_arena_alloc(&link->arena, sizeof *batch);
    hd_statement *statement = hd_arena_alloc(&link->arena, sizeof *statement);
    if (!batch || !statement) luaL_error(L, "not enough memory");
    *batch = query->batch;
    *statement = query->statement;
    statement->params = key;
    statement->param_count = 1;
    batch->statements = statement;
    hdl_pin(L, LINK, QUERY);
    if (hd_link_run(link, batch, 0, HD_NEVER) != HD_OK) luaL_error(L, "the link is not ready");
}

/* The row that stands ready becomes an instance, on top of the stack. True: the host has to finish it, by the table that
 * is then below. */
static bool take_row(lua_State *L) {
    hdl_run r;
    int late = 0, base = lua_gettop(L);
    hdl_push_part(L, STATE, HDL_PART_SHELF);
    lua_pushvalue(L, LINK);
    lua_pushvalue(L, HYDRATOR);
    lua_pushvalue(L, STATE);
    lua_pushvalue(L, lua_upvalueindex(1)); /* results: none are listed */
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushnil(L);
    hdl_run_enter(L, &r, base, &late);
    if (hdl_run_row(&r, r.link->row.values) == HD_NO_SLOT) luaL_error(L, "a row of no kind");
    if (late == 0) return false;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, -2);
    lua_newtable(L);
    lua_replace(L, lua_upvalueindex(1));
    return true;
}

/* From the status of a step on: status, instance or nil, what is late of it or nil, and what a wait is for. */
static int finish(lua_State *L, hd_link *link, hd_step step, hd_wait *wait) {
    int instance = 0;
    bool late = false;
    if (step == HD_ROW) {
        late = take_row(L);
        instance = lua_gettop(L);
        step = hdl_step(link, wait);
    }
    if (step == HD_ROW) { /* a key has one row */
        hd_link_finish(link);
        step = HD_DONE;
    }
    lua_pushinteger(L, step);
    if (!instance && step == HD_DONE) return 1;
    if (instance)
        lua_pushvalue(L, instance);
    else
        lua_pushnil(L);
    if (late)
        lua_pushvalue(L, instance - 1);
    else
        lua_pushnil(L);
    if (step != HD_WAIT) return 3;
    int count = hdl_push_step(L, step, wait);
    lua_remove(L, -count); /* its status is there already */
    return 3 + count - 1;
}

/* core.find(link, query, hydrator, state, key, may_block) -> nothing when that key is managed already or cannot be one;
 * else as core.found. `may_block`: a wait for the database may be waited for in here. */
static int find(lua_State *L) {
    hd_value *key;
    hd_wait wait = {-1, 0, HD_NEVER};
    lua_settop(L, MAY_BLOCK);
    hd_link *link = hdl_check_link(L, LINK);
    hdl_query *query = hdl_check_query(L, QUERY);
    hdl_link_ready(link);
    if (!link->mem || link->state != HD_LINK_IDLE || link->over) return 0;
    key = hd_arena_alloc(&link->arena, sizeof *key);
    if (!key) return luaL_error(L, "not enough memory");
    hdl_push_part(L, STATE, HDL_PART_SHELF);
    const hdl_shelf *shelf = hdl_check_shelf(L, -1);
    lua_pop(L, 1);
    if (!take_key(L, link, query, key) || hd_shelf_find(shelf->shelf, key) != HD_NO_SLOT) return 0;
    start(L, link, query, key);
    hd_step step = hdl_step(link, &wait);
    if (step == HD_WAIT && wait.fd >= 0 && lua_toboolean(L, MAY_BLOCK))
        step = hdl_block(link, &wait);
    return finish(L, link, step, &wait);
}

/* core.found(link, nil, hydrator, state) -> status, instance, late, fd, events, seconds. The row stands ready. */
static int found(lua_State *L) {
    hd_wait wait = {-1, 0, HD_NEVER};
    lua_settop(L, MAY_BLOCK);
    return finish(L, hdl_check_link(L, LINK), HD_ROW, &wait);
}

void hdl_open_find(lua_State *L) {
    static const luaL_Reg functions[] = {{"find", find}, {"found", found}, {NULL, NULL}};
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_newtable(L);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}
