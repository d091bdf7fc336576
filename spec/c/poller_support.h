/* What the suites of the poller share: one poller below a directory of their own, and the other end of its connection. */
#ifndef HD_SPEC_POLLER_SUPPORT_H
#define HD_SPEC_POLLER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "poller.h"
#include "scarce.h"

static hd_poller *poller;
static hd_error err;
static int peer, descriptors;
static char directory[] = "/tmp/heddle-poller-XXXXXX";

enum { PATIENCE = 10000 /* milliseconds, for what has to come */, QUIET = 50 };

static inline int entries(const char *path) {
    int count = -2;
    DIR *dir = opendir(path);
    if (!dir) return -1;
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static inline int group_setup(void **state) {
    (void)state;
    return mkdtemp(directory) && setenv("TMPDIR", directory, 1) == 0 ? 0 : -1;
}

static inline int group_teardown(void **state) {
    (void)state;
    return rmdir(directory);
}

static inline int setup(void **state) {
    (void)state;
    memset(&memory, 0, sizeof memory);
    hd_error_init(&err, &scarce);
    peer = -1;
    descriptors = entries("/proc/self/fd");
    poller = hd_poller_new(&scarce, &err);
    return poller ? 0 : -1;
}

static inline int teardown(void **state) {
    (void)state;
    hd_poller_free(poller);
    if (peer >= 0) close(peer);
    hd_error_clear(&err);
    bool whole = memory.live == 0 && entries("/proc/self/fd") == descriptors &&
                 entries("/proc/self/task") == 1 && entries(directory) == 0;
    return whole ? 0 : -1;
}

static inline int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void connect_peer(void) {
    peer = connect_to(hd_poller_path(poller));
    assert_true(peer >= 0);
    /* Accepted: then no descriptor comes or goes any more. */
    for (int pause = 0; pause < PATIENCE && entries(directory) > 0; pause++) usleep(1000);
}

static inline bool readable(int fd, int timeout) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, timeout) == 1;
}

/* The next id, or 0, a sign of life; -1 at the end. */
static inline int64_t next_word(void) {
    unsigned char bytes[4];
    assert_true(readable(peer, PATIENCE));
    ssize_t got = recv(peer, bytes, sizeof bytes, MSG_WAITALL);
    if (got <= 0) return -1;
    assert_int_equal(got, 4);
    return (int64_t)(bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                     (uint32_t)bytes[3] << 24);
}

static inline int64_t next(void) {
    int64_t id = next_word();
    while (id == 0) id = next_word();
    return id;
}

/* Nothing but signs of life comes, for a while. */
static inline void assert_quiet(void) {
    while (readable(peer, QUIET)) assert_int_equal(next_word(), 0);
}

static inline void arm(int fd, unsigned events, uint32_t id) {
    assert_int_equal(hd_poller_arm(poller, fd, events, id, &err), HD_OK);
}

static inline void put(int fd) {
    assert_int_equal(write(fd, "x", 1), 1);
}

static inline void take(int fd) {
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
}

static inline void make_pair(int ends[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static inline void close_pair(const int ends[2]) {
    close(ends[0]);
    close(ends[1]);
}

/* Arms what is ready until the thread waits for somebody to read. Gives how often. */
static inline int fill_up(int fd, uint32_t id) {
    int queued = -1, before;
    for (int count = 1;; count++) {
        arm(fd, HD_READ, id);
        before = queued;
        for (int pause = 0; pause < 200 && queued == before; pause++) {
            usleep(100);
            assert_int_equal(ioctl(peer, FIONREAD, &queued), 0);
        }
        if (queued == before) return count;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
