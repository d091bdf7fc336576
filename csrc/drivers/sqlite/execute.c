/* The running batch: statements in order, each `repeat` times over consecutive groups of
 * parameters.
 *
 * A step runs until there is a row to show, a lock to wait for, a failure, or the end. Whatever
 * stops it leaves `at`, `execution` and `reading` saying exactly what comes next: a statement that
 * met a lock is reset and the same execution is run again by the next step. Once rows of an
 * execution were shown it cannot be run again, and a lock is then a failure. When the batch ends no
 * statement is left active, so that no lock outlives it, but for those of cursors. */
#include <string.h>

#include "conn.h"

static uint32_t repeats(const hd_statement *s) {
    return s->repeat ? s->repeat : 1;
}

static const hd_value *params_of(hd_sqlite_conn *conn, const hd_statement *s) {
    return s->param_count ? s->params + (size_t)conn->execution * s->param_count : NULL;
}

/* ---- CHECK constraints ---- */

static int read_flag(void *flag, int count, char **values, char **names) {
    (void)count, (void)names;
    *(bool *)flag = values[0] && values[0][0] == '1';
    return 0;
}

/* SQLite prepares a statement again when the pragma has changed, so a text that is kept obeys what
 * holds when it runs. Whoever has switched the checks off for good finds them so. */
static int confine(hd_sqlite_conn *conn, bool unconfined) {
    if (conn->unconfined == unconfined) return SQLITE_OK;
    bool off = false;
    int code = SQLITE_OK;
    if (unconfined)
        code = sqlite3_exec(conn->db, "PRAGMA ignore_check_constraints", read_flag, &off, NULL);
    if (code != SQLITE_OK || off) return code;
    code = sqlite3_exec(conn->db,
                        unconfined ? "PRAGMA ignore_check_constraints = 1"
                                   : "PRAGMA ignore_check_constraints = 0",
                        NULL, NULL, NULL);
    if (code == SQLITE_OK) conn->unconfined = unconfined;
    return code;
}

/* ---- one statement ---- */

static void end_statement(hd_sqlite_conn *conn) {
    if (conn->fetching) hd_sqlite_cursor_leave(conn, false);
    hd_sqlite_prepared *p = conn->current;
    conn->current = NULL;
    conn->execution = 0;
    conn->ahead = 0;
    conn->reading = false;
    conn->busy.deadline = 0;
    if (p) {
        sqlite3_reset(p->stmt);
        hd_sqlite_release(conn, p);
    }
    if (conn->script) hd_sqlite_script_end(conn);
}

static int check_touched(hd_sqlite_conn *conn, const hd_statement *s, int64_t touched,
                         hd_error *err) {
    int64_t expect = s->walk ? s->expect * repeats(s) : s->expect;
    conn->busy.deadline = 0;
    if (s->expect < 0 || touched == expect) return SQLITE_OK;
    hd_error_set(err, HD_E_OPTIMISTIC_LOCK, "a statement touched %lld rows, not %lld",
                 (long long)touched, (long long)expect);
    return HD_SQLITE_REFUSED;
}

static int run_once(hd_sqlite_conn *conn, hd_statement *s, sqlite3_stmt *stmt, hd_error *err) {
    int code = s->walk ? hd_sqlite_give(conn, s, stmt)
                       : hd_sqlite_bind(conn, stmt, params_of(conn, s), s->param_count, false, err);
    if (code != SQLITE_OK) return code;
    code = sqlite3_step(stmt);
    if (s->walk) hd_sqlite_take_back(conn, s);
    return code;
}

/* Statements without rows: nothing between two executions but what must be. sqlite3_changes alone
 * would not do, it keeps the number of the last INSERT, UPDATE or DELETE through all others. */
static int run_quiet(hd_sqlite_conn *conn, hd_statement *s, hd_sqlite_prepared *p, hd_error *err) {
    sqlite3 *db = conn->db;
    uint32_t end = s->walk ? 1 : repeats(s);
    for (int before = sqlite3_total_changes(db); conn->execution < end; conn->execution++) {
        if (hd_sqlite_is_over(conn)) return SQLITE_INTERRUPT;
        int code = run_once(conn, s, p->stmt, err);
        if (code != SQLITE_DONE) return code;
        sqlite3_reset(p->stmt);
        int made = sqlite3_total_changes(db) - before;
        int touched = made ? sqlite3_changes(db) : 0;
        before += made;
        s->affected += touched;
        s->besides += made - touched;
        code = check_touched(conn, s, touched, err);
        if (code != SQLITE_OK) return code;
    }
    return SQLITE_DONE;
}

/* After the first step, because that one may have prepared the statement again. */
static int begin_reading(hd_sqlite_conn *conn, const hd_statement *s, hd_sqlite_prepared *p) {
    conn->reading = true;
    conn->rows = 0;
    conn->base.row.statement = conn->at;
    conn->base.row.execution = conn->execution;
    int code = hd_sqlite_lend_names(conn, p);
    return code == SQLITE_OK ? hd_sqlite_columns(conn, p->columns, s) : code;
}

static int end_reading(hd_sqlite_conn *conn, hd_statement *s, hd_sqlite_prepared *p,
                       hd_error *err) {
    sqlite3_reset(p->stmt);
    conn->reading = false;
    s->affected += conn->rows;
    int code = check_touched(conn, s, conn->rows, err);
    if (code == SQLITE_OK) conn->execution++;
    return code;
}

static int run_rows(hd_sqlite_conn *conn, hd_statement *s, hd_sqlite_prepared *p, hd_error *err) {
    while (conn->execution < repeats(s)) {
        int code = SQLITE_OK;
        if (!conn->reading) {
            if (hd_sqlite_is_over(conn)) return SQLITE_INTERRUPT;
            code = hd_sqlite_bind(conn, p->stmt, params_of(conn, s), s->param_count, false, err);
            if (code != SQLITE_OK) return code;
        }
        int stepped = conn->ahead ? conn->ahead : sqlite3_step(p->stmt);
        conn->ahead = 0;
        if (stepped != SQLITE_ROW && stepped != SQLITE_DONE) return stepped;
        if (!conn->reading) code = begin_reading(conn, s, p);
        if (code == SQLITE_OK && stepped == SQLITE_ROW) {
            conn->rows++;
            code = hd_sqlite_read_row(conn, p->stmt);
            return code == SQLITE_OK ? SQLITE_ROW : code;
        }
        if (code == SQLITE_OK) code = end_reading(conn, s, p, err);
        if (code != SQLITE_OK) return code;
    }
    return SQLITE_DONE;
}

/* Behind the last row that is wanted the statement stays where it is. */
static int run_cursor(hd_sqlite_conn *conn, hd_statement *s, hd_error *err) {
    hd_sqlite_cursor *c = conn->fetching;
    hd_sqlite_prepared *p = c->prepared;
    int code = SQLITE_OK;
    if (conn->reading && conn->rows == s->limit) {
        s->affected = conn->rows;
        return SQLITE_DONE;
    }
    if (!c->bound) code = hd_sqlite_bind(conn, p->stmt, s->params, s->param_count, true, err);
    if (code != SQLITE_OK) return code;
    c->bound = true;
    int stepped = sqlite3_step(p->stmt);
    if (stepped != SQLITE_ROW && stepped != SQLITE_DONE) return stepped;
    c->begun = true;
    if (!conn->reading) code = begin_reading(conn, s, p);
    if (code != SQLITE_OK) return code;
    if (stepped == SQLITE_ROW) {
        conn->rows++;
        code = hd_sqlite_read_row(conn, p->stmt);
        return code == SQLITE_OK ? SQLITE_ROW : code;
    }
    c->ended = true;
    s->affected = conn->rows;
    return SQLITE_DONE;
}

static int begin_statement(hd_sqlite_conn *conn, hd_statement *s, hd_error *err) {
    hd_sqlite_prepared *p = NULL;
    if (s->cursor) return hd_sqlite_cursor_enter(conn, s, err);
    int code = hd_sqlite_prepare(conn, s, &p, err);
    if (code != SQLITE_OK) return code;
    conn->current = p;
    if (p->writes) hd_sqlite_put_aside(conn);
    hd_sqlite_limit_write(conn, p->stmt);
    if (p->params == (s->walk ? 2 : s->param_count)) return SQLITE_OK;
    hd_error_set(err, HD_E_VALIDATION, "the statement has %u parameters, %u values were given",
                 p->params, s->param_count);
    return HD_SQLITE_REFUSED;
}

/* SQLITE_ROW, SQLITE_DONE, or what stopped it. */
static int run(hd_sqlite_conn *conn, hd_statement *s, hd_error *err) {
    if (s->affected < 0) {
        int code = confine(conn, s->unconfined);
        if (code != SQLITE_OK) return code;
        s->affected = 0;
        s->sent = !s->cursor || s->opens;
        conn->began = hd_now();
        hd_sqlite_limit_statement(conn, conn->began);
    }
    if (s->simple) {
        hd_sqlite_put_aside(conn);
        return hd_sqlite_script(conn, s, err);
    }
    if (!conn->current) {
        int code = begin_statement(conn, s, err);
        if (code != SQLITE_OK) return code;
    }
    hd_sqlite_prepared *p = conn->current;
    if (!p->stmt) return SQLITE_DONE;
    if (conn->fetching) return run_cursor(conn, s, err);
    return p->columns ? run_rows(conn, s, p, err) : run_quiet(conn, s, p, err);
}

/* ---- the batch ---- */

static void end_batch(hd_sqlite_conn *conn) {
    conn->running = false;
    end_statement(conn);
    confine(conn, false);
    hd_sqlite_limit_end(conn);
}

/* Of a script the piece that failed, or what begins with it when that could not be prepared. */
static void name_text(hd_sqlite_conn *conn, const hd_statement *s, hd_error *err) {
    const char *piece = conn->piece ? sqlite3_sql(conn->piece) : conn->script_at;
    if (conn->script && piece)
        hd_error_text(err, &err->sql, piece, strlen(piece));
    else
        hd_error_text(err, &err->sql, s->sql, s->sql_len);
}

static hd_step fail(hd_sqlite_conn *conn, int code, hd_error *err) {
    hd_statement *s = &conn->statements[conn->at];
    bool preparing = !conn->current && !conn->piece;
    if (code != HD_SQLITE_REFUSED) hd_sqlite_error(conn, code, preparing, err);
    if (err->kind == HD_E_CANCELED) hd_sqlite_limit_error(conn, err);
    err->statement = (int32_t)conn->at;
    err->row = conn->execution;
    name_text(conn, s, err);
    s->elapsed = hd_now() - conn->began;
    end_batch(conn);
    return HD_FAILED;
}

static hd_step wait_for_lock(hd_sqlite_conn *conn, int code, hd_wait *wait, hd_error *err) {
    if (conn->reading || (conn->fetching && conn->fetching->begun)) {
        hd_error_set(err, HD_E_LOCK_TIMEOUT,
                     "the database was locked by another connection between two rows");
        err->native = code;
        return fail(conn, HD_SQLITE_REFUSED, err);
    }
    if (conn->current) sqlite3_reset(conn->current->stmt);
    if (hd_sqlite_is_over(conn)) return fail(conn, SQLITE_INTERRUPT, err);
    hd_step step = hd_sqlite_wait(conn, wait, err);
    if (step != HD_WAIT) return fail(conn, HD_SQLITE_REFUSED, err);
    if (wait->until > conn->limit.until) wait->until = conn->limit.until;
    return HD_WAIT;
}

static bool is_read_only(const hd_statement *s) {
    return s->sql_len == sizeof HD_SQLITE_READ_ONLY - 1 &&
           memcmp(s->sql, HD_SQLITE_READ_ONLY, s->sql_len) == 0;
}

static void finish(hd_sqlite_conn *conn, hd_statement *s) {
    if (conn->current && conn->current->insert && s->affected > 0) {
        s->last_id = sqlite3_last_insert_rowid(conn->db);
    }
    s->elapsed = hd_now() - conn->began;
    if (is_read_only(s)) conn->read_only = true;
    if (conn->fetching) hd_sqlite_cursor_leave(conn, true);
    end_statement(conn);
}

/* The next user of the connection may write again. */
static void leave_read_only(hd_sqlite_conn *conn) {
    if (!conn->read_only || !sqlite3_get_autocommit(conn->db)) return;
    sqlite3_exec(conn->db, "PRAGMA query_only = 0", NULL, NULL, NULL);
    conn->read_only = false;
}

/* Whether a COMMIT would fail now: foreign keys are broken whose check was put off. */
static bool is_unsettled(hd_sqlite_conn *conn) {
    int broken = 0, most = 0;
    sqlite3_db_status(conn->db, SQLITE_DBSTATUS_DEFERRED_FKS, &broken, &most, 0);
    return broken > 0;
}

static int take_flag(void *flag, int count, char **values, char **names) {
    (void)names;
    *(bool *)flag = count > 0 && values[0] && values[0][0] == '1';
    return 0;
}

/* Whether every check was put off in this transaction. Otherwise those that are open are of foreign
 * keys that the schema itself defers, which may stay broken until COMMIT. */
static bool is_deferring(hd_sqlite_conn *conn) {
    bool deferring = false;
    sqlite3_exec(conn->db, "PRAGMA defer_foreign_keys", take_flag, &deferring, NULL);
    return deferring;
}

/* No single statement is to blame. */
static hd_step fail_unsettled(hd_sqlite_conn *conn, hd_error *err) {
    hd_sqlite_broken_reference(err);
    err->native = SQLITE_CONSTRAINT_FOREIGNKEY;
    fail(conn, HD_SQLITE_REFUSED, err);
    err->statement = -1;
    return HD_FAILED;
}

hd_error_kind hd_sqlite_start(hd_conn *base, hd_statement *statements, uint32_t count,
                              hd_error *err) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    if (!conn->db) return hd_error_set(err, HD_E_CLOSED, "the connection is closed");
    if (conn->running) return hd_error_set(err, HD_E_BUSY, "the connection is running a batch");
    hd_sqlite_forget_names(conn);
    leave_read_only(conn);
    for (uint32_t i = 0; i < count; i++) {
        statements[i].affected = -1;
        statements[i].last_id = statements[i].besides = statements[i].elapsed = 0;
        statements[i].sent = statements[i].strayed = false;
    }
    conn->statements = statements;
    conn->count = count;
    conn->at = 0;
    conn->running = true;
    conn->unsettled = is_unsettled(conn);
    hd_sqlite_limit_batch(conn);
    atomic_store(&conn->canceled, false);
    return HD_OK;
}

static int run_on(hd_sqlite_conn *conn, hd_error *err) {
    atomic_store(&conn->stepping, true);
    int code = atomic_load(&conn->canceled) ? SQLITE_INTERRUPT
                                            : run(conn, &conn->statements[conn->at], err);
    atomic_store(&conn->stepping, false);
    return code;
}

hd_step hd_sqlite_step(hd_conn *base, hd_wait *wait, hd_error *err) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    while (conn->running && conn->at < conn->count) {
        int code = run_on(conn, err);
        if (code == SQLITE_ROW) return HD_ROW;
        if (hd_sqlite_is_busy(code)) return wait_for_lock(conn, code, wait, err);
        if (code != SQLITE_DONE) return fail(conn, code, err);
        bool settles = conn->statements[conn->at].settles && !conn->unsettled;
        if (settles && is_unsettled(conn) && is_deferring(conn)) return fail_unsettled(conn, err);
        finish(conn, &conn->statements[conn->at]);
        conn->at++;
    }
    end_batch(conn);
    return HD_DONE;
}

bool hd_sqlite_next(hd_conn *base) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    if (!conn->reading || conn->fetching || conn->ahead || !conn->current) return false;
    atomic_store_explicit(&conn->stepping, true, memory_order_relaxed);
    int code = atomic_load(&conn->canceled) ? SQLITE_INTERRUPT : sqlite3_step(conn->current->stmt);
    atomic_store_explicit(&conn->stepping, false, memory_order_relaxed);
    if (code == SQLITE_ROW) code = hd_sqlite_read_row(conn, conn->current->stmt);
    conn->rows += code == SQLITE_OK;
    conn->ahead = code;
    return code == SQLITE_OK;
}

void hd_sqlite_abandon(hd_conn *base) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    if (conn->running && conn->at < conn->count && conn->statements[conn->at].sent)
        conn->statements[conn->at].elapsed = hd_now() - conn->began;
    end_batch(conn);
}
