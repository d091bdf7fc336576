/* PostgreSQL's names of the contract's types. A parameter is cast to its column's type, so that an
 * index can be used and arrays of it can be unnested. */
#include "sql_types.h"

static const char *const sql_types[HD_TYPES] = {
    [HD_T_SMALLINT] = "int2",
    [HD_T_INTEGER] = "int4",
    [HD_T_BIGINT] = "int8",
    [HD_T_FLOAT] = "float8",
    [HD_T_DOUBLE] = "float8",
    [HD_T_DECIMAL] = "numeric",
    [HD_T_STRING] = "text",
    [HD_T_TEXT] = "text",
    [HD_T_BOOLEAN] = "bool",
    [HD_T_UUID] = "uuid",
    [HD_T_JSON] = "jsonb",
    [HD_T_DATE] = "date",
    [HD_T_TIMESTAMP] = "timestamptz",
    [HD_T_TIME] = "time",
    [HD_T_BLOB] = "bytea",
    [HD_T_ENUM] = "text",
};

/* Each has one binary form; decimals, dates and times are sent as text. */
static const char *const copied_types[HD_TYPES] = {
    [HD_T_SMALLINT] = "int2",
    [HD_T_INTEGER] = "int4",
    [HD_T_BIGINT] = "int8",
    [HD_T_FLOAT] = "float8",
    [HD_T_DOUBLE] = "float8",
    [HD_T_STRING] = "text,varchar,bpchar",
    [HD_T_TEXT] = "text,varchar,bpchar",
    [HD_T_BOOLEAN] = "bool",
    [HD_T_UUID] = "uuid",
    [HD_T_JSON] = "jsonb",
    [HD_T_TIMESTAMP] = "timestamptz",
    [HD_T_BLOB] = "bytea",
    [HD_T_ENUM] = "text,varchar,bpchar",
};

const char *hd_sql_copied_types(const hd_column *column) {
    return column->cast ? NULL : copied_types[column->type];
}

void hd_sql_cast(hd_buffer *out, const hd_column *column, const char *suffix) {
    const char *name = column->cast
                           ? column->cast
                           : sql_types[column->type == HD_T_ARRAY ? column->element : column->type];
    if (!name) return;
    hd_buffer_str(out, "::");
    hd_buffer_str(out, name);
    if (column->type == HD_T_ARRAY && !column->cast) hd_buffer_str(out, "[]");
    hd_buffer_str(out, suffix);
}
