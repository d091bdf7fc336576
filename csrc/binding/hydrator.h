/* Hydrator: what the columns of a result are. Made once for a plan, read only. */
#ifndef HDL_HYDRATOR_H
#define HDL_HYDRATOR_H

#include "binding.h"

/* Which columns a result holds, in its order. */
typedef struct hdl_hydrator {
    const hdl_entity *entity; /* pinned through the user value */
    uint32_t count, raw_count;
    uint16_t *columns;    /* of the entity, by position in the result */
    int *key;             /* position of each key column */
    int discriminator;    /* position of the column that tells of which kind a row is, or -1 */
    bool full;            /* every column of the entity */
    bool flat;            /* values are what they are in snapshots, and each row has all of them */
    bool plain;           /* flat, and every one is raw, its values as the row has them */
    bool converts;        /* some column is of a custom type: the host finishes every row */
    uint32_t other_count; /* columns that stand behind the entity's */
    hdl_column *others;
    hd_arena arena; /* of the others */
} hdl_hydrator;

hdl_hydrator *hdl_check_hydrator(lua_State *L, int index);

/* Do entities share the table? Raises when the result does not tell which row is whose. */
bool hdl_has_kinds(lua_State *L, const hdl_hydrator *h);
/* Finds the kind of a row. `kinds` is the host's table of them by discriminator value, in which that kind's metatable is
 * `meta`: pushes it. NULL: nobody knows the value; pushes { unknown = true, value = }. */
const hdl_kind *hdl_push_kind(lua_State *L, const hdl_hydrator *h, const hd_value *values,
                              int kinds, const char *meta);
/* Gives the instance on top of the stack, one of no entity manager, a row's raw values, and pushes what of the row is not
 * raw, { instance =, [column index] = value }, or nil. `names` is the hydrator's list of properties. */
void hdl_fill_plain(lua_State *L, const hdl_hydrator *h, const hd_value *values,
                    const hdl_kind *kind, int names);

/* Puts what stands behind the entity's columns at the end of the list at `index`, which has `count` values; gives its
 * new length. */
int hdl_add_others(lua_State *L, const hdl_hydrator *h, const hd_row *row, int index, int count);

void hdl_open_hydrator(lua_State *L);

#endif
