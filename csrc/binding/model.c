/* Model: the mapped entities of one context as the core's structs, in one arena. Built once from the mappings;
 * read only but for what the core learns about keys. */
#include "binding.h"

#include <string.h>

#include "base/buffer.h"

hdl_model *hdl_check_model(lua_State *L, int index) {
    return hdl_check_class(L, index, HDL_MODEL);
}

hdl_entity *hdl_check_entity(lua_State *L, hdl_model *model, int index) {
    lua_Integer id = luaL_checkinteger(L, index);
    luaL_argcheck(L, id >= 0 && (uint64_t)id < model->count, index, "no such entity");
    return &model->entities[id];
}

static int model_free(lua_State *L) {
    hdl_model *model = hdl_check_model(L, 1);
    hd_write_texts_free(&model->texts);
    hd_arena_free(&model->arena);
    model->entities = NULL;
    model->count = 0;
    return 0;
}

static void *take(lua_State *L, hdl_model *model, size_t size) {
    void *p = hd_arena_zero(&model->arena, size ? size : 1);
    if (!p) luaL_error(L, "not enough memory");
    return p;
}

static const char *take_text(lua_State *L, hdl_model *model, int index, const char *field) {
    const char *copy = NULL;
    if (hdl_getfield(L, index, field) == LUA_TSTRING) {
        size_t len;
        const char *text = lua_tolstring(L, -1, &len);
        copy = hd_arena_copy(&model->arena, text, len);
        if (!copy) luaL_error(L, "not enough memory");
    }
    lua_pop(L, 1);
    return copy;
}

static bool take_flag(lua_State *L, int index, const char *field) {
    lua_getfield(L, index, field);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

/* Index (0-based) of the column table on top of the stack; pops it. */
static uint16_t column_index(lua_State *L) {
    hdl_getfield(L, -1, "index");
    uint16_t index = (uint16_t)(lua_tointeger(L, -1) - 1);
    lua_pop(L, 2);
    return index;
}

/* The list of columns in `field` of the table at index. */
static const uint16_t *take_columns(lua_State *L, hdl_model *model, int index, const char *field,
                                    uint16_t *count) {
    uint16_t *columns = NULL;
    *count = 0;
    if (hdl_getfield(L, index, field) == LUA_TTABLE) {
        *count = (uint16_t)lua_rawlen(L, -1);
        columns = take(L, model, *count * sizeof *columns);
        for (int i = 0; i < *count; i++) {
            lua_rawgeti(L, -1, i + 1);
            columns[i] = column_index(L);
        }
    }
    lua_pop(L, 1);
    return columns;
}

static hd_rule take_rule(lua_State *L, int index, const char *field) {
    static const char *const names[] = {"restrict", "cascade", "set null", "set default"};
    hd_rule rule = HD_RULE_NONE;
    if (hdl_getfield(L, index, field) == LUA_TSTRING) {
        for (int i = 0; i < 4; i++) {
            if (strcmp(lua_tostring(L, -1), names[i]) == 0) rule = (hd_rule)(i + 1);
        }
    }
    lua_pop(L, 1);
    return rule;
}

static void read_columns(lua_State *L, hdl_model *model, int mapping, hdl_entity *entity) {
    hdl_getfield(L, mapping, "columns");
    uint16_t count = (uint16_t)lua_rawlen(L, -1);
    hd_column *columns = take(L, model, count * sizeof *columns);
    entity->columns = take(L, model, count * sizeof *entity->columns);
    for (int i = 0; i < count; i++) {
        hdl_column *column = &entity->columns[i];
        lua_rawgeti(L, -1, i + 1);
        hdl_column_read(L, lua_gettop(L), &model->arena, column);
        column->finite = column->plus_zero = model->dialect->row_sequence; /* SQLite */
        lua_pop(L, 1);
        columns[i] = *column->core;
        column->core = &columns[i];
        if (columns[i].flags & HD_COL_VERSION) entity->core.version = i;
        if (columns[i].flags & HD_COL_AUTO_KEY) entity->core.auto_key = i;
    }
    lua_pop(L, 1);
    entity->core.columns = columns;
    entity->core.column_count = count;
}

static void read_table(lua_State *L, hdl_model *model, int mapping, hdl_entity *entity) {
    hd_buffer quoted;
    const char *schema = take_text(L, model, mapping, "schema");
    const char *table = take_text(L, model, mapping, "table");
    hd_buffer_init(&quoted, &hd_allocator_libc);
    if (schema) {
        hd_buffer_ident(&quoted, schema, strlen(schema));
        hd_buffer_char(&quoted, '.');
    }
    hd_buffer_ident(&quoted, table, strlen(table));
    char *copy = quoted.failed ? NULL : hd_arena_copy(&model->arena, quoted.data, quoted.len);
    hd_buffer_free(&quoted);
    if (!copy) luaL_error(L, "not enough memory");
    entity->core.table = copy;
    entity->core.table_plain = table;
}

static void read_test(lua_State *L, hdl_model *model, int at, const hdl_entity *entity,
                      hd_test *test) {
    static const char *const words[] = {"eq", "ne", "null", "not_null"};
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    lua_getfield(L, at, "column");
    test->column = column_index(L);
    hdl_getfield(L, at, "word");
    for (uint8_t w = 0; w < 4; w++) {
        if (strcmp(lua_tostring(L, -1), words[w]) == 0) test->word = w;
    }
    const hdl_column *column = &entity->columns[test->column];
    hdl_getfield(L, at, "value");
    if (hdl_to_value(L, -1, column, &model->arena, &test->value, &err) != HD_OK)
        hdl_raise_value(L, &err, entity->core.name, column->core->property);
    lua_pop(L, 2);
}

static void read_tests(lua_State *L, hdl_model *model, int at, const hdl_entity *entity,
                       hd_unique *unique) {
    if (hdl_getfield(L, at, "tests") == LUA_TTABLE) {
        uint16_t count = (uint16_t)lua_rawlen(L, -1);
        hd_test *tests = take(L, model, count * sizeof *tests);
        for (int i = 0; i < count; i++) {
            lua_rawgeti(L, -1, i + 1);
            read_test(L, model, lua_gettop(L), entity, &tests[i]);
            lua_pop(L, 1);
        }
        unique->tests = tests;
        unique->test_count = count;
    }
    lua_pop(L, 1);
}

static void read_uniques(lua_State *L, hdl_model *model, int mapping, hdl_entity *entity) {
    if (hdl_getfield(L, mapping, "uniques") == LUA_TTABLE) {
        uint16_t count = (uint16_t)lua_rawlen(L, -1);
        hd_unique *uniques = take(L, model, count * sizeof *uniques);
        for (int i = 0; i < count; i++) {
            lua_rawgeti(L, -1, i + 1);
            int unique = lua_gettop(L);
            uniques[i].columns = take_columns(L, model, unique, "columns", &uniques[i].count);
            uniques[i].name = take_text(L, model, unique, "name");
            read_tests(L, model, unique, entity, &uniques[i]);
            uniques[i].conditional = take_flag(L, unique, "where") && !uniques[i].test_count;
            lua_pop(L, 1);
        }
        entity->core.uniques = uniques;
        entity->core.unique_count = count;
    }
    lua_pop(L, 1);
}

static void read_foreign_key(lua_State *L, hdl_model *model, int at, hd_foreign_key *key) {
    uint16_t target_count;
    key->columns = take_columns(L, model, at, "columns", &key->count);
    key->target_columns = take_columns(L, model, at, "target_columns", &target_count);
    key->name = take_text(L, model, at, "name");
    key->nullable = take_flag(L, at, "nullable");
    /* SQLite defers any, whatever was declared. */
    key->deferrable = take_flag(L, at, "deferrable") || model->dialect->row_sequence;
    key->on_delete = take_rule(L, at, "on_delete");
    key->on_update = take_rule(L, at, "on_update");
    if (hdl_getfield(L, at, "target") == LUA_TTABLE) {
        hdl_getfield(L, -1, "id");
        lua_Integer id = lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (id >= 0 && (uint64_t)id < model->count) key->target = &model->entities[id].core;
    }
    lua_pop(L, 1);
}

static void read_foreign_keys(lua_State *L, hdl_model *model, int mapping, hdl_entity *entity) {
    if (hdl_getfield(L, mapping, "foreign_keys") == LUA_TTABLE) {
        uint16_t count = (uint16_t)lua_rawlen(L, -1);
        hd_foreign_key *keys = take(L, model, count * sizeof *keys);
        for (int i = 0; i < count; i++) {
            lua_rawgeti(L, -1, i + 1);
            read_foreign_key(L, model, lua_gettop(L), &keys[i]);
            lua_pop(L, 1);
        }
        entity->core.foreign_keys = keys;
        entity->core.foreign_key_count = count;
    }
    lua_pop(L, 1);
}

static void track(hdl_entity *entity, const uint16_t *columns, uint16_t count) {
    for (int i = 0; i < count; i++) entity->tracked[columns[i]] = true;
}

/* The planner needs the old values of these columns, changed or not. */
/* The database writes the others, or the host looks at them. */
static void find_compared(lua_State *L, hdl_model *model, hdl_entity *entity) {
    const hd_entity *core = &entity->core;
    entity->compared = take(L, model, (core->column_count + 1u) * sizeof *entity->compared);
    for (uint16_t c = 0; c < core->column_count; c++) {
        bool is_own = !(core->columns[c].flags & (HD_COL_GENERATED | HD_COL_VERSION));
        if (entity->columns[c].raw && is_own) entity->compared[entity->compared_count++] = c;
    }
}

static void find_tracked(lua_State *L, hdl_model *model, hdl_entity *entity) {
    const hd_entity *core = &entity->core;
    entity->tracked = take(L, model, core->column_count * sizeof *entity->tracked);
    track(entity, core->key, core->key_count);
    for (int i = 0; i < core->foreign_key_count; i++)
        track(entity, core->foreign_keys[i].columns, core->foreign_keys[i].count);
    for (int i = 0; i < core->unique_count; i++) {
        track(entity, core->uniques[i].columns, core->uniques[i].count);
        for (int t = 0; t < core->uniques[i].test_count; t++)
            track(entity, &core->uniques[i].tests[t].column, 1);
    }
    if (core->version >= 0) entity->tracked[core->version] = true;
}

/* ---- Entities that share a table ---- */

static void read_kind(lua_State *L, hdl_model *model, const hdl_entity *entity, hdl_kind *kind) {
    int member = lua_gettop(L);
    uint16_t columns = entity->core.column_count, count;
    kind->name = take_text(L, model, member, "name");
    kind->owned = take(L, model, columns * sizeof *kind->owned);
    kind->required = take(L, model, columns * sizeof *kind->required);
    const uint16_t *owned = take_columns(L, model, member, "owned", &count);
    for (int i = 0; i < count; i++) kind->owned[owned[i]] = true;
    hdl_getfield(L, member, "required");
    for (int c = 0; c < columns; c++) {
        kind->required[c] = hdl_rawgeti(L, -1, c + 1) != LUA_TNIL;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_kinds(lua_State *L, hdl_model *model, int mapping, hdl_entity *entity) {
    entity->discriminator = -1;
    if (hdl_getfield(L, mapping, "members") == LUA_TTABLE) {
        hdl_getfield(L, mapping, "discriminator");
        entity->discriminator = column_index(L);
        entity->kind_count = (int)lua_rawlen(L, -1);
        entity->kinds = take(L, model, (size_t)entity->kind_count * sizeof *entity->kinds);
        for (int i = 0; i < entity->kind_count; i++) {
            lua_rawgeti(L, -1, i + 1);
            read_kind(L, model, entity, &entity->kinds[i]);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

const hdl_kind *hdl_kind_of(lua_State *L, const hdl_entity *entity, int index) {
    if (entity->kind_count == 0 || !lua_getmetatable(L, index)) return NULL;
    hdl_getfield(L, -1, "place");
    lua_Integer place = lua_tointeger(L, -1);
    lua_pop(L, 2);
    return place >= 1 && place <= entity->kind_count ? &entity->kinds[place - 1] : NULL;
}

static void read_entity(lua_State *L, hdl_model *model, int mapping, hdl_entity *entity,
                        uint32_t id) {
    hd_entity *core = &entity->core;
    core->id = id;
    core->version = core->auto_key = -1;
    core->name = take_text(L, model, mapping, "name");
    read_table(L, model, mapping, entity);
    read_columns(L, model, mapping, entity);
    core->key = take_columns(L, model, mapping, "key", &core->key_count);
    read_uniques(L, model, mapping, entity);
    read_foreign_keys(L, model, mapping, entity);
    /* What is read from an expression may have no key: no identity map ever sees its rows. */
    if (core->key_count > HDL_KEY_COLUMNS)
        luaL_error(L, "entity '%s' has %d key columns; %d are possible", core->name,
                   (int)core->key_count, HDL_KEY_COLUMNS);
    find_tracked(L, model, entity);
    find_compared(L, model, entity);
    read_kinds(L, model, mapping, entity);
    hdl_getfield(L, mapping, "check_rows");
    core->check_rows = lua_isnil(L, -1) || lua_toboolean(L, -1);
    lua_pop(L, 1);
    core->autoincrement = core->auto_key >= 0;
    if (core->auto_key >= 0) core->key_source = HD_KEY_SEQUENCE;
    for (int i = 0; i < core->key_count && core->auto_key < 0; i++) {
        if (core->columns[core->key[i]].default_sql) core->key_source = HD_KEY_EXPRESSION;
    }
}

static void mark_referenced(hdl_model *model, const hd_foreign_key *key) {
    for (uint32_t i = 0; i < model->count; i++) {
        if (&model->entities[i].core != key->target) continue;
        bool acts = key->on_delete != HD_RULE_NONE && key->on_delete != HD_RULE_RESTRICT;
        for (int c = 0; c < key->count; c++)
            model->entities[i].columns[key->target_columns[c]].core->flags |=
                acts ? HD_COL_REFERENCED | HD_COL_RULED : HD_COL_REFERENCED;
    }
}

/* Into the user value: the names of the entity's properties, by column, so that nobody has to intern them again. */
static void keep_names(lua_State *L, int model, const hd_entity *entity) {
    lua_getuservalue(L, model);
    lua_createtable(L, entity->column_count, 0);
    for (int c = 0; c < entity->column_count; c++) {
        lua_pushlstring(L, entity->columns[c].property, entity->columns[c].property_len);
        lua_rawseti(L, -2, c + 1);
    }
    lua_rawseti(L, -2, (int)entity->id + 1);
    lua_pop(L, 1);
}

void hdl_push_names(lua_State *L, const hdl_entity *entity) {
    lua_getuservalue(L, -1);
    lua_rawgeti(L, -1, (int)entity->core.id + 1);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* core.model(driver, mappings) */
static int model_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
    luaL_checktype(L, 2, LUA_TTABLE);
    const hd_driver *driver = lua_touserdata(L, 1);
    hdl_model *model = hdl_new_userdata(L, sizeof *model, HDL_MODEL);
    hd_arena_init(&model->arena, &hd_allocator_libc);
    hd_write_texts_init(&model->texts, &hd_allocator_libc);
    model->dialect = driver->dialect;
    uint32_t count = (uint32_t)lua_rawlen(L, 2);
    model->entities = take(L, model, (count + 1) * sizeof *model->entities);
    model->count = count;
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        read_entity(L, model, lua_gettop(L), &model->entities[i], i);
        lua_pop(L, 1);
        keep_names(L, 3, &model->entities[i].core);
    }
    for (uint32_t i = 0; i < count; i++) {
        const hd_entity *core = &model->entities[i].core;
        for (int k = 0; k < core->foreign_key_count; k++)
            mark_referenced(model, &core->foreign_keys[k]);
    }
    return 1;
}

static const luaL_Reg methods[] = {{NULL, NULL}};
static const luaL_Reg functions[] = {{"model", model_new}, {NULL, NULL}};

void hdl_open_model(lua_State *L) {
    hdl_new_class(L, HDL_MODEL, methods, model_free);
    luaL_setfuncs(L, functions, 0);
}
