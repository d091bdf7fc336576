/* The connection's prepared statements: least recently used goes first.
 *
 * A statement is known by its text and the types of its parameters. It is *pending* from the moment
 * its Parse is sent until the server confirms it, and only then one of the cache: what stood behind
 * an error in a pipeline was never parsed. Names are never used twice. What leaves the cache is not
 * closed at once: its name waits in `closing` until a batch takes it along. */
#ifndef HD_PG_STATEMENTS_H
#define HD_PG_STATEMENTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

#define HD_PG_NAME 16 /* room for a name */

typedef struct hd_pg_prepared hd_pg_prepared;
struct hd_pg_prepared {
    uint64_t hash;
    size_t sql_len;
    const Oid *oids; /* in the same block of memory, as the text is */
    char *sql;       /* NUL-terminated */
    uint32_t oid_count, number;
    bool pending;
    hd_pg_prepared *newer, *older, *next; /* by use; in the bucket */
};

typedef struct hd_pg_statements {
    const hd_allocator *mem;
    hd_pg_prepared **buckets; /* NULL: no cache */
    uint32_t bucket_count, capacity, count, numbers;
    hd_pg_prepared *newest, *oldest;
    uint32_t *closing; /* numbers of statements that the server may forget */
    size_t closing_count, closing_capacity;
} hd_pg_statements;

int hd_pg_statements_init(hd_pg_statements *cache, const hd_allocator *mem, uint32_t capacity);
void hd_pg_statements_free(hd_pg_statements *cache);

/* The statement, marked as used, or NULL. */
hd_pg_prepared *hd_pg_statements_find(hd_pg_statements *cache, const char *sql, size_t sql_len,
                                      uint64_t hash, const Oid *oids, uint32_t oid_count);
/* Adds it as pending, evicting the oldest. NULL: there is no room for it (all pending, no cache, no
 * memory); then it runs unnamed. */
hd_pg_prepared *hd_pg_statements_add(hd_pg_statements *cache, const char *sql, size_t sql_len,
                                     uint64_t hash, const Oid *oids, uint32_t oid_count);
void hd_pg_statements_name(uint32_t number, char name[HD_PG_NAME]);
/* Removes what is still pending: the batch is over and the server never knew it. */
void hd_pg_statements_drop_pending(hd_pg_statements *cache);
/* Empties the cache; `gone`: the server has forgotten the names already, nothing is to be
 * closed. */
void hd_pg_statements_clear(hd_pg_statements *cache, bool gone);
/* The first n numbers of `closing` are closed. */
void hd_pg_statements_closed(hd_pg_statements *cache, size_t n);

#endif
