/* JSON: random documents written and read back, damaged documents, and no memory. The random
 * numbers are the same in every run. */
#include "json_support.h"

#include <math.h>

static uint64_t random_state = UINT64_C(1442695040888963407);

static uint64_t random_u64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(2685821657736338717);
}

static int random_below(int limit) {
    return (int)(random_u64() % (uint64_t)limit);
}

/* ---- Documents --------------------------------------------------------------------------- */

static void put_random_string(hd_json_writer *w, bool key) {
    static const char *const pieces[] = {
        "a",    "plain text", "\"",       "\\",           "\n",
        "\x01", "\x7F",       "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\xA7\xB5",
        "/",    " "};
    char text[128];
    size_t len = 0;
    for (int n = random_below(8); n > 0; n--) {
        const char *piece = pieces[random_below(COUNT(pieces))];
        memcpy(text + len, piece, strlen(piece));
        len += strlen(piece);
    }
    if (random_below(8) == 0) text[len++] = '\0';
    assert_int_equal((key ? hd_json_put_key : hd_json_put_string)(w, text, len), 0);
}

static void put_random_number(hd_json_writer *w) {
    uint64_t bits = random_u64();
    double value;
    memcpy(&value, &bits, sizeof value);
    if (random_below(2) || !isfinite(value)) value = (double)random_below(1000000) / 100;
    if (random_below(3) == 0) value = rint(value);
    assert_int_equal(hd_json_put_number(w, value), 0);
}

static void put_random(hd_json_writer *w, int depth) {
    int kind = random_below(depth > 0 ? 9 : 6), n = random_below(9);
    switch (kind) {
    case 0:
        hd_json_put_null(w);
        break;
    case 1:
        hd_json_put_bool(w, random_below(2));
        break;
    case 2:
        hd_json_put_integer(w, (int64_t)(random_u64() >> random_below(64)));
        break;
    case 3:
        put_random_number(w);
        break;
    case 4:
    case 5:
        put_random_string(w, false);
        break;
    case 6:
        assert_int_equal(hd_json_open_array(w), 0);
        for (; n > 0; n--) put_random(w, depth - 1);
        hd_json_close_array(w);
        break;
    default:
        assert_int_equal(hd_json_open_object(w), 0);
        for (; n > 0; n--) {
            put_random_string(w, true);
            put_random(w, depth - 1);
        }
        hd_json_close_object(w);
    }
}

static void random_document(hd_buffer *out) {
    hd_json_writer w;
    hd_buffer_clear(out);
    hd_json_write(&w, out);
    hd_json_open_array(&w);
    for (int n = random_below(9); n > 0; n--) put_random(&w, 5);
    hd_json_close_array(&w);
    assert_false(out->failed);
}

static void random_documents_survive(void **state) {
    (void)state;
    hd_buffer text, again;
    hd_buffer_init(&text, &hd_allocator_libc);
    hd_buffer_init(&again, &hd_allocator_libc);
    for (int i = 0; i < 20000; i++) {
        random_document(&text);
        hd_buffer_clear(&again);
        assert_int_equal(rewrite(text.data, text.len, &hd_allocator_libc, &again), HD_JSON_END);
        assert_int_equal(again.len, text.len);
        assert_memory_equal(again.data, text.data, text.len);
    }
    hd_buffer_free(&text);
    hd_buffer_free(&again);
}

/* ---- Damage ------------------------------------------------------------------------------ */

/* A damaged document is refused, or it is another document, which then survives. */
static void damaged_documents_do_no_harm(void **state) {
    (void)state;
    static const char letters[] = "[]{},:\"\\u0dD8eE+-.19tfn \x01\x80\xC3\xED\xF0";
    hd_buffer text, again, third;
    hd_buffer_init(&text, &hd_allocator_libc);
    hd_buffer_init(&again, &hd_allocator_libc);
    hd_buffer_init(&third, &hd_allocator_libc);
    int taken = 0, refused = 0;
    for (int i = 0; i < 60000; i++) {
        if (i % 4 == 0) random_document(&text);
        size_t len = random_below(4) ? text.len : (size_t)random_below((int)text.len + 1);
        for (int n = random_below(3); n >= 0 && len > 0; n--) {
            text.data[random_u64() % len] = letters[random_u64() % (sizeof letters - 1)];
        }
        hd_buffer_clear(&again);
        hd_buffer_clear(&third);
        hd_hash128 hash;
        bool good = rewrite(text.data, len, &hd_allocator_libc, &again) == HD_JSON_END;
        assert_int_equal(hd_json_hash(text.data, len, &hd_allocator_libc, &hash), good ? 0 : -1);
        *(good ? &taken : &refused) += 1;
        if (!good) continue;
        assert_int_equal(rewrite(again.data, again.len, &hd_allocator_libc, &third), HD_JSON_END);
        assert_int_equal(third.len, again.len);
        assert_memory_equal(third.data, again.data, again.len);
    }
    assert_true(taken > 1000 && refused > 1000);
    hd_buffer_free(&text);
    hd_buffer_free(&again);
    hd_buffer_free(&third);
}

/* ---- No memory --------------------------------------------------------------------------- */

/* An allocator whose n-th call fails; it counts what is not given back. */
typedef struct failing {
    long fail_at, calls, live;
} failing;

static void *failing_resize(void *ud, void *ptr, size_t size) {
    failing *f = ud;
    if (size == 0) {
        if (ptr) f->live--;
        free(ptr);
        return NULL;
    }
    if (++f->calls == f->fail_at) return NULL;
    void *out = realloc(ptr, size);
    if (out && !ptr) f->live++;
    return out;
}

static const char needs_memory[] =
    "{\"\\n\":[1,2,{\"a\":\"\\u00e9\"}],\"b\":\"a long string, longer than the first scratch was, "
    "\\t and \\r\",\"c\":[[[[[[[[[[{\"d\":[{},{}]}]]]]]]]]]],\"e\":1,\"f\":2,\"g\":3,\"h\":4}";

static void no_memory_is_an_error_and_no_leak(void **state) {
    (void)state;
    int failures = 0;
    for (long n = 1;; n++) {
        failing f = {n, 0, 0};
        hd_allocator mem = {failing_resize, &f};
        hd_buffer out;
        hd_buffer_init(&out, &mem);
        hd_json_event event = rewrite(needs_memory, sizeof needs_memory - 1, &mem, &out);
        bool failed = f.calls >= n;
        assert_int_equal(event == HD_JSON_ERROR || out.failed, failed);
        hd_buffer_free(&out);
        assert_int_equal(f.live, 0);
        if (!failed) break;
        failures++;
    }
    assert_true(failures >= 4);
    for (long n = 1;; n++) {
        failing f = {n, 0, 0};
        hd_allocator mem = {failing_resize, &f};
        hd_hash128 hash;
        int result = hd_json_hash(needs_memory, sizeof needs_memory - 1, &mem, &hash);
        bool failed = f.calls >= n;
        assert_int_equal(result, failed ? -1 : 0);
        assert_int_equal(f.live, 0);
        if (!failed) break;
        failures++;
    }
    assert_true(failures >= 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_documents_survive),
        cmocka_unit_test(damaged_documents_do_no_harm),
        cmocka_unit_test(no_memory_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
