/* Inside of statement text, shared by its rooms: sql_writer.c (pieces), write_sql.c (plain
 * statements), write_guarded.c (rows of a CTE, guards), write_whole.c (several shapes in one
 * statement), spare_sql.c (spare values). */
#ifndef HD_SQL_WRITER_H
#define HD_SQL_WRITER_H

#include "write_sql.h"

typedef struct hd_sql_writer {
    hd_buffer *out;
    const hd_dialect *dialect;
    const hd_write_shape *shape;
    hd_write_form form;
    uint32_t rows, param; /* param: of the last placeholder */
    int piece;            /* of a statement of several: hd_i0, hd_w0, ..; -1: hd_i, hd_w */
} hd_sql_writer;

const hd_column *hd_sql_column(const hd_sql_writer *w, uint16_t column);
void hd_sql_name(hd_sql_writer *w, uint16_t column);
/* A scalar parameter for a slot, or its expression. A cast stands where the context does not give
 * the type. */
void hd_sql_value(hd_sql_writer *w, uint32_t slot, bool always_cast);
void hd_sql_array(hd_sql_writer *w, uint32_t slot); /* a parameter: the slot's values */
void hd_sql_arrays(hd_sql_writer *w);               /* SELECT * FROM unnest(..), every slot */
/* "VALUES (..), (..)"; numbered rows end with their number. */
void hd_sql_rows(hd_sql_writer *w, bool numbered);
/* The columns that come back, and the key's, as a list of names. */
void hd_sql_back(hd_sql_writer *w, const char *prefix, bool first);
void hd_sql_key(hd_sql_writer *w);

void hd_sql_insert_head(hd_sql_writer *w);         /* INSERT INTO .. (..) */
void hd_sql_insert_rows(hd_sql_writer *w);         /* the same with its rows */
void hd_sql_slot(hd_sql_writer *w, uint32_t slot); /* a column of hd_i; of a walk, what was given */
/* What stands behind SET; `joined`: values come from hd_i. */
void hd_sql_assignments(hd_sql_writer *w, bool joined);
void hd_sql_where(hd_sql_writer *w);      /* the row by key and version */
void hd_sql_update_row(hd_sql_writer *w); /* UPDATE .. SET .. WHERE */
/* Joined with hd_i: UPDATE hd_t SET .., DELETE FROM hd_t; WHERE .. */
void hd_sql_target(hd_sql_writer *w);
void hd_sql_join(hd_sql_writer *w);
void hd_sql_walk(hd_sql_writer *w); /* the UPDATE of a walk */

/* spare_sql.c: a value below all others, for a slot whose parameter is the least that is to come. */
void hd_sql_below(hd_sql_writer *w, uint32_t slot, bool joined);

/* write_guarded.c: the whole statement; and of one the rows that it takes, "hd_i (..) AS (..)",
 * and the UPDATE or DELETE that is joined with them. */
void hd_sql_guarded(hd_sql_writer *w);
void hd_sql_input(hd_sql_writer *w);
void hd_sql_joined_write(hd_sql_writer *w);
/* "hd_i", "hd_w3" */
void hd_sql_cte(hd_sql_writer *w, const char *name);
void hd_sql_row_count(hd_sql_writer *w, uint32_t param); /* of the rows that came as parameters
                                                            behind the `param`th */

#endif
