/* How an operation ends before its time: its limit is over, its reader has enough, its waiter is gone, or the process is
 * not the one that began it. Two rules. What runs on a server is told to stop before its connection is let go, so that
 * nobody's statement goes on. And a connection is kept where that is safe: after a limit when the database answers within
 * a short grace, after everything else when nothing runs on it any more without any waiting (SQLite always: a database
 * in memory would die with its connection); a transaction that is open there is ended by rinsing (rinse.h).
 *
 * A statement that ends all the same, because the limit met it on its last steps, has ended: its rows are given, its
 * commit is one. */
#include "cursor.h"
#include "link_parts.h"
#include "rinse.h"

#include <stdio.h>

/* What a server may take to answer that it has stopped, and after what time it is asked again. */
enum { GRACE = 1000000, AGAIN = 250000 };

/* ---- Letting go ---- */

void hd_link_drop(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    if (conn && !conn->rinse.runs && conn->driver->status(conn, false) == HD_CONN_BUSY)
        conn->driver->cancel(conn, link->offload);
    hd_pool_give_up(&link->ticket);
}

static bool run_at_once(hd_link *link, const char *text) {
    hd_conn *conn = hd_link_conn(link);
    hd_statement statement;
    hd_wait wait;
    hd_link_control(&statement, text, true);
    conn->deadline = HD_NEVER;
    return conn->driver->start(conn, &statement, 1, &link->error) == HD_OK &&
           conn->driver->step(conn, &wait, &link->error) == HD_DONE;
}

/* Brings a connection whose user is gone back to rest, without waiting: what ends its transaction is sent at least. False:
 * only closing helps. So it does where a changed session could not be put right at once. */
static bool settle(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    if (!conn) return false;
    if (conn->driver->status(conn, false) == HD_CONN_BUSY) conn->driver->abandon(conn);
    hd_step step = hd_rinse_begin(conn);
    if (step != HD_DONE || !link->keep) return step != HD_FAILED && !link->keep;
    return run_at_once(link, link->keep) && conn->driver->status(conn, false) == HD_CONN_IDLE;
}

/* A transaction that the database knew is over, and says so until it is rolled back; one that it never saw begins with
 * the next batch. */
static void lose_transaction(hd_link *link) {
    if (!link->began) return;
    hd_link_prefix_drop(link, link->prefix_length);
    link->over = link->lost_conn = true;
}

/* In the child of a fork the connection, and what was under way on it, are the parent's. */
void hd_link_check_process(hd_link *link) {
    if (!link->ticket.conn) return;
    hd_ticket_check(&link->ticket);
    if (!link->ticket.conn) lose_transaction(link);
}

void hd_link_reset(hd_link *link) {
    hd_link_check_process(link);
    hd_cursor_ran(link, false);
    hd_cursors_end(link, 1);
    if (link->parked) link->run_count = 0; /* what ran last was on_connect's */
    /* A connection that on_connect has not done with is of no use to anybody. */
    if (!link->parked && settle(link))
        hd_pool_release(&link->ticket);
    else
        hd_link_drop(link);
    link->state = HD_LINK_IDLE;
    link->serial++;
    link->need = HD_NEED_NOTHING;
    link->batch = link->parked = NULL;
    link->ask = NULL;
    link->pinned = false;
    hd_free(link->mem, link->keep);
    link->keep = NULL;
    lose_transaction(link);
}

void hd_link_finish(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    if (link->state == HD_LINK_IDLE) {
        hd_link_release_if_free(link);
        return;
    }
    if (link->state != HD_LINK_RUN || !conn) {
        hd_link_reset(link);
        return;
    }
    conn->driver->abandon(conn);
    if (conn->driver->status(conn, false) == HD_CONN_BUSY) {
        hd_link_reset(link);
        return;
    }
    hd_link_note_prefix(link, link->prefix_count);
    hd_cursor_ran(link, false);
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    hd_link_release_if_free(link);
}

/* ---- Limits ---- */

/* A request that comes before the server has begun is lost, and the statement would take all the time that it wants. */
bool hd_link_is_overdue(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    hd_time now = hd_now();
    if (!link->canceled) {
        link->canceled = true;
        link->grace = now + GRACE;
    }
    if (now < link->grace) {
        conn->driver->cancel(conn, link->offload);
        link->deadline = now + AGAIN < link->grace ? now + AGAIN : link->grace;
        return false;
    }
    hd_pool_give_up(&link->ticket);
    hd_error_set(&link->error, HD_E_CANCELED, "the server did not answer that it has stopped");
    return true;
}

/* A driver whose steps take long looks at the deadline itself. */
static bool is_over(const hd_link *link) {
    return link->canceled || (link->deadline != HD_NEVER && hd_now() >= link->deadline);
}

void hd_link_word_limit(hd_link *link) {
    hd_error *err = &link->error;
    if (err->kind != HD_E_CANCELED || !is_over(link)) return;
    char text[96];
    int len = snprintf(text, sizeof text,
                       "the statement did not finish within %g seconds (option timeout)",
                       (double)link->limit / 1e6);
    err->kind = HD_E_TIMEOUT;
    hd_error_text(err, &err->message, text, (size_t)len);
}
