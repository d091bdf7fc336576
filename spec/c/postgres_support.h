/* What the PostgreSQL driver's tests share: connections to the server that HEDDLE_TEST_PG names,
 * running batches to their end, and rows written as text so that a test can compare them. Header
 * only, because other tests are linked without the driver. */
#ifndef HD_SPEC_POSTGRES_SUPPORT_H
#define HD_SPEC_POSTGRES_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#include "base/buffer.h"
#include "base/text.h"
#include "drivers/postgres/postgres.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))
#define UNUSED       __attribute__((unused))

/* ---- Connections ---- */

typedef struct pg {
    hd_conn *conn;
    hd_error err;
    hd_buffer rows; /* of the last run: "(1, 'a', null)" each */
    int waits;
    void (*on_row)(struct pg *pg, const hd_row *row); /* instead of writing */
    void *ud;
} pg;

static const char *conninfo(void) {
    const char *text = getenv("HEDDLE_TEST_PG");
    if (!text || !*text) {
        fprintf(stderr, "HEDDLE_TEST_PG must hold the libpq conninfo of an empty database\n");
        exit(1);
    }
    return text;
}

static void wait_for(const hd_wait *wait) {
    struct pollfd p = {wait->fd, 0, 0};
    hd_time rest = wait->until == HD_NEVER ? -1 : wait->until - hd_now();
    int ms = rest < 0 ? (wait->until == HD_NEVER ? 20000 : 0) : (int)(rest / 1000) + 1;
    if (wait->events & HD_READ) p.events |= POLLIN;
    if (wait->events & HD_WRITE) p.events |= POLLOUT;
    if (poll(&p, 1, ms) == 0 && wait->until == HD_NEVER) fail_msg("waited in vain for 20 s");
}

UNUSED static hd_step drive_connect(pg *p, const char *password) {
    hd_wait wait;
    hd_step step;
    while ((step = p->conn->driver->connect(p->conn, password, &wait, &p->err)) == HD_WAIT) {
        p->waits++;
        wait_for(&wait);
    }
    return step;
}

UNUSED static bool open_with(pg *p, const hd_allocator *mem, const hd_option *options,
                             uint32_t count) {
    const hd_services services = {HD_DRIVER_ABI, mem};
    memset(p, 0, sizeof *p);
    hd_error_init(&p->err, mem);
    hd_buffer_init(&p->rows, &hd_allocator_libc);
    p->conn = hd_postgres_driver.open(&services, options, count, &p->err);
    return p->conn != NULL;
}

UNUSED static void connect_or_fail(pg *p) {
    if (!p->conn || drive_connect(p, NULL) != HD_DONE) {
        fail_msg("%s: %s", p->err.message, p->err.cause ? p->err.cause : "");
    }
}

/* A connection with one more option (name NULL: none). */
UNUSED static void open_pg(pg *p, const char *name, const char *value) {
    const hd_option options[] = {{"url", conninfo()}, {name, value}};
    open_with(p, &hd_allocator_libc, options, name ? 2 : 1);
    connect_or_fail(p);
}

UNUSED static void close_pg(pg *p) {
    if (p->conn) p->conn->driver->close(p->conn);
    p->conn = NULL;
    hd_error_clear(&p->err);
    hd_buffer_free(&p->rows);
}

UNUSED static hd_conn_status status_of(pg *p, bool probe) {
    return p->conn->driver->status(p->conn, probe);
}

/* ---- Rows as text ---- */

static void write_value(hd_buffer *out, const hd_value *v) {
    static const char *const prefix[] = {
        [HD_BLOB] = "x",    [HD_DECIMAL] = "d", [HD_DATE] = "date",
        [HD_TIME] = "time", [HD_UUID] = "uuid", [HD_JSON] = "json"};
    char number[40];
    switch (v->kind) {
    case HD_NULL:
        hd_buffer_str(out, "null");
        break;
    case HD_BOOL:
        hd_buffer_str(out, v->as.i ? "true" : "false");
        break;
    case HD_INT:
        hd_buffer_int(out, v->as.i);
        break;
    case HD_TIMESTAMP:
        hd_buffer_fmt(out, "@%lld", (long long)v->as.i);
        break;
    case HD_FLOAT:
        hd_buffer_char(out, 'f');
        hd_buffer_add(out, number, hd_double_format(v->as.f, number));
        break;
    case HD_LIST:
        hd_buffer_char(out, '[');
        for (uint32_t i = 0; i < v->as.list->count; i++) {
            if (i) hd_buffer_str(out, ", ");
            write_value(out, &v->as.list->items[i]);
        }
        hd_buffer_char(out, ']');
        break;
    default:
        if (v->kind < sizeof prefix / sizeof *prefix && prefix[v->kind]) {
            hd_buffer_str(out, prefix[v->kind]);
        }
        hd_buffer_char(out, '\'');
        hd_buffer_add(out, v->as.p, v->len);
        hd_buffer_char(out, '\'');
    }
}

static void write_row(hd_buffer *out, const hd_row *row) {
    hd_buffer_char(out, '(');
    for (uint32_t i = 0; i < row->count; i++) {
        if (i) hd_buffer_str(out, ", ");
        write_value(out, &row->values[i]);
    }
    hd_buffer_char(out, ')');
}

/* ---- Statements ---- */

static uint64_t hash_of(const char *text) {
    uint64_t h = 1469598103934665603u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

UNUSED static hd_statement text_of(const char *sql) {
    return (hd_statement){.sql = sql,
                          .sql_len = strlen(sql),
                          .hash = hash_of(sql),
                          .repeat = 1,
                          .expect = -1,
                          .cache = true};
}

UNUSED static hd_statement plain(const char *sql) {
    hd_statement s = text_of(sql);
    s.cache = false;
    return s;
}

UNUSED static hd_statement with_params(const char *sql, const hd_value *params, uint32_t count) {
    hd_statement s = text_of(sql);
    s.params = params;
    s.param_count = count;
    return s;
}

UNUSED static void with_types(hd_statement *s, const uint8_t *types, uint32_t count) {
    s->types = types;
    s->type_count = count;
}

/* Runs a batch to its end. */
UNUSED static hd_step run(pg *p, hd_statement *statements, uint32_t count) {
    hd_error_clear(&p->err);
    hd_buffer_clear(&p->rows);
    p->waits = 0;
    if (p->conn->driver->start(p->conn, statements, count, &p->err) != HD_OK) return HD_FAILED;
    for (;;) {
        hd_wait wait;
        hd_step step = p->conn->driver->step(p->conn, &wait, &p->err);
        if (step == HD_WAIT) {
            p->waits++;
            wait_for(&wait);
        } else if (step != HD_ROW) {
            return step;
        } else if (p->on_row) {
            p->on_row(p, &p->conn->row);
        } else {
            write_row(&p->rows, &p->conn->row);
        }
    }
}

UNUSED static const char *rows_of(pg *p) {
    return hd_buffer_text(&p->rows);
}

#define assert_runs(p, statements, count)                                                          \
    do {                                                                                           \
        if (run(p, statements, count) != HD_DONE) {                                                \
            fail_msg("%s (%s, %s)", (p)->err.message, (p)->err.sqlstate,                           \
                     (p)->err.cause ? (p)->err.cause : "");                                        \
        }                                                                                          \
    } while (0)

#define assert_rows(p, expected) assert_string_equal(rows_of(p), expected)

/* Runs one text of no parameters, whose rows must be these. */
#define assert_query(p, text, expected)                                                            \
    do {                                                                                           \
        hd_statement query_ = plain(text);                                                         \
        assert_runs(p, &query_, 1);                                                                \
        assert_rows(p, expected);                                                                  \
    } while (0)

#define assert_fails(p, statements, count, wanted)                                                 \
    do {                                                                                           \
        assert_int_equal(run(p, statements, count), HD_FAILED);                                    \
        assert_string_equal(hd_error_kind_name((p)->err.kind), hd_error_kind_name(wanted));        \
    } while (0)

UNUSED static void execute(pg *p, const char *sql) {
    hd_statement s = plain(sql);
    s.simple = true;
    assert_runs(p, &s, 1);
}

/* ---- Values ---- */

UNUSED static hd_value text_value(const char *text, hd_kind kind, hd_type type) {
    return hd_bytes(kind, text, strlen(text), type);
}

UNUSED static hd_value number_value(double f, hd_type type) {
    hd_value v = {HD_FLOAT, (uint8_t)type, 0, 0, {.f = f}};
    return v;
}

UNUSED static hd_value integer_kind(hd_kind kind, int64_t i, hd_type type) {
    hd_value v = {(uint8_t)kind, (uint8_t)type, 0, 0, {.i = i}};
    return v;
}

UNUSED static hd_value list_value(const hd_list *list, hd_type type) {
    hd_value v = {HD_LIST, (uint8_t)type, 0, 0, {.list = list}};
    return v;
}

/* ---- Memory that runs out ---- */

/* The n-th request from now fails, and all after it if `for_good`; counts what is not given
 * back. */
typedef struct scarce {
    hd_allocator mem;
    long fail_at, calls, live; /* fail_at 0: none */
    bool for_good;
} scarce;

static void *scarce_resize(void *ud, void *ptr, size_t size) {
    scarce *s = ud;
    if (size == 0) {
        s->live -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    s->calls++;
    if (s->calls == s->fail_at || (s->for_good && s->fail_at && s->calls > s->fail_at)) return NULL;
    void *out = realloc(ptr, size);
    s->live += out && !ptr;
    return out;
}

UNUSED static void scarce_init(scarce *s) {
    memset(s, 0, sizeof *s);
    s->mem.resize = scarce_resize;
    s->mem.ud = s;
}

#endif
