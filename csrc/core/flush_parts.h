/* Inside of a flush, shared by its rooms: flush.c (life), flush_switch.c (row switch),
 * flush_plan.c (versions, keys, order), flush_plain.c (where no order is to be found),
 * flush_cycle.c (breaking cycles), flush_park.c (rows at spare values), flush_keys.c, flush_body.c
 * (batches), flush_result.c (what comes back), flush_blame.c (errors). */
#ifndef HD_FLUSH_PARTS_H
#define HD_FLUSH_PARTS_H

#include "base/buffer.h"
#include "constraints.h"
#include "flush.h"
#include "spare.h"
#include "write_shape.h"

/* Which batch is out, or was last. */
typedef enum hd_flush_stage {
    HD_FLUSH_GATHERED = 0,
    HD_FLUSH_PLANNED,
    HD_FLUSH_KEYS,
    HD_FLUSH_BODY,
    HD_FLUSH_DONE
} hd_flush_stage;

/* What one statement of a body batch writes: `rows` nodes of the order from `first` on, `per` in
 * each execution. A statement for rows of several shapes has its pieces one after the other. */
typedef struct hd_flush_part hd_flush_part;
struct hd_flush_part {
    const hd_write_shape *shape; /* of the first piece; NULL: no rows (deferral) */
    const hd_flush_part *pieces; /* NULL: it is one itself */
    uint32_t piece_count;
    uint32_t first, rows, per;
    uint8_t match;    /* hd_write_match */
    bool last_id;     /* the key is the driver's last_id */
    bool counts_keys; /* keys that were told are left out, see flush_counted.c */
    bool searches;    /* it looks for one of those */
    bool in_blocks;   /* rows that can also go one by one, see flush_blocks.c */
    uint32_t seen;    /* rows that came back */
};

/* The keys that one statement of the keys batch asks for. */
typedef struct hd_key_request {
    hd_entity *entity;
    uint16_t column;
    uint32_t *changes; /* change indexes in call order */
    uint32_t count, answered;
    uint32_t look;   /* statement that tells whether COPY is possible, behind its lock; 0: none */
    bool copies;     /* it is */
    bool refused;    /* NULL came: it cannot be asked for */
    int64_t highest; /* key in use, where that is what comes back */
} hd_key_request;

struct hd_flush {
    const hd_allocator *mem;
    hd_flush_options options;
    hd_arena arena; /* changes and values, till the end */
    hd_arena work;  /* plan, texts, parameters, till the next plan */
    hd_change **changes;
    size_t count, capacity;
    hd_flush_stage stage;
    hd_write *writes;
    uint32_t write_count;
    uint32_t *by_change; /* first write of each change, UINT32_MAX: none */
    hd_order order;
    uint8_t *dropped; /* by label of a constraint: its edges do not count; NULL: none */
    hd_spare *spares; /* by label, see hd_flush_spare_of; NULL: none was asked for */
    hd_spare_source spare_source;
    struct { /* of the batch that is built, see hd_flush_least_coming */
        const hd_entity *entity;
        uint16_t column;
        hd_value value;
    } least;
    bool bare, deferred;
    bool singly; /* a block has failed */
    bool roomy;  /* see hd_flush_make_room */
    hd_key_request *requests;
    uint32_t request_count;
    hd_batch batch;
    hd_flush_part *parts;        /* of the body batch that is out, one for each statement */
    uint32_t statement_capacity; /* of both */
    uint32_t next_run;
};

/* flush_plan.c: everything but versions, again; keys that came meanwhile are kept. */
hd_error_kind hd_flush_arrange(hd_flush *flush, hd_error *err);

/* flush_plain.c: whether the writes are all of one shape and no constraint can stand between them,
 * or there is but one; their order then. False: out of memory. */
bool hd_flush_is_plain(const hd_flush *flush);
bool hd_flush_order_plainly(hd_flush *flush);
/* Whether rows written like this one may meet another of their kind. */
bool hd_flush_may_meet(const hd_write *write);

/* flush_switch.c: finds the rows that are deleted and inserted under one key. False: out of
 * memory. */
bool hd_flush_link_twins(hd_flush *flush);
bool hd_flush_may_unlink_twins(const hd_flush *flush); /* there are any, and nobody would notice */
void hd_flush_unlink_twins(hd_flush *flush);

/* flush_cycle.c: changes the plan so that the cycle of `order` is gone. False: no way (or out of
 * memory), and err says so. */
bool hd_flush_break_cycle(hd_flush *flush, const hd_edges *edges, const hd_order *order,
                          hd_error *err);

/* The same: room for two more writes of every change, so that pointers to writes stay where they
 * are. False: out of memory. */
bool hd_flush_make_room(hd_flush *flush);

/* flush_refuse.c: commit_order in words: rows, constraints, what can be done. */
void hd_flush_refuse(const hd_flush *flush, const hd_edges *edges, const hd_order *order,
                     hd_error *err);

/* flush_ring.c: whether one statement can write the cycle's rows; marks them, and all others in
 * cycles of the same constraints. False: out of memory. */
bool hd_flush_can_be_whole(const hd_flush *flush, const hd_edges *edges, const hd_order *order);
bool hd_flush_make_whole(hd_flush *flush, const hd_edges *edges, const hd_order *order);

/* flush_park.c: parks rows whose unique values would take more than two statements one after the
 * other, or go round. *parked: there are any, and edges are to be looked for again. */
bool hd_flush_park_chains(hd_flush *flush, const hd_edges *edges, bool *parked);
/* Whether parking the row that gives up a unique value makes the edge harmless. */
bool hd_flush_can_park(hd_flush *flush, const hd_edges *edges, const hd_order_edge *edge);
/* Parks every row that gives up a value by this constraint. */
bool hd_flush_park(hd_flush *flush, const hd_edges *edges, uint32_t label);
/* The least value that the rows of the flush have in the column behind it, NULL when none is
 * known: what is put below all others has to stay below these, too. */
hd_value hd_flush_least_coming(hd_flush *flush, const hd_entity *entity, uint16_t column);

/* flush_keys.c: takes a row of the keys batch; hands all keys out when it has ended. */
hd_error_kind hd_flush_take_key(hd_flush *flush, const hd_row *row, hd_error *err);
hd_error_kind hd_flush_settle_keys(hd_flush *flush, hd_error *err);

/* The request for keys of the entity, NULL: there is none. */
hd_key_request *hd_flush_request_of(const hd_flush *flush, const hd_entity *entity);

/* flush_copy.c: whether it is to be asked if the rows that get these keys may be sent by COPY; the
 * two statements that ask (request->look says where); whether the run is sent so, and its
 * statement. */
bool hd_flush_wants_copy(const hd_flush *flush, const hd_key_request *request);
bool hd_flush_ask_to_copy(hd_flush *flush, const hd_key_request *request);
bool hd_flush_copies(const hd_flush *flush, const hd_order_run *run, const hd_write_shape *shape);
bool hd_flush_build_copy(hd_flush *flush, const hd_order_run *run, const hd_write_shape *shape,
                         hd_error *err);

/* flush_counted.c: whether the run's rows are written without the keys that they were told; takes these out of its shape;
 * another statement, which looks for the last of them (those from `first` on have written the rows); whether the keys are
 * what the statement has written. */
bool hd_flush_counts_keys(const hd_flush *flush, const hd_order_run *run,
                          const hd_write_shape *shape);
void hd_flush_leave_keys_out(hd_write_shape *shape);
bool hd_flush_search_key(hd_flush *flush, uint32_t first, hd_error *err);
bool hd_flush_counted_well(const hd_flush *flush, uint32_t statement);

/* flush_blocks.c: whether the run's rows may be updated in blocks, and whether these pay; whether one block can be met on
 * a walk, for which the run's rows are put in order; whether a block that has run has done nothing else. */
bool hd_flush_may_take_blocks(const hd_flush *flush, const hd_order_run *run,
                              const hd_write_shape *shape);
bool hd_flush_blocks_pay(const hd_flush *flush, const hd_order_run *run);
bool hd_flush_walks(hd_flush *flush, const hd_order_run *run, const hd_write_shape *shape);
bool hd_flush_block_is_sound(const hd_flush *flush, uint32_t statement);

/* flush_statement.c: another statement of the body batch, of one execution. NULL: out of memory. */
hd_statement *hd_flush_add_statement(hd_flush *flush, const hd_flush_part *part);
void hd_flush_set_text(hd_statement *statement, const char *text, size_t len);
bool hd_flush_take_text(hd_flush *flush, hd_statement *statement, hd_buffer *sql); /* frees sql */
/* Parameters of the rows from position `first` of the order on; NULL: err says why. */
hd_value *hd_flush_params(hd_flush *flush, const hd_write_shape *shape, hd_write_form form,
                          uint32_t first, uint32_t rows, hd_error *err);

/* flush_whole.c: the statements of a run whose rows are of several shapes. */
bool hd_flush_build_whole(hd_flush *flush, const hd_order_run *run, hd_error *err);

/* flush_result.c */
hd_error_kind hd_flush_sink(void *ctx, const hd_row *row, hd_error *err);
/* Puts a value that came from the database or the core into the change (bytes are copied). */
bool hd_flush_store(hd_flush *flush, hd_change *change, uint16_t column, const hd_value *value);
/* Counts of the batch that has run. */
hd_error_kind hd_flush_settle_batch(hd_flush *flush, hd_error *err);
/* The value itself, or that of the row that a pending reference stands for. False: not known
 * (yet). */
bool hd_flush_resolve(const hd_flush *flush, const hd_change *change, uint16_t column,
                      const hd_value *value, hd_value *out);

/* flush_blame.c: optimistic_lock or not_found, in words; statement and row of the error stay. */
void hd_flush_word_missed(const hd_flush_part *part, hd_error *err);

static inline hd_change *hd_flush_row(const hd_flush *flush, const hd_flush_part *part,
                                      uint32_t row) {
    return flush->writes[flush->order.nodes[part->first + row]].change;
}

#endif
