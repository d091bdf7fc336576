/* Time for waits: monotonic microseconds. */
#ifndef HD_CLOCK_H
#define HD_CLOCK_H

#include <stdint.h>
#include <time.h>

typedef int64_t hd_time; /* absolute, monotonic, microseconds; 0 is "never set" */
#define HD_NEVER INT64_MAX

static inline hd_time hd_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (hd_time)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif
