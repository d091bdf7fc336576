/* Link for Lua. Methods that act give a status (0 done, 1 row, 2 wait, 3 host, 4 failed), for wait with fd or nil,
 * events ("r", "w", "rw") and seconds or nil. They never wait, but for link:block. */
#include "binding.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "pause.h"

enum { PIN_BATCH = 1 }; /* user value: what the running batch points into */

hd_link *hdl_check_link(lua_State *L, int index) {
    return hdl_check_class(L, index, HDL_LINK);
}

static int link_free(lua_State *L) {
    hd_link_free(hdl_check_link(L, 1));
    return 0;
}

static hd_link *open_link(lua_State *L) {
    hd_link *link = hdl_check_link(L, 1);
    luaL_argcheck(L, link->mem, 1, "link is closed");
    return link;
}

/* ---- Steps ---- */

int hdl_push_step(lua_State *L, hd_step step, const hd_wait *wait) {
    static const char *const events[] = {"", "r", "w", "rw"};
    lua_pushinteger(L, step);
    if (step != HD_WAIT) return 1;
    if (wait->fd >= 0) {
        lua_pushinteger(L, wait->fd);
        lua_pushstring(L, events[wait->events & 3]);
    } else {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    if (wait->until == HD_NEVER) {
        lua_pushnil(L);
    } else {
        hd_time left = wait->until - hd_now();
        lua_pushnumber(L, left > 0 ? (lua_Number)left / 1e6 : 0);
    }
    return 4;
}

static hd_wait no_wait(void) {
    hd_wait wait = {-1, 0, HD_NEVER};
    return wait;
}

static int link_step(lua_State *L) {
    hd_wait wait = no_wait();
    hd_step step = hdl_step(open_link(L), &wait);
    return hdl_push_step(L, step, &wait);
}

void hdl_pin(lua_State *L, int link_index, int value) {
    lua_getuservalue(L, link_index);
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, PIN_BATCH);
    lua_pop(L, 1);
}

static bool is_idle(const hd_link *link) {
    return link->state == HD_LINK_IDLE;
}

/* What runs, and nobody waits for it, was left by an error, such as an interpreter's at Ctrl-C. */
void hdl_link_ready(hd_link *link) {
    if (!is_idle(link) && !link->watched) hd_link_finish(link);
    if (is_idle(link)) hd_link_prepare(link);
}

int hdl_link_start(lua_State *L, int link_index, const hd_batch *batch, unsigned flags,
                   hd_time limit, int pinned) {
    hd_link *link = hdl_check_link(L, link_index);
    hd_wait wait = no_wait();
    hdl_pin(L, link_index, pinned);
    hd_step step = HD_FAILED;
    if (hd_link_run(link, batch, flags, limit) == HD_OK) step = hdl_step(link, &wait);
    return hdl_push_step(L, step, &wait);
}

/* The first answer of an operation is looked for; of a long result the rest is slept for, so that more of it comes at
 * once. NULL: sleep. */
static hd_spin *spin_of(hd_link *link) {
    if (!link->ticket.conn || link->looked == link->serial) return NULL;
    link->looked = link->serial;
    return &link->ticket.conn->spin;
}

hd_step hdl_block(hd_link *link, hd_wait *wait) {
    hd_time end = hd_now() + 50000;
    link->offload = false;
    if (link->waited && link->batch)
        hd_pause(&link->wait, 50000, spin_of(link)); /* what the start asked for */
    for (;;) {
        *wait = no_wait();
        hd_step step = hdl_step(link, wait);
        hd_time now = hd_now();
        if (step != HD_WAIT || now >= end || hd_link_is_queued(link)) return step;
        hd_pause(wait, end - now, spin_of(link));
    }
}

/* link:block(): carries the operation on, waiting in here, until it is something else than a wait or 50 ms are
 * over, so that an interpreter's signal hook gets its turn. A step without a wait before it would be in vain. */
static int link_block(lua_State *L) {
    hd_wait wait;
    hd_step step = hdl_block(open_link(L), &wait);
    return hdl_push_step(L, step, &wait);
}

/* core.sleep(seconds): the pause of the blocking adapter. */
static int core_sleep(lua_State *L) {
    const hd_wait wait = {-1, 0, HD_NEVER};
    hd_pause(&wait, (hd_time)(luaL_checknumber(L, 1) * 1e6), NULL);
    return 0;
}

/* core.is_terminal([descriptor]) -> whether it is one; standard error unless told. */
static int core_is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_optinteger(L, 1, STDERR_FILENO)));
    return 1;
}

/* ---- Queries ---- */

hd_error_kind hdl_bind(lua_State *L, hd_link *link, hdl_query *query, int params, uint32_t n) {
    hd_value *values = hd_arena_zero(&link->arena, (n + 1) * sizeof *values);
    hd_error *err = &link->error;
    if (!query->natural && n != query->param_count) luaL_error(L, "wrong number of parameters");
    if (!values) return hd_error_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        const hdl_column *column = query->natural ? NULL : &query->params[i];
        lua_rawgeti(L, params, (int)i + 1);
        hd_error_kind kind = column ? hdl_to_value(L, -1, column, &link->arena, &values[i], err)
                                    : hdl_to_natural(L, -1, &link->arena, &values[i], err);
        lua_pop(L, 1);
        if (kind != HD_OK) {
            if (column && column->core->property)
                hd_error_text(err, &err->column, column->core->property,
                              column->core->property_len);
            err->row = i;
            return kind;
        }
    }
    query->statement.params = values;
    query->statement.param_count = n;
    return HD_OK;
}

/* Seconds, or nil; at least a microsecond, and no more than a clock can count. */
hd_time hdl_limit(lua_State *L, int index) {
    lua_Number seconds = luaL_optnumber(L, index, 1e12);
    if (!(seconds < 1e12)) return HD_NEVER;
    return seconds * 1e6 < 1 ? 1 : (hd_time)(seconds * 1e6 + 0.5);
}

/* link:start(query, params, n, timeout, bare) -> step; FAILED and a number: the parameter that its column refuses */
static int link_start(lua_State *L) {
    hd_link *link = open_link(L);
    hdl_query *query = hdl_check_query(L, 2);
    uint32_t n = (uint32_t)luaL_optinteger(L, 4, 0);
    hd_wait wait = no_wait();
    hdl_link_ready(link);
    if (!is_idle(link)) {
        hd_error_set(&link->error, HD_E_BUSY, "an operation is running on this connection");
        return hdl_push_step(L, HD_FAILED, &wait);
    }
    if (hdl_bind(L, link, query, 3, n) != HD_OK) {
        hd_link_ask(link, NULL);
        lua_pushinteger(L, HD_FAILED);
        lua_pushinteger(L, (lua_Integer)link->error.row + 1);
        return 2;
    }
    /* The statement is copied: the query may run on several links at once. */
    hd_batch *batch = hd_arena_alloc(&link->arena, sizeof *batch);
    hd_statement *statement = hd_arena_alloc(&link->arena, sizeof *statement);
    if (!batch || !statement) {
        hd_error_memory(&link->error);
        return hdl_push_step(L, HD_FAILED, &wait);
    }
    *batch = query->batch;
    *statement = query->statement;
    batch->statements = statement;
    return hdl_link_start(L, 1, batch, lua_toboolean(L, 6) ? HD_RUN_BARE : 0, hdl_limit(L, 5), 2);
}

/* ---- Plain rows ---- */

/* Names of a result are interned once a result: an array on the stack at `names`. */
static void push_names(lua_State *L, const hd_link *link) {
    const hd_conn *conn = link->ticket.conn;
    lua_createtable(L, (int)conn->name_count, 0);
    for (uint32_t i = 0; i < conn->name_count; i++) {
        lua_pushlstring(L, conn->names[i].text, conn->names[i].len);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* The row, with absent fields for NULLs; whether there is one. */
static bool push_row(lua_State *L, const hd_link *link, const hdl_query *query, int names) {
    const hd_row *row = &link->row;
    bool has_null = false;
    lua_createtable(L, 0, (int)row->count);
    for (uint32_t i = 0; i < row->count; i++) {
        if (row->values[i].kind == HD_NULL) {
            has_null = true;
            continue;
        }
        lua_rawgeti(L, names, (int)i + 1);
        hdl_push_value(L, &row->values[i], query->results ? &query->results[i] : NULL);
        lua_rawset(L, -3);
    }
    return has_null;
}

/* link:rows(query, list, columns) -> status...: appends the rows from the one that stands ready on, as tables by column
 * name, to the list until the operation is something else. `columns` gets the names of the columns of each row that has
 * a NULL in it. */
static int link_rows(lua_State *L) {
    hd_link *link = open_link(L);
    const hdl_query *query = hdl_check_query(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    push_names(L, link);
    int count = (int)lua_rawlen(L, 3);
    hd_wait wait = no_wait();
    hd_step step = HD_ROW;
    while (step == HD_ROW) {
        if (push_row(L, link, query, 5)) {
            lua_pushvalue(L, -1);
            lua_pushvalue(L, 5);
            lua_rawset(L, 4);
        }
        lua_rawseti(L, 3, ++count);
        step = hdl_step(link, &wait);
    }
    return hdl_push_step(L, step, &wait);
}

/* link:arrays(query, list): the same, each row an array by position with its length in `n`. */
static int link_arrays(lua_State *L) {
    hd_link *link = open_link(L);
    const hdl_query *query = hdl_check_query(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    int count = (int)lua_rawlen(L, 3);
    hd_wait wait = no_wait();
    hd_step step = HD_ROW;
    while (step == HD_ROW) {
        const hd_row *row = &link->row;
        lua_createtable(L, (int)row->count, 0);
        for (uint32_t i = 0; i < row->count; i++) {
            hdl_push_value(L, &row->values[i], query->results ? &query->results[i] : NULL);
            lua_rawseti(L, -2, (int)i + 1);
        }
        lua_rawseti(L, 3, ++count);
        step = hdl_step(link, &wait);
    }
    return hdl_push_step(L, step, &wait);
}

/* link:affected() -> rows touched or returned by the last statement, last_insert_rowid, columns of its result */
static int link_affected(lua_State *L) {
    const hd_link *link = open_link(L);
    for (uint32_t i = link->run_count; i-- > 0;) {
        const hd_statement *statement = &link->run[i];
        if (i >= link->prefix_count && i != link->ask_at && statement->affected >= 0) {
            lua_pushinteger(L, (lua_Integer)statement->affected);
            lua_pushinteger(L, (lua_Integer)statement->last_id);
            lua_pushinteger(L, (lua_Integer)link->column_count);
            return 3;
        }
    }
    lua_pushinteger(L, 0);
    lua_pushinteger(L, 0);
    lua_pushinteger(L, 0);
    return 3;
}

/* Of an operation that failed: the statement that did. */
static uint32_t culprit(const hd_link *link) {
    int64_t at = (int64_t)link->error.statement + link->prefix_count;
    uint32_t last = 0;
    if (link->error.statement != -1 && at >= 0 && at < link->run_count) return (uint32_t)at;
    for (uint32_t i = 0; i < link->run_count; i++) {
        if (link->run[i].sent && link->run[i].affected < 0) return i;
        if (link->run[i].sent) last = i;
    }
    return last;
}

/* link:log(failed) -> list of { sql, rows, duration } of the statements that the last operation sent, and which of them
 * failed. */
static int link_log(lua_State *L) {
    const hd_link *link = open_link(L);
    uint32_t failed = lua_toboolean(L, 2) ? culprit(link) : UINT32_MAX;
    int count = 0, told = 0;
    lua_newtable(L);
    for (uint32_t i = 0; i < link->run_count; i++) {
        const hd_statement *statement = &link->run[i];
        if (!statement->sent) continue;
        lua_createtable(L, 0, 4);
        lua_pushlstring(L, statement->sql, statement->sql_len);
        lua_setfield(L, -2, "sql");
        if (statement->affected >= 0) {
            lua_pushinteger(L, (lua_Integer)statement->affected);
            lua_setfield(L, -2, "rows");
        }
        lua_pushnumber(L, (lua_Number)statement->elapsed / 1e6);
        lua_setfield(L, -2, "duration");
        lua_rawseti(L, -2, ++count);
        if (i <= failed) told = count;
    }
    if (failed == UINT32_MAX || told == 0) return 1;
    lua_pushinteger(L, told);
    return 2;
}

/* ---- State ---- */

/* link:error() -> the record of the last failure, with the text of the statement that met it. */
static int link_error(lua_State *L) {
    const hd_link *link = open_link(L);
    int64_t at = (int64_t)link->error.statement + link->prefix_count;
    hdl_push_error(L, &link->error);
    if (!link->error.sql && link->run && link->error.statement >= -(int64_t)link->prefix_count &&
        at >= 0 && at < link->run_count) {
        lua_pushlstring(L, link->run[at].sql, link->run[at].sql_len);
        lua_setfield(L, -2, "sql");
    }
    return 1;
}

static int link_need(lua_State *L) {
    static const char *const names[] = {NULL, "password", "on_connect"};
    lua_pushstring(L, names[open_link(L)->need]);
    return 1;
}

static int link_password(lua_State *L) {
    size_t len;
    hd_link *link = open_link(L);
    const char *password = luaL_checklstring(L, 2, &len);
    if (hd_ticket_password(&link->ticket, password, len) != 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

static int link_want_on_connect(lua_State *L) {
    open_link(L)->want_on_connect = lua_toboolean(L, 2);
    return 0;
}

/* link:watch(whether): somebody waits for the operation. */
static int link_watch(lua_State *L) {
    open_link(L)->watched = lua_toboolean(L, 2);
    return 0;
}

static int link_park(lua_State *L) {
    hd_link_park(open_link(L));
    return 0;
}

static int link_unpark(lua_State *L) {
    hd_link_unpark(open_link(L));
    return 0;
}

static int link_finish(lua_State *L) {
    hd_link_finish(open_link(L));
    return 0;
}

static int link_reset(lua_State *L) {
    hd_link_reset(open_link(L));
    return 0;
}

/* link:state() -> "idle" or "running", depth, over, began */
static int link_state(lua_State *L) {
    const hd_link *link = open_link(L);
    lua_pushstring(L, is_idle(link) ? "idle" : "running");
    lua_pushinteger(L, link->depth);
    lua_pushboolean(L, link->over);
    lua_pushboolean(L, link->began);
    return 4;
}

static int link_queued(lua_State *L) {
    lua_pushboolean(L, hd_link_is_queued(open_link(L)));
    return 1;
}

static int link_xid(lua_State *L) {
    const hd_link *link = open_link(L);
    if (link->xid[0])
        lua_pushstring(L, link->xid);
    else
        lua_pushnil(L);
    return 1;
}

/* link:ask(text): a statement of one short value that travels behind the next operation's. */
static int link_ask(lua_State *L) {
    hd_link *link = open_link(L);
    lua_getuservalue(L, 1);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "ask");
    hd_link_ask(link, lua_tostring(L, 2));
    return 0;
}

/* link:answer() -> what link:ask was answered, nil for NULL and for no answer. */
static int link_answer(lua_State *L) {
    const hd_link *link = open_link(L);
    if (link->answer[0])
        lua_pushstring(L, link->answer);
    else
        lua_pushnil(L);
    return 1;
}

/* link:wrote(): whether the transaction that was committed last had written something. */
static int link_wrote(lua_State *L) {
    lua_pushboolean(L, open_link(L)->wrote);
    return 1;
}

/* Whether the connection says that only a rollback helps. */
static int link_failed(lua_State *L) {
    const hd_link *link = open_link(L);
    hd_conn *conn = link->ticket.state == HD_TICKET_HELD ? link->ticket.conn : NULL;
    lua_pushboolean(L, link->over || (conn && conn->driver->status(conn, false) == HD_CONN_FAILED));
    return 1;
}

static int link_describe(lua_State *L) {
    char text[512] = "not connected";
    const hd_link *link = open_link(L);
    hd_conn *conn = link->ticket.conn;
    if (conn) conn->driver->describe(conn, text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

/* link:comment(place): where its statements come from, in a comment behind them; nil: none. */
static int link_comment(lua_State *L) {
    size_t len = 0;
    const char *place = luaL_optlstring(L, 2, NULL, &len);
    hd_link_comment(open_link(L), place, len);
    return 0;
}

/* link:keep(restore): the connection stays, until link:keep(nil), though no transaction is open; `restore` is what puts
 * its session right where that is never said. */
static int link_keep(lua_State *L) {
    hd_link *link = open_link(L);
    hdl_link_ready(link);
    if (hd_link_keep(link, luaL_optstring(L, 2, NULL)) != 0) luaL_error(L, "not enough memory");
    return 0;
}

/* link:label(text): who holds the connection, for messages. */
static int link_label(lua_State *L) {
    hd_link *link = open_link(L);
    lua_getuservalue(L, 1);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "label");
    link->ticket.label = lua_tostring(L, 2);
    return 0;
}

/* ---- Transactions ---- */

static int memory(lua_State *L, int failed) {
    return failed ? luaL_error(L, "not enough memory") : 0;
}

static int link_begin(lua_State *L) {
    return memory(L, hd_link_begin(open_link(L), luaL_checkstring(L, 2)) != 0);
}

static int link_savepoint(lua_State *L) {
    return memory(L, hd_link_savepoint(open_link(L)) != 0);
}

static int link_release(lua_State *L) {
    return memory(L, hd_link_release(open_link(L)) != 0);
}

/* The control operation was started: first step. */
static int control(lua_State *L, hd_link *link, hd_step step) {
    hd_wait wait = no_wait();
    if (step == HD_WAIT) step = hdl_step(link, &wait);
    return hdl_push_step(L, step, &wait);
}

/* link:hold() -> step...: has a connection, sends nothing. */
static int link_hold(lua_State *L) {
    hd_link *link = open_link(L);
    hdl_link_ready(link);
    return control(L, link, hd_link_hold(link));
}

static int link_rollback_to(lua_State *L) {
    hd_link *link = open_link(L);
    hdl_link_ready(link);
    return control(L, link, hd_link_rollback_to(link));
}

static int link_commit(lua_State *L) {
    hd_link *link = open_link(L);
    hdl_link_ready(link);
    return control(L, link, hd_link_commit(link));
}

static int link_rollback(lua_State *L) {
    hd_link *link = open_link(L);
    hdl_link_ready(link);
    return control(L, link, hd_link_rollback(link));
}

static const luaL_Reg methods[] = {{"start", link_start},
                                   {"step", link_step},
                                   {"block", link_block},
                                   {"rows", link_rows},
                                   {"arrays", link_arrays},
                                   {"affected", link_affected},
                                   {"log", link_log},
                                   {"error", link_error},
                                   {"need", link_need},
                                   {"password", link_password},
                                   {"want_on_connect", link_want_on_connect},
                                   {"watch", link_watch},
                                   {"park", link_park},
                                   {"unpark", link_unpark},
                                   {"finish", link_finish},
                                   {"reset", link_reset},
                                   {"state", link_state},
                                   {"queued", link_queued},
                                   {"xid", link_xid},
                                   {"failed", link_failed},
                                   {"ask", link_ask},
                                   {"answer", link_answer},
                                   {"wrote", link_wrote},
                                   {"describe", link_describe},
                                   {"label", link_label},
                                   {"comment", link_comment},
                                   {"begin", link_begin},
                                   {"hold", link_hold},
                                   {"keep", link_keep},
                                   {"savepoint", link_savepoint},
                                   {"release", link_release},
                                   {"rollback_to", link_rollback_to},
                                   {"commit", link_commit},
                                   {"rollback", link_rollback},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"sleep", core_sleep}, {"is_terminal", core_is_terminal}, {NULL, NULL}};

void hdl_open_link(lua_State *L) {
    hdl_new_class(L, HDL_LINK, methods, link_free);
    luaL_setfuncs(L, functions, 0);
    hdl_open_guard(L);
}
