/* The short way of a flush for new rows. Each value is looked at once: as it is read it becomes the change's and, where that
 * is the form in which it would be read again, the snapshot's, so that nothing is left to do for it when the row has been
 * written. Until then nobody looks at the snapshot of a new row; when the flush fails, another one overwrites it. */
#include "flush_rooms.h"
#include "quick_value.h"

/* Fixed places; from NAMES on stand the properties' names, a column each, and the instance behind them. */
enum { FLUSH = 1, ID, STATE, INSTANCES, BLOCKS, BLOCK, NAMES };

typedef struct newcomers {
    lua_State *L;
    hdl_flush *f;
    hdl_entity *entity;
    int columns, instance; /* the instance's place on the stack */
    int block_number, base;
} newcomers;

static hd_shelf *enter(lua_State *L, newcomers *n) {
    lua_settop(L, STATE);
    n->L = L;
    n->f = hdl_check_flush(L, FLUSH);
    n->entity = hdl_check_entity(L, n->f->model, ID);
    n->columns = n->entity->core.column_count;
    n->instance = NAMES + n->columns;
    n->block_number = 0;
    luaL_checkstack(L, n->columns + 20, "flush");
    hdl_push_part(L, STATE, HDL_PART_SHELF);
    hd_shelf *shelf = hdl_check_shelf(L, -1)->shelf;
    lua_pop(L, 1); /* the state keeps it */
    hdl_push_part(L, STATE, HDL_PART_INSTANCES);
    hdl_push_part(L, STATE, HDL_PART_BLOCKS);
    lua_pushnil(L);
    for (int c = 0; c < n->columns; c++) hdl_push_property(L, n->entity, c);
    return shelf;
}

static void enter_row(newcomers *n, uint32_t slot) {
    lua_State *L = n->L;
    hdl_place place = hdl_locate(slot, n->columns);
    n->base = place.base + 1;
    if (place.block != n->block_number) {
        n->block_number = place.block;
        hdl_need_block(L, BLOCKS, place, n->columns);
        lua_replace(L, BLOCK);
    }
    lua_rawgeti(L, INSTANCES, (int)slot + 1);
}

static void convert(newcomers *n, int column, hd_value *out) {
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    const hdl_column *c = &n->entity->columns[column];
    if (hdl_to_value(n->L, -1, c, hd_flush_arena(n->f->flush), out, &err) != HD_OK)
        hdl_raise_value(n->L, &err, n->entity->core.name, c->core->property);
}

/* The property's value, if there is any. The stack is left as it was. */
static void take_raw(newcomers *n, hd_change *change, int column, hd_arena *arena) {
    lua_State *L = n->L;
    hd_value *set = &change->set[column];
    lua_pushvalue(L, NAMES + column);
    int type = hdl_rawget(L, n->instance);
    if (type != LUA_TNIL) {
        if (hdl_take_quickly(L, type, &n->entity->columns[column], arena, set)) {
            set->flags = HDL_KEPT;
            lua_rawseti(L, BLOCK, n->base + column);
            return;
        }
        if (type == LUA_TTABLE && hdl_is_expression(L, -1))
            hdl_express(L, FLUSH, change, column);
        else
            convert(n, column, set);
    }
    lua_pop(L, 1);
}

static void insert_row(newcomers *n, uint32_t slot) {
    hd_arena *arena = hd_flush_arena(n->f->flush);
    hd_change *change = hd_flush_add(n->f->flush, HD_INSERT, &n->entity->core, slot);
    if (!change) luaL_error(n->L, "not enough memory");
    enter_row(n, slot);
    for (int c = 0; c < n->columns; c++) {
        const hdl_column *column = &n->entity->columns[c];
        if (column->core->flags & HD_COL_GENERATED) continue;
        if (column->raw) take_raw(n, change, c, arena);
        if (column->emptied && change->set[c].kind == HD_DEFAULT) {
            change->set[c] = hd_null();
            change->set[c].type = column->core->type;
        }
    }
    hdl_fill_relations(change);
    lua_settop(n->L, n->instance - 1);
}

/* flush:inserts(id, state): every new row of a shelf, in the order of their slots. */
static int flush_inserts(lua_State *L) {
    newcomers n;
    const hd_shelf *shelf = enter(L, &n);
    uint32_t count = hd_shelf_count(shelf);
    for (uint32_t slot = 0; slot < count; slot++) {
        if (hd_shelf_state(shelf, slot) == HD_ROW_NEW) insert_row(&n, slot);
    }
    return 0;
}

const luaL_Reg hdl_flush_new_methods[] = {{"inserts", flush_inserts}, {NULL, NULL}};
