/* Statement text of writes: what one group of equal rows becomes in a dialect. Texts depend on
 * shape, form and number of rows alone, so that prepared statements are found again. No value ever
 * stands in a text. */
#ifndef HD_WRITE_SQL_H
#define HD_WRITE_SQL_H

#include "base/buffer.h"
#include "write_shape.h"

/* What a guard's failure begins with in the server's message: "heddle_stale:N". N is the number of
 * the first row that was not reached, or, for an INSERT that brings nothing back, of the rows that
 * were. Where a statement has pieces, "/K" says which of them, from 0. */
#define HD_STALE_MARK "heddle_stale:"

void hd_write_sql(hd_buffer *out, const hd_dialect *dialect, const hd_write_shape *shape,
                  hd_write_form form, uint32_t rows);

/* Rows of one shape within a statement for several (write_whole.c). Nothing comes back from it. */
typedef struct hd_write_piece {
    const hd_write_shape *shape;
    hd_write_form form; /* not HD_FORM_ROW */
    uint32_t rows;
} hd_write_piece;

void hd_write_whole_sql(hd_buffer *out, const hd_dialect *dialect, const hd_write_piece *pieces,
                        uint32_t count);
/* The back columns of rows, whose keys are the shape's slots, with the rows' numbers. */
void hd_write_read_sql(hd_buffer *out, const hd_dialect *dialect, const hd_write_piece *piece);

#endif
