/* JSON between bytes and Lua values, over the core's reader and writer. A table is an array when it has orm.array's
 * mark or its keys are exactly 1..n with n > 0, an object when all keys are strings; an empty table without the
 * mark is an object. Anything else JSON cannot hold. */
#include "binding.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

/* By its text the mark is found from Lua (array.lua), by its address in here. */
static const char ARRAY_MARK[] = "heddle.array";

void hdl_mark_array(lua_State *L) {
    hdl_push_registered(L, ARRAY_MARK);
    lua_setmetatable(L, -2);
}

bool hdl_is_array(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    hdl_push_registered(L, ARRAY_MARK);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static void make_array_mark(lua_State *L) {
    luaL_newmetatable(L, ARRAY_MARK);
    lua_pushlightuserdata(L, (void *)(uintptr_t)ARRAY_MARK);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
}

/* ---- Encoding ---- */

typedef struct encoder {
    lua_State *L;
    hd_json_writer writer;
    const char *problem;
} encoder;

/* PostgreSQL's jsonb has no \u0000. */
#define NUL_INSIDE "a string with NUL in it"

static bool encode_value(encoder *e, int index);

static bool refuse(encoder *e, const char *problem) {
    e->problem = problem;
    return false;
}

static bool encode_number(encoder *e, int index) {
#if HDL_DOUBLES
    double number = lua_tonumber(e->L, index);
    if (number == floor(number) && fabs(number) <= 9007199254740992.0 &&
        !(number == 0 && signbit(number))) {
        hd_json_put_integer(&e->writer, (int64_t)number);
        return true;
    }
#else
    if (lua_isinteger(e->L, index)) {
        hd_json_put_integer(&e->writer, (int64_t)lua_tointeger(e->L, index));
        return true;
    }
    double number = lua_tonumber(e->L, index);
#endif
    return hd_json_put_number(&e->writer, number) == 0 ||
           refuse(e, "JSON has no NaN and no infinity");
}

static bool encode_array(encoder *e, int index, size_t count) {
    if (hd_json_open_array(&e->writer) != 0) return refuse(e, "nested too deeply (or cyclic)");
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(e->L, index, (int)i);
        bool ok = encode_value(e, lua_gettop(e->L));
        lua_pop(e->L, 1);
        if (!ok) return false;
    }
    hd_json_close_array(&e->writer);
    return true;
}

static bool encode_object(encoder *e, int index) {
    if (hd_json_open_object(&e->writer) != 0) return refuse(e, "nested too deeply (or cyclic)");
    lua_pushnil(e->L);
    while (lua_next(e->L, index)) {
        size_t len;
        const char *key = lua_tolstring(e->L, -2, &len); /* strings only: counted before */
        bool ok = !memchr(key, 0, len) || refuse(e, NUL_INSIDE);
        ok = ok &&
             (hd_json_put_key(&e->writer, key, len) == 0 || refuse(e, "a key is not valid UTF-8"));
        ok = ok && encode_value(e, lua_gettop(e->L));
        lua_pop(e->L, 1);
        if (!ok) {
            lua_pop(e->L, 1);
            return false;
        }
    }
    hd_json_close_object(&e->writer);
    return true;
}

/* Counts string keys and positive integer keys; any other key, or both kinds, is refused. */
static bool count_keys(encoder *e, int index, size_t *strings, size_t *integers, double *largest) {
    lua_State *L = e->L;
    *strings = *integers = 0;
    *largest = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            ++*strings;
        } else if (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) >= 1 &&
                   lua_tonumber(L, -1) == floor(lua_tonumber(L, -1))) {
            ++*integers;
            if (lua_tonumber(L, -1) > *largest) *largest = lua_tonumber(L, -1);
        } else {
            lua_pop(L, 1);
            return refuse(e, "a JSON object has string keys only");
        }
    }
    return true;
}

/* Operators, references, queries: tables of the program's that mean SQL. */
static bool is_sql(lua_State *L, int index) {
    if (!luaL_getmetafield(L, index, "__sql")) return false;
    lua_pop(L, 1);
    return true;
}

static bool encode_table(encoder *e, int index) {
    size_t strings, integers;
    double largest;
    if (is_sql(e->L, index)) return refuse(e, "an operator, a reference or a query is no value");
    if (!count_keys(e, index, &strings, &integers, &largest)) return false;
    if (strings && integers) return refuse(e, "a table with both string and integer keys");
    if (largest != (double)integers) return refuse(e, "an array with holes");
    if (strings && hdl_is_array(e->L, index)) return refuse(e, "an orm.array with string keys");
    if (integers || hdl_is_array(e->L, index)) return encode_array(e, index, integers);
    return encode_object(e, index);
}

static bool encode_value(encoder *e, int index) {
    lua_State *L = e->L;
    size_t len;
    const char *text;
    if (!lua_checkstack(L, 8)) return refuse(e, "nested too deeply");
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        hd_json_put_null(&e->writer);
        return true;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index)) return refuse(e, "a light userdata that is not orm.null");
        hd_json_put_null(&e->writer);
        return true;
    case LUA_TBOOLEAN:
        hd_json_put_bool(&e->writer, lua_toboolean(L, index));
        return true;
    case LUA_TNUMBER:
        return encode_number(e, index);
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        if (memchr(text, 0, len)) return refuse(e, NUL_INSIDE);
        return hd_json_put_string(&e->writer, text, len) == 0 ||
               refuse(e, "a string is not valid UTF-8");
    case LUA_TTABLE:
        return encode_table(e, index);
    default:
        return refuse(e, "JSON has no functions, userdata or coroutines");
    }
}

bool hdl_json_encode(lua_State *L, int index, hd_buffer *out, const char **problem) {
    encoder e = {.L = L};
    int top = lua_gettop(L);
    hd_json_write(&e.writer, out);
    bool ok = encode_value(&e, lua_absindex(L, index));
    lua_settop(L, top);
    if (ok && out->failed) ok = refuse(&e, "out of memory");
    *problem = e.problem;
    return ok;
}

/* ---- Decoding ---- */

/* Pushes the value of an event that stands for itself. */
static void push_scalar(lua_State *L, const hd_json_reader *reader, hd_json_event event) {
    hd_value v;
    switch (event) {
    case HD_JSON_TRUE:
    case HD_JSON_FALSE:
        lua_pushboolean(L, event == HD_JSON_TRUE);
        break;
    case HD_JSON_INTEGER:
        v = hd_int(reader->integer, HD_T_BIGINT);
        hdl_push_value(L, &v, NULL);
        break;
    case HD_JSON_NUMBER:
        lua_pushnumber(L, (lua_Number)reader->number);
        break;
    case HD_JSON_STRING:
        lua_pushlstring(L, reader->text, reader->len);
        break;
    default:
        lua_pushlightuserdata(L, NULL);
        break;
    }
}

/* The value on top goes into the container below it, or stays when there is none. Objects keep their pending key
 * between the two. */
static void store(lua_State *L, const int *next, int depth) {
    if (depth == 0) return;
    if (next[depth] >= 0)
        lua_rawseti(L, -2, next[depth]);
    else
        lua_rawset(L, -3);
}

static void decode_document(lua_State *L, hd_json_reader *reader) {
    int next[HD_JSON_DEPTH + 2]; /* per level: next index of an array, -1 for an object */
    int depth = 0;
    for (;;) {
        hd_json_event event = hd_json_next(reader);
        switch (event) {
        case HD_JSON_ERROR:
        case HD_JSON_END:
            return;
        case HD_JSON_KEY:
            lua_pushlstring(L, reader->text, reader->len);
            continue;
        case HD_JSON_ARRAY_OPEN:
        case HD_JSON_OBJECT_OPEN:
            luaL_checkstack(L, 8, "json");
            lua_newtable(L);
            if (event == HD_JSON_ARRAY_OPEN) hdl_mark_array(L);
            next[++depth] = event == HD_JSON_ARRAY_OPEN ? 1 : -1;
            continue;
        case HD_JSON_ARRAY_CLOSE:
        case HD_JSON_OBJECT_CLOSE:
            depth--;
            break;
        default:
            push_scalar(L, reader, event);
            break;
        }
        store(L, next, depth);
        if (depth > 0 && next[depth] >= 0) next[depth]++;
    }
}

/* Decoding allocates Lua values, which may raise, while the reader holds memory: the reader's scratch therefore is
 * a Lua userdata's business. */
typedef struct json_scratch {
    hd_json_reader reader;
} json_scratch;

static int free_scratch(lua_State *L) {
    json_scratch *scratch = lua_touserdata(L, 1);
    hd_json_reader_free(&scratch->reader);
    return 0;
}

bool hdl_json_decode(lua_State *L, const char *text, size_t len, const char **problem) {
    int top = lua_gettop(L);
    json_scratch *scratch = lua_newuserdata(L, sizeof *scratch);
    memset(scratch, 0, sizeof *scratch);
    hd_json_read(&scratch->reader, text, len, &hd_allocator_libc);
    if (luaL_newmetatable(L, "heddle.json")) {
        lua_pushcfunction(L, free_scratch);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    decode_document(L, &scratch->reader);
    *problem = scratch->reader.problem;
    bool ok = lua_gettop(L) == top + 2 && !*problem;
    hd_json_reader_free(&scratch->reader);
    if (ok)
        lua_remove(L, top + 1);
    else
        lua_settop(L, top);
    return ok;
}

/* ---- For Lua ---- */

/* core.encode(value) -> JSON text; core.decode(text) -> value. Validation errors as error objects. */
static int encode(lua_State *L) {
    hd_error err;
    hd_buffer text;
    const char *problem;
    luaL_checkany(L, 1);
    hd_buffer_init(&text, &hd_allocator_libc);
    if (!hdl_json_encode(L, 1, &text, &problem)) {
        hd_buffer_free(&text);
        hd_error_init(&err, &hd_allocator_libc);
        hd_error_set(&err, HD_E_VALIDATION, "json cannot hold this: %s", problem);
        return hdl_raise(L, &err);
    }
    lua_pushlstring(L, text.data, text.len);
    hd_buffer_free(&text);
    return 1;
}

static int decode(lua_State *L) {
    hd_error err;
    size_t len;
    const char *problem, *text = luaL_checklstring(L, 1, &len);
    if (hdl_json_decode(L, text, len, &problem)) return 1;
    hd_error_init(&err, &hd_allocator_libc);
    hd_error_set(&err, HD_E_VALIDATION, "not JSON: %s", problem);
    return hdl_raise(L, &err);
}

/* core.image(value), core.same_image(value, image), core.from_image(image) */
static int image(lua_State *L) {
    luaL_checkany(L, 1);
    hdl_push_image(L, 1);
    return 1;
}

static int same_image(lua_State *L) {
    lua_settop(L, 2);
    lua_pushboolean(L, hdl_same_image(L, 1, 2));
    return 1;
}

static int from_image(lua_State *L) {
    lua_settop(L, 1);
    hdl_push_from_image(L, 1, NULL);
    return 1;
}

static const luaL_Reg functions[] = {{"encode", encode},         {"decode", decode},
                                     {"image", image},           {"same_image", same_image},
                                     {"from_image", from_image}, {NULL, NULL}};

void hdl_open_values(lua_State *L) {
    make_array_mark(L);
    luaL_setfuncs(L, functions, 0);
}
