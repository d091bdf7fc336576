/* JSON documents as trees, for what SQL asks of them: the value at a path, a canonical text, whether
 * one contains another. A tree lives in an arena and borrows from the text that it was read from. */
#ifndef HD_SQLITE_JSON_TREE_H
#define HD_SQLITE_JSON_TREE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json.h"

typedef struct hd_json_node hd_json_node;
struct hd_json_node {
    hd_json_event
        kind; /* NULL, TRUE, FALSE, NUMBER (integers too), STRING, ARRAY_OPEN, OBJECT_OPEN */
    uint32_t position; /* among the members of its object, as written */
    const char *text;  /* of a string decoded, of a number as it is written */
    size_t len;
    const char *key; /* in an object */
    size_t key_len;
    hd_json_node **items; /* of an array; of an object sorted by key, each key once: the last one */
    size_t count;
    hd_json_node *next; /* while it is read */
};

/* The tree of a text; NULL when it is no JSON or there is no memory (*malformed says which). */
hd_json_node *hd_json_tree(hd_arena *arena, const char *text, size_t len, bool *malformed);

/* The value that the steps of an array lead to: a string is a member's name, a number an item's
 * place, from 0 on, or, below 0, from the end on. NULL when there is none. */
const hd_json_node *hd_json_at(const hd_json_node *node, const hd_json_node *path);

/* How decimals are taken that stand in a document as strings. */
typedef enum hd_json_strings { HD_JSON_TEXTS, HD_JSON_DECIMALS } hd_json_strings;

/* One text for all documents that are equal: no blanks, keys sorted, numbers without exponent and
 * without zeros at their end. Out of memory is the buffer's `failed`. */
void hd_json_canonical(const hd_json_node *node, hd_json_strings strings, hd_buffer *out);

/* Whether one document contains another, as PostgreSQL's jsonb @> does. */
bool hd_json_contains(const hd_json_node *node, const hd_json_node *other);

/* Of arrays of scalars, arrays in them taken for their elements; a NULL is equal to nothing. */
bool hd_json_has_all(const hd_json_node *list, const hd_json_node *others, hd_json_strings strings);
bool hd_json_has_any(const hd_json_node *list, const hd_json_node *others, hd_json_strings strings);

#endif
