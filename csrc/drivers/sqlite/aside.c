/* Rows put aside. SQLite leaves open whether a statement shows what its own connection writes while it
 * is read: it may show a row twice, or new rows for ever. So when the connection is going to write, what
 * an open cursor still has to show is copied into a temporary database of its own, and the cursor goes
 * on there. That database is a file without a name that SQLite removes, with a page cache of fixed size:
 * the rows cost room on the disk, not memory. Transactions of the connection do not reach it.
 *
 * Writing goes on whether this works or not; a cursor that lost its rows says so when it is read. */
#include "base/buffer.h"
#include "conn.h"

/* "CREATE TABLE r (c1, c2)": columns without affinity, in which every value stays what it is. */
static void name_columns(hd_buffer *sql, int columns) {
    char name[16];
    hd_buffer_str(sql,
                  "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; CREATE TABLE r (");
    for (int i = 1; i <= columns; i++) {
        sqlite3_snprintf(sizeof name, name, i > 1 ? ", c%d" : "c%d", i);
        hd_buffer_str(sql, name);
    }
    hd_buffer_char(sql, ')');
}

static void list_values(hd_buffer *sql, int columns) {
    hd_buffer_clear(sql);
    hd_buffer_str(sql, "INSERT INTO r VALUES (?");
    for (int i = 2; i <= columns; i++) hd_buffer_str(sql, ", ?");
    hd_buffer_char(sql, ')');
}

static int make_table(hd_sqlite_conn *conn, sqlite3 *db, int columns, sqlite3_stmt **insert) {
    hd_buffer sql;
    hd_buffer_init(&sql, conn->base.mem);
    name_columns(&sql, columns);
    const char *text = hd_buffer_text(&sql);
    int code = sql.failed ? SQLITE_NOMEM : sqlite3_exec(db, text, NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        list_values(&sql, columns);
        text = hd_buffer_text(&sql);
        code = sql.failed ? SQLITE_NOMEM : sqlite3_prepare_v2(db, text, -1, insert, NULL);
    }
    hd_buffer_free(&sql);
    return code;
}

static int copy_rows(sqlite3_stmt *from, sqlite3_stmt *insert, int columns) {
    int code;
    while ((code = sqlite3_step(from)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++) {
            code = sqlite3_bind_value(insert, i + 1, sqlite3_column_value(from, i));
            if (code != SQLITE_OK) return code;
        }
        code = sqlite3_step(insert);
        if (code != SQLITE_DONE) return code;
        sqlite3_reset(insert);
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The rows that are left of `from`, in `db`; `to` reads them. */
static int copy(hd_sqlite_conn *conn, sqlite3 *db, sqlite3_stmt *from, sqlite3_stmt **to) {
    static const char all[] = "SELECT * FROM r ORDER BY rowid";
    sqlite3_stmt *insert = NULL;
    int columns = sqlite3_column_count(from);
    int code = make_table(conn, db, columns, &insert);
    if (code == SQLITE_OK) code = copy_rows(from, insert, columns);
    sqlite3_finalize(insert);
    if (code == SQLITE_OK) code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(db, all, sizeof all, to, NULL);
    return code;
}

static void put_aside(hd_sqlite_conn *conn, hd_sqlite_cursor *c) {
    enum { FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE };
    hd_sqlite_prepared *p = c->prepared;
    sqlite3_stmt *to = NULL;
    int code = sqlite3_open_v2("", &c->aside, FLAGS, NULL);
    if (code == SQLITE_OK) code = sqlite3_extended_result_codes(c->aside, 1);
    if (code == SQLITE_OK) code = copy(conn, c->aside, p->stmt, &to);
    if (code != SQLITE_OK) {
        c->code = code;
        sqlite3_reset(p->stmt);
        sqlite3_close_v2(c->aside);
        c->aside = NULL;
        return;
    }
    sqlite3_finalize(p->stmt);
    p->stmt = to;
    p->prepared_again = 0;
}

void hd_sqlite_put_aside(hd_sqlite_conn *conn) {
    for (hd_sqlite_cursor *c = conn->cursors; c; c = c->next) {
        if (!c->aside && c->code == SQLITE_OK && c != conn->fetching) put_aside(conn, c);
    }
}
