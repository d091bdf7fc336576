/* Time limits. A step of SQLite's runs until it has a row or is done, be that minutes, and nobody else runs meanwhile: so
 * SQLite itself is made to look at the clock, every so many instructions of its machine. Without a limit it does not look.
 *
 * Two limits, the sooner one counts: the batch's deadline, which the core sets, and statement_timeout, which begins anew
 * with each statement (each piece of a script). Waiting for a lock is part of a statement's time.
 *
 * SQLite rolls the whole transaction back when it is interrupted while it writes. A flush runs many short writes, and can
 * be stopped between two of them with nothing lost; so in a transaction a write that is over its time has a last moment
 * before it is interrupted. */
#include "conn.h"

enum { INSTRUCTIONS = 1000, LAST_MOMENT = 20000 };

static int look(void *ud) {
    hd_sqlite_limit *limit = &((hd_sqlite_conn *)ud)->limit;
    hd_time now = hd_now();
    if (now < limit->interrupt) return 0;
    if (!limit->writes) return 1;
    limit->writes = false;
    limit->interrupt = now + LAST_MOMENT;
    return 0;
}

static hd_time own_limit(const hd_sqlite_conn *conn) {
    return conn->unlimited ? 0 : conn->options.statement_timeout;
}

void hd_sqlite_limit_batch(hd_sqlite_conn *conn) {
    hd_sqlite_limit *limit = &conn->limit;
    limit->batch = conn->base.deadline ? conn->base.deadline : HD_NEVER;
    hd_sqlite_limit_end(conn);
    bool looks = limit->batch != HD_NEVER || own_limit(conn) > 0;
    if (looks == limit->looks) return;
    sqlite3_progress_handler(conn->db, looks ? INSTRUCTIONS : 0, looks ? look : NULL, conn);
    limit->looks = looks;
}

void hd_sqlite_limit_statement(hd_sqlite_conn *conn, hd_time now) {
    hd_sqlite_limit *limit = &conn->limit;
    if (!limit->looks) return;
    hd_time own = own_limit(conn);
    limit->own = own > 0 ? now + own : HD_NEVER;
    limit->writes = false;
    limit->until = limit->interrupt = limit->own < limit->batch ? limit->own : limit->batch;
}

void hd_sqlite_limit_write(hd_sqlite_conn *conn, sqlite3_stmt *stmt) {
    hd_sqlite_limit *limit = &conn->limit;
    if (limit->until == HD_NEVER) return;
    limit->writes = !sqlite3_stmt_readonly(stmt) && !sqlite3_get_autocommit(conn->db);
}

void hd_sqlite_limit_end(hd_sqlite_conn *conn) {
    conn->limit.until = conn->limit.interrupt = HD_NEVER;
}

bool hd_sqlite_is_over(const hd_sqlite_conn *conn) {
    return conn->limit.until != HD_NEVER && hd_now() >= conn->limit.until;
}

bool hd_sqlite_limit_error(hd_sqlite_conn *conn, hd_error *err) {
    const hd_sqlite_limit *limit = &conn->limit;
    if (limit->until == HD_NEVER || limit->own > limit->batch || hd_now() < limit->own)
        return false;
    hd_error_set(err, HD_E_TIMEOUT,
                 "the statement ran longer than %g seconds (option statement_timeout)",
                 (double)conn->options.statement_timeout / 1e6);
    return true;
}
