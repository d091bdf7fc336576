/* Which process this is, without asking the system each time. */
#ifndef HD_PROCESS_H
#define HD_PROCESS_H

#include <sys/types.h>

/* As getpid: another number in a forked child. May be called by any thread. */
pid_t hd_process(void);

#endif
