/* Undo journal: nothing without a mark, newest first with one, and no entry without room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scarce.h"
#include "undo.h"

static hd_undo undo;

static int setup(void **state) {
    (void)state;
    memset(&memory, 0, sizeof memory);
    hd_undo_init(&undo, &scarce);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    hd_undo_free(&undo);
    hd_undo_free(&undo);
    return memory.live == 0 ? 0 : -1;
}

static void note(uint32_t slot) {
    bool failed;
    if (!hd_undo_ready(&undo, &failed)) return;
    hd_undo_push(&undo, (hd_undo_entry){HD_UNDO_HOST, 0, 0, slot, slot});
}

static void nothing_is_kept_without_a_mark(void **state) {
    (void)state;
    bool failed = true;
    assert_false(hd_undo_ready(&undo, &failed));
    assert_false(failed);
    assert_int_equal(memory.calls, 0);
    hd_undo_entry entry;
    assert_false(hd_undo_pop(&undo, 0, &entry));
}

static void the_newest_comes_first_down_to_the_mark(void **state) {
    (void)state;
    undo.marks = 1;
    for (uint32_t i = 0; i < 100; i++) note(i);
    hd_undo_entry entry;
    for (uint32_t i = 100; i-- > 40;) {
        assert_true(hd_undo_pop(&undo, 40, &entry));
        assert_int_equal(entry.slot, i);
        assert_int_equal(entry.word, i);
    }
    assert_false(hd_undo_pop(&undo, 40, &entry));
    note(7);
    assert_true(hd_undo_pop(&undo, 40, &entry));
    assert_int_equal(entry.slot, 7);
    assert_true(hd_undo_pop(&undo, 0, &entry));
    assert_int_equal(entry.slot, 39);
}

static void room_is_made_before_the_change(void **state) {
    (void)state;
    undo.marks = 1;
    for (int i = 0; i < 50; i++) {
        bool failed;
        scarce_from(1);
        bool ready = hd_undo_ready(&undo, &failed);
        assert_true(ready != failed);
        if (failed) {
            assert_int_equal(undo.count, i);
            scarce_from(0);
            ready = hd_undo_ready(&undo, &failed);
        }
        assert_true(ready);
        hd_undo_push(&undo, (hd_undo_entry){.slot = 1});
    }
    assert_int_equal(undo.count, 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_kept_without_a_mark),
        TEST(the_newest_comes_first_down_to_the_mark),
        TEST(room_is_made_before_the_change),
    };
    return cmocka_run_group_tests_name("undo", tests, NULL, NULL);
}
