/* What a benchmark needs and Lua lacks: a monotonic clock, the choice of a processor, and how much
 * memory is in use.
 *
 *     local clock = require "bench.clock"
 *     local seconds, result = clock.measure(fn, a, b)     calls fn(a, b)
 *     clock.pin(pid, cpu)        one process (0: this one) to one processor
 *     clock.unpin(pid)           back to all of them
 *     clock.allocated()          bytes that malloc has given and not got back, its own headers too
 *
 * `measure` calls from C, through `measured_call`, so that callgrind can count what happens inside
 * of it and nothing else (bench/instructions.sh); it switches callgrind on for that time, because
 * whatever it watches takes fifty times as long. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <malloc.h>
#include <sched.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#endif

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((noinline)) static void measured_call(lua_State *L, int arguments) {
    lua_call(L, arguments, 1);
    __asm__ volatile("" ::: "memory"); /* else a jump to lua_call would replace this frame */
}

static int measure(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    CALLGRIND_START_INSTRUMENTATION;
    double start = now();
    measured_call(L, lua_gettop(L) - 1);
    double seconds = now() - start;
    CALLGRIND_STOP_INSTRUMENTATION;
    lua_pushnumber(L, seconds);
    lua_insert(L, -2);
    return 2;
}

static void set_processors(lua_State *L, pid_t pid, const cpu_set_t *set) {
    if (sched_setaffinity(pid, sizeof *set, set) != 0) {
        luaL_error(L, "process %d cannot be pinned: %s", (int)pid, strerror(errno));
    }
}

static int pin(lua_State *L) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)luaL_checkinteger(L, 2), &set);
    set_processors(L, (pid_t)luaL_checkinteger(L, 1), &set);
    return 0;
}

static int unpin(lua_State *L) {
    cpu_set_t set;
    memset(&set, 0xff, sizeof set);
    set_processors(L, (pid_t)luaL_checkinteger(L, 1), &set);
    return 0;
}

static int allocated(lua_State *L) {
    struct mallinfo2 info = mallinfo2();
    lua_pushnumber(L, (lua_Number)(info.uordblks + info.hblkhd));
    return 1;
}

__attribute__((visibility("default"))) int luaopen_bench_clock(lua_State *L);

int luaopen_bench_clock(lua_State *L) {
    lua_createtable(L, 0, 4);
    lua_pushcfunction(L, measure);
    lua_setfield(L, -2, "measure");
    lua_pushcfunction(L, pin);
    lua_setfield(L, -2, "pin");
    lua_pushcfunction(L, unpin);
    lua_setfield(L, -2, "unpin");
    lua_pushcfunction(L, allocated);
    lua_setfield(L, -2, "allocated");
    return 1;
}
