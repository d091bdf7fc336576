/* What a step function answers, and what it waits for. */
#ifndef HD_STEP_H
#define HD_STEP_H

#include "base/clock.h"

typedef enum hd_step {
    HD_DONE = 0, /* finished */
    HD_ROW,      /* a row stands ready; step again for the next */
    HD_WAIT,     /* step again when *wait says so; nothing blocks meanwhile */
    HD_HOST,     /* the host must do something, then step again */
    HD_FAILED    /* *err says why */
} hd_step;

enum { HD_READ = 1, HD_WRITE = 2 };

typedef struct hd_wait {
    int fd;          /* -1: only time */
    unsigned events; /* HD_READ | HD_WRITE */
    hd_time until;   /* step again at this time at the latest; HD_NEVER: no limit */
} hd_wait;

#endif
