/* The number of the process: that of getpid, in every child too, however it was made, and in every thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"

static bool is_right(void) {
    return hd_process() == getpid() && hd_process() == getpid();
}

static bool child_is_right(pid_t child) {
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void is_the_systems(void **state) {
    (void)state;
    assert_true(is_right());
}

static void is_another_in_a_child(void **state) {
    (void)state;
    assert_true(is_right());
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork(); /* before the number was asked for */
        if (grandchild == 0) _exit(is_right() ? 0 : 1);
        bool right = is_right();
        pid_t another = fork(); /* and behind it */
        if (another == 0) _exit(is_right() ? 0 : 1);
        _exit(right && child_is_right(grandchild) && child_is_right(another) ? 0 : 1);
    }
    assert_true(child_is_right(child));
    assert_true(is_right());
}

/* Nobody is told of such a child. */
static void is_another_in_a_bare_child(void **state) {
    (void)state;
    assert_true(is_right());
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) _exit(is_right() ? 0 : 1);
    assert_true(child_is_right(child));
}

static void *look(void *right) {
    *(bool *)right = true;
    for (int i = 0; i < 1000; i++) *(bool *)right = *(bool *)right && is_right();
    return NULL;
}

static void is_the_same_in_threads(void **state) {
    enum { THREADS = 8 };
    (void)state;
    pid_t child = fork(); /* where all ask for it at once */
    if (child == 0) {
        pthread_t threads[THREADS];
        bool right[THREADS], all = true;
        for (int i = 0; i < THREADS; i++) {
            if (pthread_create(&threads[i], NULL, look, &right[i]) != 0) _exit(2);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            all = all && right[i];
        }
        _exit(all ? 0 : 1);
    }
    assert_true(child_is_right(child));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_same_in_threads), /* first: nobody has asked yet */
        cmocka_unit_test(is_the_systems),
        cmocka_unit_test(is_another_in_a_child),
        cmocka_unit_test(is_another_in_a_bare_child),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
