/* Session and shelves for Lua. Slots are 1-based here (they index Lua arrays), 0-based in the core. */
#include "binding.h"

#include <string.h>

typedef struct session_box {
    hd_session *session;
} session_box;

static const char *const state_names[] = {"free",      "new",     "managed", "partial",
                                          "reference", "removed", NULL};

hd_session *hdl_check_session(lua_State *L, int index) {
    session_box *box = hdl_check_class(L, index, HDL_SESSION);
    luaL_argcheck(L, box->session, index, "session is closed");
    return box->session;
}

static int session_free(lua_State *L) {
    session_box *box = hdl_check_class(L, 1, HDL_SESSION);
    hd_session_free(box->session);
    box->session = NULL;
    return 0;
}

static int session_new(lua_State *L) {
    session_box *box = hdl_new_userdata(L, sizeof *box, HDL_SESSION);
    box->session = hd_session_new(&hd_allocator_libc);
    return box->session ? 1 : luaL_error(L, "not enough memory");
}

/* ---- Marks ---- */

static int session_mark(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)hd_session_mark(hdl_check_session(L, 1)));
    return 1;
}

static int session_has_marks(lua_State *L) {
    lua_pushboolean(L, hd_session_has_marks(hdl_check_session(L, 1)));
    return 1;
}

static int session_note(lua_State *L) {
    if (hd_session_note(hdl_check_session(L, 1), (uint64_t)luaL_checkinteger(L, 2)) != 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

/* session:rollback(mark) -> tokens, newest first */
static int session_rollback(lua_State *L) {
    hd_session *session = hdl_check_session(L, 1);
    hd_mark mark = (hd_mark)luaL_checkinteger(L, 2);
    uint64_t token;
    lua_newtable(L);
    for (int i = 1; hd_session_rollback(session, mark, &token); i++) {
        lua_pushinteger(L, (lua_Integer)token);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

static int session_forget(lua_State *L) {
    hd_session_forget(hdl_check_session(L, 1), (hd_mark)luaL_checkinteger(L, 2));
    return 0;
}

/* ---- Shelves ---- */

hdl_shelf *hdl_check_shelf(lua_State *L, int index) {
    hdl_shelf *shelf = hdl_check_class(L, index, HDL_SHELF);
    luaL_argcheck(L, shelf->shelf, index, "shelf is closed");
    return shelf;
}

static int shelf_free(lua_State *L) {
    hdl_shelf *shelf = hdl_check_class(L, 1, HDL_SHELF);
    shelf->shelf = NULL; /* the session's */
    if (shelf->scratch.mem) hd_arena_free(&shelf->scratch);
    return 0;
}

/* session:shelf(model, id) */
static int session_shelf(lua_State *L) {
    hd_session *session = hdl_check_session(L, 1);
    hdl_model *model = hdl_check_model(L, 2);
    hdl_entity *entity = hdl_check_entity(L, model, 3);
    hdl_shelf *shelf = hdl_new_userdata(L, sizeof *shelf, HDL_SHELF);
    hd_arena_init(&shelf->scratch, &hd_allocator_libc);
    shelf->session = session;
    shelf->entity = entity;
    shelf->shelf = hd_session_shelf(session, entity->core.id, entity->core.key_count);
    if (!shelf->shelf) return luaL_error(L, "not enough memory");
    lua_getuservalue(L, -1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 1);
    return 1;
}

/* ---- Keys ---- */

static void check_part(lua_State *L, hdl_shelf *shelf, int index, uint32_t part, hd_value *out) {
    const hd_entity *entity = &shelf->entity->core;
    const hdl_column *column = &shelf->entity->columns[entity->key[part]];
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    if (hdl_to_value(L, index, column, &shelf->scratch, out, &err) == HD_OK && out->kind != HD_NULL)
        return;
    if (err.kind == HD_OK) hd_error_set(&err, HD_E_VALIDATION, "a primary key cannot be NULL");
    hdl_raise_value(L, &err, entity->name, column->core->property);
}

void hdl_check_key(lua_State *L, hdl_shelf *shelf, int index, hd_value *key) {
    const hd_entity *entity = &shelf->entity->core;
    hd_arena_reset(&shelf->scratch);
    if (entity->key_count == 1 && !lua_istable(L, index)) {
        check_part(L, shelf, index, 0, key);
        return;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    for (uint32_t i = 0; i < entity->key_count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        check_part(L, shelf, lua_gettop(L), i, &key[i]);
        lua_pop(L, 1);
    }
}

static uint32_t check_slot(lua_State *L, hdl_shelf *shelf, int index) {
    lua_Integer slot = luaL_checkinteger(L, index);
    luaL_argcheck(L, slot >= 1 && (uint64_t)slot <= hd_shelf_count(shelf->shelf), index,
                  "no such row");
    return (uint32_t)(slot - 1);
}

/* shelf:find(key) -> slot or nil */
static int shelf_find(lua_State *L) {
    hd_value key[HDL_KEY_COLUMNS];
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    hdl_check_key(L, shelf, 2, key);
    uint32_t slot = hd_shelf_find(shelf->shelf, key);
    if (slot == HD_NO_SLOT)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)slot + 1);
    return 1;
}

/* shelf:set_key(slot, key) -> true, or false when another row has it */
static int shelf_set_key(lua_State *L) {
    hd_value key[HDL_KEY_COLUMNS];
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    uint32_t slot = check_slot(L, shelf, 2);
    hdl_check_key(L, shelf, 3, key);
    int result = hd_shelf_set_key(shelf->shelf, slot, key);
    if (result < 0) return luaL_error(L, "not enough memory");
    lua_pushboolean(L, result == 0);
    return 1;
}

static int shelf_drop_key(lua_State *L) {
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    if (hd_shelf_drop_key(shelf->shelf, check_slot(L, shelf, 2)) != 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

/* shelf:key(slot) -> the key's values in order, or nothing when the row has none yet */
static int shelf_key(lua_State *L) {
    hd_value key[HDL_KEY_COLUMNS];
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    const hd_entity *entity = &shelf->entity->core;
    if (!hd_shelf_key(shelf->shelf, check_slot(L, shelf, 2), key)) return 0;
    luaL_checkstack(L, entity->key_count, "key");
    for (uint32_t i = 0; i < entity->key_count; i++) {
        key[i].type = entity->columns[entity->key[i]].type;
        hdl_push_value(L, &key[i], &shelf->entity->columns[entity->key[i]]);
    }
    return entity->key_count;
}

/* ---- Values ---- */

bool hdl_same_value(lua_State *L, hdl_shelf *shelf, int column, int index, int snapshot) {
    const hdl_column *c = &shelf->entity->columns[column];
    hd_value now, then;
    hd_error err;
    if (hdl_is_mutable(c) ? hdl_same_image(L, index, snapshot) : lua_rawequal(L, index, snapshot))
        return true;
    hd_error_init(&err, &hd_allocator_libc);
    hd_arena_reset(&shelf->scratch);
    bool same = hdl_to_value(L, index, c, &shelf->scratch, &now, &err) == HD_OK &&
                hdl_from_snapshot(L, snapshot, c, &shelf->scratch, &then, &err) == HD_OK &&
                hd_value_equal(&now, &then);
    hd_error_clear(&err);
    return same;
}

/* shelf:same(column, value, snapshot): as hdl_same_value; column is a 1-based index. */
static int shelf_same(lua_State *L) {
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    lua_Integer column = luaL_checkinteger(L, 2);
    luaL_argcheck(L, column >= 1 && column <= shelf->entity->core.column_count, 2,
                  "no such column");
    lua_settop(L, 4);
    lua_pushboolean(L, hdl_same_value(L, shelf, (int)column - 1, 3, 4));
    return 1;
}

/* ---- Rows ---- */

/* shelf:add(state) -> slot */
static int shelf_add(lua_State *L) {
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    uint32_t slot =
        hd_shelf_add(shelf->shelf, (hd_row_state)luaL_checkoption(L, 2, NULL, state_names));
    if (slot == HD_NO_SLOT) return luaL_error(L, "not enough memory");
    lua_pushinteger(L, (lua_Integer)slot + 1);
    return 1;
}

static int shelf_state(lua_State *L) {
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    lua_pushstring(L, state_names[hd_shelf_state(shelf->shelf, check_slot(L, shelf, 2))]);
    return 1;
}

static int shelf_set_state(lua_State *L) {
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    uint32_t slot = check_slot(L, shelf, 2);
    if (hd_shelf_set_state(shelf->shelf, slot,
                           (hd_row_state)luaL_checkoption(L, 3, NULL, state_names)) != 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

static int shelf_remove(lua_State *L) {
    hdl_shelf *shelf = hdl_check_shelf(L, 1);
    if (hd_shelf_remove(shelf->shelf, check_slot(L, shelf, 2)) != 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

static int shelf_count(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)hd_shelf_count(hdl_check_shelf(L, 1)->shelf));
    return 1;
}

static const luaL_Reg session_methods[] = {{"mark", session_mark},
                                           {"has_marks", session_has_marks},
                                           {"note", session_note},
                                           {"rollback", session_rollback},
                                           {"forget", session_forget},
                                           {"shelf", session_shelf},
                                           {NULL, NULL}};
static const luaL_Reg shelf_methods[] = {{"find", shelf_find},
                                         {"set_key", shelf_set_key},
                                         {"drop_key", shelf_drop_key},
                                         {"key", shelf_key},
                                         {"add", shelf_add},
                                         {"state", shelf_state},
                                         {"set_state", shelf_set_state},
                                         {"remove", shelf_remove},
                                         {"count", shelf_count},
                                         {"same", shelf_same},
                                         {NULL, NULL}};
static const luaL_Reg functions[] = {{"session", session_new}, {NULL, NULL}};

void hdl_open_session(lua_State *L) {
    hdl_new_class(L, HDL_SESSION, session_methods, session_free);
    hdl_new_class(L, HDL_SHELF, shelf_methods, shelf_free);
    luaL_setfuncs(L, functions, 0);
}
