/* Buffer, error record and values: what they promise, and what they do without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/value.h"

/* An allocator whose n-th call from now fails; it counts what is not given back. */
typedef struct failing {
    long fail_at, calls, live;
} failing;

static void *failing_resize(void *ud, void *ptr, size_t size) {
    failing *f = ud;
    if (size == 0) {
        if (ptr) f->live--;
        free(ptr);
        return NULL;
    }
    if (++f->calls == f->fail_at) return NULL;
    void *out = realloc(ptr, size);
    if (out && !ptr) f->live++;
    return out;
}

/* ---- Buffer ------------------------------------------------------------------------------ */

static void buffer_holds_every_byte(void **state) {
    (void)state;
    hd_buffer buf;
    hd_buffer_init(&buf, &hd_allocator_libc);
    hd_buffer_add(&buf, "a\0b", 3);
    hd_buffer_char(&buf, '\n');
    hd_buffer_str(&buf, "");
    hd_buffer_str(&buf, "xyz");
    assert_int_equal(buf.len, 7);
    assert_memory_equal(buf.data, "a\0b\nxyz", 7);
    memcpy(hd_buffer_room(&buf, 4), "1234", 4);
    assert_int_equal(buf.len, 11);
    assert_memory_equal(hd_buffer_text(&buf), "a\0b\nxyz1234", 12);
    hd_buffer_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_string_equal(hd_buffer_text(&buf), "");
    hd_buffer_free(&buf);
    assert_null(buf.data);
}

static void buffer_writes_numbers_and_names(void **state) {
    (void)state;
    hd_buffer buf;
    hd_buffer_init(&buf, &hd_allocator_libc);
    hd_buffer_int(&buf, INT64_MIN);
    hd_buffer_char(&buf, ' ');
    hd_buffer_int(&buf, INT64_MAX);
    hd_buffer_char(&buf, ' ');
    hd_buffer_int(&buf, 0);
    hd_buffer_fmt(&buf, " %s=%d ", "n", 12);
    hd_buffer_ident(&buf, "a\"b", 3);
    assert_string_equal(hd_buffer_text(&buf),
                        "-9223372036854775808 9223372036854775807 0 n=12 \"a\"\"b\"");
    hd_buffer_free(&buf);
}

static void buffer_remembers_failure(void **state) {
    (void)state;
    for (long n = 1; n <= 3; n++) {
        failing f = {n, 0, 0};
        hd_allocator mem = {failing_resize, &f};
        hd_buffer buf;
        hd_buffer_init(&buf, &mem);
        for (int i = 0; i < 30; i++) hd_buffer_char(&buf, 'x');
        assert_true(buf.failed);
        assert_true(buf.len < 30);
        assert_null(hd_buffer_room(&buf, 1));
        assert_string_equal(hd_buffer_text(&buf), "");
        hd_buffer_clear(&buf);
        hd_buffer_str(&buf, "again");
        assert_string_equal(hd_buffer_text(&buf), "again");
        hd_buffer_free(&buf);
        assert_int_equal(f.live, 0);
    }
}

static void buffer_refuses_impossible_sizes(void **state) {
    (void)state;
    hd_buffer buf;
    hd_buffer_init(&buf, &hd_allocator_libc);
    hd_buffer_char(&buf, 'x');
    assert_null(hd_buffer_room(&buf, SIZE_MAX));
    assert_true(buf.failed);
    hd_buffer_free(&buf);
}

/* ---- Error ------------------------------------------------------------------------------- */

static void error_starts_and_clears_empty(void **state) {
    (void)state;
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    assert_int_equal(err.kind, HD_OK);
    assert_int_equal(err.statement, -1);
    assert_int_equal(err.row, -1);
    assert_int_equal(hd_error_set(&err, HD_E_SYNTAX, "no %s", "good"), HD_E_SYNTAX);
    hd_error_text(&err, &err.hint, "look up", 4);
    assert_string_equal(err.message, "no good");
    assert_string_equal(err.hint, "look");
    hd_error_text(&err, &err.hint, NULL, 0);
    assert_null(err.hint);
    err.statement = 3;
    hd_error_set(&err, HD_E_DRIVER, "again: %s", err.message);
    assert_string_equal(err.message, "again: no good");
    assert_int_equal(err.statement, -1);
    hd_error_clear(&err);
    assert_null(err.message);
    assert_int_equal(err.kind, HD_OK);
}

static void error_moves_whole(void **state) {
    (void)state;
    hd_error a, b;
    hd_error_init(&a, &hd_allocator_libc);
    hd_error_init(&b, &hd_allocator_libc);
    hd_error_set(&a, HD_E_CONFIG, "old");
    hd_error_set(&b, HD_E_DEADLOCK, "new");
    hd_error_text(&b, &b.detail, "d", 1);
    memcpy(b.sqlstate, "40P01", 6);
    hd_error_move(&a, &b);
    assert_int_equal(a.kind, HD_E_DEADLOCK);
    assert_string_equal(a.message, "new");
    assert_string_equal(a.detail, "d");
    assert_string_equal(a.sqlstate, "40P01");
    assert_null(b.message);
    assert_int_equal(b.kind, HD_OK);
    hd_error_move(&a, &a);
    assert_string_equal(a.message, "new");
    hd_error_clear(&a);
}

static void error_keeps_its_kind_without_memory(void **state) {
    (void)state;
    failing f = {1, 0, 0};
    hd_allocator mem = {failing_resize, &f};
    hd_error err;
    hd_error_init(&err, &mem);
    assert_int_equal(hd_error_set(&err, HD_E_TIMEOUT, "x"), HD_E_TIMEOUT);
    assert_int_equal(err.kind, HD_E_TIMEOUT);
    assert_null(err.message);
    assert_int_equal(hd_error_memory(&err), HD_E_DRIVER);
    assert_int_equal(f.calls, 1);
    hd_error_clear(&err);
    assert_int_equal(f.live, 0);
}

static void error_kinds_have_names(void **state) {
    (void)state;
    for (int kind = 0; kind < HD_ERROR_KINDS; kind++) {
        assert_non_null(hd_error_kind_name((hd_error_kind)kind));
    }
    assert_string_equal(hd_error_kind_name(HD_E_UNIQUE_VIOLATION), "unique_violation");
    assert_string_equal(hd_error_kind_name(HD_E_DRIVER), "driver");
}

/* ---- Values ------------------------------------------------------------------------------ */

static void types_have_names_both_ways(void **state) {
    (void)state;
    for (int type = HD_T_UNKNOWN + 1; type < HD_TYPES; type++) {
        const char *name = hd_type_name((hd_type)type);
        assert_int_equal(hd_type_from_name(name, strlen(name)), type);
    }
    assert_string_equal(hd_type_name(HD_T_TIMESTAMP), "timestamp");
    assert_int_equal(hd_type_from_name("timestam", 8), HD_T_UNKNOWN);
    assert_int_equal(hd_type_from_name("unknown", 7), HD_T_UNKNOWN);
}

static void keys_are_equal_by_kind_and_bits(void **state) {
    (void)state;
    hd_value items[] = {hd_int(1, HD_T_BIGINT), hd_bytes(HD_TEXT, "a", 1, HD_T_TEXT)};
    hd_value same[] = {hd_int(1, HD_T_INTEGER), hd_bytes(HD_TEXT, "a", 1, HD_T_STRING)};
    hd_list one = {HD_T_UNKNOWN, 2, items}, two = {HD_T_UNKNOWN, 2, same}, half = {0, 1, items};
    hd_value lists[] = {{HD_LIST, 0, 0, 0, {.list = &one}},
                        {HD_LIST, 0, 0, 0, {.list = &two}},
                        {HD_LIST, 0, 0, 0, {.list = &half}}};
    hd_value zero = {HD_FLOAT, 0, 0, 0, {.f = 0.0}}, minus = {HD_FLOAT, 0, 0, 0, {.f = -0.0}};
    hd_value uuid = hd_bytes(HD_UUID, "a", 1, HD_T_UUID), null = hd_null();
    hd_value empty[] = {hd_bytes(HD_TEXT, NULL, 0, 0), hd_bytes(HD_TEXT, "", 0, 0)};

    assert_true(hd_value_equal(&items[0], &same[0]));
    assert_true(hd_value_equal(&items[1], &same[1]));
    assert_false(hd_value_equal(&items[0], &items[1]));
    assert_false(hd_value_equal(&items[1], &uuid));
    assert_true(hd_value_equal(&lists[0], &lists[1]));
    assert_false(hd_value_equal(&lists[0], &lists[2]));
    assert_false(hd_value_equal(&zero, &minus));
    assert_true(hd_value_equal(&null, &null));
    assert_true(hd_value_equal(&empty[0], &empty[1]));
    assert_true(hd_value_hash(items, 2) == hd_value_hash(same, 2));
    assert_true(hd_value_hash(&lists[0], 1) == hd_value_hash(&lists[1], 1));
    assert_true(hd_value_hash(&lists[0], 1) != hd_value_hash(&lists[2], 1));
    assert_true(hd_value_hash(&empty[0], 1) == hd_value_hash(&empty[1], 1));
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Neighbouring integers are the usual keys: their hashes must differ, in their low bits too. */
static void hashes_of_neighbours_spread(void **state) {
    (void)state;
    enum { N = 4096 };
    static uint64_t hashes[N];
    unsigned buckets[256] = {0};
    for (int i = 0; i < N; i++) {
        hd_value v = hd_int(i, HD_T_BIGINT);
        hashes[i] = hd_value_hash(&v, 1);
        buckets[hashes[i] & 255]++;
    }
    for (int i = 0; i < 256; i++) assert_in_range(buckets[i], 1, 48);
    qsort(hashes, N, sizeof *hashes, by_value);
    for (int i = 1; i < N; i++) assert_true(hashes[i - 1] != hashes[i]);
}

static void texts_with_equal_prefix_differ(void **state) {
    (void)state;
    static const char text[] = "0123456789abcdef\0";
    for (size_t a = 0; a <= 17; a++) {
        for (size_t b = a + 1; b <= 17; b++) {
            hd_value x = hd_bytes(HD_TEXT, text, a, 0), y = hd_bytes(HD_TEXT, text, b, 0);
            assert_true(hd_value_hash(&x, 1) != hd_value_hash(&y, 1));
            assert_false(hd_value_equal(&x, &y));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_holds_every_byte),
        cmocka_unit_test(buffer_writes_numbers_and_names),
        cmocka_unit_test(buffer_remembers_failure),
        cmocka_unit_test(buffer_refuses_impossible_sizes),
        cmocka_unit_test(error_starts_and_clears_empty),
        cmocka_unit_test(error_moves_whole),
        cmocka_unit_test(error_keeps_its_kind_without_memory),
        cmocka_unit_test(error_kinds_have_names),
        cmocka_unit_test(types_have_names_both_ways),
        cmocka_unit_test(keys_are_equal_by_kind_and_bits),
        cmocka_unit_test(hashes_of_neighbours_spread),
        cmocka_unit_test(texts_with_equal_prefix_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
