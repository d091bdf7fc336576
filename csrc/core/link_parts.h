/* What the rooms of the link share: link.c (operations), link_break.c (how they end before their time) and
 * link_transaction.c (the transaction around them). */
#ifndef HD_LINK_PARTS_H
#define HD_LINK_PARTS_H

#include "link.h"

/* link.c */
hd_conn *hd_link_conn(const hd_link *link); /* the one that is lent, or NULL */
void hd_link_release_if_free(
    hd_link *link); /* when neither an operation nor a transaction needs it */

void hd_link_note_prefix(hd_link *link, uint32_t executed); /* so many of the composed ones ran */

/* link_break.c */
void hd_link_check_process(
    hd_link *link);               /* in the child of a fork: the connection is the parent's */
void hd_link_drop(hd_link *link); /* what runs is canceled, the connection closed */
/* The time is over. False: what runs was told to stop, and will answer. True: it did not, and its connection is gone. */
bool hd_link_is_overdue(hd_link *link);
void hd_link_word_limit(hd_link *link); /* a failure that the limit is the cause of says so */

/* link_transaction.c */
int hd_link_prefix_add(hd_link *link, const char *text); /* -1: out of memory */
void hd_link_prefix_drop(hd_link *link, size_t count);   /* the oldest */
void hd_link_control(hd_statement *statement, const char *text, bool cache);
void hd_link_forget_transaction(hd_link *link);

#endif
