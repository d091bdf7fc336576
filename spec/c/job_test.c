/* Jobs: done, released before and after, many at once, no thread to be had, forks, and a library that stays. Everything a
 * job was given is freed once, whoever goes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/job.h"

/* What the jobs of a test do: they say that they run, wait until they may end, and are counted. */
static sem_t running, may_end;
static atomic_int ran, freed;
static pthread_t main_thread;
static atomic_bool in_main, signals_open;

typedef struct task {
    bool waits;
    int answer;
} task;

static void run_task(void *data) {
    task *t = data;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (pthread_equal(pthread_self(), main_thread)) in_main = true;
    if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM)) signals_open = true;
    sem_post(&running);
    if (t->waits) sem_wait(&may_end);
    t->answer = 42;
    ran++;
}

static void free_task(void *data) {
    free(data);
    freed++;
}

static task *new_task(bool waits) {
    task *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->waits = waits;
    return t;
}

static hd_job *start(task *t) {
    hd_job *job = hd_job_start(run_task, free_task, t);
    assert_non_null(job);
    return job;
}

static bool is_readable(const hd_job *job, int timeout) {
    struct pollfd p = {hd_job_fd(job), POLLIN, 0};
    return poll(&p, 1, timeout) == 1;
}

/* A released job is freed by its thread, a moment later. */
static void wait_until(atomic_int *count, int value) {
    for (int i = 0; i < 2000 && *count != value; i++) poll(NULL, 0, 5);
    assert_int_equal(*count, value);
}

static int count_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static int set_up(void **state) {
    (void)state;
    ran = freed = 0;
    in_main = signals_open = false;
    main_thread = pthread_self();
    return sem_init(&running, 0, 0) || sem_init(&may_end, 0, 0);
}

/* ---- Ends ---- */

static void what_is_done_can_be_read(void **state) {
    (void)state;
    int before = count_descriptors();
    task *t = new_task(true);
    hd_job *job = start(t);
    sem_wait(&running);
    assert_false(hd_job_is_done(job));
    assert_false(is_readable(job, 0));
    sem_post(&may_end);
    assert_true(is_readable(job, 10000));
    assert_true(is_readable(job, 0)); /* and stays so */
    assert_true(hd_job_is_done(job));
    assert_int_equal(t->answer, 42);
    assert_int_equal(freed, 0);
    hd_job_release(job);
    wait_until(&freed, 1);
    assert_int_equal(count_descriptors(), before);
    assert_false(in_main);
    assert_false(signals_open);
}

static void the_programs_signals_are_as_before(void **state) {
    (void)state;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    hd_job *job = start(new_task(false));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    assert_int_equal(sigismember(&after, SIGINT), 0);
    hd_job_release(job);
    wait_until(&freed, 1);
}

static void released_it_ends_and_is_freed(void **state) {
    (void)state;
    int before = count_descriptors();
    hd_job *job = start(new_task(true));
    sem_wait(&running);
    hd_job_release(job);
    poll(NULL, 0, 20);
    assert_int_equal(freed, 0); /* it still runs */
    sem_post(&may_end);
    wait_until(&freed, 1);
    assert_int_equal(ran, 1);
    for (int i = 0; i < 200 && count_descriptors() != before; i++) poll(NULL, 0, 5);
    assert_int_equal(count_descriptors(), before);
    hd_job_release(NULL);
}

static void many_run_at_once(void **state) {
    (void)state;
    enum { N = 100 };
    hd_job *jobs[N];
    int before = count_descriptors();
    for (int i = 0; i < N; i++) jobs[i] = start(new_task(true));
    for (int i = 0; i < N; i++) sem_wait(&running); /* all of them, at the same time */
    for (int i = 0; i < N; i += 2) hd_job_release(jobs[i]);
    for (int i = 0; i < N; i++) sem_post(&may_end);
    for (int i = 1; i < N; i += 2) {
        assert_true(is_readable(jobs[i], 10000));
        hd_job_release(jobs[i]);
    }
    wait_until(&freed, N);
    assert_int_equal(ran, N);
    for (int i = 0; i < 200 && count_descriptors() != before; i++) poll(NULL, 0, 5);
    assert_int_equal(count_descriptors(), before);
}

/* Whoever is first: released at about the time when it ends. */
static void releasing_meets_the_end(void **state) {
    (void)state;
    enum { N = 2000 };
    for (int i = 0; i < N; i++) {
        hd_job *job = start(new_task(false));
        if (i % 3 == 0) sem_wait(&running);
        if (i % 3 == 1) assert_true(is_readable(job, 10000));
        hd_job_release(job);
    }
    wait_until(&freed, N);
    assert_int_equal(ran, N);
}

/* ---- Failure ---- */

static atomic_bool no_threads;

/* In the place of the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                   void *ud) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (no_threads) return EAGAIN;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, routine, ud);
}

static void without_a_thread_the_data_stays_the_callers(void **state) {
    (void)state;
    int before = count_descriptors();
    task *t = new_task(false);
    no_threads = true;
    errno = 0;
    assert_null(hd_job_start(run_task, free_task, t));
    no_threads = false;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(ran + freed, 0);
    free(t);
}

static void without_a_descriptor_the_data_stays_the_callers(void **state) {
    (void)state;
    struct rlimit former, none;
    task *t = new_task(false);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &former), 0);
    none = former;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    errno = 0;
    hd_job *job = hd_job_start(run_task, free_task, t);
    int problem = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &former), 0);
    assert_null(job);
    assert_int_equal(problem, EMFILE);
    assert_int_equal(ran + freed, 0);
    free(t);
}

/* ---- Forks and libraries ---- */

static void a_child_has_no_job(void **state) {
    (void)state;
    task *t = new_task(true);
    hd_job *job = start(t);
    sem_wait(&running);
    pid_t child = fork();
    if (child == 0) {
        int fd = hd_job_fd(job);
        bool done = hd_job_is_done(job);
        hd_job_release(job);
        _exit(!done && freed == 0 && fcntl(fd, F_GETFD) == -1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sem_post(&may_end);
    assert_true(is_readable(job, 10000));
    hd_job_release(job);
    wait_until(&freed, 1);
}

static void what_was_done_is_freed_in_a_child_too(void **state) {
    (void)state;
    hd_job *job = start(new_task(false));
    assert_true(is_readable(job, 10000));
    poll(NULL, 0, 50); /* the thread lets go of it */
    pid_t child = fork();
    if (child == 0) {
        hd_job_release(job);
        _exit(freed == 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    hd_job_release(job);
    wait_until(&freed, 1);
}

static bool is_loaded(const char *library) {
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle) dlclose(handle);
    return handle != NULL;
}

static void do_nothing(void *data) {
    (void)data;
}

/* sqlite3_free has a job's signature. */
static void the_library_of_a_job_stays_loaded(void **state) {
    (void)state;
    static const char library[] = "libsqlite3.so.0";
    for (int with_job = 0; with_job < 2; with_job++) {
        void *handle = dlopen(library, RTLD_LAZY);
        if (!handle) fail_msg("%s", dlerror());
        void (*code)(void *);
        *(void **)&code = dlsym(handle, "sqlite3_free");
        assert_non_null(code);
        if (with_job) {
            hd_job *job = hd_job_start(code, do_nothing, NULL);
            assert_non_null(job);
            assert_true(is_readable(job, 10000));
            hd_job_release(job);
        }
        dlclose(handle);
        assert_int_equal(is_loaded(library), with_job);
    }
}

int main(void) {
#define T(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        T(what_is_done_can_be_read),
        T(the_programs_signals_are_as_before),
        T(released_it_ends_and_is_freed),
        T(many_run_at_once),
        T(releasing_meets_the_end),
        T(without_a_thread_the_data_stays_the_callers),
        T(without_a_descriptor_the_data_stays_the_callers),
        T(a_child_has_no_job),
        T(what_was_done_is_freed_in_a_child_too),
        T(the_library_of_a_job_stays_loaded),
    };
    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
