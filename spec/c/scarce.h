/* Memory that is counted and runs out when a test says so. */
#ifndef HD_SPEC_SCARCE_H
#define HD_SPEC_SCARCE_H

#include <stdlib.h>

#include "base/alloc.h"

static struct { long fail_at, calls, live; /* the n-th allocation fails; 0: none */ } memory;

static void *scarce_resize(void *ud, void *ptr, size_t size) {
    (void)ud;
    if (size == 0) {
        memory.live -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    if (++memory.calls == memory.fail_at) return NULL;
    void *out = realloc(ptr, size);
    memory.live += out && !ptr;
    return out;
}

static const hd_allocator scarce = {scarce_resize, NULL};

/* The n-th allocation from now fails. */
static inline void scarce_from(long n) {
    memory.calls = 0;
    memory.fail_at = n;
}

#endif
