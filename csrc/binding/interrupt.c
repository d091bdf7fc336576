/* Ctrl-C in a program that goes on after it: the console.
 *
 * The stand-alone interpreter hears the first Ctrl-C of a script and ends at the second. Here each one sets a hook on
 * the thread that asked for it, which raises "interrupted!" at the next instruction, and reading from a terminal is
 * broken off by the signal. A statement of SQLite, which is one long step, is told to stop; others are waited for in
 * slices. What nobody hears - a C function that does not come back - ends the process at the third. */
#include <signal.h>

#include "hydrate.h"

enum { PATIENCE = 3 };

/* A signal belongs to the process, so that this cannot hang on an object. */
static lua_State *volatile listener;
static volatile sig_atomic_t unheard;
static struct sigaction former;
static hd_link *volatile stepping;

static void raise_interrupted(lua_State *L, lua_Debug *ar) {
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    unheard = 0;
    luaL_error(L, "interrupted!");
}

static void on_signal(int number) {
    if (++unheard >= PATIENCE || !listener) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    lua_sethook(listener, raise_interrupted, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
    hd_conn *conn = stepping ? stepping->ticket.conn : NULL;
    if (conn && conn->driver->cancels_at_once) conn->driver->cancel(conn, false);
}

hd_step hdl_step(hd_link *link, hd_wait *wait) {
    stepping = link;
    hd_step step = hd_link_step(link, wait);
    stepping = NULL;
    return step;
}

hd_step hdl_next(hd_link *link, hd_wait *wait) {
    stepping = link;
    bool there = hd_link_next(link);
    stepping = NULL;
    return there ? HD_ROW : hdl_step(link, wait);
}

/* core.interrupts(on): whether Ctrl-C raises "interrupted!" in the running thread, again and again. */
static int interrupts(lua_State *L) {
    int on = lua_toboolean(L, 1);
    if (on && !listener) {
        struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a read ends */
        sigemptyset(&action.sa_mask);
        sigaction(SIGINT, &action, &former);
    } else if (!on && listener) {
        sigaction(SIGINT, &former, NULL);
    }
    listener = on ? L : NULL;
    unheard = 0;
    return 0;
}

static const luaL_Reg functions[] = {{"interrupts", interrupts}, {NULL, NULL}};

void hdl_open_interrupt(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
