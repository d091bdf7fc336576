/* A set of descriptors that is waited for through one: for event loops that take no descriptors of ours but this (nginx).
 * It is an epoll set, which is a descriptor itself, and readable while something in it is ready. */
#ifndef HD_POLLER_H
#define HD_POLLER_H

#include <stdbool.h>

#include "base/error.h"
#include "step.h"

typedef struct hd_poller hd_poller;

/* NULL: err says why. */
hd_poller *hd_poller_new(const hd_allocator *mem, hd_error *err);
/* In another process than the one that made it too: frees what this process has of it. NULL is fine. */
void hd_poller_free(hd_poller *poller);
/* Whether another process made it, which this one was forked from: then it can only be freed. */
bool hd_poller_is_anothers(const hd_poller *poller);
/* What is to be waited for until it is readable; it belongs to the poller. */
int hd_poller_descriptor(const hd_poller *poller);

/* When the descriptor is ready (HD_READ | HD_WRITE; a hang-up and an error are ready too) the id is taken: once. Arming
 * again replaces. A descriptor that is closed is armed no more, and its id does not come; one that another process has as
 * well (fork) is to be disarmed before, or its id may come yet. */
hd_error_kind hd_poller_arm(hd_poller *poller, int fd, unsigned events, uint64_t id, hd_error *err);
void hd_poller_disarm(hd_poller *poller, int fd);
/* Ids of what is ready now, `most` of them; never waits. What did not fit comes the next time. */
size_t hd_poller_take(hd_poller *poller, uint64_t *ids, size_t most);

#endif
