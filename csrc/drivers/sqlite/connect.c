/* Connecting: the file is opened, looked at (SQLite would open it lazily, and a file that is no
 * database must fail here), then set up by pragmas, one after the other. Each of these may meet a
 * lock and is then tried again by the next step, so `setup` counts what is done. */
#include <string.h>

#include "conn.h"

static int configure(hd_sqlite_conn *conn) {
    sqlite3 *db = conn->db;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, 0);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    /* Else a misspelt "name" is silently the string 'name'. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return hd_sqlite_register(conn);
}

static int open_file(hd_sqlite_conn *conn) {
    int code = sqlite3_open_v2(conn->options.database, &conn->db, conn->options.open_flags, NULL);
    if (code != SQLITE_OK) return conn->db ? sqlite3_extended_errcode(conn->db) : SQLITE_NOMEM;
    return configure(conn);
}

/* SQLite ignores a pragma that it does not know, so ask it for the names that it does. */
static int check_name(hd_sqlite_conn *conn, const hd_sqlite_pragma *pragma, hd_error *err) {
    sqlite3_stmt *stmt;
    static const char sql[] = "SELECT 1 FROM pragma_pragma_list WHERE name = lower(?1)";
    int code = sqlite3_prepare_v2(conn->db, sql, sizeof sql, &stmt, NULL);
    if (code == SQLITE_ERROR) return SQLITE_OK; /* a library built without the list */
    if (code == SQLITE_OK) code = sqlite3_bind_text(stmt, 1, pragma->name, -1, SQLITE_STATIC);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    if (code == SQLITE_ROW) return SQLITE_OK;
    if (code != SQLITE_DONE) return code;
    hd_error_set(err, HD_E_CONFIG, "SQLite has no pragma '%s'", pragma->name);
    return HD_SQLITE_REFUSED;
}

/* A database in memory has no journal to choose, and a read-only one cannot change its own. */
static bool is_needless(hd_sqlite_conn *conn, const hd_sqlite_pragma *pragma) {
    if (pragma->given || strcmp(pragma->name, "journal_mode") != 0) return false;
    const char *file = sqlite3_db_filename(conn->db, "main");
    return !file || !*file || sqlite3_db_readonly(conn->db, "main") == 1;
}

static int run_pragma(hd_sqlite_conn *conn, const hd_sqlite_pragma *pragma, hd_error *err) {
    if (is_needless(conn, pragma)) return SQLITE_OK;
    int code = pragma->given ? check_name(conn, pragma, err) : SQLITE_OK;
    if (code != SQLITE_OK) return code;
    char *sql = sqlite3_mprintf("PRAGMA \"%w\" = %Q", pragma->name, pragma->value);
    if (!sql) return SQLITE_NOMEM;
    code = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return code;
}

static int set_up(hd_sqlite_conn *conn, hd_error *err) {
    for (; conn->setup <= conn->options.pragma_count; conn->setup++) {
        int code = conn->setup == 0
                       ? sqlite3_exec(conn->db, "PRAGMA schema_version", NULL, NULL, NULL)
                       : run_pragma(conn, &conn->options.pragmas[conn->setup - 1], err);
        if (code != SQLITE_OK) return code;
        conn->busy.deadline = 0;
    }
    return SQLITE_OK;
}

static hd_step fail(hd_sqlite_conn *conn, int code, hd_error *err) {
    if (code != HD_SQLITE_REFUSED) hd_sqlite_error(conn, code, false, err);
    hd_sqlite_disconnect(conn);
    return HD_FAILED;
}

hd_step hd_sqlite_connect(hd_conn *base, const char *password, hd_wait *wait, hd_error *err) {
    (void)password; /* a file has none */
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    int code = conn->db ? SQLITE_OK : open_file(conn);
    if (code == SQLITE_OK) code = set_up(conn, err);
    if (code == SQLITE_OK) {
        conn->probed = hd_now();
        return HD_DONE;
    }
    if (!hd_sqlite_is_busy(code)) return fail(conn, code, err);
    hd_step step = hd_sqlite_wait(conn, wait, err);
    return step == HD_WAIT ? step : fail(conn, HD_SQLITE_REFUSED, err);
}

void hd_sqlite_disconnect(hd_sqlite_conn *conn) {
    sqlite3_close_v2(conn->db);
    conn->db = NULL;
    conn->setup = 0;
    conn->busy.deadline = 0;
}
