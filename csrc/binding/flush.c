/* Flush for Lua: a change set from its making to its end, running the core's batches on a link, looking at changes.
 * Policy - which rows, which hooks, which transaction - is the host's; planning is the core's. Change indexes and slots
 * are 1-based. */
#include "flush_rooms.h"

hdl_flush *hdl_check_flush(lua_State *L, int index) {
    hdl_flush *f = hdl_check_class(L, index, HDL_FLUSH);
    luaL_argcheck(L, f->flush, index, "flush is closed");
    return f;
}

static int flush_free(lua_State *L) {
    hdl_flush *f = hdl_check_class(L, 1, HDL_FLUSH);
    if (f->flush) hd_flush_free(f->flush);
    f->flush = NULL;
    return 0;
}

/* core.flush(model, batch_size, now) */
static int flush_new(lua_State *L) {
    hdl_model *model = hdl_check_model(L, 1);
    hd_flush_options options = {model->dialect, (uint32_t)luaL_optinteger(L, 2, 0), 0,
                                &model->texts};
    options.now = (int64_t)(luaL_optnumber(L, 3, 0) * 1e6);
    hdl_flush *f = hdl_new_userdata(L, sizeof *f, HDL_FLUSH);
    f->model = model;
    f->flush = hd_flush_new(&hd_allocator_libc, &options);
    if (!f->flush) return luaL_error(L, "not enough memory");
    lua_getuservalue(L, -1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1); /* pinned */
    lua_pop(L, 1);
    return 1;
}

hd_change *hdl_check_change(lua_State *L, hdl_flush *f, int index) {
    lua_Integer i = luaL_checkinteger(L, index);
    luaL_argcheck(L, i >= 1 && (uint64_t)i <= hd_flush_count(f->flush), index, "no such change");
    return hd_flush_change(f->flush, (uint32_t)(i - 1));
}

const hdl_entity *hdl_entity_of(const hdl_flush *f, const hd_change *change) {
    return &f->model->entities[change->entity->id];
}

void hdl_push_property(lua_State *L, const hdl_entity *entity, int column) {
    lua_pushlstring(L, entity->core.columns[column].property,
                    entity->core.columns[column].property_len);
}

void hdl_push_property_names(lua_State *L, int flush, const hdl_entity *entity) {
    int first = lua_gettop(L) + 1;
    lua_getuservalue(L, flush);
    lua_rawgeti(L, -1, 1);
    hdl_push_names(L, entity);
    lua_replace(L, first);
    for (int c = 1; c < entity->core.column_count; c++) lua_rawgeti(L, first, c + 1);
    lua_rawgeti(L, first, 1);
    lua_replace(L, first);
}

int hdl_push_change(lua_State *L, const hd_change *change) {
    lua_pushinteger(L, (lua_Integer)change->index + 1);
    return 1;
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
    hdl_flush *f = hdl_check_flush(L, 1);
    hd_error_init(&err, &hd_allocator_libc);
    return hd_flush_plan(f->flush, &err) == HD_OK ? 0 : push_record(L, &err);
}

/* flush:can_commit(): whether COMMIT may go with the batch that flush:body gave last. */
static int flush_can_commit(lua_State *L) {
    lua_pushboolean(L, hd_flush_can_commit(hdl_check_flush(L, 1)->flush));
    return 1;
}

static int flush_is_bare(lua_State *L) {
    lua_pushboolean(L, hd_flush_is_bare(hdl_check_flush(L, 1)->flush));
    return 1;
}

typedef const hd_batch *(*next_batch)(hd_flush *flush, hd_error *err);

/* The next batch starts on the link: status..., nothing when there is none; raises what the core refuses. */
static int start(lua_State *L, next_batch next, unsigned flags) {
    hdl_flush *f = hdl_check_flush(L, 1);
    hd_link *link = hdl_check_link(L, 2);
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    const hd_batch *batch = next(f->flush, &err);
    if (!batch) return err.kind == HD_OK ? 0 : hdl_raise(L, &err);
    if (!hd_flush_can_commit(f->flush)) flags &= ~(unsigned)HD_RUN_COMMIT;
    hdl_link_ready(link);
    return hdl_link_start(L, 2, batch, flags, HD_NEVER, 1);
}

static int flush_keys(lua_State *L) {
    return start(L, hd_flush_keys, HD_RUN_XID);
}

/* flush:body(link, commit) */
static int flush_body(lua_State *L) {
    unsigned flags = HD_RUN_XID;
    if (lua_toboolean(L, 3)) flags |= HD_RUN_COMMIT;
    return start(L, hd_flush_body, flags);
}

/* flush:verify() -> nothing, or record, change, again */
static int flush_verify(lua_State *L) {
    hdl_flush *f = hdl_check_flush(L, 1);
    hd_error err;
    hd_change *change = NULL;
    hd_error_init(&err, &hd_allocator_libc);
    if (hd_flush_check(f->flush, &err) == HD_OK) return 0;
    bool again = hd_flush_blame(f->flush, &err, &change);
    push_record(L, &err);
    if (change)
        hdl_push_change(L, change);
    else
        lua_pushnil(L);
    lua_pushboolean(L, again);
    return 3;
}

/* flush:blame(link) -> record, change or nil, again: words the link's error. */
static int flush_blame(lua_State *L) {
    hdl_flush *f = hdl_check_flush(L, 1);
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
        hdl_push_change(L, change);
    else
        lua_pushnil(L);
    lua_pushboolean(L, again);
    return 3;
}

static void set_count(lua_State *L, const char *name, uint32_t count) {
    lua_pushinteger(L, (lua_Integer)count);
    lua_setfield(L, -2, name);
}

/* flush:report() -> what the plan did beyond ordering: rows `parked`, `switched` and `held` (written twice, the foreign
 * key NULL at first), statements that hold a ring (`whole`), 1 when foreign keys were `deferred` */
static int flush_report(lua_State *L) {
    hd_flush_report report = hd_flush_told(hdl_check_flush(L, 1)->flush);
    lua_createtable(L, 0, 5);
    set_count(L, "parked", report.parked);
    set_count(L, "switched", report.switched);
    set_count(L, "whole", report.whole);
    set_count(L, "held", report.held);
    set_count(L, "deferred", report.deferred);
    return 1;
}

static int flush_replan(lua_State *L) {
    hd_flush_replan(hdl_check_flush(L, 1)->flush);
    return 0;
}

/* ---- Looking at changes ---- */

static int flush_count(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)hd_flush_count(hdl_check_flush(L, 1)->flush));
    return 1;
}

/* flush:change(i) -> "insert", "update" or "delete"; entity id; slot, nil for a pair */
static int flush_change(lua_State *L) {
    static const char *const names[] = {"delete", "update", "insert"};
    const hd_change *change = hdl_check_change(L, hdl_check_flush(L, 1), 2);
    lua_pushstring(L, names[change->op]);
    lua_pushinteger(L, (lua_Integer)change->entity->id);
    if (change->slot == HD_NO_SLOT)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)change->slot + 1);
    return 3;
}

/* flush:is_switched(i): whether it is one UPDATE together with another change, the deletion or creation of its row. */
static int flush_is_switched(lua_State *L) {
    lua_pushboolean(L, hdl_check_change(L, hdl_check_flush(L, 1), 2)->twin != NULL);
    return 1;
}

/* flush:columns(i) -> { [column index] = new value or orm.null }, { ... = old value or orm.null } of what is written */
static int flush_columns(lua_State *L) {
    hdl_flush *f = hdl_check_flush(L, 1);
    const hd_change *change = hdl_check_change(L, f, 2);
    const hdl_entity *entity = hdl_entity_of(f, change);
    lua_newtable(L);
    lua_newtable(L);
    for (int c = 0; change->set && c < entity->core.column_count; c++) {
        const hd_value *pair[] = {&change->set[c], &change->old[c]};
        bool expressed = pair[0]->kind == HD_EXPRESSION;
        if (!expressed && !hdl_is_written(pair[0])) continue;
        for (int side = 0; side < (change->op == HD_INSERT ? 1 : 2); side++) {
            if (expressed && side == 0)
                hdl_push_expression(L, 1, change, c);
            else if (pair[side]->kind == HD_NULL)
                lua_pushlightuserdata(L, NULL);
            else
                hdl_push_value(L, pair[side], &entity->columns[c]);
            lua_rawseti(L, side == 0 ? -3 : -2, c + 1);
        }
    }
    return 2;
}

static const luaL_Reg methods[] = {{"plan", flush_plan},
                                   {"is_bare", flush_is_bare},
                                   {"can_commit", flush_can_commit},
                                   {"keys", flush_keys},
                                   {"body", flush_body},
                                   {"verify", flush_verify},
                                   {"blame", flush_blame},
                                   {"report", flush_report},
                                   {"replan", flush_replan},
                                   {"count", flush_count},
                                   {"change", flush_change},
                                   {"columns", flush_columns},
                                   {"is_switched", flush_is_switched},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"flush", flush_new}, {NULL, NULL}};

void hdl_open_flush(lua_State *L) {
    hdl_new_class(L, HDL_FLUSH, methods, flush_free);
    hdl_add_methods(L, HDL_FLUSH, hdl_flush_gather_methods);
    hdl_add_methods(L, HDL_FLUSH, hdl_flush_lane_methods);
    hdl_add_methods(L, HDL_FLUSH, hdl_flush_new_methods);
    hdl_add_methods(L, HDL_FLUSH, hdl_flush_apply_methods);
    luaL_setfuncs(L, functions, 0);
}
