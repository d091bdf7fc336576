/* Waiting for another connection's lock. SQLite has no descriptor that becomes ready when a lock is
 * free, so a wait is a pause that grows from one to 25 milliseconds. How long a statement may be
 * refused in all is counted from its first refusal; whatever succeeds starts the count again. */
#include "conn.h"

enum { FIRST_PAUSE = 1000, LONGEST_PAUSE = 25000 };

/* Not BUSY_SNAPSHOT: a reader whose snapshot is old can never become a writer. */
bool hd_sqlite_is_busy(int code) {
    return (code & 0xff) == SQLITE_BUSY && code != SQLITE_BUSY_SNAPSHOT;
}

hd_step hd_sqlite_wait(hd_sqlite_conn *conn, hd_wait *wait, hd_error *err) {
    hd_sqlite_busy *busy = &conn->busy;
    hd_time now = hd_now();
    if (busy->deadline == 0) {
        busy->deadline = now + conn->options.busy_timeout;
        busy->pause = FIRST_PAUSE;
    } else {
        busy->pause = busy->pause * 2 < LONGEST_PAUSE ? busy->pause * 2 : LONGEST_PAUSE;
    }
    if (now >= busy->deadline) {
        hd_error_set(err, HD_E_LOCK_TIMEOUT,
                     "the database '%.*s' stayed locked by another connection for %g seconds "
                     "(option busy_timeout)",
                     hd_sqlite_path_len(conn), conn->options.database,
                     (double)conn->options.busy_timeout / 1e6);
        err->native = sqlite3_extended_errcode(conn->db);
        return HD_FAILED;
    }
    wait->fd = -1;
    wait->events = 0;
    wait->until = now + busy->pause < busy->deadline ? now + busy->pause : busy->deadline;
    return HD_WAIT;
}
