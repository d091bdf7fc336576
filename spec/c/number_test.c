/* Integers and doubles as text: tables of what is taken and refused, and properties
 * over random values. The random numbers are the same in every run. */
#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
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

static uint64_t random_state = UINT64_C(88172645463325252);

static uint64_t random_u64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(2685821657736338717);
}

/* ---- A host program's locale ------------------------------------------------------------- */

/* The C library of a program whose locale writes a comma, without needing one installed: these two
 * take the place of the library's own, here and in the codec. */
static bool comma_locale;
static locale_t c_locale;

int snprintf(char *out, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, size, format, args);
    va_end(args);
    for (int i = 0; comma_locale && i < n && (size_t)i + 1 < size; i++) {
        if (out[i] == '.') out[i] = ',';
    }
    return n;
}

double strtod(const char *text, char **end) {
    char copy[2048];
    size_t len = strlen(text);
    assert_true(len < sizeof copy);
    memcpy(copy, text, len + 1);
    if (comma_locale) {
        copy[strcspn(copy, ".")] = '\0';
        char *comma = strchr(copy, ',');
        if (comma) *comma = '.';
    }
    char *stop;
    double value = strtod_l(copy, &stop, c_locale);
    if (end) *end = (char *)(uintptr_t)(text + (stop - copy));
    return value;
}

/* ---- Integers ---------------------------------------------------------------------------- */

static void integer_survives(int64_t value) {
    char text[24], expected[24];
    int64_t back = ~value;
    size_t n = hd_integer_format(value, text);
    int m = snprintf(expected, sizeof expected, "%" PRId64, value);
    assert_int_equal(n, m);
    assert_memory_equal(text, expected, n);
    assert_int_equal(hd_integer_parse(text, n, &back), 0);
    assert_true(back == value);
}

static void integers_survive_both_ways(void **state) {
    (void)state;
    integer_survives(INT64_MAX);
    integer_survives(INT64_MIN);
    for (int64_t i = -1100; i <= 1100; i++) integer_survives(i);
    for (int64_t power = 1; power < INT64_MAX / 10; power *= 10) {
        integer_survives(power);
        integer_survives(power - 1);
        integer_survives(-power);
    }
    for (int i = 0; i < 50000; i++) integer_survives((int64_t)(random_u64() >> random_u64() % 64));
}

static void integer_has_one_form(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "-0",
                                      "00",
                                      "01",
                                      "-01",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      "a",
                                      "--1",
                                      "1-",
                                      "9223372036854775808",
                                      "18446744073709551617",
                                      "-18446744073709551617",
                                      "-9223372036854775809",
                                      "10000000000000000000",
                                      "99999999999999999999999999"};
    int64_t value;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(hd_integer_parse(bad[i], strlen(bad[i]), &value), -1);
    }
    assert_int_equal(hd_integer_parse("1\0", 2, &value), -1);
}

/* ---- Doubles ----------------------------------------------------------------------------- */

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void double_survives(double value) {
    char text[40];
    double back = 77;
    size_t n = hd_double_format(value, text);
    assert_true(n > 0 && n < 40);
    assert_int_equal(hd_double_parse(text, n, &back), 0);
    assert_true(bits_of(back) == bits_of(value));
}

static void reads(const char *text, double expected) {
    double value = 77;
    assert_int_equal(hd_double_parse(text, strlen(text), &value), 0);
    assert_true(bits_of(value) == bits_of(expected));
}

static void writes(double value, const char *expected) {
    char text[40];
    size_t n = hd_double_format(value, text);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(text, expected, n);
}

static void doubles_are_short(void **state) {
    (void)state;
    writes(0.0, "0");
    writes(-0.0, "-0");
    writes(3.0, "3");
    writes(0.1, "0.1");
    writes(-12.5, "-12.5");
    writes(0.1 + 0.2, "0.30000000000000004");
    writes(1e308, "1e+308");
    writes(DBL_MAX, "1.7976931348623157e+308");
    writes(DBL_MIN, "2.2250738585072014e-308");
    writes(5e-324, "5e-324");
    writes(1e15, "1e+15");
    writes(123456789012345.0, "123456789012345");
    writes(9007199254740993.0, "9007199254740992");
    writes(0.0001, "0.0001");
    writes(0.00001, "1e-05");
    writes(0.000123, "0.000123");
    writes(1.005, "1.005");
    writes(99999999.999999, "99999999.999999");
    writes(HUGE_VAL, "inf");
    writes(-HUGE_VAL, "-inf");
    writes((double)NAN, "nan");
}

static void doubles_survive_both_ways(void **state) {
    (void)state;
    for (int i = 0; i < 40000; i++) {
        double value = of_bits(random_u64());
        if (isfinite(value)) double_survives(value);
        double_survives((double)(int64_t)random_u64());
        double_survives((double)(random_u64() % 1000000000) / 1000.0);
        double_survives(of_bits(random_u64() >> 12)); /* denormals */
    }
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double power = ldexp(1.0, exponent);
        double_survives(power);
        double_survives(nextafter(power, 0));
        double_survives(-nextafter(power, HUGE_VAL));
    }
}

/* The short cuts and the detour give what the C library gives for the whole text. */
static void doubles_are_read_exactly(void **state) {
    (void)state;
    for (int i = 0; i < 40000; i++) {
        char text[96];
        double mine = 77;
        unsigned long long whole = random_u64() >> random_u64() % 64;
        unsigned long long fraction = random_u64() >> random_u64() % 64;
        int exponent = (int)(random_u64() % 60) - 30;
        int n = snprintf(text, sizeof text, i % 2 ? "%llu.%llue%d" : "%llu.%llu", whole, fraction,
                         exponent);
        assert_int_equal(hd_double_parse(text, (size_t)n, &mine), 0);
        double theirs = strtod_l(text, NULL, c_locale);
        assert_true(bits_of(mine) == bits_of(theirs));
    }
}

/* Halfway between two doubles, then above it by one digit far behind. */
static void doubles_round_by_every_digit(void **state) {
    (void)state;
    static const char halfway[] = "9007199254740993.";
    char text[1600];
    for (size_t zeros = 0; zeros < 1500; zeros += 7) {
        double value = 0;
        size_t n = strlen(halfway);
        memcpy(text, halfway, n);
        memset(text + n, '0', zeros);
        n += zeros;
        assert_int_equal(hd_double_parse(text, n, &value), 0);
        assert_true(value == 9007199254740992.0);
        text[n++] = '1';
        assert_int_equal(hd_double_parse(text, n, &value), 0);
        assert_true(value == 9007199254740994.0);
    }
    memset(text, '0', sizeof text);
    memcpy(text, "0.", 2);
    memcpy(text + 1500, "25e1499", 7);
    text[1507] = '\0';
    reads(text, 2.5);
    memset(text, '0', 1500);
    text[0] = '7';
    memcpy(text + 1500, "e-1499", 7);
    reads(text, 7);
}

static int significant_digits(const char *text, size_t len) {
    int digits = 0, zeros = 0; /* zeros: in the middle, or behind the last digit that counts */
    for (size_t i = 0; i < len && text[i] != 'e'; i++) {
        if (text[i] == '0') {
            zeros += digits > 0;
        } else if (text[i] >= '1' && text[i] <= '9') {
            digits += zeros + 1;
            zeros = 0;
        }
    }
    return digits;
}

/* No text of fewer digits gives the same double. */
static void doubles_have_no_shorter_text(void **state) {
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[40], shorter[64];
        double value = of_bits(random_u64() >> (i % 2 ? 12 : 0));
        if (!isfinite(value) || value == 0) continue;
        int digits = significant_digits(text, hd_double_format(value, text));
        if (digits < 2) continue;
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, value);
        assert_true(strtod(shorter, NULL) != value);
    }
}

static void doubles_have_limits(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      ".",
                                      "-.",
                                      "e5",
                                      "1e",
                                      "1e+",
                                      "1e5.",
                                      "1 ",
                                      " 1",
                                      "1,5",
                                      "0x10",
                                      "1.2.3",
                                      "--1",
                                      "1e999",
                                      "-1e999",
                                      "1e-400",
                                      "1e400",
                                      "0.1e400",
                                      "1e99999999999999999999",
                                      "1e-99999999999999999999",
                                      "na",
                                      "nano",
                                      "infinit",
                                      "infinityy",
                                      "1.7976931348623159e308"};
    double value;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(hd_double_parse(bad[i], strlen(bad[i]), &value), -1);
    }
    assert_int_equal(hd_double_parse("1\0", 2, &value), -1);
    reads("Infinity", HUGE_VAL);
    reads("-Infinity", -HUGE_VAL);
    reads("INF", HUGE_VAL);
    assert_int_equal(hd_double_parse("NaN", 3, &value), 0);
    assert_true(isnan(value));
    reads("+1.50", 1.5);
    reads(".5", 0.5);
    reads("5.", 5);
    reads("-0", -0.0);
    reads("0e999999999999999999999", 0.0);
    reads("-0.000e-9", -0.0);
    reads("1E5", 1e5);
    reads("4.9e-324", 5e-324);
    reads("1.7976931348623157e308", DBL_MAX);
}

static void doubles_know_no_locale(void **state) {
    (void)state;
    char text[40];
    comma_locale = true;
    snprintf(text, sizeof text, "%.1f", 0.5);
    bool comma = text[1] == ',' && strtod("0,5", NULL) == 0.5 && strtod("0.5", NULL) == 0;
    if (comma) {
        writes(0.1 + 0.2, "0.30000000000000004");
        writes(DBL_MAX, "1.7976931348623157e+308");
        reads("0.30000000000000004", 0.1 + 0.2);
        reads("1234567890.12345678901e-3", 1234567.89012345678901);
        for (int i = 0; i < 20000; i++) {
            double value = of_bits(random_u64());
            if (isfinite(value)) double_survives(value);
        }
    }
    comma_locale = false;
    assert_true(comma);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_survive_both_ways),
        cmocka_unit_test(integer_has_one_form),
        cmocka_unit_test(doubles_are_short),
        cmocka_unit_test(doubles_survive_both_ways),
        cmocka_unit_test(doubles_are_read_exactly),
        cmocka_unit_test(doubles_round_by_every_digit),
        cmocka_unit_test(doubles_have_no_shorter_text),
        cmocka_unit_test(doubles_have_limits),
        cmocka_unit_test(doubles_know_no_locale),
    };
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
