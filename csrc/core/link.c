/* Link. Owns its ticket, its arena and the texts of its prefix; borrows the batch. Invariants: a connection is held
 * while an operation runs, while depth > 0 and something was sent, or while pinned, and at no other time; the
 * prefix holds exactly the control statements that the database has not seen. A statement of the prefix leaves it
 * when it has run, so that a BEGIN which met a busy database is sent again with the next batch. */
#include "link.h"

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

/* ---- Prefix ---- */

static int prefix_add(hd_link *link, const char *text) {
    if (hd_grow(link->mem, (void **)&link->prefix, &link->prefix_capacity, link->prefix_length + 1,
                sizeof *link->prefix) != 0)
        return -1;
    char *copy = hd_strdup_n(link->mem, text, strlen(text));
    if (!copy) return -1;
    link->prefix[link->prefix_length++] = copy;
    return 0;
}

static void prefix_drop_first(hd_link *link, size_t count) {
    if (count > link->prefix_length) count = link->prefix_length;
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) hd_free(link->mem, link->prefix[i]);
    link->prefix_length -= count;
    memmove(link->prefix, link->prefix + count, link->prefix_length * sizeof *link->prefix);
}

static void prefix_drop_last(hd_link *link) {
    hd_free(link->mem, link->prefix[--link->prefix_length]);
}

static void savepoint_text(char out[48], const char *verb, uint32_t depth) {
    snprintf(out, 48, "%s hd_%u", verb, depth);
}

/* ---- Control statements ---- */

static void control(hd_statement *statement, const char *text, bool cache) {
    memset(statement, 0, sizeof *statement);
    statement->sql = text;
    statement->sql_len = strlen(text);
    statement->hash = hd_sql_hash(text, statement->sql_len);
    statement->repeat = 1;
    statement->expect = -1;
    statement->affected = -1;
    statement->cache = cache;
}

/* ---- The connection ---- */

static hd_conn *conn_of(const hd_link *link) {
    return link->ticket.state == HD_TICKET_HELD ? link->ticket.conn : NULL;
}

static void forget_transaction(hd_link *link) {
    prefix_drop_first(link, link->prefix_length);
    link->depth = 0;
    link->began = link->over = link->lost_conn = false;
    link->xid[0] = '\0';
}

static void release_if_free(hd_link *link) {
    if (link->state == HD_LINK_IDLE && !link->began && !link->pinned)
        hd_pool_release(&link->ticket);
}

/* Brings a connection whose user is gone back to rest, as far as that needs no waiting (SQLite: always; an
 * in-memory database would die with its connection). False: only closing helps. */
static bool settle(hd_link *link) {
    hd_conn *conn = conn_of(link);
    if (!conn) return false;
    const hd_driver *driver = conn->driver;
    if (driver->status(conn, false) == HD_CONN_BUSY) driver->abandon(conn);
    if (driver->status(conn, false) == HD_CONN_TRANSACTION) {
        hd_statement rollback;
        hd_wait wait;
        control(&rollback, "ROLLBACK", true);
        if (driver->start(conn, &rollback, 1, &link->error) != HD_OK) return false;
        if (driver->step(conn, &wait, &link->error) != HD_DONE) return false;
    }
    return driver->status(conn, false) == HD_CONN_IDLE;
}

/* A transaction that the database knew is over, and says so until it is rolled back; one that it never saw begins with
 * the next batch. */
static void lose_transaction(hd_link *link) {
    if (!link->began) return;
    prefix_drop_first(link, link->prefix_length);
    link->over = link->lost_conn = true;
}

void hd_link_reset(hd_link *link) {
    /* A connection that on_connect has not done with is of no use to anybody. */
    if (!link->parked && settle(link))
        hd_pool_release(&link->ticket);
    else
        hd_pool_give_up(&link->ticket);
    link->state = HD_LINK_IDLE;
    link->need = HD_NEED_NOTHING;
    link->batch = link->parked = NULL;
    link->pinned = false;
    lose_transaction(link);
}

void hd_link_free(hd_link *link) {
    if (!link->mem) return;
    hd_link_reset(link);
    forget_transaction(link);
    hd_ticket_free(&link->ticket);
    hd_free(link->mem, link->prefix);
    hd_error_clear(&link->error);
    hd_arena_free(&link->arena);
    hd_arena_free(&link->parked_arena);
    memset(link, 0, sizeof *link);
}

bool hd_link_is_queued(const hd_link *link) {
    return link->state == HD_LINK_ACQUIRE && link->ticket.state == HD_TICKET_QUEUED;
}

/* ---- Composing ---- */

/* The statement that makes the transaction's id known, or NULL when that is not asked for or known already. */
static const char *xid_text(const hd_link *link) {
    const hd_dialect *dialect = hd_pool_driver(link->pool)->dialect;
    if (!(link->flags & HD_RUN_XID) || link->depth == 0 || link->xid[0] != '\0') return NULL;
    return link->batch->count > 0 ? dialect->transaction_id : dialect->transaction_id_if;
}

/* Prefix, transaction id, batch and suffix as one array of statements. */
static int compose(hd_link *link) {
    bool bare = (link->flags & HD_RUN_BARE) != 0;
    size_t prefix = bare ? 0 : link->prefix_length;
    const char *xid_sql = bare ? NULL : xid_text(link);
    bool xid = xid_sql != NULL;
    bool commit = (link->flags & HD_RUN_COMMIT) != 0;
    size_t total = prefix + xid + link->batch->count + commit;
    hd_statement *run = hd_arena_alloc(&link->arena, total * sizeof *run);
    if (!run) return -1;
    for (size_t i = 0; i < prefix; i++) {
        const char *text = hd_arena_copy(&link->arena, link->prefix[i], strlen(link->prefix[i]));
        if (!text) return -1;
        control(&run[i], text, true);
    }
    link->xid_at = UINT32_MAX;
    if (xid) {
        control(&run[prefix], xid_sql, true);
        run[prefix].flush = true;
        link->xid_at = (uint32_t)prefix;
    }
    link->prefix_count = (uint32_t)(prefix + xid);
    memcpy(run + link->prefix_count, link->batch->statements, link->batch->count * sizeof *run);
    if (commit) control(&run[total - 1], "COMMIT", true);
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

hd_error_kind hd_link_run(hd_link *link, const hd_batch *batch, unsigned flags, hd_time deadline) {
    if (link->state != HD_LINK_IDLE)
        return hd_error_set(&link->error, HD_E_BUSY, "an operation is running on this connection");
    if (link->over && !(flags & HD_RUN_BARE))
        return hd_error_set(
            &link->error, HD_E_CONNECTION,
            link->lost_conn
                ? "the transaction is over: its connection was lost; roll back and begin again"
                : "the transaction is over: the database ended it; roll back and begin again");
    link->batch = batch;
    link->flags = flags;
    link->deadline = deadline;
    link->need = HD_NEED_NOTHING;
    link->state = conn_of(link) ? HD_LINK_READY : HD_LINK_ACQUIRE;
    return HD_OK;
}

/* The operation failed before the driver had the batch. */
static hd_step fail_unsent(hd_link *link) {
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    link->run = NULL;
    link->run_count = 0;
    release_if_free(link);
    return HD_FAILED;
}

static void note_executed_prefix(hd_link *link, uint32_t executed) {
    if (link->flags & HD_RUN_BARE) return;
    uint32_t xid = link->xid_at != UINT32_MAX;
    uint32_t own = link->prefix_count - xid;
    if (executed < own) own = executed;
    if (own > 0) link->began = link->depth > 0;
    prefix_drop_first(link, own);
}

static hd_step run_done(hd_link *link) {
    hd_conn *conn = conn_of(link);
    note_executed_prefix(link, link->prefix_count);
    copy_back(link);
    link->column_count = conn->name_count;
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    if (link->flags & HD_RUN_COMMIT)
        forget_transaction(link);
    else if (link->began && conn->driver->status(conn, false) == HD_CONN_IDLE)
        link->over = true;
    release_if_free(link);
    return HD_DONE;
}

/* How far did it come? Control statements that ran are not sent again; a dead connection or a transaction that
 * the database ended by itself leaves only rollback. */
static hd_step run_failed(hd_link *link) {
    hd_conn *conn = conn_of(link);
    int32_t failed = link->error.statement;
    bool alive = conn && hd_pool_driver(link->pool)->status(conn, false) != HD_CONN_CLOSED;
    note_executed_prefix(link, failed < 0 ? link->prefix_count : (uint32_t)failed);
    copy_back(link);
    /* A write without a transaction is its own commit. */
    bool commits = (link->flags & HD_RUN_COMMIT) || ((link->flags & HD_RUN_XID) && link->depth == 0);
    if (commits && !alive) link->error.outcome = HD_OUTCOME_UNKNOWN;
    link->error.statement = failed < 0 ? -1 : failed - (int32_t)link->prefix_count;
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    if (!alive) {
        if (link->began) link->over = link->lost_conn = true;
        hd_pool_give_up(&link->ticket);
    } else if (link->began && hd_pool_driver(link->pool)->status(conn, false) == HD_CONN_IDLE) {
        link->over = true; /* SQLite rolls back by itself on some errors */
    }
    release_if_free(link);
    return HD_FAILED;
}

static void keep_xid(hd_link *link, const hd_row *row) {
    const hd_value *v = row->count ? row->values : NULL;
    if (v && v->kind == HD_INT) {
        snprintf(link->xid, sizeof link->xid, "%lld", (long long)v->as.i);
    } else if (v && hd_has_bytes(v) && v->len < sizeof link->xid) {
        memcpy(link->xid, v->as.p, v->len);
        link->xid[v->len] = '\0';
    }
}

/* The batch goes on in the driver only so that the connection is quiet again; its rows are of no use. */
static hd_step sink_failed(hd_link *link) {
    const hd_driver *driver = hd_pool_driver(link->pool);
    hd_conn *conn = conn_of(link);
    driver->abandon(conn);
    if (driver->status(conn, false) == HD_CONN_BUSY) hd_pool_give_up(&link->ticket);
    link->error.statement = -1;
    return run_failed(link);
}

static hd_step timed_out(hd_link *link) {
    const hd_driver *driver = hd_pool_driver(link->pool);
    driver->cancel(conn_of(link));
    hd_pool_give_up(&link->ticket);
    hd_error_set(&link->error, HD_E_TIMEOUT, "the statement did not finish in time");
    return run_failed(link);
}

static hd_step step_run(hd_link *link, hd_wait *wait) {
    hd_conn *conn = conn_of(link);
    const hd_driver *driver = conn->driver;
    for (;;) {
        hd_step step = driver->step(conn, wait, &link->error);
        if (step == HD_ROW) {
            if (conn->row.statement < link->prefix_count ||
                conn->row.statement >= link->prefix_count + link->batch->count) {
                if (conn->row.statement == link->xid_at) keep_xid(link, &conn->row);
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
        if (hd_now() >= link->deadline) return timed_out(link);
        if (wait->until > link->deadline) wait->until = link->deadline;
        return HD_WAIT;
    }
}

static hd_step step_ready(hd_link *link) {
    hd_conn *conn = conn_of(link);
    if (conn->fresh && link->want_on_connect) {
        link->need = HD_NEED_ON_CONNECT;
        return HD_HOST;
    }
    conn->fresh = false;
    if (compose(link) != 0) {
        hd_error_memory(&link->error);
        return fail_unsent(link);
    }
    if (conn->driver->start(conn, link->run, link->run_count, &link->error) != HD_OK)
        return run_failed(link);
    link->state = HD_LINK_RUN;
    return HD_DONE;
}

hd_step hd_link_step(hd_link *link, hd_wait *wait) {
    link->need = HD_NEED_NOTHING;
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

void hd_link_finish(hd_link *link) {
    hd_conn *conn = conn_of(link);
    if (link->state == HD_LINK_IDLE) {
        release_if_free(link);
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
    note_executed_prefix(link, link->prefix_count);
    link->state = HD_LINK_IDLE;
    link->batch = NULL;
    release_if_free(link);
}

/* ---- A fresh connection ---- */

void hd_link_park(hd_link *link) {
    link->parked = link->batch;
    link->parked_flags = link->flags;
    link->parked_deadline = link->deadline;
    hd_arena_free(&link->parked_arena);
    link->parked_arena = link->arena; /* the parked batch may live there */
    hd_arena_init(&link->arena, link->mem);
    link->state = HD_LINK_IDLE;
    link->pinned = true;
    if (conn_of(link)) conn_of(link)->fresh = false;
}

void hd_link_unpark(hd_link *link) {
    link->pinned = false;
    link->batch = link->parked;
    link->flags = link->parked_flags;
    link->deadline = link->parked_deadline;
    link->parked = NULL;
    hd_arena_free(&link->arena);
    link->arena = link->parked_arena;
    hd_arena_init(&link->parked_arena, link->mem);
    link->run = NULL;
    link->run_count = 0;
    link->state = conn_of(link) ? HD_LINK_READY : HD_LINK_ACQUIRE;
}

/* ---- Transactions ---- */

int hd_link_begin(hd_link *link, const char *text) {
    if (prefix_add(link, text) != 0) return -1;
    link->depth = 1;
    return 0;
}

int hd_link_savepoint(hd_link *link) {
    char text[48];
    savepoint_text(text, "SAVEPOINT", link->depth + 1);
    if (prefix_add(link, text) != 0) return -1;
    link->depth++;
    return 0;
}

/* The savepoint itself stands last in the prefix as long as nothing ran since. */
static bool savepoint_is_unsent(const hd_link *link) {
    char text[48];
    if (link->prefix_length == 0) return false;
    savepoint_text(text, "SAVEPOINT", link->depth);
    return strcmp(link->prefix[link->prefix_length - 1], text) == 0;
}

int hd_link_release(hd_link *link) {
    char text[48];
    if (savepoint_is_unsent(link)) {
        prefix_drop_last(link);
    } else if (!link->over) {
        savepoint_text(text, "RELEASE SAVEPOINT", link->depth);
        if (prefix_add(link, text) != 0) return -1;
    }
    link->depth--;
    return 0;
}

/* Control statements of the link's own, in its arena; they take the place of a caller's batch. */
static hd_step run_control(hd_link *link, const char *const *texts, uint32_t count,
                           unsigned flags) {
    hd_batch *batch = hd_arena_zero(&link->arena, sizeof *batch);
    hd_statement *statements = hd_arena_zero(&link->arena, (count + 1) * sizeof *statements);
    if (!batch || !statements) {
        hd_error_memory(&link->error);
        return HD_FAILED;
    }
    for (uint32_t i = 0; i < count; i++) control(&statements[i], texts[i], true);
    batch->statements = statements;
    batch->count = count;
    return hd_link_run(link, batch, flags, HD_NEVER) == HD_OK ? HD_WAIT : HD_FAILED;
}

hd_step hd_link_rollback_to(hd_link *link) {
    if (savepoint_is_unsent(link) || link->over || !link->began) {
        if (link->prefix_length > 0 && savepoint_is_unsent(link)) prefix_drop_last(link);
        link->depth--;
        return HD_DONE;
    }
    char text[48];
    const char *texts[2];
    savepoint_text(text, "ROLLBACK TO SAVEPOINT", link->depth);
    texts[0] = hd_arena_copy(&link->arena, text, strlen(text));
    savepoint_text(text, "RELEASE SAVEPOINT", link->depth);
    texts[1] = hd_arena_copy(&link->arena, text, strlen(text));
    if (!texts[0] || !texts[1]) {
        hd_error_memory(&link->error);
        return HD_FAILED;
    }
    /* What was noted inside the savepoint dies with it. */
    prefix_drop_first(link, link->prefix_length);
    link->depth--;
    return run_control(link, texts, 2, HD_RUN_BARE);
}

hd_step hd_link_commit(hd_link *link) {
    if (!link->began && !link->over) {
        forget_transaction(link);
        return HD_DONE;
    }
    return run_control(link, NULL, 0, HD_RUN_COMMIT | HD_RUN_XID);
}

hd_step hd_link_rollback(hd_link *link) {
    static const char *const text[] = {"ROLLBACK"};
    bool nothing = !link->began || link->over || !conn_of(link);
    forget_transaction(link);
    if (nothing) {
        release_if_free(link);
        return HD_DONE;
    }
    return run_control(link, text, 1, HD_RUN_BARE);
}
