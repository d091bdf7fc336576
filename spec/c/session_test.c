/* Session: rows and their keys by slot, and what a rollback to any mark leaves of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scarce.h"
#include "session.h"

static hd_session *session;
static hd_shelf *shelf;

static int setup(void **state) {
    (void)state;
    memset(&memory, 0, sizeof memory);
    session = hd_session_new(&scarce);
    shelf = hd_session_shelf(session, 3, 1);
    return shelf ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    hd_session_free(session);
    hd_session_free(NULL);
    return memory.live == 0 ? 0 : -1;
}

static int set_key(uint32_t slot, int64_t number) {
    const hd_value key = hd_int(number, HD_T_BIGINT);
    return hd_shelf_set_key(shelf, slot, &key);
}

static uint32_t find(int64_t number) {
    const hd_value key = hd_int(number, HD_T_BIGINT);
    return hd_shelf_find(shelf, &key);
}

static int64_t key_of(uint32_t slot) {
    hd_value key;
    return hd_shelf_key(shelf, slot, &key) ? key.as.i : -1;
}

static uint32_t add(hd_row_state state, int64_t number) {
    uint32_t slot = hd_shelf_add(shelf, state);
    if (number >= 0) assert_int_equal(set_key(slot, number), 0);
    return slot;
}

/* Takes a rollback to its end; the tokens it gave as one number, oldest digit last. */
static uint64_t roll_back(hd_mark mark) {
    uint64_t token, all = 0;
    while (hd_session_rollback(session, mark, &token)) all = all * 10 + token;
    return all;
}

/* ---- Rows and keys ---- */

static void shelves_are_made_once(void **state) {
    (void)state;
    assert_ptr_equal(hd_session_shelf(session, 3, 1), shelf);
    hd_shelf *other = hd_session_shelf(session, 0, 2);
    assert_non_null(other);
    assert_ptr_not_equal(other, shelf);
    assert_ptr_equal(hd_session_shelf(session, 0, 2), other);
    add(HD_ROW_MANAGED, 7);
    assert_int_equal(hd_shelf_count(other), 0);
}

static void a_key_belongs_to_one_row(void **state) {
    (void)state;
    uint32_t a = add(HD_ROW_MANAGED, 7), b = add(HD_ROW_NEW, -1);
    assert_int_equal(find(7), a);
    assert_int_equal(set_key(b, 7), 1);
    assert_false(hd_shelf_has_key(shelf, b));
    assert_int_equal(set_key(b, 8), 0);
    assert_int_equal(hd_shelf_drop_key(shelf, a), 0);
    assert_int_equal(hd_shelf_drop_key(shelf, a), 0); /* it has none */
    assert_int_equal(find(7), HD_NO_SLOT);
    assert_int_equal(hd_shelf_state(shelf, a), HD_ROW_MANAGED);
    assert_int_equal(hd_shelf_state(shelf, 99), HD_ROW_FREE);
    assert_false(hd_shelf_has_key(shelf, 99));
}

static void rows_without_a_key_are_found_by_nobody(void **state) {
    (void)state;
    hd_shelf *keyless = hd_session_shelf(session, 4, 0);
    const hd_value none = hd_null();
    for (int i = 0; i < 3; i++) {
        uint32_t slot = hd_shelf_add(keyless, HD_ROW_MANAGED);
        assert_int_not_equal(slot, HD_NO_SLOT);
        assert_int_equal(hd_shelf_set_key(keyless, slot, &none), 0);
        assert_false(hd_shelf_has_key(keyless, slot));
        assert_int_equal(hd_shelf_find(keyless, &none), HD_NO_SLOT);
    }
}

static void composite_keys_are_read_back(void **state) {
    (void)state;
    hd_shelf *pair = hd_session_shelf(session, 1, 2);
    char name[] = "name";
    const hd_value key[] = {hd_bytes(HD_TEXT, name, 4, HD_T_TEXT), hd_int(5, HD_T_INTEGER)};
    uint32_t slot = hd_shelf_add(pair, HD_ROW_REFERENCE);
    assert_int_equal(hd_shelf_set_key(pair, slot, key), 0);
    name[0] = 'N'; /* the shelf has its own copy */
    assert_int_equal(hd_shelf_find(pair, key), HD_NO_SLOT);
    hd_value back[2];
    assert_true(hd_shelf_key(pair, slot, back));
    assert_memory_equal(back[0].as.p, "name", 4);
    assert_int_equal(back[1].as.i, 5);
}

static void slots_are_used_again(void **state) {
    (void)state;
    uint32_t a = add(HD_ROW_MANAGED, 1);
    add(HD_ROW_MANAGED, 2);
    assert_int_equal(hd_shelf_remove(shelf, a), 0);
    assert_int_equal(hd_shelf_state(shelf, a), HD_ROW_FREE);
    assert_int_equal(find(1), HD_NO_SLOT);
    hd_mark mark = hd_session_mark(session);
    assert_int_not_equal(add(HD_ROW_NEW, 4), a); /* a rollback might want it back */
    roll_back(mark);
    assert_int_equal(add(HD_ROW_NEW, 3), a);
    assert_int_equal(hd_shelf_count(shelf), 3);
}

static void clear_forgets_everything(void **state) {
    (void)state;
    add(HD_ROW_MANAGED, 1);
    hd_mark mark = hd_session_mark(session);
    hd_shelf_remove(shelf, 0);
    hd_session_clear(session);
    assert_false(hd_session_has_marks(session));
    uint64_t token;
    assert_false(hd_session_rollback(session, mark, &token)); /* of before: nothing */
    shelf = hd_session_shelf(session, 3, 1);
    assert_int_equal(hd_shelf_count(shelf), 0);
    assert_int_equal(add(HD_ROW_NEW, 1), 0);
}

/* ---- Marks ---- */

static void a_rollback_gives_states_and_keys_back(void **state) {
    (void)state;
    uint32_t a = add(HD_ROW_MANAGED, 1), b = add(HD_ROW_MANAGED, 2), c = add(HD_ROW_NEW, -1);
    hd_mark mark = hd_session_mark(session);
    hd_shelf_remove(shelf, a);
    uint32_t d = add(HD_ROW_NEW, 1); /* takes the key that became free */
    assert_int_not_equal(d, a);      /* not the slot */
    hd_shelf_set_state(shelf, b, HD_ROW_REMOVED);
    set_key(c, 3);
    hd_shelf_set_state(shelf, c, HD_ROW_MANAGED);
    assert_int_equal(roll_back(mark), 0);
    assert_int_equal(find(1), a);
    assert_int_equal(key_of(a), 1);
    assert_int_equal(hd_shelf_state(shelf, a), HD_ROW_MANAGED);
    assert_int_equal(hd_shelf_state(shelf, b), HD_ROW_MANAGED);
    assert_int_equal(hd_shelf_state(shelf, c), HD_ROW_NEW);
    assert_int_equal(key_of(c), -1);
    assert_int_equal(find(3), HD_NO_SLOT);
    assert_int_equal(hd_shelf_state(shelf, d), HD_ROW_FREE);
    assert_false(hd_session_has_marks(session));
    assert_int_equal(add(HD_ROW_NEW, 9), d); /* free again */
}

static void tokens_come_back_newest_first(void **state) {
    (void)state;
    assert_int_equal(hd_session_note(session, 9), 0); /* no mark: not kept */
    hd_mark mark = hd_session_mark(session);
    hd_session_note(session, 1);
    uint32_t a = add(HD_ROW_NEW, 5);
    hd_session_note(session, 2);
    uint64_t token;
    assert_true(hd_session_rollback(session, mark, &token));
    assert_int_equal(token, 2);
    assert_int_equal(hd_shelf_state(shelf, a), HD_ROW_NEW); /* the host sees what stood then */
    assert_true(hd_session_rollback(session, mark, &token));
    assert_int_equal(token, 1);
    assert_int_equal(hd_shelf_state(shelf, a), HD_ROW_FREE);
    assert_false(hd_session_rollback(session, mark, &token));
}

static void marks_nest(void **state) {
    (void)state;
    uint32_t a = add(HD_ROW_MANAGED, 1);
    hd_mark outer = hd_session_mark(session);
    hd_session_note(session, 1);
    hd_shelf_drop_key(shelf, a);
    set_key(a, 2);
    hd_mark inner = hd_session_mark(session);
    hd_session_note(session, 2);
    hd_shelf_drop_key(shelf, a);
    set_key(a, 3);
    assert_int_equal(roll_back(inner), 2);
    assert_int_equal(key_of(a), 2);
    inner = hd_session_mark(session);
    hd_session_note(session, 3);
    hd_shelf_drop_key(shelf, a);
    set_key(a, 4);
    hd_session_forget(session, inner); /* part of the outer one now */
    assert_true(hd_session_has_marks(session));
    assert_int_equal(find(4), a);
    assert_int_equal(roll_back(outer), 31);
    assert_int_equal(find(1), a);
    assert_int_equal(find(4), HD_NO_SLOT);
}

static void what_is_forgotten_is_final(void **state) {
    (void)state;
    uint32_t a = add(HD_ROW_MANAGED, 1), b = add(HD_ROW_MANAGED, 2);
    hd_mark mark = hd_session_mark(session);
    hd_shelf_remove(shelf, a);
    hd_session_forget(session, mark);
    assert_false(hd_session_has_marks(session));
    assert_int_equal(add(HD_ROW_NEW, 3), a); /* its slot is free for good */
    mark = hd_session_mark(session);
    roll_back(mark);
    assert_int_equal(find(3), a);
    assert_int_equal(find(2), b);
}

/* ---- Chance against a copy ---- */

enum { ROWS = 100, DEPTH = 4 };

typedef struct model {
    struct {
        hd_row_state state;
        int64_t key;
    } rows[256];
    uint32_t count;
} model;

static model now, saved[DEPTH];
static hd_mark marks[DEPTH];
static uint32_t seed, depth;

static uint32_t dice(uint32_t sides) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static void compare(void) {
    assert_int_equal(hd_shelf_count(shelf) >= now.count, 1);
    for (uint32_t slot = 0; slot < hd_shelf_count(shelf); slot++) {
        assert_int_equal(hd_shelf_state(shelf, slot), now.rows[slot].state);
        assert_int_equal(key_of(slot), now.rows[slot].key);
    }
}

static uint32_t owner_of(int64_t key) {
    for (uint32_t slot = 0; slot < now.count; slot++)
        if (now.rows[slot].key == key) return slot;
    return HD_NO_SLOT;
}

static void compare_keys(void) {
    for (int64_t key = 0; key < ROWS; key++) assert_int_equal(find(key), owner_of(key));
}

/* Mostly one that is higher than all others, as rows come in the order of their keys. */
static int64_t some_key(void) {
    int64_t highest = -1;
    for (uint32_t slot = 0; slot < now.count; slot++)
        if (now.rows[slot].key > highest) highest = now.rows[slot].key;
    return dice(3) && highest + 3 < ROWS ? highest + 1 + dice(2) : dice(ROWS);
}

static void enter_a_row(void) {
    bool is_new;
    hd_value key = hd_int(some_key(), HD_T_INTEGER);
    uint32_t owner = owner_of(key.as.i);
    uint32_t slot = hd_shelf_enter(shelf, &key, HD_ROW_MANAGED, &is_new);
    assert_int_equal(is_new, owner == HD_NO_SLOT);
    if (!is_new) {
        assert_int_equal(slot, owner);
        return;
    }
    assert_int_equal(now.rows[slot].state, HD_ROW_FREE);
    if (slot >= now.count) now.count = slot + 1;
    now.rows[slot].state = HD_ROW_MANAGED;
    now.rows[slot].key = key.as.i;
}

static void act_on_a_row(void) {
    uint32_t slot = now.count ? dice(now.count) : 0;
    bool lives = now.count && now.rows[slot].state != HD_ROW_FREE;
    uint32_t choice = dice(7);
    if (choice == 0 && now.count < 200) {
        slot = hd_shelf_add(shelf, HD_ROW_NEW);
        if (slot >= now.count) now.count = slot + 1;
        now.rows[slot].state = HD_ROW_NEW;
        now.rows[slot].key = -1;
    } else if (choice == 1 && lives && now.rows[slot].key < 0) {
        int64_t key = some_key();
        bool taken = owner_of(key) != HD_NO_SLOT;
        assert_int_equal(set_key(slot, key), taken);
        if (!taken) now.rows[slot].key = key;
    } else if (choice == 2 && lives) {
        now.rows[slot].state = 1 + dice(5);
        assert_int_equal(hd_shelf_set_state(shelf, slot, now.rows[slot].state), 0);
    } else if (choice == 3 && lives) {
        assert_int_equal(hd_shelf_drop_key(shelf, slot), 0);
        now.rows[slot].key = -1;
    } else if (choice == 4 && lives && dice(2)) {
        assert_int_equal(hd_shelf_remove(shelf, slot), 0);
        now.rows[slot].key = -1;
        now.rows[slot].state = HD_ROW_FREE;
    } else if (choice > 4 && now.count < 200) {
        enter_a_row();
    }
}

static void act_on_marks(void) {
    uint32_t choice = dice(3);
    if (choice == 0 && depth < DEPTH) {
        marks[depth] = hd_session_mark(session);
        saved[depth++] = now;
    } else if (choice == 1 && depth > 0) {
        hd_session_forget(session, marks[--depth]);
    } else if (choice == 2 && depth > 0) {
        uint32_t count = now.count;
        roll_back(marks[--depth]);
        now = saved[depth];
        for (; now.count < count; now.count++)
            now.rows[now.count].state = HD_ROW_FREE, now.rows[now.count].key = -1;
    }
}

static void rollbacks_are_exact(void **state) {
    (void)state;
    for (uint32_t run = 1; run <= 60; run++) {
        seed = run * 7919;
        depth = 0;
        hd_session_clear(session);
        shelf = hd_session_shelf(session, 3, 1);
        memset(&now, 0, sizeof now);
        for (int i = 0; i < 256; i++) now.rows[i].key = -1;
        for (int i = 0; i < 400; i++) {
            if (dice(6) == 0)
                act_on_marks();
            else
                act_on_a_row();
            compare();
            if (dice(8) == 0) compare_keys();
        }
        while (depth > 0) hd_session_forget(session, marks[--depth]);
        compare();
        compare_keys();
    }
}

/* ---- Memory ---- */

/* Everything once; counts what failed. After a failed change the row is as it was. */
static int work(void) {
    int failed = 0;
    hd_session *s = hd_session_new(&scarce);
    if (!s) return 1;
    shelf = hd_session_shelf(s, 2, 2);
    if (!shelf) failed++;
    hd_mark mark = 0;
    for (int i = 0; shelf && i < 20; i++) {
        if (i == 8) mark = hd_session_mark(s);
        const hd_value key[] = {hd_bytes(HD_TEXT, "long enough for bytes", (size_t)i, HD_T_TEXT),
                                hd_int(i, HD_T_INTEGER)};
        uint32_t slot = hd_shelf_add(shelf, HD_ROW_NEW);
        if (slot == HD_NO_SLOT) {
            failed++;
            continue;
        }
        if (hd_shelf_set_key(shelf, slot, key) != 0) {
            failed++;
            assert_false(hd_shelf_has_key(shelf, slot));
        }
        if (i % 3 == 0 && hd_shelf_has_key(shelf, slot) && hd_shelf_drop_key(shelf, slot) != 0) {
            failed++;
            assert_int_equal(hd_shelf_find(shelf, key), slot);
        }
        if (i % 4 == 0 && hd_shelf_remove(shelf, slot) != 0) failed++;
        if (i > 8 && hd_session_note(s, 1) != 0) failed++;
    }
    uint64_t token;
    if (shelf)
        while (hd_session_rollback(s, mark, &token)) {
        }
    for (uint32_t slot = 8; shelf && slot < hd_shelf_count(shelf) && !failed; slot++)
        assert_int_equal(hd_shelf_state(shelf, slot), HD_ROW_FREE);
    hd_session_free(s);
    return failed;
}

/* Numbers in an order that makes some of them wait for the map. What was entered is found, whatever failed since. */
static int enter_numbers(void) {
    int failed = 0;
    hd_session *s = hd_session_new(&scarce);
    if (!s) return 1;
    hd_shelf *numbers = hd_session_shelf(s, 0, 1);
    bool there[40] = {false}, is_new;
    for (int i = 0; numbers && i < 40; i++) {
        int number = i % 4 == 3 ? i - 3 : i + 1;
        hd_value key = hd_int(number, HD_T_INTEGER);
        uint32_t slot = hd_shelf_enter(numbers, &key, HD_ROW_MANAGED, &is_new);
        failed += slot == HD_NO_SLOT;
        if (slot != HD_NO_SLOT) there[number % 40] = true;
        for (int k = 0; k < 40; k++) {
            key = hd_int(k, HD_T_INTEGER);
            assert_int_equal(hd_shelf_find(numbers, &key) != HD_NO_SLOT, there[k]);
        }
    }
    hd_session_free(s);
    return failed + !numbers;
}

static void out_of_memory_while_keys_wait(void **state) {
    (void)state;
    long before = memory.live, n = 0;
    int failed;
    do {
        scarce_from(++n);
        failed = enter_numbers();
        assert_int_equal(memory.live, before);
    } while (memory.calls >= n);
    assert_int_equal(failed, 0);
    shelf = hd_session_shelf(session, 3, 1);
}

static void out_of_memory_at_every_allocation(void **state) {
    (void)state;
    long before = memory.live, n = 0;
    int failed;
    do {
        scarce_from(++n);
        failed = work();
        assert_int_equal(memory.live, before);
    } while (memory.calls >= n);
    assert_int_equal(failed, 0);
    assert_true(n > 20);
    shelf = hd_session_shelf(session, 3, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(shelves_are_made_once),
        TEST(a_key_belongs_to_one_row),
        TEST(rows_without_a_key_are_found_by_nobody),
        TEST(composite_keys_are_read_back),
        TEST(slots_are_used_again),
        TEST(clear_forgets_everything),
        TEST(a_rollback_gives_states_and_keys_back),
        TEST(tokens_come_back_newest_first),
        TEST(marks_nest),
        TEST(what_is_forgotten_is_final),
        TEST(rollbacks_are_exact),
        TEST(out_of_memory_at_every_allocation),
        TEST(out_of_memory_while_keys_wait),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
