/* A connection as the rooms of this driver see it, and what each room gives the others.
 *
 *   options.c   text options, checked           connect.c   opening, pragmas
 *   cache.c     prepared statements             script.c    several statements in one text
 *   execute.c   the running batch               busy.c      waiting for locks
 *   cursor.c    statements that stay open       aside.c     what they still have to show
 *   limit.c     how long it may run
 *   bind.c      values to parameters            columns.c   result columns to values
 *   errors.c    result codes to error kinds     driver.c    the table of functions, small answers
 *   functions.c, json_functions.c, json_tree.c, decimal_sum.c, casefold.c      what SQL can call */
#ifndef HD_SQLITE_CONN_H
#define HD_SQLITE_CONN_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "driver.h"

/* Beside SQLite's result codes: the error record is filled already. */
enum { HD_SQLITE_REFUSED = -1 };

typedef struct hd_sqlite_conn hd_sqlite_conn;

/* SQLite has no BEGIN READ ONLY. This statement behind BEGIN makes the transaction one, and the driver
 * takes it back when the transaction is over, however it ended. */
#define HD_SQLITE_READ_ONLY "PRAGMA query_only = 1"

/* ---- options ---- */

typedef struct hd_sqlite_pragma {
    const char *name, *value;
    bool given; /* by the user */
} hd_sqlite_pragma;

typedef struct hd_sqlite_options {
    hd_arena texts; /* owns everything below */
    const char *database;
    int open_flags;
    hd_time busy_timeout;
    hd_time statement_timeout; /* 0: none */
    uint32_t statement_cache;
    hd_sqlite_pragma *pragmas; /* in the order they run in */
    uint32_t pragma_count;
} hd_sqlite_options;

hd_error_kind hd_sqlite_options_read(hd_sqlite_options *options, const hd_allocator *mem,
                                     const hd_option *given, size_t count, hd_error *err);

/* ---- statement cache ---- */

/* Lives while it is cached, runs, is held by a cursor, or lends its column names to the connection. */
typedef struct hd_sqlite_prepared hd_sqlite_prepared;
struct hd_sqlite_prepared {
    hd_sqlite_prepared *newer, *older, *chain; /* by use; in the bucket */
    sqlite3_stmt *stmt;                        /* NULL: blanks and comments, nothing to run */
    uint64_t hash;
    uint32_t params, columns;
    int prepared_again; /* how often SQLite had done it when names were read */
    bool cached, insert;
    bool writes;           /* it may change the database */
    bool held;             /* by a cursor */
    hd_column_name *names; /* NULL: not read yet */
    size_t sql_len;
    char sql[]; /* when cached */
};

typedef struct hd_sqlite_cache {
    hd_sqlite_prepared **buckets; /* a power of two of them; NULL when nothing is kept */
    hd_sqlite_prepared *newest, *oldest;
    uint32_t bucket_count, count, limit;
} hd_sqlite_cache;

int hd_sqlite_cache_init(hd_sqlite_conn *conn); /* 0 or -1 (out of memory) */
/* Finds or prepares; a result code. */
int hd_sqlite_prepare(hd_sqlite_conn *conn, const hd_statement *statement, hd_sqlite_prepared **out,
                      hd_error *err);
/* Lets go of a statement that was reset. */
void hd_sqlite_release(hd_sqlite_conn *conn, hd_sqlite_prepared *prepared);
/* With `discard` SQLite's own object is left alone. */
void hd_sqlite_prepared_free(hd_sqlite_conn *conn, hd_sqlite_prepared *prepared, bool discard);
/* Makes the statement's column names, as of now, the connection's. A result code. */
int hd_sqlite_lend_names(hd_sqlite_conn *conn, hd_sqlite_prepared *prepared);
void hd_sqlite_forget_names(hd_sqlite_conn *conn);
/* Frees all; with `discard` SQLite's own objects are left alone. */
void hd_sqlite_cache_free(hd_sqlite_conn *conn, bool discard);

/* ---- cursors ---- */

typedef struct hd_sqlite_cursor hd_sqlite_cursor;
struct hd_sqlite_cursor {
    hd_sqlite_cursor *next;
    const void *name;
    hd_sqlite_prepared *prepared;
    sqlite3 *aside; /* holds the rest of its rows; NULL: they are where they were */
    int code;       /* they could not be put aside */
    bool bound;
    bool begun; /* it has given rows, or said that there are none */
    bool ended; /* it has no more */
};

/* Makes the cursor's statement the current one, preparing it when it begins. A result code. */
int hd_sqlite_cursor_enter(hd_sqlite_conn *conn, const hd_statement *statement, hd_error *err);
/* The run is over: it stays open if it `goes_on` and there are more rows. */
void hd_sqlite_cursor_leave(hd_sqlite_conn *conn, bool goes_on);
void hd_sqlite_cursor_close(hd_conn *conn, const void *name);
void hd_sqlite_cursors_close(hd_sqlite_conn *conn, bool discard);
/* Before the connection writes: every open cursor's rows are put aside. */
void hd_sqlite_put_aside(hd_sqlite_conn *conn);

/* ---- the connection ---- */

typedef bool hd_sqlite_decoder(hd_sqlite_conn *conn, sqlite3_value *from, hd_value *to);

/* A column of the result that is being read. */
typedef struct hd_sqlite_column {
    hd_sqlite_decoder *decode;
    sqlite3_value *from; /* where its value stood in the last row; NULL: there was none */
} hd_sqlite_column;

typedef struct hd_sqlite_busy {
    hd_time deadline; /* 0: nothing was busy yet */
    hd_time pause;
} hd_sqlite_busy;

typedef struct hd_sqlite_limit {
    hd_time batch, own; /* the batch's deadline; the statement's own */
    hd_time until;      /* the sooner of the two; HD_NEVER */
    hd_time interrupt;  /* when a step is broken off */
    bool writes;        /* in a transaction: it has a last moment */
    bool looks;         /* SQLite looks at the clock */
} hd_sqlite_limit;

/* The rows of a walk, while it runs. */
typedef struct hd_sqlite_given {
    const hd_value *rows;
    uint32_t count, width, key; /* values of a row; which of them is the key */
    uint32_t next;              /* row that is to be met next, or was asked for last */
    bool under_way, strayed;
    int64_t behind; /* the key that was come by last, once under way */
} hd_sqlite_given;

struct hd_sqlite_conn {
    hd_conn base; /* first */
    sqlite3 *db;
    hd_sqlite_options options;
    uint32_t setup; /* steps of connecting that are done */
    hd_time probed; /* when the file was last looked at */
    hd_sqlite_cache cache;
    hd_sqlite_prepared *named; /* base.names are its */
    hd_sqlite_busy busy;
    hd_sqlite_limit limit;
    atomic_bool canceled, stepping;

    /* The running batch. */
    bool running;
    bool reading; /* rows of `execution` were announced */
    hd_statement *statements;
    uint32_t count, at;          /* statements; the current one */
    hd_sqlite_prepared *current; /* of the current one, once prepared */
    hd_sqlite_cursor *fetching;  /* whose it is, or NULL */
    uint32_t execution;
    int64_t rows; /* of this execution so far */
    int ahead;    /* what SQLite said to hd_sqlite_next and the next step has to hear; 0: nothing */
    hd_time began;
    hd_arena bound; /* parameters that had to be formatted */
    hd_sqlite_given given;

    hd_sqlite_cursor *cursors; /* open ones */

    /* The running script. */
    char *script;
    const char *script_at, *script_end;
    sqlite3_stmt *piece;

    /* The current row. */
    hd_value *values;
    hd_sqlite_column *columns;
    size_t value_cap, column_cap;
    hd_arena decoded; /* texts that had to be made */
    bool read_only;   /* the open transaction said HD_SQLITE_READ_ONLY */
    bool unconfined;  /* CHECK constraints are not looked at now */
    bool unlimited;   /* statement_timeout does not count now: hd_unlimited(1) was asked for */
    bool unsettled;   /* foreign keys were broken, to be checked at COMMIT, before the batch */
};

static inline hd_sqlite_conn *hd_sqlite_of(hd_conn *conn) {
    return (hd_sqlite_conn *)conn;
}

/* ---- other rooms ---- */

hd_step hd_sqlite_connect(hd_conn *conn, const char *password, hd_wait *wait, hd_error *err);
void hd_sqlite_disconnect(hd_sqlite_conn *conn);

hd_error_kind hd_sqlite_start(hd_conn *conn, hd_statement *statements, uint32_t count,
                              hd_error *err);
hd_step hd_sqlite_step(hd_conn *conn, hd_wait *wait, hd_error *err);
bool hd_sqlite_next(hd_conn *conn);
void hd_sqlite_abandon(hd_conn *conn);

/* Runs the text piece by piece: SQLITE_DONE, or the code that stopped it (busy: call again). */
int hd_sqlite_script(hd_sqlite_conn *conn, hd_statement *statement, hd_error *err);
void hd_sqlite_script_end(hd_sqlite_conn *conn);

/* SQLITE_OK, a code, or REFUSED. Texts stay the caller's, unless the statement `keeps` copies. */
int hd_sqlite_bind(hd_sqlite_conn *conn, sqlite3_stmt *stmt, const hd_value *params, uint32_t count,
                   bool keeps, hd_error *err);

/* Chooses a decoder for each column. SQLITE_OK or SQLITE_NOMEM. */
int hd_sqlite_columns(hd_sqlite_conn *conn, uint32_t columns, const hd_statement *statement);
/* Decodes the current row into conn->values. SQLITE_OK or SQLITE_NOMEM. */
int hd_sqlite_read_row(hd_sqlite_conn *conn, sqlite3_stmt *stmt);

bool hd_sqlite_is_busy(int code); /* worth trying again */
/* The clock of a batch, and of each statement in it; what a statement is, once it is prepared. */
void hd_sqlite_limit_batch(hd_sqlite_conn *conn);
void hd_sqlite_limit_statement(hd_sqlite_conn *conn, hd_time now);
void hd_sqlite_limit_write(hd_sqlite_conn *conn, sqlite3_stmt *stmt);
void hd_sqlite_limit_end(hd_sqlite_conn *conn);
bool hd_sqlite_is_over(const hd_sqlite_conn *conn); /* the statement's time */
/* Of an interrupted statement: true and the words when statement_timeout is the cause. */
bool hd_sqlite_limit_error(hd_sqlite_conn *conn, hd_error *err);

/* Waits a little longer than last time, or fails with lock_timeout when the time is over. */
hd_step hd_sqlite_wait(hd_sqlite_conn *conn, hd_wait *wait, hd_error *err);

/* Fills the record from a code and the connection's last message. `preparing`: the fault lies
 * in the text. */
/* A foreign key that leads nowhere, in words. */
void hd_sqlite_broken_reference(hd_error *err);
hd_error_kind hd_sqlite_error(hd_sqlite_conn *conn, int code, bool preparing, hd_error *err);
/* Path for messages: as the user gave it, without a URI's query. */
int hd_sqlite_path_len(const hd_sqlite_conn *conn);

/* An array's value as JSON, behind what stands in `out` (where being out of memory is noted). 0; -1: it holds something
 * that JSON cannot; -2: it is nested too deep. */
int hd_sqlite_write_list(hd_buffer *out, const hd_value *list);

/* given.c: the rows of the statement, which is a walk, are what hd_met and hd_given know until they are taken back. */
int hd_sqlite_give(hd_sqlite_conn *conn, const hd_statement *s, sqlite3_stmt *stmt);
void hd_sqlite_take_back(hd_sqlite_conn *conn, hd_statement *s);
int hd_sqlite_register_given(hd_sqlite_conn *conn);

int hd_sqlite_register(hd_sqlite_conn *conn); /* functions and collation; a result code */
int hd_sqlite_register_sum(hd_sqlite_conn *conn);
int hd_sqlite_register_json(hd_sqlite_conn *conn);

#endif
