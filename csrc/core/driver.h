/* What a database driver gives the core, and what it is given.
 *
 * A driver knows connections, statements, parameters and rows. It never waits (every wait is an
 * HD_WAIT), never blocks on the network, never sees an entity, and keeps nothing outside its
 * connections. One connection runs one batch at a time; connections are used by one thread. */
#ifndef HD_DRIVER_H
#define HD_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/value.h"
#include "pause.h"
#include "step.h"

#define HD_DRIVER_ABI 8

typedef struct hd_conn hd_conn;
typedef struct hd_driver hd_driver;
typedef struct hd_cursor hd_cursor;

/* One name and value of a connection's options, NUL-terminated UTF-8. What names mean is the driver's
 * header's business (postgres.h: libpq keywords; sqlite.h: database, busy_timeout, pragma.NAME). */
typedef struct hd_option {
    const char *name, *value;
} hd_option;

typedef struct hd_statement {
    /* Given by the core. */
    const char *sql; /* not necessarily NUL-terminated */
    size_t sql_len;
    uint64_t hash;          /* of the text: key of the prepared-statement cache */
    const hd_value *params; /* repeat * param_count values, row after row */
    uint32_t param_count;   /* of one execution */
    uint32_t repeat;        /* executions, at least 1 (0 is taken as 1) */
    int64_t expect; /* rows that each execution must touch, -1 any; another count ends the batch
                                 as HD_E_OPTIMISTIC_LOCK with statement and row set (the core words it) */
    const uint8_t *types; /* hd_type of each result column, NULL: natural (as the database says) */
    uint32_t type_count;
    bool cache;    /* keep it prepared (false: one-shot text, e.g. DDL, BEGIN) */
    bool simple;   /* may hold several statements, no parameters (schema scripts) */
    uint32_t copy; /* PostgreSQL: it is a COPY FROM STDIN (FORMAT binary) of so many columns, whose
                        rows the params are, one behind the other; each value's type is its column's */
    uint32_t walk; /* SQLite: an UPDATE of all `repeat` rows in one execution, see below; else 0 */
    bool flush;    /* PostgreSQL: ask the server to send results so far after this one */
    bool unconfined; /* SQLite: CHECK constraints are not looked at while it runs */
    bool settles; /* SQLite: behind it no foreign key may be broken whose check a flush put off */
    const void
        *cursor;    /* SQLite: an address of the caller's that names a cursor (below); or NULL */
    uint32_t limit; /* of a cursor: rows of one run, at least 1 */
    bool opens;     /* a cursor begins here; without it, one that is not open is HD_E_CLOSED */
    /* Given back by the driver. */
    int64_t affected; /* rows touched or returned, summed over executions; -1 not run */
    int64_t last_id;  /* SQLite: last_insert_rowid after the last execution of an INSERT; else 0 */
    int64_t besides;  /* SQLite, of statements without rows: rows that triggers touched meanwhile */
    bool strayed;     /* a walk that was refused for the order in which it met rows */
    int64_t
        elapsed; /* microseconds, as near as the driver can tell; 0 in the middle of a pipeline */
    bool sent;   /* it reached the database (for the query log) */
} hd_statement;

/* Walks: SQLite goes along a table once, instead of looking each row up. The rows stand in the order
 * of their keys, which are integers and the `walk`th (from 1) of each row's params. In the text ?1 and ?2
 * are the first and the last of them, hd_met(key) says whether the row that was come to is one of those
 * given, hd_given(key, n) is the nth of its params. A table that shows its keys in another order, or one of
 * them twice, is refused; `expect` counts for all rows together. */

/* Cursors: a query that is read in several batches. The statement of a cursor stays open when it has
 * given `limit` rows, and the next one that names the same cursor (its text and parameters are not
 * looked at any more) goes on behind them. It shows what there was when it was opened, whatever the
 * connection does meanwhile: writes, commits, rolls back, alters the table. `affected` below the limit
 * says that the last row was among them; then, and after a failure, nothing is open any more. A driver
 * without `close_cursor` has none of this: there cursors are a matter of SQL. */

/* A row that a step announced as HD_ROW. Values and bytes live until the next call on the connection. */
typedef struct hd_row {
    const hd_value *values;
    uint32_t count;
    uint32_t statement; /* index in the batch */
    uint32_t execution; /* 0 .. repeat-1 */
} hd_row;

/* Names of the result columns of the statement that the current row belongs to (raw SQL). Valid from its
 * first row on, or after HD_DONE for the last statement that gave columns, until the next batch. */
typedef struct hd_column_name {
    const char *text;
    size_t len;
} hd_column_name;

/* What state a connection is in; the pool keeps only HD_CONN_IDLE. */
typedef enum hd_conn_status {
    HD_CONN_CLOSED = 0,  /* not connected, or lost */
    HD_CONN_IDLE,        /* connected, no transaction, nothing running */
    HD_CONN_TRANSACTION, /* in a transaction that works */
    HD_CONN_FAILED,      /* in a transaction that only ROLLBACK [TO] can leave */
    HD_CONN_BUSY         /* a batch is running */
} hd_conn_status;

/* What the core sent on a connection that was given up, to bring it to rest (rinse.h). */
typedef struct hd_rinse {
    hd_statement statement;
    hd_time until; /* for the answer */
    bool runs;
} hd_rinse;

/* Every connection begins with this; drivers embed it as their first member. The pool's fields are the
 * pool's, a driver leaves them alone. */
struct hd_conn {
    const hd_driver *driver;
    const hd_allocator *mem;
    hd_row row;                  /* the row after HD_ROW */
    const hd_column_name *names; /* see hd_column_name */
    uint32_t name_count;
    uint64_t id;          /* pool: number of this connection in its pool */
    hd_time opened, used; /* pool */
    hd_conn *next;        /* pool */
    bool fresh;           /* pool: on_connect has not run yet */
    hd_time
        deadline; /* link: when the batch shall end, HD_NEVER. Whoever waits looks at it; a driver whose step
                         itself takes long ends it then, as HD_E_CANCELED */
    hd_cursor *cursors; /* core: those that stand open on it */
    hd_rinse rinse;     /* core */
    hd_spin spin;       /* core */
};

typedef struct hd_services {
    uint32_t abi; /* HD_DRIVER_ABI */
    const hd_allocator *mem;
} hd_services;

/* How statement text differs between databases; read by write_sql.c and the Lua compilers. */
typedef struct hd_dialect {
    bool dollar_params;   /* $1, $2 ... (else ?1, ?2 ...) */
    bool bulk_unnest;     /* multi-row writes over arrays (else VALUES and repeat) */
    bool row_sequence;    /* keys from max(rowid) under the write lock (else from sequences) */
    uint32_t max_params;  /* of one statement */
    uint32_t insert_rows; /* rows of one VALUES list */
    uint32_t update_rows; /* the same of an UPDATE; 0: row by row. Not with bulk_unnest */
    uint32_t walk_rows;   /* rows from which on a walk pays; 0: there is none */
    uint32_t copy_rows;   /* rows of one table from which COPY pays; 0: there is none */
    const char *
        transaction_id; /* statement that gives (and assigns) the open transaction's id; NULL: none */
    const char *transaction_id_if; /* the same, NULL when the transaction has written nothing */
} hd_dialect;

struct hd_driver {
    uint32_t abi;
    const char *name; /* "postgres", "sqlite" */
    const hd_dialect *dialect;
    /* Version of the library in use; below the floor: HD_E_CONFIG naming both. Called once, at load. */
    hd_error_kind (*check)(hd_error *err);
    const char *(*version)(void); /* "libpq 15.20" */

    /* A connection that is not connected yet: copies the options, does no input or output. NULL: err. */
    hd_conn *(*open)(const hd_services *services, const hd_option *options, size_t count,
                     hd_error *err);
    /* Connects. DONE, WAIT (the fd may change between steps) or FAILED. `password` overrides the option when
     * not NULL; read during the first call only. */
    hd_step (*connect)(hd_conn *conn, const char *password, hd_wait *wait, hd_error *err);

    /* Starts a batch; the array, texts and values stay the caller's and must live until the batch ends. Gives
     * HD_OK, or the error at once. The first step follows. */
    hd_error_kind (*start)(hd_conn *conn, hd_statement *statements, uint32_t count, hd_error *err);
    /* Carries the running batch on: ROW (in conn->row), WAIT, DONE (all statements ran), FAILED (the batch is
     * over, the connection is quiet again or closed; err->statement names the culprit, those behind it did
     * not run). */
    hd_step (*step)(hd_conn *conn, hd_wait *wait, hd_error *err);
    /* Behind HD_ROW, and quicker than a step: true when the next row of the same execution stands in conn->row, whose
     * values are where they were; else the next step goes on from there. NULL: none. */
    bool (*next)(hd_conn *conn);
    /* Drops the rest of the running batch's rows and results as far as that needs no waiting (SQLite: resets the
     * statement). After it: IDLE/TRANSACTION, or BUSY when the driver cannot (the core then closes it). */
    void (*abandon)(hd_conn *conn);

    /* Ends a cursor, in whatever state, also while another statement runs; nothing when it is not open.
     * NULL: cursors are DECLARE, FETCH and CLOSE. */
    void (*close_cursor)(hd_conn *conn, const void *cursor);

    /* Where it stands. With `probe` it also looks, without waiting, whether the peer has closed it. */
    hd_conn_status (*status)(hd_conn *conn, bool probe);
    /* Asks the server to stop what runs, which a step then reports (HD_E_CANCELED); may be called at any time.
     * PostgreSQL's takes a round trip or two: with `offload` they are a thread's, and what runs is not done
     * before that is; without, they are waited for here. */
    void (*cancel)(hd_conn *conn, bool offload);
    bool
        cancels_at_once; /* cancel waits for nothing: a signal's handler may call it while a step runs */
    void (*close)(hd_conn *conn); /* goodbye, free; any state */
    void (*discard)(
        hd_conn *conn); /* after a fork, in the child: free without touching the peer or the file */
    /* Writes "postgres 15.20 user@host:5432/db" or "sqlite 3.40.1 /path" without any secret. */
    void (*describe)(hd_conn *conn, char *out, size_t cap);
};

#endif
