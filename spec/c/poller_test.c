/* Poller: every descriptor that becomes ready is told of, once, whatever comes between. */
#include "poller_support.h"

/* ---- What is told ---- */

static void tells_of_what_is_ready_once(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    connect_peer();
    arm(ends[0], HD_READ, 7);
    assert_quiet();
    put(ends[1]);
    assert_int_equal(next(), 7);
    assert_quiet(); /* still readable */
    arm(ends[0], HD_READ, UINT32_MAX);
    assert_int_equal(next(), UINT32_MAX);
    arm(ends[0], HD_READ | HD_WRITE, 0x01020304);
    assert_int_equal(next(), 0x01020304);
    close_pair(ends);
}

static void tells_of_what_is_writable_and_of_a_hang_up(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    connect_peer();
    while (write(ends[0], directory, sizeof directory) > 0) {
    }
    arm(ends[0], HD_WRITE, 1);
    assert_quiet();
    char bytes[4096];
    while (read(ends[1], bytes, sizeof bytes) > 0) {
    }
    assert_int_equal(next(), 1);
    while (write(ends[0], directory, sizeof directory) > 0) {
    }
    arm(ends[0], HD_WRITE, 2);
    close(ends[1]);
    assert_int_equal(next(), 2);
    close(ends[0]);
}

static void keeps_what_was_ready_before_the_connection(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    put(ends[1]);
    arm(ends[0], HD_READ, 11);
    arm(ends[1], HD_WRITE, 12);
    usleep(20000);
    connect_peer();
    assert_int_equal(next() + next(), 23);
    assert_quiet();
    close_pair(ends);
}

static void replaces_what_was_armed(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    connect_peer();
    arm(ends[0], HD_READ, 1);
    arm(ends[0], HD_READ, 2);
    put(ends[1]);
    assert_int_equal(next(), 2);
    assert_quiet();
    close_pair(ends);
}

static void forgets_what_is_disarmed(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    connect_peer();
    hd_poller_disarm(poller, ends[0]);
    arm(ends[0], HD_READ, 1);
    hd_poller_disarm(poller, ends[0]);
    put(ends[1]);
    assert_quiet();
    arm(ends[0], HD_READ, 2);
    assert_int_equal(next(), 2);
    close_pair(ends);
}

static void forgets_what_is_closed(void **state) {
    (void)state;
    int ends[2], again[2];
    connect_peer();
    make_pair(ends);
    arm(ends[0], HD_READ, 1);
    close_pair(ends);
    assert_quiet();
    hd_poller_disarm(poller, ends[0]);
    make_pair(again);
    assert_int_equal(again[0], ends[0]); /* the number is another one's now */
    arm(again[0], HD_READ, 2);
    assert_quiet();
    put(again[1]);
    assert_int_equal(next(), 2);
    assert_quiet();
    close_pair(again);
}

static void says_that_it_is_alive(void **state) {
    (void)state;
    connect_peer();
    hd_time before = hd_now();
    assert_int_equal(next_word(), 0);
    assert_int_equal(next_word(), 0);
    assert_true(hd_now() - before >= HD_POLLER_BEAT);
}

static void refuses_what_cannot_be_waited_for(void **state) {
    (void)state;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(hd_poller_arm(poller, file, HD_READ, 1, &err), HD_E_DRIVER);
    assert_string_equal(err.cause, strerror(EPERM));
    close(file);
    assert_int_equal(hd_poller_arm(poller, file, HD_READ, 1, &err), HD_E_DRIVER);
    assert_string_equal(err.cause, strerror(EBADF));
    assert_int_equal(hd_poller_arm(poller, -1, HD_READ, 1, &err), HD_E_DRIVER);
}

/* ---- Under load ---- */

enum { MANY = 1000 };

static void raise_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 3 * MANY) limit.rlim_cur = 3 * MANY;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void waits_for_a_thousand(void **state) {
    (void)state;
    static int ends[MANY][2];
    static char seen[MANY];
    raise_limit();
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < MANY; i++) {
        make_pair(ends[i]);
        arm(ends[i][0], HD_READ, (uint32_t)i + 1);
    }
    connect_peer();
    assert_quiet();
    for (int i = 0; i < MANY; i++) put(ends[i][1]);
    for (int i = 0; i < MANY; i++) {
        int64_t id = next();
        assert_in_range(id, 1, MANY);
        assert_int_equal(seen[id - 1]++, 0);
    }
    assert_quiet();
    for (int i = 0; i < MANY; i++) close_pair(ends[i]);
}

/* Writes to the other ends of what is armed, in an order and with pauses of its own. */
typedef struct writer {
    int fds[8];
    int rounds;
    atomic_int allowed[8]; /* so many bytes may go to each */
} writer;

static void *write_at_any_time(void *argument) {
    writer *w = argument;
    unsigned chance = 1;
    for (int left = w->rounds * 8; left > 0;) {
        chance = chance * 1103515245 + 12345;
        int i = (int)(chance >> 16) % 8;
        if (atomic_load(&w->allowed[i]) == 0) continue;
        atomic_fetch_sub(&w->allowed[i], 1);
        if (write(w->fds[i], "x", 1) != 1) return argument;
        left--;
        for (unsigned pause = chance >> 22; pause > 0; pause--) __asm__ volatile("");
    }
    return NULL;
}

/* Bytes come before, between and behind the instructions that arm: each one is told of, or this never ends. */
static void loses_nothing_between_arming_and_ready(void **state) {
    (void)state;
    enum { ROUNDS = 2000 };
    static writer w;
    int fds[8], got[8] = {0};
    pthread_t thread;
    connect_peer();
    w.rounds = ROUNDS;
    for (int i = 0; i < 8; i++) {
        int ends[2];
        make_pair(ends);
        fds[i] = ends[0];
        w.fds[i] = ends[1];
        atomic_store(&w.allowed[i], 1);
        arm(fds[i], HD_READ, (uint32_t)i + 1);
    }
    assert_int_equal(pthread_create(&thread, NULL, write_at_any_time, &w), 0);
    for (int left = ROUNDS * 8; left > 0; left--) {
        int64_t id = next();
        assert_in_range(id, 1, 8);
        int i = (int)id - 1;
        take(fds[i]);
        if (++got[i] == ROUNDS) continue;
        if (got[i] % 2)
            atomic_fetch_add(&w.allowed[i], 1); /* ready before it is armed, or behind */
        arm(fds[i], HD_READ, (uint32_t)id);
        if (got[i] % 2 == 0) atomic_fetch_add(&w.allowed[i], 1);
    }
    void *failed;
    pthread_join(thread, &failed);
    assert_null(failed);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(got[i], ROUNDS);
        close(fds[i]);
        close(w.fds[i]);
    }
}

static void waits_for_a_slow_reader(void **state) {
    (void)state;
    int ends[2], other[2];
    make_pair(ends);
    make_pair(other);
    connect_peer();
    put(ends[1]);
    put(other[1]);
    int armed = fill_up(ends[0], 5), told = 0, alive = 0;
    arm(other[0], HD_READ, 6);
    while (readable(peer, QUIET)) {
        int64_t id = next_word();
        told += id == 5;
        alive += id == 0;
        if (id == 6)
            hd_poller_disarm(poller, other[0]);
        else
            assert_in_range(id, 0, 5);
    }
    assert_in_range(told, armed - alive, armed); /* a sign of life looks like an id to fill_up */
    arm(other[0], HD_READ, 7);
    assert_int_equal(next(), 7);
    close_pair(ends);
    close_pair(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(tells_of_what_is_ready_once),
        TEST(tells_of_what_is_writable_and_of_a_hang_up),
        TEST(keeps_what_was_ready_before_the_connection),
        TEST(replaces_what_was_armed),
        TEST(forgets_what_is_disarmed),
        TEST(forgets_what_is_closed),
        TEST(says_that_it_is_alive),
        TEST(refuses_what_cannot_be_waited_for),
        TEST(waits_for_a_thousand),
        TEST(loses_nothing_between_arming_and_ready),
        TEST(waits_for_a_slow_reader),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
