/* The table that the core knows this driver by, and what is too small for a room of its own. */
#include <stdio.h>

#include "conn.h"
#include "sqlite.h"

enum { FLOOR = 3035000 };

static hd_error_kind check(hd_error *err) {
    if (sqlite3_libversion_number() >= FLOOR) return HD_OK;
    return hd_error_set(err, HD_E_CONFIG, "Heddle needs SQLite 3.35 or later, this is %s",
                        sqlite3_libversion());
}

static const char *version(void) {
    static char text[32]; /* always written with the same words */
    snprintf(text, sizeof text, "sqlite %s", sqlite3_libversion());
    return text;
}

/* ---- life ---- */

static void free_memory(hd_sqlite_conn *conn, bool discard) {
    const hd_allocator *mem = conn->base.mem;
    hd_sqlite_cache_free(conn, discard);
    hd_arena_free(&conn->bound);
    hd_arena_free(&conn->decoded);
    hd_arena_free(&conn->options.texts);
    hd_free(mem, conn->values);
    hd_free(mem, conn->columns);
    hd_free(mem, conn->script);
    hd_free(mem, conn);
}

static hd_conn *open_conn(const hd_services *services, const hd_option *options, size_t count,
                          hd_error *err) {
    hd_sqlite_conn *conn = hd_alloc_zero(services->mem, sizeof *conn);
    if (!conn) {
        hd_error_memory(err);
        return NULL;
    }
    conn->base.driver = &hd_sqlite_driver;
    conn->base.mem = services->mem;
    hd_arena_init(&conn->bound, services->mem);
    hd_arena_init(&conn->decoded, services->mem);
    hd_error_kind kind = hd_sqlite_options_read(&conn->options, services->mem, options, count, err);
    if (kind == HD_OK && hd_sqlite_cache_init(conn) != 0) kind = hd_error_memory(err);
    if (kind == HD_OK) return &conn->base;
    free_memory(conn, false);
    return NULL;
}

static void close_conn(hd_conn *base) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    conn->running = false; /* its statements may be gone */
    hd_sqlite_abandon(base);
    hd_sqlite_cursors_close(conn, false);
    sqlite3 *db = conn->db;
    free_memory(conn, false);
    sqlite3_close_v2(db);
}

/* In the child of a fork. SQLite keeps a list of open files for each process, and while the inherited
 * handle stands in it a new connection of the child believes in locks that only the parent holds: the
 * parent's last close would then delete the log that the child writes to. So the handle is closed, with
 * nothing written; only one that was writing must stay behind, for its rollback would be the parent's. */
static void discard(hd_conn *base) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    sqlite3 *db = conn->db;
    bool writing = db && sqlite3_txn_state(db, NULL) == SQLITE_TXN_WRITE;
    conn->running = false;
    if (!writing) hd_sqlite_abandon(base);
    hd_sqlite_cursors_close(conn, writing);
    free_memory(conn, writing);
    if (!db || writing) return;
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close_v2(db);
}

/* ---- state ---- */

/* A file that was deleted or replaced takes our writes and shows them to nobody. One look a second.
 */
static bool has_moved(hd_sqlite_conn *conn) {
    hd_time now = hd_now();
    if (now - conn->probed < 1000000) return false;
    conn->probed = now;
    int moved = 0;
    return sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved;
}

static hd_conn_status status(hd_conn *base, bool probe) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    if (!conn->db || conn->setup <= conn->options.pragma_count) return HD_CONN_CLOSED;
    if (conn->running) return HD_CONN_BUSY;
    if (probe && has_moved(conn)) return HD_CONN_CLOSED;
    return sqlite3_get_autocommit(conn->db) ? HD_CONN_IDLE : HD_CONN_TRANSACTION;
}

/* The flag stops a batch that waits for a lock or stands between two steps. An interruption, which stops a step from
 * another thread, meets every open statement of the connection, those of cursors too. */
static void cancel(hd_conn *base, bool offload) {
    (void)offload;
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    if (!conn->db || !conn->running) return;
    atomic_store(&conn->canceled, true);
    if (atomic_load(&conn->stepping)) sqlite3_interrupt(conn->db);
}

static void describe(hd_conn *base, char *out, size_t cap) {
    hd_sqlite_conn *conn = hd_sqlite_of(base);
    const char *file = conn->db ? sqlite3_db_filename(conn->db, "main") : NULL;
    if (file && *file) {
        snprintf(out, cap, "sqlite %s %s", sqlite3_libversion(), file);
    } else {
        snprintf(out, cap, "sqlite %s %.*s", sqlite3_libversion(), hd_sqlite_path_len(conn),
                 conn->options.database);
    }
}

static const hd_dialect dialect = {
    .dollar_params = false,
    .bulk_unnest = false,
    .row_sequence = true,
    .max_params = 32766,
    .insert_rows = 100,
    .update_rows = 250,
    .walk_rows = 32,
};

const hd_driver hd_sqlite_driver = {
    .abi = HD_DRIVER_ABI,
    .name = "sqlite",
    .dialect = &dialect,
    .check = check,
    .version = version,
    .open = open_conn,
    .connect = hd_sqlite_connect,
    .start = hd_sqlite_start,
    .step = hd_sqlite_step,
    .next = hd_sqlite_next,
    .abandon = hd_sqlite_abandon,
    .close_cursor = hd_sqlite_cursor_close,
    .status = status,
    .cancel = cancel,
    .cancels_at_once = true,
    .close = close_conn,
    .discard = discard,
    .describe = describe,
};
