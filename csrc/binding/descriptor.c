/* Descriptor: another number for what a connection waits for, for schedulers that cannot bear that a number they watch is
 * closed, and perhaps given to something else. libpq closes and opens its own as it likes; this one is closed by who
 * made it, or with it. */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct descriptor {
    int fd; /* -1: closed */
} descriptor;

/* descriptor:close(), once or more. */
static int descriptor_free(lua_State *L) {
    descriptor *d = hdl_check_class(L, 1, HDL_DESCRIPTOR);
    if (d->fd >= 0) close(d->fd);
    d->fd = -1;
    return 0;
}

/* descriptor:number() */
static int descriptor_number(lua_State *L) {
    descriptor *d = hdl_check_class(L, 1, HDL_DESCRIPTOR);
    lua_pushinteger(L, d->fd);
    return 1;
}

/* core.descriptor(fd); raises driver where there are no more. */
static int descriptor_new(lua_State *L) {
    int fd = (int)luaL_checkinteger(L, 1);
    descriptor *d = hdl_new_userdata(L, sizeof *d, HDL_DESCRIPTOR);
    d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (d->fd >= 0) return 1;
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    hd_error_set(&err, HD_E_DRIVER, "no descriptor to wait with: %s", strerror(errno));
    return hdl_raise(L, &err);
}

static const luaL_Reg methods[] = {
    {"number", descriptor_number}, {"close", descriptor_free}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"descriptor", descriptor_new}, {NULL, NULL}};

void hdl_open_descriptor(lua_State *L) {
    hdl_new_class(L, HDL_DESCRIPTOR, methods, descriptor_free);
    luaL_setfuncs(L, functions, 0);
}
