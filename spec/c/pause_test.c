/* Pause: it ends when there is something, or the time is over, and looks for an answer in vain only as often as it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "pause.h"

enum { MOST_CREDIT = 8, REST = 64, LONG = 10000000 /* microseconds, for what has to come */ };

static int ends[2];

static int setup(void **state) {
    (void)state;
    return pipe(ends);
}

static int teardown(void **state) {
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void pause_for(hd_time most, hd_spin *spin) {
    const hd_wait wait = {ends[0], HD_READ, HD_NEVER};
    hd_pause(&wait, most, spin);
}

static void *answer_later(void *arg) {
    (void)arg;
    usleep(20000);
    (void)!write(ends[1], "x", 1);
    return NULL;
}

static void an_answer_ends_it(void **state) {
    (void)state;
    for (int credit = 0; credit <= MOST_CREDIT; credit += MOST_CREDIT) {
        hd_spin spin = {(uint8_t)credit, 0};
        hd_time begin = hd_now();
        pthread_t thread;
        char byte;
        pthread_create(&thread, NULL, answer_later, NULL);
        pause_for(LONG, credit ? &spin : NULL);
        assert_true(hd_now() - begin < LONG / 2);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        pthread_join(thread, NULL);
    }
}

static void its_time_ends_it(void **state) {
    (void)state;
    hd_spin spin = {MOST_CREDIT, 0};
    hd_time begin = hd_now();
    pause_for(2000, &spin);
    assert_true(hd_now() - begin >= 2000);
    begin = hd_now();
    const hd_wait soon = {ends[0], HD_READ, begin + 3000};
    hd_pause(&soon, LONG, &spin);
    assert_true(hd_now() - begin >= 3000 && hd_now() - begin < LONG / 2);
    const hd_wait past = {ends[0], HD_READ, begin - 1};
    hd_pause(&past, LONG, &spin);
    const hd_wait no_descriptor = {-1, 0, hd_now() + 1000};
    hd_pause(&no_descriptor, LONG, &spin);
    assert_true(hd_now() - begin < LONG / 2);
}

static void answers_earn_credit(void **state) {
    (void)state;
    hd_spin spin = {0, 0};
    uint8_t most = 0;
    assert_int_equal(write(ends[1], "x", 1), 1);
    /* On a busy machine somebody may take the processor again and again, which earns nothing. */
    for (hd_time end = hd_now() + LONG; most < MOST_CREDIT && hd_now() < end;) {
        spin.rest = 0;
        pause_for(LONG, &spin);
        assert_true(spin.credit <= MOST_CREDIT);
        if (spin.credit > most) most = spin.credit;
    }
    assert_true(most > 0);
}

static void waits_in_vain_use_it_up(void **state) {
    (void)state;
    hd_spin spin = {MOST_CREDIT, 0};
    for (int i = MOST_CREDIT - 1; i >= 0; i--) {
        pause_for(1000, &spin);
        assert_int_equal(spin.credit, i);
    }
    pause_for(1000, &spin); /* one try, and then they sleep at once */
    for (int i = REST; i > 0; i--) {
        assert_int_equal(spin.rest, i);
        pause_for(1000, &spin);
    }
    assert_int_equal(spin.rest, 0);
    pause_for(1000, &spin);
    assert_int_equal(spin.rest, REST);
    assert_int_equal(spin.credit, 0);
}

static void a_short_wait_sleeps_at_once(void **state) {
    (void)state;
    hd_spin spin = {MOST_CREDIT, 0};
    pause_for(50, &spin);
    assert_int_equal(spin.credit, MOST_CREDIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(its_time_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_earn_credit, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_in_vain_use_it_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_wait_sleeps_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
