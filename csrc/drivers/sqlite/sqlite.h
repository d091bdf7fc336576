/* The SQLite driver (sqlite3 3.35 or later).
 *
 * Options, all text:
 *   database         path, ":memory:" or a file: URI; required
 *   mode             "rwc" (default: created when missing), "rw", "ro"
 *   busy_timeout     seconds that a statement waits for another connection's lock, "5"
 *   statement_timeout  seconds that one statement may run, "0": any time
 *   statement_cache  prepared statements kept for each connection, "100"; "0" keeps none
 *   pragma.NAME      run at connect, in place of the default of that name: journal_mode WAL (files
 *                    that can be written), synchronous NORMAL, foreign_keys ON, case_sensitive_like
 *                    ON. page_size, auto_vacuum, encoding come before the defaults, others after
 *
 * A lock is an HD_WAIT without fd; SQLite itself never sleeps. SQL sees hd_lower(text), hd_uuid(),
 * hd_decimal_sum(text) and the collation hd_decimal. A double-quoted word is always a name, never a
 * string, as on PostgreSQL.
 *
 * What differs from other drivers: `elapsed` of a statement with rows counts from its first step to
 * its last, what the caller did in between included; `last_id` is set for statements that begin
 * with INSERT or REPLACE and wrote a row; rows of a `simple` script are dropped; arrays are JSON
 * texts; a real -0.0 comes back as 0.0. */
#ifndef HD_SQLITE_H
#define HD_SQLITE_H

#include "driver.h"

extern const hd_driver hd_sqlite_driver;

#endif
