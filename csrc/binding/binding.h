/* What the rooms of the binding share. Every function that takes a lua_State may raise (memory), unless it says
 * otherwise; none is called while C holds something that no userdata knows. */
#ifndef HDL_BINDING_H
#define HDL_BINDING_H

#include "base/json.h"
#include "compat.h"
#include "entity.h"
#include "flush.h"
#include "link.h"
#include "session.h"

/* ---- Columns as the host describes them ---- */

typedef enum hdl_as { HDL_AS_PLAIN = 0, HDL_AS_STRING, HDL_AS_ISO8601 } hdl_as;

/* Which usual values of a column quick_value.c takes. */
typedef enum hdl_quick {
    HDL_QUICK_NONE = 0,
    HDL_QUICK_INTEGER,
    HDL_QUICK_FLOAT,
    HDL_QUICK_TEXT,
    HDL_QUICK_TIMESTAMP,
    HDL_QUICK_BOOLEAN
} hdl_quick;

/* A column with what the binding needs to know beyond the core: how its values look in Lua. */
typedef struct hdl_column {
    hd_column *core;
    uint8_t as;    /* hdl_as */
    uint8_t quick; /* hdl_quick */
    bool list;     /* a bulk parameter: a Lua table of such values */
    bool raw;      /* held raw in the instance, in the form that the core gives it */
    bool
        emptied; /* nullable with a default that the host applies: no value in a new row means NULL */
    bool converts;  /* the host finishes it: a custom type, or a member of an embedded value */
    bool finite;    /* NaN cannot be stored (SQLite) */
    bool plus_zero; /* -0.0 is stored as 0.0 (SQLite) */
} hdl_column;

/* Reads the table at index (mapping column or descriptor, see docs/architecture.md) into `column`; texts are copied
 * into arena. Raises on a malformed description. */
void hdl_column_read(lua_State *L, int index, hd_arena *arena, hdl_column *column);

/* ---- Values ---- */

/* Lua value at index to what the column stores, checked and in normal form (U4, U7); bytes go to arena unless
 * they were the Lua string's own and `borrow`. nil and null give HD_NULL. Never raises: HD_E_VALIDATION with
 * message in err ("value out of range for integer"), which names neither entity nor property. */
hd_error_kind hdl_to_value(lua_State *L, int index, const hdl_column *column, hd_arena *arena,
                           hd_value *out, hd_error *err);
/* Without a declared type: by the Lua value's own (raw SQL). */
hd_error_kind hdl_to_natural(lua_State *L, int index, hd_arena *arena, hd_value *out,
                             hd_error *err);
/* Pushes a value as the column's Lua form (column NULL: natural). Exactly one Lua value; NULL is nil. */
void hdl_push_value(lua_State *L, const hd_value *value, const hdl_column *column);
/* Values of this column change inside (tables): their snapshot is hdl_push_image's string. */
static inline bool hdl_is_mutable(const hdl_column *column) {
    return column->core->type == HD_T_JSON || column->core->type == HD_T_ARRAY;
}
/* Snapshot of the mutable value at index: 16 bytes of structural hash, then its JSON text. nil for nil. A value
 * that json cannot hold gives a string that equals no other. */
void hdl_push_image(lua_State *L, int index);
/* The same of the value at index that was made of a row's `value`, whose text serves as it is. */
void hdl_push_image_of(lua_State *L, int index, const hd_value *value, const hdl_column *column);
/* Does the value at `index` still stand as the image at `image` says? */
bool hdl_same_image(lua_State *L, int index, int image);
void hdl_push_from_image(lua_State *L, int image, const hdl_column *column); /* the value again */
/* The snapshot at index (a value, or a mutable one's image) as a value. What the column would not take from a program
 * it takes from here: it was read. */
hd_error_kind hdl_from_snapshot(lua_State *L, int index, const hdl_column *column, hd_arena *arena,
                                hd_value *out, hd_error *err);

/* ---- JSON ---- */

/* Encodes the value at index; false: *problem says why (static text). Never raises. */
bool hdl_json_encode(lua_State *L, int index, hd_buffer *out, const char **problem);
/* Pushes the decoded document, or nothing and false with *problem. */
bool hdl_json_decode(lua_State *L, const char *text, size_t len, const char **problem);
/* The structural hash of the value at index, as of its JSON text; false: it is left to who encodes it. Of text nobody asks
 * whether JSON can hold it. */
bool hdl_json_digest(lua_State *L, int index, hd_hash128 *out);
void hdl_mark_array(lua_State *L); /* gives the table on top orm.array's mark */
bool hdl_is_array(lua_State *L, int index);

/* ---- Errors ---- */

void hdl_push_error(lua_State *L,
                    const hd_error *err); /* a record: errors.from_core makes it an error object */
int hdl_raise(lua_State *L, hd_error *err); /* clears err, raises the error object */
/* As hdl_raise for a value that its column refused: "User.age: out of range for smallint". */
int hdl_raise_value(lua_State *L, hd_error *err, const char *entity, const char *property);

/* The time of day: microseconds since 1970. */
int64_t hdl_now(void);

/* ---- Userdata ---- */

/* Their classes: the address is what a class is found by, the text is its name. */
extern const char HDL_MODEL[], HDL_POOL[], HDL_LINK[], HDL_GUARD[], HDL_DESCRIPTOR[], HDL_WAITER[],
    HDL_REQUEST[], HDL_QUERY[], HDL_SESSION[], HDL_SHELF[], HDL_HYDRATOR[], HDL_FLUSH[],
    HDL_CURSOR[];

/* Pushes what stands in the registry under an address. */
static inline void hdl_push_registered(lua_State *L, const char *address) {
#if LUA_VERSION_NUM < 503
    lua_pushlightuserdata(L, (void *)(uintptr_t)address);
    lua_rawget(L, LUA_REGISTRYINDEX);
#else
    lua_rawgetp(L, LUA_REGISTRYINDEX, address);
#endif
}
/* What the core looks at in every call stands in the list of a shelf's table (shelf.lua), where the other fields have to
 * be looked for by a string. */
typedef enum hdl_part {
    HDL_PART_SHELF = 1,
    HDL_PART_INSTANCES,
    HDL_PART_SLOT_OF,
    HDL_PART_BLOCKS,
    HDL_PART_OVERLAY,
    HDL_PART_LOADED_META /* false where entities share a table */
} hdl_part;

/* Of the table at index; gives its type. */
static inline int hdl_push_part(lua_State *L, int index, hdl_part part) {
    return hdl_rawgeti(L, index, part);
}

/* The userdata at index, which has to be of a class; raises. Quicker than luaL_checkudata, which looks for a string. */
void *hdl_check_class(lua_State *L, int index, const char *name);

/* One of several entities that share a table: which columns are its own, and which of them it must have though the
 * table takes NULL. */
typedef struct hdl_kind {
    const char *name;
    bool *owned, *required; /* per column */
} hdl_kind;

/* The mapped entities of one context. Pinned by whoever uses an hd_entity. */
typedef struct hdl_entity {
    hd_entity core;
    hdl_column *columns; /* core.column_count */
    uint16_t *compared;  /* columns whose properties may differ from their snapshots */
    uint16_t compared_count;
    bool *tracked;   /* per column: part of the key, the version, a foreign or a unique key */
    hdl_kind *kinds; /* by place; none: every row is one of the entity's own */
    int kind_count;
    int discriminator; /* the column that tells, -1 */
} hdl_entity;

typedef struct hdl_model {
    hd_arena arena;
    hdl_entity *entities;
    uint32_t count;
    const hd_dialect *dialect;
    hd_write_texts texts; /* that flushes have written */
} hdl_model;

/* A text with its parameters and results, ready to run. */
typedef struct hdl_query {
    hd_arena arena;
    hd_statement statement;
    hd_batch batch;
    hdl_column *params, *results;
    uint32_t param_count, result_count;
    bool natural; /* neither parameters nor results are described */
} hdl_query;

#define HDL_KEY_COLUMNS 32 /* at most, of one primary key */

typedef struct hdl_shelf {
    hd_session *session; /* pinned by the user value, as is the model */
    hd_shelf *shelf;
    const hdl_entity *entity;
    hd_arena scratch;
} hdl_shelf;

/* Which of the entities that share the table an instance (at `index`) is of; NULL where none do. */
const hdl_kind *hdl_kind_of(lua_State *L, const hdl_entity *entity, int index);

static inline bool hdl_owns(const hdl_kind *kind, int column) {
    return !kind || kind->owned[column];
}

hdl_model *hdl_check_model(lua_State *L, int index);
hdl_entity *hdl_check_entity(lua_State *L, hdl_model *model, int index); /* an id on the stack */
/* The model on top of the stack gives way to the list of the names of an entity's properties, by column from 1. */
void hdl_push_names(lua_State *L, const hdl_entity *entity);
hd_link *hdl_check_link(lua_State *L, int index);
hd_session *hdl_check_session(lua_State *L, int index);
hdl_shelf *hdl_check_shelf(lua_State *L, int index);
hdl_query *hdl_check_query(lua_State *L, int index);
/* The primary key at index (a scalar, or a table of the key's values in order) as values; raises validation. */
void hdl_check_key(lua_State *L, hdl_shelf *shelf, int index, hd_value *key);
/* Does the value at `index` stand for the snapshot's value of the database? False for what cannot be stored. */
bool hdl_same_value(lua_State *L, hdl_shelf *shelf, int column, int index, int snapshot);
/* Readies the link for a batch and what it points into. */
void hdl_link_ready(hd_link *link);
/* hd_link_step; a Ctrl-C that core.interrupts asked for stops a step that would go on for long. */
hd_step hdl_step(hd_link *link, hd_wait *wait);
/* Carries on what the last step said WAIT of, waiting in here for 50 ms at most. */
hd_step hdl_block(hd_link *link, hd_wait *wait);
/* Runs a batch on the link and steps once; pushes the status (and keeps `pin` alive until the next run). */
int hdl_link_start(lua_State *L, int link_index, const hd_batch *batch, unsigned flags,
                   hd_time limit, int pin);
/* What a link's operation needs, for who starts one: converts the parameters in the table at `params` (n of them) into
 * the link's arena (err->row: the place of one that its column refuses); keeps a value alive until the next operation;
 * reads a timeout in seconds, or nil. */
hd_error_kind hdl_bind(lua_State *L, hd_link *link, hdl_query *query, int params, uint32_t n);
void hdl_pin(lua_State *L, int link_index, int value);
hd_time hdl_limit(lua_State *L, int index);
/* Pushes a step's status, and for WAIT fd, events and seconds. Gives the number of values. */
int hdl_push_step(lua_State *L, hd_step step, const hd_wait *wait);

/* A new userdata of `size` zeroed bytes with the named metatable and an empty user value table. */
void *hdl_new_userdata(lua_State *L, size_t size, const char *name);
/* Registers a class: metatable with __index = methods, __gc, __close and __name. */
void hdl_new_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction free);

/* More methods for a class, from another room. */
void hdl_add_methods(lua_State *L, const char *name, const luaL_Reg *methods);

/* Each room adds its classes and its functions to the module table on top of the stack. */
void hdl_open_values(lua_State *L);
void hdl_open_model(lua_State *L);
void hdl_open_pool(lua_State *L);
void hdl_open_link(lua_State *L);
void hdl_open_guard(lua_State *L);
void hdl_open_descriptor(lua_State *L);
void hdl_open_poller(lua_State *L);
void hdl_open_request(lua_State *L);
void hdl_open_interrupt(lua_State *L);
void hdl_open_cursor(lua_State *L);
void hdl_open_query(lua_State *L);
void hdl_open_session(lua_State *L);
void hdl_open_hydrate(lua_State *L);
void hdl_open_places(lua_State *L);
void hdl_open_owned(lua_State *L);
void hdl_open_children(lua_State *L);
void hdl_open_joined(lua_State *L);
void hdl_open_find(lua_State *L);
void hdl_open_prefetch(lua_State *L);
void hdl_open_instance(lua_State *L);
void hdl_open_flush(lua_State *L);
void hdl_open_handle(lua_State *L);
void hdl_open_member(lua_State *L);

/* ---- Snapshot blocks: flat arrays of rows, geometric sizes (4, 8 .. 256 rows, then 256 each) ---- */

typedef struct hdl_place {
    int block; /* 1-based */
    int base;  /* index before the row's first column: column c stands at base + c (c from 1) */
    int rows;  /* of that block */
} hdl_place;

static inline hdl_place hdl_locate(uint32_t slot, int columns) {
    hdl_place place;
    uint32_t first = 0, size = 4;
    place.block = 1;
    while (size < 256 && slot >= first + size) {
        first += size;
        size *= 2;
        place.block++;
    }
    place.block += (int)((slot - first) / size);
    place.base = (int)((slot - first) % size) * columns;
    place.rows = (int)size;
    return place;
}

#endif
