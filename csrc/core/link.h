/* Link: the way from one entity manager (or one stream) to the database. It borrows a pooled connection for
 * one batch, or keeps it through a transaction, and holds at most one operation at a time.
 *
 *     hd_link_run(link, batch, flags, limit);
 *     while ((step = hd_link_step(link, &wait)) ...)   DONE, ROW, WAIT, HOST or FAILED (link->error)
 *
 * Transactions: begin, savepoint and release only note a control statement; it travels in front of the next
 * batch (the prefix). Commit and rollbacks run at once, and cost nothing when nothing was sent. The link does
 * not decide when a transaction ends: after a failure inside one the host says rollback.
 *
 * An operation whose time is over is canceled, and its connection kept where the database answers that soon. One may
 * also be left at any step: hd_link_reset forgets everything (link_break.c). */
#ifndef HD_LINK_H
#define HD_LINK_H

#include "base/arena.h"
#include "batch.h"
#include "pool.h"

typedef enum hd_link_state {
    HD_LINK_IDLE = 0,
    HD_LINK_ACQUIRE,
    HD_LINK_READY,
    HD_LINK_RUN
} hd_link_state;

/* What the host has to do after HD_HOST. */
typedef enum hd_link_need {
    HD_NEED_NOTHING = 0,
    HD_NEED_PASSWORD,
    HD_NEED_ON_CONNECT
} hd_link_need;

enum hd_run_flags {
    HD_RUN_COMMIT =
        1,           /* COMMIT travels behind the batch; the transaction is over when it is done */
    HD_RUN_XID = 2,  /* make the transaction's id known (a lost COMMIT can be looked up) */
    HD_RUN_HOLD = 8, /* only have a connection; nothing is sent */
    HD_RUN_BARE = 4  /* neither prefix nor suffix: for statements between operations (on_connect) */
};

#define HD_LINK_XID     24
#define HD_LINK_COMMENT 128

struct hd_owner;

typedef struct hd_link {
    const hd_allocator *mem;
    hd_pool *pool;
    hd_ticket ticket;
    hd_error error; /* of the last failed operation */
    hd_arena arena; /* of the running operation: composed statements, host's parameters */
    /* The operation. */
    uint8_t state, need;
    bool waited;  /* the last step answered HD_WAIT on the connection */
    hd_wait wait; /* ... for this */
    bool watched; /* by the host: somebody waits for what runs */
    bool
        offload; /* by the host: it waited in a scheduler last, where others run that must not be kept waiting */
    unsigned flags;
    uint32_t serial;  /* counts operations: what was meant for one does not meet the next */
    uint32_t looked;  /* by the host: the operation whose first answer it has looked for */
    hd_time limit;    /* how long the batch may run, HD_NEVER */
    hd_time deadline; /* the same as a moment; once it was canceled: when that is looked at again */
    bool canceled;    /* the limit was over */
    hd_time grace;    /* and then: until when the server may take to stop */
    char comment[HD_LINK_COMMENT]; /* stands behind each of its statements; "" none */
    const hd_batch *batch;
    hd_cursor *cursor;    /* that the operation reads, or NULL */
    uint32_t close_count; /* statements in front that end cursors; part of prefix_count */
    hd_statement
        *run; /* composed: prefix, batch, suffix; kept for the query log until the next run */
    uint32_t run_count, prefix_count;
    uint32_t xid_at, ask_at; /* their statements, or UINT32_MAX */
    uint32_t column_count;   /* of the last result, kept when the connection has gone back */
    hd_row row;              /* after HD_ROW; statement counts from the batch's first */
    /* The transaction. */
    uint32_t depth; /* 0 none, 1 transaction, 2.. savepoints */
    char **prefix;  /* owned texts not sent yet, oldest first */
    size_t prefix_length, prefix_capacity;
    bool began;     /* BEGIN was sent */
    bool over;      /* the connection or the database ended it; only rollback is taken */
    bool lost_conn; /* over because the connection died */
    bool pinned;    /* keep the connection although no transaction is open */
    char *keep; /* owned: the same for the host, and what then puts the session right; or NULL */
    bool want_on_connect;  /* the host runs something on each fresh connection */
    bool wrote;            /* what was committed last had written something, as the database says */
    char xid[HD_LINK_XID]; /* "" unknown */
    /* A question that travels behind the next batch, and what was answered ("": nothing, or NULL). */
    const char *ask;
    char answer[HD_LINK_XID];
    /* Parked operation while the host talks to a fresh connection. */
    const hd_batch *parked;
    unsigned parked_flags;
    hd_time parked_limit;
    char parked_comment[HD_LINK_COMMENT];
    hd_arena parked_arena;
    struct hd_owner *owner; /* on whose behalf it works, or NULL; the fields are owner.c's */
    struct hd_link *owned_prev, *owned_next;
} hd_link;

void hd_link_init(hd_link *link, hd_pool *pool);
void hd_link_free(hd_link *link);

/* Forgets what the last operation left in the arena; call it (idle) before parameters are put there. */
void hd_link_prepare(hd_link *link);
/* From now on the text of each statement ends with a comment that says where in the program it comes from. NULL: with
 * none. What could end a comment, or is no plain letter, does not get into it. */
void hd_link_comment(hd_link *link, const char *place, size_t len);
/* Starts an operation; batch, its statements and values must live until it ends. `limit`: microseconds that the batch
 * may run once it has its connection, HD_NEVER: any time. HD_OK, or why not (busy, over). */
hd_error_kind hd_link_run(hd_link *link, const hd_batch *batch, unsigned flags, hd_time limit);
hd_step hd_link_step(hd_link *link, hd_wait *wait);
/* Behind a HD_ROW: the row behind it, which stands in the same place, when that is all that a step would do. False: it is
 * for a step. */
static inline bool hd_link_next(hd_link *link) {
    hd_conn *conn = link->ticket.conn;
    return conn->driver->next && link->state == HD_LINK_RUN && conn->driver->next(conn);
}
/* From now on the connection stays from operation to operation, because the host changes its session: `restore` is the
 * statement that takes the change back where the link is left before the host has done so (a connection on which it
 * cannot run at once is closed). NULL: no longer. Call it idle. -1: out of memory. */
int hd_link_keep(hd_link *link, const char *restore);
/* Stops reading a result (rows left are dropped) and ends the operation. */
void hd_link_finish(hd_link *link);
/* Gives up whatever runs: the server is told to stop, the connection closed where it does not at once. A transaction that
 * was open there is rolled back, on a connection where nothing runs without closing it; only rollback is taken. */
void hd_link_reset(hd_link *link);
bool hd_link_is_queued(const hd_link *link); /* waiting for somebody else's connection */
/* A statement of one short value that the next batch takes along; the text is the caller's and lives as long. */
void hd_link_ask(hd_link *link, const char *text);

/* After HD_HOST with HD_NEED_ON_CONNECT: hd_link_park, any number of HD_RUN_BARE operations, hd_link_unpark, step
 * again. When the host fails: hd_link_reset. */
void hd_link_park(hd_link *link);
void hd_link_unpark(hd_link *link);

/* Transaction control. begin: text is "BEGIN ..." as the host words it. -1: out of memory. */
int hd_link_begin(hd_link *link, const char *text);
/* Has the connection that the transaction will run on: DONE at once when it is there, else as hd_link_run. */
hd_step hd_link_hold(hd_link *link);
int hd_link_savepoint(hd_link *link);
int hd_link_release(hd_link *link); /* innermost savepoint becomes part of what is around it */
/* DONE at once when nothing was sent, else as hd_link_run: step until done. The depth falls when it is done. */
hd_step hd_link_rollback_to(hd_link *link); /* innermost savepoint */
hd_step hd_link_commit(hd_link *link);
hd_step hd_link_rollback(hd_link *link);

#endif
