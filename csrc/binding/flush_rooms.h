/* What the rooms of a flush share: gather (flush_gather.c), run (flush.c), apply (flush_apply.c). */
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

/* Does the database get a value for this column? */
static inline bool hdl_is_written(const hd_value *value) {
    return value->kind != HD_DEFAULT && value->kind != HD_PENDING;
}

/* Methods of the class, by room. */
extern const luaL_Reg hdl_flush_gather_methods[], hdl_flush_apply_methods[];

#endif
