/* Kept texts: see write_texts.h. A key holds everything of a shape that write_sql.c looks at, as
 * words in a fixed order; two keys are compared whole, so that a hash may collide. */
#include "write_texts.h"

#include <string.h>

#include "batch.h"

enum { MOST_WORDS = 128, LONGEST = 8192 };

struct hd_write_text {
    uint64_t key_hash, hash;
    size_t key_words, len;
    const hd_entity *entity;
    uint16_t words[]; /* the key, then the text */
};

typedef struct text_key {
    uint64_t hash;
    size_t count; /* 0: such a text is not kept */
    uint16_t words[MOST_WORDS];
} text_key;

void hd_write_texts_init(hd_write_texts *texts, const hd_allocator *mem) {
    memset(texts, 0, sizeof *texts);
    texts->mem = mem;
}

void hd_write_texts_free(hd_write_texts *texts) {
    for (uint32_t i = 0; i < HD_WRITE_TEXTS; i++) hd_free(texts->mem, texts->kept[i]);
    hd_write_texts_init(texts, texts->mem);
}

static void add_words(text_key *key, const uint16_t *words, size_t count) {
    memcpy(key->words + key->count, words, count * sizeof *words);
    key->count += count;
}

static uint16_t flags_of(const hd_write_shape *s) {
    return (uint16_t)(s->versioned | s->guarded << 1 | s->counts << 2 | s->may_exist << 3 |
                      s->keys_fetched << 4 | s->writes_auto_key << 5);
}

static void make_key(text_key *key, const hd_write_shape *s, hd_write_form form, uint32_t rows) {
    bool special = s->expressions || s->how || s->parks || s->reads || s->reset_count;
    uint16_t head[] = {s->op,       (uint16_t)form, (uint16_t)rows, (uint16_t)(rows >> 16),
                       flags_of(s), s->set_count,   s->slot_count,  s->back_count};
    bool any = form == HD_FORM_ARRAYS || form == HD_FORM_WALK;
    if (any) head[2] = head[3] = 0; /* whatever their number */
    const size_t fixed = sizeof head / sizeof *head;
    key->count = 0;
    if (special || fixed + s->slot_count + s->back_count > MOST_WORDS) return;
    add_words(key, head, fixed);
    add_words(key, s->slots, s->slot_count);
    add_words(key, s->back, s->back_count);
    key->hash = hd_sql_hash((const char *)key->words, key->count * sizeof *key->words) ^
                s->entity->id * 0x9E3779B97F4A7C15u;
}

static hd_write_text **place_of(hd_write_texts *texts, const text_key *key) {
    return &texts->kept[(key->hash ^ key->hash >> 32) % HD_WRITE_TEXTS];
}

static bool is_of(const hd_write_text *text, const text_key *key, const hd_entity *entity) {
    return text && text->key_hash == key->hash && text->entity == entity &&
           text->key_words == key->count &&
           memcmp(text->words, key->words, key->count * sizeof *key->words) == 0;
}

bool hd_write_texts_find(hd_write_texts *texts, const hd_write_shape *shape, hd_write_form form,
                         uint32_t rows, hd_arena *arena, hd_statement *out) {
    text_key key;
    if (!texts) return false;
    make_key(&key, shape, form, rows);
    const hd_write_text *text = key.count ? *place_of(texts, &key) : NULL;
    if (!is_of(text, &key, shape->entity)) return false;
    const char *sql =
        hd_arena_copy(arena, (const char *)(text->words + text->key_words), text->len);
    if (!sql) return false;
    out->sql = sql;
    out->sql_len = text->len;
    out->hash = text->hash;
    return true;
}

void hd_write_texts_keep(hd_write_texts *texts, const hd_write_shape *shape, hd_write_form form,
                         uint32_t rows, const hd_statement *statement) {
    text_key key;
    if (!texts || statement->sql_len > LONGEST) return;
    make_key(&key, shape, form, rows);
    if (!key.count) return;
    size_t words = key.count * sizeof *key.words;
    hd_write_text *text = hd_alloc(texts->mem, sizeof *text + words + statement->sql_len);
    if (!text) return;
    text->key_hash = key.hash;
    text->hash = statement->hash;
    text->key_words = key.count;
    text->len = statement->sql_len;
    text->entity = shape->entity;
    memcpy(text->words, key.words, words);
    memcpy(text->words + key.count, statement->sql, statement->sql_len);
    hd_write_text **place = place_of(texts, &key);
    hd_free(texts->mem, *place);
    *place = text;
}
