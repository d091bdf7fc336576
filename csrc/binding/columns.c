/* Columns as the host describes them: a mapping's column, or a descriptor of a parameter (see docs/architecture.md), read
 * into what the binding and the core need. */
#include "binding.h"
#include "quick_value.h"

#include <string.h>

static const char *string_field(lua_State *L, int index, const char *name, hd_arena *arena,
                                size_t *len) {
    const char *copy = NULL;
    size_t n = 0;
    if (hdl_getfield(L, index, name) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &n);
        copy = hd_arena_copy(arena, text, n);
        if (!copy) luaL_error(L, "not enough memory");
    }
    lua_pop(L, 1);
    if (len) *len = n;
    return copy;
}

static int integer_field(lua_State *L, int index, const char *name, int absent) {
    int value = hdl_getfield(L, index, name) == LUA_TNUMBER ? (int)lua_tointeger(L, -1) : absent;
    lua_pop(L, 1);
    return value;
}

static bool flag_field(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static hd_type type_field(lua_State *L, int index, const char *name) {
    size_t len;
    hd_type type = HD_T_UNKNOWN;
    if (hdl_getfield(L, index, name) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &len);
        type = hd_type_from_name(text, len);
    }
    lua_pop(L, 1);
    return type;
}

static void read_labels(lua_State *L, int index, hd_arena *arena, hd_column *column) {
    if (hdl_getfield(L, index, "enum") == LUA_TTABLE) {
        uint32_t count = (uint32_t)lua_rawlen(L, -1);
        const char **labels = hd_arena_zero(arena, (count + 1) * sizeof *labels);
        if (!labels) luaL_error(L, "not enough memory");
        for (uint32_t i = 0; i < count; i++) {
            lua_rawgeti(L, -1, (int)i + 1);
            labels[i] = hd_arena_copy(arena, luaL_checkstring(L, -1), lua_rawlen(L, -1));
            lua_pop(L, 1);
            if (!labels[i]) luaL_error(L, "not enough memory");
        }
        column->labels = labels;
        column->label_count = count;
    }
    lua_pop(L, 1);
}

static uint16_t read_flags(lua_State *L, int index, const hd_column *column) {
    unsigned flags = 0;
    if (flag_field(L, index, "primary")) flags |= HD_COL_PRIMARY;
    if (flag_field(L, index, "nullable")) flags |= HD_COL_NULLABLE;
    if (flag_field(L, index, "autoincrement")) flags |= HD_COL_AUTO_KEY;
    if (column->default_sql) flags |= HD_COL_SERVER_DEFAULT;
    if (flag_field(L, index, "generated")) flags |= HD_COL_GENERATED;
    if (flag_field(L, index, "version")) flags |= HD_COL_VERSION;
    if (flag_field(L, index, "checked")) flags |= HD_COL_CHECKED;
    return (uint16_t)flags;
}

/* A list descriptor wraps the column whose values it lists. */
static void read_list(lua_State *L, int index, hd_arena *arena, hdl_column *column) {
    lua_getfield(L, index, "column");
    hdl_column_read(L, lua_gettop(L), arena, column);
    lua_pop(L, 1);
    column->list = true;
}

void hdl_column_read(lua_State *L, int index, hd_arena *arena, hdl_column *column) {
    luaL_checktype(L, index, LUA_TTABLE);
    memset(column, 0, sizeof *column);
    if (flag_field(L, index, "list")) {
        read_list(L, index, arena, column);
        return;
    }
    hd_column *core = hd_arena_zero(arena, sizeof *core);
    if (!core) luaL_error(L, "not enough memory");
    column->core = core;
    core->name = string_field(L, index, "name", arena, &core->name_len);
    core->property = string_field(L, index, "property", arena, &core->property_len);
    core->type = (uint8_t)type_field(L, index, "type");
    core->element = (uint8_t)type_field(L, index, "array_of");
    core->length = integer_field(L, index, "length", 0);
    core->precision = integer_field(L, index, "precision", 0);
    core->scale = integer_field(L, index, "scale", -1);
    core->default_sql = string_field(L, index, "default_sql", arena, NULL);
    core->cast = string_field(L, index, "cast", arena, NULL);
    core->flags = read_flags(L, index, core);
    read_labels(L, index, arena, core);
    if (core->label_count) core->flags |= HD_COL_CHECKED;
    if (core->cast) core->type = HD_T_UNKNOWN;
    size_t len;
    const char *as = string_field(L, index, "as", arena, &len);
    column->as = !as ? HDL_AS_PLAIN : strcmp(as, "iso8601") == 0 ? HDL_AS_ISO8601 : HDL_AS_STRING;
    column->raw = flag_field(L, index, "raw");
    column->emptied = flag_field(L, index, "emptied");
    column->converts = flag_field(L, index, "converts") || flag_field(L, index, "at");
    column->finite = column->plus_zero = flag_field(L, index, "sqlite");
    column->quick = (uint8_t)(column->converts ? HDL_QUICK_NONE : hdl_quick_of(column));
}
