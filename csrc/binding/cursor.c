/* Cursor for Lua. A userdata that owns one hd_cursor, which reads over one link: collected, it frees what the database
 * has of it, on every interpreter. */
#include "binding.h"

#include "cursor.h"

enum { LINK = 1 }; /* user value */

typedef struct cursor_box {
    hd_cursor *cursor; /* NULL: closed */
    uint32_t count;    /* rows of one operation */
} cursor_box;

static cursor_box *check_cursor(lua_State *L, int index) {
    return hdl_check_class(L, index, HDL_CURSOR);
}

static int cursor_free(lua_State *L) {
    cursor_box *box = check_cursor(L, 1);
    if (box->cursor) hd_cursor_free(box->cursor);
    box->cursor = NULL;
    return 0;
}

/* core.cursor(link, count): `count` rows at a time */
static int cursor_new(lua_State *L) {
    hdl_check_link(L, 1);
    uint32_t count = (uint32_t)luaL_checkinteger(L, 2);
    cursor_box *box = hdl_new_userdata(L, sizeof *box, HDL_CURSOR);
    box->cursor = hd_cursor_new(&hd_allocator_libc);
    if (!box->cursor) return luaL_error(L, "not enough memory");
    box->count = count;
    lua_getuservalue(L, -1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, LINK);
    lua_pop(L, 1);
    return 1;
}

/* cursor:start(query, params, n, timeout) -> as link:start, for the next rows. Parameters are read when it opens. */
static int cursor_start(lua_State *L) {
    const cursor_box *box = check_cursor(L, 1);
    hdl_query *query = hdl_check_query(L, 2);
    uint32_t n = (uint32_t)luaL_optinteger(L, 4, 0);
    hd_wait wait = {-1, 0, HD_NEVER};
    luaL_argcheck(L, box->cursor, 1, "cursor is closed");
    lua_settop(L, 5);
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, LINK);
    int at = lua_gettop(L);
    hd_link *link = hdl_check_link(L, at);
    luaL_argcheck(L, link->mem, 1, "link is closed");
    hdl_link_ready(link);
    if (link->state == HD_LINK_IDLE) {
        if (hdl_bind(L, link, query, 3, n) != HD_OK) {
            hd_link_ask(link, NULL);
            lua_pushinteger(L, HD_FAILED);
            lua_pushinteger(L, (lua_Integer)link->error.row + 1);
            return 2;
        }
        hdl_pin(L, at, 2);
    }
    hd_step step = HD_FAILED;
    hd_time limit = hdl_limit(L, 5);
    if (hd_cursor_fetch(box->cursor, link, &query->statement, box->count, limit) == HD_OK)
        step = hdl_step(link, &wait);
    return hdl_push_step(L, step, &wait);
}

static int cursor_has_more(lua_State *L) {
    const cursor_box *box = check_cursor(L, 1);
    lua_pushboolean(L, box->cursor && hd_cursor_has_more(box->cursor));
    return 1;
}

/* cursor:ended() -> nil, or why: "outlived" (its transaction, its savepoint), "lost", "failed", "closed". */
static int cursor_ended(lua_State *L) {
    static const char *const names[] = {NULL, "outlived", "lost", "failed"};
    const cursor_box *box = check_cursor(L, 1);
    lua_pushstring(L, box->cursor ? names[hd_cursor_end(box->cursor)] : "closed");
    return 1;
}

static const luaL_Reg methods[] = {
    {"start", cursor_start}, {"has_more", cursor_has_more}, {"ended", cursor_ended}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"cursor", cursor_new}, {NULL, NULL}};

void hdl_open_cursor(lua_State *L) {
    hdl_new_class(L, HDL_CURSOR, methods, cursor_free);
    luaL_setfuncs(L, functions, 0);
}
