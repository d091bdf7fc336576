/* Rinsing: how a connection comes to rest whose user has gone in the middle of a transaction. What ends the transaction is
 * sent at once, and whoever takes the connection next reads the answer. So nothing stays open on the server, and nobody
 * waits who did not want a connection. */
#ifndef HD_RINSE_H
#define HD_RINSE_H

#include "driver.h"

/* Nothing runs on the connection. DONE: it is at rest. WAIT: it is rinsing (conn->rinse.runs). FAILED: close it. */
hd_step hd_rinse_begin(hd_conn *conn);
/* DONE: at rest, also where nothing had to be done. WAIT: not answered yet. FAILED: the answer was bad, or did not come in
 * time; close it. */
hd_step hd_rinse_step(hd_conn *conn, hd_wait *wait);

#endif
