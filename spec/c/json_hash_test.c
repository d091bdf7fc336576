/* The structural hash: what is equal as a value hashes alike, what differs does not, and a text
 * hashes like the same value put together by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool same(hd_hash128 x, hd_hash128 y) {
    return x.a == y.a && x.b == y.b;
}

static hd_hash128 of_text(const char *text) {
    hd_hash128 hash = {0, 0};
    assert_int_equal(hd_json_hash(text, strlen(text), &hd_allocator_libc, &hash), 0);
    return hash;
}

/* Each line is one value in several spellings; no two lines are equal. */
static const char *const values[][4] = {
    {"null", " null "},
    {"true"},
    {"false"},
    {"0", "-0", "0.0", "-0.0"},
    {"1", "1.0", "1e0", "10e-1"},
    {"-1", "-1.0"},
    {"2"},
    {"1.5", "15e-1", "1.50"},
    {"9007199254740992", "9007199254740992.0"},
    {"9007199254740993"},
    {"9223372036854775807"},
    {"9223372036854775806"},
    {"-9223372036854775808", "-9223372036854775808.0"},
    {"9223372036854775808.0", "9.223372036854775808e18"},
    {"18446744073709551615"},
    {"18446744073709551614"},
    {"1e300"},
    {"\"\""},
    {"\"\\u0000\""},
    {"\"\\u0000\\u0000\""},
    {"\"1\""},
    {"\"a\"", "\"\\u0061\""},
    {"\"abcdefgh\""},
    {"\"abcdefgh\\u0000\""},
    {"\"abcdefghabcdefgh\""},
    {"\"null\""},
    {"[]", "{}", "[ ]", " { } "},
    {"[[]]", "[{}]"},
    {"[[],[]]", "[{},[]]"},
    {"[[[]]]"},
    {"[null]"},
    {"[null,null]"},
    {"[0]"},
    {"[1,2]", "[1.0, 2]"},
    {"[2,1]"},
    {"[[1],2]"},
    {"[1,[2]]"},
    {"[[1,2]]"},
    {"{\"a\":1}", "{\"\\u0061\":1.0}", "{\"a\":2,\"a\":1}", "{\"a\":1,\"a\":2,\"a\":1}"},
    {"{\"a\":2}"},
    {"{\"b\":1}"},
    {"{\"a\":null}"},
    {"{\"\":1}"},
    {"[\"a\",1]"},
    {"[{\"a\":1}]"},
    {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "{\"b\":2,\"a\":0,\"a\":1}"},
    {"{\"a\":2,\"b\":1}"},
    {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2,\"b\":1.0}}"},
    {"{\"a\":[{\"b\":1}]}"},
    {"{\"b\":{\"a\":1}}"},
    {"{\"a\":1,\"b\":2,\"c\":{\"d\":[],\"e\":3}}", "{\"c\":{\"e\":3,\"d\":{}},\"b\":2,\"a\":1}"},
    {"{\"a\":1,\"b\":2,\"c\":{\"d\":[]},\"e\":3}"},
};

static void equal_values_hash_alike(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        hd_hash128 hash = of_text(values[i][0]);
        for (size_t k = 1; k < 4 && values[i][k]; k++) {
            if (!same(hash, of_text(values[i][k]))) fail_msg("%s", values[i][k]);
        }
        for (size_t j = 0; j < i; j++) {
            hd_hash128 other = of_text(values[j][0]);
            if (hash.a == other.a || hash.b == other.b) {
                fail_msg("%s and %s", values[i][0], values[j][0]);
            }
        }
    }
}

static void texts_hash_like_values_by_hand(void **state) {
    (void)state;
    hd_hash128 list = hd_hash_array_start();
    list = hd_hash_array_add(list, hd_hash_null());
    list = hd_hash_array_add(list, hd_hash_bool(true));
    list = hd_hash_array_add(list, hd_hash_number(2.0, false, 0));
    list = hd_hash_close(list, 3, true);
    hd_hash128 map = hd_hash_object_start();
    map = hd_hash_object_add(map, "list", 4, list);
    map = hd_hash_object_add(map, "s", 1, hd_hash_string("x\n", 2));
    map = hd_hash_object_add(map, "n", 1, hd_hash_number(0, true, 7));
    map = hd_hash_object_add(map, "e", 1, hd_hash_close(hd_hash_array_start(), 0, true));
    map = hd_hash_close(map, 4, false);
    assert_true(same(map, of_text("{\"n\":7,\"e\":{},\"s\":\"x\\n\",\"list\":[null,true,2]}")));
    assert_true(same(hd_hash_close(hd_hash_object_start(), 0, false), of_text("[]")));
    assert_true(same(hd_hash_string("18446744073709551615", 20), of_text("18446744073709551615")));
}

static void integral_doubles_are_integers(void **state) {
    (void)state;
    static const int64_t whole[] = {0, 1, -1, 3, INT64_C(1) << 53, -(INT64_C(1) << 62), INT64_MIN};
    for (size_t i = 0; i < COUNT(whole); i++) {
        assert_true(
            same(hd_hash_number(0, true, whole[i]), hd_hash_number((double)whole[i], false, 0)));
    }
    assert_false(same(hd_hash_number(0, true, INT64_MAX), hd_hash_number(0x1p63, false, 0)));
    assert_false(same(hd_hash_number(0.5, false, 0), hd_hash_number(0, true, 0)));
    assert_true(same(hd_hash_number(-0.0, false, 0), hd_hash_number(0, true, 0)));
}

/* Many members, among them many doubles, in two orders. */
static void order_of_many_keys_does_not_count(void **state) {
    (void)state;
    hd_buffer rising, falling;
    hd_hash128 x, y;
    hd_buffer_init(&rising, &hd_allocator_libc);
    hd_buffer_init(&falling, &hd_allocator_libc);
    hd_buffer_str(&rising, "{\"k0\":\"was\"");
    hd_buffer_str(&falling, "{\"k0\":\"other\"");
    for (int i = 0; i < 2000; i++) {
        hd_buffer_fmt(&rising, ",\"k%d\":%d", i, i);
        hd_buffer_fmt(&falling, ",\"k%d\":%d", 1999 - i, 1999 - i);
    }
    hd_buffer_str(&rising, "}");
    hd_buffer_str(&falling, "}");
    assert_int_equal(hd_json_hash(rising.data, rising.len, &hd_allocator_libc, &x), 0);
    assert_int_equal(hd_json_hash(falling.data, falling.len, &hd_allocator_libc, &y), 0);
    assert_true(same(x, y));
    falling.data[falling.len - 2] = '5'; /* k0 */
    assert_int_equal(hd_json_hash(falling.data, falling.len, &hd_allocator_libc, &y), 0);
    assert_false(same(x, y));
    hd_buffer_free(&rising);
    hd_buffer_free(&falling);
}

static int by_value(const void *left, const void *right) {
    uint64_t x = *(const uint64_t *)left, y = *(const uint64_t *)right;
    return (x > y) - (x < y);
}

static void assert_no_pair_is_equal(uint64_t *lanes, size_t count) {
    qsort(lanes, count, sizeof *lanes, by_value);
    for (size_t i = 1; i < count; i++) assert_true(lanes[i - 1] != lanes[i]);
}

/* Small integers, short strings, pairs: the inputs that weak mixing confuses. Either lane alone
 * tells all of them apart. */
static void near_values_do_not_collide(void **state) {
    (void)state;
    enum { NUMBERS = 40000, STRINGS = 40000, PAIRS = 200 * 200, ALL = NUMBERS + STRINGS + PAIRS };
    uint64_t *a = malloc(ALL * sizeof *a), *b = malloc(ALL * sizeof *b);
    size_t n = 0;
    for (int i = 0; i < ALL; i++) {
        hd_hash128 hash;
        char text[16];
        if (i < NUMBERS) {
            hash = hd_hash_number(0, true, i - NUMBERS / 2);
        } else if (i < NUMBERS + STRINGS) {
            hash = hd_hash_string(text, (size_t)snprintf(text, sizeof text, "%d", i));
        } else {
            int pair = i - NUMBERS - STRINGS;
            hash = hd_hash_array_add(hd_hash_array_start(), hd_hash_number(0, true, pair / 200));
            hash = hd_hash_array_add(hash, hd_hash_number(0, true, pair % 200));
            hash = hd_hash_close(hash, 2, true);
        }
        a[n] = hash.a;
        b[n++] = hash.b;
    }
    assert_no_pair_is_equal(a, n);
    assert_no_pair_is_equal(b, n);
    free(a);
    free(b);
}

/* One bit of the input turns about half of the bits of each lane. */
static void every_bit_reaches_every_bit(void **state) {
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        int turned_a[64] = {0}, turned_b[64] = {0};
        for (int64_t i = 0; i < 1000; i++) {
            hd_hash128 x = hd_hash_number(0, true, i * 7919);
            hd_hash128 y = hd_hash_number(0, true, (i * 7919) ^ (int64_t)(UINT64_C(1) << bit));
            for (int k = 0; k < 64; k++) {
                turned_a[k] += (int)((x.a ^ y.a) >> k & 1);
                turned_b[k] += (int)((x.b ^ y.b) >> k & 1);
            }
        }
        for (int k = 0; k < 64; k++) {
            assert_in_range(turned_a[k], 400, 600);
            assert_in_range(turned_b[k], 400, 600);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_values_hash_alike),
        cmocka_unit_test(texts_hash_like_values_by_hand),
        cmocka_unit_test(integral_doubles_are_integers),
        cmocka_unit_test(order_of_many_keys_does_not_count),
        cmocka_unit_test(near_values_do_not_collide),
        cmocka_unit_test(every_bit_reaches_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
