/* The thread sleeps in epoll, which is where ready events are kept: what becomes ready while nobody is connected, or
 * while the reader is slow, stays in the set until it is asked for, and nothing piles up here. One shot: what was told is
 * not told again until it is armed again, and the kernel looks at the descriptor anew whenever it is armed, so that no
 * moment between arming and waiting can swallow an event.
 *
 * The thread knows descriptors and nothing else. Whatever it waits for, it waits for the wake of hd_poller_free too; it
 * allocates nothing, and closes nothing but the listener. The rest is closed when it is joined: then nobody can mistake
 * a descriptor's number for another one's. */
#include "poller.h"

#include <errno.h>
#include <unistd.h>

#ifdef __linux__

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/wake.h"

enum { AT_ONCE = 256, STACK = 256 * 1024, RETRY = 100 /* milliseconds */ };

/* What stands in the set beside the ids, which are 32 bits wide. */
#define STOP ((uint64_t)1 << 32)
#define PEER ((uint64_t)1 << 33)

struct hd_poller {
    const hd_allocator *mem;
    pid_t process;
    pthread_t thread;
    int epoll;
    hd_wake stop;
    atomic_int listener, peer; /* -1: not there */
    atomic_bool ended;         /* nobody hears what is ready */
    struct sockaddr_un address;
    size_t directory; /* so much of the address's path */
};

static void close_fd(int fd) {
    if (fd >= 0) close(fd);
}

/* ---- The thread ---- */

/* Waits until fd is ready, or for so many milliseconds (-1: for ever); false: the poller ends. */
static bool wait_for(const hd_poller *p, int fd, short events, int timeout) {
    struct pollfd both[2] = {{.fd = fd, .events = events},
                             {.fd = p->stop.read_fd, .events = POLLIN}};
    while (poll(both, 2, timeout) < 0) {
        if (errno != EINTR) return false;
    }
    return both[1].revents == 0;
}

static bool is_ours(const hd_poller *p, int fd) {
    struct ucred who;
    socklen_t size = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid == p->process;
}

/* The path itself stays for who asks for it. */
static void remove_path(const hd_poller *p) {
    char directory[sizeof p->address.sun_path];
    memcpy(directory, p->address.sun_path, p->directory);
    directory[p->directory] = '\0';
    unlink(p->address.sun_path);
    rmdir(directory);
}

/* Until this process connects; others are turned away. */
static bool accept_peer(hd_poller *p) {
    while (wait_for(p, p->listener, POLLIN, -1)) {
        int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 && is_ours(p, fd)) {
            p->peer = fd;
            struct epoll_event hang_up = {.events = EPOLLRDHUP, .data.u64 = PEER};
            return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &hang_up) == 0;
        }
        close_fd(fd);
        if (fd < 0) wait_for(p, -1, 0, RETRY); /* no descriptors left, most likely */
    }
    return false;
}

static bool send_all(const hd_poller *p, const unsigned char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(p->peer, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!wait_for(p, p->peer, POLLOUT, -1)) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void put_id(unsigned char *bytes, uint32_t id) {
    for (int i = 0; i < 4; i++) bytes[i] = (unsigned char)(id >> (8 * i));
}

/* Waits and tells once; false: the poller, or the connection, ends. */
static bool serve(const hd_poller *p, hd_time *beat) {
    struct epoll_event events[AT_ONCE];
    unsigned char bytes[(AT_ONCE + 1) * 4];
    hd_time left = *beat - hd_now();
    int count = epoll_wait(p->epoll, events, AT_ONCE, left > 0 ? (int)((left + 999) / 1000) : 0);
    if (count < 0) return errno == EINTR;
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 > UINT32_MAX) return false;
        put_id(bytes + size, (uint32_t)events[i].data.u64);
        size += 4;
    }
    if (hd_now() >= *beat) {
        put_id(bytes + size, 0);
        size += 4;
        *beat = hd_now() + HD_POLLER_BEAT;
    }
    return send_all(p, bytes, size);
}

static void *run(void *argument) {
    hd_poller *p = argument;
    bool connected = accept_peer(p);
    close_fd(atomic_exchange(&p->listener, -1));
    remove_path(p);
    hd_time beat = hd_now() + HD_POLLER_BEAT;
    while (connected) connected = serve(p, &beat);
    p->ended = true;
    /* Whoever reads learns of the end, though a child of this process may have the connection too. */
    if (p->peer >= 0) shutdown(p->peer, SHUT_RDWR);
    return NULL;
}

/* ---- Its life ---- */

static hd_error_kind refuse(hd_error *err, int why, const char *what) {
    hd_error_set(err, HD_E_DRIVER, "no helper thread that waits for descriptors: %s", what);
    hd_error_text(err, &err->cause, strerror(why), strlen(strerror(why)));
    return err->kind;
}

/* A private directory, and in it the socket. */
static hd_error_kind listen_privately(hd_poller *p, hd_error *err) {
    static const char name[] = "/heddle-XXXXXX", socket_name[] = "/poller";
    const char *below = getenv("TMPDIR");
    if (!below || !*below) below = "/tmp";
    size_t length = strlen(below);
    p->address.sun_family = AF_UNIX;
    p->directory = length + sizeof name - 1;
    if (p->directory + sizeof socket_name > sizeof p->address.sun_path)
        return refuse(err, ENAMETOOLONG, "TMPDIR is too long for a socket's path; set another");
    memcpy(p->address.sun_path, below, length);
    memcpy(p->address.sun_path + length, name, sizeof name);
    if (!mkdtemp(p->address.sun_path))
        return refuse(err, errno,
                      "TMPDIR (else /tmp) takes no directory; set one that can be written to");
    memcpy(p->address.sun_path + p->directory, socket_name, sizeof socket_name);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->listener < 0 ||
        bind(p->listener, (const struct sockaddr *)&p->address, sizeof p->address) != 0 ||
        listen(p->listener, 16) != 0) {
        refuse(err, errno, "its socket cannot be made");
        remove_path(p);
        return err->kind;
    }
    return HD_OK;
}

static hd_error_kind open_set(hd_poller *p, hd_error *err) {
    struct epoll_event stop = {.events = EPOLLIN, .data.u64 = STOP};
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll < 0 || hd_wake_open(&p->stop) != 0 ||
        epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->stop.read_fd, &stop) != 0)
        return refuse(err, errno, "no descriptors for it");
    return HD_OK;
}

/* No signal is ever handled on it. */
static hd_error_kind start(hd_poller *p, hd_error *err) {
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&p->thread, &attributes, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) return refuse(err, failed, "it cannot be started");
    pthread_setname_np(p->thread, "heddle-poller");
    return HD_OK;
}

static void free_parts(hd_poller *p) {
    close_fd(p->listener);
    close_fd(p->peer);
    close_fd(p->epoll);
    hd_wake_close(&p->stop);
    hd_free(p->mem, p);
}

hd_poller *hd_poller_new(const hd_allocator *mem, hd_error *err) {
    hd_poller *p = hd_alloc_zero(mem, sizeof *p);
    if (!p) {
        hd_error_memory(err);
        return NULL;
    }
    p->mem = mem;
    p->process = getpid();
    p->epoll = -1;
    p->listener = p->peer = -1;
    hd_wake_init(&p->stop);
    if (open_set(p, err) == HD_OK && listen_privately(p, err) == HD_OK) {
        if (start(p, err) == HD_OK) return p;
        remove_path(p);
    }
    free_parts(p);
    return NULL;
}

static bool is_of_this_process(const hd_poller *p) {
    return p->process == getpid();
}

hd_error_kind hd_poller_check(const hd_poller *p, hd_error *err) {
    if (is_of_this_process(p)) return HD_OK;
    return hd_error_set(err, HD_E_CLOSED,
                        "the poller is that of another process, which this one was forked from");
}

void hd_poller_free(hd_poller *p) {
    if (!p) return;
    if (is_of_this_process(p)) {
        hd_wake_raise(&p->stop);
        pthread_join(p->thread, NULL);
    }
    free_parts(p);
}

const char *hd_poller_path(const hd_poller *p) {
    return p->address.sun_path;
}

/* ---- What it waits for ---- */

hd_error_kind hd_poller_arm(hd_poller *p, int fd, unsigned events, uint32_t id, hd_error *err) {
    struct epoll_event one = {.events = EPOLLONESHOT, .data.u64 = id};
    if (hd_poller_check(p, err) != HD_OK) return err->kind;
    if (p->ended) return hd_error_set(err, HD_E_CLOSED, "the poller's connection has ended");
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
    if (is_of_this_process(p)) epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, &none);
}

#else /* epoll is Linux's */

hd_poller *hd_poller_new(const hd_allocator *mem, hd_error *err) {
    (void)mem;
    hd_error_set(err, HD_E_UNSUPPORTED, "waiting on a helper thread needs Linux");
    return NULL;
}

hd_error_kind hd_poller_check(const hd_poller *p, hd_error *err) {
    (void)p, (void)err;
    return HD_OK;
}

void hd_poller_free(hd_poller *p) {
    (void)p;
}

const char *hd_poller_path(const hd_poller *p) {
    (void)p;
    return NULL;
}

hd_error_kind hd_poller_arm(hd_poller *p, int fd, unsigned events, uint32_t id, hd_error *err) {
    (void)p, (void)fd, (void)events, (void)id;
    return hd_error_set(err, HD_E_UNSUPPORTED, "waiting on a helper thread needs Linux");
}

void hd_poller_disarm(hd_poller *p, int fd) {
    (void)p, (void)fd;
}

#endif
