/* Pool. Owns its idle connections and the count of all; a lent connection belongs to its ticket until it comes
 * back. Idle connections form a stack, so that the least used ones grow old and are closed; waiting tickets a
 * queue. A free place (size < max) and a free connection are never there while a ticket waits: whoever gives
 * one back hands it to the head of the queue. A pool that wakes up in another process than the one that opened
 * its connections discards them without a word to the server: they are the parent's. */
#include "pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cursor.h"

struct hd_pool {
    const hd_allocator *mem;
    const hd_driver *driver;
    hd_option *options;
    size_t option_count;
    hd_pool_limits limits;
    uint32_t references;
    pid_t process;
    bool closed;
    hd_conn *idle; /* newest first */
    uint32_t idle_count, size;
    hd_ticket *first, *last; /* the queue */
    hd_ticket *holders;      /* lent or connecting */
    uint32_t waiting;
    uint64_t next_id, opened, closed_count, acquired, timeouts;
};

/* ---- Life ---- */

static int copy_options(hd_pool *pool, const hd_option *options, size_t count) {
    pool->options = hd_alloc_zero(pool->mem, count * sizeof *options);
    if (!pool->options) return -1;
    pool->option_count = count;
    for (size_t i = 0; i < count; i++) {
        pool->options[i].name = hd_strdup_n(pool->mem, options[i].name, strlen(options[i].name));
        pool->options[i].value = hd_strdup_n(pool->mem, options[i].value, strlen(options[i].value));
        if (!pool->options[i].name || !pool->options[i].value) return -1;
    }
    return 0;
}

static void destroy(hd_pool *pool) {
    for (size_t i = 0; pool->options && i < pool->option_count; i++) {
        hd_free(pool->mem, (void *)(uintptr_t)pool->options[i].name);
        hd_free(pool->mem, (void *)(uintptr_t)pool->options[i].value);
    }
    hd_free(pool->mem, pool->options);
    hd_free(pool->mem, pool);
}

hd_pool *hd_pool_new(const hd_allocator *mem, const hd_driver *driver, const hd_option *options,
                     size_t count, const hd_pool_limits *limits, hd_error *err) {
    hd_pool *pool = hd_alloc_zero(mem, sizeof *pool);
    if (!pool) {
        hd_error_memory(err);
        return NULL;
    }
    pool->mem = mem;
    pool->driver = driver;
    pool->limits = *limits;
    pool->references = 1;
    pool->process = getpid();
    if (copy_options(pool, options, count) != 0) {
        destroy(pool);
        hd_error_memory(err);
        return NULL;
    }
    return pool;
}

hd_pool *hd_pool_ref(hd_pool *pool) {
    pool->references++;
    return pool;
}

/* ---- Connections ---- */

static void close_conn(hd_pool *pool, hd_conn *conn) {
    hd_cursors_lose(conn);
    pool->driver->close(conn);
}

static void discard_conn(hd_pool *pool, hd_conn *conn) {
    hd_cursors_lose(conn);
    pool->driver->discard(conn);
}

static void forget_conn(hd_pool *pool, hd_conn *conn) {
    pool->size--;
    pool->closed_count++;
    close_conn(pool, conn);
}

static hd_conn *pop_idle(hd_pool *pool) {
    hd_conn *conn = pool->idle;
    if (conn) {
        pool->idle = conn->next;
        conn->next = NULL;
        pool->idle_count--;
    }
    return conn;
}

static void close_idle(hd_pool *pool) {
    for (hd_conn *conn; (conn = pop_idle(pool));) forget_conn(pool, conn);
}

/* In a child of the process that made the connections: they are not ours to speak on, and the parent's waiters are not
 * ours to serve. */
static void check_process(hd_pool *pool) {
    pid_t process = getpid();
    if (process == pool->process) return;
    pool->process = process;
    for (hd_conn *conn; (conn = pop_idle(pool));) discard_conn(pool, conn);
    pool->first = pool->last = pool->holders = NULL;
    pool->closed_count += pool->size;
    pool->size = pool->waiting = 0;
}

/* One with cursors is in use, though nobody has it. */
static bool is_stale(const hd_pool *pool, const hd_conn *conn, hd_time now) {
    return pool->limits.max_lifetime && !conn->cursors &&
           now - conn->opened > pool->limits.max_lifetime;
}

/* The bottom of the stack is what nobody needed for longest; its top makes up `min` with what is lent. */
static void reap_idle(hd_pool *pool, hd_time now) {
    if (!pool->limits.idle_timeout) return;
    uint32_t lent = pool->size - pool->idle_count;
    uint32_t keep = pool->limits.min > lent ? pool->limits.min - lent : 0;
    for (hd_conn **at = &pool->idle; *at;) {
        hd_conn *conn = *at;
        if (keep > 0 || conn->cursors || now - conn->used <= pool->limits.idle_timeout) {
            if (keep > 0) keep--;
            at = &conn->next;
        } else {
            *at = conn->next;
            pool->idle_count--;
            forget_conn(pool, conn);
        }
    }
}

static hd_conn *take_idle(hd_pool *pool, hd_time now) {
    for (hd_conn *conn; (conn = pop_idle(pool));) {
        if (!is_stale(pool, conn, now) && pool->driver->status(conn, true) == HD_CONN_IDLE)
            return conn;
        forget_conn(pool, conn);
    }
    return NULL;
}

/* ---- Queue and holders ---- */

static void list_remove(hd_ticket **first, hd_ticket **last, hd_ticket *ticket) {
    if (ticket->prev)
        ticket->prev->next = ticket->next;
    else
        *first = ticket->next;
    if (ticket->next)
        ticket->next->prev = ticket->prev;
    else if (last)
        *last = ticket->prev;
    ticket->prev = ticket->next = NULL;
}

static void hold(hd_pool *pool, hd_ticket *ticket) {
    ticket->next = pool->holders;
    if (pool->holders) pool->holders->prev = ticket;
    pool->holders = ticket;
}

/* A descriptor is scarce; garbage may be collected late. */
static void leave_queue(hd_pool *pool, hd_ticket *ticket) {
    list_remove(&pool->first, &pool->last, ticket);
    pool->waiting--;
    hd_wake_close(&ticket->wake);
}

static hd_step enqueue(hd_pool *pool, hd_ticket *ticket, hd_error *err) {
    if (hd_wake_open(&ticket->wake) != 0) {
        hd_error_set(err, HD_E_DRIVER, "no file descriptor left to wait for a connection");
        return HD_FAILED;
    }
    ticket->prev = pool->last;
    ticket->next = NULL;
    if (pool->last)
        pool->last->next = ticket;
    else
        pool->first = ticket;
    pool->last = ticket;
    pool->waiting++;
    ticket->state = HD_TICKET_QUEUED;
    return HD_WAIT;
}

/* Hands a connection (or, with NULL, a free place) to the head of the queue. False: nobody waits. */
static bool hand_over(hd_pool *pool, hd_conn *conn) {
    hd_ticket *head = pool->first;
    while (head && (head->conn || head->granted)) head = head->next;
    if (!head) return false;
    head->conn = conn;
    head->granted = conn == NULL;
    hd_wake_raise(&head->wake);
    return true;
}

/* A place became free: `size` counts it until somebody has it. */
static void free_place(hd_pool *pool) {
    if ((pool->closed || !hand_over(pool, NULL)) && pool->size > 0) pool->size--;
}

/* ---- Tickets ---- */

void hd_ticket_init(hd_ticket *ticket, hd_pool *pool) {
    memset(ticket, 0, sizeof *ticket);
    ticket->pool = hd_pool_ref(pool);
    ticket->process = getpid();
    hd_wake_init(&ticket->wake);
}

/* The wake-up is the parent's too: closed, never lowered. */
void hd_ticket_check(hd_ticket *ticket) {
    hd_pool *pool = ticket->pool;
    check_process(pool);
    if (ticket->process == pool->process) return;
    ticket->process = pool->process;
    if (ticket->conn) discard_conn(pool, ticket->conn);
    ticket->conn = NULL;
    ticket->prev = ticket->next = NULL;
    ticket->granted = false;
    ticket->state = HD_TICKET_NEW;
    hd_wake_close(&ticket->wake);
}

void hd_ticket_free(hd_ticket *ticket) {
    if (!ticket->pool) return;
    hd_pool_give_up(ticket);
    hd_wake_close(&ticket->wake);
    hd_pool_unref(ticket->pool);
    ticket->pool = NULL;
}

static void drop_password(hd_ticket *ticket) {
    if (!ticket->password) return;
    volatile char *p = ticket->password;
    while (*p) *p++ = '\0';
    hd_free(ticket->pool->mem, ticket->password);
    ticket->password = NULL;
}

int hd_ticket_password(hd_ticket *ticket, const char *password, size_t len) {
    drop_password(ticket);
    ticket->password = hd_strdup_n(ticket->pool->mem, password, len);
    return ticket->password ? 0 : -1;
}

static hd_step lend(hd_pool *pool, hd_ticket *ticket) {
    if (ticket->state != HD_TICKET_CONNECTING) hold(pool, ticket);
    ticket->state = HD_TICKET_HELD;
    ticket->conn->next = NULL;
    pool->acquired++;
    return HD_DONE;
}

/* The place is counted in `size` already. */
static hd_step open_conn(hd_pool *pool, hd_ticket *ticket, hd_time now, hd_error *err) {
    if (pool->limits.host_password && !ticket->password) {
        ticket->state = HD_TICKET_PASSWORD;
        return HD_HOST;
    }
    const hd_services services = {HD_DRIVER_ABI, pool->mem};
    ticket->conn = pool->driver->open(&services, pool->options, pool->option_count, err);
    if (!ticket->conn) {
        ticket->state = HD_TICKET_NEW;
        free_place(pool);
        return HD_FAILED;
    }
    ticket->conn->id = ++pool->next_id;
    ticket->conn->opened = now;
    ticket->state = HD_TICKET_CONNECTING;
    ticket->deadline = pool->limits.connect_timeout ? now + pool->limits.connect_timeout : HD_NEVER;
    hold(pool, ticket);
    return HD_WAIT;
}

static hd_step connect_failed(hd_pool *pool, hd_ticket *ticket) {
    list_remove(&pool->holders, NULL, ticket);
    pool->driver->close(ticket->conn);
    ticket->conn = NULL;
    ticket->state = HD_TICKET_NEW;
    drop_password(ticket);
    free_place(pool);
    return HD_FAILED;
}

static hd_step step_connecting(hd_pool *pool, hd_ticket *ticket, hd_time now, hd_wait *wait,
                               hd_error *err) {
    hd_step step = pool->driver->connect(ticket->conn, ticket->password, wait, err);
    drop_password(ticket);
    if (step == HD_DONE) {
        pool->opened++;
        ticket->conn->fresh = true;
        ticket->conn->opened = ticket->conn->used = now;
        return lend(pool, ticket);
    }
    if (step == HD_FAILED) return connect_failed(pool, ticket);
    if (now >= ticket->deadline) {
        hd_error_set(err, HD_E_CONNECTION, "could not connect within %.3g s",
                     (double)pool->limits.connect_timeout / 1e6);
        return connect_failed(pool, ticket);
    }
    if (wait->until > ticket->deadline) wait->until = ticket->deadline;
    return HD_WAIT;
}

static hd_step queue_timeout(hd_pool *pool, hd_ticket *ticket, hd_error *err) {
    char holders[512];
    leave_queue(pool, ticket);
    ticket->state = HD_TICKET_NEW;
    pool->timeouts++;
    hd_pool_describe_holders(pool, holders, sizeof holders);
    hd_error_set(err, HD_E_POOL_TIMEOUT, "no connection became free within %.3g s; %s",
                 (double)pool->limits.acquire_timeout / 1e6, holders);
    return HD_FAILED;
}

static hd_step step_queued(hd_pool *pool, hd_ticket *ticket, hd_time now, hd_wait *wait,
                           hd_error *err) {
    if (ticket->conn || ticket->granted) {
        bool granted = ticket->granted;
        leave_queue(pool, ticket);
        ticket->granted = false;
        return granted ? open_conn(pool, ticket, now, err) : lend(pool, ticket);
    }
    if (now >= ticket->deadline) return queue_timeout(pool, ticket, err);
    wait->fd = ticket->wake.read_fd;
    wait->events = HD_READ;
    wait->until = ticket->deadline;
    return HD_WAIT;
}

static hd_step step_new(hd_pool *pool, hd_ticket *ticket, hd_time now, hd_error *err) {
    ticket->since = now;
    reap_idle(pool, now);
    ticket->conn = take_idle(pool, now);
    if (ticket->conn) return lend(pool, ticket);
    if (pool->size < pool->limits.max) {
        pool->size++;
        return open_conn(pool, ticket, now, err);
    }
    ticket->deadline = pool->limits.acquire_timeout ? now + pool->limits.acquire_timeout : HD_NEVER;
    return enqueue(pool, ticket, err);
}

hd_step hd_pool_acquire(hd_ticket *ticket, hd_wait *wait, hd_error *err) {
    hd_pool *pool = ticket->pool;
    hd_ticket_check(ticket);
    if (pool->closed) {
        hd_pool_give_up(ticket);
        hd_error_set(err, HD_E_CLOSED, "the context is closed");
        return HD_FAILED;
    }
    hd_time now = hd_now();
    hd_step step = HD_WAIT;
    if (ticket->state == HD_TICKET_NEW)
        step = step_new(pool, ticket, now, err);
    else if (ticket->state == HD_TICKET_PASSWORD)
        step = open_conn(pool, ticket, now, err);
    if (step == HD_WAIT && ticket->state == HD_TICKET_QUEUED)
        step = step_queued(pool, ticket, now, wait, err);
    if (step == HD_WAIT && ticket->state == HD_TICKET_CONNECTING)
        step = step_connecting(pool, ticket, now, wait, err);
    return step;
}

/* ---- Coming back ---- */

static void drop(hd_pool *pool, hd_conn *conn) {
    pool->closed_count++;
    close_conn(pool, conn);
    free_place(pool);
}

/* Whether it is kept depends on its state, its age and the pool. */
static void put_back(hd_pool *pool, hd_conn *conn) {
    hd_time now = hd_now();
    if (pool->closed || is_stale(pool, conn, now) ||
        pool->driver->status(conn, false) != HD_CONN_IDLE) {
        drop(pool, conn);
        return;
    }
    conn->used = now;
    if (hand_over(pool, conn)) return;
    conn->next = pool->idle;
    pool->idle = conn;
    pool->idle_count++;
}

static hd_conn *end_loan(hd_pool *pool, hd_ticket *ticket) {
    hd_conn *conn = ticket->conn;
    list_remove(&pool->holders, NULL, ticket);
    ticket->conn = NULL;
    ticket->state = HD_TICKET_NEW;
    return conn;
}

/* Handed something that it never took: that goes to the next one. */
static void give_up_waiting(hd_pool *pool, hd_ticket *ticket) {
    hd_conn *conn = ticket->conn;
    bool granted = ticket->granted;
    leave_queue(pool, ticket);
    ticket->conn = NULL;
    ticket->granted = false;
    if (conn) put_back(pool, conn);
    if (granted) free_place(pool);
}

void hd_pool_release(hd_ticket *ticket) {
    hd_pool *pool = ticket->pool;
    hd_ticket_check(ticket);
    if (ticket->state == HD_TICKET_HELD) put_back(pool, end_loan(pool, ticket));
}

void hd_pool_give_up(hd_ticket *ticket) {
    hd_pool *pool = ticket->pool;
    hd_ticket_check(ticket);
    drop_password(ticket);
    if (ticket->state == HD_TICKET_HELD)
        drop(pool, end_loan(pool, ticket));
    else if (ticket->state == HD_TICKET_CONNECTING)
        connect_failed(pool, ticket);
    else if (ticket->state == HD_TICKET_PASSWORD)
        free_place(pool);
    else if (ticket->state == HD_TICKET_QUEUED)
        give_up_waiting(pool, ticket);
    ticket->state = HD_TICKET_NEW;
}

/* ---- Whole pool ---- */

void hd_pool_close(hd_pool *pool) {
    check_process(pool);
    pool->closed = true;
    close_idle(pool);
    for (hd_ticket *t = pool->first; t; t = t->next) hd_wake_raise(&t->wake);
}

bool hd_pool_is_closed(const hd_pool *pool) {
    return pool->closed;
}

void hd_pool_unref(hd_pool *pool) {
    if (--pool->references > 0) return;
    check_process(pool);
    close_idle(pool);
    destroy(pool);
}

const hd_driver *hd_pool_driver(const hd_pool *pool) {
    return pool->driver;
}

const hd_allocator *hd_pool_allocator(const hd_pool *pool) {
    return pool->mem;
}

void hd_pool_read_stats(hd_pool *pool, hd_pool_stats *stats) {
    check_process(pool);
    stats->size = pool->size;
    stats->idle = pool->idle_count;
    stats->in_use = pool->size - pool->idle_count;
    stats->waiting = pool->waiting;
    stats->opened = pool->opened;
    stats->closed = pool->closed_count;
    stats->acquired = pool->acquired;
    stats->timeouts = pool->timeouts;
}

void hd_pool_describe_holders(hd_pool *pool, char *out, size_t cap) {
    int n = snprintf(out, cap, "%" PRIu32 " of %" PRIu32 " in use", pool->size - pool->idle_count,
                     pool->limits.max);
    const char *separator = ": ";
    for (hd_ticket *t = pool->holders; t && n > 0 && (size_t)n < cap; t = t->next) {
        n += snprintf(out + n, cap - (size_t)n, "%s%s", separator,
                      t->label ? t->label : "an operation");
        separator = "; ";
    }
}
