/* Keys before rows. PostgreSQL: the sequence that the column owns, looked up once for each
 * statement (an uncorrelated subquery), never once a row; where the column owns none, every answer
 * is NULL. All of them come as one array. SQLite: the highest rowid, or what AUTOINCREMENT remembers of deleted ones, read under
 * the write lock. Both: the column's default expression, evaluated anew for each row. One
 * statement for each entity: its text stays the same whatever else a flush holds, and a refusal
 * names the entity by the statement's place. */
#include "keys_sql.h"

#include <string.h>

#include "sql_types.h"

static void put_literal(hd_buffer *out, const char *text, size_t len) {
    hd_buffer_char(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'') hd_buffer_char(out, '\'');
        hd_buffer_char(out, text[i]);
    }
    hd_buffer_char(out, '\'');
}

/* What stands before the bare name in the entity's quoted table: "" or "schema". with its dot. */
static size_t schema_length(hd_buffer *scratch, const hd_entity *entity) {
    size_t table = strlen(entity->table);
    hd_buffer_clear(scratch);
    hd_buffer_ident(scratch, entity->table_plain, strlen(entity->table_plain));
    return table > scratch->len ? table - scratch->len : 0;
}

static void highest_rowid(hd_buffer *out, const hd_entity *entity, const hd_column *column) {
    hd_buffer_str(out, entity->autoincrement ? "SELECT max(coalesce((SELECT max("
                                             : "SELECT coalesce((SELECT max(");
    hd_buffer_ident(out, column->name, column->name_len);
    hd_buffer_str(out, ") FROM ");
    hd_buffer_str(out, entity->table);
    hd_buffer_str(out, "), 0)");
    if (!entity->autoincrement) return;
    hd_buffer scratch;
    hd_buffer_init(&scratch, out->mem);
    hd_buffer_str(out, ", coalesce((SELECT max(seq) FROM ");
    hd_buffer_add(out, entity->table, schema_length(&scratch, entity));
    hd_buffer_str(out, "sqlite_sequence WHERE name = ");
    put_literal(out, entity->table_plain, strlen(entity->table_plain));
    hd_buffer_str(out, " COLLATE NOCASE), 0))");
    if (scratch.failed) out->failed = true;
    hd_buffer_free(&scratch);
}

static void each_of_count(hd_buffer *out, const hd_dialect *dialect) {
    hd_buffer_str(out, dialect->row_sequence ? " FROM (WITH RECURSIVE hd_n(n) AS (SELECT 1 UNION "
                                               "ALL SELECT n + 1 FROM hd_n WHERE n < ?1)"
                                               " SELECT n FROM hd_n)"
                                             : " FROM generate_series(1, $1::int4)");
}

bool hd_keys_sql_is_base(const hd_dialect *dialect, const hd_entity *entity) {
    return dialect->row_sequence && entity->key_source == HD_KEY_SEQUENCE;
}

void hd_keys_sql(hd_buffer *out, const hd_dialect *dialect, const hd_entity *entity,
                 uint16_t column_index) {
    const hd_column *column = &entity->columns[column_index];
    if (hd_keys_sql_is_base(dialect, entity)) {
        highest_rowid(out, entity, column);
        return;
    }
    if (entity->key_source == HD_KEY_SEQUENCE) {
        hd_buffer_str(out, "SELECT array_agg(nextval((SELECT pg_get_serial_sequence(");
        put_literal(out, entity->table, strlen(entity->table));
        hd_buffer_str(out, ", ");
        put_literal(out, column->name, column->name_len);
        hd_buffer_str(out, ")::regclass)))");
    } else {
        hd_buffer_str(out, "SELECT (");
        hd_buffer_str(out, column->default_sql);
        hd_buffer_char(out, ')');
        if (!dialect->row_sequence) hd_sql_cast(out, column, "");
    }
    each_of_count(out, dialect);
}
