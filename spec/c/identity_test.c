/* Identity map: keys of every kind find their slot, and only theirs, however the table fills, empties and grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "identity.h"
#include "scarce.h"

enum { SLOTS = 600 };

static hd_identity map;
static hd_key keys[SLOTS];

static void open_map(uint32_t key_count) {
    memset(&memory, 0, sizeof memory);
    memset(keys, 0, sizeof keys);
    hd_identity_init(&map, &scarce, key_count);
}

static void close_map(void) {
    for (int i = 0; i < SLOTS; i++) hd_key_free(&scarce, &keys[i]);
    hd_identity_free(&map);
    assert_int_equal(memory.live, 0);
}

static hd_value text(const char *bytes, size_t len) {
    return hd_bytes(HD_TEXT, bytes, len, HD_T_TEXT);
}

static int add(uint32_t slot, const hd_value *key) {
    if (hd_identity_reserve(&map) != 0) return -1;
    if (hd_key_make(&scarce, key, map.key_count, &keys[slot]) != 0) return -1;
    hd_identity_insert(&map, &keys[slot], slot);
    return 0;
}

static void take(uint32_t slot) {
    hd_identity_remove(&map, &keys[slot], slot);
    hd_key_free(&scarce, &keys[slot]);
}

static uint32_t find(const hd_value *key) {
    return hd_identity_find(&map, keys, sizeof *keys, key);
}

static uint32_t find_int(int64_t number) {
    const hd_value key = hd_int(number, HD_T_BIGINT);
    return find(&key);
}

static void add_int(uint32_t slot, int64_t number) {
    const hd_value key = hd_int(number, HD_T_BIGINT);
    assert_int_equal(add(slot, &key), 0);
}

static void an_empty_map_finds_nothing(void **state) {
    (void)state;
    open_map(1);
    assert_int_equal(find_int(0), UINT32_MAX);
    hd_key key = {.used = true};
    hd_identity_remove(&map, &key, 0); /* of nothing */
    assert_int_equal(memory.calls, 0);
    close_map();
}

static void integers_at_their_limits(void **state) {
    (void)state;
    static const int64_t numbers[] = {
        0, 1, -1, INT64_MAX, INT64_MIN, INT64_C(1) << 32, INT64_C(1) << 53};
    open_map(1);
    for (uint32_t i = 0; i < 7; i++) add_int(i, numbers[i]);
    for (uint32_t i = 0; i < 7; i++) assert_int_equal(find_int(numbers[i]), i);
    assert_int_equal(find_int(2), UINT32_MAX);
    hd_value back;
    hd_key_read(&keys[4], &back, 1);
    assert_true(back.kind == HD_INT && back.as.i == INT64_MIN);
    take(0);
    assert_int_equal(find_int(0), UINT32_MAX);
    close_map();
}

/* Keys that an earlier or later reader could mistake for one another. */
static void kinds_and_borders_count(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
    } pairs[] = {{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"abc", ""},
                 {"", ""},    {"a", "a"},  {"A", "a"}};
    const uint32_t count = sizeof pairs / sizeof *pairs;
    open_map(2);
    for (uint32_t i = 0; i < count; i++) {
        const hd_value key[] = {text(pairs[i].a, strlen(pairs[i].a)),
                                text(pairs[i].b, strlen(pairs[i].b))};
        assert_int_equal(find(key), UINT32_MAX);
        assert_int_equal(add(i, key), 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        const hd_value key[] = {text(pairs[i].a, strlen(pairs[i].a)),
                                text(pairs[i].b, strlen(pairs[i].b))};
        assert_int_equal(find(key), i);
        hd_value back[2];
        hd_key_read(&keys[i], back, 2);
        assert_true(hd_value_equal(&back[0], &key[0]) && hd_value_equal(&back[1], &key[1]));
    }
    const hd_value uuid[] = {hd_bytes(HD_UUID, "a", 1, HD_T_UUID), text("a", 1)};
    const hd_value blob[] = {hd_bytes(HD_BLOB, "a", 1, HD_T_BLOB), text("a", 1)};
    assert_int_equal(find(uuid), UINT32_MAX);
    assert_int_equal(find(blob), UINT32_MAX);
    const hd_value number[] = {hd_int('a', HD_T_INTEGER), text("a", 1)};
    assert_int_equal(find(number), UINT32_MAX);
    close_map();
}

static void one_text_is_no_integer(void **state) {
    (void)state;
    open_map(1);
    const hd_value one = text("1", 1), empty = text("", 0);
    assert_int_equal(add(0, &one), 0);
    assert_int_equal(add(1, &empty), 0);
    add_int(2, 1);
    assert_int_equal(find(&one), 0);
    assert_int_equal(find(&empty), 1);
    assert_int_equal(find_int(1), 2);
    close_map();
}

static void long_and_binary_keys(void **state) {
    (void)state;
    static char bytes[3][5000];
    open_map(1);
    for (uint32_t i = 0; i < 3; i++) {
        memset(bytes[i], 0, sizeof bytes[i]);
        bytes[i][i == 0 ? 0 : sizeof bytes[i] - i] = 'x'; /* the difference is anywhere */
        const hd_value key = hd_bytes(HD_BLOB, bytes[i], sizeof bytes[i], HD_T_BLOB);
        assert_int_equal(add(i, &key), 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        const hd_value key = hd_bytes(HD_BLOB, bytes[i], sizeof bytes[i], HD_T_BLOB);
        assert_int_equal(find(&key), i);
    }
    close_map();
}

/* Keys come and go by chance; a plain array says what should be there. */
static void chance_against_an_array(int64_t spread) {
    static int64_t model[SLOTS];
    static bool there[SLOTS];
    uint32_t seed = 7;
    open_map(1);
    memset(there, 0, sizeof there);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t slot = (seed >> 8) % SLOTS;
        if (there[slot]) {
            take(slot);
            there[slot] = false;
        } else {
            model[slot] = (int64_t)slot * spread; /* differs from all others */
            add_int(slot, model[slot]);
            there[slot] = true;
        }
        uint32_t other = (seed >> 3) % SLOTS;
        assert_int_equal(find_int((int64_t)other * spread), there[other] ? other : UINT32_MAX);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert_int_equal(find_int((int64_t)slot * spread), there[slot] ? slot : UINT32_MAX);
    close_map();
}

static void keys_come_and_go(void **state) {
    (void)state;
    chance_against_an_array(1);
    chance_against_an_array(INT64_C(1) << 32); /* all alike in their low half */
    chance_against_an_array(-3);
}

/* One key over and over: what was used must not fill the table. */
static void tombstones_do_not_pile_up(void **state) {
    (void)state;
    open_map(1);
    for (int64_t i = 0; i < 5000; i++) {
        add_int(0, i);
        assert_int_equal(find_int(i), 0);
        assert_int_equal(find_int(i + 1), UINT32_MAX); /* ends */
        take(0);
    }
    assert_true(map.mask < 64);
    close_map();
}

static void out_of_memory_changes_nothing(void **state) {
    (void)state;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    open_map(2);
    uint32_t count = 0;
    for (long fail = 1; count < 200; fail = fail % 3 + 1) {
        const hd_value key[] = {text(letters, count % 26), hd_int(count, HD_T_INTEGER)};
        scarce_from(fail);
        int added = add(count, key);
        scarce_from(0);
        assert_int_equal(find(key), added == 0 ? count : UINT32_MAX);
        if (added == 0)
            count++;
        else
            assert_false(keys[count].used);
        for (uint32_t i = 0; i < count; i++) {
            const hd_value known[] = {text(letters, i % 26), hd_int(i, HD_T_INTEGER)};
            assert_int_equal(find(known), i);
        }
    }
    close_map();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(integers_at_their_limits),
        cmocka_unit_test(kinds_and_borders_count),
        cmocka_unit_test(one_text_is_no_integer),
        cmocka_unit_test(long_and_binary_keys),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(tombstones_do_not_pile_up),
        cmocka_unit_test(out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
