/* Spare values. A row that is parked must hold, in one column of a unique key, what no other row
 * holds. The columns of the key are weighed:
 *
 *   a nullable one takes NULL;
 *   an integer, decimal, date or timestamp goes below the least of its table. PostgreSQL finds that
 *   in the statement itself. A primary key's column cannot: the row is addressed by it afterwards,
 *   so its value has to be known here, and is a random one far below zero;
 *   a text, uuid or blob takes random bytes; a text too short for those takes characters of
 *   Unicode's private planes, which no other text begins with;
 *   SQLite stores any value in any column, so it takes sixteen random bytes everywhere, but for a
 *   rowid, which is an integer.
 *
 * A foreign key's column, and one that is referred to, need the checks of foreign keys deferred
 * meanwhile. A column that a CHECK may concern is spare on SQLite only, which can be told to
 * overlook them. Nothing is left of a boolean, an enum, or a type that only the server knows. */
#include "spare.h"

#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { HEX = 32, SHORT = 16, PRIVATE = 0xFFFE };

/* ---- kinds ---- */

static hd_spare_kind kind_on_server(const hd_column *column) {
    bool in_key = column->flags & HD_COL_PRIMARY;
    if (column->cast || column->label_count) return HD_SPARE_NONE;
    switch (column->type) {
    case HD_T_SMALLINT:
    case HD_T_INTEGER:
    case HD_T_BIGINT:
        return in_key ? HD_SPARE_VALUE : HD_SPARE_BELOW;
    case HD_T_DECIMAL:
    case HD_T_DATE:
    case HD_T_TIMESTAMP:
        return in_key ? HD_SPARE_NONE : HD_SPARE_BELOW;
    case HD_T_STRING:
    case HD_T_TEXT:
    case HD_T_UUID:
        return HD_SPARE_VALUE;
    case HD_T_BLOB:
        return column->length && column->length < SHORT ? HD_SPARE_NONE : HD_SPARE_VALUE;
    default:
        return HD_SPARE_NONE;
    }
}

/* ---- foreign keys ---- */

static bool is_in(const uint16_t *columns, uint16_t count, uint16_t column) {
    for (uint16_t i = 0; i < count; i++) {
        if (columns[i] == column) return true;
    }
    return false;
}

typedef struct ties {
    bool refers, immediate; /* part of a foreign key; of one that cannot wait */
} ties;

static ties ties_of(const hd_entity *e, uint16_t column) {
    ties t = {false, false};
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        const hd_foreign_key *fk = &e->foreign_keys[k];
        if (!is_in(fk->columns, fk->count, column)) continue;
        t.refers = true;
        if (!fk->deferrable) t.immediate = true;
    }
    return t;
}

/* ---- choice ---- */

/* The lower, the better. */
enum { WITH_NULL = 0, WITH_VALUE = 8, WITH_DEFERRAL = 16, AGAINST_CHECK = 24, NEVER = 32 };
enum { UNTOUCHED = 1, IN_KEY = 2 };

static int weigh(const hd_dialect *dialect, const hd_entity *e, uint16_t column, bool nulls_equal,
                 hd_spare *out) {
    const hd_column *c = &e->columns[column];
    const bool anything = dialect->row_sequence;
    bool checked = (c->flags & HD_COL_CHECKED) && !anything;
    ties t = ties_of(e, column);
    *out = (hd_spare){.column = column, .kind = HD_SPARE_VALUE};
    if (c->flags & HD_COL_GENERATED) return NEVER;
    if ((c->flags & HD_COL_NULLABLE) && !nulls_equal) {
        out->is_null = true;
        out->defers = c->flags & HD_COL_REFERENCED;
        return checked ? AGAINST_CHECK : WITH_NULL;
    }
    if (!anything) out->kind = (uint8_t)kind_on_server(c);
    if (out->kind == HD_SPARE_NONE || checked || (t.immediate && !anything)) return NEVER;
    out->defers = t.refers || (c->flags & HD_COL_REFERENCED);
    return out->defers ? WITH_DEFERRAL : WITH_VALUE;
}

hd_spare hd_spare_choose(const hd_dialect *dialect, const hd_unique *unique,
                         const hd_write *taker) {
    const hd_entity *e = taker->change->entity;
    const uint16_t *columns = unique ? unique->columns : e->key;
    uint16_t count = unique ? unique->count : e->key_count;
    hd_spare best = {.column = -1}, spare;
    int least = NEVER;
    for (uint16_t i = 0; i < count; i++) {
        int weight = weigh(dialect, e, columns[i], unique && unique->nulls_equal, &spare);
        if (weight == NEVER) continue;
        if (!hd_write_sets(taker, columns[i])) weight += UNTOUCHED;
        if (e->columns[columns[i]].flags & HD_COL_PRIMARY) weight += IN_KEY;
        if (weight >= least) continue;
        least = weight;
        best = spare;
    }
    return best;
}

/* ---- values ---- */

static uint64_t next_random(hd_spare_source *source) { /* splitmix64 */
    if (!source->random && getentropy(&source->random, sizeof source->random) != 0)
        source->random = (uint64_t)(uintptr_t)source;
    uint64_t z = source->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* The first of a row of values somewhere in the lower part of the type's range. */
static int64_t low_integer(hd_spare_source *source, hd_type type) {
    if (!source->next) source->next = next_random(source) >> 1 | 1;
    uint64_t n = source->next++;
    if (type == HD_T_SMALLINT) return INT16_MIN + (int64_t)(n & 0x3FFF);
    if (type == HD_T_INTEGER) return INT32_MIN + (int64_t)(n & 0x3FFFFFFF);
    return INT64_MIN + (int64_t)(n & 0x3FFFFFFFFFFFFFFF);
}

static void random_bytes(hd_spare_source *source, unsigned char out[SHORT]) {
    uint64_t words[2] = {next_random(source), next_random(source)};
    memcpy(out, words, SHORT);
}

static hd_value hex_text(hd_arena *arena, hd_spare_source *source, size_t len) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[SHORT];
    char text[HEX];
    random_bytes(source, bytes);
    for (int i = 0; i < HEX; i++) text[i] = digits[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
    return hd_bytes(HD_TEXT, hd_arena_copy(arena, text, len), len, HD_T_TEXT);
}

/* `count` characters of U+F0000 to U+FFFFD; the first is another each time. */
static hd_value private_text(hd_arena *arena, hd_spare_source *source, int count) {
    char *text = hd_arena_alloc(arena, (size_t)count * 4);
    if (!source->next) source->next = next_random(source) >> 1 | 1;
    for (int i = 0; text && i < count; i++) {
        uint32_t c = 0xF0000 + (uint32_t)((i ? next_random(source) : source->next++) % PRIVATE);
        text[4 * i] = (char)0xF3;
        text[4 * i + 1] = (char)(0x80 | (c >> 12 & 0x3F));
        text[4 * i + 2] = (char)(0x80 | (c >> 6 & 0x3F));
        text[4 * i + 3] = (char)(0x80 | (c & 0x3F));
    }
    return hd_bytes(HD_TEXT, text, (size_t)count * 4, HD_T_TEXT);
}

static hd_value bytes_value(hd_arena *arena, hd_spare_source *source, hd_type type) {
    unsigned char bytes[SHORT];
    char uuid[HD_UUID_TEXT];
    random_bytes(source, bytes);
    if (type != HD_T_UUID)
        return hd_bytes(HD_BLOB, hd_arena_copy(arena, (const char *)bytes, SHORT), SHORT,
                        HD_T_BLOB);
    hd_uuid_format(bytes, uuid);
    return hd_bytes(HD_UUID, hd_arena_copy(arena, uuid, sizeof uuid), sizeof uuid, HD_T_UUID);
}

static bool is_integer(const hd_column *column) {
    return column->type >= HD_T_SMALLINT && column->type <= HD_T_BIGINT && !column->cast;
}

/* SQLite's affinity, as far as it can be told. */
static bool is_text(const hd_dialect *dialect, const hd_column *column) {
    switch (column->type) {
    case HD_T_STRING:
    case HD_T_TEXT:
        return true;
    case HD_T_UNKNOWN:
    case HD_T_BOOLEAN:
    case HD_T_FLOAT:
    case HD_T_DOUBLE:
    case HD_T_BLOB:
        return false;
    default:
        return dialect->row_sequence && !is_integer(column);
    }
}

bool hd_spare_value(hd_arena *arena, const hd_dialect *dialect, const hd_column *column,
                    const hd_spare *spare, hd_spare_source *source, hd_value *out) {
    bool text = is_text(dialect, column);
    *out = hd_null();
    if (spare->is_null) return true;
    if (is_integer(column) && (!dialect->row_sequence || (column->flags & HD_COL_PRIMARY))) {
        *out = hd_int(low_integer(source, (hd_type)column->type), (hd_type)column->type);
        return true;
    }
    if (dialect->row_sequence)
        *out = text ? hex_text(arena, source, HEX) : bytes_value(arena, source, HD_T_BLOB);
    else if (!text)
        *out = bytes_value(arena, source, (hd_type)column->type);
    else if (column->length && column->length < SHORT)
        *out = private_text(arena, source, column->length);
    else
        *out = hex_text(arena, source, column->length && column->length < HEX ? SHORT : HEX);
    return out->as.p != NULL;
}

/* ---- scope ---- */

const hd_unique *hd_spare_scope(const hd_entity *e, uint16_t column) {
    const hd_unique *scope = NULL;
    if (is_in(e->key, e->key_count, column)) return NULL;
    for (uint16_t u = 0; u < e->unique_count; u++) {
        if (!is_in(e->uniques[u].columns, e->uniques[u].count, column)) continue;
        if (scope || e->uniques[u].nulls_equal) return NULL;
        scope = &e->uniques[u];
    }
    return scope;
}
