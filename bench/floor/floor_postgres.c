/* The floor on PostgreSQL.
 *
 *     local db = require("bench.floor_postgres").open("host=/run/postgresql dbname=app")
 *     db:load()          every author, in the order of the table
 *     db:find(7)         one author
 *     db:insert(rows)    all of them in one transaction; fills in the keys
 *     db:copy(rows)      the same by COPY
 *     db:update(rows)    the age of each, in one transaction
 *     db:save(row)       the age of one
 *
 * Every statement is prepared once, takes and gives binary values, and is a transaction by itself,
 * so that BEGIN and COMMIT are never needed: many rows travel as one array for each column. An
 * insert asks the sequence for its keys and fills the arrays of the other columns while the server
 * counts. COPY is faster still, but no other statement can follow it in a pipeline and it brings no
 * defaults back: it stands beside the floor, not in it. */
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>

#include "floor.h"

#define TYPE "heddle.bench.floor_postgres"

/* Types by their OIDs, which are fixed (pg_type.dat). */
enum { INT4 = 23, TEXT = 25, FLOAT8 = 701, TIMESTAMPTZ = 1184 };
#define EPOCH_2000 INT64_C(946684800000000) /* where the server's instants begin */

enum { LOAD, FIND, KEYS, INSERT, UPDATE, SAVE, STATEMENTS };

typedef struct bytes {
    char *data;
    size_t used, size;
} bytes;

typedef struct floor_db {
    PGconn *conn;
    bool prepared[STATEMENTS];
    bytes arrays[FLOOR_COLUMNS]; /* kept from one use to the next */
} floor_db;

#define COLUMNS "id, name, email, age, rating, created_at"

static const struct {
    const char *name, *text;
} statements[STATEMENTS] = {
    [LOAD] = {"load", "SELECT " COLUMNS " FROM authors"},
    [FIND] = {"find", "SELECT " COLUMNS " FROM authors WHERE id = $1"},
    [KEYS] = {"keys", "SELECT array_agg(nextval('authors_id_seq')::int4) "
                      "FROM generate_series(1, $1::int4)"},
    [INSERT] = {"insert", "INSERT INTO authors (" COLUMNS ") SELECT * FROM unnest($1::int4[], "
                          "$2::text[], $3::text[], $4::int4[], $5::float8[], $6::timestamptz[])"},
    [UPDATE] = {"update", "UPDATE authors SET age = given.age FROM unnest($1::int4[], $2::int4[]) "
                          "AS given (id, age) WHERE authors.id = given.id"},
    [SAVE] = {"save", "UPDATE authors SET age = $2 WHERE id = $1"},
};

static floor_db *check(lua_State *L) {
    return luaL_checkudata(L, 1, TYPE);
}

static int fail(lua_State *L, floor_db *self, PGresult *result) {
    lua_pushfstring(L, "floor_postgres: %s", PQerrorMessage(self->conn));
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

/* Runs a prepared statement; raises unless it ends as it should. */
static PGresult *run(lua_State *L, floor_db *self, int which, int count, const char *const *values,
                     const int *lengths, ExecStatusType expected) {
    static const int binary[FLOOR_COLUMNS] = {1, 1, 1, 1, 1, 1};
    prepare(L, self, which);
    PGresult *result =
        PQexecPrepared(self->conn, statements[which].name, count, values, lengths, binary, 1);
    if (PQresultStatus(result) != expected) fail(L, self, result);
    return result;
}

/* ---- reading ---- */

static uint32_t get32(const char *data) {
    uint32_t value;
    memcpy(&value, data, 4);
    return __builtin_bswap32(value);
}

static uint64_t get64(const char *data) {
    uint64_t value;
    memcpy(&value, data, 8);
    return __builtin_bswap64(value);
}

static void push_row(lua_State *L, int names, const PGresult *result, int row) {
    uint64_t rating = get64(PQgetvalue(result, row, 4));
    floor_author author = {
        .id = (int32_t)get32(PQgetvalue(result, row, 0)),
        .name = PQgetvalue(result, row, 1),
        .name_len = (size_t)PQgetlength(result, row, 1),
        .email = PQgetvalue(result, row, 2),
        .email_len = (size_t)PQgetlength(result, row, 2),
        .age = (int32_t)get32(PQgetvalue(result, row, 3)),
        .created_at = (int64_t)get64(PQgetvalue(result, row, 5)) + EPOCH_2000,
    };
    memcpy(&author.rating, &rating, sizeof rating);
    floor_push_author(L, names, &author);
}

static int floor_load(lua_State *L) {
    floor_db *self = check(L);
    int names = floor_push_names(L);
    PGresult *result = run(L, self, LOAD, 0, NULL, NULL, PGRES_TUPLES_OK);
    int count = PQntuples(result);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        push_row(L, names, result, i);
        lua_rawseti(L, -2, i + 1);
    }
    PQclear(result);
    return 1;
}

static int floor_find(lua_State *L) {
    floor_db *self = check(L);
    char id[4];
    const char *values[] = {id};
    static const int lengths[] = {4};
    floor_put32(id, (uint32_t)luaL_checkinteger(L, 2));
    int names = floor_push_names(L);
    PGresult *result = run(L, self, FIND, 1, values, lengths, PGRES_TUPLES_OK);
    if (PQntuples(result) == 1) {
        push_row(L, names, result, 0);
    } else {
        lua_pushnil(L);
    }
    PQclear(result);
    return 1;
}

/* ---- arrays ---- */

static char *grow(lua_State *L, bytes *b, size_t n) {
    if (b->size - b->used < n) {
        size_t size = b->size * 2 + n + 4096;
        char *data = realloc(b->data, size);
        if (!data) luaL_error(L, "floor_postgres: not enough memory");
        b->data = data;
        b->size = size;
    }
    b->used += n;
    return b->data + b->used - n;
}

/* Header of an array of one dimension without NULLs. */
static void begin_array(lua_State *L, bytes *b, uint32_t type, uint32_t count) {
    b->used = 0;
    char *at = grow(L, b, 20);
    floor_put32(at, 1);
    floor_put32(at + 4, 0);
    floor_put32(at + 8, type);
    floor_put32(at + 12, count);
    floor_put32(at + 16, 1);
}

static void add32(lua_State *L, bytes *b, uint32_t value) {
    char *at = grow(L, b, 8);
    floor_put32(at, 4);
    floor_put32(at + 4, value);
}

static void add64(lua_State *L, bytes *b, uint64_t value) {
    char *at = grow(L, b, 12);
    floor_put32(at, 8);
    floor_put64(at + 4, value);
}

static void add_text(lua_State *L, bytes *b, const char *text, size_t len) {
    char *at = grow(L, b, 4 + len);
    floor_put32(at, (uint32_t)len);
    memcpy(at + 4, text, len);
}

static void add_double(lua_State *L, bytes *b, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    add64(L, b, bits);
}

static void add_author(lua_State *L, bytes *arrays, const floor_author *author) {
    add_text(L, &arrays[1], author->name, author->name_len);
    add_text(L, &arrays[2], author->email, author->email_len);
    add32(L, &arrays[3], (uint32_t)author->age);
    add_double(L, &arrays[4], author->rating);
    add64(L, &arrays[5], (uint64_t)(author->created_at - EPOCH_2000));
}

static void run_arrays(lua_State *L, floor_db *self, int which, int count) {
    const char *values[FLOOR_COLUMNS];
    int lengths[FLOOR_COLUMNS];
    for (int i = 0; i < count; i++) {
        values[i] = self->arrays[i].data;
        lengths[i] = (int)self->arrays[i].used;
    }
    PQclear(run(L, self, which, count, values, lengths, PGRES_COMMAND_OK));
}

/* ---- inserting ---- */

static void ask_keys(lua_State *L, floor_db *self, uint32_t count) {
    char n[4];
    const char *values[] = {n};
    static const int lengths[] = {4}, formats[] = {1};
    floor_put32(n, count);
    prepare(L, self, KEYS);
    if (!PQsendQueryPrepared(self->conn, statements[KEYS].name, 1, values, lengths, formats, 1)) {
        fail(L, self, NULL);
    }
    PQflush(self->conn);
}

/* The keys come as an array of the form that the insert takes: it is kept as it came. */
static void take_keys(lua_State *L, floor_db *self) {
    PGresult *result = PQgetResult(self->conn);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) fail(L, self, result);
    bytes *keys = &self->arrays[0];
    size_t len = (size_t)PQgetlength(result, 0, 0);
    keys->used = 0;
    memcpy(grow(L, keys, len), PQgetvalue(result, 0, 0), len);
    PQclear(result);
    while ((result = PQgetResult(self->conn)) != NULL) PQclear(result);
}

static int32_t key(const floor_db *self, int i) {
    return (int32_t)get32(self->arrays[0].data + 24 + (size_t)i * 8);
}

static int floor_insert(lua_State *L) {
    static const uint32_t types[] = {INT4, TEXT, TEXT, INT4, FLOAT8, TIMESTAMPTZ};
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int names = floor_push_names(L), row = names + FLOOR_COLUMNS, count = (int)lua_rawlen(L, 2);
    if (count == 0) return 0;
    prepare(L, self, INSERT);
    ask_keys(L, self, (uint32_t)count);
    for (int i = 1; i < FLOOR_COLUMNS; i++) {
        begin_array(L, &self->arrays[i], types[i], (uint32_t)count);
    }
    for (int i = 1; i <= count; i++) {
        floor_author author;
        lua_rawgeti(L, 2, i);
        floor_read_author(L, row, names, &author);
        add_author(L, self->arrays, &author);
        lua_pop(L, 1);
    }
    take_keys(L, self);
    run_arrays(L, self, INSERT, FLOOR_COLUMNS);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 2, i + 1);
        floor_set_id(L, row, names, key(self, i));
        lua_pop(L, 1);
    }
    return 0;
}

static void send_copied(lua_State *L, floor_db *self, bytes *b) {
    if (PQputCopyData(self->conn, b->data, (int)b->used) != 1) fail(L, self, NULL);
    b->used = 0;
}

static void begin_copy(lua_State *L, floor_db *self, bytes *b) {
    static const char signature[19] = "PGCOPY\n\377\r\n";
    PGresult *result = PQexec(self->conn, "COPY authors (" COLUMNS ") FROM STDIN BINARY");
    if (PQresultStatus(result) != PGRES_COPY_IN) fail(L, self, result);
    PQclear(result);
    b->used = 0;
    memcpy(grow(L, b, sizeof signature), signature, sizeof signature);
}

static void end_copy(lua_State *L, floor_db *self, bytes *b) {
    memset(grow(L, b, 2), 0xff, 2);
    send_copied(L, self, b);
    if (PQputCopyEnd(self->conn, NULL) != 1) fail(L, self, NULL);
    PGresult *result = PQgetResult(self->conn);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) fail(L, self, result);
    PQclear(result);
    while ((result = PQgetResult(self->conn)) != NULL) PQclear(result);
}

static void copy_author(lua_State *L, bytes *b, const floor_author *author) {
    static const char columns[] = {0, FLOOR_COLUMNS};
    memcpy(grow(L, b, 2), columns, 2);
    add32(L, b, (uint32_t)author->id);
    add_text(L, b, author->name, author->name_len);
    add_text(L, b, author->email, author->email_len);
    add32(L, b, (uint32_t)author->age);
    add_double(L, b, author->rating);
    add64(L, b, (uint64_t)(author->created_at - EPOCH_2000));
}

static int floor_copy(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int names = floor_push_names(L), row = names + FLOOR_COLUMNS, count = (int)lua_rawlen(L, 2);
    bytes *b = &self->arrays[1];
    if (count == 0) return 0;
    ask_keys(L, self, (uint32_t)count);
    take_keys(L, self);
    begin_copy(L, self, b);
    for (int i = 0; i < count; i++) {
        floor_author author;
        lua_rawgeti(L, 2, i + 1);
        floor_read_author(L, row, names, &author);
        author.id = key(self, i);
        copy_author(L, b, &author);
        floor_set_id(L, row, names, author.id);
        lua_pop(L, 1);
        if (b->used > 60000) send_copied(L, self, b); /* the server works while we encode */
    }
    end_copy(L, self, b);
    return 0;
}

/* ---- updating ---- */

static int floor_update(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int names = floor_push_names(L), count = (int)lua_rawlen(L, 2);
    begin_array(L, &self->arrays[0], INT4, (uint32_t)count);
    begin_array(L, &self->arrays[1], INT4, (uint32_t)count);
    for (int i = 1; i <= count; i++) {
        floor_author author;
        lua_rawgeti(L, 2, i);
        floor_read_change(L, names + FLOOR_COLUMNS, names, &author);
        add32(L, &self->arrays[0], (uint32_t)author.id);
        add32(L, &self->arrays[1], (uint32_t)author.age);
        lua_pop(L, 1);
    }
    run_arrays(L, self, UPDATE, 2);
    return 0;
}

static int floor_save(lua_State *L) {
    floor_db *self = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    floor_author author;
    char id[4], age[4];
    const char *values[] = {id, age};
    static const int lengths[] = {4, 4};
    floor_read_change(L, 2, floor_push_names(L), &author);
    floor_put32(id, (uint32_t)author.id);
    floor_put32(age, (uint32_t)author.age);
    PQclear(run(L, self, SAVE, 2, values, lengths, PGRES_COMMAND_OK));
    return 0;
}

/* ---- the connection ---- */

static int floor_close(lua_State *L) {
    floor_db *self = check(L);
    PQfinish(self->conn);
    self->conn = NULL;
    for (int i = 0; i < FLOOR_COLUMNS; i++) {
        free(self->arrays[i].data);
        self->arrays[i] = (bytes){0};
    }
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
    {"load", floor_load},   {"find", floor_find},     {"insert", floor_insert},
    {"copy", floor_copy},   {"update", floor_update}, {"save", floor_save},
    {"close", floor_close}, {"__gc", floor_close},    {NULL, NULL},
};

FLOOR_EXPORT int luaopen_bench_floor_postgres(lua_State *L);

int luaopen_bench_floor_postgres(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    floor_set_methods(L, methods);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, floor_open);
    lua_setfield(L, -2, "open");
    return 1;
}
