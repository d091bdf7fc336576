/* Prepared-statement cache: see statements.h. A hash table with chains for finding, a list in order
 * of use for evicting; each statement is one block of memory that holds its text and types too. */
#include "statements.h"

#include <string.h>

int hd_pg_statements_init(hd_pg_statements *cache, const hd_allocator *mem, uint32_t capacity) {
    memset(cache, 0, sizeof *cache);
    cache->mem = mem;
    if (capacity == 0) return 0;
    cache->bucket_count = 16;
    while (cache->bucket_count < capacity) cache->bucket_count *= 2;
    cache->buckets = hd_alloc_zero(mem, cache->bucket_count * sizeof *cache->buckets);
    if (!cache->buckets) return -1;
    cache->capacity = capacity;
    return 0;
}

void hd_pg_statements_free(hd_pg_statements *cache) {
    hd_pg_statements_clear(cache, true);
    hd_free(cache->mem, cache->buckets);
    hd_free(cache->mem, cache->closing);
    memset(cache, 0, sizeof *cache);
}

static hd_pg_prepared **bucket_of(hd_pg_statements *cache, uint64_t hash) {
    return &cache->buckets[(hash ^ hash >> 32) & (cache->bucket_count - 1)];
}

/* ---- Order of use ---- */

static void unlink_used(hd_pg_statements *cache, hd_pg_prepared *entry) {
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(hd_pg_statements *cache, hd_pg_prepared *entry) {
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void use(hd_pg_statements *cache, hd_pg_prepared *entry) {
    if (cache->newest == entry) return;
    unlink_used(cache, entry);
    link_newest(cache, entry);
}

/* ---- Finding ---- */

static bool same(const hd_pg_prepared *entry, const char *sql, size_t sql_len, uint64_t hash,
                 const Oid *oids, uint32_t oid_count) {
    return entry->hash == hash && entry->sql_len == sql_len && entry->oid_count == oid_count &&
           memcmp(entry->sql, sql, sql_len) == 0 &&
           (oid_count == 0 || memcmp(entry->oids, oids, oid_count * sizeof *oids) == 0);
}

hd_pg_prepared *hd_pg_statements_find(hd_pg_statements *cache, const char *sql, size_t sql_len,
                                      uint64_t hash, const Oid *oids, uint32_t oid_count) {
    if (!cache->buckets) return NULL;
    hd_pg_prepared *entry = *bucket_of(cache, hash);
    while (entry && !same(entry, sql, sql_len, hash, oids, oid_count)) entry = entry->next;
    if (entry) use(cache, entry);
    return entry;
}

/* ---- Coming and going ---- */

static void remove_entry(hd_pg_statements *cache, hd_pg_prepared *entry) {
    hd_pg_prepared **link = bucket_of(cache, entry->hash);
    while (*link != entry) link = &(*link)->next;
    *link = entry->next;
    unlink_used(cache, entry);
    cache->count--;
    hd_free(cache->mem, entry);
}

/* Without memory for its number the statement stays on the server until the connection ends. */
static void close_later(hd_pg_statements *cache, uint32_t number) {
    void *closing = cache->closing;
    if (hd_grow(cache->mem, &closing, &cache->closing_capacity, cache->closing_count + 1,
                sizeof *cache->closing) != 0) {
        return;
    }
    cache->closing = closing;
    cache->closing[cache->closing_count++] = number;
}

/* Makes room for one; false when nothing may go. While more names wait to be closed than the cache
 * holds, as in a long transaction with ever new texts, nothing more is prepared. */
static bool evict(hd_pg_statements *cache) {
    if (cache->count < cache->capacity) return true;
    hd_pg_prepared *entry = cache->oldest;
    while (entry && entry->pending) entry = entry->newer;
    if (!entry || cache->closing_count >= cache->capacity) return false;
    close_later(cache, entry->number);
    remove_entry(cache, entry);
    return true;
}

static hd_pg_prepared *make_entry(const hd_allocator *mem, const char *sql, size_t sql_len,
                                  const Oid *oids, uint32_t oid_count) {
    size_t types = oid_count * sizeof *oids;
    hd_pg_prepared *entry = hd_alloc(mem, sizeof *entry + types + sql_len + 1);
    if (!entry) return NULL;
    memset(entry, 0, sizeof *entry);
    Oid *copy = (Oid *)(void *)(entry + 1);
    entry->sql = (char *)copy + types;
    if (types) memcpy(copy, oids, types);
    if (sql_len) memcpy(entry->sql, sql, sql_len);
    entry->sql[sql_len] = '\0';
    entry->oids = copy;
    entry->sql_len = sql_len;
    entry->oid_count = oid_count;
    return entry;
}

hd_pg_prepared *hd_pg_statements_add(hd_pg_statements *cache, const char *sql, size_t sql_len,
                                     uint64_t hash, const Oid *oids, uint32_t oid_count) {
    if (!cache->buckets || !evict(cache)) return NULL;
    hd_pg_prepared *entry = make_entry(cache->mem, sql, sql_len, oids, oid_count);
    if (!entry) return NULL;
    entry->hash = hash;
    entry->number = ++cache->numbers;
    entry->pending = true;
    entry->next = *bucket_of(cache, hash);
    *bucket_of(cache, hash) = entry;
    link_newest(cache, entry);
    cache->count++;
    return entry;
}

void hd_pg_statements_name(uint32_t number, char name[HD_PG_NAME]) {
    char digits[HD_PG_NAME];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    memcpy(name, "hd_", 3);
    for (size_t i = 0; i < count; i++) name[3 + i] = digits[count - 1 - i];
    name[3 + count] = '\0';
}

void hd_pg_statements_drop_pending(hd_pg_statements *cache) {
    for (hd_pg_prepared *entry = cache->newest, *older; entry; entry = older) {
        older = entry->older;
        if (entry->pending) remove_entry(cache, entry);
    }
}

void hd_pg_statements_clear(hd_pg_statements *cache, bool gone) {
    if (gone) cache->closing_count = 0;
    while (cache->oldest) {
        if (!gone && !cache->oldest->pending) close_later(cache, cache->oldest->number);
        remove_entry(cache, cache->oldest);
    }
}

void hd_pg_statements_closed(hd_pg_statements *cache, size_t n) {
    if (n > cache->closing_count) n = cache->closing_count;
    cache->closing_count -= n;
    memmove(cache->closing, cache->closing + n, cache->closing_count * sizeof *cache->closing);
}
