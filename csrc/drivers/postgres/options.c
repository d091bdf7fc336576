/* Options: see options.h. libpq itself says which keywords exist and takes a URL apart; what it
 * says of a malformed one may quote the password, so that text goes nowhere. */
#include "options.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"

#define SESSION            "-c TimeZone=UTC -c DateStyle=ISO"
#define DEFAULT_STATEMENTS 100
#define MOST_STATEMENTS    100000
#define NOWHERE            SIZE_MAX

/* ---- The list ---- */

static size_t find(const hd_pg_options *options, const char *keyword) {
    size_t i = 0;
    while (i < options->count && strcmp(options->keywords[i], keyword) != 0) i++;
    return i;
}

const char *hd_pg_options_get(const hd_pg_options *options, const char *keyword) {
    size_t i = find(options, keyword);
    return i < options->count ? options->values[i] : NULL;
}

int hd_pg_options_set(hd_pg_options *options, const char *keyword, const char *value) {
    size_t i = find(options, keyword);
    char *copy = hd_arena_copy(options->arena, value, strlen(value));
    if (!copy) return -1;
    if (i == options->count) {
        if (i == options->capacity) return -1;
        options->keywords[i] = hd_arena_copy(options->arena, keyword, strlen(keyword));
        if (!options->keywords[i]) return -1;
        options->count++;
    }
    options->values[i] = copy;
    return 0;
}

int hd_pg_options_copy(hd_pg_options *to, const hd_pg_options *from, hd_arena *arena) {
    size_t size = (from->capacity + 1) * sizeof(char *);
    *to = *from;
    to->arena = arena;
    to->keywords = hd_arena_alloc(arena, size);
    to->values = hd_arena_alloc(arena, size);
    if (!to->keywords || !to->values) return -1;
    memcpy(to->keywords, from->keywords, size);
    memcpy(to->values, from->values, size);
    return 0;
}

/* ---- What is given ---- */

static hd_error_kind read_statement_cache(hd_pg_options *options, const char *value,
                                          hd_error *err) {
    int64_t n;
    if (hd_integer_parse(value, strlen(value), &n) != 0 || n < 0 || n > MOST_STATEMENTS) {
        return hd_error_set(err, HD_E_CONFIG, "option 'statement_cache' must be 0 to %d",
                            MOST_STATEMENTS);
    }
    options->statement_cache = (uint32_t)n;
    return HD_OK;
}

static hd_error_kind read_timeout(hd_pg_options *options, const char *value, hd_error *err) {
    double seconds;
    if (hd_double_parse(value, strlen(value), &seconds) != 0 || !(seconds <= 1e9)) {
        return hd_error_set(err, HD_E_CONFIG, "option 'connect_timeout' must be seconds");
    }
    options->connect_timeout = seconds > 0 ? (hd_time)(seconds * 1e6) : 0;
    return HD_OK;
}

static bool is_no(const char *value) {
    static const char *const words[] = {"off", "false", "no", "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(value, words[i]) == 0) return true;
    }
    return false;
}

static bool is_keyword(const PQconninfoOption *known, const char *name) {
    while (known->keyword && strcmp(known->keyword, name) != 0) known++;
    return known->keyword != NULL;
}

static hd_error_kind take_one(hd_pg_options *options, const PQconninfoOption *known,
                              const char *name, const char *value, hd_error *err) {
    if (strcmp(name, "statement_cache") == 0) return read_statement_cache(options, value, err);
    if (strcmp(name, "connect_timeout") == 0) return read_timeout(options, value, err);
    if (strcmp(name, "prepare") == 0) {
        if (is_no(value)) options->statement_cache = 0;
        return HD_OK;
    }
    if (!is_keyword(known, name)) {
        return hd_error_set(err, HD_E_CONFIG, "'%s' is not an option of a PostgreSQL connection",
                            name);
    }
    return hd_pg_options_set(options, name, value) == 0 ? HD_OK : hd_error_memory(err);
}

static hd_error_kind take_url(hd_pg_options *options, const PQconninfoOption *known,
                              const char *url, hd_error *err) {
    char *complaint = NULL;
    PQconninfoOption *parts = PQconninfoParse(url, &complaint);
    PQfreemem(complaint);
    if (!parts) {
        return hd_error_set(err, HD_E_CONFIG,
                            "option 'url' is not a PostgreSQL connection URI or string; "
                            "special characters in a URI must be percent-encoded");
    }
    hd_error_kind kind = HD_OK;
    for (PQconninfoOption *part = parts; part->keyword && kind == HD_OK; part++) {
        if (part->val) kind = take_one(options, known, part->keyword, part->val, err);
    }
    PQconninfoFree(parts);
    return kind;
}

/* ---- What every session has ---- */

/* Behind the user's own, so that ours hold. libpq reads PGOPTIONS only where no options are
 * given. */
static int set_session(hd_pg_options *options) {
    const char *own = hd_pg_options_get(options, "options");
    if (!own) own = getenv("PGOPTIONS");
    if (!own) own = "";
    size_t len = strlen(own);
    char *merged = hd_arena_alloc(options->arena, len + 1 + sizeof SESSION);
    if (!merged) return -1;
    memcpy(merged, own, len);
    if (len) merged[len++] = ' ';
    memcpy(merged + len, SESSION, sizeof SESSION);
    return hd_pg_options_set(options, "options", merged);
}

static hd_error_kind read_all(hd_pg_options *options, const PQconninfoOption *known,
                              const hd_option *given, size_t count, hd_error *err) {
    hd_error_kind kind = HD_OK;
    for (size_t i = 0; i < count && kind == HD_OK; i++) {
        if (strcmp(given[i].name, "url") == 0 && given[i].value) {
            kind = take_url(options, known, given[i].value, err);
        }
    }
    for (size_t i = 0; i < count && kind == HD_OK; i++) {
        if (strcmp(given[i].name, "url") != 0 && given[i].value) {
            kind = take_one(options, known, given[i].name, given[i].value, err);
        }
    }
    if (kind != HD_OK) return kind;
    bool ok =
        set_session(options) == 0 && hd_pg_options_set(options, "client_encoding", "UTF8") == 0;
    if (ok && !hd_pg_options_get(options, "fallback_application_name")) {
        ok = hd_pg_options_set(options, "fallback_application_name", "heddle") == 0;
    }
    return ok ? HD_OK : hd_error_memory(err);
}

hd_error_kind hd_pg_options_read(hd_pg_options *options, hd_arena *arena, const hd_option *given,
                                 size_t count, hd_error *err) {
    PQconninfoOption *known = PQconninfoParse("", NULL);
    if (!known) return hd_error_memory(err);
    memset(options, 0, sizeof *options);
    options->arena = arena;
    options->statement_cache = DEFAULT_STATEMENTS;
    while (known[options->capacity].keyword) options->capacity++;
    size_t size = (options->capacity + 1) * sizeof(char *);
    options->keywords = hd_arena_zero(arena, size);
    options->values = hd_arena_zero(arena, size);
    hd_error_kind kind = options->keywords && options->values
                             ? read_all(options, known, given, count, err)
                             : hd_error_memory(err);
    PQconninfoFree(known);
    return kind;
}

/* ---- Lists of hosts ---- */

bool hd_pg_options_item(const char *list, size_t i, const char **item, size_t *len) {
    for (const char *comma; (comma = strchr(list, ',')) && i > 0; i--) list = comma + 1;
    *item = list;
    *len = strcspn(list, ",");
    return i == 0;
}

static bool item_is(const char *list, size_t i, const char *text) {
    const char *item;
    size_t len;
    if (!list || !*list) return true;
    if (!hd_pg_options_item(list, i, &item, &len) && strchr(list, ',')) return false;
    return len == 0 || (strlen(text) == len && memcmp(item, text, len) == 0);
}

/* The list without item i; a list of one stays. */
static bool drop_item(hd_pg_options *options, const char *keyword, size_t i) {
    const char *list = hd_pg_options_get(options, keyword), *item;
    size_t len;
    if (!list || !strchr(list, ',') || !hd_pg_options_item(list, i, &item, &len)) return true;
    size_t before = (size_t)(item - list);
    char *rest = hd_arena_copy(options->arena, list, strlen(list));
    if (!rest) return false;
    if (item[len] == ',') {
        strcpy(rest + before, item + len + 1);
    } else {
        rest[before - 1] = '\0';
    }
    return hd_pg_options_set(options, keyword, rest) == 0;
}

/* The first item that is this host, NOWHERE if none. */
static size_t find_host(const hd_pg_options *options, const char *hosts, const char *host,
                        const char *address, const char *port) {
    const char *addresses = hd_pg_options_get(options, "hostaddr");
    const char *ports = hd_pg_options_get(options, "port"), *item;
    size_t len;
    for (size_t i = 0; hd_pg_options_item(hosts, i, &item, &len); i++) {
        if (item_is(hosts, i, host) && item_is(ports, i, port) &&
            (!address || item_is(addresses, i, address)))
            return i;
    }
    return NOWHERE;
}

bool hd_pg_options_drop_host(hd_pg_options *options, const char *host, const char *address,
                             const char *port) {
    const char *names = hd_pg_options_get(options, "host");
    const char *hosts = names && *names ? names : hd_pg_options_get(options, "hostaddr");
    if (!hosts || !strchr(hosts, ',')) return false;
    size_t i = find_host(options, hosts, host, address, port);
    if (i == NOWHERE) i = find_host(options, hosts, host, NULL, port);
    return i != NOWHERE && drop_item(options, "host", i) && drop_item(options, "hostaddr", i) &&
           drop_item(options, "port", i);
}
