/* Flush: plans a change set and turns it into batches; takes the rows and counts back. It does not
 * talk to a connection and knows nothing of BEGIN and COMMIT: the link runs the batches, in a
 * transaction that the link controls.
 *
 *     flush = hd_flush_new(mem, &options);
 *     change = hd_flush_add(flush, HD_INSERT, entity, slot); ... fill change->set ...
 *     hd_flush_plan(flush, &err);
 *     if ((batch = hd_flush_keys(flush, &err))) run it     -- all rows know their keys now
 *     while ((batch = hd_flush_body(flush, &err))) run it  -- one turn, but for waves
 *     hd_flush_check(flush, &err);                         -- counts, keys that a trigger chose
 *     ... read changes back ...
 *     hd_flush_free(flush);
 *
 * When running a batch fails, hd_flush_blame words the error: which row, entity, property (F5),
 * stale rows. */
#ifndef HD_FLUSH_H
#define HD_FLUSH_H

#include "base/arena.h"
#include "batch.h"
#include "change.h"
#include "write_texts.h"

typedef struct hd_flush hd_flush;

typedef struct hd_flush_options {
    const hd_dialect *dialect;
    uint32_t batch_size;   /* rows of one statement at most; 0: 1000 */
    int64_t now;           /* microseconds since 1970, for timestamp versions */
    hd_write_texts *texts; /* the context's; NULL: every text is written anew */
} hd_flush_options;

/* NULL: out of memory. */
hd_flush *hd_flush_new(const hd_allocator *mem, const hd_flush_options *options);
void hd_flush_free(hd_flush *flush);
void hd_flush_reset(hd_flush *flush, int64_t now); /* as if it were a new one */
hd_arena *hd_flush_arena(hd_flush *flush);         /* bytes of values go here */

/* A new change with its arrays allocated: set all HD_DEFAULT, old all HD_NULL. NULL: out of
 * memory. A pair has HD_NO_SLOT; its flags are the caller's to set. */
hd_change *hd_flush_add(hd_flush *flush, hd_change_op op, hd_entity *entity, uint32_t slot);
/* The column gets what an expression says: evaluated by the UPDATE, over the row as it is there, or by the INSERT. Its
 * arrays live in the flush's arena. Not for keys, versions and foreign keys. False: out of memory. */
bool hd_flush_express(hd_flush *flush, hd_change *change, uint16_t column,
                      const hd_expression *expression);
uint32_t hd_flush_count(const hd_flush *flush);
hd_change *hd_flush_change(hd_flush *flush, uint32_t index);

/* Versions, edges, order, grouping, texts. HD_E_COMMIT_ORDER before any statement when there is no
 * way. */
hd_error_kind hd_flush_plan(hd_flush *flush, hd_error *err);
/* What the plan had to do beyond ordering. */
typedef struct hd_flush_report {
    uint32_t parked;   /* rows that were put at spare values meanwhile */
    uint32_t switched; /* rows that were deleted and inserted by one UPDATE */
    uint32_t whole;    /* statements that hold a ring */
    uint32_t held;     /* rows whose foreign key was NULL at first */
    bool deferred;     /* foreign keys were checked at the body's end */
} hd_flush_report;
hd_flush_report hd_flush_told(const hd_flush *flush);

/* Body is one single-row statement and no keys are fetched first: it may run without a
 * transaction. */
bool hd_flush_is_bare(const hd_flush *flush);
/* Next batch or NULL when there is none (err->kind says whether that is a failure). */
const hd_batch *hd_flush_keys(hd_flush *flush, hd_error *err);
const hd_batch *hd_flush_body(hd_flush *flush, hd_error *err);
/* The batch that is out is the body's last and COMMIT may go with it: every write in it guards
 * itself, and no key is told by its answers alone. */
bool hd_flush_can_commit(const hd_flush *flush);
hd_error_kind hd_flush_check(hd_flush *flush, hd_error *err);

/* After a failed batch: `err` is what the driver said; adds entity and change where they can be
 * known and turns a missed count or guard into optimistic_lock (versioned) or not_found. *change
 * is NULL when unknown. True when the same flush can be tried again another way (keys that the
 * role may not ask for: the entity has been switched to HD_KEY_RETURNING): undo, plan again from
 * the same changes, run again. */
bool hd_flush_blame(hd_flush *flush, hd_error *err, hd_change **change);
/* The entity of the statement that err->statement counts in the last batch, whether its row is
 * known or not. */
hd_entity *hd_flush_blamed_entity(const hd_flush *flush, const hd_error *err);
/* Forgets plan and results, keeps the changes as they were gathered. */
void hd_flush_replan(hd_flush *flush);

#endif
