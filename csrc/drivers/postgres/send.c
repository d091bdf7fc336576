/* Sending a batch. One pipeline with one sync at its end, whatever the number of statements.
 * Scripts (simple) and COPY cannot be part of a pipeline: each waits until all before it is answered, and
 * the rest of the batch waits for it.
 *
 * libpq is given no more than the socket takes: what stands in its output buffer is bounded, and
 * the caller reads results while it waits for the socket to take more, so neither side blocks the
 * other.
 *
 * Statements that the cache evicted are closed in a segment of their own in front of a batch that
 * begins outside a transaction, where their failure would harm nothing. */
#include <string.h>

#include "connection.h"

#define FLUSH_AT 65536u

static bool out_of_memory(hd_pg *pg) {
    hd_error_memory(&pg->run.error);
    hd_pg_fail_at(&pg->run, pg->run.statement, pg->run.execution);
    return false;
}

/* libpq refused. Without memory that is the error; without a connection receiving what is still
 * there will tell better, unless nothing is awaited. */
static bool refused(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    run->stopped = true;
    if (PQstatus(pg->pq) == CONNECTION_BAD) {
        if (run->head != run->tail) return false;
        hd_pg_report_lost(&run->error, pg->pq);
    } else {
        const char *cause = PQerrorMessage(pg->pq);
        hd_error_set(&run->error, HD_E_DRIVER, "libpq could not send a statement");
        hd_error_text(&run->error, &run->error.cause, cause, strcspn(cause, "\n"));
    }
    hd_pg_fail_at(run, run->statement, run->execution);
    return false;
}

/* ---- What is awaited ---- */

static bool reserve(hd_pg *pg, size_t more) {
    hd_pg_run *run = &pg->run;
    if (run->head == run->tail) run->head = run->tail = 0;
    void *replies = run->replies;
    if (hd_grow(pg->base.mem, &replies, &run->capacity, run->tail + more, sizeof(hd_pg_reply)) !=
        0) {
        return out_of_memory(pg);
    }
    run->replies = replies;
    return true;
}

static void expect_reply(hd_pg_run *run, hd_pg_reply_kind kind, hd_pg_prepared *entry) {
    run->replies[run->tail++] = (hd_pg_reply){kind, run->statement, run->execution, entry};
}

/* Ends what was sent since the last sync. Its place among the replies was reserved. */
static bool sync_pipeline(hd_pg *pg, hd_pg_reply_kind kind) {
    pg->run.open = false;
    if (!PQpipelineSync(pg->pq)) {
        pg->broken = true; /* without it the server never answers */
        return refused(pg);
    }
    expect_reply(&pg->run, kind, NULL);
    return true;
}

/* ---- One execution ---- */

static const char *terminated(hd_pg *pg, const hd_statement *s) {
    hd_buffer_clear(&pg->text);
    hd_buffer_add(&pg->text, s->sql, s->sql_len);
    const char *text = hd_buffer_text(&pg->text);
    return pg->text.failed ? NULL : text;
}

/* The statement's name, its Parse sent if need be; entry NULL: it runs unnamed. False: failed. */
static bool name_statement(hd_pg *pg, const hd_statement *s, hd_pg_prepared **entry, char *name) {
    const hd_pg_params *params = &pg->params;
    hd_pg_run *run = &pg->run;
    *entry =
        hd_pg_statements_find(&pg->cache, s->sql, s->sql_len, s->hash, params->oids, params->count);
    bool known = *entry != NULL;
    if (!known) {
        *entry = hd_pg_statements_add(&pg->cache, s->sql, s->sql_len, s->hash, params->oids,
                                      params->count);
    }
    if (!*entry) return true;
    hd_pg_statements_name((*entry)->number, name);
    if (known) {
        run->reused |= !(*entry)->pending;
        return true;
    }
    if (!PQsendPrepare(pg->pq, name, (*entry)->sql, (int)params->count, params->oids)) {
        return refused(pg);
    }
    expect_reply(run, HD_PG_PARSE, *entry);
    run->open = true;
    run->unflushed += s->sql_len;
    return true;
}

/* Binary where it is known what comes. A type that Heddle has no word for has a text form always,
 * and a binary one that nobody here reads; the format is the whole result's. */
static int result_format(const hd_statement *s) {
    if (!s->types) return 0;
    for (uint32_t i = 0; i < s->type_count; i++) {
        if (s->types[i] == HD_T_UNKNOWN) return 0;
    }
    return 1;
}

static bool send_unnamed(hd_pg *pg, const hd_statement *s) {
    const hd_pg_params *params = &pg->params;
    const char *text = terminated(pg, s);
    if (!text) return out_of_memory(pg);
    pg->run.unflushed += s->sql_len;
    return PQsendQueryParams(pg->pq, text, (int)params->count, params->oids, params->values,
                             params->lengths, params->formats, result_format(s)) ||
           refused(pg);
}

static bool send_named(hd_pg *pg, const hd_statement *s, const char *name) {
    const hd_pg_params *params = &pg->params;
    return PQsendQueryPrepared(pg->pq, name, (int)params->count, params->values, params->lengths,
                               params->formats, result_format(s)) ||
           refused(pg);
}

static bool send_execution(hd_pg *pg, hd_statement *s) {
    hd_pg_run *run = &pg->run;
    const hd_value *values = s->params + (size_t)run->execution * s->param_count;
    hd_pg_prepared *entry = NULL;
    char name[HD_PG_NAME];
    if (!reserve(pg, 3)) return false; /* Parse, execution, sync */
    if (hd_pg_params_encode(&pg->params, values, s->param_count, &run->error) != HD_OK) {
        hd_pg_fail_at(run, run->statement, run->execution);
        return false;
    }
    if (s->cache && !name_statement(pg, s, &entry, name)) return false;
    if (!(entry ? send_named(pg, s, name) : send_unnamed(pg, s))) return false;
    expect_reply(run, HD_PG_EXECUTE, NULL);
    run->open = true;
    run->unflushed += pg->params.size + 64;
    s->sent = true;
    return true;
}

/* ---- Scripts and closing ---- */

static bool send_script(hd_pg *pg, hd_statement *s) {
    if (!reserve(pg, 1)) return false;
    const char *text = terminated(pg, s);
    if (!text) return out_of_memory(pg);
    if (!PQexitPipelineMode(pg->pq)) return refused(pg);
    if (!PQsendQuery(pg->pq, text)) {
        refused(pg);
        pg->broken |= !PQenterPipelineMode(pg->pq);
        return false;
    }
    expect_reply(&pg->run, s->copy ? HD_PG_COPY : HD_PG_SIMPLE, NULL);
    s->sent = true;
    return true;
}

static bool send_closing(hd_pg *pg) {
    char text[32], name[HD_PG_NAME];
    size_t n = pg->cache.closing_count;
    if (!reserve(pg, n + 1)) return false;
    for (size_t i = 0; i < n; i++) {
        hd_pg_statements_name(pg->cache.closing[i], name);
        memcpy(text, "DEALLOCATE ", 11);
        memcpy(text + 11, name, sizeof name);
        if (!PQsendQueryParams(pg->pq, text, 0, NULL, NULL, NULL, NULL, 0)) return refused(pg);
        expect_reply(&pg->run, HD_PG_CLOSE, NULL);
        pg->run.open = true;
    }
    pg->run.closing = n;
    return sync_pipeline(pg, HD_PG_CLOSED);
}

/* ---- The batch ---- */

static bool flushed(hd_pg *pg) {
    if (PQflush(pg->pq) != 0) return false;
    pg->run.unflushed = 0;
    return true;
}

bool hd_pg_resume(hd_pg_run *run) {
    bool paused = run->unflushed >= FLUSH_AT;
    run->unflushed = 0;
    return paused;
}

static void advance(hd_pg_run *run) {
    const hd_statement *s = &run->statements[run->statement];
    if (++run->execution < s->repeat) return;
    run->execution = 0;
    run->statement++;
}

static bool is_apart(const hd_statement *s) {
    return s->simple || s->copy;
}

/* What cannot be part of a pipeline, at the head of the batch: sent when all before it is
 * answered. */
static void reach_apart(hd_pg *pg, hd_statement *s) {
    hd_pg_run *run = &pg->run;
    if (run->open) sync_pipeline(pg, HD_PG_SYNC);
    if (run->head != run->tail) return;
    if (send_script(pg, s)) run->statement++;
}

static bool next_statement(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    hd_statement *s = &run->statements[run->statement];
    if (run->unflushed >= FLUSH_AT && !flushed(pg)) return false;
    if (is_apart(s)) {
        reach_apart(pg, s);
        return false;
    }
    if (!send_execution(pg, s)) return false;
    advance(run);
    return !(s->flush && run->execution == 0) || PQsendFlushRequest(pg->pq) || refused(pg);
}

static bool runs_apart(const hd_pg_run *run) {
    if (run->head == run->tail) return false;
    hd_pg_reply_kind kind = run->replies[run->tail - 1].kind;
    return kind == HD_PG_SIMPLE || kind == HD_PG_COPY;
}

bool hd_pg_sending(const hd_pg *pg) {
    const hd_pg_run *run = &pg->run;
    return run->open || run->copying || (!run->stopped && run->statement < run->count);
}

/* Nothing of the batch was sent yet, and it does not begin with a script. */
static bool may_close(const hd_pg *pg) {
    const hd_pg_run *run = &pg->run;
    return pg->cache.closing_count && run->was_idle && run->tail == 0 && run->statement == 0 &&
           run->count && !is_apart(&run->statements[0]);
}

void hd_pg_send(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    if (run->copying) {
        hd_pg_copy_rows(pg);
        return;
    }
    if (may_close(pg)) send_closing(pg);
    while (!run->stopped && run->statement < run->count && !runs_apart(run)) {
        if (!next_statement(pg)) break;
    }
    if (run->open && (run->stopped || run->statement == run->count)) sync_pipeline(pg, HD_PG_SYNC);
    PQflush(pg->pq);
}
