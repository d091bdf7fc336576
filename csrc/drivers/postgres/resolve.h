/* The names among the hosts of a connection, looked up before libpq sees them: libpq itself would block.
 *
 * Each name is a job's; when all are answered, the lists of hosts, addresses and ports say the same to libpq with nothing
 * left to look up. A host with several addresses stands there once for each; one without any is left out. Its name stays
 * beside the address, for certificates and passwords. */
#ifndef HD_PG_RESOLVE_H
#define HD_PG_RESOLVE_H

#include <libpq-fe.h>

#include "options.h"

typedef struct hd_pg_host hd_pg_host;

typedef struct hd_pg_names {
    PGconn *reader; /* never connects: libpq's view of the options. Set while names are looked up */
    hd_pg_host *hosts;
    size_t count;
    hd_time until;
} hd_pg_names;

/* Finds out which hosts there are, wherever they are said, and starts looking names up. What it notes lives in the
 * options' arena. */
hd_error_kind hd_pg_names_start(hd_pg_names *names, const hd_pg_options *options, hd_error *err);
/* WAIT, or DONE: the lists in `options` are as above (untouched where there was nothing to look up), or FAILED: no host
 * has an address. */
hd_step hd_pg_names_step(hd_pg_names *names, hd_pg_options *options, hd_wait *wait, hd_error *err);
/* Lets go of whatever is under way. In any state. */
void hd_pg_names_end(hd_pg_names *names);

#endif
