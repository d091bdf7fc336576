/* Canceling. libpq's request is a connection of its own and blocks, before 17 there is no other; it holds a copy of all it
 * needs, so that a thread may make it and outlive the connection. While a thread does, nothing else may run on the
 * connection: the request would meet that.
 *
 * A program often ends with what it gives up last, and threads end with it. So that nothing goes on in the server all the
 * same, the process counts the requests of its threads, and at its end waits for them a little. */
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "connection.h"

#define LAST_WAIT 1000000 /* microseconds */

static struct {
    atomic_int count;
    pid_t process; /* after a fork the threads are another's */
} under_way;

__attribute__((destructor)) static void wait_for_requests(void) {
    hd_time end = hd_now() + LAST_WAIT;
    while (under_way.process == getpid() && under_way.count > 0 && hd_now() < end) poll(NULL, 0, 1);
}

static void count_request(void) {
    if (under_way.process != getpid()) under_way.count = 0;
    under_way.process = getpid();
    under_way.count++;
}

static void make_request(void *request) {
    char complaint[256];
    PQcancel(request, complaint, sizeof complaint);
}

static void make_counted(void *request) {
    make_request(request);
    under_way.count--;
}

static void free_request(void *request) {
    PQfreeCancel(request);
}

static hd_job *offload_request(PGcancel *request) {
    count_request();
    hd_job *job = hd_job_start(make_counted, free_request, request);
    if (!job) under_way.count--;
    return job;
}

bool hd_pg_is_canceling(const hd_pg *pg) {
    return pg->request && !hd_job_is_done(pg->request);
}

bool hd_pg_await_cancel(const hd_pg *pg, hd_wait *wait) {
    if (!hd_pg_is_canceling(pg)) return false;
    *wait = (hd_wait){hd_job_fd(pg->request), HD_READ, HD_NEVER};
    return true;
}

/* Where no thread can be had the program waits. */
void hd_pg_cancel(hd_conn *conn, bool offload) {
    hd_pg *pg = (hd_pg *)conn;
    if (!pg->connected || pg->broken || hd_pg_is_canceling(pg)) return;
    PGcancel *request = PQgetCancel(pg->pq);
    if (!request) return;
    hd_job *job = offload ? offload_request(request) : NULL;
    if (job) {
        hd_job_release(pg->request);
        pg->request = job;
        return;
    }
    make_request(request);
    free_request(request);
}
