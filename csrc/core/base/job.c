/* Two hold a job, its thread and who started it; the one that lets go last frees it. Everything here is of malloc, which
 * threads share. The thread is detached, since nobody could wait for its end without blocking, and blocks all signals,
 * which are the program's. */
#include "job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "pin.h"
#include "process.h"
#include "wake.h"

/* Looking up names runs plug-ins of the C library's, which are used to more than a thread of ours would need. */
enum { STACK = 512 * 1024 };

struct hd_job {
    void (*run)(void *data), (*free)(void *data);
    void *data;
    hd_wake wake;
    pid_t process;
    atomic_bool done;
    atomic_int holders;
};

static void let_go(hd_job *job) {
    if (atomic_fetch_sub(&job->holders, 1) > 1) return;
    hd_wake_close(&job->wake);
    job->free(job->data);
    free(job);
}

static void *work(void *ud) {
    hd_job *job = ud;
    job->run(job->data);
    atomic_store(&job->done, true);
    hd_wake_raise(&job->wake);
    let_go(job);
    return NULL;
}

/* 0, or what errno would say. */
static int start_thread(hd_job *job) {
    pthread_attr_t how;
    pthread_t thread;
    sigset_t all, former;
    int problem = pthread_attr_init(&how);
    if (problem) return problem;
    pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&how, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    problem = pthread_create(&thread, &how, work, job);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    pthread_attr_destroy(&how);
    return problem;
}

hd_job *hd_job_start(void (*run)(void *), void (*free_data)(void *), void *data) {
    hd_job *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->run = run;
    job->free = free_data;
    job->data = data;
    job->process = hd_process();
    atomic_init(&job->done, false);
    atomic_init(&job->holders, 2);
    hd_wake_init(&job->wake);
    int problem = hd_wake_open(&job->wake) == 0 ? 0 : errno;
    if (!problem && hd_pin(run) != 0) problem = ENOTSUP;
    if (!problem) problem = start_thread(job);
    if (!problem) return job;
    hd_wake_close(&job->wake);
    free(job);
    errno = problem;
    return NULL;
}

int hd_job_fd(const hd_job *job) {
    return job->wake.read_fd;
}

bool hd_job_is_done(const hd_job *job) {
    return atomic_load(&job->done);
}

void hd_job_release(hd_job *job) {
    if (!job) return;
    if (job->process == hd_process() || atomic_load(&job->holders) == 1) {
        let_go(job);
        return;
    }
    hd_wake_close(&job->wake);
    free(job);
}
