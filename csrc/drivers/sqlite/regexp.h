/* Regular expressions, PostgreSQL's but for what looks around or back; see regexp.c, regexp_match.c. */
#ifndef HD_SQLITE_REGEXP_H
#define HD_SQLITE_REGEXP_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* What begins a reason: errors.c tells the kind by it. */
#define HD_REGEXP_WRONG       "op.matches: the pattern is wrong: "
#define HD_REGEXP_UNSUPPORTED "op.matches: this pattern does not work on SQLite: "
#define HD_REGEXP_NO_MEMORY   "out of memory"

typedef struct hd_regexp hd_regexp;

/* NULL with the reason, a constant text, in *wrong. */
hd_regexp *hd_regexp_make(const unsigned char *pattern, size_t len, const char **wrong);
bool hd_regexp_matches(const hd_regexp *re, const unsigned char *text, size_t len);
void hd_regexp_free(void *regexp);

#endif
