/* Allocator hooks. Everything that Heddle allocates in C goes through one of these, so that tests can
 * make each allocation fail and count them. An object keeps the allocator that it was made with. */
#ifndef HD_ALLOC_H
#define HD_ALLOC_H

#include <stddef.h>

typedef struct hd_allocator {
    /* realloc(3) semantics: ptr NULL allocates, size 0 frees and gives NULL. */
    void *(*resize)(void *ud, void *ptr, size_t size);
    void *ud;
} hd_allocator;

/* The C library's. Static, read only. */
extern const hd_allocator hd_allocator_libc;

void *hd_alloc(const hd_allocator *mem, size_t size);      /* NULL on failure; not cleared */
void *hd_alloc_zero(const hd_allocator *mem, size_t size); /* NULL on failure; cleared */
void *hd_resize(const hd_allocator *mem, void *ptr,
                size_t size);                     /* NULL on failure: ptr stays valid */
void hd_free(const hd_allocator *mem, void *ptr); /* NULL is fine */
char *hd_strdup_n(const hd_allocator *mem, const char *text, size_t len); /* NUL-terminated copy */

/* Grows *array (items of `item` bytes) so that it holds `need`; doubles. 0 or -1 (out of memory). */
int hd_grow(const hd_allocator *mem, void **array, size_t *capacity, size_t need, size_t item);

#endif
