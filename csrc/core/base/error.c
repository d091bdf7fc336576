/* The error record: see error.h. It owns its texts; setting it again frees the old ones only after
 * the new message is made, so that a message may quote the one before. Nothing here can fail: a
 * text that finds no memory is left out, the kind always stands. */
#include "error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[HD_ERROR_KINDS] = {
    [HD_OK] = "ok",
    [HD_E_CONFIG] = "config",
    [HD_E_DUPLICATE_CONTEXT] = "duplicate_context",
    [HD_E_CONTEXT_NOT_FOUND] = "context_not_found",
    [HD_E_NO_REQUEST_CONTEXT] = "no_request_context",
    [HD_E_GLOBAL_CONTEXT] = "global_context",
    [HD_E_ENTITY_NOT_REGISTERED] = "entity_not_registered",
    [HD_E_METADATA] = "metadata",
    [HD_E_UNKNOWN_PROPERTY] = "unknown_property",
    [HD_E_VALIDATION] = "validation",
    [HD_E_NOT_FOUND] = "not_found",
    [HD_E_NOT_LOADED] = "not_loaded",
    [HD_E_NOT_MANAGED] = "not_managed",
    [HD_E_WRONG_CONTEXT] = "wrong_context",
    [HD_E_CONNECTION] = "connection",
    [HD_E_POOL_TIMEOUT] = "pool_timeout",
    [HD_E_UNIQUE_VIOLATION] = "unique_violation",
    [HD_E_FOREIGN_KEY_VIOLATION] = "foreign_key_violation",
    [HD_E_NOT_NULL_VIOLATION] = "not_null_violation",
    [HD_E_CHECK_VIOLATION] = "check_violation",
    [HD_E_SYNTAX] = "syntax",
    [HD_E_TABLE_NOT_FOUND] = "table_not_found",
    [HD_E_DEADLOCK] = "deadlock",
    [HD_E_LOCK_TIMEOUT] = "lock_timeout",
    [HD_E_SERIALIZATION_FAILURE] = "serialization_failure",
    [HD_E_TIMEOUT] = "timeout",
    [HD_E_CANCELED] = "canceled",
    [HD_E_OPTIMISTIC_LOCK] = "optimistic_lock",
    [HD_E_TRANSACTION_REQUIRED] = "transaction_required",
    [HD_E_READ_ONLY] = "read_only",
    [HD_E_BUSY] = "busy",
    [HD_E_COMMIT_ORDER] = "commit_order",
    [HD_E_HOOK] = "hook",
    [HD_E_UNSUPPORTED] = "unsupported",
    [HD_E_MIGRATION] = "migration",
    [HD_E_CLOSED] = "closed",
    [HD_E_DRIVER] = "driver",
};

void hd_error_init(hd_error *err, const hd_allocator *mem) {
    memset(err, 0, sizeof *err);
    err->mem = mem;
    err->statement = -1;
    err->row = -1;
}

void hd_error_clear(hd_error *err) {
    char *const texts[] = {err->message, err->constraint, err->schema, err->table, err->column,
                           err->detail,  err->hint,       err->cause,  err->sql};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) hd_free(err->mem, texts[i]);
    hd_error_init(err, err->mem);
}

static char *format_text(const hd_allocator *mem, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = len < 0 ? NULL : hd_alloc(mem, (size_t)len + 1);
    if (text) vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

hd_error_kind hd_error_set(hd_error *err, hd_error_kind kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *message = format_text(err->mem, format, args);
    va_end(args);
    hd_error_clear(err);
    err->kind = kind;
    err->message = message;
    return kind;
}

hd_error_kind hd_error_memory(hd_error *err) {
    hd_error_clear(err);
    err->kind = HD_E_DRIVER; /* no message: whoever words the error says it */
    return HD_E_DRIVER;
}

void hd_error_text(hd_error *err, char **field, const char *text, size_t len) {
    char *copy = text ? hd_strdup_n(err->mem, text, len) : NULL;
    hd_free(err->mem, *field);
    *field = copy;
}

void hd_error_move(hd_error *to, hd_error *from) {
    if (to == from) return;
    hd_error_clear(to);
    *to = *from; /* with the allocator, which owns the texts */
    hd_error_init(from, from->mem);
}

const char *hd_error_kind_name(hd_error_kind kind) {
    return (unsigned)kind < HD_ERROR_KINDS ? kind_names[kind] : "driver";
}
