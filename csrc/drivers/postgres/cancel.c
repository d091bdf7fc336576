/* Canceling. libpq's request is a connection of its own and blocks, before 17 there is no other; it holds a copy of all it
 * needs, so that a thread may make it and outlive the connection. While a thread does, nothing else may run on the
 * connection: the request would meet that. */
#include "connection.h"

static void make_request(void *request) {
    char complaint[256];
    PQcancel(request, complaint, sizeof complaint);
}

static void free_request(void *request) {
    PQfreeCancel(request);
}

bool hd_pg_is_canceling(const hd_pg *pg) {
    return pg->request && !hd_job_is_done(pg->request);
}

bool hd_pg_await_cancel(const hd_pg *pg, hd_wait *wait) {
    if (!hd_pg_is_canceling(pg)) return false;
    *wait = (hd_wait){hd_job_fd(pg->request), HD_READ, HD_NEVER};
    return true;
}

/* Where no thread can be had the program waits: nothing shall go on in the server. */
void hd_pg_cancel(hd_conn *conn, bool offload) {
    hd_pg *pg = (hd_pg *)conn;
    if (!pg->connected || pg->broken || hd_pg_is_canceling(pg)) return;
    PGcancel *request = PQgetCancel(pg->pq);
    if (!request) return;
    hd_job *job = offload ? hd_job_start(make_request, free_request, request) : NULL;
    if (job) {
        hd_job_release(pg->request);
        pg->request = job;
        return;
    }
    make_request(request);
    free_request(request);
}
