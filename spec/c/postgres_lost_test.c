/* Connections that end: at every byte of a conversation, in both directions, and by a server that
 * ends them while they are idle, in a transaction, or in the middle of a pipeline. */
#include <libpq-fe.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postgres_support.h"

/* ---- A relay that cuts ---- */

/* A process that passes bytes between a Unix socket of its own and the server's. Its n-th
 * connection is cut after n * step bytes of one direction. */
typedef struct relay {
    char dir[64], path[108];
    pid_t pid;
} relay;

static struct sockaddr_un server_address, relay_address;

static int read_conninfo(void **state) {
    (void)state;
    const char *host = NULL, *port = "5432";
    PQconninfoOption *parts = PQconninfoParse(conninfo(), NULL);
    if (!parts) return -1;
    for (PQconninfoOption *o = parts; o->keyword; o++) {
        if (o->val && strcmp(o->keyword, "host") == 0) host = o->val;
        if (o->val && strcmp(o->keyword, "port") == 0) port = o->val;
    }
    int n = snprintf(server_address.sun_path, sizeof server_address.sun_path, "%s/.s.PGSQL.%s",
                     host ? host : "", port);
    server_address.sun_family = AF_UNIX;
    bool ok = host && *host == '/' && n < (int)sizeof server_address.sun_path;
    if (!ok) fprintf(stderr, "HEDDLE_TEST_PG must name a Unix socket's directory as host\n");
    PQconninfoFree(parts);
    return ok ? 0 : -1;
}

/* Passes what is there; false when it is over. `left` is what may still pass, -1: no limit. */
static bool pass(int from, int to, long *left) {
    char bytes[4096];
    size_t most = *left >= 0 && *left < (long)sizeof bytes ? (size_t)*left : sizeof bytes;
    if (most == 0) return false;
    ssize_t n = read(from, bytes, most);
    if (n <= 0) return false;
    if (*left >= 0) *left -= n;
    return write(to, bytes, (size_t)n) == n && *left != 0;
}

static void relay_one(int client, bool of_server, long limit) {
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    long none = -1;
    if (connect(server, (struct sockaddr *)&server_address, sizeof server_address) != 0) _exit(1);
    struct pollfd p[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    for (bool open = limit > 0; open && poll(p, 2, -1) > 0;) {
        if (p[0].revents) open = pass(client, server, of_server ? &none : &limit);
        if (open && p[1].revents) open = pass(server, client, of_server ? &limit : &none);
    }
    close(server);
    close(client);
}

static void relay_start(relay *r, bool of_server, long step) {
    strcpy(r->dir, "/tmp/hd_relay_XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->path, sizeof r->path, "%s/.s.PGSQL.5432", r->dir);
    relay_address.sun_family = AF_UNIX;
    strcpy(relay_address.sun_path, r->path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&relay_address, sizeof relay_address), 0);
    assert_int_equal(listen(listener, 5), 0);
    r->pid = fork();
    if (r->pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        for (long n = 0;; n++) {
            int client = accept(listener, NULL, NULL);
            if (client < 0) _exit(0);
            relay_one(client, of_server, n * step);
        }
    }
    close(listener);
}

static void relay_stop(relay *r) {
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    unlink(r->path);
    rmdir(r->dir);
}

/* ---- Cuts ---- */

/* A conversation of every kind of message. True when it came to its end. */
static bool converse(pg *p) {
    hd_value params[] = {hd_int(1, HD_T_BIGINT), text_value("a text", HD_TEXT, HD_T_TEXT),
                         hd_int(2, HD_T_BIGINT), text_value("another", HD_TEXT, HD_T_TEXT)};
    hd_statement s[] = {plain("begin"), plain("create temp table lost (id int8, name text)"),
                        with_params("insert into lost values ($1, $2) returning id", params, 2),
                        text_of("select id, name, repeat(name, 20) from lost"), plain("commit")};
    hd_statement script = plain("select 1; select 2; drop table lost");
    hd_statement bad[] = {text_of("select 3"), text_of("select 1 / 0"), text_of("select 4")};
    s[2].repeat = 2;
    script.simple = true;
    if (run(p, s, COUNT(s)) != HD_DONE || run(p, &script, 1) != HD_DONE) return false;
    assert_int_equal(run(p, bad, COUNT(bad)), HD_FAILED);
    if (p->err.kind == HD_E_CONNECTION) return false;
    assert_int_equal(p->err.kind, HD_E_VALIDATION);
    return true;
}

static void cut_everywhere(bool of_server, long step) {
    relay r;
    bool whole = false;
    int cuts = 0;
    relay_start(&r, of_server, step);
    while (!whole) {
        pg p;
        const hd_option options[] = {{"url", conninfo()}, {"host", r.dir}, {"port", "5432"}};
        assert_true(open_with(&p, &hd_allocator_libc, options, 3));
        whole = drive_connect(&p, NULL) == HD_DONE && converse(&p);
        if (!whole) {
            if (p.err.kind != HD_E_CONNECTION) fail_msg("%s", p.err.message);
            assert_int_equal(status_of(&p, false), HD_CONN_CLOSED);
            hd_statement s = text_of("select 1");
            assert_fails(&p, &s, 1, HD_E_CONNECTION);
            cuts++;
        }
        close_pg(&p);
    }
    assert_true(cuts > 20);
    relay_stop(&r);
}

static void the_server_falls_silent_at_every_byte(void **state) {
    (void)state;
    cut_everywhere(true, 5);
}

static void the_client_is_cut_at_every_byte(void **state) {
    (void)state;
    cut_everywhere(false, 5);
}

/* ---- Ended by the server ---- */

static int64_t backend_pid;

static void keep_pid(pg *p, const hd_row *row) {
    (void)p;
    backend_pid = row->values[0].as.i;
}

static int64_t pid_of(pg *p) {
    hd_statement s = plain("select pg_backend_pid()");
    p->on_row = keep_pid;
    assert_runs(p, &s, 1);
    p->on_row = NULL;
    return backend_pid;
}

/* Ends the backend and waits until it is gone. */
static void terminate(pg *other, int64_t pid) {
    hd_value param = hd_int(pid, HD_T_INTEGER);
    hd_statement s = with_params("select pg_terminate_backend($1, 5000)", &param, 1);
    assert_runs(other, &s, 1);
}

static void wait_until_it_sleeps(pg *other, int64_t pid) {
    hd_value param = hd_int(pid, HD_T_INTEGER);
    hd_statement s = with_params("select 1 from pg_stat_activity where pid = $1 "
                                 "and wait_event = 'PgSleep'",
                                 &param, 1);
    for (int i = 0; i < 500; i++) {
        assert_runs(other, &s, 1);
        if (s.affected) return;
        poll(NULL, 0, 10);
    }
    fail_msg("the statement did not begin to sleep");
}

static void an_ended_idle_connection_is_found_by_a_probe(void **state) {
    (void)state;
    pg p, other;
    open_pg(&other, NULL, NULL);
    for (int transaction = 0; transaction < 2; transaction++) {
        hd_statement begin = plain("begin");
        open_pg(&p, NULL, NULL);
        int64_t pid = pid_of(&p);
        if (transaction) assert_runs(&p, &begin, 1);
        assert_int_equal(status_of(&p, true), transaction ? HD_CONN_TRANSACTION : HD_CONN_IDLE);
        terminate(&other, pid);
        assert_int_equal(status_of(&p, true), HD_CONN_CLOSED);
        close_pg(&p);
    }
    close_pg(&other);
}

static void an_ended_connection_fails_its_next_batch(void **state) {
    (void)state;
    pg p, other;
    open_pg(&p, NULL, NULL);
    open_pg(&other, NULL, NULL);
    terminate(&other, pid_of(&p));
    hd_statement s[] = {text_of("select 1"), text_of("select 2")};
    assert_fails(&p, s, 2, HD_E_CONNECTION);
    assert_int_equal(status_of(&p, false), HD_CONN_CLOSED);
    assert_non_null(p.err.cause);
    close_pg(&p);
    close_pg(&other);
}

static void a_running_statement_is_ended(void **state) {
    (void)state;
    pg p, other;
    open_pg(&p, NULL, NULL);
    open_pg(&other, NULL, NULL);
    int64_t pid = pid_of(&p);
    hd_statement s[] = {text_of("select 1"), text_of("select pg_sleep(20)"), text_of("select 2")};
    hd_wait wait;
    hd_step step;
    assert_int_equal(p.conn->driver->start(p.conn, s, 3, &p.err), HD_OK);
    assert_int_equal(p.conn->driver->step(p.conn, &wait, &p.err), HD_WAIT);
    wait_until_it_sleeps(&other, pid);
    terminate(&other, pid);
    while ((step = p.conn->driver->step(p.conn, &wait, &p.err)) != HD_FAILED) {
        if (step == HD_WAIT) wait_for(&wait);
    }
    assert_int_equal(p.err.kind, HD_E_CONNECTION);
    assert_string_equal(p.err.sqlstate, "57P01");
    assert_int_equal(p.err.statement, 1);
    assert_int_equal(status_of(&p, false), HD_CONN_CLOSED);
    close_pg(&p);
    close_pg(&other);
}

/* A pipeline with large parameters and rows is ended at thirty different moments. What had arrived
 * whole by then is a success. */
static void a_pipeline_is_ended_at_any_moment(void **state) {
    (void)state;
    enum { N = 200, SIZE = 30000, TIMES = 30 };
    static char text[SIZE];
    static hd_statement s[N];
    memset(text, 'z', SIZE);
    hd_value param = hd_bytes(HD_TEXT, text, SIZE, HD_T_TEXT);
    pg other;
    int failures = 0;
    open_pg(&other, NULL, NULL);
    for (int i = 0; i < TIMES; i++) {
        pg p;
        hd_wait wait;
        hd_step step;
        int steps = 0, rows = 0;
        open_pg(&p, NULL, NULL);
        int64_t pid = pid_of(&p);
        for (int k = 0; k < N; k++) s[k] = with_params("select $1, $1", &param, 1);
        assert_int_equal(p.conn->driver->start(p.conn, s, N, &p.err), HD_OK);
        do {
            step = p.conn->driver->step(p.conn, &wait, &p.err);
            if (step == HD_WAIT) wait_for(&wait);
            rows += step == HD_ROW;
            if (steps++ == i * 7) terminate(&other, pid);
        } while (step == HD_WAIT || step == HD_ROW);
        if (step == HD_DONE) {
            assert_int_equal(rows, N);
        } else {
            failures++;
            assert_int_equal(p.err.kind, HD_E_CONNECTION);
            assert_int_equal(status_of(&p, false), HD_CONN_CLOSED);
        }
        close_pg(&p);
    }
    assert_true(failures > TIMES / 2);
    close_pg(&other);
}

static void what_comes_unasked_does_no_harm(void **state) {
    (void)state;
    pg p, other;
    open_pg(&p, NULL, NULL);
    open_pg(&other, NULL, NULL);
    execute(&p, "listen heddle_lost");
    for (int i = 0; i < 3; i++) {
        execute(&other, "notify heddle_lost, 'payload'");
        poll(NULL, 0, 20);
        assert_int_equal(status_of(&p, true), HD_CONN_IDLE);
        execute(&other, "notify heddle_lost, 'payload'");
        assert_query(&p, "select 1", "(1)");
    }
    execute(&p, "do $$ begin raise notice 'swallowed'; raise warning 'too'; end $$");
    hd_statement s = plain("set application_name = 'other'"); /* reported by the server */
    assert_runs(&p, &s, 1);
    assert_int_equal(status_of(&p, true), HD_CONN_IDLE);
    close_pg(&p);
    close_pg(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_falls_silent_at_every_byte),
        cmocka_unit_test(the_client_is_cut_at_every_byte),
        cmocka_unit_test(an_ended_idle_connection_is_found_by_a_probe),
        cmocka_unit_test(an_ended_connection_fails_its_next_batch),
        cmocka_unit_test(a_running_statement_is_ended),
        cmocka_unit_test(a_pipeline_is_ended_at_any_moment),
        cmocka_unit_test(what_comes_unasked_does_no_harm),
    };
    return cmocka_run_group_tests(tests, read_conninfo, NULL);
}
