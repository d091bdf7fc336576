/* Pool: the connections of one context in one process, lent one at a time.
 *
 * A borrower has a ticket. hd_pool_acquire is called until it answers DONE (ticket->conn is the borrower's)
 * or FAILED; hd_pool_release gives the connection back; hd_pool_give_up ends a ticket at any moment. Waiting
 * tickets are served in the order of their coming. Used by one thread. */
#ifndef HD_POOL_H
#define HD_POOL_H

#include <sys/types.h>

#include "base/wake.h"
#include "driver.h"

typedef struct hd_pool hd_pool;
typedef struct hd_ticket hd_ticket;

typedef struct hd_pool_limits {
    uint32_t min, max; /* connections; max at least 1 */
    hd_time
        idle_timeout; /* microseconds; an idle connection beyond `min` is closed after it. 0: never */
    hd_time
        max_lifetime; /* an older connection is closed when it comes back or is looked at. 0: never */
    hd_time acquire_timeout; /* of a ticket in the queue. 0: none */
    hd_time connect_timeout; /* of one attempt to connect. 0: none */
    bool host_password;      /* the host gives the password for each new connection (HD_HOST) */
} hd_pool_limits;

typedef struct hd_pool_stats {
    uint32_t size, idle, in_use, waiting;
    uint64_t opened, closed, acquired, timeouts;
} hd_pool_stats;

enum hd_ticket_state {
    HD_TICKET_NEW = 0,
    HD_TICKET_PASSWORD,
    HD_TICKET_CONNECTING,
    HD_TICKET_QUEUED,
    HD_TICKET_RINSING, /* the connection is the ticket's, once the database has ended what was open on it */
    HD_TICKET_HELD
};

struct hd_ticket {
    hd_pool *pool;          /* referenced */
    pid_t process;          /* that it serves */
    hd_ticket *prev, *next; /* in the queue, or among the holders */
    hd_conn *conn;          /* connecting or held */
    hd_wake wake;
    hd_time since, deadline;
    char *password;    /* from the host, until connect has read it; owned */
    const char *label; /* who holds it, for messages; the borrower's, or NULL */
    uint8_t state;
    bool granted; /* the queue handed over a free place instead of a connection */
};

/* Copies the options. NULL: out of memory or refused options (err). The pool is referenced once. */
hd_pool *hd_pool_new(const hd_allocator *mem, const hd_driver *driver, const hd_option *options,
                     size_t count, const hd_pool_limits *limits, hd_error *err);
hd_pool *hd_pool_ref(hd_pool *pool);
void hd_pool_unref(hd_pool *pool); /* the last one frees it with its idle connections */
/* Closes the idle connections now, lent ones when they come back; every ticket fails with `closed`. */
void hd_pool_close(hd_pool *pool);
bool hd_pool_is_closed(const hd_pool *pool);
const hd_driver *hd_pool_driver(const hd_pool *pool);
const hd_allocator *hd_pool_allocator(const hd_pool *pool);
void hd_pool_read_stats(hd_pool *pool, hd_pool_stats *stats);
/* "2 of 2 in use: transaction begun at app.lua:12; app.lua:30" into out. */
void hd_pool_describe_holders(hd_pool *pool, char *out, size_t cap);

void hd_ticket_init(hd_ticket *ticket, hd_pool *pool); /* references the pool */
void hd_ticket_free(hd_ticket *ticket);                /* gives up first */
/* In a child of the process that used it: a fresh ticket, whose connection is left to the parent. */
void hd_ticket_check(hd_ticket *ticket);
/* DONE: ticket->conn is lent (fresh: its first loan). WAIT. HOST: call hd_ticket_password first. FAILED. */
hd_step hd_pool_acquire(hd_ticket *ticket, hd_wait *wait, hd_error *err);
int hd_ticket_password(hd_ticket *ticket, const char *password, size_t len); /* -1: out of memory */
/* Ends the loan. Kept when it is idle or rinsing, young, of this process and the pool is open; closed otherwise. */
void hd_pool_release(hd_ticket *ticket);
void hd_pool_give_up(hd_ticket *ticket); /* whatever its state; a held connection is closed */

#endif
