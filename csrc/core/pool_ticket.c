/* Who gets a connection. Waiting tickets form a queue; a free place (size < max) and a free connection are never there
 * while a ticket waits: whoever gives one back hands it to the head of the queue. A connection that is rinsing is lent
 * when the database has answered; where that takes too long, or goes wrong, another one is opened in its place. */
#include "pool_parts.h"

#include <string.h>

#include "base/process.h"
#include "rinse.h"

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
    ticket->process = hd_process();
    hd_wake_init(&ticket->wake);
}

/* The wake-up is the parent's too: closed, never lowered. */
void hd_ticket_check(hd_ticket *ticket) {
    hd_pool *pool = ticket->pool;
    hd_pool_check_process(pool);
    if (ticket->process == pool->process) return;
    ticket->process = pool->process;
    if (ticket->conn) hd_pool_discard_conn(pool, ticket->conn);
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

static bool is_held(const hd_ticket *ticket) {
    return ticket->state == HD_TICKET_CONNECTING || ticket->state == HD_TICKET_RINSING;
}

/* The ticket has a connection that nobody else has. */
static hd_step lend(hd_pool *pool, hd_ticket *ticket) {
    if (!is_held(ticket)) hold(pool, ticket);
    ticket->state = ticket->conn->rinse.runs ? HD_TICKET_RINSING : HD_TICKET_HELD;
    if (ticket->state == HD_TICKET_RINSING) return HD_WAIT;
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

static hd_conn *end_loan(hd_pool *pool, hd_ticket *ticket) {
    hd_conn *conn = ticket->conn;
    list_remove(&pool->holders, NULL, ticket);
    ticket->conn = NULL;
    ticket->state = HD_TICKET_NEW;
    return conn;
}

/* What could not be rinsed leaves its place. */
static hd_step step_rinsing(hd_pool *pool, hd_ticket *ticket, hd_time now, hd_wait *wait,
                            hd_error *err) {
    hd_step step = hd_rinse_step(ticket->conn, wait);
    if (step == HD_WAIT) return step;
    if (step == HD_DONE) return lend(pool, ticket);
    hd_conn *conn = end_loan(pool, ticket);
    pool->closed_count++;
    hd_pool_close_conn(pool, conn);
    return open_conn(pool, ticket, now, err);
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
    hd_pool_reap_idle(pool, now);
    ticket->conn = hd_pool_take_idle(pool, now);
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
    if (step == HD_WAIT && ticket->state == HD_TICKET_RINSING)
        step = step_rinsing(pool, ticket, now, wait, err);
    if (step == HD_WAIT && ticket->state == HD_TICKET_CONNECTING)
        step = step_connecting(pool, ticket, now, wait, err);
    return step;
}

/* ---- Coming back ---- */

static void drop(hd_pool *pool, hd_conn *conn) {
    pool->closed_count++;
    hd_pool_close_conn(pool, conn);
    free_place(pool);
}

/* Whether it is kept depends on its state, its age and the pool. */
static void put_back(hd_pool *pool, hd_conn *conn) {
    hd_time now = hd_now();
    bool comes_to_rest = conn->rinse.runs || pool->driver->status(conn, false) == HD_CONN_IDLE;
    if (pool->closed || !comes_to_rest || hd_pool_is_stale(pool, conn, now)) {
        drop(pool, conn);
        return;
    }
    conn->used = now;
    if (!hand_over(pool, conn)) hd_pool_push_idle(pool, conn);
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
    else if (ticket->state == HD_TICKET_RINSING)
        put_back(pool, end_loan(pool, ticket));
    else if (ticket->state == HD_TICKET_CONNECTING)
        connect_failed(pool, ticket);
    else if (ticket->state == HD_TICKET_PASSWORD)
        free_place(pool);
    else if (ticket->state == HD_TICKET_QUEUED)
        give_up_waiting(pool, ticket);
    ticket->state = HD_TICKET_NEW;
}
