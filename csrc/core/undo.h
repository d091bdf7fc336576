/* Undo journal: entries in the order of what happened, and open marks. Knows no session: shelf, slot and old are
 * its user's. See session.c for what an entry means. */
#ifndef HD_UNDO_H
#define HD_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

typedef enum hd_undo_kind {
    HD_UNDO_STATE,
    HD_UNDO_KEY_SET,
    HD_UNDO_KEY_DROPPED,
    HD_UNDO_HOST
} hd_undo_kind;

typedef struct hd_undo_entry {
    uint8_t kind;
    uint8_t state; /* HD_UNDO_STATE: the former one */
    uint32_t shelf, slot;
    uint64_t
        word; /* HD_UNDO_HOST: the token. KEY_DROPPED: the key, owned by the journal (see session.c) */
} hd_undo_entry;

typedef struct hd_undo {
    const hd_allocator *mem;
    hd_undo_entry *entries;
    size_t count, capacity;
    uint32_t marks; /* open */
} hd_undo;

void hd_undo_init(hd_undo *undo, const hd_allocator *mem);
void hd_undo_free(hd_undo *undo); /* entries that own something are the user's to drop first */
/* Makes room for one entry, so that the change it stands for cannot fail behind it. True when a mark is open
 * and there is room; *failed is set when memory ran out. */
bool hd_undo_ready(hd_undo *undo, bool *failed);
void hd_undo_push(hd_undo *undo, hd_undo_entry entry); /* after hd_undo_ready */
bool hd_undo_pop(hd_undo *undo, size_t mark,
                 hd_undo_entry *entry); /* newest first; false at the mark */

#endif
