/* Pool for Lua: core.pool(driver, options, limits). A userdata that owns one reference to an hd_pool. */
#include "binding.h"

typedef struct pool_box {
    hd_pool *pool;
} pool_box;

static hd_pool *check_pool(lua_State *L, int index) {
    pool_box *box = hdl_check_class(L, index, HDL_POOL);
    luaL_argcheck(L, box->pool, index, "pool is freed");
    return box->pool;
}

static int pool_free(lua_State *L) {
    pool_box *box = hdl_check_class(L, 1, HDL_POOL);
    if (box->pool) {
        hd_pool_close(box->pool);
        hd_pool_unref(box->pool);
    }
    box->pool = NULL;
    return 0;
}

static hd_time seconds_field(lua_State *L, int index, const char *name) {
    hd_time value = 0;
    if (hdl_getfield(L, index, name) == LUA_TNUMBER) value = (hd_time)(lua_tonumber(L, -1) * 1e6);
    lua_pop(L, 1);
    return value;
}

static uint32_t count_field(lua_State *L, int index, const char *name, uint32_t absent) {
    uint32_t value = absent;
    if (hdl_getfield(L, index, name) == LUA_TNUMBER) value = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void read_limits(lua_State *L, int index, hd_pool_limits *limits) {
    limits->min = count_field(L, index, "min", 0);
    limits->max = count_field(L, index, "max", 10);
    limits->idle_timeout = seconds_field(L, index, "idle_timeout");
    limits->max_lifetime = seconds_field(L, index, "max_lifetime");
    limits->acquire_timeout = seconds_field(L, index, "acquire_timeout");
    limits->connect_timeout = seconds_field(L, index, "connect_timeout");
    lua_getfield(L, index, "host_password");
    limits->host_password = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

/* The options' texts stay anchored in the table while the pool copies them. */
static size_t read_options(lua_State *L, int index, hd_option *options, size_t cap) {
    size_t count = lua_rawlen(L, index);
    luaL_argcheck(L, count <= cap, index, "too many options");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        options[i].name = luaL_checkstring(L, -2);
        options[i].value = luaL_checkstring(L, -1);
        lua_pop(L, 3);
    }
    return count;
}

static int pool_new(lua_State *L) {
    hd_option options[128];
    hd_pool_limits limits;
    hd_error err;
    luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    const hd_driver *driver = lua_touserdata(L, 1);
    size_t count = read_options(L, 2, options, sizeof options / sizeof *options);
    read_limits(L, 3, &limits);
    pool_box *box = hdl_new_userdata(L, sizeof *box, HDL_POOL);
    hd_error_init(&err, &hd_allocator_libc);
    box->pool = hd_pool_new(&hd_allocator_libc, driver, options, count, &limits, &err);
    return box->pool ? 1 : hdl_raise(L, &err);
}

/* core.driver(lightuserdata) -> name, version; raises config when it is not one for this core. */
static int driver_check(lua_State *L) {
    hd_error err;
    luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
    const hd_driver *driver = lua_touserdata(L, 1);
    hd_error_init(&err, &hd_allocator_libc);
    if (driver->abi != HD_DRIVER_ABI) {
        hd_error_set(&err, HD_E_CONFIG,
                     "driver of another version of Heddle (interface %u, wanted %u)",
                     (unsigned)driver->abi, (unsigned)HD_DRIVER_ABI);
        return hdl_raise(L, &err);
    }
    if (driver->check(&err) != HD_OK) return hdl_raise(L, &err);
    lua_pushstring(L, driver->name);
    lua_pushstring(L, driver->version());
    return 2;
}

static int pool_stats(lua_State *L) {
    hd_pool_stats stats;
    hd_pool_read_stats(check_pool(L, 1), &stats);
    lua_createtable(L, 0, 8);
#define PUT(name) (lua_pushinteger(L, (lua_Integer)stats.name), lua_setfield(L, -2, #name))
    PUT(size);
    PUT(idle);
    PUT(in_use);
    PUT(waiting);
    PUT(opened);
    PUT(closed);
    PUT(acquired);
    PUT(timeouts);
#undef PUT
    return 1;
}

static int pool_shut(lua_State *L) {
    hd_pool_close(check_pool(L, 1));
    return 0;
}

static int pool_holders(lua_State *L) {
    char text[1024];
    hd_pool_describe_holders(check_pool(L, 1), text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

/* pool:link() */
static int pool_link(lua_State *L) {
    hd_pool *pool = check_pool(L, 1);
    hd_link *link = hdl_new_userdata(L, sizeof *link, HDL_LINK);
    hd_link_init(link, pool);
    return 1;
}

static const luaL_Reg methods[] = {{"stats", pool_stats},
                                   {"shut", pool_shut},
                                   {"holders", pool_holders},
                                   {"link", pool_link},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"pool", pool_new}, {"driver", driver_check}, {NULL, NULL}};

void hdl_open_pool(lua_State *L) {
    hdl_new_class(L, HDL_POOL, methods, pool_free);
    luaL_setfuncs(L, functions, 0);
}
