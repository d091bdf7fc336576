/* From result codes to error kinds. The code decides wherever it can; SQLITE_ERROR says nothing but
 * "something", and there, and for the names of tables and columns, SQLite's message is read.
 * `message` is written here and holds no value; SQLite's own text goes to `cause`. */
#include <errno.h>
#include <string.h>

#include "conn.h"

int hd_sqlite_path_len(const hd_sqlite_conn *conn) {
    const char *path = conn->options.database;
    return (int)(strncmp(path, "file:", 5) == 0 ? strcspn(path, "?") : strlen(path));
}

/* What follows `prefix` in the text, or NULL. */
static const char *after(const char *text, const char *prefix) {
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* ---- constraints ---- */

/* "table.column" up to `end`. */
static void set_place(hd_error *err, const char *place, const char *end) {
    const char *dot = memchr(place, '.', (size_t)(end - place));
    if (!dot) return;
    hd_error_text(err, &err->table, place, (size_t)(dot - place));
    hd_error_text(err, &err->column, dot + 1, (size_t)(end - dot - 1));
}

/* "t.a, t.b": the table is t, the column "a,b". */
static void set_places(hd_error *err, const char *places) {
    hd_buffer columns;
    hd_buffer_init(&columns, err->mem);
    for (const char *place = places; place;) {
        const char *next = strstr(place, ", ");
        set_place(err, place, next ? next : place + strlen(place));
        if (columns.len) hd_buffer_char(&columns, ',');
        if (err->column) hd_buffer_str(&columns, err->column);
        place = next ? next + 2 : NULL;
    }
    hd_error_text(err, &err->column, columns.failed ? NULL : hd_buffer_text(&columns), columns.len);
    hd_buffer_free(&columns);
}

static void unique_error(const char *text, hd_error *err) {
    const char *places = after(text, "UNIQUE constraint failed: ");
    const char *index = places ? after(places, "index '") : NULL;
    if (index) {
        hd_error_set(err, HD_E_UNIQUE_VIOLATION,
                     "another row has the same value in the unique index '%.*s'",
                     (int)strcspn(index, "'"), index);
        hd_error_text(err, &err->constraint, index, strcspn(index, "'"));
    } else {
        hd_error_set(err, HD_E_UNIQUE_VIOLATION, "another row has the same value of %s",
                     places ? places : "a unique key");
        if (places) set_places(err, places);
    }
}

static void not_null_error(const char *text, hd_error *err) {
    const char *place = after(text, "NOT NULL constraint failed: ");
    hd_error_set(err, HD_E_NOT_NULL_VIOLATION, "%s must not be NULL", place ? place : "a column");
    if (place) set_place(err, place, place + strlen(place));
}

static void check_error(const char *text, hd_error *err) {
    const char *name = after(text, "CHECK constraint failed: ");
    hd_error_set(err, HD_E_CHECK_VIOLATION, "the check '%s' does not hold", name ? name : "?");
    if (name) hd_error_text(err, &err->constraint, name, strlen(name));
}

/* Of a STRICT table: "cannot store TEXT value in INTEGER column t.c". */
static void datatype_error(const char *text, hd_error *err) {
    const char *place = strstr(text, " column ");
    hd_error_set(err, HD_E_VALIDATION, "the type of a value does not fit the column%s%s",
                 place ? " " : "", place ? place + 8 : "");
    if (place) set_place(err, place + 8, place + strlen(place));
}

void hd_sqlite_broken_reference(hd_error *err) {
    hd_error_set(
        err, HD_E_FOREIGN_KEY_VIOLATION,
        "a foreign key was violated: a row would refer to one that is not there, or no longer "
        "there");
}

static void constraint_error(int code, const char *text, hd_error *err) {
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        unique_error(text, err);
        break;
    case SQLITE_CONSTRAINT_NOTNULL:
        not_null_error(text, err);
        break;
    case SQLITE_CONSTRAINT_CHECK:
        check_error(text, err);
        break;
    case SQLITE_CONSTRAINT_DATATYPE:
        datatype_error(text, err);
        break;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        hd_sqlite_broken_reference(err);
        break;
    case SQLITE_CONSTRAINT_TRIGGER: /* RESTRICT is a trigger of SQLite's own */
        if (strcmp(text, "FOREIGN KEY constraint failed") == 0)
            hd_sqlite_broken_reference(err);
        else
            hd_error_set(err, HD_E_DRIVER, "a trigger of the database refused the statement");
        break;
    default:
        hd_error_set(err, HD_E_DRIVER, "the database refused the statement");
        break;
    }
}

/* ---- statements ---- */

/* "no such table: main.t": the text behind the last dot is the table. */
static void table_error(const char *name, hd_error *err) {
    const char *dot = strchr(name, '.');
    hd_error_set(err, HD_E_TABLE_NOT_FOUND, "there is no table '%s'", dot ? dot + 1 : name);
    if (dot) hd_error_text(err, &err->schema, name, (size_t)(dot - name));
    name = dot ? dot + 1 : name;
    hd_error_text(err, &err->table, name, strlen(name));
}

static void column_error(const char *name, hd_error *err) {
    const char *dot = strrchr(name, '.');
    hd_error_set(err, HD_E_SYNTAX, "there is no column '%s'", name);
    name = dot ? dot + 1 : name;
    hd_error_text(err, &err->column, name, strlen(name));
}

/* Statements that SQLite understands and does not take; false when it is another fault. */
static bool limit_error(const char *text, hd_error *err) {
    if (after(text, "no such function: REGEXP")) {
        hd_error_set(err, HD_E_UNSUPPORTED,
                     "op.matches needs the function 'regexp', which SQLite leaves to the program "
                     "to register: "
                     "use op.like or op.contains");
    } else if (after(text, "parser stack overflow") ||
               after(text, "Expression tree is too large") || after(text, "at most 64 tables") ||
               after(text, "too many FROM clause terms") || after(text, "too many SQL variables")) {
        hd_error_set(err, HD_E_UNSUPPORTED,
                     "the statement is nested too deeply, or too large, for SQLite");
    } else {
        return false;
    }
    return true;
}

static void statement_error(const char *text, bool preparing, hd_error *err) {
    const char *name;
    if (limit_error(text, err)) return;
    if ((name = after(text, "no such table: "))) {
        table_error(name, err);
    } else if ((name = after(text, "no such column: "))) {
        column_error(name, err);
    } else if (preparing || after(text, "near \"") || after(text, "no such ")) {
        hd_error_set(err, HD_E_SYNTAX, "SQLite does not understand the statement");
    } else if (after(text, "integer overflow") || after(text, "malformed JSON")) {
        hd_error_set(err, HD_E_VALIDATION, "a value cannot be used as the statement uses it");
    } else {
        hd_error_set(err, HD_E_DRIVER, "SQLite could not run the statement");
    }
}

/* ---- files ---- */

static const char *open_reason(int code, int system) {
    if ((code & 0xff) == SQLITE_NOTADB) return "it is not a SQLite database";
    switch (system) {
    case ENOENT:
    case ENOTDIR:
        return "the file or its directory does not exist";
    case EACCES:
    case EPERM:
        return "permission denied";
    case EISDIR:
        return "it is a directory";
    default:
        return "the file cannot be opened";
    }
}

static void file_error(hd_sqlite_conn *conn, int code, hd_error *err) {
    int len = hd_sqlite_path_len(conn);
    const char *path = conn->options.database;
    int system = conn->db ? sqlite3_system_errno(conn->db) : 0;
    switch (code & 0xff) {
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_NOTADB:
        hd_error_set(err, HD_E_CONNECTION, "cannot open the database '%.*s': %s", len, path,
                     open_reason(code, system));
        break;
    case SQLITE_READONLY:
        hd_error_set(err, HD_E_READ_ONLY, "the database '%.*s' is read-only", len, path);
        break;
    case SQLITE_CORRUPT:
        hd_error_set(err, HD_E_DRIVER, "the database '%.*s' is damaged", len, path);
        break;
    default:
        if ((code & 0xff) == SQLITE_FULL || system == ENOSPC) {
            hd_error_set(err, HD_E_DRIVER, "no room is left on the disk of the database '%.*s'",
                         len, path);
        } else {
            hd_error_set(err, HD_E_DRIVER, "reading or writing the database '%.*s' failed", len,
                         path);
        }
    }
}

static void set_error(hd_sqlite_conn *conn, int code, const char *text, bool preparing,
                      hd_error *err) {
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        constraint_error(code, text, err);
        break;
    case SQLITE_ERROR:
        statement_error(text, preparing, err);
        break;
    case SQLITE_NOMEM:
        hd_error_memory(err);
        break;
    case SQLITE_INTERRUPT:
        hd_error_set(err, HD_E_CANCELED, "the statement was canceled");
        break;
    case SQLITE_BUSY: /* snapshot: what may be waited for does not come here, see busy.c */
        hd_error_set(err, HD_E_SERIALIZATION_FAILURE,
                     "the transaction read what another one has changed since: run it again");
        break;
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        hd_error_set(err, HD_E_LOCK_TIMEOUT,
                     "a table or the database is locked by another statement");
        break;
    case SQLITE_TOOBIG:
        hd_error_set(err, HD_E_VALIDATION, "a value or the statement is too big");
        break;
    case SQLITE_RANGE:
        hd_error_set(err, HD_E_VALIDATION, "a parameter has no place");
        break;
    case SQLITE_MISMATCH:
        hd_error_set(err, HD_E_VALIDATION, "the type of a value does not fit its column");
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_NOTADB:
    case SQLITE_READONLY:
    case SQLITE_CORRUPT:
    case SQLITE_FULL:
    case SQLITE_IOERR:
        file_error(conn, code, err);
        break;
    default:
        hd_error_set(err, HD_E_DRIVER, "SQLite could not run the statement");
        break;
    }
}

hd_error_kind hd_sqlite_error(hd_sqlite_conn *conn, int code, bool preparing, hd_error *err) {
    bool is_last = conn->db && sqlite3_extended_errcode(conn->db) == code;
    const char *text = is_last ? sqlite3_errmsg(conn->db) : sqlite3_errstr(code);
    set_error(conn, code, text, preparing, err);
    err->native = code;
    hd_error_text(err, &err->cause, text, strlen(text));
    return err->kind;
}
