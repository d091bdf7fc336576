/* Decimals stay text. A text is scanned once into a view: where its digits are and where the point
 * stands among them once the exponent is applied. Normalizing and comparing then ask the view for
 * the digit at a position, which is '0' outside the digits as written. Nothing is rounded. */
#include "text.h"

#include <string.h>

#define EXPONENT_LIMIT INT64_C(1000000000000)

typedef struct decimal {
    const char *digits;  /* with the point still in it */
    int64_t whole;       /* digits before the written point */
    int64_t count;       /* digits in all */
    int64_t first, last; /* first digit that is not zero, behind the last such; equal: zero */
    int64_t point;       /* digits before the point, exponent applied: may be < 0 or > count */
    bool negative;
} decimal;

static char digit_at(const decimal *d, int64_t i) {
    if (i < 0 || i >= d->count) return '0';
    return d->digits[i < d->whole ? i : i + 1];
}

/* ---- reading ---- */

static bool is_digit(const char *at, const char *end) {
    return at < end && *at >= '0' && *at <= '9';
}

static const char *scan_exponent(decimal *d, const char *at, const char *end) {
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (!is_digit(at, end)) return NULL;
    int64_t exponent = 0;
    for (; is_digit(at, end); at++) {
        if (exponent < EXPONENT_LIMIT) exponent = exponent * 10 + (*at - '0');
    }
    d->point += negative ? -exponent : exponent;
    return at;
}

static bool scan_decimal(decimal *d, const char *text, size_t len) {
    const char *at = text, *end = text + len;
    d->negative = len > 0 && *at == '-';
    if (len > 0 && (*at == '-' || *at == '+')) at++;
    d->digits = at;
    while (is_digit(at, end)) at++;
    d->whole = d->point = d->count = at - d->digits;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        while (is_digit(at, end)) at++;
        d->count += at - fraction;
    }
    if (d->count == 0) return false;
    if (at < end && (*at == 'e' || *at == 'E')) at = scan_exponent(d, at + 1, end);
    if (at != end) return false;
    for (d->first = 0; d->first < d->count && digit_at(d, d->first) == '0';) d->first++;
    for (d->last = d->count; d->last > d->first && digit_at(d, d->last - 1) == '0';) d->last--;
    return true;
}

static bool is_zero(const decimal *d) {
    return d->first == d->last;
}

/* ---- normal form ---- */

hd_decimal_result hd_decimal_normalize(const char *text, size_t len, int precision, int scale,
                                       char *out, size_t cap, size_t *n) {
    decimal d;
    if (!scan_decimal(&d, text, len)) return HD_DECIMAL_MALFORMED;
    int64_t behind = d.count > d.point ? d.count - d.point : 0;
    if (scale >= 0) {
        if (!is_zero(&d) && d.last - d.point > scale) return HD_DECIMAL_SCALE;
        behind = scale;
    }
    /* Digits before the point; negative: zeros behind it. */
    int64_t before = is_zero(&d) ? 0 : d.point - d.first;
    if (precision > 0 && !is_zero(&d) && before + behind > precision) return HD_DECIMAL_PRECISION;

    bool minus = d.negative && !is_zero(&d);
    int64_t whole = before > 0 ? before : 1;
    int64_t size = minus + whole + (behind > 0) + behind;
    if ((uint64_t)size > cap) return HD_DECIMAL_ROOM;
    char *at = out;
    if (minus) *at++ = '-';
    for (int64_t i = d.point - whole; i < d.point; i++) *at++ = before > 0 ? digit_at(&d, i) : '0';
    if (behind > 0) *at++ = '.';
    for (int64_t i = d.point; i < d.point + behind; i++) *at++ = digit_at(&d, i);
    *n = (size_t)size;
    return HD_DECIMAL_OK;
}

/* ---- order ---- */

/* Every text has a place: -Infinity, the numbers, Infinity, NaN, then what is no decimal at all. */
enum { RANK_LOW, RANK_NUMBER, RANK_HIGH, RANK_NAN, RANK_OTHER };

static bool same_text(const char *text, size_t len, const char *word) {
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

static int rank(decimal *d, const char *text, size_t len) {
    if (scan_decimal(d, text, len)) return RANK_NUMBER;
    if (same_text(text, len, "NaN")) return RANK_NAN;
    if (same_text(text, len, "Infinity")) return RANK_HIGH;
    return same_text(text, len, "-Infinity") ? RANK_LOW : RANK_OTHER;
}

static int compare_bytes(const char *a, size_t alen, const char *b, size_t blen) {
    size_t shorter = alen < blen ? alen : blen;
    int order = shorter ? memcmp(a, b, shorter) : 0;
    if (order == 0) return (alen > blen) - (alen < blen);
    return order < 0 ? -1 : 1;
}

static int sign(const decimal *d) {
    if (is_zero(d)) return 0;
    return d->negative ? -1 : 1;
}

/* Of two that are not zero, signs aside. */
static int compare_magnitude(const decimal *a, const decimal *b) {
    int64_t abefore = a->point - a->first, bbefore = b->point - b->first;
    if (abefore != bbefore) return abefore < bbefore ? -1 : 1;
    int64_t acount = a->last - a->first, bcount = b->last - b->first;
    for (int64_t i = 0; i < acount || i < bcount; i++) {
        char x = digit_at(a, a->first + i), y = digit_at(b, b->first + i);
        if (x != y) return x < y ? -1 : 1;
    }
    return 0;
}

int hd_decimal_compare(const char *a, size_t alen, const char *b, size_t blen) {
    decimal da, db;
    int arank = rank(&da, a, alen), brank = rank(&db, b, blen);
    if (arank != brank) return arank < brank ? -1 : 1;
    if (arank == RANK_OTHER) return compare_bytes(a, alen, b, blen);
    if (arank != RANK_NUMBER) return 0;
    int asign = sign(&da), bsign = sign(&db);
    if (asign != bsign) return asign < bsign ? -1 : 1;
    return asign * (asign ? compare_magnitude(&da, &db) : 0);
}

/* ---- PostgreSQL's binary form ---- */

/* Four 16-bit fields (groups, weight of the first group, sign, digits behind the point), then the
 * groups: four decimal digits each, trailing zero groups left out. */
enum { PG_HEADER = 8, PG_NEGATIVE = 0x4000, PG_NAN = 0xC000, PG_HIGH = 0xD000, PG_LOW = 0xF000 };

static unsigned read16(const unsigned char *bytes) {
    return (unsigned)bytes[0] << 8 | bytes[1];
}

typedef struct pg_numeric {
    const unsigned char *groups;
    int count, weight;
} pg_numeric;

static unsigned group_at(const pg_numeric *v, int weight) {
    int i = v->weight - weight;
    return i < 0 || i >= v->count ? 0 : read16(v->groups + 2 * i);
}

/* The digit at a place: 0 is the units, -1 the tenths. */
static char pg_digit(const pg_numeric *v, int place) {
    static const unsigned power[] = {1, 10, 100, 1000};
    int weight = place >= 0 ? place / 4 : -((3 - place) / 4);
    return (char)('0' + group_at(v, weight) / power[place - weight * 4] % 10);
}

static int copy_word(const char *word, char *out, size_t cap, size_t *n) {
    *n = strlen(word);
    if (*n > cap) return -2;
    memcpy(out, word, *n);
    return 0;
}

/* Every group is below 10000 and no digit that is not zero lies behind `scale`. */
static bool pg_is_sound(const pg_numeric *v, int scale) {
    for (int i = 0; i < v->count; i++) {
        if (read16(v->groups + 2 * i) > 9999) return false;
    }
    int lowest = (v->weight - v->count + 1) * 4;
    for (int place = -scale - 1; place >= lowest; place--) {
        if (pg_digit(v, place) != '0') return false;
    }
    return true;
}

int hd_decimal_from_pg(const unsigned char *bytes, size_t len, char *out, size_t cap, size_t *n) {
    if (len < PG_HEADER) return -1;
    pg_numeric v = {bytes + PG_HEADER, (int)read16(bytes), (int16_t)read16(bytes + 2)};
    unsigned sign_field = read16(bytes + 4);
    int scale = (int)read16(bytes + 6);
    if (len != PG_HEADER + 2 * (size_t)v.count) return -1;
    if (sign_field == PG_NAN) return copy_word("NaN", out, cap, n);
    if (sign_field == PG_HIGH) return copy_word("Infinity", out, cap, n);
    if (sign_field == PG_LOW) return copy_word("-Infinity", out, cap, n);
    if ((sign_field != 0 && sign_field != PG_NEGATIVE) || !pg_is_sound(&v, scale)) return -1;

    while (v.count > 0 && read16(v.groups) == 0) {
        v.groups += 2;
        v.count--;
        v.weight--;
    }
    bool minus = sign_field == PG_NEGATIVE && v.count > 0;
    int top = v.count > 0 && v.weight >= 0 ? v.weight * 4 + 3 : 0;
    while (top > 0 && pg_digit(&v, top) == '0') top--;
    *n = (size_t)minus + (size_t)top + 1 + (size_t)(scale > 0) + (size_t)scale;
    if (*n > cap) return -2;
    if (minus) *out++ = '-';
    for (int place = top; place >= 0; place--) *out++ = pg_digit(&v, place);
    if (scale > 0) *out++ = '.';
    for (int place = -1; place >= -scale; place--) *out++ = pg_digit(&v, place);
    return 0;
}
