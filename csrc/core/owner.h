/* Owner: that on whose behalf links work, a request of a web server for one. When it ends, whatever its links have under
 * way is given up, without anybody's help. Links stand in a list of their owner's, and each has one owner at most, the
 * last that took it. Used by the thread of its links. */
#ifndef HD_OWNER_H
#define HD_OWNER_H

#include "link.h"

typedef struct hd_owner {
    const hd_allocator *mem;
    hd_link *links;
    uint32_t references; /* whoever may end it, and whoever may ask */
    bool ended;
} hd_owner;

/* Referenced once. NULL: out of memory. */
hd_owner *hd_owner_new(const hd_allocator *mem);
void hd_owner_ref(hd_owner *owner);
void hd_owner_unref(hd_owner *owner); /* the last one lets its links go as they are */
/* The link is this owner's from now on, unless that has ended. */
void hd_owner_own(hd_owner *owner, hd_link *link);
/* Resets every link of it (hd_link_reset); once. */
void hd_owner_end(hd_owner *owner);
/* The link is nobody's. */
void hd_owner_leave(hd_link *link);

#endif
