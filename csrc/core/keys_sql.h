/* Text of the statement that asks for keys of rows that are not inserted yet. */
#ifndef HD_KEYS_SQL_H
#define HD_KEYS_SQL_H

#include "base/buffer.h"
#include "driver.h"
#include "entity.h"

/* True when the statement gives one row with the highest key in use (SQLite's rowid); else it
 * gives one key a row, and its one parameter is how many. */
bool hd_keys_sql_is_base(const hd_dialect *dialect, const hd_entity *entity);
void hd_keys_sql(hd_buffer *out, const hd_dialect *dialect, const hd_entity *entity,
                 uint16_t column);

#endif
