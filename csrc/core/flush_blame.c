/* Blame: from what the driver said to which row it was about. A statement's place tells the
 * entity; the row is told by a guard ("heddle_stale:N"), by the execution of a repeated text, or
 * by there being one row only. A missed row is optimistic_lock where the version was part of the
 * write, else not_found. Two faults teach something and the same changes can be flushed again:
 * keys that this role may not ask for, and keys that came out otherwise than sent; so they can when
 * a spare value was somebody's, or when a block of rows failed, which can go one by one. */
#include <stdlib.h>
#include <string.h>

#include "flush_parts.h"
#include "write_sql.h"

/* ---- keys ---- */

static bool says(const hd_error *err, const char *words) {
    return (err->cause && strstr(err->cause, words)) || (err->detail && strstr(err->detail, words));
}

/* Errors that say nothing of the statement, and would come again. */
static bool is_of_the_moment(hd_error_kind kind) {
    return kind == HD_E_CONNECTION || kind == HD_E_LOCK_TIMEOUT || kind == HD_E_TIMEOUT ||
           kind == HD_E_CANCELED || kind == HD_E_DEADLOCK || kind == HD_E_SERIALIZATION_FAILURE;
}

/* The lock that COPY needs asks for a right that an INSERT of some columns does not, and not
 * everything that takes rows can be locked: rows are inserted then. */
static bool is_look(const hd_key_request *request, int32_t statement) {
    return request->look && statement >= 0 &&
           (statement == (int32_t)request->look - 1 || statement == (int32_t)request->look);
}

/* SQLite without a single AUTOINCREMENT table has no sqlite_sequence. */
static bool blame_keys(hd_flush *flush, const hd_error *err) {
    bool forbidden = !strcmp(err->sqlstate, "42501"), no_sequences = says(err, "sqlite_sequence"),
         again = false;
    for (uint32_t i = 0; i < flush->request_count; i++) {
        if (is_look(&flush->requests[i], err->statement) && !is_of_the_moment(err->kind))
            return flush->requests[i].entity->uncopied = true;
    }
    for (uint32_t i = 0; i < flush->request_count && (forbidden || no_sequences); i++) {
        hd_entity *entity = flush->requests[i].entity;
        if (err->statement >= 0 && err->statement != (int32_t)i) continue;
        if (forbidden)
            entity->key_source = HD_KEY_RETURNING;
        else if (!entity->autoincrement)
            continue;
        else
            entity->autoincrement = false;
        again = true;
    }
    return again;
}

/* ---- missed rows ---- */

static const char *stale_mark(const hd_error *err) {
    const char *mark = err->cause ? strstr(err->cause, HD_STALE_MARK) : NULL;
    return mark ? mark + strlen(HD_STALE_MARK) : NULL;
}

static const hd_flush_part *blamed_part(const hd_flush *flush, const hd_error *err) {
    if (flush->stage != HD_FLUSH_BODY || !flush->parts || err->statement < 0) return NULL;
    if ((uint32_t)err->statement >= flush->batch.count) return NULL;
    const hd_flush_part *part = &flush->parts[err->statement];
    return part->shape ? part : NULL;
}

/* Of a statement for several shapes the piece that the guard, or the error's table, names. */
static const hd_flush_part *blamed_piece(const hd_flush_part *part, const hd_error *err,
                                         const char *mark) {
    const char *number = mark ? strchr(mark, '/') : NULL;
    uint32_t at = number ? (uint32_t)strtoul(number + 1, NULL, 10) : 0;
    if (!part->pieces) return part;
    if (number) return &part->pieces[at < part->piece_count ? at : 0];
    for (uint32_t k = 0; err->table && k < part->piece_count; k++) {
        if (!strcmp(part->pieces[k].shape->entity->table_plain, err->table))
            return &part->pieces[k];
    }
    return part;
}

/* The row by the guard's number, which an INSERT that only counts does not give. */
static int64_t guarded_row(const hd_flush_part *part, const char *mark) {
    if (part->shape->op == HD_INSERT && part->match != HD_MATCH_ORDINAL) return -1;
    int64_t n = 0;
    for (; *mark >= '0' && *mark <= '9' && n <= part->rows; mark++) n = n * 10 + (*mark - '0');
    return n - 1;
}

static int64_t executed_row(const hd_flush_part *part, const hd_error *err) {
    if (part->rows == 1) return 0;
    return part->per == 1 ? err->row : -1;
}

static hd_change *change_at(const hd_flush *flush, const hd_flush_part *part, int64_t row) {
    return row >= 0 && row < part->rows ? hd_flush_row(flush, part, (uint32_t)row) : NULL;
}

void hd_flush_word_missed(const hd_flush_part *part, hd_error *err) {
    const hd_write_shape *shape = part->shape;
    const char *entity = shape->entity->name;
    int32_t statement = err->statement;
    int64_t row = err->row;
    if (shape->op == HD_INSERT) {
        hd_error_set(
            err, HD_E_NOT_FOUND,
            "%s: the table did not keep every inserted row under the key that was sent (a"
            " trigger or a rule?); with check_rows = false on the entity rows are not counted",
            entity);
    } else if (shape->versioned) {
        hd_error_set(err, HD_E_OPTIMISTIC_LOCK,
                     "%s: the row was changed or deleted by somebody else since it was read",
                     entity);
    } else {
        hd_error_set(err, HD_E_NOT_FOUND, "%s: the row to %s is not there", entity,
                     shape->op == HD_UPDATE ? "update" : "delete");
    }
    err->statement = statement;
    err->row = row;
}

/* Keys that were left out are sent next time. Those that a trigger chose cannot be told beforehand: next time the INSERT
 * tells them. */
static bool learn_keys(const hd_flush *flush, const hd_flush_part *part) {
    if (part->shape->op != HD_INSERT || !part->shape->keys_fetched) return false;
    hd_entity *entity = hd_flush_row(flush, part, 0)->entity;
    if (part->counts_keys)
        entity->sends_keys = true;
    else
        entity->key_source = HD_KEY_RETURNING;
    return true;
}

/* ---- constraints ---- */

static bool is_constraint(hd_error_kind kind) {
    return kind == HD_E_UNIQUE_VIOLATION || kind == HD_E_FOREIGN_KEY_VIOLATION ||
           kind == HD_E_NOT_NULL_VIOLATION || kind == HD_E_CHECK_VIOLATION;
}

/* The only column of the constraint that the error names, or -1. */
static int constrained_column(const hd_entity *e, const hd_error *err) {
    size_t table = strlen(e->table_plain);
    for (uint16_t u = 0; u < e->unique_count; u++) {
        const hd_unique *unique = &e->uniques[u];
        if (unique->count == 1 && unique->name && !strcmp(unique->name, err->constraint))
            return unique->columns[0];
    }
    for (uint16_t k = 0; k < e->foreign_key_count; k++) {
        const hd_foreign_key *fk = &e->foreign_keys[k];
        if (fk->count == 1 && fk->name && !strcmp(fk->name, err->constraint)) return fk->columns[0];
    }
    bool primary = !strncmp(err->constraint, e->table_plain, table) &&
                   !strcmp(err->constraint + table, "_pkey");
    return primary && e->key_count == 1 ? e->key[0] : -1;
}

static void name_column(const hd_entity *e, hd_error *err) {
    if (!is_constraint(err->kind)) return;
    if (!err->table) hd_error_text(err, &err->table, e->table_plain, strlen(e->table_plain));
    if (err->column || !err->constraint) return;
    if (err->table && strcmp(err->table, e->table_plain) != 0)
        return; /* of a table that refers to this one */
    int column = constrained_column(e, err);
    if (column >= 0)
        hd_error_text(err, &err->column, e->columns[column].name, e->columns[column].name_len);
}

/* Keys were left out that the table does not count out. */
static bool lacks_key(const hd_entity *e, const hd_error *err) {
    return err->kind == HD_E_NOT_NULL_VIOLATION && err->column &&
           !strcmp(err->column, e->columns[e->auto_key].name);
}

hd_entity *hd_flush_blamed_entity(const hd_flush *flush, const hd_error *err) {
    for (uint32_t i = 0; flush->stage == HD_FLUSH_KEYS && i < flush->request_count; i++) {
        if (err->statement == (int32_t)i || is_look(&flush->requests[i], err->statement))
            return flush->requests[i].entity;
    }
    const hd_flush_part *part = blamed_part(flush, err);
    return part ? hd_flush_row(flush, blamed_piece(part, err, stale_mark(err)), 0)->entity : NULL;
}

/* Row by row it may go well, and says else which row is to blame. */
static bool go_singly(hd_flush *flush, const hd_flush_part *part, const hd_error *err) {
    bool strayed = flush->batch.statements[err->statement].strayed;
    if (strayed) hd_flush_row(flush, part, 0)->entity->steps_rows = true;
    return flush->singly = true;
}

bool hd_flush_blame(hd_flush *flush, hd_error *err, hd_change **change) {
    *change = NULL;
    if (flush->stage == HD_FLUSH_KEYS) return blame_keys(flush, err);
    const hd_flush_part *part = blamed_part(flush, err);
    if (!part) return false;
    if (part->in_blocks && !is_of_the_moment(err->kind)) return go_singly(flush, part, err);
    const char *mark = stale_mark(err);
    part = blamed_piece(part, err, mark);
    bool missed = mark || err->kind == HD_E_OPTIMISTIC_LOCK || err->kind == HD_E_NOT_FOUND;
    int64_t row = mark ? guarded_row(part, mark) : -1;
    *change = change_at(flush, part, row >= 0 ? row : executed_row(part, err));
    if (!missed) {
        name_column(part->shape->entity, err);
        if (part->counts_keys && lacks_key(part->shape->entity, err))
            return learn_keys(flush, part);
        return part->shape->parks && err->kind == HD_E_UNIQUE_VIOLATION;
    }
    hd_flush_word_missed(part, err);
    return learn_keys(flush, part);
}
