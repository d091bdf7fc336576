/* The server's and libpq's complaints as error records. Messages are Heddle's own words: they name
 * constraints, tables and columns, and never hold what was bound. The server's texts go to detail,
 * hint and cause as they are. */
#ifndef HD_PG_REPORT_H
#define HD_PG_REPORT_H

#include <libpq-fe.h>

#include "base/error.h"

typedef struct hd_pg_options hd_pg_options;

/* Of a failed result. sql may be NULL. */
hd_error_kind hd_pg_report(hd_error *err, const PGresult *result, const char *sql, size_t sql_len);
/* The connection is gone; libpq's words become the cause. */
hd_error_kind hd_pg_report_lost(hd_error *err, const PGconn *pq);
/* Connecting failed, or took too long (why is then given, else libpq knows). */
hd_error_kind hd_pg_report_connect(hd_error *err, const PGconn *pq, const hd_pg_options *options,
                                   const char *why);

#endif
