/* Options: texts in, checked numbers and an ordered list of pragmas out. Everything is copied into
 * one arena, so that a connection frees its options at once. The order of pragmas matters to
 * SQLite, but the order in which a program's table gives them means nothing, so it is decided here.
 */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "conn.h"

static const hd_sqlite_pragma defaults[] = {
    {"journal_mode", "WAL", false},
    {"synchronous", "NORMAL", false},
    {"foreign_keys", "ON", false},
    {"case_sensitive_like", "ON", false},
};
enum { DEFAULTS = sizeof defaults / sizeof *defaults };

/* These say how a new file is laid out, and WAL writes its first page. */
static const char *const early[] = {"page_size", "auto_vacuum", "encoding"};

static bool is_early(const char *name) {
    for (size_t i = 0; i < sizeof early / sizeof *early; i++) {
        if (sqlite3_stricmp(name, early[i]) == 0) return true;
    }
    return false;
}

static bool is_identifier(const char *name) {
    if (!*name || (*name >= '0' && *name <= '9')) return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] ==
           '\0';
}

static const char *copy(hd_sqlite_options *options, const char *text) {
    return hd_arena_copy(&options->texts, text, strlen(text));
}

static hd_error_kind read_pragma(hd_sqlite_options *options, const char *name, const char *value,
                                 hd_error *err) {
    if (!is_identifier(name)) {
        return hd_error_set(err, HD_E_CONFIG, "'%s' is not the name of a pragma", name);
    }
    if (sqlite3_stricmp(name, "busy_timeout") == 0) {
        return hd_error_set(err, HD_E_CONFIG,
                            "the pragma busy_timeout would block the program: set the option "
                            "busy_timeout (seconds) instead");
    }
    hd_sqlite_pragma pragma = {copy(options, name), copy(options, value), true};
    if (!pragma.name || !pragma.value) return hd_error_memory(err);
    for (uint32_t i = 0; i < options->pragma_count; i++) {
        if (sqlite3_stricmp(options->pragmas[i].name, name) != 0) continue;
        options->pragmas[i] = pragma;
        return HD_OK;
    }
    uint32_t at = is_early(name) ? 0 : options->pragma_count;
    memmove(options->pragmas + at + 1, options->pragmas + at,
            (options->pragma_count - at) * sizeof pragma);
    options->pragmas[at] = pragma;
    options->pragma_count++;
    return HD_OK;
}

static hd_error_kind read_mode(hd_sqlite_options *options, const char *value, hd_error *err) {
    static const struct {
        const char *name;
        int flags;
    } modes[] = {
        {"rwc", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE},
        {"rw", SQLITE_OPEN_READWRITE},
        {"ro", SQLITE_OPEN_READONLY},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(value, modes[i].name) != 0) continue;
        options->open_flags = modes[i].flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
        return HD_OK;
    }
    return hd_error_set(err, HD_E_CONFIG, "mode '%s' is none of rwc, rw, ro", value);
}

static hd_error_kind read_seconds(hd_time *to, const hd_option *given, hd_error *err) {
    double seconds;
    if (hd_double_parse(given->value, strlen(given->value), &seconds) != 0 ||
        !(seconds >= 0 && seconds <= 1e9)) {
        return hd_error_set(err, HD_E_CONFIG, "%s '%s' is not a number of seconds", given->name,
                            given->value);
    }
    *to = (hd_time)llround(seconds * 1e6);
    return HD_OK;
}

static hd_error_kind read_cache(hd_sqlite_options *options, const char *value, hd_error *err) {
    int64_t size;
    if (hd_integer_parse(value, strlen(value), &size) != 0 || size < 0 || size > 100000) {
        return hd_error_set(err, HD_E_CONFIG,
                            "statement_cache '%s' is not a number of statements from 0 to 100000",
                            value);
    }
    options->statement_cache = (uint32_t)size;
    return HD_OK;
}

static hd_error_kind read_option(hd_sqlite_options *options, const hd_option *given,
                                 hd_error *err) {
    if (strcmp(given->name, "database") == 0) {
        options->database = copy(options, given->value);
        return options->database ? HD_OK : hd_error_memory(err);
    }
    if (strcmp(given->name, "mode") == 0) return read_mode(options, given->value, err);
    if (strcmp(given->name, "busy_timeout") == 0)
        return read_seconds(&options->busy_timeout, given, err);
    if (strcmp(given->name, "statement_timeout") == 0)
        return read_seconds(&options->statement_timeout, given, err);
    if (strcmp(given->name, "statement_cache") == 0) return read_cache(options, given->value, err);
    if (strncmp(given->name, "pragma.", 7) == 0) {
        return read_pragma(options, given->name + 7, given->value, err);
    }
    return hd_error_set(err, HD_E_CONFIG, "the SQLite driver has no option '%s'", given->name);
}

hd_error_kind hd_sqlite_options_read(hd_sqlite_options *options, const hd_allocator *mem,
                                     const hd_option *given, size_t count, hd_error *err) {
    hd_arena_init(&options->texts, mem);
    options->busy_timeout = 5 * 1000000;
    options->statement_cache = 100;
    options->pragmas =
        hd_arena_alloc(&options->texts, (DEFAULTS + count) * sizeof *options->pragmas);
    if (!options->pragmas) return hd_error_memory(err);
    memcpy(options->pragmas, defaults, sizeof defaults);
    options->pragma_count = DEFAULTS;
    hd_error_kind kind = read_mode(options, "rwc", err);
    for (size_t i = 0; kind == HD_OK && i < count; i++) kind = read_option(options, &given[i], err);
    if (kind != HD_OK) return kind;
    if (!options->database || !*options->database) {
        return hd_error_set(err, HD_E_CONFIG,
                            "the option database is missing: give a path or ':memory:'");
    }
    return HD_OK;
}
