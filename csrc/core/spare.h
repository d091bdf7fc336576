/* Spare values: which column of a unique key a parked row gives up meanwhile, and for what. */
#ifndef HD_SPARE_H
#define HD_SPARE_H

#include "base/arena.h"
#include "driver.h"
#include "write.h"

typedef struct hd_spare {
    int column;   /* -1: the key has no spare value */
    uint8_t kind; /* hd_spare_kind */
    bool is_null; /* HD_SPARE_VALUE: NULL */
    bool defers;  /* the checks of foreign keys have to wait meanwhile */
} hd_spare;

/* The best column of the key; among equals one that `taker` writes. `unique` NULL: the primary
 * key. */
hd_spare hd_spare_choose(const hd_dialect *dialect, const hd_unique *unique, const hd_write *taker);

/* Where values come from: random at first, then one after the other. */
typedef struct hd_spare_source {
    uint64_t random, next;
} hd_spare_source;

/* Another value each time, of HD_SPARE_VALUE. False: out of memory. */
bool hd_spare_value(hd_arena *arena, const hd_dialect *dialect, const hd_column *column,
                    const hd_spare *spare, hd_spare_source *source, hd_value *out);

/* The columns within whose values a value below all others is looked for: the others of the only
 * key that `column` is part of, NULL when there are several keys. */
const hd_unique *hd_spare_scope(const hd_entity *entity, uint16_t column);

#endif
