/* The link's transaction: control statements that wait for the next batch (the prefix), savepoints, and how each ends.
 * The prefix holds exactly the control statements that the database has not seen. */
#include "cursor.h"
#include "link_parts.h"

#include <stdio.h>
#include <string.h>

/* ---- Prefix ---- */

int hd_link_prefix_add(hd_link *link, const char *text) {
    if (hd_grow(link->mem, (void **)&link->prefix, &link->prefix_capacity, link->prefix_length + 1,
                sizeof *link->prefix) != 0)
        return -1;
    char *copy = hd_strdup_n(link->mem, text, strlen(text));
    if (!copy) return -1;
    link->prefix[link->prefix_length++] = copy;
    return 0;
}

void hd_link_prefix_drop(hd_link *link, size_t count) {
    if (count > link->prefix_length) count = link->prefix_length;
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) hd_free(link->mem, link->prefix[i]);
    link->prefix_length -= count;
    memmove(link->prefix, link->prefix + count, link->prefix_length * sizeof *link->prefix);
}

static void prefix_drop_last(hd_link *link) {
    hd_free(link->mem, link->prefix[--link->prefix_length]);
}

static void savepoint_text(char out[48], const char *verb, uint32_t depth) {
    snprintf(out, 48, "%s hd_%u", verb, depth);
}

/* ---- Control statements ---- */

void hd_link_control(hd_statement *statement, const char *text, bool cache) {
    memset(statement, 0, sizeof *statement);
    statement->sql = text;
    statement->sql_len = strlen(text);
    statement->hash = hd_sql_hash(text, statement->sql_len);
    statement->repeat = 1;
    statement->expect = -1;
    statement->affected = -1;
    statement->cache = cache;
}

void hd_link_forget_transaction(hd_link *link) {
    hd_cursors_end(link, 1);
    hd_link_prefix_drop(link, link->prefix_length);
    link->depth = 0;
    link->began = link->over = link->lost_conn = false;
    link->xid[0] = '\0';
}

/* ---- Transactions ---- */

int hd_link_begin(hd_link *link, const char *text) {
    if (hd_link_prefix_add(link, text) != 0) return -1;
    link->depth = 1;
    return 0;
}

hd_step hd_link_hold(hd_link *link) {
    static const hd_batch nothing = {NULL, 0, NULL, NULL};
    if (hd_link_conn(link)) return HD_DONE;
    return hd_link_run(link, &nothing, HD_RUN_BARE | HD_RUN_HOLD, HD_NEVER) == HD_OK ? HD_WAIT
                                                                                     : HD_FAILED;
}

int hd_link_savepoint(hd_link *link) {
    char text[48];
    savepoint_text(text, "SAVEPOINT", link->depth + 1);
    if (hd_link_prefix_add(link, text) != 0) return -1;
    link->depth++;
    return 0;
}

/* The savepoint itself stands last in the prefix as long as nothing ran since. */
static bool savepoint_is_unsent(const hd_link *link) {
    char text[48];
    if (link->prefix_length == 0) return false;
    savepoint_text(text, "SAVEPOINT", link->depth);
    return strcmp(link->prefix[link->prefix_length - 1], text) == 0;
}

int hd_link_release(hd_link *link) {
    char text[48];
    if (savepoint_is_unsent(link)) {
        prefix_drop_last(link);
    } else if (!link->over) {
        savepoint_text(text, "RELEASE SAVEPOINT", link->depth);
        if (hd_link_prefix_add(link, text) != 0) return -1;
    }
    hd_cursors_release(link);
    link->depth--;
    return 0;
}

/* Control statements of the link's own, in its arena; they take the place of a caller's batch. */
static hd_step run_control(hd_link *link, const char *const *texts, uint32_t count,
                           unsigned flags) {
    hd_batch *batch = hd_arena_zero(&link->arena, sizeof *batch);
    hd_statement *statements = hd_arena_zero(&link->arena, (count + 1) * sizeof *statements);
    hd_link_comment(link, NULL, 0);
    if (!batch || !statements) {
        hd_error_memory(&link->error);
        return HD_FAILED;
    }
    for (uint32_t i = 0; i < count; i++) hd_link_control(&statements[i], texts[i], true);
    batch->statements = statements;
    batch->count = count;
    return hd_link_run(link, batch, flags, HD_NEVER) == HD_OK ? HD_WAIT : HD_FAILED;
}

/* What cannot even be undone goes with its connection. */
static hd_step give_up(hd_link *link) {
    hd_link_reset(link);
    return HD_FAILED;
}

hd_step hd_link_rollback_to(hd_link *link) {
    hd_link_check_process(link);
    hd_cursors_end(link, link->depth);
    if (savepoint_is_unsent(link) || link->over || !link->began) {
        if (link->prefix_length > 0 && savepoint_is_unsent(link)) prefix_drop_last(link);
        link->depth--;
        return HD_DONE;
    }
    char text[48];
    const char *texts[2];
    savepoint_text(text, "ROLLBACK TO SAVEPOINT", link->depth);
    texts[0] = hd_arena_copy(&link->arena, text, strlen(text));
    savepoint_text(text, "RELEASE SAVEPOINT", link->depth);
    texts[1] = hd_arena_copy(&link->arena, text, strlen(text));
    /* What was noted inside the savepoint dies with it. */
    hd_link_prefix_drop(link, link->prefix_length);
    link->depth--;
    if (!texts[0] || !texts[1]) {
        hd_error_memory(&link->error);
        return give_up(link);
    }
    hd_step step = run_control(link, texts, 2, HD_RUN_BARE);
    return step == HD_FAILED ? give_up(link) : step;
}

hd_step hd_link_commit(hd_link *link) {
    if (!link->began && !link->over) {
        link->wrote = false;
        hd_link_forget_transaction(link);
        hd_link_release_if_free(link);
        return HD_DONE;
    }
    return run_control(link, NULL, 0, HD_RUN_COMMIT | HD_RUN_XID);
}

hd_step hd_link_rollback(hd_link *link) {
    static const char *const text[] = {"ROLLBACK"};
    hd_link_check_process(link);
    bool nothing = !link->began || link->over || !hd_link_conn(link);
    hd_link_forget_transaction(link);
    if (nothing) {
        hd_link_release_if_free(link);
        return HD_DONE;
    }
    hd_step step = run_control(link, text, 1, HD_RUN_BARE);
    return step == HD_FAILED ? give_up(link) : step;
}
