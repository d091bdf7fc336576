/* Cursor: a query that is read in batches over a link, which is free for other operations in between.
 *
 *     hd_cursor *cursor = hd_cursor_new(mem);
 *     hd_cursor_fetch(cursor, link, &query, 256, HD_NEVER);         opens it the first time
 *     while ((step = hd_link_step(link, &wait)) ...)                as any operation of the link
 *     ... until hd_cursor_has_more() is false or hd_cursor_end() says something
 *     hd_cursor_free(cursor);                                       at any time, never waits
 *
 * A cursor stands on the connection that it was opened on, and is told of everything that ends it: it belongs
 * to the transaction, or savepoint, that was open then. One that was opened outside of any, which only a driver
 * with cursors of its own has, lasts as long as the connection, and may be read over any link that has it. */
#ifndef HD_CURSOR_H
#define HD_CURSOR_H

#include "link.h"

typedef enum hd_cursor_why {
    HD_CURSOR_GOES_ON = 0,
    HD_CURSOR_OUTLIVED, /* its transaction is over, or its savepoint was rolled back */
    HD_CURSOR_LOST,     /* its connection was closed */
    HD_CURSOR_FAILED    /* an operation of its own failed, or was given up */
} hd_cursor_why;

hd_cursor *hd_cursor_new(const hd_allocator *mem); /* NULL: out of memory */
/* The next rows, at most `count`. Query, parameters and types must live until the operation ends. HD_OK, or why not in
 * link->error; the first step follows. */
hd_error_kind hd_cursor_fetch(hd_cursor *cursor, hd_link *link, const hd_statement *query,
                              uint32_t count, hd_time deadline);
bool hd_cursor_has_more(const hd_cursor *cursor); /* the last rows were as many as were wanted */
hd_cursor_why hd_cursor_end(const hd_cursor *cursor);
/* Ends it. What the database has of it goes at once, or in front of the next statement of its transaction. */
void hd_cursor_free(hd_cursor *cursor);

/* ---- What the link and the pool tell ---- */

void hd_cursor_ran(hd_link *link, bool done); /* the link's operation is over */
/* Those that were opened at this depth of the link's transactions, or in savepoints below it, are over. */
void hd_cursors_end(hd_link *link, uint32_t depth);
void hd_cursors_release(hd_link *link); /* the innermost savepoint is part of what is around it */
void hd_cursors_lose(hd_conn *conn);    /* the connection is going to be closed */

/* CLOSE statements that are due on the link's connection: how many. */
uint32_t hd_cursors_closing(const hd_link *link);
/* Writes them; the texts go to the link's arena. -1: out of memory. */
int hd_cursors_write_closing(hd_link *link, hd_statement *out);
void hd_cursors_closed(hd_link *link, uint32_t count); /* so many of those that were written ran */

#endif
