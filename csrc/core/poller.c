/* The kernel keeps what is ready until it is asked for, and nothing piles up here. One shot: what was told is not told
 * again until it is armed again, and the kernel looks at the descriptor anew whenever it is armed, so that no moment
 * between arming and waiting can swallow an event. */
#include "poller.h"

#include <errno.h>
#include <unistd.h>

#ifdef __linux__

#include <string.h>
#include <sys/epoll.h>

#include "base/process.h"

enum { AT_ONCE = 64 };

struct hd_poller {
    const hd_allocator *mem;
    pid_t process;
    int epoll;
};

hd_poller *hd_poller_new(const hd_allocator *mem, hd_error *err) {
    hd_poller *p = hd_alloc_zero(mem, sizeof *p);
    if (!p) {
        hd_error_memory(err);
        return NULL;
    }
    p->mem = mem;
    p->process = hd_process();
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll >= 0) return p;
    hd_error_set(err, HD_E_DRIVER, "no descriptor to wait with");
    hd_error_text(err, &err->cause, strerror(errno), strlen(strerror(errno)));
    hd_free(mem, p);
    return NULL;
}

void hd_poller_free(hd_poller *p) {
    if (!p) return;
    close(p->epoll);
    hd_free(p->mem, p);
}

bool hd_poller_is_anothers(const hd_poller *p) {
    return p->process != hd_process();
}

int hd_poller_descriptor(const hd_poller *p) {
    return p->epoll;
}

hd_error_kind hd_poller_arm(hd_poller *p, int fd, unsigned events, uint64_t id, hd_error *err) {
    struct epoll_event one = {.events = EPOLLONESHOT, .data.u64 = id};
    if (events & HD_READ) one.events |= EPOLLIN;
    if (events & HD_WRITE) one.events |= EPOLLOUT;
    if (epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &one) == 0) return HD_OK;
    if (errno == ENOENT && epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &one) == 0) return HD_OK;
    int why = errno;
    hd_error_set(err, HD_E_DRIVER, "descriptor %d cannot be waited for", fd);
    hd_error_text(err, &err->cause, strerror(why), strlen(strerror(why)));
    return err->kind;
}

void hd_poller_disarm(hd_poller *p, int fd) {
    struct epoll_event none = {0};
    epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, &none);
}

size_t hd_poller_take(hd_poller *p, uint64_t *ids, size_t most) {
    struct epoll_event events[AT_ONCE];
    int count = epoll_wait(p->epoll, events, most < AT_ONCE ? (int)most : AT_ONCE, 0);
    for (int i = 0; i < count; i++) ids[i] = events[i].data.u64;
    return count > 0 ? (size_t)count : 0;
}

#else /* epoll is Linux's */

hd_poller *hd_poller_new(const hd_allocator *mem, hd_error *err) {
    (void)mem;
    hd_error_set(err, HD_E_UNSUPPORTED, "waiting in nginx needs Linux");
    return NULL;
}

void hd_poller_free(hd_poller *p) {
    (void)p;
}

bool hd_poller_is_anothers(const hd_poller *p) {
    (void)p;
    return false;
}

int hd_poller_descriptor(const hd_poller *p) {
    (void)p;
    return -1;
}

hd_error_kind hd_poller_arm(hd_poller *p, int fd, unsigned events, uint64_t id, hd_error *err) {
    (void)p, (void)fd, (void)events, (void)id;
    return hd_error_set(err, HD_E_UNSUPPORTED, "waiting in nginx needs Linux");
}

void hd_poller_disarm(hd_poller *p, int fd) {
    (void)p, (void)fd;
}

size_t hd_poller_take(hd_poller *p, uint64_t *ids, size_t most) {
    (void)p, (void)ids, (void)most;
    return 0;
}

#endif
