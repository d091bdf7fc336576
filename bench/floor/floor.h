/* What the two floors share: the author as a C struct and as a Lua table, and instants.
 *
 * The floor is what an expert writes by hand for this one table and these workloads: no metadata,
 * no snapshot, no identity map, no choice made at run time. What Heddle costs is measured against
 * it, so it must be as fast as its libraries allow: prepared statements, binary results, many rows
 * a statement, nothing copied that need not be, one presized Lua table a row with its keys interned
 * before the loop. It leaves the collector alone. */
#ifndef FLOOR_H
#define FLOOR_H

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, i) lua_objlen(L, i)
#endif

#define FLOOR_EXPORT __attribute__((visibility("default")))

enum { FLOOR_COLUMNS = 6, FLOOR_STAMP = 26 /* "2017-07-14 02:40:00.000000" */ };

typedef struct floor_author {
    int64_t id, created_at; /* microseconds since 1970 */
    double rating;
    int32_t age;
    const char *name, *email; /* borrowed */
    size_t name_len, email_len;
} floor_author;

/* ---- instants ---- */

static inline unsigned floor_pair(const char *text) {
    return (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
}

/* Years are counted from March, so that a leap day is the last of its year; for years 1 to 9999. */
static inline int64_t floor_instant(const char text[FLOOR_STAMP]) {
    unsigned year = floor_pair(text) * 100 + floor_pair(text + 2), month = floor_pair(text + 5);
    unsigned years = month > 2 ? year : year - 1, months = month > 2 ? month - 3 : month + 9;
    int64_t days = (int64_t)years * 365 + years / 4 - years / 100 + years / 400 +
                   (months * 153 + 2) / 5 + floor_pair(text + 8) - 1 - 719468;
    int64_t seconds = days * 86400 + floor_pair(text + 11) * 3600 + floor_pair(text + 14) * 60 +
                      floor_pair(text + 17);
    return seconds * 1000000 + floor_pair(text + 20) * 10000 + floor_pair(text + 22) * 100 +
           floor_pair(text + 24);
}

static inline void floor_put_pair(char *out, unsigned value) {
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

/* For instants from 1970 on. */
static inline void floor_stamp(int64_t instant, char out[FLOOR_STAMP]) {
    unsigned us = (unsigned)(instant % 1000000), second = (unsigned)(instant / 1000000 % 86400);
    unsigned day = (unsigned)(instant / INT64_C(86400000000)) + 719468;
    unsigned era = day / 146097, rest = day % 146097;
    unsigned year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    rest -= year * 365 + year / 4 - year / 100;
    unsigned months = (rest * 5 + 2) / 153, month = months < 10 ? months + 3 : months - 9;
    year += era * 400 + (month < 3);
    memcpy(out, "0000-00-00 00:00:00.000000", FLOOR_STAMP);
    floor_put_pair(out, year / 100);
    floor_put_pair(out + 2, year % 100);
    floor_put_pair(out + 5, month);
    floor_put_pair(out + 8, rest - (months * 153 + 2) / 5 + 1);
    floor_put_pair(out + 11, second / 3600);
    floor_put_pair(out + 14, second / 60 % 60);
    floor_put_pair(out + 17, second % 60);
    floor_put_pair(out + 20, us / 10000);
    floor_put_pair(out + 22, us / 100 % 100);
    floor_put_pair(out + 24, us % 100);
}

/* ---- authors as Lua tables ---- */

/* Fills the module's metatable: every method has the six names as its upvalues. */
static inline void floor_set_methods(lua_State *L, const luaL_Reg *methods) {
    static const char *const names[] = {"id", "name", "email", "age", "rating", "created_at"};
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    for (; methods->name; methods++) {
        for (int i = 0; i < FLOOR_COLUMNS; i++) lua_pushstring(L, names[i]);
        lua_pushcclosure(L, methods->func, FLOOR_COLUMNS);
        lua_setfield(L, -2, methods->name);
    }
}

/* Pushes the names; `names` below is the stack index of the first. */
static inline int floor_push_names(lua_State *L) {
    for (int i = 1; i <= FLOOR_COLUMNS; i++) lua_pushvalue(L, lua_upvalueindex(i));
    return lua_gettop(L) - FLOOR_COLUMNS + 1;
}

/* Into the table on top of the stack. */
static inline void floor_fill_author(lua_State *L, int names, const floor_author *author) {
    lua_pushvalue(L, names);
    lua_pushinteger(L, (lua_Integer)author->id);
    lua_rawset(L, -3);
    lua_pushvalue(L, names + 1);
    lua_pushlstring(L, author->name, author->name_len);
    lua_rawset(L, -3);
    lua_pushvalue(L, names + 2);
    lua_pushlstring(L, author->email, author->email_len);
    lua_rawset(L, -3);
    lua_pushvalue(L, names + 3);
    lua_pushinteger(L, author->age);
    lua_rawset(L, -3);
    lua_pushvalue(L, names + 4);
    lua_pushnumber(L, author->rating);
    lua_rawset(L, -3);
    lua_pushvalue(L, names + 5);
    if (author->created_at % 1000000 == 0) {
        lua_pushinteger(L, (lua_Integer)(author->created_at / 1000000));
    } else {
        lua_pushnumber(L, (lua_Number)author->created_at / 1e6);
    }
    lua_rawset(L, -3);
}

static inline void floor_push_author(lua_State *L, int names, const floor_author *author) {
    lua_createtable(L, 0, FLOOR_COLUMNS);
    floor_fill_author(L, names, author);
}

static inline void floor_get(lua_State *L, int row, int name) {
    lua_pushvalue(L, name);
    lua_rawget(L, row);
}

/* Texts stay where Lua has them: the row holds on to them. */
static inline void floor_read_author(lua_State *L, int row, int names, floor_author *author) {
    floor_get(L, row, names + 1);
    author->name = lua_tolstring(L, -1, &author->name_len);
    floor_get(L, row, names + 2);
    author->email = lua_tolstring(L, -1, &author->email_len);
    floor_get(L, row, names + 3);
    author->age = (int32_t)lua_tointeger(L, -1);
    floor_get(L, row, names + 4);
    author->rating = lua_tonumber(L, -1);
    floor_get(L, row, names + 5);
    author->created_at = llround(lua_tonumber(L, -1) * 1e6);
    lua_pop(L, FLOOR_COLUMNS - 1);
}

static inline void floor_read_change(lua_State *L, int row, int names, floor_author *author) {
    floor_get(L, row, names);
    author->id = lua_tointeger(L, -1);
    floor_get(L, row, names + 3);
    author->age = (int32_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
}

static inline void floor_set_id(lua_State *L, int row, int names, int64_t id) {
    lua_pushvalue(L, names);
    lua_pushinteger(L, (lua_Integer)id);
    lua_rawset(L, row);
}

/* ---- PostgreSQL's binary format: big-endian ---- */

static inline void floor_put32(char *out, uint32_t value) {
    value = __builtin_bswap32(value);
    memcpy(out, &value, 4);
}

static inline void floor_put64(char *out, uint64_t value) {
    value = __builtin_bswap64(value);
    memcpy(out, &value, 8);
}

#endif
