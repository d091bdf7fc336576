/* The PostgreSQL driver, on libpq.
 *
 * Options are libpq's connection keywords ("host", "port", "dbname", "user", "password", "sslmode",
 * "target_session_attrs", lists of hosts and all others), and besides them
 *
 *     url               a connection URI or "key=value ..." string; keywords beside it override
 *     connect_timeout   seconds for each host, fractions taken, 0 or absent: none
 *     statement_cache   prepared statements kept for each connection, default 100, 0: never prepare
 *     prepare           "off" is statement_cache = 0 (a pooler in transaction mode in between)
 *
 * Whatever "options" says, a session speaks UTF-8 and has TimeZone=UTC and DateStyle=ISO: these are
 * sent with the startup packet, the last two within "options", which a pooler must let pass. What
 * is not given here libpq takes from its own places (PGHOST and its kin, service file, .pgpass). */
#ifndef HD_POSTGRES_H
#define HD_POSTGRES_H

#include "driver.h"

extern const hd_driver hd_postgres_driver;

#endif
