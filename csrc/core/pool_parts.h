/* What the rooms of the pool share: pool.c (the pool and its idle connections), pool_ticket.c (who gets one, and how it
 * comes back). */
#ifndef HD_POOL_PARTS_H
#define HD_POOL_PARTS_H

#include "pool.h"

struct hd_pool {
    const hd_allocator *mem;
    const hd_driver *driver;
    hd_option *options;
    size_t option_count;
    hd_pool_limits limits;
    uint32_t references;
    pid_t process;
    bool closed;
    hd_conn *idle; /* newest first; some may be rinsing */
    uint32_t idle_count, size;
    hd_ticket *first, *last; /* the queue */
    hd_ticket *holders;      /* lent or connecting */
    uint32_t waiting;
    uint64_t next_id, opened, closed_count, acquired, timeouts;
};

/* pool.c */
void hd_pool_check_process(hd_pool *pool); /* in a child of a fork it starts again, empty */
void hd_pool_close_conn(hd_pool *pool, hd_conn *conn);
void hd_pool_discard_conn(hd_pool *pool, hd_conn *conn); /* it is another process's */
bool hd_pool_is_stale(const hd_pool *pool, const hd_conn *conn, hd_time now);
void hd_pool_reap_idle(hd_pool *pool, hd_time now);
/* One at rest, or, where there is none, one that is rinsing. NULL: none at all. */
hd_conn *hd_pool_take_idle(hd_pool *pool, hd_time now);
void hd_pool_push_idle(hd_pool *pool, hd_conn *conn);

#endif
