/* Connection options as libpq takes them: two parallel arrays that end with NULL. Everything lives
 * in the arena that they were made with. */
#ifndef HD_PG_OPTIONS_H
#define HD_PG_OPTIONS_H

#include "base/arena.h"
#include "driver.h"

typedef struct hd_pg_options {
    hd_arena *arena;
    const char **keywords, **values;
    size_t count, capacity;
    uint32_t statement_cache;
    hd_time connect_timeout; /* microseconds for each host, 0: none */
} hd_pg_options;

/* Checks names, expands `url`, merges what every session must have. */
hd_error_kind hd_pg_options_read(hd_pg_options *options, hd_arena *arena, const hd_option *given,
                                 size_t count, hd_error *err);
const char *hd_pg_options_get(const hd_pg_options *options, const char *keyword); /* or NULL */
/* Copies the value. 0, or -1 when out of memory. */
int hd_pg_options_set(hd_pg_options *options, const char *keyword, const char *value);
/* The same options to be changed apart: the lists are the arena's, the texts stay the other's. 0 or -1. */
int hd_pg_options_copy(hd_pg_options *to, const hd_pg_options *from, hd_arena *arena);
/* Item i of a comma-separated list; a list of one is for all. False behind the last. */
bool hd_pg_options_item(const char *list, size_t i, const char **item, size_t *len);
/* Takes one host out of the lists, the one that did not answer in time: at that address, or else, where addresses are
 * written in another way, the first of that name. False: it is the only one. */
bool hd_pg_options_drop_host(hd_pg_options *options, const char *host, const char *address,
                             const char *port);

#endif
