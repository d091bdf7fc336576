/* Cursors: statements that stay open between batches, each known by an address of its owner's.
 *
 * An open statement reads what there was when it began, as far as other connections go: it holds a
 * read transaction. What its own connection writes it might show or not, row by row; so before the
 * connection writes, the rest of its rows is put aside (aside.c). With them it depends on nothing any
 * more, neither on the transaction nor on the table.
 *
 * A cursor's statement is never in the cache, since the same text may be wanted meanwhile. */
#include "conn.h"

static hd_sqlite_cursor *find(const hd_sqlite_conn *conn, const void *name) {
    hd_sqlite_cursor *c = conn->cursors;
    while (c && c->name != name) c = c->next;
    return c;
}

static void unlink_cursor(hd_sqlite_conn *conn, hd_sqlite_cursor *c) {
    hd_sqlite_cursor **at = &conn->cursors;
    while (*at != c) at = &(*at)->next;
    *at = c->next;
    c->prepared->held = false;
}

/* The statement is reset first, because it may go on living for its column names. */
static void destroy(hd_sqlite_conn *conn, hd_sqlite_cursor *c) {
    hd_sqlite_prepared *p = c->prepared;
    unlink_cursor(conn, c);
    sqlite3_reset(p->stmt);
    hd_sqlite_release(conn, p);
    sqlite3_close_v2(c->aside);
    hd_free(conn->base.mem, c);
}

static int refuse(hd_error *err, hd_error_kind kind, const char *message) {
    hd_error_set(err, kind, "%s", message);
    return HD_SQLITE_REFUSED;
}

static int check(const hd_statement *s, const hd_sqlite_prepared *p, hd_error *err) {
    if (!p->columns || p->writes)
        return refuse(err, HD_E_UNSUPPORTED, "only a query that writes nothing can be a cursor");
    if (p->params == s->param_count) return SQLITE_OK;
    hd_error_set(err, HD_E_VALIDATION, "the statement has %u parameters, %u values were given",
                 p->params, s->param_count);
    return HD_SQLITE_REFUSED;
}

static int open_cursor(hd_sqlite_conn *conn, const hd_statement *s, hd_error *err) {
    hd_statement once = *s;
    hd_sqlite_prepared *p = NULL;
    once.cache = false;
    int code = hd_sqlite_prepare(conn, &once, &p, err);
    if (code != SQLITE_OK) return code;
    code = check(s, p, err);
    hd_sqlite_cursor *c = code == SQLITE_OK ? hd_alloc_zero(conn->base.mem, sizeof *c) : NULL;
    if (!c) {
        hd_sqlite_release(conn, p);
        return code == SQLITE_OK ? SQLITE_NOMEM : code;
    }
    p->held = true;
    c->name = s->cursor;
    c->prepared = p;
    c->next = conn->cursors;
    conn->cursors = c;
    conn->fetching = c;
    conn->current = p;
    return SQLITE_OK;
}

int hd_sqlite_cursor_enter(hd_sqlite_conn *conn, const hd_statement *s, hd_error *err) {
    hd_sqlite_cursor *c = find(conn, s->cursor);
    if (s->opens) {
        if (c) destroy(conn, c);
        return open_cursor(conn, s, err);
    }
    if (!c) return refuse(err, HD_E_CLOSED, "the cursor is not open any more");
    conn->fetching = c;
    conn->current = c->prepared;
    int primary = c->code & 0xff;
    if (primary == SQLITE_OK || primary == SQLITE_NOMEM || primary == SQLITE_INTERRUPT)
        return c->code;
    hd_error_set(err, HD_E_DRIVER,
                 "the rest of the rows could not be put aside when the connection was going to "
                 "write: %s",
                 sqlite3_errstr(c->code));
    err->native = c->code;
    return HD_SQLITE_REFUSED;
}

void hd_sqlite_cursor_leave(hd_sqlite_conn *conn, bool goes_on) {
    hd_sqlite_cursor *c = conn->fetching;
    conn->fetching = NULL;
    conn->current = NULL;
    if (!goes_on || c->ended) destroy(conn, c);
}

void hd_sqlite_cursor_close(hd_conn *base, const void *name) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    hd_sqlite_cursor *c = find(conn, name);
    if (c && c != conn->fetching) destroy(conn, c);
}

/* What lends its names, or runs, the cache frees. */
static void discard_cursor(hd_sqlite_conn *conn, hd_sqlite_cursor *c) {
    hd_sqlite_prepared *p = c->prepared;
    unlink_cursor(conn, c);
    if (p != conn->named && p != conn->current) hd_sqlite_prepared_free(conn, p, true);
    hd_free(conn->base.mem, c);
}

void hd_sqlite_cursors_close(hd_sqlite_conn *conn, bool discard) {
    conn->fetching = NULL;
    while (conn->cursors) {
        if (discard)
            discard_cursor(conn, conn->cursors);
        else
            destroy(conn, conn->cursors);
    }
}
