/* A wake-up that a waiter can poll: the queue of a pool hands connections over with it. */
#ifndef HD_WAKE_H
#define HD_WAKE_H

typedef struct hd_wake {
    int read_fd, write_fd; /* -1: not open */
} hd_wake;

void hd_wake_init(hd_wake *wake);
int hd_wake_open(hd_wake *wake);   /* 0, or -1 (no descriptors left); open already is fine */
void hd_wake_raise(hd_wake *wake); /* makes read_fd readable; never blocks */
void hd_wake_lower(hd_wake *wake); /* takes it back */
void hd_wake_close(hd_wake *wake);

#endif
