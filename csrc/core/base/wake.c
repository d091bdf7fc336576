/* Wake-up over an eventfd, or a pipe where there is none. Both ends close on exec and never block. */
#include "wake.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

void hd_wake_init(hd_wake *wake) {
    wake->read_fd = wake->write_fd = -1;
}

int hd_wake_open(hd_wake *wake) {
    if (wake->read_fd >= 0) return 0;
#ifdef __linux__
    wake->read_fd = wake->write_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake->read_fd >= 0 ? 0 : -1;
#else
    int ends[2];
    if (pipe(ends) != 0) return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    wake->read_fd = ends[0];
    wake->write_fd = ends[1];
    return 0;
#endif
}

void hd_wake_raise(hd_wake *wake) {
    uint64_t one = 1;
    if (wake->write_fd >= 0 && write(wake->write_fd, &one, sizeof one) < 0)
        return; /* full is raised */
}

void hd_wake_lower(hd_wake *wake) {
    uint64_t count;
    while (wake->read_fd >= 0 && read(wake->read_fd, &count, sizeof count) == sizeof count) {
    }
}

void hd_wake_close(hd_wake *wake) {
    if (wake->read_fd >= 0) close(wake->read_fd);
    if (wake->write_fd >= 0 && wake->write_fd != wake->read_fd) close(wake->write_fd);
    hd_wake_init(wake);
}
