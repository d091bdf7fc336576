/* COPY: many rows to one table, faster than any statement takes them. It is no part of a pipeline:
 * the server says that it is ready, the rows go as a stream, and its end is answered. A row's
 * values are the fields of the binary form, which are what elements of binary arrays are.
 *
 * The stream is made in pieces, of which libpq holds one or two at a time; what the server has to
 * say meanwhile it says at the end. A value that does not fit ends the stream with a failure, so
 * that the server takes back what it has. */
#include <string.h>

#include "connection.h"

enum { PIECE = 60000 };

static const char signature[19] = "PGCOPY\n\377\r\n";

void hd_pg_copy_begin(hd_pg *pg) {
    hd_buffer *bytes = &pg->params.bytes;
    pg->run.copying = true;
    pg->run.copied = 0;
    hd_buffer_clear(bytes);
    hd_buffer_add(bytes, signature, sizeof signature);
}

static bool put_row(hd_pg *pg, const hd_value *values, uint32_t columns) {
    hd_pg_params *params = &pg->params;
    char head[] = {(char)(columns >> 8), (char)columns};
    hd_buffer_add(&params->bytes, head, sizeof head);
    for (uint32_t c = 0; c < columns; c++) {
        params->index = c;
        if (!hd_pg_put_element(params, &values[c], (hd_type)values[c].type)) return false;
    }
    return true;
}

/* The next rows, and behind the last one the end. False: run->error says why not. */
static bool put_piece(hd_pg *pg, const hd_statement *s) {
    hd_pg_run *run = &pg->run;
    hd_buffer *bytes = &pg->params.bytes;
    pg->params.err = &run->error;
    while (bytes->len < PIECE && run->copied < s->param_count) {
        if (!put_row(pg, s->params + run->copied, s->copy)) return false;
        run->copied += s->copy;
    }
    if (run->copied == s->param_count) hd_buffer_add(bytes, "\377\377", 2);
    if (bytes->failed) hd_error_memory(&run->error);
    return !bytes->failed;
}

static void end(hd_pg *pg, const char *failure) {
    pg->run.copying = false;
    if (PQputCopyEnd(pg->pq, failure) != 1) pg->broken = true;
}

void hd_pg_copy_rows(hd_pg *pg) {
    hd_pg_run *run = &pg->run;
    const hd_pg_reply *reply = &run->replies[run->head];
    const hd_statement *s = &run->statements[reply->statement];
    hd_buffer *bytes = &pg->params.bytes;
    while (run->copying && !pg->broken && PQflush(pg->pq) == 0) {
        if (run->error.kind == HD_OK && !put_piece(pg, s)) {
            hd_pg_fail_at(run, reply->statement, run->copied / s->copy);
            end(pg, "the rows could not be written");
        } else if (PQputCopyData(pg->pq, bytes->data, (int)bytes->len) != 1) {
            pg->broken = true; /* or without memory, and then it cannot go on either */
        } else if (run->copied == s->param_count) {
            end(pg, NULL);
        }
        hd_buffer_clear(bytes);
    }
    if (PQflush(pg->pq) < 0) pg->broken = true;
}
