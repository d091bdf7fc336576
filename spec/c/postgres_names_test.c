/* Names of hosts: which are looked up, where they are said, what libpq is given in their place, and what is said when
 * there is nothing to give. Lookups are this program's own: no name server is asked. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/postgres/resolve.h"
#include "postgres_support.h"

/* ---- Names as this program knows them ---- */

static atomic_int lookups, ended, connections;
static atomic_bool in_main, no_threads, hold;
static pthread_t main_thread;

static const struct {
    const char *name;
    const char *addresses[4];
    int code;
} known[] = {
    {"one.test", {"10.0.0.1"}, 0},
    {"two.test", {"10.0.0.2"}, 0},
    {"many.test", {"10.0.0.3", "fd00::1", "10.0.0.4"}, 0},
    {"slow.test", {"10.0.0.5"}, 0},
    {"void.test", {NULL}, 0},
    {"none.test", {NULL}, EAI_NONAME},
    {"broken.test", {NULL}, EAI_SYSTEM},
};

typedef int (*lookup_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int numeric(const char *name, struct addrinfo **found) {
    static lookup_fn real;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, NULL, &hints, found);
}

static int answer(size_t i, struct addrinfo **found) {
    errno = EIO;
    if (strcmp(known[i].name, "slow.test") == 0) {
        while (hold) usleep(1000);
    }
    *found = NULL;
    for (int n = 0; known[i].code == 0 && known[i].addresses[n]; n++) {
        if (numeric(known[i].addresses[n], found) != 0) return EAI_FAIL;
        while (*found) found = &(*found)->ai_next;
    }
    return known[i].code;
}

/* In the place of the C library's, for libpq too. */
int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found) {
    (void)service;
    if (numeric(name, found) == 0) return 0;
    if (hints && hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
    if (pthread_equal(pthread_self(), main_thread)) in_main = true;
    lookups++;
    int code = EAI_AGAIN;
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcmp(known[i].name, name) == 0) code = answer(i, found);
    }
    ended++;
    return code;
}

int connect(int fd, const struct sockaddr *address, socklen_t len) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "connect");
    connections++;
    return real(fd, address, len);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                   void *ud) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (no_threads) return EAGAIN;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, routine, ud);
}

/* ---- Looking up ---- */

static hd_arena arena;
static hd_error err;
static hd_pg_names names;
static hd_pg_options options, target;

static const char *const environment[] = {"PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE",
                                          "PGSERVICEFILE"};

static int set_up(void **state) {
    (void)state;
    hd_arena_init(&arena, &hd_allocator_libc);
    hd_error_init(&err, &hd_allocator_libc);
    lookups = ended = connections = 0;
    in_main = no_threads = hold = false;
    main_thread = pthread_self();
    for (size_t i = 0; i < COUNT(environment); i++) unsetenv(environment[i]);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hd_pg_names_end(&names);
    hold = false;
    for (int i = 0; i < 2000 && ended != lookups; i++) usleep(1000);
    hd_arena_free(&arena);
    hd_error_clear(&err);
    return 0;
}

static hd_error_kind begin(const hd_option *given, size_t count) {
    hd_error_kind kind = hd_pg_options_read(&options, &arena, given, count, &err);
    if (kind != HD_OK) return kind;
    if (hd_pg_options_copy(&target, &options, &arena) != 0) return hd_error_memory(&err);
    return hd_pg_names_start(&names, &target, &err);
}

static hd_step carry_on(void) {
    hd_wait wait;
    hd_step step;
    while ((step = hd_pg_names_step(&names, &target, &wait, &err)) == HD_WAIT) wait_for(&wait);
    return step;
}

static hd_step look_up(const char *hosts, const char *addresses, const char *ports) {
    const hd_option given[] = {{"host", hosts}, {"hostaddr", addresses}, {"port", ports}};
    assert_int_equal(begin(given, 3), HD_OK);
    return carry_on();
}

static void assert_option(const char *keyword, const char *expected) {
    const char *value = hd_pg_options_get(&target, keyword);
    if (!expected) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_string_equal(value, expected);
}

static void assert_lists(const char *hosts, const char *addresses, const char *ports) {
    assert_option("host", hosts);
    assert_option("hostaddr", addresses);
    assert_option("port", ports);
    assert_false(in_main);
    assert_int_equal(connections, 0);
}

static void what_is_no_name_is_left_alone(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {NULL, NULL, NULL},          {"", NULL, NULL},
        {"/tmp", NULL, "5432"},      {"@abstract", NULL, NULL},
        {"127.0.0.1", NULL, "1"},    {"::1", NULL, NULL},
        {"fe80::1%lo", NULL, NULL},  {"127.1", NULL, NULL},
        {"one.test", "::1", NULL},   {NULL, "127.0.0.1", NULL},
        {"/a,127.0.0.1", NULL, "1"}, {"one.test,two.test", "10.1.1.1,10.1.1.2", "1,2"},
        {",", NULL, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(look_up(cases[i][0], cases[i][1], cases[i][2]), HD_DONE);
        assert_lists(cases[i][0], cases[i][1], cases[i][2]);
        assert_int_equal(lookups, 0);
    }
}

/* Such lists libpq refuses before it looks anything up. */
static void lists_that_do_not_match_are_left_alone(void **state) {
    (void)state;
    static const char *const cases[][3] = {{"one.test,two.test", "10.1.1.1", NULL},
                                           {"one.test", "10.1.1.1,", NULL},
                                           {"one.test,two.test,none.test", NULL, "1,2"},
                                           {"one.test", NULL, "1,2"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(look_up(cases[i][0], cases[i][1], cases[i][2]), HD_DONE);
        assert_lists(cases[i][0], cases[i][1], cases[i][2]);
        PGconn *pq = PQconnectStartParams(target.keywords, target.values, 0);
        assert_int_equal(PQstatus(pq), CONNECTION_BAD);
        assert_non_null(strstr(PQerrorMessage(pq), "could not match"));
        PQfinish(pq);
        assert_int_equal(lookups, 0);
    }
}

static void names_get_addresses(void **state) {
    (void)state;
    static const struct {
        const char *given[3], *hosts, *addresses, *ports;
        int lookups;
    } cases[] = {
        {{"one.test", NULL, NULL}, "one.test", "10.0.0.1", "5432", 1},
        {{"one.test", NULL, "7"}, "one.test", "10.0.0.1", "7", 1},
        {{"one.test", "", ""}, "one.test", "10.0.0.1", "5432", 1},
        {{"many.test", NULL, "7"},
         "many.test,many.test,many.test",
         "10.0.0.3,fd00::1,10.0.0.4",
         "7,7,7",
         1},
        {{"one.test,/tmp,many.test", NULL, "1,2,3"},
         "one.test,/tmp,many.test,many.test,many.test",
         "10.0.0.1,,10.0.0.3,fd00::1,10.0.0.4",
         "1,2,3,3,3",
         2},
        {{"one.test,::1,two.test", NULL, "1,,3"},
         "one.test,::1,two.test",
         "10.0.0.1,,10.0.0.2",
         "1,,3",
         2},
        {{",one.test,", NULL, "9"}, ",one.test,", ",10.0.0.1,", "9,9,9", 1},
        {{"a.test,one.test", "10.9.9.9,", "1,2"}, "a.test,one.test", "10.9.9.9,10.0.0.1", "1,2", 1},
        {{"one.test,one.test", NULL, "1,2"}, "one.test,one.test", "10.0.0.1,10.0.0.1", "1,2", 2},
        {{"none.test,one.test", NULL, "1,2"}, "one.test", "10.0.0.1", "2", 2},
        {{"/tmp,none.test,unknown.test", NULL, "1"}, "/tmp", "", "1", 2},
        {{"void.test,/tmp,broken.test,/var", NULL, "1,2,3,4"}, "/tmp,/var", ",", "2,4", 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        lookups = 0;
        assert_int_equal(look_up(cases[i].given[0], cases[i].given[1], cases[i].given[2]), HD_DONE);
        assert_lists(cases[i].hosts, cases[i].addresses, cases[i].ports);
        assert_int_equal(lookups, cases[i].lookups);
    }
}

static void a_url_has_names_too(void **state) {
    (void)state;
    const hd_option several = {"url", "postgresql://u@one.test:1,two.test,[::1]:3/db"};
    assert_int_equal(begin(&several, 1), HD_OK);
    assert_int_equal(carry_on(), HD_DONE);
    assert_lists("one.test,two.test,::1", "10.0.0.1,10.0.0.2,", "1,,3");
    lookups = 0;
    const hd_option literal = {"url", "postgresql://u@[::1]:3/db"};
    assert_int_equal(begin(&literal, 1), HD_OK);
    assert_int_equal(carry_on(), HD_DONE);
    assert_lists("::1", NULL, "3");
    assert_int_equal(lookups, 0);
}

static void names_of_the_environment_and_of_services_are_seen(void **state) {
    (void)state;
    setenv("PGHOST", "one.test,two.test", 1);
    setenv("PGPORT", "8", 1);
    assert_int_equal(look_up(NULL, NULL, NULL), HD_DONE);
    assert_lists("one.test,two.test", "10.0.0.1,10.0.0.2", "8,8");
    setenv("PGHOSTADDR", "10.7.7.7,", 1);
    assert_int_equal(look_up(NULL, NULL, NULL), HD_DONE);
    assert_lists("one.test,two.test", "10.7.7.7,10.0.0.2", "8,8");
    tear_down(state);
    set_up(state);

    char path[] = "/tmp/hd_service_XXXXXX";
    int fd = mkstemp(path);
    assert_true(dprintf(fd, "[mine]\nhost=two.test\nport=77\n") > 0);
    close(fd);
    setenv("PGSERVICEFILE", path, 1);
    const hd_option service = {"service", "mine"};
    assert_int_equal(begin(&service, 1), HD_OK);
    assert_int_equal(carry_on(), HD_DONE);
    assert_lists("two.test", "10.0.0.2", "77");
    unlink(path);
    lookups = 0;
    assert_int_equal(begin(&service, 1), HD_OK); /* libpq will say that there is none */
    assert_int_equal(carry_on(), HD_DONE);
    assert_lists(NULL, NULL, NULL);
    assert_int_equal(lookups, 0);
}

static void without_any_address_names_and_reasons_are_told(void **state) {
    (void)state;
    assert_int_equal(look_up("none.test,void.test,broken.test", NULL, "1,2,3"), HD_FAILED);
    assert_int_equal(err.kind, HD_E_CONNECTION);
    assert_non_null(strstr(err.message, "'none.test,void.test,broken.test' port 1,2,3"));
    assert_non_null(strstr(err.message, "host 'none.test' was not found (Name or service"));
    assert_non_null(strstr(err.message, "host 'void.test' was not found (it has no address)"));
    assert_non_null(strstr(err.message, "host 'broken.test' was not found (Input/output error)"));
    assert_null(err.cause);
}

/* ---- Time ---- */

static void a_name_that_takes_too_long_is_left_out(void **state) {
    (void)state;
    const hd_option given[] = {{"host", "slow.test,one.test"}, {"connect_timeout", "0.1"}};
    hold = true;
    hd_time begun = hd_now();
    assert_int_equal(begin(given, 2), HD_OK);
    assert_int_equal(carry_on(), HD_DONE);
    assert_in_range(hd_now() - begun, 100000, 5000000);
    assert_lists("one.test", "10.0.0.1", "5432");

    const hd_option alone[] = {{"host", "slow.test"}, {"connect_timeout", "0.1"}};
    assert_int_equal(begin(alone, 2), HD_OK);
    assert_int_equal(carry_on(), HD_FAILED);
    assert_int_equal(err.kind, HD_E_CONNECTION);
    assert_non_null(strstr(err.message, "'slow.test' was not found (no answer within connect"));
}

static void all_are_looked_up_at_once(void **state) {
    (void)state;
    const hd_option given = {"host", "slow.test,slow.test,one.test,slow.test"};
    hold = true;
    assert_int_equal(begin(&given, 1), HD_OK);
    for (int i = 0; i < 5000 && lookups < 4; i++) usleep(1000);
    assert_int_equal(lookups, 4);
    hold = false;
    assert_int_equal(carry_on(), HD_DONE);
    assert_lists("slow.test,slow.test,one.test,slow.test", "10.0.0.5,10.0.0.5,10.0.0.1,10.0.0.5",
                 "5432,5432,5432,5432");
}

static int count_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static void a_lookup_may_be_left_alone(void **state) {
    (void)state;
    usleep(50000); /* the jobs of earlier tests are gone */
    int before = count_descriptors();
    pg p;
    const hd_option given[] = {{"host", "slow.test,one.test,slow.test"}, {"dbname", "d"}};
    for (int discarded = 0; discarded < 2; discarded++) {
        hd_wait wait;
        hold = true;
        assert_true(open_with(&p, &hd_allocator_libc, given, 2));
        for (int i = 0; i < 3; i++) {
            assert_int_equal(p.conn->driver->connect(p.conn, "pw", &wait, &p.err), HD_WAIT);
            assert_true(wait.fd >= 0);
            assert_int_equal(wait.events, HD_READ);
        }
        assert_int_equal(status_of(&p, true), HD_CONN_CLOSED);
        p.conn->driver->cancel(p.conn, true);
        if (discarded) {
            p.conn->driver->discard(p.conn);
            p.conn = NULL;
        }
        close_pg(&p);
        hold = false;
        for (int i = 0; i < 2000 && count_descriptors() != before; i++) usleep(1000);
        assert_int_equal(count_descriptors(), before);
    }
    assert_int_equal(connections, 0);
}

/* ---- What is scarce ---- */

static void without_threads_names_are_not_found(void **state) {
    (void)state;
    no_threads = true;
    assert_int_equal(look_up("one.test,127.0.0.1", NULL, NULL), HD_DONE);
    assert_lists("127.0.0.1", "", "5432");
    assert_int_equal(look_up("one.test", NULL, NULL), HD_FAILED);
    assert_int_equal(err.kind, HD_E_CONNECTION);
    assert_non_null(strstr(err.message, "'one.test' was not found (Resource temporarily"));
    assert_int_equal(lookups, 0);
}

static void memory_may_run_out_anywhere(void **state) {
    (void)state;
    const hd_option given[] = {{"host", "many.test,none.test,/tmp"}, {"port", "1,2,3"}};
    const hd_option bad[] = {{"host", "none.test,void.test"}, {"port", "1,2"}};
    for (int which = 0; which < 2; which++) {
        bool through = false;
        for (long n = 1; !through; n++) {
            scarce s;
            scarce_init(&s);
            s.fail_at = n;
            hd_arena_free(&arena);
            hd_error_clear(&err);
            hd_arena_init(&arena, &s.mem);
            hd_error_init(&err, &s.mem);
            hd_step step = begin(which ? bad : given, 2) == HD_OK ? carry_on() : HD_FAILED;
            through = s.calls < n;
            if (step == HD_FAILED) assert_true(err.kind == HD_E_DRIVER || which);
            if (through) assert_int_equal(step, which ? HD_FAILED : HD_DONE);
            hd_pg_names_end(&names);
            hd_arena_free(&arena);
            hd_error_clear(&err);
            assert_int_equal(s.live, 0);
            assert_true(n < 1000);
        }
    }
    set_up(state);
}

/* ---- Hosts that do not answer ---- */

static void the_address_that_did_not_answer_is_dropped(void **state) {
    (void)state;
    assert_int_equal(look_up("one.test,many.test", NULL, "1,2"), HD_DONE);
    assert_true(hd_pg_options_drop_host(&target, "many.test", "fd00::1", "2"));
    assert_lists("one.test,many.test,many.test", "10.0.0.1,10.0.0.3,10.0.0.4", "1,2,2");
    /* Written in another way, or not told: the first of that name. */
    assert_true(hd_pg_options_drop_host(&target, "many.test", "10.0.0.33", "2"));
    assert_lists("one.test,many.test", "10.0.0.1,10.0.0.4", "1,2");
    assert_false(hd_pg_options_drop_host(&target, "else.test", "10.0.0.1", "1"));
    assert_true(hd_pg_options_drop_host(&target, "one.test", "10.0.0.1", "1"));
    assert_lists("many.test", "10.0.0.4", "2");
    assert_false(hd_pg_options_drop_host(&target, "many.test", "10.0.0.4", "2"));
    assert_string_equal(hd_pg_options_get(&options, "host"), "one.test,many.test");
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_is_no_name_is_left_alone),
        T(lists_that_do_not_match_are_left_alone),
        T(names_get_addresses),
        T(a_url_has_names_too),
        T(names_of_the_environment_and_of_services_are_seen),
        T(without_any_address_names_and_reasons_are_told),
        T(a_name_that_takes_too_long_is_left_out),
        T(all_are_looked_up_at_once),
        T(a_lookup_may_be_left_alone),
        T(without_threads_names_are_not_found),
        T(memory_may_run_out_anywhere),
        T(the_address_that_did_not_answer_is_dropped),
    };
    return cmocka_run_group_tests_name("postgres names", tests, NULL, NULL);
}
