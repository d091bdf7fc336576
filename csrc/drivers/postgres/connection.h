/* One PostgreSQL connection: what its rooms share. */
#ifndef HD_PG_CONNECTION_H
#define HD_PG_CONNECTION_H

#include "base/job.h"
#include "options.h"
#include "params.h"
#include "report.h"
#include "resolve.h"
#include "rows.h"
#include "statements.h"

/* What the server will answer, in the order in which it was asked. */
typedef enum hd_pg_reply_kind {
    HD_PG_CLOSE,   /* DEALLOCATE of an evicted statement */
    HD_PG_CLOSED,  /* the sync behind those */
    HD_PG_PARSE,   /* of a named statement */
    HD_PG_EXECUTE, /* one execution */
    HD_PG_SIMPLE,  /* a script, outside pipeline mode */
    HD_PG_COPY,    /* COPY, outside of it too */
    HD_PG_SYNC     /* the sync behind a run of executions */
} hd_pg_reply_kind;

typedef struct hd_pg_reply {
    hd_pg_reply_kind kind;
    uint32_t statement, execution;
    hd_pg_prepared *entry; /* HD_PG_PARSE */
} hd_pg_reply;

/* Why a prepared statement could not be used any more. */
typedef enum hd_pg_stale { HD_PG_FRESH, HD_PG_PLAN_CHANGED, HD_PG_NAME_GONE } hd_pg_stale;

/* The batch that runs. */
typedef struct hd_pg_run {
    hd_statement *statements;
    uint32_t count;
    uint32_t statement, execution; /* the next to be sent */
    hd_pg_reply *replies;          /* [head, tail) are awaited */
    size_t head, tail, capacity;
    size_t closing;   /* statements that its HD_PG_CLOSED closes */
    size_t unflushed; /* bytes since the socket last took everything, roughly */
    hd_error error;   /* the first; the batch goes on to its sync, silently */
    hd_time mark;     /* when what runs now began */
    int attempts;     /* at taking input before the next wait */
    hd_pg_stale stale;
    uint32_t copied; /* of the COPY at the head: values that were taken */
    bool copying;    /* the server wants its rows */
    bool active;
    bool open;     /* something was sent that no sync follows yet */
    bool stopped;  /* nothing more is sent */
    bool refused;  /* the sync at the head has answered with an error, and is to come again */
    bool waited;   /* this batch has waited before */
    bool was_idle; /* began outside a transaction */
    bool reused;   /* ran a statement that had been prepared before */
    bool retried;  /* runs once more, after its prepared statement was stale */
    bool forget;   /* the user's own SQL took the prepared statements away */
} hd_pg_run;

typedef struct hd_pg {
    hd_conn base;
    PGconn *pq;
    hd_arena config, dial;         /* what lives as long as it; while it connects */
    hd_pg_options options, target; /* as given; as libpq gets them, hosts by their addresses */
    hd_pg_names names;             /* connecting: looked up first */
    hd_pg_statements cache;
    hd_pg_params params;
    hd_buffer text; /* statement with its NUL */
    hd_pg_rows rows;
    hd_pg_run run;
    const char *host; /* connecting: libpq's name of the host that is tried now */
    hd_time deadline;
    hd_job *request; /* the last cancel request that a thread makes */
    bool connected;
    bool broken; /* the server said goodbye, or the protocol cannot be followed any more */
} hd_pg;

/* connect.c */
hd_step hd_pg_connect(hd_conn *conn, const char *password, hd_wait *wait, hd_error *err);

/* cancel.c */
void hd_pg_cancel(hd_conn *conn, bool offload);
bool hd_pg_is_canceling(const hd_pg *pg); /* a request is on its way */
/* True: it has to be waited for. */
bool hd_pg_await_cancel(const hd_pg *pg, hd_wait *wait);

/* run.c */
hd_error_kind hd_pg_start(hd_conn *conn, hd_statement *statements, uint32_t count, hd_error *err);
hd_step hd_pg_step(hd_conn *conn, hd_wait *wait, hd_error *err);
void hd_pg_abandon(hd_conn *conn);

/* send.c: gives libpq as much of the batch as the socket takes, and the syncs that belong to it. */
void hd_pg_send(hd_pg *pg);
/* True when a sync is needed or something is still to be sent. */
bool hd_pg_sending(const hd_pg *pg);
/* libpq's buffer is empty: true when sending had stopped for want of room there. */
bool hd_pg_resume(hd_pg_run *run);

/* copy.c: the server asks for the rows; it gets as many as the socket takes. */
void hd_pg_copy_begin(hd_pg *pg);
void hd_pg_copy_rows(hd_pg *pg);

/* receive.c: ROW, WAIT (nothing to take now, or a COPY is to go on), DONE (nothing is awaited), FAILED (connection
 * lost). */
hd_step hd_pg_receive(hd_pg *pg);
bool hd_pg_next(hd_conn *conn);
/* The time since the answer before it is the statement's. */
void hd_pg_clock(hd_pg_run *run, hd_statement *s);

/* The batch fails at this statement; what was sent already is still received. Errors are set in
 * run->error before. */
static inline void hd_pg_fail_at(hd_pg_run *run, uint32_t statement, int64_t execution) {
    run->error.statement = (int32_t)statement;
    run->error.row = execution;
    run->stopped = true;
}

#endif
