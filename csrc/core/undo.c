/* Undo journal: a stack of entries. Nothing is recorded while no mark is open. */
#include "undo.h"

#include <string.h>

void hd_undo_init(hd_undo *undo, const hd_allocator *mem) {
    memset(undo, 0, sizeof *undo);
    undo->mem = mem;
}

void hd_undo_free(hd_undo *undo) {
    hd_free(undo->mem, undo->entries);
    hd_undo_init(undo, undo->mem);
}

bool hd_undo_ready(hd_undo *undo, bool *failed) {
    *failed = false;
    if (undo->marks == 0) return false;
    *failed = hd_grow(undo->mem, (void **)&undo->entries, &undo->capacity, undo->count + 1,
                      sizeof *undo->entries) != 0;
    return !*failed;
}

void hd_undo_push(hd_undo *undo, hd_undo_entry entry) {
    undo->entries[undo->count++] = entry;
}

bool hd_undo_pop(hd_undo *undo, size_t mark, hd_undo_entry *entry) {
    if (undo->count <= mark) return false;
    *entry = undo->entries[--undo->count];
    return true;
}
