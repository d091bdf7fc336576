/* Owner: what ends with it, and who may go first. */
#include "link_support.h"

#include "owner.h"

static hd_link others[3];

/* Two connections; three more links. */
static hd_owner *prepare(void) {
    static const hd_pool_limits limits = {.max = 2};
    hd_link_free(&link_);
    hd_pool_unref(pool);
    make_pool(&limits);
    for (int i = 0; i < 3; i++) hd_link_init(&others[i], pool);
    hd_owner *owner = hd_owner_new(&scarce);
    assert_non_null(owner);
    return owner;
}

static void tidy(hd_owner *owner) {
    for (int i = 0; i < 3; i++) hd_link_free(&others[i]);
    if (owner) hd_owner_unref(owner);
}

static hd_statement theirs;
static const hd_batch of_theirs = {&theirs, 1, NULL, NULL};

static hd_step run_on(hd_link *link, const char *sql) {
    theirs = text(sql);
    hd_link_prepare(link);
    if (hd_link_run(link, &of_theirs, 0, HD_NEVER) != HD_OK) return HD_FAILED;
    return hd_link_step(link, &waiting);
}

static void its_end_gives_up_whatever_its_links_have(void **state) {
    (void)state;
    hd_owner *owner = prepare();
    begin();
    assert_int_equal(run("a", 0), HD_DONE); /* in a transaction */
    fake.stuck = true;
    fake.cannot_abandon = true;
    assert_int_equal(run_on(&others[0], "b"), HD_WAIT); /* runs */
    hd_link_begin(&others[1], "BEGIN");
    assert_int_equal(run_on(&others[1], "c"), HD_WAIT); /* waits for a connection */
    hd_link *links[] = {&link_, &others[0], &others[1], &others[2]};
    for (int i = 0; i < 4; i++) hd_owner_own(owner, links[i]);
    hd_owner_own(owner, &link_); /* once is enough */
    assert_false(owner->ended);
    hd_owner_end(owner);
    assert_true(owner->ended);
    assert_null(owner->links);
    assert_int_equal(in_use(), 0);
    assert_int_equal(fake.canceled, 1);
    assert_int_equal(fake.live, 1);
    assert_sent("BEGIN;a;b;ROLLBACK;");
    assert_true(link_.over);
    assert_false(others[1].over); /* its transaction had not begun */
    fake.stuck = false;
    assert_int_equal(run_on(&others[2], "d"), HD_DONE);
    tidy(owner);
}

static void it_ends_once_and_takes_nothing_afterwards(void **state) {
    (void)state;
    hd_owner *owner = prepare();
    hd_owner_end(owner);
    hd_owner_own(owner, &link_);
    assert_null(link_.owner);
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    hd_owner_end(owner);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    assert_sent("BEGIN;a;COMMIT;");
    tidy(owner);
}

static void a_link_is_its_last_owners(void **state) {
    (void)state;
    hd_owner *first = prepare(), *second = hd_owner_new(&scarce);
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    hd_owner_own(first, &others[0]);
    hd_owner_own(first, &link_);
    hd_owner_own(first, &others[1]);
    hd_owner_own(second, &link_);
    hd_owner_end(first);
    assert_int_equal(in_use(), 1);
    hd_owner_own(first, &link_); /* has ended: it stays where it is */
    assert_ptr_equal(link_.owner, second);
    hd_owner_end(second);
    assert_int_equal(in_use(), 0);
    hd_owner_unref(second);
    tidy(first);
}

static void links_go_in_any_order(void **state) {
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};
    for (int k = 0; k < 4; k++) {
        hd_owner *owner = prepare();
        for (int i = 0; i < 3; i++) hd_owner_own(owner, &others[i]);
        hd_owner_own(owner, &link_);
        for (int i = 0; i < 3; i++) hd_link_free(&others[orders[k][i]]);
        assert_ptr_equal(owner->links, &link_);
        assert_null(link_.owned_next);
        hd_owner_end(owner);
        tidy(owner);
    }
}

static void the_last_reference_lets_links_go_as_they_are(void **state) {
    (void)state;
    hd_owner *owner = prepare();
    hd_owner_ref(owner);
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    hd_owner_own(owner, &link_);
    hd_owner_own(owner, &others[0]);
    hd_owner_unref(owner);
    assert_ptr_equal(link_.owner, owner);
    hd_owner_unref(owner);
    assert_null(link_.owner);
    assert_null(others[0].owner);
    assert_int_equal(end(hd_link_commit), HD_DONE);
    tidy(NULL);
}

static void a_pool_may_be_closed_or_let_go_first(void **state) {
    (void)state;
    hd_owner *owner = prepare();
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    hd_owner_own(owner, &link_);
    hd_owner_own(owner, &others[0]);
    hd_pool_close(pool);
    hd_pool_unref(pool); /* links have theirs */
    pool = NULL;
    hd_owner_end(owner);
    assert_int_equal(fake.live, 0);
    tidy(owner);
}

static void out_of_memory(void **state) {
    (void)state;
    scarce_from(1);
    assert_null(hd_owner_new(&scarce));
    scarce_from(0);
    hd_owner *owner = prepare();
    begin();
    assert_int_equal(run("a", 0), HD_DONE);
    scarce_from(1);
    hd_owner_own(owner, &link_);
    hd_owner_end(owner);
    assert_int_equal(memory.calls, 0);
    scarce_from(0);
    assert_int_equal(fake.closed, 0);
    tidy(owner);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(its_end_gives_up_whatever_its_links_have),
        TEST(it_ends_once_and_takes_nothing_afterwards),
        TEST(a_link_is_its_last_owners),
        TEST(links_go_in_any_order),
        TEST(the_last_reference_lets_links_go_as_they_are),
        TEST(a_pool_may_be_closed_or_let_go_first),
        TEST(out_of_memory),
    };
    return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
