/* Session. Owns its shelves, their keys and the journal. A change is journaled before it is made and the room for
 * the entry is taken first, so that a failed allocation leaves both as they were. A dropped key moves into its
 * journal entry while a mark is open; a rolled-back drop moves it back.
 *
 * Rows are mostly read in the order of their keys, into a session that is asked for few of them: a number that is higher
 * than all before it is nobody's, and joins the map when a lower one is asked for. */
#include "session.h"

#include <string.h>

#include "identity.h"
#include "undo.h"

typedef struct shelf_row {
    hd_key key; /* first: hd_identity_find strides over rows */
    uint8_t state;
} shelf_row;

struct hd_shelf {
    hd_session *session;
    uint32_t id, key_count;
    hd_identity identity;
    shelf_row *rows;
    size_t count, capacity;
    size_t indexed;  /* keys of rows from here on are not in the map, see find_row */
    int64_t highest; /* no key that is a number is higher */
    uint32_t *free_slots;
    size_t free_count, free_capacity;
};

struct hd_session {
    const hd_allocator *mem;
    hd_shelf **shelves; /* by entity id */
    size_t shelf_count, shelf_capacity;
    hd_undo undo;
    hd_key *dropped; /* keys that the journal holds; entry.word is the index */
    size_t dropped_count, dropped_capacity;
};

/* ---- Life ---- */

hd_session *hd_session_new(const hd_allocator *mem) {
    hd_session *session = hd_alloc_zero(mem, sizeof *session);
    if (!session) return NULL;
    session->mem = mem;
    hd_undo_init(&session->undo, mem);
    return session;
}

static void shelf_free(hd_shelf *shelf) {
    const hd_allocator *mem = shelf->session->mem;
    for (size_t i = 0; i < shelf->count; i++) hd_key_free(mem, &shelf->rows[i].key);
    hd_identity_free(&shelf->identity);
    hd_free(mem, shelf->rows);
    hd_free(mem, shelf->free_slots);
    hd_free(mem, shelf);
}

static void drop_journaled_keys(hd_session *session, size_t from) {
    while (session->dropped_count > from)
        hd_key_free(session->mem, &session->dropped[--session->dropped_count]);
}

void hd_session_clear(hd_session *session) {
    for (size_t i = 0; i < session->shelf_count; i++) {
        if (session->shelves[i]) shelf_free(session->shelves[i]);
    }
    session->shelf_count = 0;
    drop_journaled_keys(session, 0);
    hd_undo_free(&session->undo);
}

void hd_session_free(hd_session *session) {
    if (!session) return;
    hd_session_clear(session);
    hd_free(session->mem, session->shelves);
    hd_free(session->mem, session->dropped);
    hd_free(session->mem, session);
}

hd_shelf *hd_session_shelf(hd_session *session, uint32_t id, uint32_t key_count) {
    if (id < session->shelf_count && session->shelves[id]) return session->shelves[id];
    if (hd_grow(session->mem, (void **)&session->shelves, &session->shelf_capacity, (size_t)id + 1,
                sizeof *session->shelves) != 0)
        return NULL;
    hd_shelf *shelf = hd_alloc_zero(session->mem, sizeof *shelf);
    if (!shelf) return NULL;
    while (session->shelf_count <= id) session->shelves[session->shelf_count++] = NULL;
    shelf->session = session;
    shelf->id = id;
    shelf->key_count = key_count;
    shelf->highest = INT64_MIN;
    hd_identity_init(&shelf->identity, session->mem, key_count);
    session->shelves[id] = shelf;
    return shelf;
}

/* ---- Rows ---- */

/* Room for a journal entry; true when one is to be pushed. */
static bool journal(hd_shelf *shelf, bool *failed) {
    return hd_undo_ready(&shelf->session->undo, failed);
}

static void push(hd_shelf *shelf, hd_undo_kind kind, uint32_t slot, uint8_t state, uint64_t word) {
    hd_undo_entry entry = {(uint8_t)kind, state, shelf->id, slot, word};
    hd_undo_push(&shelf->session->undo, entry);
}

uint32_t hd_shelf_count(const hd_shelf *shelf) {
    return (uint32_t)shelf->count;
}

bool hd_shelf_has_marks(const hd_shelf *shelf) {
    return hd_session_has_marks(shelf->session);
}

hd_row_state hd_shelf_state(const hd_shelf *shelf, uint32_t slot) {
    return slot < shelf->count ? (hd_row_state)shelf->rows[slot].state : HD_ROW_FREE;
}

/* Every key joins the map. -1: out of memory. */
static int index_keys(hd_shelf *shelf) {
    for (; shelf->indexed < shelf->count; shelf->indexed++) {
        const hd_key *key = &shelf->rows[shelf->indexed].key;
        if (!key->used) continue;
        if (hd_identity_reserve(&shelf->identity) != 0) return -1;
        hd_identity_insert(&shelf->identity, key, (uint32_t)shelf->indexed);
    }
    return 0;
}

/* A key that is a number. All that wait for the map are numbers. */
static bool is_number(const hd_shelf *shelf, const hd_value *key) {
    return shelf->key_count == 1 && key->kind == HD_INT;
}

static uint32_t search(const hd_shelf *shelf, int64_t number) {
    for (size_t slot = shelf->indexed; slot < shelf->count; slot++) {
        const hd_key *key = &shelf->rows[slot].key;
        if (key->used && key->length == 0 && key->as.number == number) return (uint32_t)slot;
    }
    return HD_NO_SLOT;
}

uint32_t hd_shelf_find(hd_shelf *shelf, const hd_value *key) {
    if (!shelf->count || !shelf->key_count) return HD_NO_SLOT;
    if (is_number(shelf, key)) {
        if (key->as.i > shelf->highest) return HD_NO_SLOT;
        if (shelf->indexed < shelf->count && index_keys(shelf) != 0) {
            uint32_t slot = search(shelf, key->as.i);
            if (slot != HD_NO_SLOT) return slot;
        }
    }
    return hd_identity_find(&shelf->identity, &shelf->rows->key, sizeof *shelf->rows, key);
}

static uint32_t fresh_slot(hd_shelf *shelf) {
    hd_session *session = shelf->session;
    if (shelf->free_count > 0 && session->undo.marks == 0)
        return shelf->free_slots[--shelf->free_count];
    if (shelf->count >= HD_NO_SLOT - 1 ||
        hd_grow(session->mem, (void **)&shelf->rows, &shelf->capacity, shelf->count + 1,
                sizeof *shelf->rows) != 0)
        return HD_NO_SLOT;
    memset(&shelf->rows[shelf->count], 0, sizeof *shelf->rows);
    return (uint32_t)shelf->count++;
}

uint32_t hd_shelf_add(hd_shelf *shelf, hd_row_state state) {
    if (shelf->count < shelf->capacity && !shelf->free_count && !shelf->session->undo.marks) {
        shelf->rows[shelf->count] = (shelf_row){.state = (uint8_t)state};
        return (uint32_t)shelf->count++;
    }
    bool failed, journaled = journal(shelf, &failed);
    if (failed) return HD_NO_SLOT;
    uint32_t slot = fresh_slot(shelf);
    if (slot == HD_NO_SLOT) return slot;
    if (journaled) push(shelf, HD_UNDO_STATE, slot, HD_ROW_FREE, 0);
    shelf->rows[slot].state = (uint8_t)state;
    return slot;
}

/* A free slot is remembered for reuse; when even that list cannot grow it is merely never used again. */
static void note_free(hd_shelf *shelf, uint32_t slot) {
    if (hd_grow(shelf->session->mem, (void **)&shelf->free_slots, &shelf->free_capacity,
                shelf->free_count + 1, sizeof *shelf->free_slots) == 0)
        shelf->free_slots[shelf->free_count++] = slot;
}

int hd_shelf_set_state(hd_shelf *shelf, uint32_t slot, hd_row_state state) {
    shelf_row *row = &shelf->rows[slot];
    if (row->state == state) return 0;
    bool failed;
    if (journal(shelf, &failed)) push(shelf, HD_UNDO_STATE, slot, row->state, 0);
    if (failed) return -1;
    row->state = (uint8_t)state;
    if (state == HD_ROW_FREE && shelf->session->undo.marks == 0) note_free(shelf, slot);
    return 0;
}

/* ---- Keys ---- */

bool hd_shelf_has_key(const hd_shelf *shelf, uint32_t slot) {
    return slot < shelf->count && shelf->rows[slot].key.used;
}

bool hd_shelf_key(const hd_shelf *shelf, uint32_t slot, hd_value *key) {
    if (!hd_shelf_has_key(shelf, slot)) return false;
    hd_key_read(&shelf->rows[slot].key, key, shelf->key_count);
    return true;
}

/* Nobody has the key. It waits for the map where those around it do. */
static int give_key(hd_shelf *shelf, uint32_t slot, const hd_value *key) {
    bool number = is_number(shelf, key), waits = number && key->as.i > shelf->highest;
    bool failed, journaled = journal(shelf, &failed);
    if (!waits && index_keys(shelf) != 0) return -1;
    if (failed || (slot < shelf->indexed && hd_identity_reserve(&shelf->identity) != 0)) return -1;
    if (hd_key_make(shelf->session->mem, key, shelf->key_count, &shelf->rows[slot].key) != 0)
        return -1;
    if (slot < shelf->indexed) hd_identity_insert(&shelf->identity, &shelf->rows[slot].key, slot);
    if (waits) shelf->highest = key->as.i;
    if (journaled) push(shelf, HD_UNDO_KEY_SET, slot, 0, 0);
    return 0;
}

int hd_shelf_set_key(hd_shelf *shelf, uint32_t slot, const hd_value *key) {
    /* Rows of an entity without a key are found by nobody. */
    if (shelf->key_count == 0) return 0;
    return hd_shelf_find(shelf, key) != HD_NO_SLOT ? 1 : give_key(shelf, slot, key);
}

/* The usual row of a large result: its key is a number higher than all, nothing is journaled, and there is room. */
static bool append(hd_shelf *shelf, const hd_value *key, hd_row_state state) {
    if (shelf->count == shelf->capacity || shelf->free_count > 0 || !is_number(shelf, key) ||
        key->as.i <= shelf->highest || shelf->session->undo.marks > 0)
        return false;
    shelf_row *row = &shelf->rows[shelf->count++];
    *row = (shelf_row){.key = {.as.number = key->as.i, .used = true}, .state = (uint8_t)state};
    shelf->highest = key->as.i;
    return true;
}

uint32_t hd_shelf_enter(hd_shelf *shelf, const hd_value *key, hd_row_state state, bool *is_new) {
    *is_new = append(shelf, key, state);
    if (*is_new) return (uint32_t)shelf->count - 1;
    uint32_t slot = hd_shelf_find(shelf, key);
    *is_new = slot == HD_NO_SLOT;
    if (!*is_new) return slot;
    slot = hd_shelf_add(shelf, state);
    if (slot == HD_NO_SLOT || shelf->key_count == 0) return slot;
    return give_key(shelf, slot, key) == 0 ? slot : HD_NO_SLOT;
}

int hd_shelf_drop_key(hd_shelf *shelf, uint32_t slot) {
    hd_session *session = shelf->session;
    shelf_row *row = &shelf->rows[slot];
    if (!row->key.used) return 0;
    bool failed, journaled = journal(shelf, &failed);
    if (failed || index_keys(shelf) != 0) return -1;
    if (journaled && hd_grow(session->mem, (void **)&session->dropped, &session->dropped_capacity,
                             session->dropped_count + 1, sizeof *session->dropped) != 0)
        return -1;
    hd_identity_remove(&shelf->identity, &row->key, slot);
    if (journaled) {
        push(shelf, HD_UNDO_KEY_DROPPED, slot, 0, session->dropped_count);
        session->dropped[session->dropped_count++] = row->key;
        memset(&row->key, 0, sizeof row->key);
    } else {
        hd_key_free(session->mem, &row->key);
    }
    return 0;
}

int hd_shelf_remove(hd_shelf *shelf, uint32_t slot) {
    return hd_shelf_drop_key(shelf, slot) != 0 ? -1 : hd_shelf_set_state(shelf, slot, HD_ROW_FREE);
}

/* ---- Marks ---- */

hd_mark hd_session_mark(hd_session *session) {
    session->undo.marks++;
    return session->undo.count;
}

bool hd_session_has_marks(const hd_session *session) {
    return session->undo.marks > 0;
}

int hd_session_note(hd_session *session, uint64_t token) {
    bool failed;
    hd_undo_entry entry = {HD_UNDO_HOST, 0, 0, 0, token};
    if (hd_undo_ready(&session->undo, &failed)) hd_undo_push(&session->undo, entry);
    return failed ? -1 : 0;
}

/* Slots that were freed while marks were open can be used again once none is. */
static void collect_free_slots(hd_session *session) {
    for (size_t i = 0; i < session->shelf_count; i++) {
        hd_shelf *shelf = session->shelves[i];
        if (!shelf) continue;
        shelf->free_count = 0;
        for (size_t slot = shelf->count; slot-- > 0;) {
            if (shelf->rows[slot].state == HD_ROW_FREE) note_free(shelf, (uint32_t)slot);
        }
    }
}

/* A session that was cleared in between has no mark left to close. */
static void close_mark(hd_session *session, bool freed) {
    if (session->undo.marks == 0 || --session->undo.marks > 0) return;
    session->undo.count = 0;
    drop_journaled_keys(session, 0);
    if (freed) collect_free_slots(session);
}

/* Reverses one entry. Putting a key back cannot fail: the table never shrinks while a mark is open. */
static void reverse(hd_session *session, const hd_undo_entry *entry) {
    hd_shelf *shelf = session->shelves[entry->shelf];
    shelf_row *row = &shelf->rows[entry->slot];
    switch (entry->kind) {
    case HD_UNDO_STATE:
        row->state = entry->state;
        break;
    case HD_UNDO_KEY_SET:
        hd_identity_remove(&shelf->identity, &row->key, entry->slot);
        hd_key_free(session->mem, &row->key);
        break;
    case HD_UNDO_KEY_DROPPED:
        row->key = session->dropped[entry->word];
        session->dropped_count = (size_t)entry->word;
        hd_identity_insert(&shelf->identity, &row->key, entry->slot);
        break;
    default:
        break;
    }
}

bool hd_session_rollback(hd_session *session, hd_mark mark, uint64_t *token) {
    hd_undo_entry entry;
    while (hd_undo_pop(&session->undo, mark, &entry)) {
        if (entry.kind == HD_UNDO_HOST) {
            *token = entry.word;
            return true;
        }
        reverse(session, &entry);
    }
    close_mark(session, true);
    return false;
}

void hd_session_forget(hd_session *session, hd_mark mark) {
    bool freed = false;
    for (size_t i = mark; i < session->undo.count && session->undo.marks == 1 && !freed; i++) {
        const hd_undo_entry *entry = &session->undo.entries[i];
        if (entry->kind != HD_UNDO_STATE) continue;
        freed = session->shelves[entry->shelf]->rows[entry->slot].state == HD_ROW_FREE;
    }
    close_mark(session, freed);
}
