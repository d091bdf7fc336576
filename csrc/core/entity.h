/* Entity metadata as the core needs it: columns, keys, constraints. Built once from a mapping,
 * then read only (but for what is learned about keys); shared by every entity manager of its
 * context. */
#ifndef HD_ENTITY_H
#define HD_ENTITY_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/value.h"

enum {
    HD_COL_PRIMARY = 1 << 0,
    HD_COL_NULLABLE = 1 << 1,
    HD_COL_AUTO_KEY = 1 << 2,       /* the database generates it (sequence, rowid) when left out */
    HD_COL_SERVER_DEFAULT = 1 << 3, /* default_sql: read back when left out of an INSERT */
    HD_COL_GENERATED = 1 << 4, /* GENERATED ALWAYS AS: never written, read back after every write */
    HD_COL_VERSION = 1 << 5,
    HD_COL_CHECKED = 1 << 6,    /* a CHECK may concern it */
    HD_COL_REFERENCED = 1 << 7, /* foreign keys refer to it, its own table's too */
    HD_COL_RULED = 1 << 8       /* ... and the database acts on what refers when its row goes */
};

typedef struct hd_column {
    const char *name, *property; /* database's and program's */
    size_t name_len, property_len;
    uint16_t flags;
    uint8_t type, element;            /* hd_type; element type of an array */
    int32_t length, precision, scale; /* 0, 0, -1: not given */
    const char *default_sql;          /* NULL: none */
    const char *const *labels;        /* enum */
    uint32_t label_count;
    const char *cast; /* database type name for a custom column type, NULL: hd_type's own */
} hd_column;

typedef enum hd_rule {
    HD_RULE_NONE = 0,
    HD_RULE_RESTRICT,
    HD_RULE_CASCADE,
    HD_RULE_SET_NULL,
    HD_RULE_SET_DEFAULT
} hd_rule;

typedef struct hd_entity hd_entity;

typedef struct hd_foreign_key {
    const uint16_t *columns;        /* of this entity */
    const uint16_t *target_columns; /* of the target, same count */
    uint16_t count;
    const hd_entity *target; /* NULL: not mapped in this context */
    bool nullable;           /* every column may be NULL */
    bool deferrable;         /* PostgreSQL: DEFERRABLE; SQLite: always true (defer_foreign_keys) */
    hd_rule on_delete, on_update;
    const char *name; /* of the constraint; NULL: not known */
} hd_foreign_key;

/* What the condition of a partial key says about a column; NULL satisfies IS_NULL alone. */
typedef enum hd_test_word {
    HD_TEST_EQUAL = 0,
    HD_TEST_OTHER,
    HD_TEST_IS_NULL,
    HD_TEST_NOT_NULL
} hd_test_word;

typedef struct hd_test {
    uint16_t column;
    uint8_t word; /* hd_test_word */
    hd_value value;
} hd_test;

typedef struct hd_unique {
    const uint16_t *columns;
    uint16_t count;
    bool nulls_equal;     /* NULLS NOT DISTINCT */
    const hd_test *tests; /* partial: a row is a member when all of them hold */
    uint16_t test_count;
    bool conditional; /* partial in another way: taken for whole as long as that leaves an order */
    const char *name;
} hd_unique;

/* How the core gets a generated key; the last two are learned at run time and kept here. */
typedef enum hd_key_source {
    HD_KEY_GIVEN = 0,  /* the program's, or a foreign key */
    HD_KEY_SEQUENCE,   /* PostgreSQL: owned sequence; SQLite: rowid under the write lock */
    HD_KEY_EXPRESSION, /* default_sql of the key column, evaluated in the keys statement */
    HD_KEY_RETURNING   /* only the INSERT itself tells: rows one by one, a wave for each level */
} hd_key_source;

struct hd_entity {
    const char *name;        /* "User" */
    const char *table;       /* quoted, with schema: "app"."users" */
    const char *table_plain; /* the table's bare name, unquoted */
    uint32_t id;             /* index in the context */
    uint16_t column_count, key_count, foreign_key_count, unique_count;
    const hd_column *columns;
    const uint16_t *key; /* primary key columns, declared order */
    const hd_foreign_key *foreign_keys;
    const hd_unique *uniques; /* without the primary key */
    int version;              /* column index or -1 */
    int auto_key;             /* the AUTO_KEY column or -1 */
    bool check_rows;          /* false: triggers may swallow rows, counts are not checked */
    bool autoincrement;       /* SQLite: the table has AUTOINCREMENT, sqlite_sequence knows it */
    bool uncopied;            /* learned: its rows are not to be sent by COPY */
    bool sends_keys;          /* learned: its keys are not to be left to SQLite's counting */
    bool steps_rows;          /* learned: updates of its rows do not go in blocks */
    hd_key_source key_source; /* learned: SEQUENCE may become RETURNING */
};

#endif
