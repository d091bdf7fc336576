/* Prepared statements: found by the hash and text of their SQL, the one used longest ago is given
 * up.
 *
 * SQLite prepares a statement again by itself when the schema has changed, and `select *` may then
 * have other columns than before; whoever needs columns or names therefore asks again after the
 * first step. Column names are copied, because SQLite's own die with the statement's next
 * preparation while the caller may read them until the next batch. */
#include <limits.h>
#include <string.h>

#include "conn.h"

int hd_sqlite_cache_init(hd_sqlite_conn *conn) {
    hd_sqlite_cache *cache = &conn->cache;
    cache->limit = conn->options.statement_cache;
    if (cache->limit == 0) return 0;
    cache->bucket_count = 16;
    while (cache->bucket_count < cache->limit * 2) cache->bucket_count *= 2;
    cache->buckets = hd_alloc_zero(conn->base.mem, cache->bucket_count * sizeof *cache->buckets);
    return cache->buckets ? 0 : -1;
}

/* ---- the list and the buckets ---- */

static hd_sqlite_prepared **bucket_of(hd_sqlite_cache *cache, uint64_t hash) {
    return &cache->buckets[(hash ^ hash >> 32) & (cache->bucket_count - 1)];
}

static void link_newest(hd_sqlite_cache *cache, hd_sqlite_prepared *p) {
    p->newer = NULL;
    p->older = cache->newest;
    if (cache->newest)
        cache->newest->newer = p;
    else
        cache->oldest = p;
    cache->newest = p;
}

static void unlink_prepared(hd_sqlite_cache *cache, hd_sqlite_prepared *p) {
    *(p->newer ? &p->newer->older : &cache->newest) = p->older;
    *(p->older ? &p->older->newer : &cache->oldest) = p->newer;
}

static hd_sqlite_prepared *find(hd_sqlite_cache *cache, const hd_statement *s) {
    hd_sqlite_prepared *p = cache->limit ? *bucket_of(cache, s->hash) : NULL;
    for (; p; p = p->chain) {
        if (p->hash == s->hash && p->sql_len == s->sql_len &&
            memcmp(p->sql, s->sql, s->sql_len) == 0)
            break;
    }
    if (p && p != cache->newest) {
        unlink_prepared(cache, p);
        link_newest(cache, p);
    }
    return p;
}

void hd_sqlite_prepared_free(hd_sqlite_conn *conn, hd_sqlite_prepared *p, bool discard) {
    if (!discard) sqlite3_finalize(p->stmt);
    hd_free(conn->base.mem, p->names);
    hd_free(conn->base.mem, p);
}

static void evict(hd_sqlite_conn *conn, hd_sqlite_prepared *p) {
    hd_sqlite_cache *cache = &conn->cache;
    hd_sqlite_prepared **at = bucket_of(cache, p->hash);
    while (*at != p) at = &(*at)->chain;
    *at = p->chain;
    unlink_prepared(cache, p);
    cache->count--;
    p->cached = false;
    hd_sqlite_release(conn, p);
}

static void add(hd_sqlite_conn *conn, hd_sqlite_prepared *p) {
    hd_sqlite_cache *cache = &conn->cache;
    if (cache->count == cache->limit) evict(conn, cache->oldest);
    hd_sqlite_prepared **bucket = bucket_of(cache, p->hash);
    p->chain = *bucket;
    *bucket = p;
    link_newest(cache, p);
    cache->count++;
    p->cached = true;
}

/* ---- preparing ---- */

/* Blanks, semicolons and comments may follow a statement, another statement may not: SQLite would
 * leave it out in silence. */
static bool holds_more(sqlite3 *db, const char *at, const char *end) {
    for (;;) {
        while (at < end && strchr(" \t\r\n\f;", *at)) at++;
        if (at == end) return false;
        sqlite3_stmt *stmt = NULL;
        const char *tail = at;
        int code = sqlite3_prepare_v2(db, at, (int)(end - at), &stmt, &tail);
        sqlite3_finalize(stmt);
        if (code != SQLITE_OK || stmt) return true;
        if (tail == at) return false;
        at = tail;
    }
}

/* Whether last_insert_rowid will mean something. */
static bool is_insert(const char *sql, size_t len) {
    while (len > 0 && strchr(" \t\r\n\f", *sql)) sql++, len--;
    return (len > 6 && sqlite3_strnicmp(sql, "insert", 6) == 0) ||
           (len > 7 && sqlite3_strnicmp(sql, "replace", 7) == 0);
}

static int compile(hd_sqlite_conn *conn, const hd_statement *s, bool keep, sqlite3_stmt **stmt,
                   hd_error *err) {
    if (s->sql_len > INT_MAX) return SQLITE_TOOBIG;
    if (memchr(s->sql, '\0', s->sql_len)) {
        hd_error_set(err, HD_E_SYNTAX, "a NUL byte stands in the statement's text");
        return HD_SQLITE_REFUSED;
    }
    const char *tail;
    int code = sqlite3_prepare_v3(conn->db, s->sql, (int)s->sql_len,
                                  keep ? SQLITE_PREPARE_PERSISTENT : 0, stmt, &tail);
    if (code != SQLITE_OK || !holds_more(conn->db, tail, s->sql + s->sql_len)) return code;
    sqlite3_finalize(*stmt);
    hd_error_set(err, HD_E_SYNTAX, "the text holds more than one statement");
    return HD_SQLITE_REFUSED;
}

int hd_sqlite_prepare(hd_sqlite_conn *conn, const hd_statement *s, hd_sqlite_prepared **out,
                      hd_error *err) {
    bool keep = s->cache && conn->cache.limit > 0;
    if (keep && (*out = find(&conn->cache, s))) return SQLITE_OK;
    sqlite3_stmt *stmt = NULL;
    int code = compile(conn, s, keep, &stmt, err);
    if (code != SQLITE_OK) return code;
    hd_sqlite_prepared *p = hd_alloc(conn->base.mem, sizeof *p + (keep ? s->sql_len : 0));
    if (!p) {
        sqlite3_finalize(stmt);
        return SQLITE_NOMEM;
    }
    memset(p, 0, sizeof *p);
    p->stmt = stmt;
    p->hash = s->hash;
    p->params = (uint32_t)sqlite3_bind_parameter_count(stmt);
    p->columns = (uint32_t)sqlite3_column_count(stmt);
    p->insert = is_insert(s->sql, s->sql_len);
    p->writes = stmt && !sqlite3_stmt_readonly(stmt);
    if (keep) {
        p->sql_len = s->sql_len;
        memcpy(p->sql, s->sql, s->sql_len);
        add(conn, p);
    }
    *out = p;
    return SQLITE_OK;
}

void hd_sqlite_release(hd_sqlite_conn *conn, hd_sqlite_prepared *p) {
    if (!p->cached && !p->held && p != conn->named) hd_sqlite_prepared_free(conn, p, false);
}

/* ---- column names ---- */

static int read_names(hd_sqlite_conn *conn, hd_sqlite_prepared *p) {
    size_t size = p->columns * sizeof *p->names;
    for (uint32_t i = 0; i < p->columns; i++) {
        const char *name = sqlite3_column_name(p->stmt, (int)i);
        if (!name) return SQLITE_NOMEM;
        size += strlen(name) + 1;
    }
    hd_column_name *names = hd_alloc(conn->base.mem, size);
    if (!names) return SQLITE_NOMEM;
    char *text = (char *)(names + p->columns);
    for (uint32_t i = 0; i < p->columns; i++) {
        const char *name = sqlite3_column_name(p->stmt, (int)i);
        names[i].text = text;
        names[i].len = strlen(name);
        text = (char *)memcpy(text, name, names[i].len + 1) + names[i].len + 1;
    }
    hd_free(conn->base.mem, p->names);
    p->names = names;
    return SQLITE_OK;
}

int hd_sqlite_lend_names(hd_sqlite_conn *conn, hd_sqlite_prepared *p) {
    int again = sqlite3_stmt_status(p->stmt, SQLITE_STMTSTATUS_REPREPARE, 0);
    if (!p->names || p->prepared_again != again) {
        p->columns = (uint32_t)sqlite3_column_count(p->stmt);
        if (conn->named == p) hd_sqlite_forget_names(conn);
        int code = read_names(conn, p);
        if (code != SQLITE_OK) return code;
        p->prepared_again = again;
    }
    if (conn->named != p) hd_sqlite_forget_names(conn);
    conn->named = p;
    conn->base.names = p->names;
    conn->base.name_count = p->columns;
    return SQLITE_OK;
}

void hd_sqlite_forget_names(hd_sqlite_conn *conn) {
    hd_sqlite_prepared *p = conn->named;
    conn->named = NULL;
    conn->base.names = NULL;
    conn->base.name_count = 0;
    if (p && p != conn->current) hd_sqlite_release(conn, p);
}

void hd_sqlite_cache_free(hd_sqlite_conn *conn, bool discard) {
    hd_sqlite_cache *cache = &conn->cache;
    hd_sqlite_prepared *named = conn->named, *current = conn->current;
    if (named && !named->cached) hd_sqlite_prepared_free(conn, named, discard);
    if (current && current != named && !current->cached)
        hd_sqlite_prepared_free(conn, current, discard);
    conn->named = conn->current = NULL;
    for (hd_sqlite_prepared *p = cache->newest, *older; p; p = older) {
        older = p->older;
        hd_sqlite_prepared_free(conn, p, discard);
    }
    hd_free(conn->base.mem, cache->buckets);
    memset(cache, 0, sizeof *cache);
}
