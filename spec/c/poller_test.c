/* Poller: every descriptor that becomes ready is told of, once, whatever comes between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "poller.h"
#include "scarce.h"

static hd_poller *poller;
static hd_error err;
static int descriptors;

enum { PATIENCE = 10000 /* milliseconds, for what has to come */, QUIET = 50 };

static int open_descriptors(void) {
    int count = -3; /* ".", "..", and the directory's own */
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static int setup(void **state) {
    (void)state;
    memset(&memory, 0, sizeof memory);
    hd_error_init(&err, &scarce);
    descriptors = open_descriptors();
    poller = hd_poller_new(&scarce, &err);
    return poller ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    hd_poller_free(poller);
    hd_error_clear(&err);
    return memory.live == 0 && open_descriptors() == descriptors ? 0 : -1;
}

static bool is_ready(int timeout) {
    struct pollfd one = {.fd = hd_poller_descriptor(poller), .events = POLLIN};
    return poll(&one, 1, timeout) == 1;
}

static uint64_t next(void) {
    uint64_t id = 0;
    assert_true(is_ready(PATIENCE));
    assert_int_equal(hd_poller_take(poller, &id, 1), 1);
    return id;
}

static void assert_quiet(void) {
    uint64_t id;
    assert_false(is_ready(QUIET));
    assert_int_equal(hd_poller_take(poller, &id, 1), 0);
}

static void arm(int fd, unsigned events, uint64_t id) {
    assert_int_equal(hd_poller_arm(poller, fd, events, id, &err), HD_OK);
}

static void put(int fd) {
    assert_int_equal(write(fd, "x", 1), 1);
}

static void take(int fd) {
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
}

static void make_pair(int ends[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static void close_pair(const int ends[2]) {
    close(ends[0]);
    close(ends[1]);
}

/* ---- What is told ---- */

static void tells_of_what_is_ready_once(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    arm(ends[0], HD_READ, 7);
    assert_quiet();
    put(ends[1]);
    assert_int_equal(next(), 7);
    assert_quiet(); /* still readable */
    arm(ends[0], HD_READ, UINT64_MAX);
    assert_int_equal(next(), UINT64_MAX);
    arm(ends[0], HD_READ | HD_WRITE, 0x01020304);
    assert_int_equal(next(), 0x01020304);
    close_pair(ends);
}

static void tells_of_what_is_writable_and_of_a_hang_up(void **state) {
    (void)state;
    int ends[2];
    char bytes[4096] = {0};
    make_pair(ends);
    while (write(ends[0], bytes, sizeof bytes) > 0) {
    }
    arm(ends[0], HD_WRITE, 1);
    assert_quiet();
    while (read(ends[1], bytes, sizeof bytes) > 0) {
    }
    assert_int_equal(next(), 1);
    while (write(ends[0], bytes, sizeof bytes) > 0) {
    }
    arm(ends[0], HD_WRITE, 2);
    close(ends[1]);
    assert_int_equal(next(), 2);
    close(ends[0]);
}

static void replaces_what_was_armed(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
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
        arm(ends[i][0], HD_READ, (uint64_t)i + 1);
    }
    assert_quiet();
    for (int i = 0; i < MANY; i++) put(ends[i][1]);
    for (size_t told = 0; told < MANY;) {
        uint64_t ids[100];
        assert_true(is_ready(PATIENCE));
        size_t count = hd_poller_take(poller, ids, 100);
        assert_in_range(count, 1, 100);
        for (size_t i = 0; i < count; i++) assert_int_equal(seen[ids[i] - 1]++, 0);
        told += count;
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
    w.rounds = ROUNDS;
    for (int i = 0; i < 8; i++) {
        int ends[2];
        make_pair(ends);
        fds[i] = ends[0];
        w.fds[i] = ends[1];
        atomic_store(&w.allowed[i], 1);
        arm(fds[i], HD_READ, (uint64_t)i + 1);
    }
    assert_int_equal(pthread_create(&thread, NULL, write_at_any_time, &w), 0);
    for (int left = ROUNDS * 8; left > 0; left--) {
        uint64_t id = next();
        assert_in_range(id, 1, 8);
        int i = (int)id - 1;
        take(fds[i]);
        if (++got[i] == ROUNDS) continue;
        if (got[i] % 2)
            atomic_fetch_add(&w.allowed[i], 1); /* ready before it is armed, or behind */
        arm(fds[i], HD_READ, (uint64_t)id);
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

/* ---- Other processes; its end ---- */

static int use_anothers(void) {
    if (!hd_poller_is_anothers(poller)) return 1;
    hd_poller_free(poller);
    return memory.live == 0 ? 0 : 2;
}

static void is_known_to_be_anothers(void **state) {
    (void)state;
    int ends[2], status = -1;
    make_pair(ends);
    arm(ends[0], HD_READ, 3);
    assert_false(hd_poller_is_anothers(poller));
    pid_t child = fork();
    if (child == 0) _exit(use_anothers());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    put(ends[1]);
    assert_int_equal(next(), 3);
    close_pair(ends);
}

static void says_why_there_can_be_none(void **state) {
    (void)state;
    struct rlimit limit, none;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    hd_poller *other = hd_poller_new(&scarce, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(other);
    assert_int_equal(err.kind, HD_E_DRIVER);
    assert_string_equal(err.cause, strerror(EMFILE));
    hd_error_clear(&err);
    hd_poller_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(tells_of_what_is_ready_once), TEST(tells_of_what_is_writable_and_of_a_hang_up),
        TEST(replaces_what_was_armed),     TEST(forgets_what_is_disarmed),
        TEST(forgets_what_is_closed),      TEST(refuses_what_cannot_be_waited_for),
        TEST(waits_for_a_thousand),        TEST(loses_nothing_between_arming_and_ready),
        TEST(is_known_to_be_anothers),     TEST(says_why_there_can_be_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
