/* A pause of the whole thread until a descriptor is ready: for hosts that have nothing else to do meanwhile. */
#ifndef HD_PAUSE_H
#define HD_PAUSE_H

#include "step.h"

/* What was learned about looking for an answer before sleeping for it; all zero at first. The connection's. */
typedef struct hd_spin {
    uint8_t credit; /* waits that may be looked for in vain */
    uint8_t rest;   /* waits that sleep at once, until one is tried again */
} hd_spin;

/* Until the descriptor is ready, the wait's time has come, or `most` microseconds are over. `spin` NULL: sleeps at once. */
void hd_pause(const hd_wait *wait, hd_time most, hd_spin *spin);

#endif
