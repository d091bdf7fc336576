/* Running a flush on a real connection, and looking at what it left there; for both drivers. */
#ifndef HD_SPEC_FLUSH_RUN_H
#define HD_SPEC_FLUSH_RUN_H

#include <poll.h>
#include <unistd.h>

#include "base/buffer.h"
#include "flush_support.h"

/* ---- one connection ---------------------------------------------------------------------- */

static hd_conn *conn;
static const hd_driver *driver;
static hd_error err;
static hd_buffer rows; /* of the last query: "1,a;2,b" */

static void wait_a_little(const hd_wait *wait) {
    struct pollfd p = {wait->fd, 0, 0};
    if (wait->events & HD_READ) p.events |= POLLIN;
    if (wait->events & HD_WRITE) p.events |= POLLOUT;
    poll(&p, wait->fd >= 0, 100);
}

static void open_connection(const hd_driver *d, const hd_option *options, size_t count) {
    static const hd_services services = {HD_DRIVER_ABI, &hd_allocator_libc};
    hd_wait wait;
    hd_step step = HD_FAILED;
    driver = d;
    hd_error_init(&err, &hd_allocator_libc);
    hd_buffer_init(&rows, &hd_allocator_libc);
    conn = d->open(&services, options, count, &err);
    while (conn && (step = d->connect(conn, NULL, &wait, &err)) == HD_WAIT) wait_a_little(&wait);
    if (step != HD_DONE) fail_msg("%s: %s", err.message, err.cause ? err.cause : "");
}

static void close_connection(void) {
    if (conn) driver->close(conn);
    conn = NULL;
    hd_error_clear(&err);
    hd_buffer_free(&rows);
}

static void put_value(const hd_value *v) {
    if (v->kind == HD_INT || v->kind == HD_BOOL)
        hd_buffer_int(&rows, v->as.i);
    else if (hd_has_bytes(v))
        hd_buffer_add(&rows, v->as.p, v->len);
    else
        hd_buffer_str(&rows, v->kind == HD_NULL ? "null" : "?");
}

static hd_error_kind keep_row(void *ctx, const hd_row *row, hd_error *e) {
    (void)ctx, (void)e;
    if (rows.len) hd_buffer_char(&rows, ';');
    for (uint32_t i = 0; i < row->count; i++) {
        if (i) hd_buffer_char(&rows, ',');
        put_value(&row->values[i]);
    }
    return HD_OK;
}

static hd_error_kind run(const hd_batch *batch) {
    hd_wait wait;
    hd_step step;
    if (driver->start(conn, batch->statements, batch->count, &err)) return err.kind;
    while ((step = driver->step(conn, &wait, &err)) != HD_DONE) {
        if (step == HD_WAIT)
            wait_a_little(&wait);
        else if (step == HD_FAILED)
            return err.kind;
        else if (batch->sink(batch->sink_ctx, &conn->row, &err))
            fail_msg("%s", err.message);
    }
    return HD_OK;
}

static hd_error_kind run_text(const char *sql, bool simple) {
    hd_statement s = {.sql = sql,
                      .sql_len = strlen(sql),
                      .hash = hd_sql_hash(sql, strlen(sql)),
                      .repeat = 1,
                      .expect = -1,
                      .simple = simple};
    hd_batch batch = {&s, 1, keep_row, NULL};
    return run(&batch);
}

static void exec(const char *sql) {
    if (run_text(sql, true)) fail_msg("%s: %s (%s)", sql, err.message, err.cause ? err.cause : "");
}

static const char *query(const char *sql) {
    hd_buffer_clear(&rows);
    if (run_text(sql, false)) fail_msg("%s: %s (%s)", sql, err.message, err.cause ? err.cause : "");
    return hd_buffer_text(&rows);
}

/* ---- flushing ---------------------------------------------------------------------------- */

static hd_flush *flush;
static uint32_t key_batches, bodies, statements; /* of the last flush */
static hd_change *blamed;
static bool retried;

static void new_flush(void) {
    hd_flush_options options = {.dialect = driver->dialect, .now = 1700000000000000};
    hd_flush_free(flush);
    flush = hd_flush_new(&hd_allocator_libc, &options);
    assert_non_null(flush);
}

/* A body with COMMIT behind it in the same go, as the link sends it. */
static hd_error_kind run_body(const hd_batch *batch, bool commit) {
    hd_statement *all = calloc(batch->count + 1, sizeof *all);
    memcpy(all, batch->statements, batch->count * sizeof *all);
    all[batch->count] =
        (hd_statement){.sql = "COMMIT", .sql_len = 6, .hash = 1, .repeat = 1, .expect = -1};
    hd_batch with = *batch;
    with.statements = all;
    with.count += commit;
    hd_error_kind kind = run(&with);
    memcpy(batch->statements, all, batch->count * sizeof *all);
    free(all);
    return kind;
}

static hd_error_kind run_planned(void) {
    bool bare = hd_flush_is_bare(flush), committed = bare;
    const hd_batch *batch;
    key_batches = bodies = statements = 0;
    if (!bare) exec("BEGIN");
    if ((batch = hd_flush_keys(flush, &err))) {
        key_batches++;
        if (run(batch)) return err.kind;
    }
    while (!err.kind && (batch = hd_flush_body(flush, &err))) {
        bodies++;
        statements += batch->count;
        bool commit = !bare && hd_flush_can_commit(flush);
        if (run_body(batch, commit)) return err.kind;
        committed = committed || commit;
    }
    if (err.kind || hd_flush_check(flush, &err)) return err.kind;
    if (!committed) exec("COMMIT");
    return HD_OK;
}

/* Plans and runs; what can be tried another way is tried once more, as the host does. */
static hd_error_kind do_flush(void) {
    retried = false;
    blamed = NULL;
    for (;;) {
        if (hd_flush_plan(flush, &err) || run_planned() == HD_OK) return err.kind;
        bool again = hd_flush_blame(flush, &err, &blamed);
        if (driver->status(conn, false) != HD_CONN_IDLE) {
            hd_error kept;
            hd_error_init(&kept, &hd_allocator_libc);
            hd_error_move(&kept, &err);
            exec("ROLLBACK");
            hd_error_move(&err, &kept);
        }
        if (!again || retried) return err.kind;
        retried = true;
        hd_flush_replan(flush);
    }
}

static void must_flush(void) {
    if (do_flush())
        fail_msg("%s: %s | %s", hd_error_kind_name(err.kind), err.message,
                 err.cause ? err.cause : "");
}

static void must_fail(hd_error_kind kind) {
    if (do_flush() != kind)
        fail_msg("%s instead of %s: %s", hd_error_kind_name(err.kind), hd_error_kind_name(kind),
                 err.cause ? err.cause : "");
}

static bool on_postgres(void) {
    return driver->dialect->bulk_unnest;
}

#endif
