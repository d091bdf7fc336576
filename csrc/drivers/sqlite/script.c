/* A script: statements in one text, run one after the other. It is copied once with a NUL at its
 * end, because SQLite would otherwise copy the rest of the text for each statement in it. The piece
 * that meets a lock stays prepared and is run again by the next step. */
#include <limits.h>
#include <string.h>

#include "conn.h"

static int begin(hd_sqlite_conn *conn, const hd_statement *s, hd_error *err) {
    if (s->sql_len >= INT_MAX) return SQLITE_TOOBIG;
    if (s->param_count > 0) {
        hd_error_set(err, HD_E_VALIDATION, "a script takes no parameters");
        return HD_SQLITE_REFUSED;
    }
    if (memchr(s->sql, '\0', s->sql_len)) {
        hd_error_set(err, HD_E_SYNTAX, "a NUL byte stands in the script's text");
        return HD_SQLITE_REFUSED;
    }
    conn->script = hd_strdup_n(conn->base.mem, s->sql, s->sql_len);
    if (!conn->script) return SQLITE_NOMEM;
    conn->script_at = conn->script;
    conn->script_end = conn->script + s->sql_len;
    return SQLITE_OK;
}

static int prepare_piece(hd_sqlite_conn *conn) {
    int rest = (int)(conn->script_end - conn->script_at);
    const char *tail;
    int code = sqlite3_prepare_v2(conn->db, conn->script_at, rest + 1, &conn->piece, &tail);
    if (code != SQLITE_OK) return code;
    conn->script_at = tail;
    hd_sqlite_limit_statement(conn, hd_now());
    if (conn->piece) hd_sqlite_limit_write(conn, conn->piece);
    return code;
}

/* SQLITE_DONE, or the code that stopped it. */
static int run_piece(hd_sqlite_conn *conn, hd_statement *s) {
    int before = sqlite3_total_changes(conn->db), code;
    do code = hd_sqlite_is_over(conn) ? SQLITE_INTERRUPT : sqlite3_step(conn->piece);
    while (code == SQLITE_ROW);
    if (code != SQLITE_DONE) {
        if (hd_sqlite_is_busy(code)) sqlite3_reset(conn->piece);
        return code;
    }
    if (sqlite3_total_changes(conn->db) != before) s->affected += sqlite3_changes(conn->db);
    sqlite3_finalize(conn->piece);
    conn->piece = NULL;
    conn->busy.deadline = 0;
    return code;
}

int hd_sqlite_script(hd_sqlite_conn *conn, hd_statement *s, hd_error *err) {
    int code = conn->script ? SQLITE_OK : begin(conn, s, err);
    while (code == SQLITE_OK || code == SQLITE_DONE) {
        if (conn->piece) {
            code = run_piece(conn, s);
        } else if (conn->script_at == conn->script_end) {
            hd_sqlite_script_end(conn);
            return SQLITE_DONE;
        } else {
            code = prepare_piece(conn);
        }
    }
    return code;
}

void hd_sqlite_script_end(hd_sqlite_conn *conn) {
    sqlite3_finalize(conn->piece);
    conn->piece = NULL;
    hd_free(conn->base.mem, conn->script);
    conn->script = NULL;
}
