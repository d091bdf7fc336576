/* Cursors stand in a list of their connection: whoever ends the connection finds them all, and a pool sees that
 * it must not let go of it. A record there outlives its owner when the server still has to be told (`closing`): that
 * waits for the next statement of the transaction, since giving a cursor up must not wait for anything. It may
 * wait as long as it likes, since the name is not used again meanwhile and the end of the transaction tells the
 * server as well.
 *
 * The texts are run unnamed. Planning happens at DECLARE in any case, so that a prepared text would save its parsing
 * and nothing else, and could go stale. */
#include "cursor.h"

#include <stdio.h>
#include <string.h>

#include "link_parts.h"

static const char gone[] = "the cursor is not open any more";

struct hd_cursor {
    const hd_allocator *mem;
    hd_link *link;   /* that reads it now, or whose transaction it is part of; NULL: none */
    hd_conn *conn;   /* in whose list it stands, NULL: none */
    hd_cursor *next; /* there */
    uint32_t number; /* of its name */
    uint32_t depth;  /* of transactions that it was opened in */
    uint32_t wanted; /* rows of the operation */
    uint8_t why;
    bool reads;   /* an operation of its own runs */
    bool opens;   /* which is the first */
    bool more;    /* there may be */
    bool closing; /* its owner is gone; it goes with its operation, or when the server was told */
    bool told;    /* the running operation does */
};

hd_cursor *hd_cursor_new(const hd_allocator *mem) {
    hd_cursor *c = hd_alloc_zero(mem, sizeof *c);
    if (!c) return NULL;
    c->mem = mem;
    c->more = true;
    return c;
}

bool hd_cursor_has_more(const hd_cursor *c) {
    return c->more;
}

hd_cursor_why hd_cursor_end(const hd_cursor *c) {
    return (hd_cursor_why)c->why;
}

/* ---- On the connection ---- */

static void attach(hd_cursor *c, hd_conn *conn) {
    c->conn = conn;
    c->next = conn->cursors;
    conn->cursors = c;
}

static hd_conn *detach(hd_cursor *c) {
    hd_conn *conn = c->conn;
    hd_cursor **at = &conn->cursors;
    while (*at != c) at = &(*at)->next;
    *at = c->next;
    c->conn = NULL;
    return conn;
}

static bool is_of_sql(const hd_driver *driver) {
    return driver->close_cursor == NULL;
}

/* Nobody but its owner knows it any more. */
static void leave(hd_cursor *c, hd_cursor_why why) {
    if (c->why == HD_CURSOR_GOES_ON) c->why = (uint8_t)why;
    c->more = false;
    c->link = NULL;
    if (c->closing && !c->reads) hd_free(c->mem, c);
}

/* The database has nothing of it, or needs not wait to hear that it is over. */
static void end(hd_cursor *c, hd_cursor_why why) {
    hd_conn *conn = c->conn ? detach(c) : NULL;
    if (conn && !is_of_sql(conn->driver)) conn->driver->close_cursor(conn, c);
    leave(c, why);
}

void hd_cursor_free(hd_cursor *c) {
    c->closing = true;
    if (c->reads || (c->conn && is_of_sql(c->conn->driver))) return;
    end(c, HD_CURSOR_OUTLIVED);
}

void hd_cursors_lose(hd_conn *conn) {
    while (conn->cursors) {
        hd_cursor *c = conn->cursors;
        detach(c);
        leave(c, HD_CURSOR_LOST);
    }
}

/* ---- In its transaction ---- */

void hd_cursors_end(hd_link *link, uint32_t depth) {
    hd_conn *conn = hd_link_conn(link);
    for (hd_cursor *c = conn ? conn->cursors : NULL, *next; c; c = next) {
        next = c->next;
        if (c->link == link && c->depth >= depth) end(c, HD_CURSOR_OUTLIVED);
    }
}

void hd_cursors_release(hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    for (hd_cursor *c = conn ? conn->cursors : NULL; c; c = c->next) {
        if (c->link == link && c->depth == link->depth) c->depth--;
    }
}

/* ---- Closing ---- */

static bool is_due(const hd_cursor *c) {
    return c->closing && !c->reads;
}

uint32_t hd_cursors_closing(const hd_link *link) {
    hd_conn *conn = hd_link_conn(link);
    uint32_t count = 0;
    for (const hd_cursor *c = conn ? conn->cursors : NULL; c; c = c->next) count += is_due(c);
    return count;
}

int hd_cursors_write_closing(hd_link *link, hd_statement *out) {
    hd_conn *conn = hd_link_conn(link);
    for (hd_cursor *c = conn ? conn->cursors : NULL; c; c = c->next) {
        char text[32];
        c->told = is_due(c);
        if (!c->told) continue;
        snprintf(text, sizeof text, "CLOSE hd_c%u", c->number);
        char *copy = hd_arena_copy(&link->arena, text, strlen(text) + 1);
        if (!copy) return -1;
        hd_link_control(out++, copy, false);
    }
    return 0;
}

void hd_cursors_closed(hd_link *link, uint32_t count) {
    hd_conn *conn = hd_link_conn(link);
    for (hd_cursor *c = conn ? conn->cursors : NULL, *next; c; c = next) {
        next = c->next;
        if (c->told && count > 0) {
            count--;
            end(c, HD_CURSOR_OUTLIVED);
        } else {
            c->told = false;
        }
    }
}

/* ---- Reading ---- */

/* The least that no other cursor of the connection has, so that texts are few. */
static uint32_t free_number(const hd_conn *conn) {
    uint32_t number = 1;
    for (const hd_cursor *c = conn ? conn->cursors : NULL; c;) {
        bool taken = c->number == number;
        number += taken;
        c = taken ? conn->cursors : c->next;
    }
    return number;
}

static int declare(hd_link *link, const hd_statement *query, uint32_t number, hd_statement *out) {
    char before[64];
    size_t len =
        (size_t)snprintf(before, sizeof before, "DECLARE hd_c%u NO SCROLL CURSOR FOR ", number);
    char *text = hd_arena_alloc(&link->arena, len + query->sql_len + 1);
    if (!text) return -1;
    memcpy(text, before, len);
    memcpy(text + len, query->sql, query->sql_len);
    text[len + query->sql_len] = '\0';
    hd_link_control(out, text, false);
    out->params = query->params;
    out->param_count = query->param_count;
    return 0;
}

static int fetch(hd_link *link, const hd_statement *query, uint32_t number, uint32_t count,
                 hd_statement *out) {
    char text[64];
    snprintf(text, sizeof text, "FETCH FORWARD %u FROM hd_c%u", count, number);
    char *copy = hd_arena_copy(&link->arena, text, strlen(text) + 1);
    if (!copy) return -1;
    hd_link_control(out, copy, false);
    out->types = query->types;
    out->type_count = query->type_count;
    return 0;
}

static int write_sql(hd_cursor *c, hd_link *link, const hd_statement *query, hd_batch *batch) {
    hd_statement *at = batch->statements;
    if (c->opens) {
        c->number = free_number(hd_link_conn(link));
        if (declare(link, query, c->number, at++) != 0) return -1;
    }
    batch->count = c->opens ? 2 : 1;
    return fetch(link, query, c->number, c->wanted, at);
}

static void write_own(hd_cursor *c, const hd_statement *query, hd_batch *batch) {
    hd_statement *s = batch->statements;
    *s = *query;
    s->cache = false;
    s->cursor = c;
    s->limit = c->wanted;
    s->opens = c->opens;
    batch->count = 1;
}

/* What reads on, in the link's arena. NULL: out of memory. */
static const hd_batch *make_batch(hd_cursor *c, hd_link *link, const hd_statement *query) {
    hd_batch *batch = hd_arena_zero(&link->arena, sizeof *batch);
    if (!batch) return NULL;
    batch->statements = hd_arena_zero(&link->arena, 2 * sizeof *batch->statements);
    if (!batch->statements) return NULL;
    if (is_of_sql(hd_pool_driver(link->pool)))
        return write_sql(c, link, query, batch) == 0 ? batch : NULL;
    write_own(c, query, batch);
    return batch;
}

hd_error_kind hd_cursor_fetch(hd_cursor *c, hd_link *link, const hd_statement *query,
                              uint32_t count, hd_time deadline) {
    if (link->state != HD_LINK_IDLE || c->reads)
        return hd_error_set(&link->error, HD_E_BUSY, "an operation is running on this connection");
    if (!c->more) return hd_error_set(&link->error, HD_E_CLOSED, "%s", gone);
    c->wanted = count;
    c->opens = c->conn == NULL;
    const hd_batch *batch = make_batch(c, link, query);
    if (!batch) return hd_error_memory(&link->error);
    hd_error_kind kind = hd_link_run(link, batch, 0, deadline);
    if (kind != HD_OK) return kind;
    c->reads = true;
    c->link = link;
    link->cursor = c;
    return HD_OK;
}

/* Does the database have a cursor that was to be opened by this operation? */
static bool was_opened(const hd_cursor *c, const hd_link *link, const hd_conn *conn, bool done) {
    if (!c->opens || !conn || c->why != HD_CURSOR_GOES_ON) return false;
    if (done) return true;
    return is_of_sql(conn->driver) && link->run && link->run[link->prefix_count].affected >= 0;
}

static int64_t rows_given(const hd_link *link) {
    return link->run[link->prefix_count + link->batch->count - 1].affected;
}

/* The program, or a server that was told to, has closed the cursor. */
static void read_closed(hd_error *err) {
    if (strcmp(err->sqlstate, "34000") != 0) return;
    err->kind = HD_E_CLOSED;
    hd_error_text(err, &err->message, gone, strlen(gone));
}

/* The link still has its connection and its batch. */
void hd_cursor_ran(hd_link *link, bool done) {
    hd_cursor *c = link->cursor;
    hd_conn *conn = hd_link_conn(link);
    if (!c) return;
    link->cursor = NULL;
    c->reads = false;
    if (was_opened(c, link, conn, done)) {
        c->depth = link->depth;
        attach(c, conn);
    }
    if (c->depth == 0) c->link = NULL;
    if (!done) read_closed(&link->error);
    c->more = done && rows_given(link) >= c->wanted;
    if (!done && c->why == HD_CURSOR_GOES_ON) c->why = HD_CURSOR_FAILED;
    if (!c->conn || (!done && !is_of_sql(c->conn->driver)))
        end(c, HD_CURSOR_FAILED);
    else if (c->closing)
        hd_cursor_free(c);
}
