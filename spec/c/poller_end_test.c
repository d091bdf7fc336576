/* Poller: its thread ends at once, nobody else gets in, and what cannot be had is said. */
#include "poller_support.h"

/* ---- Its end ---- */

/* Most of what ends here would wait for ever otherwise. */
static void ends_at_once_though_nobody_reads(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    connect_peer();
    put(ends[1]);
    fill_up(ends[0], 5);
    hd_time before = hd_now();
    hd_poller_free(poller);
    poller = NULL;
    assert_true(hd_now() - before < 5 * HD_POLLER_BEAT);
    while (next_word() == 5) {
    }
    close_pair(ends);
}

static void ends_with_the_connection(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    connect_peer();
    arm(ends[0], HD_READ, 1);
    assert_quiet();
    close(peer);
    peer = -1;
    for (int pause = 0; pause < PATIENCE && entries("/proc/self/task") > 1; pause++) usleep(1000);
    assert_int_equal(hd_poller_arm(poller, ends[0], HD_READ, 1, &err), HD_E_CLOSED);
    hd_poller_disarm(poller, ends[0]);
    close_pair(ends);
}

/* Runs in a child; gives its exit status. */
static int in_a_child(int (*run)(void)) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) _exit(run());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int use_anothers(void) {
    if (hd_poller_check(poller, &err) != HD_E_CLOSED) return 1;
    if (hd_poller_arm(poller, 0, HD_READ, 1, &err) != HD_E_CLOSED) return 2;
    hd_poller_disarm(poller, peer);
    hd_poller_free(poller);
    hd_error_clear(&err);
    close(peer);
    return entries("/proc/self/fd") == descriptors + 2 && memory.live == 0 ? 0 : 3;
}

static void is_dead_in_another_process(void **state) {
    (void)state;
    int ends[2];
    make_pair(ends);
    connect_peer();
    arm(ends[0], HD_READ, 3);
    arm(ends[1], HD_READ, 4);
    assert_quiet();
    assert_int_equal(in_a_child(use_anothers), 0);
    put(ends[0]);
    assert_int_equal(next(), 4);
    put(ends[1]);
    assert_int_equal(next(), 3);
    assert_int_equal(hd_poller_check(poller, &err), HD_OK);
    close_pair(ends);
}

static void tells_of_its_end_though_a_child_has_the_connection(void **state) {
    (void)state;
    int hold[2];
    assert_int_equal(pipe(hold), 0);
    connect_peer();
    assert_int_equal(next_word(), 0); /* accepted */
    pid_t child = fork();
    if (child == 0) {
        close(hold[1]);
        _exit((int)read(hold[0], &(char){0}, 1));
    }
    hd_poller_free(poller);
    poller = NULL;
    int64_t id = next_word();
    while (id == 0) id = next_word();
    assert_int_equal(id, -1);
    close_pair(hold);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static int is_turned_away(void) {
    char byte;
    int fd = connect_to(hd_poller_path(poller));
    return fd >= 0 && readable(fd, PATIENCE) && read(fd, &byte, 1) == 0 ? 0 : 1;
}

static void lets_only_its_own_process_in(void **state) {
    (void)state;
    struct stat about;
    char path[200];
    snprintf(path, sizeof path, "%s", hd_poller_path(poller));
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(in_a_child(is_turned_away), 0);
    connect_peer();
    assert_int_equal(next_word(), 0);
    assert_int_equal(stat(path, &about), -1); /* nobody else comes in */
    assert_int_equal(entries(directory), 0);
}

/* What stands behind a word in a file of the thread's. */
static unsigned long long of_the_thread(const char *file, const char *word) {
    char path[300], line[256];
    unsigned long long value = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (atoi(entry->d_name) <= 0 || atoi(entry->d_name) == getpid()) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/%s", entry->d_name, file);
        FILE *text = fopen(path, "r");
        while (text && fgets(line, sizeof line, text))
            if (!strncmp(line, word, strlen(word))) value = strtoull(line + strlen(word), NULL, 16);
        if (text) fclose(text);
    }
    closedir(dir);
    return value;
}

static void is_not_disturbed_by_signals(void **state) {
    (void)state;
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGALRM,  SIGTERM,
                                  SIGUSR1, SIGCHLD, SIGIO,   SIGWINCH, SIGPIPE};
    sigset_t before, after;
    unsigned long long blocked = of_the_thread("status", "SigBlk:");
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        assert_true(blocked >> (signals[i] - 1) & 1);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    hd_poller_free(hd_poller_new(&scarce, &err));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int i = 1; i < SIGRTMAX; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

/* ---- When there can be none ---- */

static void refused(void) {
    assert_null(hd_poller_new(&scarce, &err));
    assert_int_equal(err.kind, HD_E_DRIVER);
    assert_non_null(err.message);
    assert_non_null(err.cause);
}

static void says_why_it_cannot_listen(void **state) {
    (void)state;
    char path[160];
    struct sockaddr_un address;
    snprintf(path, sizeof path, "%s/none", directory);
    setenv("TMPDIR", path, 1);
    refused();
    assert_string_equal(err.cause, strerror(ENOENT));
    /* As long as it may be, and longer: the path ends with "/heddle-XXXXXX/poller". */
    size_t longest = sizeof address.sun_path - sizeof "/heddle-XXXXXX/poller";
    memset(path, '/', sizeof path);
    memcpy(path, directory, strlen(directory));
    path[longest] = '\0';
    setenv("TMPDIR", path, 1);
    hd_poller *at_the_limit = hd_poller_new(&scarce, &err);
    assert_non_null(at_the_limit);
    assert_int_equal(strlen(hd_poller_path(at_the_limit)), sizeof address.sun_path - 1);
    hd_poller_free(at_the_limit);
    path[longest] = '/';
    path[longest + 1] = '\0';
    setenv("TMPDIR", path, 1);
    refused();
    assert_string_equal(err.cause, strerror(ENAMETOOLONG));
    setenv("TMPDIR", "", 1);
    hd_poller *elsewhere = hd_poller_new(&scarce, &err);
    assert_non_null(elsewhere);
    assert_memory_equal(hd_poller_path(elsewhere), "/tmp/heddle-", 12);
    hd_poller_free(elsewhere);
    setenv("TMPDIR", directory, 1);
}

static void says_that_descriptors_are_used_up(void **state) {
    (void)state;
    struct rlimit limit, few;
    int made = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    int lowest = dup(0);
    close(lowest);
    for (int more = 0; !made; more++) {
        few = (struct rlimit){.rlim_cur = (rlim_t)(lowest + more), .rlim_max = limit.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        hd_poller *p = hd_poller_new(&scarce, &err);
        setrlimit(RLIMIT_NOFILE, &limit);
        made = p != NULL;
        hd_poller_free(p);
        if (!made) {
            assert_int_equal(err.kind, HD_E_DRIVER);
            assert_string_equal(err.cause, strerror(EMFILE));
        }
        assert_in_range(more, made ? 3 : 0, 3);
    }
}

/* Somebody who may have no more threads than there are. */
static int start_nothing(void) {
    struct rlimit none = {0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) return 1;
    if (getuid() == 0 && (chown(directory, 65534, 65534) != 0 || setuid(65534) != 0)) return 2;
    if (hd_poller_new(&scarce, &err)) return 3;
    bool typed = err.kind == HD_E_DRIVER && !strcmp(err.cause, strerror(EAGAIN));
    hd_error_clear(&err);
    return typed && entries(directory) == 1 ? 0 : 4;
}

static void says_that_there_is_no_thread(void **state) {
    (void)state;
    assert_int_equal(in_a_child(start_nothing), 0); /* beside it stands the directory of setup's */
    assert_int_equal(chown(directory, getuid(), getgid()), 0);
}

static void says_that_memory_is_used_up(void **state) {
    (void)state;
    scarce_from(1);
    assert_null(hd_poller_new(&scarce, &err));
    assert_int_equal(err.kind, HD_E_DRIVER);
    assert_null(err.message);
    hd_poller_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(ends_at_once_though_nobody_reads),
        TEST(ends_with_the_connection),
        TEST(is_dead_in_another_process),
        TEST(tells_of_its_end_though_a_child_has_the_connection),
        TEST(lets_only_its_own_process_in),
        TEST(is_not_disturbed_by_signals),
        TEST(says_why_it_cannot_listen),
        TEST(says_that_descriptors_are_used_up),
        TEST(says_that_there_is_no_thread),
        TEST(says_that_memory_is_used_up),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
