/* Pool. Owns its idle connections and the count of all; a lent connection belongs to its ticket until it comes
 * back. Idle connections form a stack, so that the least used ones grow old and are closed; waiting tickets a
 * queue. A free place (size < max) and a free connection are never there while a ticket waits: whoever gives
 * one back hands it to the head of the queue. A pool that wakes up in another process than the one that opened
 * its connections discards them without a word to the server: they are the parent's. */
#include "pool_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/process.h"
#include "cursor.h"
#include "rinse.h"

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
    pool->process = hd_process();
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

void hd_pool_close_conn(hd_pool *pool, hd_conn *conn) {
    hd_cursors_lose(conn);
    pool->driver->close(conn);
}

void hd_pool_discard_conn(hd_pool *pool, hd_conn *conn) {
    hd_cursors_lose(conn);
    pool->driver->discard(conn);
}

static void forget_conn(hd_pool *pool, hd_conn *conn) {
    pool->size--;
    pool->closed_count++;
    hd_pool_close_conn(pool, conn);
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
void hd_pool_check_process(hd_pool *pool) {
    pid_t process = hd_process();
    if (process == pool->process) return;
    pool->process = process;
    for (hd_conn *conn; (conn = pop_idle(pool));) hd_pool_discard_conn(pool, conn);
    pool->first = pool->last = pool->holders = NULL;
    pool->closed_count += pool->size;
    pool->size = pool->waiting = 0;
}

/* One with cursors is in use, though nobody has it. */
bool hd_pool_is_stale(const hd_pool *pool, const hd_conn *conn, hd_time now) {
    return pool->limits.max_lifetime && !conn->cursors &&
           now - conn->opened > pool->limits.max_lifetime;
}

/* The bottom of the stack is what nobody needed for longest; its top makes up `min` with what is lent. */
void hd_pool_reap_idle(hd_pool *pool, hd_time now) {
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

static void unlink_idle(hd_pool *pool, hd_conn **at) {
    hd_conn *conn = *at;
    *at = conn->next;
    conn->next = NULL;
    pool->idle_count--;
}

void hd_pool_push_idle(hd_pool *pool, hd_conn *conn) {
    conn->next = pool->idle;
    pool->idle = conn;
    pool->idle_count++;
}

static bool is_rinsing(hd_conn *conn) {
    hd_wait wait;
    return hd_rinse_step(conn, &wait) == HD_WAIT;
}

/* What rinses still is passed over: the one that began first is met last. */
hd_conn *hd_pool_take_idle(hd_pool *pool, hd_time now) {
    hd_conn **rinsing = NULL;
    for (hd_conn **at = &pool->idle; *at;) {
        hd_conn *conn = *at;
        bool is_old = hd_pool_is_stale(pool, conn, now);
        if (!is_old && is_rinsing(conn)) {
            rinsing = at;
            at = &conn->next;
            continue;
        }
        unlink_idle(pool, at);
        if (!is_old && pool->driver->status(conn, true) == HD_CONN_IDLE) return conn;
        forget_conn(pool, conn);
    }
    if (!rinsing) return NULL;
    hd_conn *conn = *rinsing;
    unlink_idle(pool, rinsing);
    return conn;
}

/* ---- Whole pool ---- */

void hd_pool_close(hd_pool *pool) {
    hd_pool_check_process(pool);
    pool->closed = true;
    close_idle(pool);
    for (hd_ticket *t = pool->first; t; t = t->next) hd_wake_raise(&t->wake);
}

bool hd_pool_is_closed(const hd_pool *pool) {
    return pool->closed;
}

void hd_pool_unref(hd_pool *pool) {
    if (--pool->references > 0) return;
    hd_pool_check_process(pool);
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
    hd_pool_check_process(pool);
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
