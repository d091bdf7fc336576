/* What the SQLite driver's tests share: a directory of their own, connections, and running
 * statements to their end. Header only, because other tests are linked without the driver. */
#ifndef HD_SPEC_SQLITE_SUPPORT_H
#define HD_SPEC_SQLITE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "drivers/sqlite/conn.h"
#include "drivers/sqlite/sqlite.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define UNUSED       __attribute__((unused))

/* ---- a directory ---- */

static char directory[64];

UNUSED static int make_directory(void **state) {
    (void)state;
    strcpy(directory, "/tmp/hd_sqlite_XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

UNUSED static int remove_directory(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

/* A path in it; four may be in use at once. */
UNUSED static const char *in_directory(const char *name) {
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % COUNT(paths)];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

/* ---- connections ---- */

typedef struct db {
    hd_conn *conn;
    hd_error err;
    int waits;               /* of the last run */
    void (*release)(void *); /* called once at wait number `release_at` */
    void *release_ctx;
    int release_at;
    void (*on_row)(void *ctx, const hd_row *row);
    void *row_ctx;
} db;

static const hd_services services = {HD_DRIVER_ABI, &hd_allocator_libc};

UNUSED static hd_sqlite_conn *inside(db *d) {
    return hd_sqlite_of(d->conn);
}

static void wait_until(const hd_wait *wait) {
    assert_int_equal(wait->fd, -1);
    hd_time now = hd_now();
    assert_true(wait->until <= now + 30000);
    if (wait->until > now) usleep((useconds_t)(wait->until - now));
}

UNUSED static hd_step db_connect(db *d, const hd_option *options, size_t count) {
    memset(d, 0, sizeof *d);
    hd_error_init(&d->err, &hd_allocator_libc);
    d->conn = hd_sqlite_driver.open(&services, options, count, &d->err);
    if (!d->conn) return HD_FAILED;
    hd_wait wait;
    hd_step step;
    while ((step = hd_sqlite_driver.connect(d->conn, NULL, &wait, &d->err)) == HD_WAIT) {
        d->waits++;
        wait_until(&wait);
    }
    return step;
}

UNUSED static void db_open(db *d, const char *path) {
    const hd_option options[] = {{"database", path}, {"busy_timeout", "0.2"}};
    if (db_connect(d, options, COUNT(options)) != HD_DONE) fail_msg("%s", d->err.message);
}

UNUSED static void db_close(db *d) {
    if (d->conn) hd_sqlite_driver.close(d->conn);
    hd_error_clear(&d->err);
    d->conn = NULL;
}

/* ---- statements ---- */

static uint64_t hash_of(const char *text) {
    uint64_t h = 1469598103934665603u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h | 1;
}

UNUSED static hd_statement text_of(const char *sql) {
    return (hd_statement){.sql = sql,
                          .sql_len = strlen(sql),
                          .hash = hash_of(sql),
                          .repeat = 1,
                          .expect = -1,
                          .cache = true};
}

UNUSED static hd_statement with_params(const char *sql, const hd_value *params, uint32_t count) {
    hd_statement s = text_of(sql);
    s.params = params;
    s.param_count = count;
    return s;
}

/* Runs a batch to its end, waiting where it says so. */
UNUSED static hd_step db_run(db *d, hd_statement *statements, uint32_t count) {
    hd_error_clear(&d->err);
    d->waits = 0;
    if (hd_sqlite_driver.start(d->conn, statements, count, &d->err) != HD_OK) return HD_FAILED;
    for (;;) {
        hd_wait wait;
        hd_step step = hd_sqlite_driver.step(d->conn, &wait, &d->err);
        if (step == HD_ROW) {
            if (d->on_row) d->on_row(d->row_ctx, &d->conn->row);
        } else if (step == HD_WAIT) {
            if (++d->waits == d->release_at) d->release(d->release_ctx);
            wait_until(&wait);
        } else {
            return step;
        }
    }
}

/* A script that must work. */
UNUSED static void db_exec(db *d, const char *sql) {
    hd_statement s = text_of(sql);
    s.simple = true;
    if (db_run(d, &s, 1) != HD_DONE) fail_msg("%s: %s", d->err.message, d->err.cause);
}

/* One statement that must fail in this way. */
UNUSED static void db_fails(db *d, const char *sql, hd_error_kind kind) {
    hd_statement s = text_of(sql);
    assert_int_equal(db_run(d, &s, 1), HD_FAILED);
    if (d->err.kind != kind) {
        fail_msg("%s: %s instead of %s (%s)", sql, hd_error_kind_name(d->err.kind),
                 hd_error_kind_name(kind), d->err.cause ? d->err.cause : "");
    }
}

static void keep_integer(void *ctx, const hd_row *row) {
    assert_int_equal(row->count, 1);
    assert_int_equal(row->values[0].kind, HD_INT);
    *(int64_t *)ctx = row->values[0].as.i;
}

/* The one integer that a query gives. */
UNUSED static int64_t db_integer(db *d, const char *sql) {
    int64_t out = INT64_MIN;
    hd_statement s = text_of(sql);
    d->on_row = keep_integer;
    d->row_ctx = &out;
    hd_step step = db_run(d, &s, 1);
    d->on_row = NULL;
    if (step != HD_DONE) fail_msg("%s: %s", d->err.message, d->err.cause);
    return out;
}

static void keep_text(void *ctx, const hd_row *row) {
    const hd_value *v = &row->values[0];
    if (v->kind == HD_NULL) {
        strcpy(ctx, "NULL");
    } else {
        assert_int_equal(v->kind, HD_TEXT);
        memcpy(ctx, v->as.p, v->len);
        ((char *)ctx)[v->len] = '\0';
    }
}

/* The one short text that a query gives. */
UNUSED static const char *db_text(db *d, const char *sql) {
    static char out[1024];
    out[0] = '\0';
    hd_statement s = text_of(sql);
    d->on_row = keep_text;
    d->row_ctx = out;
    hd_step step = db_run(d, &s, 1);
    d->on_row = NULL;
    if (step != HD_DONE) fail_msg("%s: %s", d->err.message, d->err.cause);
    return out;
}

/* A copy of the one value of the one row. */
typedef struct cell {
    hd_value v;
    char *bytes;
    int rows;
} cell;

UNUSED static void keep_cell(void *ctx, const hd_row *row) {
    cell *c = ctx;
    assert_int_equal(row->count, 1);
    c->rows++;
    c->v = row->values[0];
    if (hd_has_bytes(&c->v)) {
        free(c->bytes);
        c->bytes = malloc(c->v.len + 1u);
        memcpy(c->bytes, c->v.as.p, c->v.len);
        c->bytes[c->v.len] = '\0';
        c->v.as.p = c->bytes;
    }
}

UNUSED static cell db_cell(db *d, const char *sql, hd_type type, const hd_value *param) {
    cell c = {{0}, NULL, 0};
    uint8_t types[] = {(uint8_t)type};
    hd_statement s = with_params(sql, param, param ? 1 : 0);
    s.types = types;
    s.type_count = 1;
    d->on_row = keep_cell;
    d->row_ctx = &c;
    hd_step step = db_run(d, &s, 1);
    d->on_row = NULL;
    if (step != HD_DONE) fail_msg("%s: %s", sql, d->err.cause);
    assert_int_equal(c.rows, 1);
    assert_int_equal(c.v.type, type);
    return c;
}

UNUSED static hd_conn_status db_status(db *d) {
    return hd_sqlite_driver.status(d->conn, false);
}

#endif
