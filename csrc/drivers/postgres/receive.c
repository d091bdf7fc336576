/* Receiving what a batch was answered. The replies array says what each result belongs to: libpq
 * gives the results of one command, then NULL, and for a sync one result without a NULL. After the
 * first failure everything up to the sync is taken and thrown away, so that the connection is quiet
 * when the error is reported. */
#include <stdlib.h>
#include <string.h>

#include "connection.h"

static hd_statement *statement_of(hd_pg_run *run, const hd_pg_reply *reply) {
    return &run->statements[reply->statement];
}

/* When a sync fails, it is the commit of the statement before it that does. */
static uint32_t culprit(const hd_pg_reply *reply) {
    return reply->kind == HD_PG_SYNC && reply->statement > 0 ? reply->statement - 1
                                                             : reply->statement;
}

/* ---- Failure ---- */

/* The server revalidates a plan in a function of this name, in every language of its messages. */
static hd_pg_stale staleness(const PGresult *result) {
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    if (sqlstate && strcmp(sqlstate, "26000") == 0) return HD_PG_NAME_GONE;
    bool plan = sqlstate && strcmp(sqlstate, "0A000") == 0 && function &&
                strcmp(function, "RevalidateCachedQuery") == 0;
    return plan ? HD_PG_PLAN_CHANGED : HD_PG_FRESH;
}

void hd_pg_clock(hd_pg_run *run, hd_statement *s) {
    hd_time now = hd_now();
    s->elapsed += now - run->mark;
    run->mark = now;
}

static void fail(hd_pg *pg, const hd_pg_reply *reply, const PGresult *result) {
    static const char changed[] = "a table was altered while its statement was prepared; "
                                  "run the transaction again";
    hd_pg_run *run = &pg->run;
    hd_statement *s = &run->statements[culprit(reply)];
    if (run->error.kind != HD_OK) return;
    hd_pg_clock(run, s);
    if (PQstatus(pg->pq) == CONNECTION_BAD && !PQresultErrorField(result, PG_DIAG_SQLSTATE)) {
        hd_pg_report_lost(&run->error, pg->pq);
    } else {
        hd_pg_report(&run->error, result, s->sql, s->sql_len);
        run->stale = staleness(result);
    }
    if (run->stale == HD_PG_PLAN_CHANGED) {
        run->error.kind = HD_E_DRIVER;
        hd_error_text(&run->error, &run->error.message, changed, sizeof changed - 1);
    }
    hd_pg_fail_at(run, culprit(reply),
                  reply->kind == HD_PG_EXECUTE ? (int64_t)reply->execution : -1);
}

/* COPY needs a conversation that a batch cannot hold; only closing ends it. */
static hd_step fail_copy(hd_pg *pg, const hd_pg_reply *reply) {
    hd_pg_run *run = &pg->run;
    if (run->error.kind == HD_OK) {
        hd_error_set(&run->error, HD_E_UNSUPPORTED, "COPY cannot be run as a statement");
        hd_pg_fail_at(run, reply->statement, reply->execution);
    }
    pg->broken = true;
    return HD_FAILED;
}

/* ---- Success ---- */

static int64_t count_rows(PGresult *result) {
    const char *text = PQcmdTuples(result);
    return *text ? strtoll(text, NULL, 10) : 0;
}

/* The user's own SQL may take prepared statements away; the tag of the command says so. */
static bool forgets_statements(PGresult *result) {
    const char *tag = PQcmdStatus(result);
    return strncmp(tag, "DEALLOCATE", 10) == 0 || strcmp(tag, "DISCARD ALL") == 0;
}

/* Counts; false when the count is not the expected one. */
static bool count_execution(hd_pg *pg, const hd_pg_reply *reply, PGresult *result) {
    hd_pg_run *run = &pg->run;
    hd_statement *s = statement_of(run, reply);
    int64_t rows = count_rows(result);
    s->affected = (s->affected < 0 ? 0 : s->affected) + rows;
    if (reply->execution + 1 >= s->repeat) hd_pg_clock(run, s);
    if (!s->cache) run->forget |= forgets_statements(result);
    if (s->expect < 0 || rows == s->expect) return true;
    hd_error_set(&run->error, HD_E_OPTIMISTIC_LOCK,
                 "a statement touched %lld rows where %lld were expected", (long long)rows,
                 (long long)s->expect);
    hd_pg_fail_at(run, reply->statement, reply->execution);
    return false;
}

/* Gives the next row of the result at hand: ROW, or DONE when there is none. */
static hd_step next_row(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    hd_row *row = &pg->base.row;
    switch (hd_pg_rows_next(&pg->rows, &run->error)) {
    case 1:
        row->values = pg->rows.values;
        row->count = pg->rows.width;
        return HD_ROW;
    case 0:
        run->mark = hd_now();
        return HD_DONE;
    default:
        hd_pg_rows_end(&pg->rows);
        hd_pg_fail_at(run, row->statement, row->execution);
        return HD_DONE;
    }
}

bool hd_pg_next(hd_conn *conn) {
    hd_pg *pg = (hd_pg *)conn;
    return pg->rows.result && pg->rows.next < pg->rows.count && next_row(pg) == HD_ROW;
}

static hd_step take_rows(hd_pg *pg, const hd_pg_reply *reply, PGresult *result) {
    hd_pg_run *run = &pg->run;
    hd_statement *s = statement_of(run, reply);
    if (run->stopped && run->error.kind != HD_OK) {
        PQclear(result);
        return HD_DONE;
    }
    pg->base.row.statement = reply->statement;
    pg->base.row.execution = reply->execution;
    if (!count_execution(pg, reply, result)) {
        PQclear(result);
        return HD_DONE;
    }
    if (hd_pg_rows_begin(&pg->rows, result, s, &pg->base, &run->error) != HD_OK) {
        hd_pg_rows_end(&pg->rows);
        hd_pg_fail_at(run, reply->statement, reply->execution);
        return HD_DONE;
    }
    return next_row(pg);
}

static void take_command(hd_pg *pg, const hd_pg_reply *reply, PGresult *result) {
    if (reply->kind == HD_PG_PARSE) {
        reply->entry->pending = false;
    } else if (reply->kind != HD_PG_CLOSE && pg->run.error.kind == HD_OK) {
        count_execution(pg, reply, result);
    }
}

/* ---- Results ---- */

/* One result; it is freed, or has become the rows at hand. */
static hd_step take(hd_pg *pg, PGresult *result) {
    hd_pg_run *run = &pg->run;
    const hd_pg_reply *reply = &run->replies[run->head];
    hd_step step = HD_DONE;
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
        return take_rows(pg, reply, result);
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        take_command(pg, reply, result);
        break;
    case PGRES_PIPELINE_SYNC:
        if (reply->kind == HD_PG_CLOSED) hd_pg_statements_closed(&pg->cache, run->closing);
        run->head++;
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    case PGRES_COPY_IN:
        if (reply->kind == HD_PG_COPY)
            hd_pg_copy_begin(pg);
        else
            step = fail_copy(pg, reply);
        break;
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        step = fail_copy(pg, reply);
        break;
    default:
        run->refused = reply->kind == HD_PG_SYNC;
        if (reply->kind != HD_PG_CLOSE) fail(pg, reply, result);
        if (PQstatus(pg->pq) == CONNECTION_BAD) step = HD_FAILED;
    }
    PQclear(result);
    return step;
}

/* The command at the head is answered. After a sync libpq gives no NULL, unless the commit at it
 * was refused, when the sync itself is still to come, or the connection is gone; then it gives
 * nothing else any more. */
static hd_step answered(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    hd_pg_reply_kind kind = run->replies[run->head].kind;
    if (kind == HD_PG_SYNC || kind == HD_PG_CLOSED) {
        bool refused = run->refused && PQstatus(pg->pq) != CONNECTION_BAD;
        run->refused = false;
        return refused ? HD_DONE : HD_FAILED;
    }
    run->head++;
    if (PQstatus(pg->pq) == CONNECTION_BAD) return HD_FAILED;
    bool apart = kind == HD_PG_SIMPLE || kind == HD_PG_COPY;
    if (apart && !PQenterPipelineMode(pg->pq)) return HD_FAILED;
    return HD_DONE;
}

hd_step hd_pg_receive(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    hd_step step = pg->rows.result ? next_row(pg) : HD_DONE;
    while (step == HD_DONE && !pg->broken && !run->copying && run->head != run->tail) {
        if (PQisBusy(pg->pq)) return HD_WAIT;
        PGresult *result = PQgetResult(pg->pq);
        step = result ? take(pg, result) : answered(pg);
    }
    if (pg->broken) return HD_FAILED;
    return step == HD_DONE && run->copying ? HD_WAIT : step;
}
