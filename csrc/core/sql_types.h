/* Casts in the text of statements. */
#ifndef HD_SQL_TYPES_H
#define HD_SQL_TYPES_H

#include "base/buffer.h"
#include "entity.h"

/* Appends "::int4" and `suffix` ("[]" for an array of such values); nothing for a type that only
 * the server knows. */
void hd_sql_cast(hd_buffer *out, const hd_column *column, const char *suffix);

/* The server's types, separated by commas, into whose columns COPY takes the column's values in the
 * binary form in which they are sent. NULL: none. */
const char *hd_sql_copied_types(const hd_column *column);

#endif
