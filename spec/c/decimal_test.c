/* Decimals: tables of forms, and properties against a board of digits: a number is spread over an
 * array of digit cells, one for each power of ten, from which text, size and order are read off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint64_t random_state = UINT64_C(6364136223846793005);

static uint64_t random_u64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(2685821657736338717);
}

static int random_below(int limit) {
    return (int)(random_u64() % (uint64_t)limit);
}

/* ---- Normal form ------------------------------------------------------------------------- */

typedef struct form {
    const char *text;
    int precision, scale;
    int result;
    const char *normal;
} form;

static const form forms[] = {
    {"0", 0, -1, HD_DECIMAL_OK, "0"},
    {"0", 5, 2, HD_DECIMAL_OK, "0.00"},
    {"-0", 0, -1, HD_DECIMAL_OK, "0"},
    {"-0.00", 0, -1, HD_DECIMAL_OK, "0.00"},
    {"+0e10", 3, 1, HD_DECIMAL_OK, "0.0"},
    {"12.5", 10, 2, HD_DECIMAL_OK, "12.50"},
    {"-12.5", 10, 2, HD_DECIMAL_OK, "-12.50"},
    {"+12.5", 10, 2, HD_DECIMAL_OK, "12.50"},
    {"0012.500", 10, 2, HD_DECIMAL_OK, "12.50"},
    {"0012.500", 0, -1, HD_DECIMAL_OK, "12.500"},
    {".5", 0, -1, HD_DECIMAL_OK, "0.5"},
    {"5.", 0, -1, HD_DECIMAL_OK, "5"},
    {"1e3", 0, -1, HD_DECIMAL_OK, "1000"},
    {"1E+3", 4, 0, HD_DECIMAL_OK, "1000"},
    {"1.25e-3", 0, -1, HD_DECIMAL_OK, "0.00125"},
    {"1.25e1", 0, -1, HD_DECIMAL_OK, "12.5"},
    {"125e-2", 3, 2, HD_DECIMAL_OK, "1.25"},
    {"0e-3", 0, -1, HD_DECIMAL_OK, "0.000"},
    {"0.00e1", 0, -1, HD_DECIMAL_OK, "0.0"},
    {"12345678901234567890.1234567890", 0, 10, HD_DECIMAL_OK, "12345678901234567890.1234567890"},
    {"999.99", 5, 2, HD_DECIMAL_OK, "999.99"},
    {"1000", 5, 2, HD_DECIMAL_PRECISION, NULL},
    {"1e3", 5, 2, HD_DECIMAL_PRECISION, NULL},
    {"1e999999999999999999999", 5, 2, HD_DECIMAL_PRECISION, NULL},
    {"1e-999999999999999999999", 5, 2, HD_DECIMAL_SCALE, NULL},
    {"1e999999999999999999999", 0, -1, HD_DECIMAL_ROOM, NULL},
    {"1e-999999999999999999999", 0, -1, HD_DECIMAL_ROOM, NULL},
    {"0e-999999999999999999999", 5, 2, HD_DECIMAL_OK, "0.00"},
    {"1.005", 5, 2, HD_DECIMAL_SCALE, NULL},
    {"1.500", 5, 2, HD_DECIMAL_OK, "1.50"},
    {"0.001", 5, 2, HD_DECIMAL_SCALE, NULL},
    {"1.5", 5, 0, HD_DECIMAL_SCALE, NULL},
    {"1.0", 5, 0, HD_DECIMAL_OK, "1"},
    {"123.45", 5, -1, HD_DECIMAL_OK, "123.45"},
    {"123.456", 5, -1, HD_DECIMAL_PRECISION, NULL},
    {"0.0012", 2, 4, HD_DECIMAL_OK, "0.0012"},
    {"0.0123", 2, 4, HD_DECIMAL_PRECISION, NULL},
    {"", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"-", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {".", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"+.", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"e3", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"1e", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"1e+", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"1e1.5", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"1.2.3", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"--1", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"1 ", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {" 1", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"1,5", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"0x1", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"NaN", 0, -1, HD_DECIMAL_MALFORMED, NULL},
    {"Infinity", 0, -1, HD_DECIMAL_MALFORMED, NULL},
};

static void forms_are_known(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        const form *f = &forms[i];
        char out[64];
        size_t n = 0;
        int result = (int)hd_decimal_normalize(f->text, strlen(f->text), f->precision, f->scale,
                                               out, sizeof out, &n);
        if (result != f->result) fail_msg("'%s' gives %d", f->text, result);
        if (result != HD_DECIMAL_OK) continue;
        assert_int_equal(n, strlen(f->normal));
        assert_memory_equal(out, f->normal, n);
    }
}

/* ---- The board --------------------------------------------------------------------------- */

#define UNITS 600 /* the cell of the units; cells before it are the larger powers */
#define CELLS 1200

typedef struct board {
    char digit[CELLS];
    bool negative;
    int behind; /* digits behind the point as they were written */
    char text[CELLS];
    size_t len;
} board;

/* A random spelling of a random number, and the number on its board. */
static void deal(board *b) {
    int whole = random_below(101), fraction = random_below(101);
    int exponent = random_below(3) ? 0 : random_below(401) - 200;
    if (whole + fraction == 0) whole = 1;
    memset(b->digit, 0, sizeof b->digit);
    b->negative = random_below(2);
    b->behind = fraction > exponent ? fraction - exponent : 0;
    b->len = 0;
    if (b->negative || random_below(4) == 0) b->text[b->len++] = b->negative ? '-' : '+';
    int zeros_of_ten = random_below(11);
    for (int i = 0; i < whole + fraction; i++) {
        int digit = random_below(10) < zeros_of_ten ? 0 : random_below(10);
        if (i == whole) b->text[b->len++] = '.';
        b->text[b->len++] = (char)('0' + digit);
        b->digit[UNITS - (whole - 1 - i) - exponent] = (char)digit;
    }
    if (exponent || random_below(4) == 0) {
        b->len += (size_t)snprintf(b->text + b->len, 8, "e%d", exponent);
    }
}

static int first_cell(const board *b) {
    int i = 0;
    while (i < CELLS && b->digit[i] == 0) i++;
    return i;
}

static int last_cell(const board *b) {
    int i = CELLS - 1;
    while (i >= 0 && b->digit[i] == 0) i--;
    return i;
}

static size_t spell(const board *b, int scale, char *out) {
    size_t n = 0;
    int first = first_cell(b);
    if (b->negative && first < CELLS) out[n++] = '-';
    for (int i = first < UNITS ? first : UNITS; i <= UNITS + scale; i++) {
        if (i == UNITS + 1) out[n++] = '.';
        out[n++] = (char)('0' + b->digit[i]);
    }
    return n;
}

static int order_of(const board *x, const board *y) {
    bool xzero = first_cell(x) == CELLS, yzero = first_cell(y) == CELLS;
    int xsign = xzero ? 0 : x->negative ? -1 : 1, ysign = yzero ? 0 : y->negative ? -1 : 1;
    if (xsign != ysign) return xsign < ysign ? -1 : 1;
    int order = memcmp(x->digit, y->digit, CELLS);
    return ((order > 0) - (order < 0)) * xsign;
}

static void any_digits_become_normal(void **state) {
    (void)state;
    static board b;
    for (int i = 0; i < 30000; i++) {
        char expected[CELLS], out[CELLS];
        size_t n = 0;
        deal(&b);
        size_t len = spell(&b, b.behind, expected);
        assert_int_equal(hd_decimal_normalize(b.text, b.len, 0, -1, out, sizeof out, &n), 0);
        assert_int_equal(n, len);
        assert_memory_equal(out, expected, n);
        assert_int_equal(hd_decimal_normalize(b.text, b.len, 0, -1, out, len, &n), 0);
        assert_int_equal(hd_decimal_normalize(b.text, b.len, 0, -1, out, len - 1, &n),
                         HD_DECIMAL_ROOM);
    }
}

static void precision_and_scale_are_kept(void **state) {
    (void)state;
    static board b;
    int seen[4] = {0};
    for (int i = 0; i < 30000; i++) {
        char expected[CELLS], out[CELLS];
        size_t n = 0;
        deal(&b);
        int scale = random_below(200), precision = random_below(3) ? 1 + random_below(400) : 0;
        int first = first_cell(&b), last = last_cell(&b), result = HD_DECIMAL_OK;
        if (last - UNITS > scale) {
            result = HD_DECIMAL_SCALE;
        } else if (precision && first < CELLS && UNITS + 1 - first > precision - scale) {
            result = HD_DECIMAL_PRECISION;
        }
        seen[-result]++;
        assert_int_equal(hd_decimal_normalize(b.text, b.len, precision, scale, out, sizeof out, &n),
                         result);
        if (result != HD_DECIMAL_OK) continue;
        assert_int_equal(n, spell(&b, scale, expected));
        assert_memory_equal(out, expected, n);
    }
    assert_true(seen[0] > 1000 && seen[-HD_DECIMAL_SCALE] > 1000);
    assert_true(seen[-HD_DECIMAL_PRECISION] > 1000);
}

/* ---- Order ------------------------------------------------------------------------------- */

static void order_is_that_of_numbers(void **state) {
    (void)state;
    static board x, y;
    char text[CELLS];
    size_t n;
    for (int i = 0; i < 30000; i++) {
        deal(&x);
        deal(&y);
        assert_int_equal(hd_decimal_compare(x.text, x.len, y.text, y.len), order_of(&x, &y));
        n = spell(&x, x.behind, text);
        assert_int_equal(hd_decimal_compare(x.text, x.len, text, n), 0);
        /* One digit more or other, deep down. */
        y = x;
        y.digit[UNITS + random_below(300)] = (char)random_below(10);
        n = spell(&y, 300, text);
        assert_int_equal(hd_decimal_compare(x.text, x.len, text, n), order_of(&x, &y));
        assert_int_equal(hd_decimal_compare(text, n, x.text, x.len), order_of(&y, &x));
    }
}

static void order_is_total(void **state) {
    (void)state;
    static const char *const rising[] = {"-Infinity", "-10", "-9.5", "-2",   "-0.001", "0",
                                         "1e-30",     "0.5", "2",    "9.5",  "10.00",  "1e30",
                                         "Infinity",  "NaN", "",     "NaNa", "abc"};
    for (size_t i = 0; i < COUNT(rising); i++) {
        for (size_t j = 0; j < COUNT(rising); j++) {
            int order =
                hd_decimal_compare(rising[i], strlen(rising[i]), rising[j], strlen(rising[j]));
            assert_int_equal(order, (i > j) - (i < j));
        }
    }
    assert_int_equal(hd_decimal_compare("-0", 2, "0.000", 5), 0);
    assert_int_equal(hd_decimal_compare("10", 2, "1e1", 3), 0);
    assert_int_equal(hd_decimal_compare("1.50", 4, "1.5", 3), 0);
}

/* ---- PostgreSQL's binary form ------------------------------------------------------------ */

enum { POSITIVE = 0, NEGATIVE = 0x4000, NOT_A_NUMBER = 0xC000, HIGH = 0xD000, LOW = 0xF000 };

static size_t put16(unsigned char *out, size_t at, int value) {
    out[at] = (unsigned char)((unsigned)value >> 8);
    out[at + 1] = (unsigned char)value;
    return at + 2;
}

static size_t encode_pg(unsigned char *out, int count, int weight, int sign, int scale,
                        const int *groups) {
    size_t at = put16(out, 0, count);
    at = put16(out, at, weight);
    at = put16(out, at, sign);
    at = put16(out, at, scale);
    for (int i = 0; i < count; i++) at = put16(out, at, groups[i]);
    return at;
}

typedef struct numeric {
    int count, weight, sign, scale, groups[4];
    const char *text; /* NULL: refused */
} numeric;

static void numerics_are_known(void **state) {
    (void)state;
    static const numeric cases[] = {
        {0, 0, POSITIVE, 0, {0}, "0"},
        {0, 0, POSITIVE, 3, {0}, "0.000"},
        {0, 0, NEGATIVE, 2, {0}, "0.00"},
        {1, 0, POSITIVE, 0, {7}, "7"},
        {1, 0, NEGATIVE, 0, {7}, "-7"},
        {1, 0, POSITIVE, 2, {7}, "7.00"},
        {1, 1, POSITIVE, 0, {1}, "10000"},
        {1, 2, POSITIVE, 0, {12}, "1200000000"},
        {2, 1, POSITIVE, 0, {1, 2345}, "12345"},
        {2, 0, POSITIVE, 2, {12, 5000}, "12.50"},
        {2, 0, NEGATIVE, 4, {12, 5}, "-12.0005"},
        {1, -1, POSITIVE, 1, {5000}, "0.5"},
        {1, -1, POSITIVE, 4, {1}, "0.0001"},
        {1, -2, POSITIVE, 8, {1}, "0.00000001"},
        {1, -2, POSITIVE, 5, {1000}, "0.00001"},
        {3, 1, POSITIVE, 6, {9999, 9999, 9999}, "99999999.999900"},
        {4, 0, POSITIVE, 9, {3, 1415, 9265, 3000}, "3.141592653"},
        {2, 1, POSITIVE, 0, {0, 42}, "42"},
        {0, 0, NOT_A_NUMBER, 0, {0}, "NaN"},
        {0, 0, HIGH, 0, {0}, "Infinity"},
        {0, 0, LOW, 0, {0}, "-Infinity"},
        {1, 0, POSITIVE, 0, {10000}, NULL},
        {1, 0, 0x1234, 0, {1}, NULL},
        {1, -1, POSITIVE, 1, {5001}, NULL},
        {1, -1, POSITIVE, 0, {5000}, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const numeric *c = &cases[i];
        unsigned char bytes[32];
        char out[64];
        size_t n = 0, len = encode_pg(bytes, c->count, c->weight, c->sign, c->scale, c->groups);
        int result = hd_decimal_from_pg(bytes, len, out, sizeof out, &n);
        assert_int_equal(result, c->text ? 0 : -1);
        assert_int_equal(hd_decimal_from_pg(bytes, len - 1, out, sizeof out, &n), -1);
        if (result != 0) continue;
        assert_int_equal(hd_decimal_from_pg(bytes, len, out, sizeof out, &n), 0);
        assert_int_equal(n, strlen(c->text));
        assert_memory_equal(out, c->text, n);
        assert_int_equal(hd_decimal_from_pg(bytes, len, out, n, &n), 0);
        assert_int_equal(hd_decimal_from_pg(bytes, len, out, n - 1, &n), -2);
    }
    assert_int_equal(hd_decimal_from_pg((const unsigned char *)"", 0, NULL, 0, NULL), -1);
}

/* The board in groups of four cells, those of zeros at both ends left out, as the server sends. */
static void any_numeric_is_read(void **state) {
    (void)state;
    static board b;
    for (int round = 0; round < 30000; round++) {
        int groups[CELLS / 4], count = 0, weight = 0;
        deal(&b);
        for (int i = 1; i + 3 < CELLS; i += 4) { /* UNITS % 4 == 0 is the last cell of its group */
            int group =
                ((b.digit[i] * 10 + b.digit[i + 1]) * 10 + b.digit[i + 2]) * 10 + b.digit[i + 3];
            if (count == 0) weight = (UNITS - i - 3) / 4;
            if (count > 0 || group > 0) groups[count++] = group;
        }
        while (count > 0 && groups[count - 1] == 0) count--;
        unsigned char bytes[8 + CELLS / 2];
        char expected[CELLS], out[CELLS];
        int sign = b.negative && count ? NEGATIVE : POSITIVE;
        size_t n = 0, len = encode_pg(bytes, count, count ? weight : 0, sign, b.behind, groups);
        assert_int_equal(hd_decimal_from_pg(bytes, len, out, sizeof out, &n), 0);
        assert_int_equal(n, spell(&b, b.behind, expected));
        assert_memory_equal(out, expected, n);
    }
}

static void random_bytes_do_no_harm(void **state) {
    (void)state;
    int taken = 0;
    for (int i = 0; i < 50000; i++) {
        size_t len = (size_t)random_below(24), n = 0;
        unsigned char *bytes = malloc(len ? len : 1);
        char out[64];
        for (size_t k = 0; k < len; k++) bytes[k] = (unsigned char)(random_u64() % 3);
        if (len >= 8 && i % 8) put16(bytes, 0, (int)(len - 8) / 2);
        if (len >= 8 && i % 4) put16(bytes, 4, random_below(2) ? NEGATIVE : POSITIVE);
        if (hd_decimal_from_pg(bytes, len, out, sizeof out, &n) == 0) {
            assert_in_range(n, 1, sizeof out);
            taken++;
        }
        free(bytes);
    }
    assert_true(taken > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_known),
        cmocka_unit_test(any_digits_become_normal),
        cmocka_unit_test(precision_and_scale_are_kept),
        cmocka_unit_test(order_is_that_of_numbers),
        cmocka_unit_test(order_is_total),
        cmocka_unit_test(numerics_are_known),
        cmocka_unit_test(any_numeric_is_read),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
