/* The one error record. Filled where the fault is met, carried up untouched, turned into a Lua error
 * in one place. `message` is Heddle's own words and never holds a bound value; what the server said
 * stands in detail, hint and cause. */
#ifndef HD_ERROR_H
#define HD_ERROR_H

#include <stdint.h>

#include "alloc.h"

/* Kinds, in the contract's order and spelling (see hd_error_kind_name). 0 is success. */
typedef enum hd_error_kind {
    HD_OK = 0,
    HD_E_CONFIG,
    HD_E_DUPLICATE_CONTEXT,
    HD_E_CONTEXT_NOT_FOUND,
    HD_E_NO_REQUEST_CONTEXT,
    HD_E_GLOBAL_CONTEXT,
    HD_E_ENTITY_NOT_REGISTERED,
    HD_E_METADATA,
    HD_E_UNKNOWN_PROPERTY,
    HD_E_VALIDATION,
    HD_E_NOT_FOUND,
    HD_E_NOT_LOADED,
    HD_E_NOT_MANAGED,
    HD_E_WRONG_CONTEXT,
    HD_E_CONNECTION,
    HD_E_POOL_TIMEOUT,
    HD_E_UNIQUE_VIOLATION,
    HD_E_FOREIGN_KEY_VIOLATION,
    HD_E_NOT_NULL_VIOLATION,
    HD_E_CHECK_VIOLATION,
    HD_E_SYNTAX,
    HD_E_TABLE_NOT_FOUND,
    HD_E_DEADLOCK,
    HD_E_LOCK_TIMEOUT,
    HD_E_SERIALIZATION_FAILURE,
    HD_E_TIMEOUT,
    HD_E_CANCELED,
    HD_E_OPTIMISTIC_LOCK,
    HD_E_TRANSACTION_REQUIRED,
    HD_E_READ_ONLY,
    HD_E_BUSY,
    HD_E_COMMIT_ORDER,
    HD_E_HOOK,
    HD_E_UNSUPPORTED,
    HD_E_MIGRATION,
    HD_E_CLOSED,
    HD_E_DRIVER,
    HD_ERROR_KINDS
} hd_error_kind;

/* What is known of the transaction that the error ended (F4). */
typedef enum hd_outcome {
    HD_OUTCOME_NONE = 0, /* nothing was committed by the failed action */
    HD_OUTCOME_UNKNOWN   /* the connection was lost while a commit was under way */
} hd_outcome;

typedef struct hd_error {
    const hd_allocator *mem;
    hd_error_kind kind;
    hd_outcome outcome;
    char sqlstate[6];  /* "" where the driver has none */
    int native;        /* the driver's own code (SQLite's extended result code) */
    int32_t statement; /* index in the batch, -1 unknown */
    int64_t row;       /* which execution of a repeated statement, -1 unknown */
    /* Owned copies, NULL when absent. */
    char *message, *constraint, *schema, *table, *column, *detail, *hint, *cause, *sql;
} hd_error;

void hd_error_init(hd_error *err, const hd_allocator *mem);
void hd_error_clear(hd_error *err); /* frees the texts; back to the state after init */
/* Clears, then sets kind and formatted message; gives the kind, for `return hd_error_set(...)`.
 * Out of memory leaves message NULL, never the kind unset. */
hd_error_kind hd_error_set(hd_error *err, hd_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Kind driver, allocates nothing: message stays NULL, which whoever words it reads as "out of memory". */
hd_error_kind hd_error_memory(hd_error *err);
/* Replaces one text field (field is &err->detail and so on); text NULL empties it. */
void hd_error_text(hd_error *err, char **field, const char *text, size_t len);
void hd_error_move(hd_error *to, hd_error *from);   /* `to` cleared, `from` emptied */
const char *hd_error_kind_name(hd_error_kind kind); /* "unique_violation" */

#endif
