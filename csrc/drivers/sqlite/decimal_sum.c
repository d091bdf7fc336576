/* hd_decimal_sum: the exact sum of decimals that are text (or numbers). Two running totals of
 * digits, one of what is added and one of what is taken away, are subtracted from each other only
 * at the end, so that adding is all that a row costs. The sum has as many digits behind the point
 * as the term that has most. Without terms it is NULL, as sum() is; NaN and the infinities count as
 * on PostgreSQL. */
#include <string.h>

#include "base/text.h"
#include "conn.h"

/* Digits 0 to 9, lowest first; the point stands above the first `scale` of them. */
typedef struct total {
    unsigned char *digits;
    size_t count, cap, scale;
} total;

typedef struct sum {
    total added, taken;
    bool some, nan, high, low;
} sum;

static int grow(const hd_allocator *mem, total *t, size_t count) {
    if (count <= t->count) return 0;
    if (hd_grow(mem, (void **)&t->digits, &t->cap, count, 1) != 0) return -1;
    memset(t->digits + t->count, 0, count - t->count);
    t->count = count;
    return 0;
}

static int rescale(const hd_allocator *mem, total *t, size_t scale) {
    if (scale <= t->scale) return 0;
    size_t more = scale - t->scale, count = t->count;
    if (grow(mem, t, count + more) != 0) return -1;
    if (count) memmove(t->digits + more, t->digits, count);
    memset(t->digits, 0, more);
    t->scale = scale;
    return 0;
}

/* Adds "12.50" (a normal form without sign). */
static int add(const hd_allocator *mem, total *t, const char *text, size_t len) {
    const char *point = memchr(text, '.', len);
    size_t scale = point ? len - (size_t)(point - text) - 1 : 0;
    if (rescale(mem, t, scale) != 0) return -1;
    size_t at = t->scale - scale;
    if (grow(mem, t, at + len) != 0) return -1;
    unsigned carry = 0;
    for (size_t i = len; i-- > 0;) {
        if (text[i] == '.') continue;
        unsigned digit = t->digits[at] + (unsigned)(text[i] - '0') + carry;
        carry = digit > 9;
        t->digits[at++] = (unsigned char)(carry ? digit - 10 : digit);
    }
    for (; carry; at++) {
        if (at == t->count && grow(mem, t, at + 1) != 0) return -1;
        carry = t->digits[at] == 9;
        t->digits[at] = (unsigned char)(carry ? 0 : t->digits[at] + 1);
    }
    return 0;
}

/* ---- terms ---- */

static bool is_word(const char *text, size_t len, const char *word) {
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

static bool add_word(sum *s, const char *text, size_t len) {
    if (is_word(text, len, "NaN") || is_word(text, len, "nan")) return s->nan = true;
    if (is_word(text, len, "Infinity") || is_word(text, len, "inf")) return s->high = true;
    if (is_word(text, len, "-Infinity") || is_word(text, len, "-inf")) return s->low = true;
    return false;
}

/* A result code; SQLITE_MISMATCH for what is no decimal. */
static int add_term(const hd_allocator *mem, sum *s, const char *text, size_t len) {
    char local[128], *room = local;
    size_t cap = sizeof local, n;
    hd_decimal_result result = hd_decimal_normalize(text, len, 0, -1, room, cap, &n);
    if (result == HD_DECIMAL_ROOM) {
        cap = len + 400; /* a double's exponent makes at most 325 digits more */
        room = hd_alloc(mem, cap);
        if (!room) return SQLITE_NOMEM;
        result = hd_decimal_normalize(text, len, 0, -1, room, cap, &n);
    }
    int code = SQLITE_OK;
    if (result == HD_DECIMAL_OK) {
        bool minus = room[0] == '-';
        if (add(mem, minus ? &s->taken : &s->added, room + minus, n - minus) != 0)
            code = SQLITE_NOMEM;
    } else if (!add_word(s, text, len)) {
        code = SQLITE_MISMATCH;
    }
    if (room != local) hd_free(mem, room);
    return code;
}

static void step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    int type = sqlite3_value_type(argv[0]);
    if (type == SQLITE_NULL) return;
    sum *s = sqlite3_aggregate_context(ctx, sizeof *s);
    char number[40];
    const char *text = number;
    size_t len = 0;
    if (type == SQLITE_INTEGER) {
        len = hd_integer_format(sqlite3_value_int64(argv[0]), number);
    } else if (type == SQLITE_FLOAT) {
        len = hd_double_format(sqlite3_value_double(argv[0]), number);
    } else {
        text = (const char *)sqlite3_value_text(argv[0]);
        len = (size_t)sqlite3_value_bytes(argv[0]);
    }
    int code = s && text ? add_term(sqlite3_user_data(ctx), s, text, len) : SQLITE_NOMEM;
    if (code == SQLITE_OK)
        s->some = true;
    else if (code == SQLITE_NOMEM)
        sqlite3_result_error_nomem(ctx);
    else
        sqlite3_result_error(ctx, "hd_decimal_sum: a value is not a decimal", -1);
}

/* ---- the result ---- */

/* Both of one scale: is a < b? */
static bool is_less(const total *a, const total *b) {
    for (size_t i = a->count > b->count ? a->count : b->count; i-- > 0;) {
        unsigned x = i < a->count ? a->digits[i] : 0, y = i < b->count ? b->digits[i] : 0;
        if (x != y) return x < y;
    }
    return false;
}

static void subtract(total *from, const total *what) {
    unsigned borrow = 0;
    for (size_t i = 0; i < from->count; i++) {
        unsigned minus = (i < what->count ? what->digits[i] : 0) + borrow;
        borrow = from->digits[i] < minus;
        from->digits[i] = (unsigned char)(from->digits[i] + (borrow ? 10u : 0u) - minus);
    }
}

static void give_digits(sqlite3_context *ctx, const total *t, bool minus) {
    size_t top = t->count;
    while (top > t->scale && t->digits[top - 1] == 0) top--;
    char *out = sqlite3_malloc64(t->count + 3),
         *at = out; /* '-', "0" and '.' may join the digits */
    if (!out) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (minus) *at++ = '-';
    if (top == t->scale) *at++ = '0';
    for (size_t i = top; i-- > 0;) {
        if (i + 1 == t->scale) *at++ = '.';
        *at++ = (char)('0' + t->digits[i]);
    }
    sqlite3_result_text64(ctx, out, (sqlite3_uint64)(at - out), sqlite3_free, SQLITE_UTF8);
}

static void give_sum(sqlite3_context *ctx, const hd_allocator *mem, sum *s) {
    if (s->nan || (s->high && s->low)) {
        sqlite3_result_text(ctx, "NaN", -1, SQLITE_STATIC);
    } else if (s->high || s->low) {
        sqlite3_result_text(ctx, s->high ? "Infinity" : "-Infinity", -1, SQLITE_STATIC);
    } else if (rescale(mem, &s->added, s->taken.scale) != 0 ||
               rescale(mem, &s->taken, s->added.scale) != 0) {
        sqlite3_result_error_nomem(ctx);
    } else {
        bool minus = is_less(&s->added, &s->taken);
        total *more = minus ? &s->taken : &s->added;
        subtract(more, minus ? &s->added : &s->taken);
        give_digits(ctx, more, minus);
    }
}

/* Called once for each sum that had a term, after a failure too. */
static void final(sqlite3_context *ctx) {
    const hd_allocator *mem = sqlite3_user_data(ctx);
    sum *s = sqlite3_aggregate_context(ctx, 0);
    if (!s) return;
    if (s->some) give_sum(ctx, mem, s);
    hd_free(mem, s->added.digits);
    hd_free(mem, s->taken.digits);
}

int hd_sqlite_register_sum(hd_sqlite_conn *conn) {
    return sqlite3_create_function_v2(conn->db, "hd_decimal_sum", 1,
                                      SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                      (void *)(uintptr_t)conn->base.mem, NULL, step, final, NULL);
}
