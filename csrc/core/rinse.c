/* The statement lives in the connection, so that nothing has to be allocated where a borrower is given up. An answer that
 * is there is taken however late it is: only then the time is looked at, so that a connection which lay in the pool for
 * an hour is as good as one that was asked for at once. */
#include "rinse.h"

#include "batch.h"

/* What a server may take to end a transaction. */
enum { GRACE = 1000000 };

hd_step hd_rinse_begin(hd_conn *conn) {
    static const char text[] = "ROLLBACK";
    hd_rinse *rinse = &conn->rinse;
    hd_conn_status status = conn->driver->status(conn, false);
    if (status == HD_CONN_IDLE) return HD_DONE;
    if (status != HD_CONN_TRANSACTION && status != HD_CONN_FAILED) return HD_FAILED;
    rinse->statement = (hd_statement){.sql = text,
                                      .sql_len = sizeof text - 1,
                                      .hash = hd_sql_hash(text, sizeof text - 1),
                                      .repeat = 1,
                                      .expect = -1,
                                      .affected = -1,
                                      .cache = true};
    rinse->until = hd_now() + GRACE;
    conn->deadline = HD_NEVER;
    hd_error err;
    hd_error_init(&err, conn->mem);
    rinse->runs = conn->driver->start(conn, &rinse->statement, 1, &err) == HD_OK;
    hd_error_clear(&err);
    if (!rinse->runs) return HD_FAILED;
    hd_wait wait;
    return hd_rinse_step(conn, &wait);
}

hd_step hd_rinse_step(hd_conn *conn, hd_wait *wait) {
    hd_rinse *rinse = &conn->rinse;
    if (!rinse->runs) return HD_DONE;
    hd_error err;
    hd_error_init(&err, conn->mem);
    hd_step step = conn->driver->step(conn, wait, &err);
    hd_error_clear(&err);
    if (step == HD_WAIT && hd_now() < rinse->until) {
        if (wait->until > rinse->until) wait->until = rinse->until;
        return HD_WAIT;
    }
    rinse->runs = false;
    return step == HD_DONE && conn->driver->status(conn, false) == HD_CONN_IDLE ? HD_DONE
                                                                                : HD_FAILED;
}
