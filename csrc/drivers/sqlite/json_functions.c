/* What queries call over json and arrays, which are texts here (see json_tree.c):
 *
 *   hd_json(doc [, path])             canonical text, to compare with =; with a path NULL for JSON null
 *   hd_json_number(doc [, path])      a number as text, for COLLATE hd_decimal; NULL for what is none
 *   hd_json_text(doc [, path])        a string; NULL for what is none
 *   hd_json_contains(doc, other)      1 or 0
 *   hd_array(list, decimals)          canonical text of an array
 *   hd_array_contains(list, others, decimals), hd_array_overlaps(list, others, decimals)
 *
 * A path is a JSON array of names and places (see hd_json_at). NULL gives NULL. */
#include "conn.h"
#include "json_tree.h"

typedef struct call {
    sqlite3_context *ctx;
    hd_arena arena;
    bool failed; /* the result is an error */
} call;

static void open_call(call *c, sqlite3_context *ctx) {
    const hd_allocator *mem = sqlite3_user_data(ctx);
    *c = (call){.ctx = ctx};
    hd_arena_init(&c->arena, mem);
}

static void no_memory(call *c) {
    c->failed = true;
    sqlite3_result_error_nomem(c->ctx);
}

/* The tree of an argument; NULL also for SQL NULL. */
static const hd_json_node *tree(call *c, sqlite3_value *value) {
    if (c->failed || sqlite3_value_type(value) == SQLITE_NULL) return NULL;
    const char *text = (const char *)sqlite3_value_text(value);
    bool malformed = false;
    const hd_json_node *node =
        text ? hd_json_tree(&c->arena, text, (size_t)sqlite3_value_bytes(value), &malformed) : NULL;
    if (node) return node;
    if (!malformed) {
        no_memory(c);
        return NULL;
    }
    c->failed = true;
    sqlite3_result_error(c->ctx, "malformed JSON", -1);
    return NULL;
}

/* The value that a function of (doc [, path]) speaks of. */
static const hd_json_node *subject(call *c, int argc, sqlite3_value **argv) {
    const hd_json_node *node = tree(c, argv[0]);
    if (argc < 2 || !node) return node;
    const hd_json_node *path = tree(c, argv[1]);
    node = path ? hd_json_at(node, path) : NULL;
    return node && node->kind != HD_JSON_NULL ? node : NULL;
}

static void give_canonical(call *c, const hd_json_node *node, hd_json_strings strings) {
    hd_buffer out;
    hd_buffer_init(&out, c->arena.mem);
    hd_json_canonical(node, strings, &out);
    if (out.failed)
        no_memory(c);
    else
        sqlite3_result_text64(c->ctx, out.data, out.len, SQLITE_TRANSIENT, SQLITE_UTF8);
    hd_buffer_free(&out);
}

static void sql_json(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    call c;
    open_call(&c, ctx);
    const hd_json_node *node = subject(&c, argc, argv);
    if (node) give_canonical(&c, node, HD_JSON_TEXTS);
    hd_arena_free(&c.arena);
}

static void give_text(sqlite3_context *ctx, int argc, sqlite3_value **argv, hd_json_event kind) {
    call c;
    open_call(&c, ctx);
    const hd_json_node *node = subject(&c, argc, argv);
    if (node && node->kind == kind)
        sqlite3_result_text64(ctx, node->text, node->len, SQLITE_TRANSIENT, SQLITE_UTF8);
    hd_arena_free(&c.arena);
}

static void sql_number(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    give_text(ctx, argc, argv, HD_JSON_NUMBER);
}

static void sql_text(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    give_text(ctx, argc, argv, HD_JSON_STRING);
}

static void sql_contains(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    call c;
    (void)argc;
    open_call(&c, ctx);
    const hd_json_node *node = tree(&c, argv[0]), *other = node ? tree(&c, argv[1]) : NULL;
    if (node && other) sqlite3_result_int(ctx, hd_json_contains(node, other));
    hd_arena_free(&c.arena);
}

static void sql_array(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    call c;
    (void)argc;
    open_call(&c, ctx);
    const hd_json_node *node = tree(&c, argv[0]);
    if (node)
        give_canonical(&c, node, sqlite3_value_int(argv[1]) ? HD_JSON_DECIMALS : HD_JSON_TEXTS);
    hd_arena_free(&c.arena);
}

typedef bool array_test(const hd_json_node *, const hd_json_node *, hd_json_strings);

static void test_arrays(sqlite3_context *ctx, sqlite3_value **argv, array_test *test) {
    call c;
    open_call(&c, ctx);
    const hd_json_node *node = tree(&c, argv[0]), *other = node ? tree(&c, argv[1]) : NULL;
    hd_json_strings strings = sqlite3_value_int(argv[2]) ? HD_JSON_DECIMALS : HD_JSON_TEXTS;
    if (node && other) sqlite3_result_int(ctx, test(node, other, strings));
    hd_arena_free(&c.arena);
}

static void sql_array_contains(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    test_arrays(ctx, argv, hd_json_has_all);
}

static void sql_array_overlaps(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    test_arrays(ctx, argv, hd_json_has_any);
}

int hd_sqlite_register_json(hd_sqlite_conn *conn) {
    static const struct {
        const char *name;
        int arguments;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"hd_json", 1, sql_json},
        {"hd_json", 2, sql_json},
        {"hd_json_number", 1, sql_number},
        {"hd_json_number", 2, sql_number},
        {"hd_json_text", 2, sql_text},
        {"hd_json_contains", 2, sql_contains},
        {"hd_array", 2, sql_array},
        {"hd_array_contains", 3, sql_array_contains},
        {"hd_array_overlaps", 3, sql_array_overlaps},
    };
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof functions / sizeof *functions && code == SQLITE_OK; i++) {
        code = sqlite3_create_function_v2(conn->db, functions[i].name, functions[i].arguments,
                                          SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                          (void *)(uintptr_t)conn->base.mem, functions[i].function,
                                          NULL, NULL, NULL);
    }
    return code;
}
