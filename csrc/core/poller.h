/* Waits for descriptors on a thread of its own, and says on a socket which are ready: for schedulers that cannot wait for
 * a descriptor that is not theirs, but can read from a socket that they opened (nginx). */
#ifndef HD_POLLER_H
#define HD_POLLER_H

#include "base/error.h"
#include "step.h"

typedef struct hd_poller hd_poller;

/* Listens on a Unix stream socket in a private directory, both of which go when the one connection is accepted; only this
 * process may connect. NULL: err says why. */
hd_poller *hd_poller_new(const hd_allocator *mem, hd_error *err);
/* Ends and joins the thread, which takes no longer than it takes to wake it. In another process than the one that made it:
 * frees what this process has of it. NULL is fine. */
void hd_poller_free(hd_poller *poller);
/* `closed` in another process than the one that made it: it can only be freed there. */
hd_error_kind hd_poller_check(const hd_poller *poller, hd_error *err);
const char *hd_poller_path(const hd_poller *poller);

/* When the descriptor is ready (HD_READ | HD_WRITE; a hang-up and an error are ready too) the id, which is not 0, comes on
 * the connection as four bytes, the low one first: once. Arming again replaces. Ids of what became ready before the
 * connection was made are kept. A descriptor that is closed is armed no more, and its id does not come; one that another
 * process has as well (fork) is to be disarmed before, or its id may come yet. `closed` when nobody hears of it any more:
 * the connection has ended, or the poller is another process's. */
hd_error_kind hd_poller_arm(hd_poller *poller, int fd, unsigned events, uint32_t id, hd_error *err);
/* The id may be under way already. */
void hd_poller_disarm(hd_poller *poller, int fd);

/* About this often an id of 0 says that the thread is alive. */
#define HD_POLLER_BEAT ((hd_time)1000000)

#endif
