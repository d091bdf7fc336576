/* The floor of the wider workloads on PostgreSQL.
 *
 *     local db = require("bench.floor_more_postgres").open("host=/run/postgresql dbname=app")
 *     db:shelves(1000)     the authors up to this key, each with an array of its books
 *     db:members()         every member
 *     db:revise(rows)      the age of each, if its version is the one that was read
 *
 * Authors and books are asked for in one pipeline, so that the server reads the books while the
 * authors become tables; a revision is one statement with an array for each column. */
#include <libpq-fe.h>
#include <stdbool.h>

#include "floor_more.h"

#define TYPE       "heddle.bench.floor_more_postgres"
#define EPOCH_2000 INT64_C(946684800000000)

enum { AUTHORS, SHELVES, MEMBERS, REVISE, STATEMENTS };

typedef struct floor_db {
    PGconn *conn;
    bool prepared[STATEMENTS];
    floor_ids ids;
} floor_db;

#define COLUMNS "id, name, email, age, rating, created_at"

static const struct {
    const char *name, *text;
} statements[STATEMENTS] = {
    [AUTHORS] = {"authors", "SELECT " COLUMNS " FROM authors WHERE id <= $1 ORDER BY id"},
    [SHELVES] = {"shelves", "SELECT id, title, pages, author_id FROM books WHERE author_id <= $1"},
    [MEMBERS] = {"members",
                 "SELECT " COLUMNS ", version, notes::text, fee::text, mentor_id FROM members"},
    [REVISE] = {"revise", "UPDATE members SET age = given.age, version = members.version + 1 FROM "
                          "unnest($1::int4[], $2::int4[], $3::int4[]) AS given (id, age, version) "
                          "WHERE members.id = given.id AND members.version = given.version"},
};

static floor_db *check(lua_State *L) {
    return luaL_checkudata(L, 1, TYPE);
}

static int fail(lua_State *L, floor_db *self, PGresult *result) {
    lua_pushfstring(L, "floor_more_postgres: %s", PQerrorMessage(self->conn));
    PQclear(result);
    return lua_error(L);
}

static void prepare(lua_State *L, floor_db *self, int which) {
    if (self->prepared[which]) return;
    PGresult *result =
        PQprepare(self->conn, statements[which].name, statements[which].text, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) fail(L, self, result);
    PQclear(result);
    self->prepared[which] = true;
}

static uint32_t get32(const PGresult *result, int row, int column) {
    uint32_t value;
    memcpy(&value, PQgetvalue(result, row, column), 4);
    return __builtin_bswap32(value);
}

static uint64_t get64(const PGresult *result, int row, int column) {
    uint64_t value;
    memcpy(&value, PQgetvalue(result, row, column), 8);
    return __builtin_bswap64(value);
}

static floor_author person(const PGresult *result, int row) {
    uint64_t rating = get64(result, row, 4);
    floor_author author = {
        .id = (int32_t)get32(result, row, 0),
        .name = PQgetvalue(result, row, 1),
        .name_len = (size_t)PQgetlength(result, row, 1),
        .email = PQgetvalue(result, row, 2),
        .email_len = (size_t)PQgetlength(result, row, 2),
        .age = (int32_t)get32(result, row, 3),
        .created_at = (int64_t)get64(result, row, 5) + EPOCH_2000,
    };
    memcpy(&author.rating, &rating, sizeof rating);
    return author;
}

static void set_text(lua_State *L, int name, const PGresult *result, int row, int column) {
    floor_set_text(L, name, PQgetvalue(result, row, column),
                   (size_t)PQgetlength(result, row, column));
}

/* ---- authors with books ---- */

static void send(lua_State *L, floor_db *self, int which, const char *limit) {
    static const int lengths[] = {4}, formats[] = {1};
    if (!PQsendQueryPrepared(self->conn, statements[which].name, 1, &limit, lengths, formats, 1)) {
        fail(L, self, NULL);
    }
}

/* The next result of the pipeline, and what ends it. */
static PGresult *take(lua_State *L, floor_db *self) {
    PGresult *result = PQgetResult(self->conn);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) fail(L, self, result);
    PQclear(PQgetResult(self->conn));
    return result;
}

static void ask(lua_State *L, floor_db *self, uint32_t limit) {
    char value[4];
    floor_put32(value, limit);
    prepare(L, self, AUTHORS);
    prepare(L, self, SHELVES);
    if (!PQenterPipelineMode(self->conn)) fail(L, self, NULL);
    send(L, self, AUTHORS, value);
    /* Else the answer would wait for the end of the pipeline. */
    if (!PQsendFlushRequest(self->conn)) fail(L, self, NULL);
    send(L, self, SHELVES, value);
    if (!PQpipelineSync(self->conn)) fail(L, self, NULL);
}

static void end_pipeline(lua_State *L, floor_db *self) {
    PGresult *result = PQgetResult(self->conn);
    if (PQresultStatus(result) != PGRES_PIPELINE_SYNC) fail(L, self, result);
    PQclear(result);
    if (!PQexitPipelineMode(self->conn)) fail(L, self, NULL);
}

static void read_authors(lua_State *L, floor_db *self, int names) {
    PGresult *result = take(L, self);
    int count = PQntuples(result);
    self->ids.count = 0;
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        floor_author author = person(result, i);
        lua_createtable(L, 0, FLOOR_COLUMNS + 1);
        floor_fill_author(L, names, &author);
        floor_add_id(L, &self->ids, author.id);
        lua_rawseti(L, -2, i + 1);
    }
    PQclear(result);
}

static void push_book(lua_State *L, int names, int more, const PGresult *result, int row) {
    lua_createtable(L, 0, 4);
    floor_set_integer(L, names, (int32_t)get32(result, row, 0));
    set_text(L, more + TITLE, result, row, 1);
    floor_set_integer(L, more + PAGES, (int32_t)get32(result, row, 2));
    floor_set_integer(L, more + AUTHOR_ID, (int32_t)get32(result, row, 3));
}

enum { RUN = 200 }; /* books on the stack at most */

static void read_books(lua_State *L, floor_db *self, int names, int more, int authors) {
    PGresult *result = take(L, self);
    int count = PQntuples(result), place = -1;
    for (int i = 0; i < count;) {
        uint32_t author = get32(result, i, 3);
        int first = i;
        for (; i < count && i - first < RUN && get32(result, i, 3) == author; i++) {
            push_book(L, names, more, result, i);
        }
        place = floor_place(L, &self->ids, place, (int32_t)author);
        floor_give_books(L, authors, more, place, i - first);
    }
    PQclear(result);
}

static int floor_shelves(lua_State *L) {
    floor_db *self = check(L);
    uint32_t limit = (uint32_t)luaL_checkinteger(L, 2);
    luaL_checkstack(L, RUN + 40, "books");
    int names = floor_push_names(L), more = floor_push_more_names(L);
    ask(L, self, limit);
    read_authors(L, self, names);
    int authors = lua_gettop(L);
    read_books(L, self, names, more, authors);
    end_pipeline(L, self);
    floor_finish_shelves(L, authors, more, self->ids.count);
    return 1;
}

/* ---- members ---- */

static int floor_members(lua_State *L) {
    floor_db *self = check(L);
    int names = floor_push_names(L), more = floor_push_more_names(L);
    prepare(L, self, MEMBERS);
    PGresult *result = PQexecPrepared(self->conn, statements[MEMBERS].name, 0, NULL, NULL, NULL, 1);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) return fail(L, self, result);
    int count = PQntuples(result);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        floor_author author = person(result, i);
        lua_createtable(L, 0, MEMBER_COLUMNS);
        floor_fill_author(L, names, &author);
        floor_set_integer(L, more + VERSION, (int32_t)get32(result, i, 6));
        set_text(L, more + NOTES, result, i, 7);
        set_text(L, more + FEE, result, i, 8);
        if (!PQgetisnull(result, i, 9)) {
            floor_set_integer(L, more + MENTOR_ID, (int32_t)get32(result, i, 9));
        }
        lua_rawseti(L, -2, i + 1);
    }
    PQclear(result);
    return 1;
}

/* An array of one dimension without NULLs has a header of 20 bytes, and 8 for each integer. */
enum { ARRAY_HEADER = 20, ELEMENT = 8, ARRAYS = 3, INT4 = 23 };

static char *begin_array(char *at, uint32_t count) {
    floor_put32(at, 1);
    floor_put32(at + 4, 0);
    floor_put32(at + 8, INT4);
    floor_put32(at + 12, count);
    floor_put32(at + 16, 1);
    return at + ARRAY_HEADER;
}

static void put_element(char *at, uint32_t value) {
    floor_put32(at, 4);
    floor_put32(at + 4, value);
}

static void revise(lua_State *L, floor_db *self, const char *const *arrays, int size, int count) {
    int lengths[] = {size, size, size};
    static const int binary[] = {1, 1, 1};
    prepare(L, self, REVISE);
    PGresult *result =
        PQexecPrepared(self->conn, statements[REVISE].name, ARRAYS, arrays, lengths, binary, 1);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) fail(L, self, result);
    int changed = atoi(PQcmdTuples(result));
    PQclear(result);
    if (changed != count) luaL_error(L, "floor: a member has changed");
}

static int floor_revise(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int names = floor_push_names(L), more = floor_push_more_names(L), row = more + MORE_NAMES;
    int count = (int)lua_rawlen(L, 2);
    size_t size = ARRAY_HEADER + (size_t)count * ELEMENT;
    char *data = lua_newuserdata(L, size * ARRAYS), *at[ARRAYS];
    const char *arrays[ARRAYS];
    row++; /* above the arrays */
    for (int i = 0; i < ARRAYS; i++) {
        arrays[i] = data + (size_t)i * size;
        at[i] = begin_array(data + (size_t)i * size, (uint32_t)count);
    }
    for (int i = 0; i < count; i++) {
        floor_author author;
        lua_rawgeti(L, 2, i + 1);
        floor_read_change(L, row, names, &author);
        int64_t version = floor_integer(L, row, more + VERSION);
        put_element(at[0] + (size_t)i * ELEMENT, (uint32_t)author.id);
        put_element(at[1] + (size_t)i * ELEMENT, (uint32_t)author.age);
        put_element(at[2] + (size_t)i * ELEMENT, (uint32_t)version);
        floor_set_integer(L, more + VERSION, version + 1);
        lua_pop(L, 1);
    }
    revise(L, self, arrays, (int)size, count);
    return 0;
}

/* ---- the connection ---- */

static int floor_close(lua_State *L) {
    floor_db *self = check(L);
    PQfinish(self->conn);
    self->conn = NULL;
    free(self->ids.ids);
    self->ids = (floor_ids){0};
    return 0;
}

static int floor_open(lua_State *L) {
    const char *source = luaL_checkstring(L, 1);
    floor_db *self = lua_newuserdata(L, sizeof *self);
    memset(self, 0, sizeof *self);
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    self->conn = PQconnectdb(source);
    if (PQstatus(self->conn) != CONNECTION_OK) return fail(L, self, NULL);
    return 1;
}

static const luaL_Reg methods[] = {
    {"shelves", floor_shelves}, {"members", floor_members}, {"revise", floor_revise},
    {"close", floor_close},     {"__gc", floor_close},      {NULL, NULL},
};

FLOOR_EXPORT int luaopen_bench_floor_more_postgres(lua_State *L);

int luaopen_bench_floor_more_postgres(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    floor_set_methods(L, methods);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, floor_open);
    lua_setfield(L, -2, "open");
    return 1;
}
