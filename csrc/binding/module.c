/* heddle.core: the module that Lua requires. Opens the rooms of the binding and holds what they share: userdata
 * classes and the one place where a core error becomes a Lua error. */
#include "binding.h"

#include <limits.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

const char HDL_MODEL[] = "heddle.model";
const char HDL_POOL[] = "heddle.pool";
const char HDL_LINK[] = "heddle.link";
const char HDL_GUARD[] = "heddle.guard";
const char HDL_DESCRIPTOR[] = "heddle.descriptor";
const char HDL_WAITER[] = "heddle.waiter";
const char HDL_REQUEST[] = "heddle.request";
const char HDL_QUERY[] = "heddle.query";
const char HDL_SESSION[] = "heddle.session";
const char HDL_SHELF[] = "heddle.shelf";
const char HDL_HYDRATOR[] = "heddle.hydrator";
const char HDL_FLUSH[] = "heddle.flush";
const char HDL_CURSOR[] = "heddle.cursor";

/* Behind a userdata of ours stands its class. */
static const char *class_of(lua_State *L, int index, const char *p) {
    const char *name = NULL;
    size_t size = lua_rawlen(L, index);
    if (size > sizeof name) memcpy(&name, p + size - sizeof name, sizeof name);
    return name;
}

void *hdl_check_class(lua_State *L, int index, const char *name) {
    bool is_full = lua_type(L, index) == LUA_TUSERDATA;
    void *p = is_full ? lua_touserdata(L, index) : NULL;
    if (p && class_of(L, index, p) == name) return p;
    return luaL_checkudata(L, index, name); /* which raises */
}

void *hdl_new_userdata(lua_State *L, size_t size, const char *name) {
    size = (size + sizeof name - 1) / sizeof name * sizeof name;
    char *p = lua_newuserdata(L, size + sizeof name);
    memset(p, 0, size);
    memcpy(p + size, &name, sizeof name);
    lua_createtable(L, 2, 0); /* whoever pins something pins one or two */
    lua_setuservalue(L, -2);
    hdl_push_registered(L, name);
    lua_setmetatable(L, -2);
    return p;
}

void hdl_new_class(lua_State *L, const char *name, const luaL_Reg *methods,
                   lua_CFunction free_function) {
    luaL_newmetatable(L, name);
    lua_pushlightuserdata(L, (void *)name);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushcfunction(L, free_function);
    lua_setfield(L, -2, "close");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, free_function);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, free_function);
    lua_setfield(L, -2, "__close");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pop(L, 1);
}

void hdl_add_methods(lua_State *L, const char *name, const luaL_Reg *methods) {
    luaL_getmetatable(L, name);
    hdl_getfield(L, -1, "__index");
    luaL_setfuncs(L, methods, 0);
    lua_pop(L, 2);
}

/* ---- Errors ---- */

static void set_text(lua_State *L, const char *field, const char *text) {
    if (!text) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const char *field, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

void hdl_push_error(lua_State *L, const hd_error *err) {
    lua_createtable(L, 0, 8);
    set_text(L, "kind", hd_error_kind_name(err->kind));
    set_text(L, "message", err->message);
    set_text(L, "constraint", err->constraint);
    set_text(L, "table", err->table);
    set_text(L, "column", err->column);
    set_text(L, "detail", err->detail);
    set_text(L, "hint", err->hint);
    set_text(L, "cause", err->cause);
    set_text(L, "sql", err->sql);
    if (err->sqlstate[0]) set_text(L, "sqlstate", err->sqlstate);
    if (err->native) set_integer(L, "code", err->native);
    if (err->outcome == HD_OUTCOME_UNKNOWN) set_text(L, "outcome", "unknown");
}

static const char raise_key = 'r';

/* The record on top of the stack becomes an error object and is raised. */
static int raise_record(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&raise_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_insert(L, -2);
    if (lua_isfunction(L, -2)) lua_call(L, 1, 1);
    return lua_error(L);
}

int hdl_raise(lua_State *L, hd_error *err) {
    hdl_push_error(L, err);
    hd_error_clear(err);
    return raise_record(L);
}

int hdl_raise_value(lua_State *L, hd_error *err, const char *entity, const char *property) {
    hdl_push_error(L, err);
    lua_pushfstring(L, "%s.%s: %s", entity, property ? property : "?",
                    err->message ? err->message : "out of memory");
    lua_setfield(L, -2, "message");
    set_text(L, "entity", entity);
    set_text(L, "property", property);
    hd_error_clear(err);
    return raise_record(L);
}

/* core.on_error(fn): fn makes an error object of a record. */
static int on_error(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&raise_key);
    lua_pushvalue(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 0;
}

/* ---- Clock ---- */

int64_t hdl_now(void) {
    struct timeval t;
    gettimeofday(&t, NULL);
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

/* core.now() -> seconds since the epoch with microseconds, whole seconds as an integer. */
static int now(lua_State *L) {
    hd_value v = hd_int(hdl_now(), HD_T_TIMESTAMP);
    v.kind = HD_TIMESTAMP;
    hdl_push_value(L, &v, NULL);
    return 1;
}

/* core.clock() -> monotonic seconds. */
static int monotonic(lua_State *L) {
    lua_pushnumber(L, (lua_Number)hd_now() / 1e6);
    return 1;
}

/* ---- Place ---- */

/* core.directory() -> where the process stands, nil when it cannot be told. */
static int directory(lua_State *L) {
    char path[PATH_MAX];
    if (getcwd(path, sizeof path) == NULL) return 0;
    lua_pushstring(L, path);
    return 1;
}

static const luaL_Reg functions[] = {{"on_error", on_error},
                                     {"now", now},
                                     {"clock", monotonic},
                                     {"directory", directory},
                                     {NULL, NULL}};

__attribute__((visibility("default"))) int luaopen_heddle_core(lua_State *L);

int luaopen_heddle_core(lua_State *L) {
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    hdl_open_values(L);
    hdl_open_model(L);
    hdl_open_pool(L);
    hdl_open_link(L);
    hdl_open_descriptor(L);
    hdl_open_poller(L);
    hdl_open_request(L);
    hdl_open_interrupt(L);
    hdl_open_cursor(L);
    hdl_open_query(L);
    hdl_open_session(L);
    hdl_open_hydrate(L);
    hdl_open_places(L);
    hdl_open_owned(L);
    hdl_open_children(L);
    hdl_open_joined(L);
    hdl_open_find(L);
    hdl_open_prefetch(L);
    hdl_open_instance(L);
    hdl_open_flush(L);
    hdl_open_handle(L);
    hdl_open_member(L);
    return 1;
}
