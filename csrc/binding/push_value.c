/* Core values to Lua values, and the images that stand for mutable ones in a snapshot. The only place that
 * decides how a value looks in Lua. */
#include "binding.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define EXACT 9007199254740992 /* 2^53 */

static void push_integer(lua_State *L, int64_t value) {
#if HDL_DOUBLES
    if (value > EXACT || value < -EXACT) {
        char text[24];
        lua_pushlstring(L, text, hd_integer_format(value, text));
        return;
    }
    lua_pushnumber(L, (lua_Number)value);
#else
    lua_pushinteger(L, (lua_Integer)value);
#endif
}

static void push_timestamp(lua_State *L, int64_t us) {
    if (us % 1000000 == 0)
        push_integer(L, us / 1000000);
    else
        lua_pushnumber(L, (lua_Number)us / 1e6);
}

static void push_list(lua_State *L, const hd_list *list) {
    luaL_checkstack(L, 4, "array");
    lua_createtable(L, (int)list->count, 0);
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].kind == HD_NULL)
            lua_pushlightuserdata(L, NULL);
        else
            hdl_push_value(L, &list->items[i], NULL);
        lua_rawseti(L, -2, (int)i + 1);
    }
    hdl_mark_array(L);
}

/* Elements of an array that was stored as JSON (SQLite): what JSON has no type for is text there. */
static void convert_elements(lua_State *L, hd_type element) {
    int table = lua_gettop(L);
    int count = (int)lua_rawlen(L, table);
    if (element != HD_T_TIMESTAMP && element != HD_T_ARRAY) return;
    for (int i = 1; i <= count; i++) {
        int64_t us;
        size_t len;
        if (hdl_rawgeti(L, table, i) == LUA_TTABLE) {
            convert_elements(L, element);
        } else if (lua_type(L, -1) == LUA_TSTRING) {
            const char *text = lua_tolstring(L, -1, &len);
            if (hd_timestamp_parse(text, len, &us) == 0) {
                push_timestamp(L, us);
                lua_rawseti(L, table, i);
            }
        }
        lua_pop(L, 1);
    }
}

static void push_json(lua_State *L, const hd_value *value, const hdl_column *column) {
    const char *problem;
    if (!hdl_json_decode(L, value->as.p, value->len, &problem)) {
        lua_pushlstring(L, value->as.p,
                        value->len); /* not JSON: what stands there, rather than nothing */
        return;
    }
    if (column && column->core->type == HD_T_ARRAY && lua_istable(L, -1))
        convert_elements(L, (hd_type)column->core->element);
}

/* as = "string": what there is, in its canonical text. */
static bool push_as_string(lua_State *L, const hd_value *value) {
    char text[40];
    switch (value->kind) {
    case HD_INT:
        lua_pushlstring(L, text, hd_integer_format(value->as.i, text));
        return true;
    case HD_FLOAT:
        lua_pushlstring(L, text, hd_double_format(value->as.f, text));
        return true;
    case HD_TIMESTAMP:
        lua_pushlstring(L, text, hd_timestamp_format_iso(value->as.i, text));
        return true;
    default:
        return false;
    }
}

/* Padded to the column's scale: a database without a type of its own keeps what a default or another program wrote. */
static void push_decimal(lua_State *L, const hd_value *value, const hdl_column *column) {
    const char *text = value->as.p, *point = memchr(text, '.', value->len);
    int digits = point ? (int)(value->len - (size_t)(point + 1 - text)) : 0;
    int scale = column ? column->core->scale : 0;
    bool number = value->len > 0 && text[value->len - 1] >= '0' && text[value->len - 1] <= '9';
    if (!number || digits >= scale) {
        lua_pushlstring(L, text, value->len);
        return;
    }
    luaL_Buffer padded;
    luaL_buffinit(L, &padded);
    luaL_addlstring(&padded, text, value->len);
    if (!point) luaL_addchar(&padded, '.');
    for (; digits < scale; digits++) luaL_addchar(&padded, '0');
    luaL_pushresult(&padded);
}

void hdl_push_value(lua_State *L, const hd_value *value, const hdl_column *column) {
    if (column && column->as != HDL_AS_PLAIN && push_as_string(L, value)) return;
    switch ((hd_kind)value->kind) {
    case HD_BOOL:
        lua_pushboolean(L, value->as.i != 0);
        break;
    case HD_INT:
        push_integer(L, value->as.i);
        break;
    case HD_FLOAT:
        lua_pushnumber(L, (lua_Number)value->as.f);
        break;
    case HD_TIMESTAMP:
        push_timestamp(L, value->as.i);
        break;
    case HD_JSON:
        push_json(L, value, column);
        break;
    case HD_LIST:
        push_list(L, value->as.list);
        break;
    case HD_DECIMAL:
        push_decimal(L, value, column);
        break;
    case HD_TEXT:
    case HD_BLOB:
    case HD_DATE:
    case HD_TIME:
    case HD_UUID:
        lua_pushlstring(L, value->as.p ? value->as.p : "", value->len);
        break;
    default:
        lua_pushnil(L);
        break;
    }
}

/* ---- Images ---- */

/* A buffer that Lua frees when an error passes by. */
typedef struct scratch {
    hd_buffer buffer;
} scratch;

static int free_scratch(lua_State *L) {
    hd_buffer_free(&((scratch *)lua_touserdata(L, 1))->buffer);
    return 0;
}

static hd_buffer *new_scratch(lua_State *L) {
    scratch *s = lua_newuserdata(L, sizeof *s);
    hd_buffer_init(&s->buffer, &hd_allocator_libc);
    if (luaL_newmetatable(L, "heddle.scratch")) {
        lua_pushcfunction(L, free_scratch);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return &s->buffer;
}

static bool image_of(lua_State *L, int index, hd_buffer *out, hd_hash128 *hash) {
    const char *problem;
    return hdl_json_encode(L, index, out, &problem) &&
           hd_json_hash(out->data, out->len, &hd_allocator_libc, hash) == 0;
}

void hdl_push_image(lua_State *L, int index) {
    if (lua_isnil(L, index)) {
        lua_pushnil(L);
        return;
    }
    index = lua_absindex(L, index);
    hd_buffer *text = new_scratch(L);
    hd_hash128 hash;
    luaL_Buffer image;
    if (!image_of(L, index, text, &hash)) {
        lua_pushliteral(L, "?"); /* too short for a hash: equals nothing */
        lua_remove(L, -2);
        return;
    }
    luaL_buffinit(L, &image);
    luaL_addlstring(&image, (const char *)&hash, sizeof hash);
    luaL_addlstring(&image, text->data, text->len);
    luaL_pushresult(&image);
    hd_buffer_free(text);
    lua_remove(L, -2);
}

void hdl_push_image_of(lua_State *L, int index, const hd_value *value, const hdl_column *column) {
    hd_hash128 hash;
    luaL_Buffer image;
    if (value->kind != HD_JSON || column->core->type != HD_T_JSON ||
        !hdl_json_digest(L, index, &hash)) {
        hdl_push_image(L, index);
        return;
    }
    luaL_buffinit(L, &image);
    luaL_addlstring(&image, (const char *)&hash, sizeof hash);
    luaL_addlstring(&image, value->as.p, value->len);
    luaL_pushresult(&image);
}

/* Long to tell: what a digest does not say. */
static bool is_encoded_as(lua_State *L, int index, const char *image) {
    hd_hash128 hash;
    hd_buffer text;
    hd_buffer_init(&text, &hd_allocator_libc);
    bool same = image_of(L, index, &text, &hash) && memcmp(image, &hash, sizeof hash) == 0;
    hd_buffer_free(&text);
    return same;
}

bool hdl_same_image(lua_State *L, int index, int image) {
    size_t len;
    hd_hash128 hash;
    if (lua_isnil(L, index) || lua_type(L, image) != LUA_TSTRING)
        return lua_isnil(L, index) && lua_isnil(L, image);
    const char *bytes = lua_tolstring(L, image, &len);
    if (len < sizeof hash) return false;
    if (hdl_json_digest(L, index, &hash)) return memcmp(bytes, &hash, sizeof hash) == 0;
    return is_encoded_as(L, index, bytes);
}

void hdl_push_from_image(lua_State *L, int image, const hdl_column *column) {
    size_t len;
    const char *bytes = lua_tolstring(L, image, &len);
    if (!bytes || len < sizeof(hd_hash128)) {
        lua_pushnil(L);
        return;
    }
    hd_value v = hd_bytes(HD_JSON, bytes + sizeof(hd_hash128), len - sizeof(hd_hash128), HD_T_JSON);
    (void)column;
    hdl_push_value(L, &v, NULL);
}
