/* Hydration of rows that are managed already: I3 in C where that is simple (every column is there, the row is fully
 * loaded and has no overlay); what is not goes to the late. */
#include "hydrate_rooms.h"

#include <string.h>

#include "base/json.h"

typedef hdl_run run;

static const hdl_column *column_of(const run *r, uint32_t i) {
    return &r->h->entity->columns[r->h->columns[i]];
}

/* Does the row's kind have this column? What stands in others is nobody's. */
static bool is_own(const run *r, uint32_t i) {
    return hdl_owns(r->kind, r->h->columns[i]);
}

void hdl_push_late(run *r) {
    if (r->part > 0) {
        lua_pushinteger(r->L, r->part);
        lua_setfield(r->L, -2, "part");
    }
    lua_rawseti(r->L, AT(LATE), ++*r->late_count);
}

/* { slot =, fresh =, [column index] = value } for the host; NULL columns are named by `null`. */
void hdl_add_late(run *r, const hd_value *values, uint32_t slot, bool fresh) {
    lua_State *L = r->L;
    lua_createtable(L, r->columns, 2);
    lua_pushinteger(L, (lua_Integer)slot + 1);
    lua_setfield(L, -2, "slot");
    lua_pushboolean(L, fresh);
    lua_setfield(L, -2, "fresh");
    for (uint32_t i = 0; i < r->h->count && !fresh; i++) {
        if (!is_own(r, i)) continue;
        hdl_push_value(L, &values[i], column_of(r, i));
        lua_rawseti(L, -2, r->h->columns[i] + 1);
    }
    hdl_push_late(r);
}

/* Was this property changed in memory? The instance is on top. */
static bool is_changed(run *r, uint32_t i, int at) {
    lua_State *L = r->L;
    const hdl_column *column = column_of(r, i);
    if (!column->raw || !is_own(r, i)) return false;
    lua_pushvalue(L, AT(NAMES) + (int)i);
    lua_rawget(L, -2);
    lua_rawgeti(L, AT(BLOCK), at);
    int top = lua_gettop(L);
    bool same = hdl_same_value(L, r->shelf, r->h->columns[i], top - 1, top);
    lua_pop(L, 2);
    return !same;
}

static bool is_plain_text(const hd_value *value) {
    return value->kind == HD_TEXT || value->kind == HD_UUID || value->kind == HD_DATE ||
           value->kind == HD_TIME || value->kind == HD_BLOB;
}

static bool is_same_json(lua_State *L, const hd_value *value) {
    hd_hash128 hash;
    size_t len;
    const char *image = lua_tolstring(L, -1, &len);
    return image && len >= sizeof hash &&
           hd_json_hash(value->as.p, value->len, &hd_allocator_libc, &hash) == 0 &&
           memcmp(image, &hash, sizeof hash) == 0;
}

/* Without making a string of the row's bytes. */
static bool is_same_text(lua_State *L, const hd_value *value) {
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING) return false;
    const char *text = lua_tolstring(L, -1, &len);
    return len == value->len && (len == 0 || memcmp(text, value->as.p, len) == 0);
}

/* Does the row hold what the snapshot holds? */
static bool is_same(run *r, const hd_value *value, const hdl_column *column, int at) {
    lua_State *L = r->L;
    bool same;
    lua_rawgeti(L, AT(BLOCK), at);
    if (hdl_is_mutable(column) && value->kind == HD_JSON) {
        same = is_same_json(L, value);
    } else if (hdl_is_mutable(column)) {
        hdl_push_value(L, value, column);
        same = hdl_same_image(L, lua_gettop(L), lua_gettop(L) - 1);
        lua_pop(L, 1);
    } else if (is_plain_text(value)) {
        same = is_same_text(L, value);
    } else {
        hdl_push_value(L, value, column);
        same = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return same;
}

/* The row's value replaces property and snapshot. The instance is on top. */
static void refresh(run *r, const hd_value *value, uint32_t i, int at) {
    lua_State *L = r->L;
    const hdl_column *column = column_of(r, i);
    lua_pushvalue(L, AT(NAMES) + (int)i);
    hdl_push_value(L, value, column);
    hdl_take_snapshot(L, value, column, AT(BLOCK), at);
    if (column->raw)
        lua_rawset(L, -3);
    else
        lua_pop(L, 2);
}

static bool brings_news(run *r, const hd_value *values, uint32_t slot) {
    int before = hdl_enter_block(r, slot);
    for (uint32_t i = 0; i < r->h->count; i++) {
        int at = before + r->h->columns[i] + 1;
        if (is_own(r, i) && !is_same(r, &values[i], column_of(r, i), at)) return true;
    }
    return false;
}

/* I3, of a row with news. The instance is on top and stays there. */
static void merge(run *r, const hd_value *values, uint32_t slot) {
    int before = hdl_enter_block(r, slot);
    int version = r->h->entity->core.version;
    bool dirty = false, stale = false;
    for (uint32_t i = 0; i < r->h->count; i++) {
        int at = before + r->h->columns[i] + 1;
        dirty = dirty || is_changed(r, i, at);
        if (r->h->columns[i] == version) stale = !is_same(r, &values[i], column_of(r, i), at);
    }
    if (dirty && stale) return;
    for (uint32_t i = 0; i < r->h->count; i++) {
        int at = before + r->h->columns[i] + 1;
        if (!is_own(r, i) || (dirty && is_changed(r, i, at))) continue;
        if (!is_same(r, &values[i], column_of(r, i), at)) refresh(r, &values[i], i, at);
    }
}

static bool has_overlay(run *r, uint32_t slot) {
    if (!r->has_overlay) return false;
    bool there = hdl_rawgeti(r->L, AT(OVERLAY), (int)slot + 1) != LUA_TNIL;
    lua_pop(r->L, 1);
    return there;
}

bool hdl_push_known(run *r, const hd_value *values, uint32_t slot) {
    if (r->pile) hdl_pile_settle(r);
    if (hdl_rawgeti(r->L, AT(INSTANCES), (int)slot + 1) == LUA_TNIL) {
        lua_pop(r->L, 1);
        return false;
    }
    switch (hd_shelf_state(r->shelf->shelf, slot)) {
    case HD_ROW_MANAGED:
        if (!r->h->full || r->h->converts || has_overlay(r, slot) ||
            hdl_kind_of(r->L, r->h->entity, -1) != r->kind)
            hdl_add_late(r, values, slot, false);
        else if (!brings_news(r, values, slot))
            break;
        else if (r->has_marks)
            hdl_add_late(r, values, slot,
                         false); /* the host notes what a rollback has to bring back */
        else
            merge(r, values, slot);
        break;
    case HD_ROW_PARTIAL:
    case HD_ROW_REFERENCE:
    case HD_ROW_REMOVED:
        hdl_add_late(r, values, slot, false);
        break;
    default: /* to be inserted: what is pending stays */
        break;
    }
    return true;
}
