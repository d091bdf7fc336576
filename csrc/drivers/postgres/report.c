/* Errors: see report.h. A table of SQLSTATE prefixes, longest first where one is another's
 * beginning, gives kind and words. PostgreSQL names the objects of a constraint error in fields of
 * their own; of others it names them only within its message, which may quote values too: a name is
 * taken from there only if it stands in the statement's text. */
#include "report.h"

#include <stdbool.h>
#include <string.h>

#include "options.h"

typedef struct rule {
    const char *prefix;
    hd_error_kind kind;
    const char *words;
} rule;

/* 23P01, an exclusion constraint, is a check over several rows. */
static const rule rules[] = {
    {"23505", HD_E_UNIQUE_VIOLATION, "unique constraint"},
    {"23503", HD_E_FOREIGN_KEY_VIOLATION, "foreign key constraint"},
    {"23001", HD_E_FOREIGN_KEY_VIOLATION, "foreign key constraint"},
    {"23514", HD_E_CHECK_VIOLATION, "check constraint"},
    {"23P01", HD_E_CHECK_VIOLATION, "exclusion constraint"},
    {"23502", HD_E_NOT_NULL_VIOLATION, "a column may not be NULL"},
    {"22001", HD_E_VALIDATION, "a text is longer than its column"},
    {"22003", HD_E_VALIDATION, "a number is out of its type's range"},
    {"22007", HD_E_VALIDATION, "a date or time is malformed"},
    {"22008", HD_E_VALIDATION, "a date or time is out of range"},
    {"22012", HD_E_VALIDATION, "a number was divided by zero"},
    {"22021", HD_E_VALIDATION, "a text is not UTF-8 or holds a NUL"},
    {"22P02", HD_E_VALIDATION, "a value is not of the form that its type asks for"},
    {"22", HD_E_VALIDATION, "PostgreSQL refused a value"},
    {"42P01", HD_E_TABLE_NOT_FOUND, "a table does not exist"},
    {"3F000", HD_E_TABLE_NOT_FOUND, "a schema does not exist"},
    {"42601", HD_E_SYNTAX, "syntax error"},
    {"42501", HD_E_SYNTAX, "the user has no right to do this"},
    {"42703", HD_E_SYNTAX, "a column does not exist"},
    {"42704", HD_E_SYNTAX, "an object does not exist"},
    {"42804", HD_E_SYNTAX, "types do not match"},
    {"42883", HD_E_SYNTAX, "a function or operator does not exist for these types"},
    {"42P07", HD_E_SYNTAX, "a table or index exists already"},
    {"42", HD_E_SYNTAX, "PostgreSQL cannot make sense of the statement"},
    {"40P01", HD_E_DEADLOCK, "the transaction was chosen to end a deadlock; run it again"},
    {"40", HD_E_SERIALIZATION_FAILURE,
     "the transaction collided with one that ran beside it; run it again"},
    {"55P03", HD_E_LOCK_TIMEOUT, "a lock could not be had in time"},
    {"57014", HD_E_CANCELED, "the statement was canceled"},
    {"25006", HD_E_READ_ONLY, "the transaction or the server is read-only"},
    {"25P02", HD_E_DRIVER,
     "an earlier statement of this transaction failed; it can only be rolled back"},
    {"0A000", HD_E_UNSUPPORTED, "PostgreSQL does not support what the statement asks for"},
    {"28P01", HD_E_CONNECTION, "the password was refused"},
    {"28", HD_E_CONNECTION, "the user was refused"},
    {"3D000", HD_E_CONNECTION, "the database does not exist"},
    {"53300", HD_E_CONNECTION, "the server has no connections left"},
    {"57P", HD_E_CONNECTION, "the server closed the connection"},
    {"25P03", HD_E_CONNECTION,
     "the server closed the connection: its transaction was idle for too long"},
    {"08", HD_E_CONNECTION, "the connection failed"},
    {"26000", HD_E_DRIVER, "a prepared statement is gone from the server"},
};

static const rule *rule_of(const char *sqlstate) {
    static const rule other = {"", HD_E_DRIVER, "PostgreSQL reported an error"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strncmp(sqlstate, rules[i].prefix, strlen(rules[i].prefix)) == 0) return &rules[i];
    }
    return &other;
}

/* ---- Words ---- */

static bool contains(const char *text, size_t len, const char *part, size_t part_len) {
    for (; part_len <= len; text++, len--) {
        if (memcmp(text, part, part_len) == 0) return true;
    }
    return false;
}

/* The first quoted name of the primary message, if the statement's own text has it. */
static bool quoted_name(const char *primary, const char *sql, size_t sql_len, const char **name,
                        size_t *len) {
    const char *open = primary ? strchr(primary, '"') : NULL;
    const char *close = open ? strchr(open + 1, '"') : NULL;
    if (!close || close == open + 1) return false;
    *name = open + 1;
    *len = (size_t)(close - open - 1);
    return sql && contains(sql, sql_len, *name, *len);
}

static void word_constraint(hd_error *err, const rule *r, const PGresult *result) {
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    if (constraint && table) {
        hd_error_set(err, r->kind, "%s '%s' of table '%s' was violated", r->words, constraint,
                     table);
    } else {
        hd_error_set(err, r->kind, "a %s was violated", r->words);
    }
}

static void word_not_null(hd_error *err, const rule *r, const PGresult *result) {
    const char *column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    if (column && table) {
        hd_error_set(err, r->kind, "column '%s' of table '%s' may not be NULL", column, table);
    } else {
        hd_error_set(err, r->kind, "%s", r->words);
    }
}

static void word_statement(hd_error *err, const rule *r, const PGresult *result, const char *sql,
                           size_t sql_len) {
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), *name;
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    size_t len;
    bool named = quoted_name(primary, sql, sql_len, &name, &len);
    hd_error_set(err, r->kind, "%s%s%.*s%s%s%s", r->words, named ? ": '" : "", named ? (int)len : 0,
                 named ? name : "", named ? "'" : "", position ? ", at character " : "",
                 position ? position : "");
    if (named && r->kind == HD_E_TABLE_NOT_FOUND) hd_error_text(err, &err->table, name, len);
}

/* The server has one code for a statement that ran too long and for one that was canceled. */
static bool ran_too_long(const PGresult *result) {
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return primary && strstr(primary, "statement timeout");
}

static void word(hd_error *err, const rule *r, const PGresult *result, const char *sql,
                 size_t sql_len) {
    switch (r->kind) {
    case HD_E_UNIQUE_VIOLATION:
    case HD_E_FOREIGN_KEY_VIOLATION:
    case HD_E_CHECK_VIOLATION:
        word_constraint(err, r, result);
        break;
    case HD_E_NOT_NULL_VIOLATION:
        word_not_null(err, r, result);
        break;
    case HD_E_SYNTAX:
    case HD_E_TABLE_NOT_FOUND:
        word_statement(err, r, result, sql, sql_len);
        break;
    case HD_E_CANCELED:
        if (ran_too_long(result)) {
            hd_error_set(err, HD_E_TIMEOUT,
                         "the statement ran longer than the session's statement_timeout allows");
            break;
        } /* fall through */
    default:
        hd_error_set(err, r->kind, "%s", r->words);
    }
}

/* ---- Records ---- */

static void copy_field(hd_error *err, char **field, const PGresult *result, int code) {
    const char *text = PQresultErrorField(result, code);
    if (text) hd_error_text(err, field, text, strlen(text));
}

/* libpq ends its messages with a newline. */
static void copy_message(hd_error *err, const char *text) {
    size_t len = text ? strlen(text) : 0;
    while (len && text[len - 1] == '\n') len--;
    if (len) hd_error_text(err, &err->cause, text, len);
}

hd_error_kind hd_pg_report(hd_error *err, const PGresult *result, const char *sql, size_t sql_len) {
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (!sqlstate) { /* libpq itself complains */
        hd_error_set(err, HD_E_DRIVER, "libpq reported an error");
        copy_message(err, PQresultErrorMessage(result));
        return err->kind;
    }
    word(err, rule_of(sqlstate), result, sql, sql_len);
    strncpy(err->sqlstate, sqlstate, sizeof err->sqlstate - 1);
    copy_field(err, &err->constraint, result, PG_DIAG_CONSTRAINT_NAME);
    copy_field(err, &err->schema, result, PG_DIAG_SCHEMA_NAME);
    copy_field(err, &err->column, result, PG_DIAG_COLUMN_NAME);
    copy_field(err, &err->detail, result, PG_DIAG_MESSAGE_DETAIL);
    copy_field(err, &err->hint, result, PG_DIAG_MESSAGE_HINT);
    copy_field(err, &err->cause, result, PG_DIAG_MESSAGE_PRIMARY);
    if (!err->table) copy_field(err, &err->table, result, PG_DIAG_TABLE_NAME);
    if (sql) hd_error_text(err, &err->sql, sql, sql_len);
    return err->kind;
}

hd_error_kind hd_pg_report_lost(hd_error *err, const PGconn *pq) {
    hd_error_set(err, HD_E_CONNECTION, "the connection to PostgreSQL was lost");
    copy_message(err, PQerrorMessage(pq));
    return err->kind;
}

static const char *or_default(const char *given, const char *known, const char *fallback) {
    if (given && *given) return given;
    return known && *known ? known : fallback;
}

hd_error_kind hd_pg_report_connect(hd_error *err, const PGconn *pq, const hd_pg_options *options,
                                   const char *why) {
    const char *host = hd_pg_options_get(options, "host");
    if (!host || !*host) host = hd_pg_options_get(options, "hostaddr");
    const char *port = hd_pg_options_get(options, "port");
    hd_error_set(err, HD_E_CONNECTION,
                 "cannot connect to PostgreSQL at '%s' port %s, database '%s', as user '%s'%s%s",
                 or_default(host, PQhost(pq), "?"), or_default(port, PQport(pq), "?"),
                 or_default(PQdb(pq), NULL, "?"), or_default(PQuser(pq), NULL, "?"),
                 why ? ": " : "", why ? why : "");
    copy_message(err, PQerrorMessage(pq));
    return err->kind;
}
