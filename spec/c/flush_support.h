/* What the flush's tests share: a small schema as the core sees it, and short ways to gather
 * changes. Header only. */
#ifndef HD_SPEC_FLUSH_SUPPORT_H
#define HD_SPEC_FLUSH_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flush.h"

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof *(array)))
#define MAYBE_UNUSED    __attribute__((unused))

/* ---- schema ------------------------------------------------------------------------------ */

#define COLUMN(n, t, f)                                                                            \
    {                                                                                              \
        .name = n, .property = n, .name_len = sizeof n - 1, .property_len = sizeof n - 1,          \
        .flags = f, .type = t, .scale = -1                                                         \
    }
#define KEY_COLUMN(t) COLUMN("id", t, HD_COL_PRIMARY | HD_COL_AUTO_KEY)

static const uint16_t col0[] = {0}, col1[] = {1}, col2[] = {2}, cols01[] = {0, 1},
                      cols12[] = {1, 2};

enum { ID = 0 };

/* author (id, name, version) */
enum { AUTHOR_NAME = 1, AUTHOR_VERSION };
static const hd_column author_columns[] = {KEY_COLUMN(HD_T_INTEGER), COLUMN("name", HD_T_STRING, 0),
                                           COLUMN("version", HD_T_INTEGER, HD_COL_VERSION)};
/* book (id, title unique, author_id -> author, note) */
enum { BOOK_TITLE = 1, BOOK_AUTHOR, BOOK_NOTE };
static const hd_column book_columns[] = {KEY_COLUMN(HD_T_BIGINT), COLUMN("title", HD_T_STRING, 0),
                                         COLUMN("author_id", HD_T_INTEGER, 0),
                                         COLUMN("note", HD_T_TEXT, HD_COL_NULLABLE)};
/* node (id, parent_id -> node, name): a tree; ring (id, next_id -> ring): NOT NULL */
enum { NODE_PARENT = 1, NODE_NAME };
static const hd_column node_columns[] = {KEY_COLUMN(HD_T_INTEGER),
                                         COLUMN("parent_id", HD_T_INTEGER, HD_COL_NULLABLE),
                                         COLUMN("name", HD_T_STRING, 0)};
static const hd_column ring_columns[] = {KEY_COLUMN(HD_T_INTEGER),
                                         COLUMN("next_id", HD_T_INTEGER, 0)};
/* pair (a, b, value): composite key */
enum { PAIR_A = 0, PAIR_B, PAIR_VALUE };
static const hd_column pair_columns[] = {COLUMN("a", HD_T_INTEGER, HD_COL_PRIMARY),
                                         COLUMN("b", HD_T_STRING, HD_COL_PRIMARY),
                                         COLUMN("value", HD_T_DECIMAL, 0)};
/* doc (id uuid by default_sql, body, size by default_sql, twice generated, marks array on
 * PostgreSQL) */
enum { DOC_BODY = 1, DOC_SIZE, DOC_TWICE, DOC_MARKS };
static hd_column doc_columns[] = {
    COLUMN("id", HD_T_UUID, HD_COL_PRIMARY | HD_COL_SERVER_DEFAULT),
    COLUMN("body", HD_T_JSON, HD_COL_NULLABLE), COLUMN("size", HD_T_INTEGER, HD_COL_SERVER_DEFAULT),
    COLUMN("twice", HD_T_INTEGER, HD_COL_GENERATED), COLUMN("marks", HD_T_ARRAY, HD_COL_NULLABLE)};
/* team (id, lead_id -> person, nullable), person (id, team_id -> team): a cycle with a nullable
 * link */
static const hd_column team_columns[] = {KEY_COLUMN(HD_T_INTEGER),
                                         COLUMN("lead_id", HD_T_INTEGER, HD_COL_NULLABLE)};
static const hd_column person_columns[] = {KEY_COLUMN(HD_T_INTEGER),
                                           COLUMN("team_id", HD_T_INTEGER, 0)};
/* yin (id, yang_id), yang (id, yin_id): a cycle that is NOT NULL both ways */
static const hd_column yin_columns[] = {KEY_COLUMN(HD_T_INTEGER),
                                        COLUMN("yang_id", HD_T_INTEGER, 0)};
static const hd_column yang_columns[] = {KEY_COLUMN(HD_T_INTEGER),
                                         COLUMN("yin_id", HD_T_INTEGER, 0)};

static hd_entity author, book, node, ring, pair_entity, doc, team, person, yin, yang;
static hd_foreign_key book_fks[1], node_fks[1], ring_fks[1], team_fks[1], person_fks[1], yin_fks[1],
    yang_fks[1];
static hd_unique book_uniques[1];

static hd_entity make_entity(uint32_t id, const char *name, const char *table, const char *plain,
                             const hd_column *columns, size_t count) {
    return (hd_entity){.name = name,
                       .table = table,
                       .table_plain = plain,
                       .id = id,
                       .column_count = (uint16_t)count,
                       .key_count = 1,
                       .columns = columns,
                       .key = col0,
                       .version = -1,
                       .auto_key = 0,
                       .check_rows = true,
                       .autoincrement = true,
                       .key_source = HD_KEY_SEQUENCE};
}

#define ENTITY(id, name, table)                                                                    \
    make_entity(id, #name, "\"" table "\"", table, name##_columns, COUNT_OF(name##_columns))

static void refer(hd_entity *from, hd_foreign_key *fk, const uint16_t *column, const hd_entity *to,
                  bool nullable) {
    *fk = (hd_foreign_key){.columns = column,
                           .target_columns = col0,
                           .count = 1,
                           .target = to,
                           .nullable = nullable,
                           .deferrable = true,
                           .name = "fk"};
    from->foreign_keys = fk;
    from->foreign_key_count = 1;
}

/* A fresh schema: nothing learned yet. */
MAYBE_UNUSED static int make_schema(void **state) {
    (void)state;
    author = ENTITY(0, author, "authors");
    author.version = AUTHOR_VERSION;
    book = ENTITY(1, book, "books");
    refer(&book, book_fks, col2, &author, false);
    book_fks[0].name = "books_author_id_fkey";
    book_uniques[0] = (hd_unique){.columns = col1, .count = 1, .name = "books_title_key"};
    book.uniques = book_uniques;
    book.unique_count = 1;
    node = ENTITY(2, node, "nodes");
    refer(&node, node_fks, col1, &node, true);
    ring = ENTITY(3, ring, "rings");
    refer(&ring, ring_fks, col1, &ring, false);
    pair_entity = ENTITY(4, pair, "pairs");
    pair_entity.key = cols01;
    pair_entity.key_count = 2;
    pair_entity.auto_key = -1;
    pair_entity.key_source = HD_KEY_GIVEN;
    doc = ENTITY(5, doc, "docs");
    doc.auto_key = -1;
    doc.key_source = HD_KEY_EXPRESSION;
    team = ENTITY(6, team, "teams");
    person = ENTITY(7, person, "people");
    refer(&team, team_fks, col1, &person, true);
    refer(&person, person_fks, col1, &team, false);
    yin = ENTITY(8, yin, "yins");
    yang = ENTITY(9, yang, "yangs");
    refer(&yin, yin_fks, col1, &yang, false);
    refer(&yang, yang_fks, col1, &yin, false);
    return 0;
}

/* ---- changes ----------------------------------------------------------------------------- */

MAYBE_UNUSED static hd_value text_value(const char *text) {
    return hd_bytes(HD_TEXT, text, strlen(text), HD_T_STRING);
}

MAYBE_UNUSED static hd_value int_value(int64_t i) {
    return hd_int(i, HD_T_INTEGER);
}

MAYBE_UNUSED static hd_value key_of(const hd_change *change) {
    hd_value v = {.kind = HD_PENDING, .as.i = change->index};
    return v;
}

MAYBE_UNUSED static void *keep_bytes(hd_arena *arena, const void *bytes, size_t size) {
    void *copy = hd_arena_alloc(arena, size);
    assert_non_null(copy);
    return memcpy(copy, bytes, size);
}

/* A text of its own in the flush's arena: "name7". */
MAYBE_UNUSED static hd_value numbered(hd_flush *flush, const char *stem, int64_t n) {
    char text[64];
    int len = snprintf(text, sizeof text, "%s%lld", stem, (long long)n);
    return hd_bytes(HD_TEXT, hd_arena_copy(hd_flush_arena(flush), text, (size_t)len), (size_t)len,
                    HD_T_STRING);
}

static hd_change *add_change(hd_flush *flush, hd_change_op op, hd_entity *entity) {
    hd_change *change = hd_flush_add(flush, op, entity, hd_flush_count(flush));
    assert_non_null(change);
    return change;
}

MAYBE_UNUSED static hd_change *insert_author(hd_flush *flush, const char *name) {
    hd_change *change = add_change(flush, HD_INSERT, &author);
    change->set[AUTHOR_NAME] = text_value(name);
    return change;
}

MAYBE_UNUSED static hd_change *insert_book(hd_flush *flush, hd_value title, hd_value author_id) {
    hd_change *change = add_change(flush, HD_INSERT, &book);
    change->set[BOOK_TITLE] = title;
    change->set[BOOK_AUTHOR] = author_id;
    change->set[BOOK_NOTE] = hd_null();
    return change;
}

MAYBE_UNUSED static hd_change *insert_node(hd_flush *flush, hd_value parent) {
    hd_change *change = add_change(flush, HD_INSERT, &node);
    change->set[NODE_PARENT] = parent;
    change->set[NODE_NAME] = text_value("n");
    return change;
}

/* `column` = before ? after */
MAYBE_UNUSED static void express(hd_flush *flush, hd_change *change, uint16_t column,
                                 const char *before, hd_value param, const char *after) {
    hd_arena *arena = hd_flush_arena(flush);
    hd_value texts[2] = {text_value(before), text_value(after)};
    hd_expression x = {keep_bytes(arena, texts, sizeof texts),
                       keep_bytes(arena, &param, sizeof param), 1};
    assert_true(hd_flush_express(flush, change, column, keep_bytes(arena, &x, sizeof x)));
}

/* A row of "pairs" without instance. */
MAYBE_UNUSED static hd_change *pair_row(hd_flush *flush, hd_change_op op, hd_value a,
                                        const char *b) {
    hd_change *change = hd_flush_add(flush, op, &pair_entity, HD_NO_SLOT);
    assert_non_null(change);
    hd_value *row = op == HD_INSERT ? change->set : change->old;
    change->flags = op == HD_INSERT ? HD_CHANGE_MAY_EXIST : HD_CHANGE_MAY_MISS;
    row[PAIR_A] = a;
    row[PAIR_B] = text_value(b);
    if (op == HD_INSERT) row[PAIR_VALUE] = hd_bytes(HD_DECIMAL, "1.00", 4, HD_T_DECIMAL);
    return change;
}

MAYBE_UNUSED static hd_change *update_row(hd_flush *flush, hd_entity *entity, int64_t id) {
    hd_change *change = add_change(flush, HD_UPDATE, entity);
    change->old[ID] = hd_int(id, (hd_type)entity->columns[ID].type);
    return change;
}

MAYBE_UNUSED static hd_change *delete_row(hd_flush *flush, hd_entity *entity, int64_t id) {
    hd_change *change = add_change(flush, HD_DELETE, entity);
    change->old[ID] = hd_int(id, (hd_type)entity->columns[ID].type);
    return change;
}

MAYBE_UNUSED static hd_change *rename_author(hd_flush *flush, int64_t id, int64_t version,
                                             const char *name) {
    hd_change *change = update_row(flush, &author, id);
    change->old[AUTHOR_VERSION] = int_value(version);
    change->set[AUTHOR_NAME] = text_value(name);
    return change;
}

MAYBE_UNUSED static hd_change *retitle_book(hd_flush *flush, int64_t id, const char *from,
                                            const char *to) {
    hd_change *change = update_row(flush, &book, id);
    change->old[BOOK_TITLE] = text_value(from);
    change->set[BOOK_TITLE] = text_value(to);
    return change;
}

#endif
