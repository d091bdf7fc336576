/* Arena: a list of blocks, newest first; each at least as large as the last. Items are never freed
 * one by one. The oldest block survives a reset, so that a loop of small batches allocates once.
 *
 * The first two blocks are below a KiB: most arenas are made for a row or two, and glibc tidies all
 * of its heap up before it gives a block that is larger. */
#include "arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FIRST_BLOCK   976u
#define LARGEST_BLOCK (1u << 20)
#define ALIGN         16u

struct hd_arena_block {
    hd_arena_block *older;
    size_t size; /* of the usable part */
};

static const size_t header = (sizeof(hd_arena_block) + ALIGN - 1) / ALIGN * ALIGN;

void hd_arena_init(hd_arena *arena, const hd_allocator *mem) {
    arena->mem = mem;
    arena->block = NULL;
    arena->next = arena->end = NULL;
}

static void enter_block(hd_arena *arena, hd_arena_block *block) {
    arena->block = block;
    arena->next = (char *)block + header;
    arena->end = arena->next + block->size;
}

static int add_block(hd_arena *arena, size_t need) {
    const hd_arena_block *last = arena->block;
    bool grows = last && (last->older || last->size > FIRST_BLOCK);
    size_t size = grows ? last->size * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
    if (size < need) size = need;
    if (size > SIZE_MAX - header) return -1;
    hd_arena_block *block = hd_alloc(arena->mem, header + size);
    if (!block) return -1;
    block->older = arena->block;
    block->size = size;
    enter_block(arena, block);
    return 0;
}

void *hd_arena_alloc(hd_arena *arena, size_t size) {
    if (size > SIZE_MAX - ALIGN) return NULL;
    size = size ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    if (size > (size_t)(arena->end - arena->next) && add_block(arena, size) != 0) return NULL;
    void *item = arena->next;
    arena->next += size;
    return item;
}

void *hd_arena_zero(hd_arena *arena, size_t size) {
    void *item = hd_arena_alloc(arena, size);
    if (item) memset(item, 0, size);
    return item;
}

char *hd_arena_copy(hd_arena *arena, const char *bytes, size_t len) {
    char *copy = hd_arena_alloc(arena, len + 1);
    if (!copy) return NULL;
    if (len) memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

void hd_arena_reset(hd_arena *arena) {
    hd_arena_block *block = arena->block;
    if (!block) return;
    while (block->older) {
        hd_arena_block *older = block->older;
        hd_free(arena->mem, block);
        block = older;
    }
    enter_block(arena, block);
}

void hd_arena_free(hd_arena *arena) {
    for (hd_arena_block *block = arena->block; block;) {
        hd_arena_block *older = block->older;
        hd_free(arena->mem, block);
        block = older;
    }
    hd_arena_init(arena, arena->mem);
}
