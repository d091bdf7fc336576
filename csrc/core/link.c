/* Link. Owns its ticket, its arena and the texts of its prefix; borrows the batch. Invariants: a connection is held
 * while an operation runs, from the first need of it to the end of a transaction, or while pinned, and at no other time;
 * the prefix holds exactly the control statements that the database has not seen. A statement of the prefix leaves it
 * when it has run, so that a BEGIN which met a busy database is sent again with the next batch. */
#include "cursor.h"
#include "link_parts.h"
#include "owner.h"

#include <stdio.h>
#include <string.h>

void hd_link_init(hd_link *link, hd_pool *pool) {
    memset(link, 0, sizeof *link);
    link->mem = hd_pool_allocator(pool);
    link->pool = pool;
    hd_ticket_init(&link->ticket, pool);
    hd_error_init(&link->error, link->mem);
    hd_arena_init(&link->arena, link->mem);
    hd_arena_init(&link->parked_arena, link->mem);
}

/* ---- The connection ---- */

hd_conn *hd_link_conn(const hd_link *link) {
    return link->ticket.state == HD_TICKET_HELD ? link->ticket.conn : NULL;
}

void hd_link_release_if_free(hd_link *link) {
    if (link->state == HD_LINK_IDLE && link->depth == 0 && !link->pinned && !link->keep)
        hd_pool_release(&link->ticket);
}

int hd_link_keep(hd_link *link, const char *restore) {
    char *copy = restore ? hd_strdup_n(link->mem, restore, strlen(restore)) : NULL;
    if (restore && !copy) return -1;
    hd_free(link->mem, link->keep);
    link->keep = copy;
    hd_link_release_if_free(link);
    return 0;
}

void hd_link_free(hd_link *link) {
    if (!link->mem) return;
    hd_owner_leave(link);
    hd_link_reset(link);
    hd_link_forget_transaction(link);
    hd_ticket_free(&link->ticket);
    hd_free(link->mem, link->prefix);
    hd_error_clear(&link->error);
    hd_arena_free(&link->arena);
    hd_arena_free(&link->parked_arena);
    memset(link, 0, sizeof *link);
}

void hd_link_ask(hd_link *link, const char *text) {
    link->ask = text;
    link->answer[0] = '\0';
}

bool hd_link_is_queued(const hd_link *link) {
    return link->state == HD_LINK_ACQUIRE && link->ticket.state == HD_TICKET_QUEUED;
}

/* ---- Composing ---- */

void hd_link_comment(hd_link *link, const char *place, size_t len) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/ ";
    const size_t room = sizeof link->comment - sizeof " /*  */";
    link->comment[0] = '\0';
    if (!place) return;
    char *to = stpcpy(link->comment, " /* ");
    for (size_t i = 0; i < len && i < room; i++)
        *to++ = place[i] && strchr(plain, place[i]) ? place[i] : '_';
    strcpy(to, " */");
}

static int add_comment(hd_link *link, hd_statement *statement) {
    size_t comment = strlen(link->comment), len = statement->sql_len + comment;
    char *text = hd_arena_alloc(&link->arena, len + 1);
    if (!text) return -1;
    memcpy(text, statement->sql, statement->sql_len);
    memcpy(text + statement->sql_len, link->comment, comment);
    statement->sql = text;
    statement->sql_len = len;
    statement->hash = hd_sql_hash(text, len);
    return 0;
}

/* The statement that makes the transaction's id known, or NULL when that is not asked for or known already. */
static const char *xid_text(const hd_link *link) {
    const hd_dialect *dialect = hd_pool_driver(link->pool)->dialect;
    if (!(link->flags & HD_RUN_XID) || link->depth == 0 || link->xid[0] != '\0') return NULL;
    return link->batch->count > 0 ? dialect->transaction_id : dialect->transaction_id_if;
}

/* Cursors to be closed, prefix, transaction id, batch, suffix and question as one array of statements. */
static int compose(hd_link *link) {
    bool bare = (link->flags & HD_RUN_BARE) != 0;
    uint32_t closing = bare ? 0 : hd_cursors_closing(link);
    size_t prefix = bare ? 0 : link->prefix_length;
    const char *xid_sql = bare ? NULL : xid_text(link);
    bool xid = xid_sql != NULL;
    bool commit = (link->flags & HD_RUN_COMMIT) != 0;
    bool ask = !bare && link->ask != NULL;
    size_t before = closing + prefix + xid;
    size_t total = before + link->batch->count + commit + ask;
    hd_statement *run = hd_arena_alloc(&link->arena, total * sizeof *run);
    if (!run || (closing && hd_cursors_write_closing(link, run) != 0)) return -1;
    for (size_t i = 0; i < prefix; i++) {
        const char *text = hd_arena_copy(&link->arena, link->prefix[i], strlen(link->prefix[i]));
        if (!text) return -1;
        hd_link_control(&run[closing + i], text, true);
    }
    link->xid_at = UINT32_MAX;
    if (xid) {
        hd_link_control(&run[before - 1], xid_sql, true);
        run[before - 1].flush = true;
        link->xid_at = (uint32_t)before - 1;
    }
    link->close_count = closing;
    link->prefix_count = (uint32_t)before;
    memcpy(run + link->prefix_count, link->batch->statements, link->batch->count * sizeof *run);
    for (uint32_t i = 0; link->comment[0] && i < link->batch->count; i++) {
        if (add_comment(link, &run[link->prefix_count + i]) != 0) return -1;
    }
    if (commit) hd_link_control(&run[total - ask - 1], "COMMIT", true);
    if (ask) hd_link_control(&run[total - 1], link->ask, true);
    link->ask_at = ask ? (uint32_t)total - 1 : UINT32_MAX;
    if (ask) link->ask = NULL;
    for (size_t i = 0; i < total; i++) {
        run[i].affected = -1;
        run[i].sent = false;
    }
    link->run = run;
    link->run_count = (uint32_t)total;
    return 0;
}

/* What the driver found out goes back to the caller's statements. */
static void copy_back(hd_link *link) {
    for (uint32_t i = 0; i < link->batch->count; i++) {
        hd_statement *mine = &link->run[link->prefix_count + i],
                     *theirs = &link->batch->statements[i];
        theirs->affected = mine->affected;
        theirs->last_id = mine->last_id;
        theirs->besides = mine->besides;
        theirs->strayed = mine->strayed;
        theirs->elapsed = mine->elapsed;
        theirs->sent = mine->sent;
    }
}

/* ---- Running ---- */

void hd_link_prepare(hd_link *link) {
    hd_arena_reset(&link->arena);
    link->run = NULL;
    link->run_count = link->prefix_count = 0;
}

hd_error_kind hd_link_run(hd_link *link, const hd_batch *batch, unsigned flags, hd_time limit) {
    if (link->state != HD_LINK_IDLE)
        return hd_error_set(&link->error, HD_E_BUSY, "an operation is running on this connection");
    hd_link_check_process(link);
    if (link->over && !(flags & HD_RUN_BARE))
        return hd_error_set(
            &link->error, HD_E_CONNECTION,
            link->lost_conn
                ? "the transaction is over: its connection was lost; roll back and begin again"
                : "the transaction is over: the database ended it; roll back and begin again");
    link->batch = batch;
    link->flags = flags;
    link->limit = limit;
    link->canceled = false;
    link->serial++;
    link->need = HD_NEED_NOTHING;
    link->waited = link->wrote = false;
    link->state = hd_link_conn(link) ? HD_LINK_READY : HD_LINK_ACQUIRE;
    return HD_OK;
}

/* The operation failed before the driver had the batch. */
static hd_step fail_unsent(hd_link *link) {
    if (!link->parked) hd_cursor_ran(link, false);
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    link->ask = NULL;
    link->run = NULL;
    link->run_count = 0;
    hd_link_release_if_free(link);
    return HD_FAILED;
}

void hd_link_note_prefix(hd_link *link, uint32_t executed) {
    if (link->flags & HD_RUN_BARE) return;
    uint32_t xid = link->xid_at != UINT32_MAX;
    uint32_t closed = executed < link->close_count ? executed : link->close_count;
    uint32_t own = link->prefix_count - link->close_count - xid;
    hd_cursors_closed(link, closed);
    if (executed - closed < own) own = executed - closed;
    if (own > 0) link->began = link->depth > 0;
    hd_link_prefix_drop(link, own);
}

/* The database says that no transaction is open any more. */
static void end_transaction(hd_link *link) {
    hd_cursors_end(link, 1);
    link->over = true;
}

static hd_step run_done(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    hd_link_note_prefix(link, link->prefix_count);
    copy_back(link);
    if (!link->parked) hd_cursor_ran(link, true);
    link->column_count = conn->name_count;
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    if (link->flags & HD_RUN_COMMIT) {
        link->wrote = link->xid[0] != '\0';
        hd_link_forget_transaction(link);
    } else if (link->began && conn->driver->status(conn, false) == HD_CONN_IDLE) {
        end_transaction(link);
    }
    hd_link_release_if_free(link);
    return HD_DONE;
}

/* How far did it come? Control statements that ran are not sent again; a dead connection or a transaction that
 * the database ended by itself leaves only rollback. */
static hd_step run_failed(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    int32_t failed = link->error.statement;
    bool alive = conn && hd_pool_driver(link->pool)->status(conn, false) != HD_CONN_CLOSED;
    hd_link_note_prefix(link, failed < 0 ? link->prefix_count : (uint32_t)failed);
    copy_back(link);
    hd_link_word_limit(link);
    /* A write without a transaction is its own commit. */
    bool commits =
        (link->flags & HD_RUN_COMMIT) || ((link->flags & HD_RUN_XID) && link->depth == 0);
    if (commits && !alive) link->error.outcome = HD_OUTCOME_UNKNOWN;
    link->error.statement = failed < 0 ? -1 : failed - (int32_t)link->prefix_count;
    if (link->ask_at < link->run_count) link->run[link->ask_at].sent = false; /* nobody heard it */
    if (!link->parked) hd_cursor_ran(link, false);
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    if (!alive) {
        if (link->began) link->over = link->lost_conn = true;
        hd_pool_give_up(&link->ticket);
    } else if (link->began && hd_pool_driver(link->pool)->status(conn, false) == HD_CONN_IDLE) {
        end_transaction(link); /* SQLite rolls back by itself on some errors */
    }
    hd_link_release_if_free(link);
    return HD_FAILED;
}

static void keep_text(char out[HD_LINK_XID], const hd_row *row) {
    const hd_value *v = row->count ? row->values : NULL;
    if (v && v->kind == HD_INT) {
        snprintf(out, HD_LINK_XID, "%lld", (long long)v->as.i);
    } else if (v && hd_has_bytes(v) && v->len < HD_LINK_XID) {
        memcpy(out, v->as.p, v->len);
        out[v->len] = '\0';
    }
}

/* A row of a statement that is the link's own. */
static void keep_own(hd_link *link, const hd_row *row) {
    if (row->statement == link->xid_at) keep_text(link->xid, row);
    if (row->statement == link->ask_at) keep_text(link->answer, row);
}

/* The batch goes on in the driver only so that the connection is quiet again; its rows are of no use. */
static hd_step sink_failed(hd_link *link) {
    const hd_driver *driver = hd_pool_driver(link->pool);
    hd_conn *conn = hd_link_conn(link);
    driver->abandon(conn);
    if (driver->status(conn, false) == HD_CONN_BUSY) hd_link_drop(link);
    link->error.statement = -1;
    return run_failed(link);
}

static hd_step step_run(hd_link *link, hd_wait *wait) {
    hd_conn *conn = hd_link_conn(link);
    const hd_driver *driver = conn->driver;
    for (;;) {
        hd_step step = driver->step(conn, wait, &link->error);
        if (step == HD_ROW) {
            if (conn->row.statement < link->prefix_count ||
                conn->row.statement >= link->prefix_count + link->batch->count) {
                keep_own(link, &conn->row);
                continue;
            }
            link->row = conn->row;
            link->row.statement -= link->prefix_count;
            if (!link->batch->sink) return HD_ROW;
            if (link->batch->sink(link->batch->sink_ctx, &link->row, &link->error) != HD_OK)
                return sink_failed(link);
            continue;
        }
        if (step == HD_DONE) return run_done(link);
        if (step == HD_FAILED) return run_failed(link);
        if (link->deadline != HD_NEVER && hd_now() >= link->deadline) {
            if (hd_link_is_overdue(link)) return run_failed(link);
            continue;
        }
        if (wait->until > link->deadline) wait->until = link->deadline;
        link->waited = true;
        link->wait = *wait;
        return HD_WAIT;
    }
}

static hd_step step_ready(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    if (conn->fresh && link->want_on_connect) {
        link->need = HD_NEED_ON_CONNECT;
        return HD_HOST;
    }
    conn->fresh = false;
    if (link->flags & HD_RUN_HOLD) {
        link->state = HD_LINK_IDLE;
        link->batch = NULL;
        return HD_DONE;
    }
    if (compose(link) != 0) {
        hd_error_memory(&link->error);
        return fail_unsent(link);
    }
    link->deadline = link->limit == HD_NEVER ? HD_NEVER : hd_now() + link->limit;
    conn->deadline = link->deadline;
    if (conn->driver->start(conn, link->run, link->run_count, &link->error) != HD_OK)
        return run_failed(link);
    link->state = HD_LINK_RUN;
    return HD_DONE;
}

/* The process may be forked while it waits. */
static bool is_still_ours(hd_link *link) {
    if (!link->waited) return true;
    link->waited = false;
    hd_link_check_process(link);
    return link->ticket.conn != NULL;
}

hd_step hd_link_step(hd_link *link, hd_wait *wait) {
    link->need = HD_NEED_NOTHING;
    if (!link->batch) {
        hd_error_set(&link->error, HD_E_CANCELED,
                     "the operation was given up while it was waited for");
        return HD_FAILED;
    }
    if (!is_still_ours(link)) {
        hd_error_set(&link->error, HD_E_CONNECTION,
                     "the operation is that of another process, which this one was forked from");
        return run_failed(link);
    }
    if (link->state == HD_LINK_ACQUIRE) {
        hd_step step = hd_pool_acquire(&link->ticket, wait, &link->error);
        if (step == HD_HOST) link->need = HD_NEED_PASSWORD;
        if (step == HD_FAILED) return fail_unsent(link);
        if (step != HD_DONE) return step;
        link->state = HD_LINK_READY;
    }
    if (link->state == HD_LINK_READY) {
        hd_step step = step_ready(link);
        if (step != HD_DONE) return step;
    }
    return link->state == HD_LINK_RUN ? step_run(link, wait) : HD_DONE;
}

/* ---- A fresh connection ---- */

void hd_link_park(hd_link *link) {
    link->parked = link->batch;
    link->parked_flags = link->flags;
    link->parked_limit = link->limit;
    memcpy(link->parked_comment, link->comment, sizeof link->comment);
    hd_arena_free(&link->parked_arena);
    link->parked_arena = link->arena; /* the parked batch may live there */
    hd_arena_init(&link->arena, link->mem);
    link->state = HD_LINK_IDLE;
    link->pinned = true;
    if (hd_link_conn(link)) hd_link_conn(link)->fresh = false;
}

void hd_link_unpark(hd_link *link) {
    link->pinned = false;
    link->batch = link->parked;
    link->flags = link->parked_flags;
    link->limit = link->parked_limit;
    memcpy(link->comment, link->parked_comment, sizeof link->comment);
    link->parked = NULL;
    hd_arena_free(&link->arena);
    link->arena = link->parked_arena;
    hd_arena_init(&link->parked_arena, link->mem);
    link->run = NULL;
    link->run_count = 0;
    link->state = hd_link_conn(link) ? HD_LINK_READY : HD_LINK_ACQUIRE;
}
