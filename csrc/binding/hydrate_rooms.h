/* What the rooms of hydration share: the run's places on the stack, its snapshot block, the late. */
#ifndef HDL_HYDRATE_ROOMS_H
#define HDL_HYDRATE_ROOMS_H

#include "hydrate.h"

/* Places on the stack, above the run's base. */
enum {
    SHELF = 1,
    LINK,
    HYDRATOR,
    STATE,
    RESULTS,
    LATE,
    OTHERS,
    INSTANCES,
    SLOT_OF,
    BLOCKS,
    OVERLAY,
    META,
    KINDS,
    BLOCK,
    PACKING, /* what makes a table of its arguments, of runs with a pile */
    NAMES
};

enum { PILE = OTHERS + 1 }; /* what hdl_run_undisturbed hands on besides */

#define AT(place) (r->base + (place))

/* Puts the block of the slot's snapshot at BLOCK, made when it is not there: what has to be added to a column's number
 * (from 1) to find it in there. */
int hdl_enter_block(hdl_run *r, uint32_t slot);

/* The value on top, made of a row's, also becomes the snapshot at `at` in a block. */
static inline void hdl_take_snapshot(lua_State *L, const hd_value *value, const hdl_column *column,
                                     int block, int at) {
    if (hdl_is_mutable(column))
        hdl_push_image_of(L, -1, value, column);
    else
        lua_pushvalue(L, -1);
    lua_rawseti(L, block, at);
}

/* A run of many rows gets its pile, if they are of a kind that can have one. */
void hdl_pile_enter(hdl_run *r, hdl_pile *pile);
/* Whether a new row's values go on a pile: its block begins with it, and is not there. */
bool hdl_pile_begin(hdl_run *r, uint32_t slot);
/* Makes the block of what is on the pile; nothing else is above it. */
void hdl_pile_settle(hdl_run *r);

/* The table on top is for the host to look at: joins the list of the late. */
void hdl_push_late(hdl_run *r);
/* The row is for the host: as a new one, which needs no more than its slot, or as one that was there before. */
void hdl_add_late(hdl_run *r, const hd_value *values, uint32_t slot, bool fresh);
/* Pushes the instance of a row that is managed already; what the row says joins it, or the late. False, and nothing is
 * pushed: it has none, memory ran out when it was to be made. */
bool hdl_push_known(hdl_run *r, const hd_value *values, uint32_t slot);

#endif
