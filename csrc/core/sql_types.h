/* Casts in the text of statements. */
#ifndef HD_SQL_TYPES_H
#define HD_SQL_TYPES_H

#include "base/buffer.h"
#include "entity.h"

/* Appends "::int4" and `suffix` ("[]" for an array of such values); nothing for a type that only
 * the server knows. */
void hd_sql_cast(hd_buffer *out, const hd_column *column, const char *suffix);

#endif
