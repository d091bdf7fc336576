/* A flush without a database: the test answers its batches, in whatever order and number it likes.
 */
#ifndef HD_SPEC_FLUSH_FAKE_H
#define HD_SPEC_FLUSH_FAKE_H

#include "flush_support.h"

MAYBE_UNUSED static const hd_dialect server = {
    .dollar_params = true, .bulk_unnest = true, .max_params = 65535};
MAYBE_UNUSED static const hd_dialect narrow = {
    .dollar_params = true, .bulk_unnest = true, .max_params = 10};
MAYBE_UNUSED static const hd_dialect file = {
    .row_sequence = true, .max_params = 32766, .insert_rows = 100, .update_rows = 2};

static hd_flush *flush;
static hd_error err;
static const hd_batch *batch;

MAYBE_UNUSED static void begin_with(const hd_allocator *mem, const hd_dialect *dialect,
                                    uint32_t batch_size, int64_t now) {
    const hd_flush_options options = {.dialect = dialect, .batch_size = batch_size, .now = now};
    hd_flush_free(flush);
    flush = hd_flush_new(mem, &options);
    batch = NULL;
}

MAYBE_UNUSED static void begin(const hd_dialect *dialect) {
    begin_with(&hd_allocator_libc, dialect, 0, 1000);
    assert_non_null(flush);
}

MAYBE_UNUSED static int set_up(void **state) {
    hd_error_init(&err, &hd_allocator_libc);
    return make_schema(state);
}

MAYBE_UNUSED static int tear_down(void **state) {
    (void)state;
    hd_flush_free(flush);
    flush = NULL;
    hd_error_clear(&err);
    return 0;
}

/* ---- the fake database ------------------------------------------------------------------- */

MAYBE_UNUSED static hd_error_kind give(uint32_t statement, uint32_t execution,
                                       const hd_value *values, uint32_t count) {
    const hd_row row = {values, count, statement, execution};
    return batch->sink(batch->sink_ctx, &row, &err);
}

MAYBE_UNUSED static void give_integer(uint32_t statement, int64_t value) {
    hd_value v = hd_int(value, HD_T_BIGINT);
    assert_int_equal(give(statement, 0, &v, 1), HD_OK);
}

/* Every statement reached what it should. */
MAYBE_UNUSED static void all_reached(void) {
    for (uint32_t i = 0; i < batch->count; i++) {
        hd_statement *s = &batch->statements[i];
        s->affected = s->expect < 0 ? 0 : s->expect * (int64_t)s->repeat;
    }
}

MAYBE_UNUSED static void plan(void) {
    if (hd_flush_plan(flush, &err)) fail_msg("%s", err.message);
}

MAYBE_UNUSED static void next_body(void) {
    batch = hd_flush_body(flush, &err);
    if (!batch) fail_msg("no body: %s", err.message ? err.message : "it is over");
    all_reached();
}

MAYBE_UNUSED static void next_keys(void) {
    batch = hd_flush_keys(flush, &err);
    assert_non_null(batch);
    all_reached();
}

MAYBE_UNUSED static void done(void) {
    assert_null(hd_flush_body(flush, &err));
    assert_int_equal(err.kind, HD_OK);
    if (hd_flush_check(flush, &err)) fail_msg("%s", err.message);
}

MAYBE_UNUSED static bool starts_with(const hd_statement *s, const char *text) {
    return s->sql_len >= strlen(text) && !memcmp(s->sql, text, strlen(text));
}

#endif
