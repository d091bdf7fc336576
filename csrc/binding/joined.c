/* Rows that hold several entities: a root, and what joins lead to from it.
 *
 * A row has parts. Each has its own hydrator, whose columns stand behind those of the part before, its shelf, and a list
 * that gets the part's instance for every row, so that lists of equal length say who stands beside whom: which owner
 * with which member is the host's to read off them. A part whose key is NULL is no entity: false.
 *
 * A product of collections repeats what it multiplies. What a part has seen in this result, by slot in `seen`, is not
 * looked at again. A row that two parts lead to is one instance; each gives it the columns that it reads.
 *
 * The shelf of plain instances, those of no entity manager, serves one result: it only finds what was there before. */
#include "hydrate.h"

#define MOST_PARTS 64

typedef struct part {
    hdl_run run; /* not of plain instances */
    hdl_shelf *shelf;
    const hdl_hydrator *h;
    uint32_t offset; /* of its columns in a row */
    int base;        /* what it has on the stack stands above */
    bool plain, has_kinds;
} part;

typedef struct joined {
    lua_State *L;
    hd_link *link;
    int count;
    int row_count, late_count;
    part parts[MOST_PARTS];
} joined;

/* Places on the stack. */
enum { LINK = 1, PARTS, LATE };

/* Places above a part's base; a run has its own behind INSTANCES. */
enum { RESULTS = 1, SEEN, META, INSTANCES, NAMES };

/* ---- Instances ---- */

static void push_late(joined *j, int number) {
    lua_pushinteger(j->L, number);
    lua_setfield(j->L, -2, "part");
    lua_rawseti(j->L, LATE, ++j->late_count);
}

static uint32_t add_slot(lua_State *L, hd_shelf *shelf, const hd_value *key) {
    uint32_t slot = hd_shelf_add(shelf, HD_ROW_MANAGED);
    if (slot == HD_NO_SLOT || hd_shelf_set_key(shelf, slot, key) != 0)
        luaL_error(L, "not enough memory");
    return slot;
}

/* Pushes the instance of no entity manager, as hdl_run_row does the other. */
static uint32_t push_plain(joined *j, int number, const hd_value *values, const hd_value *key,
                           uint32_t slot) {
    lua_State *L = j->L;
    part *p = &j->parts[number - 1];
    const hdl_kind *kind = NULL;
    if (!p->has_kinds) {
        lua_pushvalue(L, p->base + META);
    } else if (!(kind = hdl_push_kind(L, p->h, values, p->base + META, "stored_meta"))) {
        push_late(j, number);
        return HD_NO_SLOT;
    }
    if (slot == HD_NO_SLOT) {
        slot = add_slot(L, p->shelf->shelf, key);
        lua_createtable(L, 0, (int)p->h->raw_count);
        lua_insert(L, -2);
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_rawseti(L, p->base + INSTANCES, (int)slot + 1);
    } else {
        lua_pop(L, 1);
        lua_rawgeti(L, p->base + INSTANCES, (int)slot + 1);
    }
    hdl_fill_plain(L, p->h, values, kind, p->base + NAMES);
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        push_late(j, number);
    return slot;
}

/* Pushes what a part of the row is: an instance, or false. */
static void push_part(joined *j, int number, const hd_value *values) {
    lua_State *L = j->L;
    part *p = &j->parts[number - 1];
    const hd_entity *entity = &p->h->entity->core;
    hd_value key[HDL_KEY_COLUMNS];
    for (uint32_t k = 0; k < entity->key_count; k++) {
        key[k] = values[p->h->key[k]];
        if (key[k].kind == HD_NULL) {
            lua_pushboolean(L, 0);
            return;
        }
    }
    uint32_t slot = hd_shelf_find(p->shelf->shelf, key);
    if (slot != HD_NO_SLOT) {
        if (hdl_rawgeti(L, p->base + SEEN, (int)slot + 1) == LUA_TTABLE) return;
        lua_pop(L, 1);
    }
    slot = p->plain ? push_plain(j, number, values, key, slot) : hdl_run_row(&p->run, values);
    if (slot == HD_NO_SLOT) {
        lua_pushboolean(L, 0);
        return;
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, p->base + SEEN, (int)slot + 1);
}

static hd_step add_rows(joined *j, int limit, hd_wait *wait) {
    hd_step step = HD_ROW;
    while (step == HD_ROW && limit-- != 0) {
        j->row_count++;
        for (int number = 1; number <= j->count; number++) {
            part *p = &j->parts[number - 1];
            push_part(j, number, j->link->row.values + p->offset);
            lua_rawseti(j->L, p->base + RESULTS, j->row_count);
        }
        step = hdl_step(j->link, wait);
    }
    return step;
}

/* ---- Parts ---- */

static void enter_plain(joined *j, part *p) {
    lua_State *L = j->L;
    int given = p->base; /* the part's table stands there */
    hdl_getfield(L, given, "instances");
    hdl_getfield(L, given, "hydrator");
    p->h = hdl_check_hydrator(L, -1);
    hdl_getfield(L, given, "shelf");
    p->shelf = hdl_check_shelf(L, -1);
    lua_pop(L, 1); /* the part's table keeps it */
    lua_getuservalue(L, -1);
    lua_replace(L, -2);
    p->has_kinds = hdl_has_kinds(L, p->h);
}

static void enter_run(joined *j, part *p, int number) {
    lua_State *L = j->L;
    int given = p->base, base = lua_gettop(L);
    hdl_getfield(L, given, "shelf");
    lua_pushvalue(L, LINK);
    hdl_getfield(L, given, "hydrator");
    hdl_getfield(L, given, "state");
    lua_newtable(L); /* results are this room's */
    lua_pushvalue(L, LATE);
    lua_pushnil(L);
    hdl_run_enter(L, &p->run, base, &j->late_count);
    p->run.part = number;
    p->h = p->run.h;
    p->shelf = p->run.shelf;
}

/* Enters the part whose number is the next; its columns begin at `offset`. */
static void enter_part(joined *j, uint32_t offset) {
    lua_State *L = j->L;
    part *p = &j->parts[j->count++];
    luaL_checkstack(L, 12, "hydrate");
    hdl_rawgeti(L, PARTS, j->count);
    p->base = lua_gettop(L);
    p->offset = offset;
    hdl_getfield(L, p->base, "results");
    if (j->count == 1) j->row_count = (int)lua_rawlen(L, -1);
    hdl_getfield(L, p->base, "seen");
    p->plain = hdl_getfield(L, p->base, "meta") == LUA_TTABLE;
    if (p->plain)
        enter_plain(j, p);
    else
        enter_run(j, p, j->count);
}

/* (link, parts, late): hydrates rows until there is none, or `limit` are done. */
static int hydrate_rows(lua_State *L, int limit, hd_step *step) {
    joined j;
    hd_wait wait = {-1, 0, HD_NEVER};
    uint32_t offset = 0;
    lua_settop(L, LATE);
    j.L = L;
    j.link = hdl_check_link(L, LINK);
    j.count = 0;
    j.late_count = (int)lua_rawlen(L, LATE);
    int count = (int)lua_rawlen(L, PARTS);
    luaL_argcheck(L, count > 0 && count <= MOST_PARTS, PARTS, "too many parts");
    while (j.count < count) {
        enter_part(&j, offset);
        offset += j.parts[j.count - 1].h->count;
    }
    *step = add_rows(&j, limit, &wait);
    return hdl_push_step(L, *step, &wait);
}

static int hydrate_many(lua_State *L) {
    hd_step step;
    return hydrate_rows(L, -1, &step);
}

/* core.hydrate_joined(link, parts, late) -> step... A row stands ready on the link. A part is { shelf =, hydrator =, state
 * =, results =, seen = }; one of plain instances has `meta`, as hydrate_plain takes it, and `instances` by slot in the
 * place of the state. What goes to `late` has the number of its `part`. */
static int hydrate_joined(lua_State *L) {
    hd_step step;
    int count = hydrate_rows(L, HDL_FEW, &step);
    if (step != HD_ROW) return count;
    lua_settop(L, LATE);
    count = hdl_undisturbed(L, hydrate_many, LATE);
    return count < 0 ? lua_error(L) : count;
}

static const luaL_Reg functions[] = {{"hydrate_joined", hydrate_joined}, {NULL, NULL}};

void hdl_open_joined(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
