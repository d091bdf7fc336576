/* The rows of one result, one at a time in normal form. Decoders are chosen once for the result;
 * what a row needs beyond the result's own bytes stands in an arena that the next row reuses. */
#ifndef HD_PG_ROWS_H
#define HD_PG_ROWS_H

#include <libpq-fe.h>

#include "base/buffer.h"
#include "decode.h"
#include "driver.h"

typedef struct hd_pg_rows {
    PGresult *result; /* owned; NULL: no rows at hand */
    int next, count;
    uint32_t width;
    hd_pg_column *columns;
    hd_value *values;
    size_t column_capacity, value_capacity;
    hd_arena arena;
    hd_column_name *names;
    size_t name_capacity;
    hd_buffer name_text;
} hd_pg_rows;

void hd_pg_rows_init(hd_pg_rows *rows, const hd_allocator *mem);
void hd_pg_rows_free(hd_pg_rows *rows);
/* Takes the result over and prepares for its rows; names go to conn where types are not
 * declared. */
hd_error_kind hd_pg_rows_begin(hd_pg_rows *rows, PGresult *result, const hd_statement *statement,
                               hd_conn *conn, hd_error *err);
/* Decodes the next row into values: 1, 0 behind the last (the result is then freed), -1: err. */
int hd_pg_rows_next(hd_pg_rows *rows, hd_error *err);
void hd_pg_rows_end(hd_pg_rows *rows);

#endif
