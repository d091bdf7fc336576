/* The driver's table, and what is small: opening, closing, asking where a connection stands. */
#include "postgres.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"

#define LIBRARY_FLOOR 140000

static hd_error_kind check(hd_error *err) {
    int version = PQlibVersion();
    if (version >= LIBRARY_FLOOR) return HD_OK;
    return hd_error_set(err, HD_E_CONFIG, "Heddle needs libpq 14 or newer, this is libpq %d.%d",
                        version / 10000, version % 10000);
}

static const char *version(void) {
    static _Thread_local char text[32];
    int number = PQlibVersion();
    snprintf(text, sizeof text, "libpq %d.%d", number / 10000, number % 10000);
    return text;
}

/* ---- Life ---- */

static void free_connection(hd_pg *pg) {
    hd_pg_rows_free(&pg->rows);
    hd_pg_names_end(&pg->names);
    hd_job_release(pg->request);
    PQfinish(pg->pq);
    hd_pg_statements_free(&pg->cache);
    hd_pg_params_free(&pg->params);
    hd_buffer_free(&pg->text);
    hd_free(pg->base.mem, pg->run.replies);
    hd_error_clear(&pg->run.error);
    hd_arena_free(&pg->config);
    hd_arena_free(&pg->dial);
    hd_free(pg->base.mem, pg);
}

static hd_conn *open_connection(const hd_services *services, const hd_option *options, size_t count,
                                hd_error *err) {
    const hd_allocator *mem = services->mem;
    hd_pg *pg = hd_alloc_zero(mem, sizeof *pg);
    if (!pg) {
        hd_error_memory(err);
        return NULL;
    }
    pg->base.driver = &hd_postgres_driver;
    pg->base.mem = pg->cache.mem = mem;
    hd_arena_init(&pg->config, mem);
    hd_arena_init(&pg->dial, mem);
    hd_pg_params_init(&pg->params, mem);
    hd_pg_rows_init(&pg->rows, mem);
    hd_buffer_init(&pg->text, mem);
    hd_error_init(&pg->run.error, mem);
    hd_error_kind kind = hd_pg_options_read(&pg->options, &pg->config, options, count, err);
    if (kind == HD_OK && hd_pg_statements_init(&pg->cache, mem, pg->options.statement_cache) != 0) {
        kind = hd_error_memory(err);
    }
    if (kind == HD_OK) return &pg->base;
    free_connection(pg);
    return NULL;
}

static void close_connection(hd_conn *conn) {
    free_connection((hd_pg *)conn);
}

/* libpq's goodbye goes to /dev/null instead of the socket that the parent process still uses.
 * Should that not open, libpq's part is left alone, unfreed. */
static void discard(hd_conn *conn) {
    hd_pg *pg = (hd_pg *)conn;
    int socket = PQsocket(pg->pq);
    if (socket >= 0) {
        int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (nowhere < 0 || dup2(nowhere, socket) < 0) pg->pq = NULL;
        if (nowhere >= 0) close(nowhere);
    }
    free_connection(pg);
}

/* ---- Where it stands ---- */

/* Takes what came unasked (notices, settings, notifications) and finds the end of the stream. */
static void look(hd_pg *pg) {
    struct pollfd p = {PQsocket(pg->pq), POLLIN, 0};
    while (!pg->broken && poll(&p, 1, 0) > 0) {
        if (!PQconsumeInput(pg->pq)) pg->broken = true;
        PQisBusy(pg->pq); /* parses, which calls the notice receiver */
        for (PGnotify *n; (n = PQnotifies(pg->pq));) PQfreemem(n);
    }
}

static hd_conn_status status(hd_conn *conn, bool probe) {
    hd_pg *pg = (hd_pg *)conn;
    if (!pg->connected || pg->broken || PQstatus(pg->pq) == CONNECTION_BAD) return HD_CONN_CLOSED;
    if (pg->run.active || hd_pg_is_canceling(pg)) return HD_CONN_BUSY;
    if (probe) look(pg);
    if (pg->broken) return HD_CONN_CLOSED;
    switch (PQtransactionStatus(pg->pq)) {
    case PQTRANS_IDLE:
        return HD_CONN_IDLE;
    case PQTRANS_INTRANS:
        return HD_CONN_TRANSACTION;
    case PQTRANS_INERROR:
        return HD_CONN_FAILED;
    case PQTRANS_ACTIVE:
        return HD_CONN_BUSY;
    default:
        return HD_CONN_CLOSED;
    }
}

static const char *or_unknown(const char *text, const char *fallback) {
    if (text && *text) return text;
    return fallback && *fallback ? fallback : "?";
}

static void describe(hd_conn *conn, char *out, size_t cap) {
    const hd_pg *pg = (const hd_pg *)conn;
    const hd_pg_options *options = &pg->options;
    const char *server = pg->connected ? PQparameterStatus(pg->pq, "server_version") : NULL;
    /* Debian's "15.20 (Debian 15.20-0)" is cut at the space. */
    snprintf(out, cap, "postgres%s%.*s %s@%s:%s/%s", server ? " " : "",
             server ? (int)strcspn(server, " ") : 0, server ? server : "",
             or_unknown(PQuser(pg->pq), hd_pg_options_get(options, "user")),
             or_unknown(PQhost(pg->pq), hd_pg_options_get(options, "host")),
             or_unknown(PQport(pg->pq), hd_pg_options_get(options, "port")),
             or_unknown(PQdb(pg->pq), hd_pg_options_get(options, "dbname")));
}

static const hd_dialect dialect = {
    .dollar_params = true,
    .bulk_unnest = true,
    .row_sequence = false,
    .max_params = 65535,
    .insert_rows = 500,
    .copy_rows = 4000,
    .transaction_id = "SELECT txid_current()",
    .transaction_id_if = "SELECT txid_current_if_assigned()",
};

const hd_driver hd_postgres_driver = {
    .abi = HD_DRIVER_ABI,
    .name = "postgres",
    .dialect = &dialect,
    .check = check,
    .version = version,
    .open = open_connection,
    .connect = hd_pg_connect,
    .start = hd_pg_start,
    .step = hd_pg_step,
    .next = hd_pg_next,
    .abandon = hd_pg_abandon,
    .status = status,
    .cancel = hd_pg_cancel,
    .close = close_connection,
    .discard = discard,
    .describe = describe,
};
