/* What the rooms of a flush share: gather (flush_gather.c, flush_lane.c), run (flush.c), apply (flush_apply.c). */
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

/* flush_apply.c: are two values equal, integers and floats told apart, and the two zeros? */
bool hdl_is_identical(lua_State *L, int a, int b);

/* flush_gather.c: a relation of a new row that was never assigned becomes NULL. */
void hdl_fill_relations(hd_change *change);

/* Methods of the class, by room. */
extern const luaL_Reg hdl_flush_gather_methods[], hdl_flush_lane_methods[],
    hdl_flush_apply_methods[];

#endif
