/* Session: the bookkeeping half of an entity manager. For each root entity a shelf: rows numbered by slot, each with
 * a state, and the map from primary key to slot (I1). Values and instances are the host's.
 *
 * While a mark is open every change of state or key is journaled; hd_session_rollback returns to the mark and
 * hands the host its tokens back, newest first. Slots are not used again while a mark is open. */
#ifndef HD_SESSION_H
#define HD_SESSION_H

#include "base/buffer.h"
#include "base/value.h"

#define HD_NO_SLOT UINT32_MAX

/* A slot is free, or holds a row that is ... */
typedef enum hd_row_state {
    HD_ROW_FREE = 0,
    HD_ROW_NEW,       /* to be inserted */
    HD_ROW_MANAGED,   /* every property loaded */
    HD_ROW_PARTIAL,   /* some properties loaded */
    HD_ROW_REFERENCE, /* only the key known */
    HD_ROW_REMOVED    /* to be deleted */
} hd_row_state;

typedef struct hd_shelf hd_shelf;
typedef struct hd_session hd_session;

hd_session *hd_session_new(const hd_allocator *mem); /* NULL: out of memory */
void hd_session_free(hd_session *session);
/* Forgets every row and mark; keeps nothing. */
void hd_session_clear(hd_session *session);
/* The shelf of entity `id`, made at first use. key_count columns form its key (0: its rows are found by nobody).
 * NULL: out of memory. */
hd_shelf *hd_session_shelf(hd_session *session, uint32_t id, uint32_t key_count);

uint32_t hd_shelf_find(hd_shelf *shelf, const hd_value *key); /* HD_NO_SLOT when nobody has it */
uint32_t hd_shelf_add(hd_shelf *shelf,
                      hd_row_state state); /* a new slot; HD_NO_SLOT: out of memory */
/* The slot of the row with this key, a new one in that state when nobody has it. HD_NO_SLOT: out of memory. */
uint32_t hd_shelf_enter(hd_shelf *shelf, const hd_value *key, hd_row_state state, bool *is_new);
uint32_t hd_shelf_count(const hd_shelf *shelf); /* slots ever used: 0 .. count-1 */
bool hd_shelf_has_marks(const hd_shelf *shelf); /* of its session */
hd_row_state hd_shelf_state(const hd_shelf *shelf, uint32_t slot);
int hd_shelf_set_state(hd_shelf *shelf, uint32_t slot, hd_row_state state); /* -1: out of memory */
/* Gives the row its key (it must have none; nothing happens on a shelf without keys). 0, 1 (another row has it) or -1 (out of memory). */
int hd_shelf_set_key(hd_shelf *shelf, uint32_t slot, const hd_value *key);
int hd_shelf_drop_key(hd_shelf *shelf, uint32_t slot);
bool hd_shelf_has_key(const hd_shelf *shelf, uint32_t slot);
/* Reads the key back: key_count values, bytes borrowed from the shelf until the key is dropped. */
bool hd_shelf_key(const hd_shelf *shelf, uint32_t slot, hd_value *key);
/* The row leaves: key dropped, slot free. */
int hd_shelf_remove(hd_shelf *shelf, uint32_t slot);

/* ---- Marks ---- */

typedef size_t hd_mark;

hd_mark hd_session_mark(hd_session *session);
bool hd_session_has_marks(const hd_session *session);
/* Journals a host token (only sensible while a mark is open). -1: out of memory. */
int hd_session_note(hd_session *session, uint64_t token);
/* Returns to `mark` and closes it. Tokens noted since come out by repeated calls: newest first, true for each;
 * false when the session is back at the mark. */
bool hd_session_rollback(hd_session *session, hd_mark mark, uint64_t *token);
/* Closes the mark; what it guarded now belongs to the mark around it, or is final. */
void hd_session_forget(hd_session *session, hd_mark mark);

#endif
