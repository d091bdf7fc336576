/* One run of hydration: rows go into one shelf. `hydrate.c` runs it over whole rows, `joined.c` one for each part of rows
 * that hold several entities. */
#ifndef HDL_HYDRATE_H
#define HDL_HYDRATE_H

#include "hydrator.h"
#include "places.h"

/* New rows whose snapshots are on the stack (`hydrate_pile.c`). */
typedef struct hdl_pile {
    uint32_t first, rows, room; /* slot of its first row; how many it has, and can have */
    int block;                  /* what becomes of it */
} hdl_pile;

#define HDL_ABOVE_PILE 256 /* values that have room on the stack above it */

typedef struct hdl_run {
    lua_State *L;
    hd_link *link;
    hdl_shelf *shelf;
    const hdl_hydrator *h;
    const hdl_kind *kind; /* of the row, where entities share the table */
    int base;             /* what it has on the stack stands above */
    int part;             /* which part of a row it reads; 0: rows are whole */
    int columns;          /* of the entity */
    uint32_t block_first; /* slot of the first row in the block that stands at BLOCK */
    uint32_t block_rows;  /* how many it has; 0: none stands there */
    int result_count;
    int *late_count;    /* runs may share a list */
    hdl_places *places; /* take what the host's table of slots would; NULL: that does */
    hdl_pile *pile;     /* NULL: none for these rows */
    int others;         /* how many values are in the list at OTHERS */
    bool fresh;         /* the last row was not managed before */
    bool has_overlay, has_marks, has_loads, has_kinds;
} hdl_run;

/* Enters a run: above `base` stand shelf, link, hydrator, state, results, late and others. It needs what it puts there
 * until its end. */
void hdl_run_enter(lua_State *L, hdl_run *r, int base, int *late_count);
/* Many rows are to come. `pile` is what hdl_run_undisturbed has handed on. */
void hdl_run_many(hdl_run *r, hdl_pile *pile);
/* The rows are through. */
void hdl_run_leave(hdl_run *r);
/* Pushes the instance of a row and gives its slot. HD_NO_SLOT: nobody knows its kind, nothing is pushed. */
uint32_t hdl_run_row(hdl_run *r, const hd_value *values);

#define HDL_FEW 32 /* rows that are not worth stopping the collector for */

/* hdl_step behind a row that was taken. */
hd_step hdl_next(hd_link *link, hd_wait *wait);

/* Calls fn with the `count` values on top, in a protected call, while the collector stands still. Gives the number of
 * results, which take their place; -1: the error does. */
int hdl_undisturbed(lua_State *L, lua_CFunction fn, int count);
/* The same for a run, of which no row without a snapshot stays, whatever happens: it is called with shelf, link, hydrator,
 * state, results, late and others, which stand on the stack alone, and its pile behind them. Raises what it does. */
int hdl_run_undisturbed(lua_State *L, lua_CFunction many);
void hdl_open_pile(lua_State *L);

#endif
