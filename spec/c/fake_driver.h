/* A driver without a database, for the tests of pool and link: it keeps count of its connections, remembers what was
 * sent, checks that transactions, savepoints and cursors are where they may be, and waits, fails or loses its connection where a test says so. */
#ifndef HD_SPEC_FAKE_DRIVER_H
#define HD_SPEC_FAKE_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver.h"
#include "scarce.h"

#define UNUSED __attribute__((unused))

typedef struct fake_conn {
    hd_conn base;
    hd_conn_status status;
    int connecting; /* steps left */
    hd_statement *run;
    uint32_t count, at;
    bool waited; /* for the statement at hand */
    bool canceled;
    int64_t rows; /* given of it */
    unsigned savepoints;
    unsigned cursors[32]; /* by number: 0, or in how many savepoints it was declared, and 1 */
} fake_conn;

/* What tests set and read. */
static struct {
    int connect_waits; /* steps that answer WAIT */
    bool refuse;       /* connections are refused */
    bool open_fails;
    int wait_at;           /* the n-th statement from now waits once, 1: the next; 0: none */
    int fail_at, lose_at;  /* it fails; it takes the connection with it */
    bool stuck;            /* every statement waits for ever */
    bool obeys;            /* and fails when it is canceled */
    bool ends;             /* or ends well, since the cancelling came too late */
    bool offloaded;        /* the last cancelling */
    bool ends_transaction; /* a failure ends the transaction, as SQLite's may */
    bool cannot_abandon;
    bool shows_ids; /* the statements that ask for the transaction's id are logged too */
    int64_t rows;   /* rows of each statement that begins with "select", of each FETCH */
    int live, opened, closed, discarded, canceled, probes;
    bool drops_idle; /* a probe finds the connection closed */
    char password[32];
    char log[4096]; /* "BEGIN;a;" */
    hd_step bad;    /* a savepoint or transaction out of place: never HD_DONE again */
} fake;

static void fake_reset(void) {
    memset(&fake, 0, sizeof fake);
}

static fake_conn *fake_of(hd_conn *conn) {
    return (fake_conn *)(void *)conn;
}

static hd_conn *fake_open(const hd_services *services, const hd_option *options, size_t count,
                          hd_error *err) {
    (void)options;
    (void)count;
    fake_conn *conn = fake.open_fails ? NULL : hd_alloc_zero(services->mem, sizeof *conn);
    if (!conn) {
        hd_error_memory(err);
        return NULL;
    }
    conn->base.mem = services->mem;
    conn->base.driver = NULL;
    conn->connecting = fake.connect_waits;
    fake.live++;
    return &conn->base;
}

extern const hd_driver fake_driver;

static hd_step fake_connect(hd_conn *base, const char *password, hd_wait *wait, hd_error *err) {
    fake_conn *conn = fake_of(base);
    base->driver = &fake_driver;
    if (password) snprintf(fake.password, sizeof fake.password, "%s", password);
    if (conn->connecting-- > 0) {
        *wait = (hd_wait){3, HD_READ | HD_WRITE, HD_NEVER};
        return HD_WAIT;
    }
    if (fake.refuse) {
        hd_error_set(err, HD_E_CONNECTION, "refused");
        return HD_FAILED;
    }
    conn->status = HD_CONN_IDLE;
    fake.opened++;
    return HD_DONE;
}

static hd_error_kind fake_start(hd_conn *base, hd_statement *statements, uint32_t count,
                                hd_error *err) {
    fake_conn *conn = fake_of(base);
    if (conn->run) return hd_error_set(err, HD_E_BUSY, "busy");
    conn->run = statements;
    conn->count = count;
    conn->at = 0;
    conn->waited = conn->canceled = false;
    conn->rows = 0;
    return HD_OK;
}

static bool strikes(int *at) {
    return *at > 0 && --*at == 0;
}

static hd_step end_run(fake_conn *conn, hd_step step) {
    conn->run = NULL;
    return step;
}

static bool is_text(const hd_statement *s, const char *text) {
    return s->sql_len == strlen(text) && memcmp(s->sql, text, s->sql_len) == 0;
}

static bool begins(const hd_statement *s, const char *text) {
    return s->sql_len >= strlen(text) && memcmp(s->sql, text, strlen(text)) == 0;
}

/* The place of the savepoint that it names among those that are open; too high when it names none. */
static unsigned depth_of(const hd_statement *s) {
    char copy[64];
    unsigned number = 0;
    snprintf(copy, sizeof copy, "%.*s", (int)s->sql_len, s->sql);
    const char *name = strstr(copy, " hd_");
    return name && sscanf(name, " hd_%u", &number) == 1 && number >= 2 ? number - 1 : 1000;
}

/* The cursor that it names among those of the connection. */
static unsigned *cursor_of(fake_conn *conn, const hd_statement *s) {
    char copy[64];
    unsigned number = 0;
    snprintf(copy, sizeof copy, "%.*s", (int)s->sql_len, s->sql);
    const char *name = strstr(copy, " hd_c");
    bool named = name && sscanf(name, " hd_c%u", &number) == 1 && number > 0 && number < 32;
    return &conn->cursors[named ? number : 0];
}

/* Those of savepoints beyond these are gone, or become part of the last of these. */
static void leave_savepoints(fake_conn *conn, unsigned savepoints, bool gone) {
    for (int i = 0; i < 32; i++) {
        if (conn->cursors[i] > savepoints + 1) conn->cursors[i] = gone ? 0 : savepoints + 1;
    }
}

static bool obey_cursor(fake_conn *conn, const hd_statement *s) {
    unsigned *cursor = cursor_of(conn, s);
    bool declares = begins(s, "DECLARE");
    if (conn->status != HD_CONN_TRANSACTION || cursor == conn->cursors) return false;
    if (declares == (*cursor != 0)) return false;
    if (declares) *cursor = conn->savepoints + 1;
    if (begins(s, "CLOSE")) *cursor = 0;
    return true;
}

/* Whether the statement is allowed where the connection stands, and what it makes of it. */
static bool obey(fake_conn *conn, const hd_statement *s) {
    bool open = conn->status == HD_CONN_TRANSACTION || conn->status == HD_CONN_FAILED;
    char name[32];
    if (begins(s, "BEGIN")) {
        if (open) return false;
        conn->status = HD_CONN_TRANSACTION;
    } else if (is_text(s, "COMMIT") || is_text(s, "ROLLBACK")) {
        if (!open) return false;
        conn->status = HD_CONN_IDLE;
        conn->savepoints = 0;
        memset(conn->cursors, 0, sizeof conn->cursors);
    } else if (begins(s, "SAVEPOINT ")) {
        snprintf(name, sizeof name, "SAVEPOINT hd_%u", conn->savepoints + 2);
        if (!open || !is_text(s, name)) return false;
        conn->savepoints++;
    } else if (begins(s, "RELEASE ")) {
        unsigned depth = depth_of(s);
        if (conn->status != HD_CONN_TRANSACTION || depth > conn->savepoints) return false;
        conn->savepoints = depth - 1;
        leave_savepoints(conn, depth - 1, false);
    } else if (begins(s, "ROLLBACK TO ")) {
        unsigned depth = depth_of(s);
        if (!open || depth > conn->savepoints) return false;
        conn->savepoints = depth;
        leave_savepoints(conn, depth - 1, true);
        conn->status = HD_CONN_TRANSACTION;
    } else if (begins(s, "DECLARE") || begins(s, "FETCH") || begins(s, "CLOSE")) {
        return obey_cursor(conn, s);
    } else {
        return conn->status != HD_CONN_FAILED;
    }
    return true;
}

static void fake_note(const hd_statement *s) {
    if (begins(s, "select id") && !fake.shows_ids) return;
    size_t used = strlen(fake.log);
    snprintf(fake.log + used, sizeof fake.log - used, "%.*s;", (int)s->sql_len, s->sql);
}

static hd_step fake_fail(fake_conn *conn, hd_error *err, hd_error_kind kind, bool lost) {
    hd_error_set(err, kind, lost ? "lost" : "failed");
    err->statement = lost ? -1 : (int32_t)conn->at;
    if (lost)
        conn->status = HD_CONN_CLOSED;
    else if (conn->status == HD_CONN_TRANSACTION)
        conn->status = fake.ends_transaction ? HD_CONN_IDLE : HD_CONN_FAILED;
    if (conn->status == HD_CONN_IDLE) memset(conn->cursors, 0, sizeof conn->cursors);
    return end_run(conn, HD_FAILED);
}

static hd_step run_one(fake_conn *conn, hd_wait *wait, hd_error *err) {
    hd_statement *s = &conn->run[conn->at];
    if (!s->sent) fake_note(s);
    s->sent = true;
    if (conn->canceled) {
        conn->canceled = false;
        return fake_fail(conn, err, HD_E_CANCELED, false);
    }
    if (fake.stuck || (!conn->waited && conn->rows == 0 && strikes(&fake.wait_at))) {
        conn->waited = true;
        *wait = (hd_wait){3, HD_READ, HD_NEVER};
        return HD_WAIT;
    }
    if (conn->rows == 0 && strikes(&fake.lose_at))
        return fake_fail(conn, err, HD_E_CONNECTION, true);
    if (conn->rows == 0 && strikes(&fake.fail_at)) return fake_fail(conn, err, HD_E_SYNTAX, false);
    if (conn->rows == 0 && !obey(conn, s)) {
        fake.bad = HD_FAILED;
        return fake_fail(conn, err, HD_E_DRIVER, false);
    }
    if ((begins(s, "select") || begins(s, "FETCH")) && conn->rows < fake.rows) {
        static hd_value value;
        value = hd_int(++conn->rows, HD_T_INTEGER);
        conn->base.row = (hd_row){&value, 1, conn->at, 0};
        return HD_ROW;
    }
    s->affected = conn->rows;
    conn->rows = 0;
    conn->waited = false;
    return HD_DONE;
}

static hd_step fake_step(hd_conn *base, hd_wait *wait, hd_error *err) {
    fake_conn *conn = fake_of(base);
    while (conn->run && conn->at < conn->count) {
        hd_step step = run_one(conn, wait, err);
        if (step != HD_DONE) return step;
        conn->at++;
    }
    return end_run(conn, HD_DONE);
}

static void fake_abandon(hd_conn *base) {
    if (!fake.cannot_abandon) fake_of(base)->run = NULL;
}

static hd_conn_status fake_status(hd_conn *base, bool probe) {
    fake_conn *conn = fake_of(base);
    if (probe) fake.probes++;
    if (probe && fake.drops_idle) conn->status = HD_CONN_CLOSED;
    return conn->status != HD_CONN_CLOSED && conn->run ? HD_CONN_BUSY : conn->status;
}

static void fake_cancel(hd_conn *base, bool offload) {
    fake.offloaded = offload;
    fake.canceled++;
    fake_of(base)->canceled = fake.obeys;
    if (fake.ends) fake.stuck = false;
}

static void fake_close(hd_conn *base) {
    fake.live--;
    fake.closed++;
    hd_free(base->mem, base);
}

static void fake_discard(hd_conn *base) {
    fake.live--;
    fake.discarded++;
    hd_free(base->mem, base);
}

static void fake_describe(hd_conn *base, char *out, size_t cap) {
    (void)base;
    snprintf(out, cap, "fake");
}

static const hd_dialect fake_dialect = {.max_params = 100,
                                        .insert_rows = 10,
                                        .transaction_id = "select id",
                                        .transaction_id_if = "select id if"};

UNUSED const hd_driver fake_driver = {
    .abi = HD_DRIVER_ABI,
    .name = "fake",
    .dialect = &fake_dialect,
    .open = fake_open,
    .connect = fake_connect,
    .start = fake_start,
    .step = fake_step,
    .abandon = fake_abandon,
    .status = fake_status,
    .cancel = fake_cancel,
    .close = fake_close,
    .discard = fake_discard,
    .describe = fake_describe,
};

#endif
