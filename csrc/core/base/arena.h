/* Arena: memory that dies together (the parameters of one batch, the change set of one flush). */
#ifndef HD_ARENA_H
#define HD_ARENA_H

#include "alloc.h"

typedef struct hd_arena_block hd_arena_block;

typedef struct hd_arena {
    const hd_allocator *mem;
    hd_arena_block *block; /* newest first */
    char *next, *end;
} hd_arena;

void hd_arena_init(hd_arena *arena, const hd_allocator *mem); /* allocates nothing */
void *hd_arena_alloc(hd_arena *arena, size_t size);           /* 16-byte aligned; NULL on failure */
void *hd_arena_zero(hd_arena *arena, size_t size);
char *hd_arena_copy(hd_arena *arena, const char *bytes, size_t len); /* NUL-terminated copy */
/* Forgets everything; keeps the first block for reuse, frees the others. */
void hd_arena_reset(hd_arena *arena);
void hd_arena_free(hd_arena *arena); /* back to the state after init */

#endif
