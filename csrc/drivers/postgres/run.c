/* A batch from start to end: sending and receiving in turn until everything is answered. Nothing
 * waits here; when libpq has neither room nor input the caller is told what to wait for.
 *
 * A prepared statement that the server cannot use any more (its table was altered, its name is
 * gone) empties the cache. If that was the first statement of its batch, outside a transaction,
 * nothing has happened yet and the batch runs once more. */
#include <string.h>

#include "connection.h"

#define ENCRYPTED_SLICE 20000 /* microseconds */
#define KEPT_BYTES      65536

hd_error_kind hd_pg_start(hd_conn *conn, hd_statement *statements, uint32_t count, hd_error *err) {
    hd_pg *pg = (hd_pg *)conn;
    hd_pg_run *run = &pg->run;
    if (run->active || hd_pg_is_canceling(pg)) {
        return hd_error_set(err, HD_E_BUSY, "the connection is running another batch");
    }
    if (!pg->connected || pg->broken || PQstatus(pg->pq) == CONNECTION_BAD) {
        return hd_error_set(err, HD_E_CONNECTION, "the connection to PostgreSQL is closed");
    }
    for (uint32_t i = 0; i < count; i++) {
        statements[i].affected = -1;
        statements[i].last_id = 0;
        statements[i].elapsed = 0;
        statements[i].sent = false;
    }
    *run = (hd_pg_run){.statements = statements,
                       .count = count,
                       .replies = run->replies,
                       .capacity = run->capacity,
                       .error = run->error,
                       .mark = hd_now(),
                       .active = true,
                       .was_idle = PQtransactionStatus(pg->pq) == PQTRANS_IDLE};
    conn->names = NULL;
    conn->name_count = 0;
    return HD_OK;
}

/* ---- Waiting ---- */

static bool is_encrypted(const hd_pg *pg) {
    return PQsslInUse(pg->pq) || PQgssEncInUse(pg->pq);
}

/* Takes input when a wait is over. An encrypted record is up to 16 KiB and libpq may take half of
 * one; the rest then stands in the encryption library, where no wait for the socket sees it. Hence
 * more than one attempt, and slices below. Between attempts what arrived is used up: libpq forgets
 * the rest of a pipeline when it meets the end of the stream. */
static bool consume(hd_pg *pg) {
    if (pg->run.attempts == 0) return false;
    pg->run.attempts--;
    PQconsumeInput(pg->pq);
    return true;
}

/* False: what stood in libpq's buffer has gone, and there is more to send. That must not be waited
 * over, since the server may be silent until it has the rest. One look at the buffer decides both. */
static bool await(hd_pg *pg, hd_wait *wait) {
    hd_pg_run *run = &pg->run;
    bool full = PQflush(pg->pq) == 1;
    if (!full && (run->copying || hd_pg_resume(run))) return false;
    wait->fd = PQsocket(pg->pq);
    wait->events = full ? HD_READ | HD_WRITE : HD_READ;
    wait->until = run->waited && is_encrypted(pg) ? hd_now() + ENCRYPTED_SLICE : HD_NEVER;
    run->attempts = is_encrypted(pg) ? 3 : 1;
    run->waited = true;
    return true;
}

/* ---- Ending ---- */

static void drop_notifications(hd_pg *pg) {
    for (PGnotify *n; (n = PQnotifies(pg->pq));) PQfreemem(n);
}

/* True: the batch was started again from its beginning. */
static bool handle_stale(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    hd_pg_stale stale = run->stale;
    run->stale = HD_PG_FRESH;
    if (stale == HD_PG_FRESH || pg->broken) return false;
    hd_pg_statements_clear(&pg->cache, stale == HD_PG_NAME_GONE);
    if (!run->reused || run->retried || run->error.statement != 0 || run->statements->repeat > 1 ||
        !run->was_idle || PQtransactionStatus(pg->pq) != PQTRANS_IDLE) {
        return false;
    }
    hd_error_clear(&run->error);
    run->head = run->tail = 0;
    run->statement = run->execution = 0;
    run->stopped = false;
    run->retried = true;
    return true;
}

/* A connection that rests in a pool keeps no more than small buffers. */
static void shrink(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    hd_pg_rows_end(&pg->rows);
    hd_pg_params_shrink(&pg->params);
    if (pg->text.capacity > KEPT_BYTES) hd_buffer_free(&pg->text);
    if (run->capacity * sizeof *run->replies > KEPT_BYTES) {
        hd_free(pg->base.mem, run->replies);
        run->replies = NULL;
        run->capacity = run->head = run->tail = 0;
    }
}

static hd_step finish(hd_pg *pg, hd_error *err) {
    hd_pg_run *run = &pg->run;
    run->active = false;
    shrink(pg);
    if (run->forget) hd_pg_statements_clear(&pg->cache, true);
    if (!pg->broken) drop_notifications(pg);
    if (run->error.kind == HD_OK) return HD_DONE;
    hd_error_move(err, &run->error);
    return HD_FAILED;
}

/* The statement that waits for its answer; for the last sync, the last one before it. */
static uint32_t awaited(const hd_pg_run *run) {
    uint32_t statement = run->replies[run->head].statement;
    return statement < run->count ? statement : run->count - 1;
}

static void lose(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    pg->broken = true;
    if (run->error.kind != HD_OK) return;
    hd_pg_report_lost(&run->error, pg->pq);
    if (run->head == run->tail) return;
    uint32_t statement = awaited(run);
    hd_pg_clock(run, &run->statements[statement]);
    hd_pg_fail_at(run, statement, -1);
}

hd_step hd_pg_step(hd_conn *conn, hd_wait *wait, hd_error *err) {
    hd_pg *pg = (hd_pg *)conn;
    hd_pg_run *run = &pg->run;
    if (!run->active) return HD_DONE;
    for (;;) {
        if (!pg->rows.result && hd_pg_sending(pg)) hd_pg_send(pg); /* rows at hand go first */
        hd_step step = hd_pg_receive(pg);
        if (step == HD_ROW) return step;
        if (step == HD_FAILED) lose(pg);
        if (step == HD_WAIT) {
            if (consume(pg) || !await(pg, wait)) continue;
            return HD_WAIT;
        }
        if (step == HD_DONE && hd_pg_sending(pg)) continue;
        if (step == HD_DONE && hd_pg_await_cancel(pg, wait)) return HD_WAIT;
        hd_pg_statements_drop_pending(&pg->cache);
        if (!handle_stale(pg)) return finish(pg, err);
    }
}

/* What is here already is taken and thrown away. If that is not all, the connection stays busy. */
void hd_pg_abandon(hd_conn *conn) {
    hd_pg *pg = (hd_pg *)conn;
    hd_pg_run *run = &pg->run;
    hd_error dropped;
    if (!run->active || pg->broken) return;
    if (run->head != run->tail) hd_pg_clock(run, &run->statements[awaited(run)]);
    if (hd_pg_sending(pg)) return;
    hd_pg_rows_end(&pg->rows);
    run->stopped = true;
    if (run->error.kind == HD_OK)
        hd_error_set(&run->error, HD_E_CANCELED, "the batch was abandoned");
    PQconsumeInput(pg->pq);
    if (hd_pg_receive(pg) != HD_DONE || hd_pg_is_canceling(pg)) return;
    hd_error_init(&dropped, conn->mem);
    hd_pg_statements_drop_pending(&pg->cache);
    finish(pg, &dropped);
    hd_error_clear(&dropped);
}
