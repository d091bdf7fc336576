/* Sleeping and being woken on another processor than the one that answers takes some 50 microseconds, as long as a find
 * by key takes altogether. So the answer is looked for a moment before sleeping for it, giving way meanwhile to
 * whoever wants this processor. It costs no time when the answer comes later, only work of a processor that would have
 * been idle: that is limited by a credit, which answers within the moment earn and waits in vain use up. Where somebody
 * else took the processor meanwhile (the server, where there is but one) sleeping is as good, and nothing is earned. */
#include "pause.h"

#include <poll.h>
#include <sched.h>
#include <stdbool.h>

enum {
    MOMENT = 100, /* microseconds to look for an answer */
    TURN = 5,     /* giving way for longer than this means that somebody took the processor */
    EARNED = 2,   /* by an answer within the moment */
    MOST = 8,     /* credit */
    REST = 64     /* waits between two tries without credit */
};

static bool may_spin(hd_spin *spin) {
    if (spin->credit > 0) return true;
    if (spin->rest > 0) {
        spin->rest--;
        return false;
    }
    spin->rest = REST;
    return true;
}

/* Whether the descriptor was ready within the moment. */
static bool is_ready_soon(hd_spin *spin, struct pollfd *p) {
    bool is_ready = false, is_wanted = false;
    hd_time begin = hd_now(), last = begin;
    while (!is_ready && !is_wanted && last - begin < MOMENT) {
        sched_yield();
        is_ready = poll(p, 1, 0) != 0;
        hd_time now = hd_now();
        is_wanted = now - last > TURN;
        last = now;
    }
    if (is_ready && !is_wanted)
        spin->credit = spin->credit + EARNED < MOST ? spin->credit + EARNED : MOST;
    else if (spin->credit > 0)
        spin->credit--;
    return is_ready;
}

void hd_pause(const hd_wait *wait, hd_time most, hd_spin *spin) {
    hd_time left = wait->until == HD_NEVER ? most : wait->until - hd_now();
    if (left > most) left = most;
    if (left < 0) left = 0;
    struct pollfd p = {wait->fd, 0, 0};
    if (wait->events & HD_READ) p.events |= POLLIN;
    if (wait->events & HD_WRITE) p.events |= POLLOUT;
    if (wait->fd >= 0 && spin && left > MOMENT && may_spin(spin) && is_ready_soon(spin, &p)) return;
    poll(&p, wait->fd >= 0 ? 1 : 0, (int)((left + 999) / 1000));
}
