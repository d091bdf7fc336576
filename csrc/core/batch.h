/* A batch: statements that run in order as one go, and where their rows go. */
#ifndef HD_BATCH_H
#define HD_BATCH_H

#include "driver.h"

/* Takes one row (copies what it keeps). Core code only, never calls the host. 0, or an error kind in err. */
typedef hd_error_kind (*hd_row_sink)(void *ctx, const hd_row *row, hd_error *err);

typedef struct hd_batch {
    hd_statement *statements;
    uint32_t count;
    hd_row_sink sink; /* NULL: rows go to the host, one HD_ROW each */
    void *sink_ctx;
} hd_batch;

uint64_t hd_sql_hash(const char *sql, size_t len); /* never 0 */

#endif
