/* An intrusive list: a link that is freed takes itself out, and an owner that is freed lets its links go. Ending takes
 * each link out before it is reset, so that nothing is met twice. */
#include "owner.h"

hd_owner *hd_owner_new(const hd_allocator *mem) {
    hd_owner *owner = hd_alloc_zero(mem, sizeof *owner);
    if (!owner) return NULL;
    owner->mem = mem;
    owner->references = 1;
    return owner;
}

void hd_owner_ref(hd_owner *owner) {
    owner->references++;
}

void hd_owner_unref(hd_owner *owner) {
    if (--owner->references > 0) return;
    while (owner->links) hd_owner_leave(owner->links);
    hd_free(owner->mem, owner);
}

void hd_owner_leave(hd_link *link) {
    hd_owner *owner = link->owner;
    if (!owner) return;
    if (link->owned_prev)
        link->owned_prev->owned_next = link->owned_next;
    else
        owner->links = link->owned_next;
    if (link->owned_next) link->owned_next->owned_prev = link->owned_prev;
    link->owned_prev = link->owned_next = NULL;
    link->owner = NULL;
}

void hd_owner_own(hd_owner *owner, hd_link *link) {
    if (link->owner == owner || owner->ended) return;
    hd_owner_leave(link);
    link->owner = owner;
    link->owned_next = owner->links;
    if (owner->links) owner->links->owned_prev = link;
    owner->links = link;
}

void hd_owner_end(hd_owner *owner) {
    owner->ended = true;
    while (owner->links) {
        hd_link *link = owner->links;
        hd_owner_leave(link);
        hd_link_reset(link);
    }
}
