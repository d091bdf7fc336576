/* Places: which slot an instance has, of those that came with many rows. The host has a table of slots, which answers
 * from here what it does not hold yet. */
#ifndef HDL_PLACES_H
#define HDL_PLACES_H

#include "binding.h"

typedef struct hdl_places hdl_places;

/* Those of the host's table at `index`, made when it has none. */
hdl_places *hdl_places_of(lua_State *L, int index);
/* Notes where the instance at this address stands. -1: out of memory. */
int hdl_places_put(hdl_places *places, uint32_t slot, const void *instance);
/* The instance has no slot any more. No places: nothing to do. */
void hdl_places_leave(hdl_places *places, uint32_t slot);
/* Those of the host's table at `index`, NULL when it has none. */
hdl_places *hdl_places_at(lua_State *L, int index);
/* The slot of the instance at `instance`, which the host's table at `index` has, or those places of it; HD_NO_SLOT. */
uint32_t hdl_slot_of(lua_State *L, int index, hdl_places *places, int instance);

#endif
