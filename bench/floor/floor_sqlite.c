/* The floor on SQLite.
 *
 *     local db = require("bench.floor_sqlite").open("authors.db")
 *     db:load()          every author, in the order of the table
 *     db:find(7)         one author
 *     db:insert(rows)    all of them in one transaction; fills in the keys
 *     db:update(rows)    the age of each, in one transaction
 *     db:save(row)       the age of one
 *     db:begin() db:commit()
 *
 * Rows are inserted 100 a statement. Under the write lock their keys follow one another, so that
 * they are counted back from the last: RETURNING would cost more than the insert itself. A find
 * outside of a transaction is one of its own and sees what others have committed; a unit of work
 * that reads and writes is cheaper inside one, because the locks are taken once. Many rows are
 * updated 250 a statement, which takes two thirds of the time of one by one; few are not, because
 * the list of values costs more than it saves when they are far from each other. */
#include <sqlite3.h>

#include "floor.h"

#define TYPE "heddle.bench.floor_sqlite"

enum { BLOCK = 100, UPDATE_ROWS = 250 };
enum { BEGIN, COMMIT, LOAD, FIND, INSERT, INSERT_BLOCK, UPDATE, UPDATE_BLOCK, STATEMENTS };

typedef struct floor_db {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
} floor_db;

#define COLUMNS "id, name, email, age, rating, created_at"
#define INSERT_ROW                                                                                 \
    "INSERT INTO authors (name, email, age, rating, created_at) VALUES (?, ?, ?, ?, ?)"

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [LOAD] = "SELECT " COLUMNS " FROM authors",
    [FIND] = "SELECT " COLUMNS " FROM authors WHERE id = ?",
    [INSERT] = INSERT_ROW,
    [UPDATE] = "UPDATE authors SET age = ? WHERE id = ?",
};

static floor_db *check(lua_State *L) {
    return luaL_checkudata(L, 1, TYPE);
}

static int fail(lua_State *L, floor_db *self) {
    lua_pushfstring(L, "floor_sqlite: %s", sqlite3_errmsg(self->db));
    if (!sqlite3_get_autocommit(self->db)) sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return lua_error(L);
}

static sqlite3_stmt *prepare(lua_State *L, floor_db *self, int which, const char *text) {
    if (sqlite3_prepare_v3(self->db, text, -1, SQLITE_PREPARE_PERSISTENT, &self->statements[which],
                           NULL) != SQLITE_OK) {
        fail(L, self);
    }
    return self->statements[which];
}

static sqlite3_stmt *statement(lua_State *L, floor_db *self, int which) {
    sqlite3_stmt *stmt = self->statements[which];
    return stmt ? stmt : prepare(L, self, which, texts[which]);
}

static sqlite3_stmt *block_statement(lua_State *L, floor_db *self) {
    static const char more[] = ", (?, ?, ?, ?, ?)";
    if (self->statements[INSERT_BLOCK]) return self->statements[INSERT_BLOCK];
    char text[sizeof INSERT_ROW + (BLOCK - 1) * (sizeof more - 1)] = INSERT_ROW;
    for (char *at = text + sizeof INSERT_ROW - 1; at < text + sizeof text - 1;
         at += sizeof more - 1) {
        memcpy(at, more, sizeof more);
    }
    return prepare(L, self, INSERT_BLOCK, text);
}

/* Runs to its end what gives no rows. */
static void run(lua_State *L, floor_db *self, sqlite3_stmt *stmt) {
    sqlite3_step(stmt);
    if (sqlite3_reset(stmt) != SQLITE_OK) fail(L, self);
}

/* ---- reading ---- */

static void push_row(lua_State *L, int names, sqlite3_stmt *stmt) {
    floor_author author = {
        .id = sqlite3_column_int64(stmt, 0),
        .name = (const char *)sqlite3_column_text(stmt, 1),
        .name_len = (size_t)sqlite3_column_bytes(stmt, 1),
        .email = (const char *)sqlite3_column_text(stmt, 2),
        .email_len = (size_t)sqlite3_column_bytes(stmt, 2),
        .age = sqlite3_column_int(stmt, 3),
        .rating = sqlite3_column_double(stmt, 4),
        .created_at = floor_instant((const char *)sqlite3_column_text(stmt, 5)),
    };
    floor_push_author(L, names, &author);
}

static int floor_load(lua_State *L) {
    floor_db *self = check(L);
    sqlite3_stmt *stmt = statement(L, self, LOAD);
    int names = floor_push_names(L), count = 0;
    lua_newtable(L);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        push_row(L, names, stmt);
        lua_rawseti(L, -2, ++count);
    }
    if (sqlite3_reset(stmt) != SQLITE_OK) return fail(L, self);
    return 1;
}

static int floor_find(lua_State *L) {
    floor_db *self = check(L);
    sqlite3_stmt *stmt = statement(L, self, FIND);
    sqlite3_bind_int64(stmt, 1, luaL_checkinteger(L, 2));
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        push_row(L, floor_push_names(L), stmt);
    } else {
        lua_pushnil(L);
    }
    if (sqlite3_reset(stmt) != SQLITE_OK) return fail(L, self);
    return 1;
}

/* ---- writing ---- */

static void bind_row(sqlite3_stmt *stmt, int at, const floor_author *author,
                     char stamp[FLOOR_STAMP]) {
    floor_stamp(author->created_at, stamp);
    sqlite3_bind_text(stmt, at, author->name, (int)author->name_len, SQLITE_STATIC);
    sqlite3_bind_text(stmt, at + 1, author->email, (int)author->email_len, SQLITE_STATIC);
    sqlite3_bind_int(stmt, at + 2, author->age);
    sqlite3_bind_double(stmt, at + 3, author->rating);
    sqlite3_bind_text(stmt, at + 4, stamp, FLOOR_STAMP, SQLITE_STATIC);
}

/* Inserts `count` rows, from the one at `first`, by one statement that takes as many. */
static void insert_rows(lua_State *L, floor_db *self, sqlite3_stmt *stmt, int first, int count) {
    char stamps[BLOCK][FLOOR_STAMP];
    int names = 3, row = names + FLOOR_COLUMNS;
    for (int i = 0; i < count; i++) {
        floor_author author;
        lua_rawgeti(L, 2, first + i);
        floor_read_author(L, row, names, &author);
        bind_row(stmt, i * (FLOOR_COLUMNS - 1) + 1, &author, stamps[i]);
        lua_pop(L, 1);
    }
    run(L, self, stmt);
    int64_t id = sqlite3_last_insert_rowid(self->db) - count;
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 2, first + i);
        floor_set_id(L, row, names, ++id);
        lua_pop(L, 1);
    }
}

static int floor_insert(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    floor_push_names(L);
    int count = (int)lua_rawlen(L, 2), i = 1;
    run(L, self, statement(L, self, BEGIN));
    for (; i + BLOCK - 1 <= count; i += BLOCK) {
        insert_rows(L, self, block_statement(L, self), i, BLOCK);
    }
    for (; i <= count; i++) insert_rows(L, self, statement(L, self, INSERT), i, 1);
    run(L, self, statement(L, self, COMMIT));
    return 0;
}

static void update_row(lua_State *L, floor_db *self, sqlite3_stmt *stmt, int row, int names) {
    floor_author author;
    floor_read_change(L, row, names, &author);
    sqlite3_bind_int(stmt, 1, author.age);
    sqlite3_bind_int64(stmt, 2, author.id);
    run(L, self, stmt);
    if (sqlite3_changes(self->db) != 1) luaL_error(L, "floor_sqlite: there is no such author");
}

static sqlite3_stmt *update_block_statement(lua_State *L, floor_db *self) {
    static const char head[] = "UPDATE authors SET age = given.column2 FROM (VALUES (?, ?)",
                      more[] = ", (?, ?)", tail[] = ") AS given WHERE authors.id = given.column1";
    if (self->statements[UPDATE_BLOCK]) return self->statements[UPDATE_BLOCK];
    char text[sizeof head + (UPDATE_ROWS - 1) * (sizeof more - 1) + sizeof tail], *at = text;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    for (int i = 1; i < UPDATE_ROWS; i++, at += sizeof more - 1) {
        memcpy(at, more, sizeof more - 1);
    }
    memcpy(at, tail, sizeof tail);
    return prepare(L, self, UPDATE_BLOCK, text);
}

static void update_rows(lua_State *L, floor_db *self, int first, int names) {
    sqlite3_stmt *stmt = update_block_statement(L, self);
    for (int i = 0; i < UPDATE_ROWS; i++) {
        floor_author author;
        lua_rawgeti(L, 2, first + i);
        floor_read_change(L, names + FLOOR_COLUMNS, names, &author);
        sqlite3_bind_int64(stmt, i * 2 + 1, author.id);
        sqlite3_bind_int(stmt, i * 2 + 2, author.age);
        lua_pop(L, 1);
    }
    run(L, self, stmt);
    if (sqlite3_changes(self->db) != UPDATE_ROWS) luaL_error(L, "floor_sqlite: authors are gone");
}

static int floor_update(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int names = floor_push_names(L), count = (int)lua_rawlen(L, 2), i = 1;
    sqlite3_stmt *stmt = statement(L, self, UPDATE);
    run(L, self, statement(L, self, BEGIN));
    for (; i + UPDATE_ROWS - 1 <= count; i += UPDATE_ROWS) update_rows(L, self, i, names);
    for (; i <= count; i++) {
        lua_rawgeti(L, 2, i);
        update_row(L, self, stmt, names + FLOOR_COLUMNS, names);
        lua_pop(L, 1);
    }
    run(L, self, statement(L, self, COMMIT));
    return 0;
}

static int floor_begin(lua_State *L) {
    floor_db *self = check(L);
    run(L, self, statement(L, self, BEGIN));
    return 0;
}

static int floor_commit(lua_State *L) {
    floor_db *self = check(L);
    run(L, self, statement(L, self, COMMIT));
    return 0;
}

static int floor_save(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    update_row(L, self, statement(L, self, UPDATE), 2, floor_push_names(L));
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
    {"load", floor_load},     {"find", floor_find},
    {"insert", floor_insert}, {"update", floor_update},
    {"save", floor_save},     {"begin", floor_begin},
    {"commit", floor_commit}, {"close", floor_close},
    {"__gc", floor_close},    {NULL, NULL},
};

FLOOR_EXPORT int luaopen_bench_floor_sqlite(lua_State *L);

int luaopen_bench_floor_sqlite(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    floor_set_methods(L, methods);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, floor_open);
    lua_setfield(L, -2, "open");
    lua_pushstring(L, sqlite3_libversion());
    lua_setfield(L, -2, "version");
    return 1;
}
