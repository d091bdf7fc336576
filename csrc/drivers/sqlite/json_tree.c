/* SQLite keeps json as the text that some program wrote: members in any order, numbers in any form,
 * characters escaped or not. Its own functions compare such texts, and names in paths, byte by byte.
 * So documents are read into trees here, which compare as PostgreSQL's jsonb does: numbers by their
 * value and exactly, members by name, the last of two that have one name.
 *
 * Depth is bounded by the reader (HD_JSON_DEPTH), so recursion is. */
#include "json_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* ---- reading ---- */

typedef struct level {
    hd_json_node *node, *first, *last;
    const char *key; /* of the member that comes next */
    size_t key_len;
} level;

typedef struct builder {
    hd_arena *arena;
    hd_json_reader reader;
    const char *text, *end;
    level levels[HD_JSON_DEPTH + 1];
    int depth;
    hd_json_node *root;
    bool no_memory;
} builder;

/* A text that was decoded is the reader's, until its next event. */
static const char *kept(builder *b) {
    if (b->reader.text >= b->text && b->reader.text <= b->end) return b->reader.text;
    const char *copy = hd_arena_copy(b->arena, b->reader.text, b->reader.len);
    b->no_memory = b->no_memory || !copy;
    return copy;
}

static hd_json_node *new_node(builder *b, hd_json_event kind) {
    hd_json_node *node = hd_arena_zero(b->arena, sizeof *node);
    if (!node) {
        b->no_memory = true;
        return NULL;
    }
    node->kind = kind == HD_JSON_INTEGER ? HD_JSON_NUMBER : kind;
    if (node->kind == HD_JSON_NUMBER || node->kind == HD_JSON_STRING) {
        node->text = kept(b);
        node->len = b->reader.len;
    }
    if (b->depth == 0) {
        b->root = node;
        return node;
    }
    level *in = &b->levels[b->depth];
    node->key = in->key;
    node->key_len = in->key_len;
    node->position = (uint32_t)in->node->count++;
    if (in->last)
        in->last->next = node;
    else
        in->first = node;
    in->last = node;
    return node;
}

static int compare_bytes(const char *a, size_t alen, const char *b, size_t blen) {
    int order = alen && blen ? memcmp(a, b, alen < blen ? alen : blen) : 0;
    return order ? order : (alen > blen) - (alen < blen);
}

static int by_key(const void *a, const void *b) {
    const hd_json_node *x = *(hd_json_node *const *)a, *y = *(hd_json_node *const *)b;
    int order = compare_bytes(x->key, x->key_len, y->key, y->key_len);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

static bool same_key(const hd_json_node *a, const char *key, size_t len) {
    return compare_bytes(a->key, a->key_len, key, len) == 0;
}

static void close_container(builder *b) {
    level *in = &b->levels[b->depth--];
    hd_json_node *node = in->node;
    node->items = hd_arena_alloc(b->arena, (node->count + 1) * sizeof(hd_json_node *));
    if (!node->items) {
        b->no_memory = true;
        return;
    }
    size_t count = 0;
    for (hd_json_node *item = in->first; item; item = item->next) node->items[count++] = item;
    if (node->kind == HD_JSON_ARRAY_OPEN || count < 2) return;
    qsort(node->items, count, sizeof(hd_json_node *), by_key);
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        hd_json_node *item = node->items[i];
        if (i + 1 < count && same_key(item, node->items[i + 1]->key, node->items[i + 1]->key_len))
            continue;
        node->items[left++] = item;
    }
    node->count = left;
}

static void take(builder *b, hd_json_event event) {
    level *in = &b->levels[b->depth];
    hd_json_node *node;
    switch (event) {
    case HD_JSON_KEY:
        in->key = kept(b);
        in->key_len = b->reader.len;
        return;
    case HD_JSON_ARRAY_CLOSE:
    case HD_JSON_OBJECT_CLOSE:
        close_container(b);
        return;
    case HD_JSON_ARRAY_OPEN:
    case HD_JSON_OBJECT_OPEN:
        node = new_node(b, event);
        b->levels[++b->depth] = (level){.node = node};
        return;
    default:
        new_node(b, event);
        return;
    }
}

hd_json_node *hd_json_tree(hd_arena *arena, const char *text, size_t len, bool *malformed) {
    builder build, *b = &build; /* levels are set when they are opened */
    b->arena = arena;
    b->text = text;
    b->end = text + len;
    b->depth = 0;
    b->root = NULL;
    b->no_memory = false;
    hd_json_read(&b->reader, text, len, arena->mem);
    hd_json_event event = hd_json_next(&b->reader);
    while (event != HD_JSON_END && event != HD_JSON_ERROR && !b->no_memory) {
        take(b, event);
        event = hd_json_next(&b->reader);
    }
    *malformed = event == HD_JSON_ERROR && !b->reader.scratch.failed;
    hd_json_node *root = event == HD_JSON_END && !b->no_memory ? b->root : NULL;
    hd_json_reader_free(&b->reader);
    return root;
}

/* ---- paths ---- */

static const hd_json_node *member(const hd_json_node *object, const char *key, size_t len) {
    size_t low = 0, high = object->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const hd_json_node *item = object->items[middle];
        int order = compare_bytes(item->key, item->key_len, key, len);
        if (order == 0) return item;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const hd_json_node *item_at(const hd_json_node *array, const hd_json_node *step) {
    int64_t place;
    if (hd_integer_parse(step->text, step->len, &place) != 0) return NULL;
    if (place < 0) place += (int64_t)array->count;
    return place >= 0 && place < (int64_t)array->count ? array->items[place] : NULL;
}

const hd_json_node *hd_json_at(const hd_json_node *node, const hd_json_node *path) {
    for (size_t i = 0; node && i < path->count; i++) {
        const hd_json_node *step = path->items[i];
        if (step->kind == HD_JSON_STRING && node->kind == HD_JSON_OBJECT_OPEN)
            node = member(node, step->text, step->len);
        else if (step->kind == HD_JSON_NUMBER && node->kind == HD_JSON_ARRAY_OPEN)
            node = item_at(node, step);
        else
            return NULL;
    }
    return node;
}

/* ---- canonical text ---- */

/* A number without exponent and without zeros at its end; false for what is no number. */
static bool put_decimal(hd_buffer *out, const char *text, size_t len) {
    size_t before = out->len, n, cap = len + 400; /* an exponent stands for 325 digits at most */
    char *room = hd_buffer_room(out, cap);
    if (!room) return true; /* the buffer knows */
    if (hd_decimal_normalize(text, len, 0, -1, room, cap, &n) != HD_DECIMAL_OK) {
        out->len = before;
        return false;
    }
    if (memchr(room, '.', n)) {
        while (room[n - 1] == '0') n--;
        if (room[n - 1] == '.') n--;
    }
    out->len = before + n;
    return true;
}

static void put_string(hd_buffer *out, const char *text, size_t len) {
    hd_json_writer writer;
    hd_json_write(&writer, out);
    hd_json_put_string(&writer, text, len);
}

static void put_text(const hd_json_node *node, hd_json_strings strings, hd_buffer *out) {
    size_t before = out->len;
    if (strings == HD_JSON_DECIMALS) {
        hd_buffer_char(out, '"');
        if (put_decimal(out, node->text, node->len)) {
            hd_buffer_char(out, '"');
            return;
        }
        out->len = before;
    }
    put_string(out, node->text, node->len);
}

static void put_items(const hd_json_node *node, hd_json_strings strings, hd_buffer *out) {
    bool object = node->kind == HD_JSON_OBJECT_OPEN;
    hd_buffer_char(out, object ? '{' : '[');
    for (size_t i = 0; i < node->count; i++) {
        if (i) hd_buffer_char(out, ',');
        if (object) {
            put_string(out, node->items[i]->key, node->items[i]->key_len);
            hd_buffer_char(out, ':');
        }
        hd_json_canonical(node->items[i], strings, out);
    }
    hd_buffer_char(out, object ? '}' : ']');
}

void hd_json_canonical(const hd_json_node *node, hd_json_strings strings, hd_buffer *out) {
    switch (node->kind) {
    case HD_JSON_NUMBER:
        put_decimal(out, node->text, node->len);
        return;
    case HD_JSON_STRING:
        put_text(node, strings, out);
        return;
    case HD_JSON_ARRAY_OPEN:
    case HD_JSON_OBJECT_OPEN:
        put_items(node, strings, out);
        return;
    default:
        hd_buffer_str(out, node->kind == HD_JSON_TRUE    ? "true"
                           : node->kind == HD_JSON_FALSE ? "false"
                                                         : "null");
    }
}

/* ---- containment ---- */

static bool is_scalar(const hd_json_node *node) {
    return node->kind != HD_JSON_ARRAY_OPEN && node->kind != HD_JSON_OBJECT_OPEN;
}

static bool same_scalar(const hd_json_node *a, const hd_json_node *b, hd_json_strings strings) {
    if (a->kind != b->kind) return false;
    if (a->kind == HD_JSON_NUMBER || (a->kind == HD_JSON_STRING && strings == HD_JSON_DECIMALS))
        return hd_decimal_compare(a->text, a->len, b->text, b->len) == 0;
    return a->kind != HD_JSON_STRING || compare_bytes(a->text, a->len, b->text, b->len) == 0;
}

static bool contains_container(const hd_json_node *node, const hd_json_node *other);

static bool contains_value(const hd_json_node *node, const hd_json_node *other) {
    if (is_scalar(other)) return same_scalar(node, other, HD_JSON_TEXTS);
    return !is_scalar(node) && contains_container(node, other);
}

static bool some_item_contains(const hd_json_node *array, const hd_json_node *other) {
    for (size_t i = 0; i < array->count; i++) {
        if (contains_value(array->items[i], other)) return true;
    }
    return false;
}

static bool contains_container(const hd_json_node *node, const hd_json_node *other) {
    if (node->kind != other->kind) return false;
    for (size_t i = 0; i < other->count; i++) {
        const hd_json_node *wanted = other->items[i];
        if (node->kind == HD_JSON_OBJECT_OPEN) {
            const hd_json_node *found = member(node, wanted->key, wanted->key_len);
            if (!found || !contains_value(found, wanted)) return false;
        } else if (!some_item_contains(node, wanted)) {
            return false;
        }
    }
    return true;
}

/* At the root an array may contain a value that is none. */
bool hd_json_contains(const hd_json_node *node, const hd_json_node *other) {
    if (is_scalar(other) && node->kind == HD_JSON_ARRAY_OPEN)
        return some_item_contains(node, other);
    return contains_value(node, other);
}

/* ---- arrays ---- */

static bool has(const hd_json_node *list, const hd_json_node *value, hd_json_strings strings) {
    for (size_t i = 0; i < list->count; i++) {
        const hd_json_node *item = list->items[i];
        if (is_scalar(item) ? same_scalar(item, value, strings) : has(item, value, strings))
            return true;
    }
    return false;
}

bool hd_json_has_all(const hd_json_node *list, const hd_json_node *others,
                     hd_json_strings strings) {
    for (size_t i = 0; i < others->count; i++) {
        const hd_json_node *wanted = others->items[i];
        if (!is_scalar(wanted)) {
            if (!hd_json_has_all(list, wanted, strings)) return false;
        } else if (wanted->kind == HD_JSON_NULL || !has(list, wanted, strings)) {
            return false;
        }
    }
    return true;
}

bool hd_json_has_any(const hd_json_node *list, const hd_json_node *others,
                     hd_json_strings strings) {
    for (size_t i = 0; i < others->count; i++) {
        const hd_json_node *wanted = others->items[i];
        if (is_scalar(wanted) ? wanted->kind != HD_JSON_NULL && has(list, wanted, strings)
                              : hd_json_has_any(list, wanted, strings))
            return true;
    }
    return false;
}
