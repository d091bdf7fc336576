/* Quick values: the usual ones of most columns, see quick_value.c. */
#ifndef HDL_QUICK_VALUE_H
#define HDL_QUICK_VALUE_H

#include "binding.h"

/* What a column's usual values are. */
hdl_quick hdl_quick_of(const hdl_column *column);
/* The value on top of the stack, of Lua's `type`, as its column stores it, when it is a usual one in the form in which a read
 * would give it. False: hdl_to_value has to look at it. Never raises. */
bool hdl_take_quickly(lua_State *L, int type, const hdl_column *column, hd_arena *arena,
                      hd_value *out);

#endif
