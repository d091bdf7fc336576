/* What the rooms of a flush share: gather (flush_gather.c, flush_lane.c,
 * flush_new.c), run (flush.c), apply (flush_apply.c). */
#ifndef HDL_FLUSH_ROOMS_H
#define HDL_FLUSH_ROOMS_H

#include "binding.h"

typedef struct hdl_flush {
    hd_flush *flush;
    hdl_model *model; /* pinned by the user value */
} hdl_flush;

hdl_flush *hdl_check_flush(lua_State *L, int index);
hd_change *hdl_check_change(lua_State *L, hdl_flush *f,
                            int index); /* a change's index on the stack */
const hdl_entity *hdl_entity_of(const hdl_flush *f, const hd_change *change);
int hdl_push_change(lua_State *L, const hd_change *change);
void hdl_push_property(lua_State *L, const hdl_entity *entity, int column); /* its name */
/* The names of all, one upon the other; `flush`: the flush's place on the stack. */
void hdl_push_property_names(lua_State *L, int flush, const hdl_entity *entity);

/* hd_value.flags: the row's snapshot holds the value already, the instance has it in that form. What comes from the
 * database in its place has no flags. */
#define HDL_KEPT 1

/* Is there a value for this column, which the database gets or has given? */
static inline bool hdl_is_written(const hd_value *value) {
    return value->kind < HD_PENDING;
}

/* flush_express.c: is the value at `index` what orm.raw makes? */
bool hdl_is_expression(lua_State *L, int index);
/* The column gets what the object on top of the stack says; `flush`: the flush's place on it. Raises validation. */
void hdl_express(lua_State *L, int flush, hd_change *change, int column);
/* Pushes the object of a column that is HD_EXPRESSION. */
void hdl_push_expression(lua_State *L, int flush, const hd_change *change, int column);

/* flush_apply.c: flush:apply, whose arguments are on the stack, for what nobody will take back. */
void hdl_flush_apply_for_good(lua_State *L);
/* The same: are two values equal, integers and floats told apart, and the two zeros? */
bool hdl_is_identical(lua_State *L, int a, int b);

/* The same: pushes a block of snapshots from the table of them at `blocks`, made when there is none. */
void hdl_need_block(lua_State *L, int blocks, hdl_place place, int columns);

/* flush_gather.c: a relation of a new row that was never assigned becomes NULL. */
void hdl_fill_relations(hd_change *change);
/* U4: must the column not be NULL, and is? */
bool hdl_lacks(const hd_change *change, int column);

/* Methods of the class, by room. */
extern const luaL_Reg hdl_flush_gather_methods[], hdl_flush_lane_methods[], hdl_flush_new_methods[],
    hdl_flush_apply_methods[];

#endif
