/* The floor of the wider workloads on SQLite.
 *
 *     local db = require("bench.floor_more_sqlite").open("authors.db")
 *     db:shelves(1000)     the authors up to this key, each with an array of its books
 *     db:members()         every member
 *     db:revise(rows)      the age of each, if its version is the one that was read
 *
 * Books are read in the order of their table, which is cheaper than an index over the same rows
 * (hence the unary plus), and held on the stack until the author changes: then the size of the
 * array is known. */
#include <sqlite3.h>

#include "floor_more.h"

#define TYPE "heddle.bench.floor_more_sqlite"

enum { RUN = 200 };   /* books on the stack at most */
enum { BLOCK = 250 }; /* members a statement, as in floor_sqlite.c */
enum { BEGIN, COMMIT, AUTHORS, SHELVES, MEMBERS, REVISE, REVISE_BLOCK, STATEMENTS };

typedef struct floor_db {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    floor_ids ids;
} floor_db;

#define COLUMNS "id, name, email, age, rating, created_at"

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [AUTHORS] = "SELECT " COLUMNS " FROM authors WHERE id <= ? ORDER BY id",
    [SHELVES] = "SELECT id, title, pages, author_id FROM books WHERE +author_id <= ?",
    [MEMBERS] = "SELECT " COLUMNS ", version, notes, fee, mentor_id FROM members",
    [REVISE] = "UPDATE members SET age = ?, version = version + 1 WHERE id = ? AND version = ?",
};

static floor_db *check(lua_State *L) {
    return luaL_checkudata(L, 1, TYPE);
}

static int fail(lua_State *L, floor_db *self) {
    lua_pushfstring(L, "floor_more_sqlite: %s", sqlite3_errmsg(self->db));
    if (!sqlite3_get_autocommit(self->db)) sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return lua_error(L);
}

static sqlite3_stmt *prepare(lua_State *L, floor_db *self, int which, const char *text) {
    sqlite3_stmt **stmt = &self->statements[which];
    if (sqlite3_prepare_v3(self->db, text, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) !=
        SQLITE_OK) {
        fail(L, self);
    }
    return *stmt;
}

static sqlite3_stmt *statement(lua_State *L, floor_db *self, int which) {
    sqlite3_stmt *stmt = self->statements[which];
    return stmt ? stmt : prepare(L, self, which, texts[which]);
}

static void run(lua_State *L, floor_db *self, sqlite3_stmt *stmt) {
    sqlite3_step(stmt);
    if (sqlite3_reset(stmt) != SQLITE_OK) fail(L, self);
}

static floor_author person(sqlite3_stmt *stmt) {
    return (floor_author){
        .id = sqlite3_column_int64(stmt, 0),
        .name = (const char *)sqlite3_column_text(stmt, 1),
        .name_len = (size_t)sqlite3_column_bytes(stmt, 1),
        .email = (const char *)sqlite3_column_text(stmt, 2),
        .email_len = (size_t)sqlite3_column_bytes(stmt, 2),
        .age = sqlite3_column_int(stmt, 3),
        .rating = sqlite3_column_double(stmt, 4),
        .created_at = floor_instant((const char *)sqlite3_column_text(stmt, 5)),
    };
}

static void set_text(lua_State *L, int name, sqlite3_stmt *stmt, int column) {
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    floor_set_text(L, name, text, (size_t)sqlite3_column_bytes(stmt, column));
}

/* ---- authors with books ---- */

static void read_authors(lua_State *L, floor_db *self, int names, int64_t limit) {
    sqlite3_stmt *stmt = statement(L, self, AUTHORS);
    self->ids.count = 0;
    sqlite3_bind_int64(stmt, 1, limit);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        floor_author author = person(stmt);
        lua_createtable(L, 0, FLOOR_COLUMNS + 1);
        floor_fill_author(L, names, &author);
        floor_add_id(L, &self->ids, author.id);
        lua_rawseti(L, -2, self->ids.count);
    }
    if (sqlite3_reset(stmt) != SQLITE_OK) fail(L, self);
}

static void push_book(lua_State *L, int names, int more, sqlite3_stmt *stmt, int64_t author) {
    lua_createtable(L, 0, 4);
    floor_set_integer(L, names, sqlite3_column_int64(stmt, 0));
    set_text(L, more + TITLE, stmt, 1);
    floor_set_integer(L, more + PAGES, sqlite3_column_int64(stmt, 2));
    floor_set_integer(L, more + AUTHOR_ID, author);
}

static void read_books(lua_State *L, floor_db *self, int names, int more, int authors,
                       int64_t limit) {
    sqlite3_stmt *stmt = statement(L, self, SHELVES);
    int place = -1, count = 0;
    int64_t last = -1;
    sqlite3_bind_int64(stmt, 1, limit);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        int64_t author = sqlite3_column_int64(stmt, 3);
        if (author != last || count == RUN) {
            if (count > 0) floor_give_books(L, authors, more, place, count);
            if (author != last) place = floor_place(L, &self->ids, place, author);
            last = author;
            count = 0;
        }
        push_book(L, names, more, stmt, author);
        count++;
    }
    if (count > 0) floor_give_books(L, authors, more, place, count);
    if (sqlite3_reset(stmt) != SQLITE_OK) fail(L, self);
}

static int floor_shelves(lua_State *L) {
    floor_db *self = check(L);
    int64_t limit = luaL_checkinteger(L, 2);
    luaL_checkstack(L, RUN + 40, "books");
    int names = floor_push_names(L), more = floor_push_more_names(L);
    lua_createtable(L, (int)limit, 0);
    int authors = lua_gettop(L);
    read_authors(L, self, names, limit);
    read_books(L, self, names, more, authors, limit);
    floor_finish_shelves(L, authors, more, self->ids.count);
    return 1;
}

/* ---- members ---- */

static int floor_members(lua_State *L) {
    floor_db *self = check(L);
    sqlite3_stmt *stmt = statement(L, self, MEMBERS);
    int names = floor_push_names(L), more = floor_push_more_names(L), count = 0;
    lua_newtable(L);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        floor_author author = person(stmt);
        lua_createtable(L, 0, MEMBER_COLUMNS);
        floor_fill_author(L, names, &author);
        floor_set_integer(L, more + VERSION, sqlite3_column_int64(stmt, 6));
        set_text(L, more + NOTES, stmt, 7);
        set_text(L, more + FEE, stmt, 8);
        if (sqlite3_column_type(stmt, 9) != SQLITE_NULL) {
            floor_set_integer(L, more + MENTOR_ID, sqlite3_column_int64(stmt, 9));
        }
        lua_rawseti(L, -2, ++count);
    }
    if (sqlite3_reset(stmt) != SQLITE_OK) return fail(L, self);
    return 1;
}

static sqlite3_stmt *block_statement(lua_State *L, floor_db *self) {
    static const char head[] = "UPDATE members SET age = given.column1, version = version + 1 "
                               "FROM (VALUES (?, ?, ?)",
                      more[] = ", (?, ?, ?)",
                      tail[] = ") AS given WHERE members.id = given.column2 "
                               "AND version = given.column3";
    if (self->statements[REVISE_BLOCK]) return self->statements[REVISE_BLOCK];
    char text[sizeof head + (BLOCK - 1) * (sizeof more - 1) + sizeof tail], *at = text;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    for (int i = 1; i < BLOCK; i++, at += sizeof more - 1) memcpy(at, more, sizeof more - 1);
    memcpy(at, tail, sizeof tail);
    return prepare(L, self, REVISE_BLOCK, text);
}

/* `count` rows, from the one at `first`, by one statement that takes as many. */
static void revise_rows(lua_State *L, floor_db *self, sqlite3_stmt *stmt, int first, int count,
                        int names, int more) {
    int row = more + MORE_NAMES;
    for (int i = 0; i < count; i++) {
        floor_author author;
        lua_rawgeti(L, 2, first + i);
        floor_read_change(L, row, names, &author);
        int64_t version = floor_integer(L, row, more + VERSION);
        sqlite3_bind_int(stmt, i * 3 + 1, author.age);
        sqlite3_bind_int64(stmt, i * 3 + 2, author.id);
        sqlite3_bind_int64(stmt, i * 3 + 3, version);
        floor_set_integer(L, more + VERSION, version + 1);
        lua_pop(L, 1);
    }
    run(L, self, stmt);
    if (sqlite3_changes(self->db) != count) luaL_error(L, "floor: a member has changed");
}

static int floor_revise(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int names = floor_push_names(L), more = floor_push_more_names(L);
    int count = (int)lua_rawlen(L, 2), i = 1;
    run(L, self, statement(L, self, BEGIN));
    for (; i + BLOCK - 1 <= count; i += BLOCK) {
        revise_rows(L, self, block_statement(L, self), i, BLOCK, names, more);
    }
    for (; i <= count; i++) revise_rows(L, self, statement(L, self, REVISE), i, 1, names, more);
    run(L, self, statement(L, self, COMMIT));
    return 0;
}

/* ---- the connection ---- */

static int floor_close(lua_State *L) {
    floor_db *self = check(L);
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(self->statements[i]);
        self->statements[i] = NULL;
    }
    sqlite3_close(self->db);
    self->db = NULL;
    free(self->ids.ids);
    self->ids = (floor_ids){0};
    return 0;
}

static int floor_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    floor_db *self = lua_newuserdata(L, sizeof *self);
    memset(self, 0, sizeof *self);
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &self->db, flags, NULL) != SQLITE_OK ||
        sqlite3_exec(self->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", NULL, NULL,
                     NULL) != SQLITE_OK) {
        return fail(L, self);
    }
    return 1;
}

static const luaL_Reg methods[] = {
    {"shelves", floor_shelves}, {"members", floor_members}, {"revise", floor_revise},
    {"close", floor_close},     {"__gc", floor_close},      {NULL, NULL},
};

FLOOR_EXPORT int luaopen_bench_floor_more_sqlite(lua_State *L);

int luaopen_bench_floor_more_sqlite(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    floor_set_methods(L, methods);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, floor_open);
    lua_setfield(L, -2, "open");
    return 1;
}
