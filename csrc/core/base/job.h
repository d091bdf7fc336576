/* Job: a call that may block, made in a thread of its own, while who wants the result does something else. The thread
 * knows what it was given and nothing else: no interpreter, no pool, no allocator of a context.
 *
 *     hd_job *job = hd_job_start(run, free, data);
 *     ... hd_job_fd(job) becomes readable; hd_job_is_done(job); what `run` left in data can be read ...
 *     hd_job_release(job);
 *
 * Who has enough of waiting releases the job at any time: `run` goes on to its end, and then data is freed. */
#ifndef HD_JOB_H
#define HD_JOB_H

#include <stdbool.h>

typedef struct hd_job hd_job;

/* Calls run(data) in a thread, and free(data), in whichever thread, when it has ended and was released. The library in
 * which `run` stands stays loaded from now on. NULL: no thread can be had (errno says why); then data is still the
 * caller's. */
hd_job *hd_job_start(void (*run)(void *data), void (*free)(void *data), void *data);
int hd_job_fd(const hd_job *job); /* readable when it is done; stays so */
bool hd_job_is_done(const hd_job *job);
/* NULL is fine. In a process that was forked meanwhile there is no thread: what was not done stays so, and is left. */
void hd_job_release(hd_job *job);

#endif
