/* Connecting without waiting. Names are looked up first (resolve.h). libpq then walks through hosts and
 * addresses by itself, but leaves the time limit of each host to whoever drives it: a host that does not answer in time is taken out of
 * the lists and connecting begins anew with the others. */
#include <string.h>

#include "connection.h"

#define SERVER_FLOOR 120000

static void swallow_notice(void *ud, const PGresult *notice) {
    hd_pg *pg = ud;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    /* Nobody asked anything: the server says goodbye. */
    if (severity && !pg->run.active && pg->connected &&
        (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)) {
        pg->broken = true;
    }
}

static hd_step fail(hd_pg *pg, const char *why, hd_error *err) {
    hd_pg_report_connect(err, pg->pq, &pg->options, why);
    PQfinish(pg->pq);
    pg->pq = NULL;
    return HD_FAILED;
}

static hd_step await(hd_pg *pg, unsigned events, hd_wait *wait) {
    wait->fd = PQsocket(pg->pq);
    wait->events = events;
    wait->until = pg->deadline;
    return HD_WAIT;
}

/* libpq moves to the next host silently; each has the whole limit. */
static void watch_host(hd_pg *pg) {
    const char *host = PQhost(pg->pq);
    if (host == pg->host && pg->deadline) return;
    pg->host = host;
    pg->deadline = pg->options.connect_timeout ? hd_now() + pg->options.connect_timeout : HD_NEVER;
}

static hd_step begin(hd_pg *pg, hd_wait *wait, hd_error *err) {
    pg->pq = PQconnectStartParams(pg->target.keywords, pg->target.values, 0);
    if (!pg->pq) {
        hd_error_memory(err);
        return HD_FAILED;
    }
    PQsetNoticeReceiver(pg->pq, swallow_notice, pg);
    if (PQstatus(pg->pq) == CONNECTION_BAD) return fail(pg, NULL, err);
    pg->deadline = 0;
    watch_host(pg);
    return await(pg, HD_WRITE, wait);
}

static hd_step give_up_host(hd_pg *pg, hd_wait *wait, hd_error *err) {
    if (!hd_pg_options_drop_host(&pg->target, PQhost(pg->pq), PQhostaddr(pg->pq), PQport(pg->pq))) {
        return fail(pg, "no answer within connect_timeout", err);
    }
    PQfinish(pg->pq);
    return begin(pg, wait, err);
}

static hd_step ready(hd_pg *pg, hd_error *err) {
    int server = PQserverVersion(pg->pq);
    if (server < SERVER_FLOOR) {
        hd_error_set(err, HD_E_CONFIG, "Heddle needs PostgreSQL 12 or newer, the server is %d.%d",
                     server / 10000, server % 10000);
    } else if (PQsetnonblocking(pg->pq, 1) != 0 || !PQenterPipelineMode(pg->pq)) {
        return fail(pg, NULL, err);
    } else {
        pg->connected = true;
        hd_arena_free(&pg->dial);
        return HD_DONE;
    }
    PQfinish(pg->pq);
    pg->pq = NULL;
    return HD_FAILED;
}

/* What is looked up is looked up once; hosts that do not answer are tried again without. */
static hd_step resolve(hd_pg *pg, const char *password, hd_wait *wait, hd_error *err) {
    if (!pg->names.reader) {
        hd_arena_free(&pg->dial);
        if ((password && hd_pg_options_set(&pg->options, "password", password) != 0) ||
            hd_pg_options_copy(&pg->target, &pg->options, &pg->dial) != 0) {
            hd_error_memory(err);
            return HD_FAILED;
        }
        if (hd_pg_names_start(&pg->names, &pg->target, err) != HD_OK) return HD_FAILED;
    }
    return hd_pg_names_step(&pg->names, &pg->target, wait, err);
}

hd_step hd_pg_connect(hd_conn *conn, const char *password, hd_wait *wait, hd_error *err) {
    hd_pg *pg = (hd_pg *)conn;
    if (pg->connected) return HD_DONE;
    if (!pg->pq) {
        hd_step step = resolve(pg, password, wait, err);
        return step == HD_DONE ? begin(pg, wait, err) : step;
    }
    PostgresPollingStatusType state = PQconnectPoll(pg->pq);
    if (state == PGRES_POLLING_OK) return ready(pg, err);
    if (state == PGRES_POLLING_FAILED) return fail(pg, NULL, err);
    watch_host(pg);
    if (pg->deadline != HD_NEVER && hd_now() >= pg->deadline) return give_up_host(pg, wait, err);
    return await(pg, state == PGRES_POLLING_READING ? HD_READ : HD_WRITE, wait);
}
