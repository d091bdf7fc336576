/* What the floors of the wider workloads share: books, members, and where an author stands.
 *
 * An author gets an array of books; a member is an author with four columns more. JSON and decimals
 * stay the texts that they are: nothing that is written needs them. */
#ifndef FLOOR_MORE_H
#define FLOOR_MORE_H

#include <stdlib.h>

#include "floor.h"

enum { MORE_NAMES = 8, MEMBER_COLUMNS = 10 };
enum { BOOKS, TITLE, PAGES, AUTHOR_ID, VERSION, NOTES, FEE, MENTOR_ID };

/* Pushes the other names; gives the stack index of the first. */
static inline int floor_push_more_names(lua_State *L) {
    static const char *const names[] = {"books",   "title", "pages", "author_id",
                                        "version", "notes", "fee",   "mentor_id"};
    for (int i = 0; i < MORE_NAMES; i++) lua_pushstring(L, names[i]);
    return lua_gettop(L) - MORE_NAMES + 1;
}

static inline void floor_set_integer(lua_State *L, int name, int64_t value) {
    lua_pushvalue(L, name);
    lua_pushinteger(L, (lua_Integer)value);
    lua_rawset(L, -3);
}

static inline void floor_set_text(lua_State *L, int name, const char *text, size_t len) {
    lua_pushvalue(L, name);
    lua_pushlstring(L, text, len);
    lua_rawset(L, -3);
}

static inline int64_t floor_integer(lua_State *L, int row, int name) {
    floor_get(L, row, name);
    int64_t value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* ---- which author an id is: they were read in the order of their ids ---- */

typedef struct floor_ids {
    int64_t *ids;
    int count, size;
} floor_ids;

static inline void floor_add_id(lua_State *L, floor_ids *self, int64_t id) {
    if (self->count == self->size) {
        int size = self->size ? self->size * 2 : 1024;
        int64_t *ids = realloc(self->ids, (size_t)size * sizeof *ids);
        if (!ids) luaL_error(L, "floor: not enough memory");
        self->ids = ids;
        self->size = size;
    }
    self->ids[self->count++] = id;
}

/* Books of an author mostly stand behind each other, and authors in their order: `at` is where the
 * last one was found. */
static inline int floor_place(lua_State *L, const floor_ids *self, int at, int64_t id) {
    if (at + 1 < self->count && self->ids[at + 1] == id) return at + 1;
    int low = 0, high = self->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (self->ids[middle] < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == self->count || self->ids[low] != id) luaL_error(L, "floor: a book without author");
    return low;
}

/* Gives the author at `place` the `count` books on top of the stack, and takes them off it. */
static inline void floor_give_books(lua_State *L, int authors, int more, int place, int count) {
    int first = lua_gettop(L) - count + 1;
    lua_rawgeti(L, authors, place + 1);
    lua_pushvalue(L, more + BOOKS);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_createtable(L, count, 0);
        lua_pushvalue(L, more + BOOKS);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    int books = lua_gettop(L), held = (int)lua_rawlen(L, books);
    for (int i = 0; i < count; i++) {
        lua_pushvalue(L, first + i);
        lua_rawseti(L, books, held + i + 1);
    }
    lua_settop(L, first - 1);
}

/* Who has none has an empty array. */
static inline void floor_finish_shelves(lua_State *L, int authors, int more, int count) {
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, authors, i);
        lua_pushvalue(L, more + BOOKS);
        lua_rawget(L, -2);
        if (lua_isnil(L, -1)) {
            lua_pushvalue(L, more + BOOKS);
            lua_newtable(L);
            lua_rawset(L, -4);
        }
        lua_pop(L, 2);
    }
}

#endif
