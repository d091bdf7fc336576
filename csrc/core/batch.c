/* Batches: the hash of a statement's text, which is its name in every prepared-statement cache. */
#include "batch.h"

#include <string.h>

uint64_t hd_sql_hash(const char *sql, size_t len) {
    uint64_t hash = 0x9E3779B97F4A7C15u ^ len, word;
    for (; len >= sizeof word; sql += sizeof word, len -= sizeof word) {
        memcpy(&word, sql, sizeof word);
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
    }
    word = 0;
    if (len) memcpy(&word, sql, len);
    hash = (hash ^ word) * 0xC4CEB9FE1A85EC53u;
    hash ^= hash >> 29;
    return hash ? hash : 1;
}
