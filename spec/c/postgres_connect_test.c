/* Connecting: options, several hosts, what every session has, what errors say, and what becomes of
 * a connection that a child process inherits. */
#include <libpq-fe.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postgres_support.h"

/* The server's host, port, user and database, out of the conninfo. */
static char host[256], port[32], user[64], dbname[64];

static void keep(char *to, size_t size, const char *value) {
    snprintf(to, size, "%s", value ? value : "");
}

static int read_conninfo(void **state) {
    (void)state;
    PQconninfoOption *parts = PQconninfoParse(conninfo(), NULL);
    if (!parts) return -1;
    for (PQconninfoOption *o = parts; o->keyword; o++) {
        if (strcmp(o->keyword, "host") == 0) keep(host, sizeof host, o->val);
        if (strcmp(o->keyword, "port") == 0) keep(port, sizeof port, o->val);
        if (strcmp(o->keyword, "user") == 0) keep(user, sizeof user, o->val);
        if (strcmp(o->keyword, "dbname") == 0) keep(dbname, sizeof dbname, o->val);
    }
    PQconninfoFree(parts);
    return 0;
}

static bool open_options(pg *p, const hd_option *options, uint32_t count) {
    return open_with(p, &hd_allocator_libc, options, count);
}

/* ---- Options ---- */

static void a_library_and_a_table_are_there(void **state) {
    (void)state;
    hd_error err;
    hd_error_init(&err, &hd_allocator_libc);
    assert_int_equal(hd_postgres_driver.abi, HD_DRIVER_ABI);
    assert_string_equal(hd_postgres_driver.name, "postgres");
    assert_int_equal(hd_postgres_driver.check(&err), HD_OK);
    assert_memory_equal(hd_postgres_driver.version(), "libpq ", 6);
    assert_true(hd_postgres_driver.dialect->dollar_params);
}

static void separate_options_override_the_url(void **state) {
    (void)state;
    char url[512];
    pg p;
    snprintf(url, sizeof url,
             "postgresql://nobody:pw@%%2Fnowhere:1/nothing?application_name=from%%20url");
    const hd_option options[] = {{"dbname", dbname}, {"url", url},   {"user", user},
                                 {"host", host},     {"port", port}, {"connect_timeout", "10"}};
    assert_true(open_options(&p, options, COUNT(options)));
    connect_or_fail(&p);
    assert_query(&p, "select current_setting('application_name')", "('from url')");
    close_pg(&p);
}

static void a_session_is_as_promised(void **state) {
    (void)state;
    const char *const given[] = {NULL, "-c work_mem=3MB",
                                 "-c TimeZone=Asia/Tokyo -c DateStyle=SQL -c work_mem=3MB"};
    for (int i = 0; i < 3; i++) {
        pg p;
        const hd_option options[] = {
            {"url", conninfo()}, {"options", given[i]}, {"client_encoding", "LATIN1"}};
        assert_true(open_options(&p, options, 3));
        connect_or_fail(&p);
        assert_query(&p,
                     "select current_setting('TimeZone'), current_setting('client_encoding'), "
                     "split_part(current_setting('DateStyle'), ',', 1), "
                     "current_setting('application_name')",
                     "('UTC', 'UTF8', 'ISO', 'heddle')");
        assert_query(&p, "select current_setting('work_mem') = '3MB'", i ? "(true)" : "(false)");
        close_pg(&p);
    }
}

static void options_of_the_environment_are_merged(void **state) {
    (void)state;
    pg p;
    setenv("PGOPTIONS", "-c work_mem=5MB -c TimeZone=Asia/Tokyo", 1);
    open_pg(&p, NULL, NULL);
    unsetenv("PGOPTIONS");
    assert_query(&p, "select current_setting('work_mem'), current_setting('TimeZone')",
                 "('5MB', 'UTC')");
    close_pg(&p);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    const hd_option wrong[] = {{"hots", "x"},
                               {"statement_cache", "-1"},
                               {"statement_cache", "many"},
                               {"connect_timeout", "soon"},
                               {"url", "postgresql://u:s3cret@[::1/db"},
                               {"url", "password=s3cret nonsense"},
                               {"url", "postgresql://u:s3%zzcret@h/db"}};
    for (uint32_t i = 0; i < COUNT(wrong); i++) {
        pg p;
        assert_false(open_options(&p, wrong + i, 1));
        assert_int_equal(p.err.kind, HD_E_CONFIG);
        assert_null(strstr(p.err.message, "s3"));
        assert_null(p.err.cause);
        close_pg(&p);
    }
}

static void empty_values_count_as_given(void **state) {
    (void)state;
    pg p;
    const hd_option options[] = {{"url", conninfo()}, {"password", ""}, {"sslmode", NULL}};
    assert_true(open_options(&p, options, 3));
    connect_or_fail(&p);
    close_pg(&p);
}

static void descriptions_hold_no_secret(void **state) {
    (void)state;
    char text[512], expected[512];
    pg p;
    const hd_option options[] = {{"url", conninfo()}, {"password", "s3cret"}};
    assert_true(open_options(&p, options, 2));
    p.conn->driver->describe(p.conn, text, sizeof text);
    snprintf(expected, sizeof expected, "postgres %s@%s:%s/%s", user, host, port, dbname);
    assert_string_equal(text, expected);
    connect_or_fail(&p);
    p.conn->driver->describe(p.conn, text, sizeof text);
    assert_memory_equal(text, "postgres 1", 10);
    assert_non_null(strstr(text, expected + strlen("postgres ")));
    assert_null(strstr(text, "s3cret"));
    p.conn->driver->describe(p.conn, text, 5);
    assert_string_equal(text, "post");
    close_pg(&p);
}

/* ---- Failing ---- */

static void failures_name_host_database_and_user(void **state) {
    (void)state;
    pg p;
    const hd_option options[] = {{"host", "/nowhere"},
                                 {"port", "1"},
                                 {"dbname", "d"},
                                 {"password", "s3cret"},
                                 {"user", "somebody"}};
    assert_true(open_options(&p, options, COUNT(options)));
    assert_int_equal(status_of(&p, true), HD_CONN_CLOSED);
    assert_int_equal(drive_connect(&p, "s3cret too"), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CONNECTION);
    assert_string_equal(p.err.message, "cannot connect to PostgreSQL at '/nowhere' port 1, "
                                       "database 'd', as user 'somebody'");
    assert_non_null(strstr(p.err.cause, "/nowhere"));
    assert_null(strstr(p.err.cause, "s3cret"));
    assert_int_equal(status_of(&p, true), HD_CONN_CLOSED);
    hd_statement s = text_of("select 1");
    assert_int_equal(run(&p, &s, 1), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CONNECTION);
    p.conn->driver->cancel(p.conn, false);
    p.conn->driver->abandon(p.conn);
    close_pg(&p);
}

static void a_missing_database_is_a_failure(void **state) {
    (void)state;
    pg p;
    const hd_option options[] = {{"url", conninfo()}, {"dbname", "no such database"}};
    assert_true(open_options(&p, options, 2));
    assert_int_equal(drive_connect(&p, NULL), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CONNECTION);
    assert_non_null(strstr(p.err.message, "no such database"));
    assert_non_null(strstr(p.err.cause, "does not exist"));
    close_pg(&p);
}

static void passwords_are_used(void **state) {
    (void)state;
    const char *role = getenv("HEDDLE_TEST_PG_PASSWORD_ROLE");
    const char *password = getenv("HEDDLE_TEST_PG_PASSWORD");
    if (!role || !password) skip();
    const struct {
        const char *option, *given;
        hd_step step;
    } cases[] = {{password, NULL, HD_DONE},
                 {"wr0ng", password, HD_DONE},
                 {password, "wr0ng", HD_FAILED},
                 {"wr0ng", NULL, HD_FAILED},
                 {NULL, NULL, HD_FAILED}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        pg p;
        const hd_option options[] = {
            {"url", conninfo()}, {"user", role}, {"password", cases[i].option}};
        assert_true(open_options(&p, options, 3));
        assert_int_equal(drive_connect(&p, cases[i].given), cases[i].step);
        if (cases[i].step == HD_FAILED) {
            assert_int_equal(p.err.kind, HD_E_CONNECTION);
            assert_non_null(strstr(p.err.message, role));
            assert_null(strstr(p.err.message, "wr0ng"));
            assert_null(strstr(p.err.cause, "wr0ng"));
            assert_null(strstr(p.err.cause, password));
        }
        close_pg(&p);
    }
}

/* ---- Several hosts ---- */

/* A Unix socket that takes connections and never answers. */
static char silent_dir[] = "/tmp/hd_silent_XXXXXX";

static int listen_silently(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(silent_dir, "/tmp/hd_silent_XXXXXX");
    assert_non_null(mkdtemp(silent_dir));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.%s", silent_dir, port);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static void stop_listening(int fd) {
    char path[128];
    snprintf(path, sizeof path, "%s/.s.PGSQL.%s", silent_dir, port);
    close(fd);
    unlink(path);
    rmdir(silent_dir);
}

static void the_next_host_is_tried(void **state) {
    (void)state;
    char hosts[600];
    pg p;
    snprintf(hosts, sizeof hosts, "/nowhere,%s", host);
    const hd_option options[] = {{"url", conninfo()}, {"host", hosts}};
    assert_true(open_options(&p, options, 2));
    connect_or_fail(&p);
    assert_query(&p, "select 1", "(1)");
    close_pg(&p);
}

static void a_silent_host_is_passed_over(void **state) {
    (void)state;
    char hosts[600], ports[100];
    int fd = listen_silently();
    const char *const orders[] = {"%s,%s", "%s,/nowhere,%s", "/nowhere,%s,%s"};
    for (int i = 0; i < 3; i++) {
        pg p;
        snprintf(hosts, sizeof hosts, orders[i], silent_dir, host);
        snprintf(ports, sizeof ports, i ? "%s,%s,%s" : "%s,%s", port, port, port);
        const hd_option options[] = {
            {"url", conninfo()}, {"host", hosts}, {"port", ports}, {"connect_timeout", "0.2"}};
        hd_time begun = hd_now();
        assert_true(open_options(&p, options, 4));
        connect_or_fail(&p);
        assert_in_range(hd_now() - begun, 200000, 5000000);
        assert_query(&p, "select 1", "(1)");
        close_pg(&p);
    }
    stop_listening(fd);
}

static void a_silent_host_alone_is_a_failure(void **state) {
    (void)state;
    int fd = listen_silently();
    pg p;
    const hd_option options[] = {
        {"url", conninfo()}, {"host", silent_dir}, {"connect_timeout", "0.2"}};
    assert_true(open_options(&p, options, 3));
    assert_int_equal(drive_connect(&p, NULL), HD_FAILED);
    assert_int_equal(p.err.kind, HD_E_CONNECTION);
    assert_non_null(strstr(p.err.message, "no answer within connect_timeout"));
    close_pg(&p);
    stop_listening(fd);
}

/* ---- After a fork ---- */

static void a_child_leaves_the_parents_connection_alone(void **state) {
    (void)state;
    pg p;
    open_pg(&p, NULL, NULL);
    hd_statement s[] = {plain("begin"), text_of("create temp table forked (a int)")};
    assert_runs(&p, s, 2);
    pid_t child = fork();
    if (child == 0) {
        p.conn->driver->discard(p.conn);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(status_of(&p, true), HD_CONN_TRANSACTION);
    assert_query(&p, "select count(*) from forked", "(0)");
    close_pg(&p);
}

static void a_fresh_connection_can_be_discarded(void **state) {
    (void)state;
    pg p;
    const hd_option options[] = {{"url", conninfo()}};
    assert_true(open_options(&p, options, 1));
    p.conn->driver->discard(p.conn);
    p.conn = NULL;
    close_pg(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_library_and_a_table_are_there),
        cmocka_unit_test(separate_options_override_the_url),
        cmocka_unit_test(a_session_is_as_promised),
        cmocka_unit_test(options_of_the_environment_are_merged),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(empty_values_count_as_given),
        cmocka_unit_test(descriptions_hold_no_secret),
        cmocka_unit_test(failures_name_host_database_and_user),
        cmocka_unit_test(a_missing_database_is_a_failure),
        cmocka_unit_test(passwords_are_used),
        cmocka_unit_test(the_next_host_is_tried),
        cmocka_unit_test(a_silent_host_is_passed_over),
        cmocka_unit_test(a_silent_host_alone_is_a_failure),
        cmocka_unit_test(a_child_leaves_the_parents_connection_alone),
        cmocka_unit_test(a_fresh_connection_can_be_discarded),
    };
    return cmocka_run_group_tests(tests, read_conninfo, NULL);
}
