/* Allocator hooks: see alloc.h. No state of its own. */
#include "alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *libc_resize(void *ud, void *ptr, size_t size) {
    (void)ud;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

const hd_allocator hd_allocator_libc = {libc_resize, NULL};

void *hd_alloc(const hd_allocator *mem, size_t size) {
    return mem->resize(mem->ud, NULL, size ? size : 1);
}

void *hd_alloc_zero(const hd_allocator *mem, size_t size) {
    void *ptr = hd_alloc(mem, size);
    if (ptr) memset(ptr, 0, size);
    return ptr;
}

void *hd_resize(const hd_allocator *mem, void *ptr, size_t size) {
    return mem->resize(mem->ud, ptr, size ? size : 1);
}

void hd_free(const hd_allocator *mem, void *ptr) {
    if (ptr) mem->resize(mem->ud, ptr, 0);
}

char *hd_strdup_n(const hd_allocator *mem, const char *text, size_t len) {
    char *copy = hd_alloc(mem, len + 1);
    if (!copy) return NULL;
    if (len) memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

int hd_grow(const hd_allocator *mem, void **array, size_t *capacity, size_t need, size_t item) {
    if (need <= *capacity) return 0;
    size_t cap = *capacity ? *capacity : 8;
    while (cap < need) {
        if (cap > SIZE_MAX / 2) return -1;
        cap *= 2;
    }
    if (item && cap > SIZE_MAX / item) return -1;
    void *grown = hd_resize(mem, *array, cap * item);
    if (!grown) return -1;
    *array = grown;
    *capacity = cap;
    return 0;
}
