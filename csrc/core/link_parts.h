/* What the two rooms of the link share: link.c (operations) and link_transaction.c (the transaction around them). */
#ifndef HD_LINK_PARTS_H
#define HD_LINK_PARTS_H

#include "link.h"

/* link.c */
hd_conn *hd_link_conn(const hd_link *link); /* the one that is lent, or NULL */
void hd_link_release_if_free(
    hd_link *link); /* when neither an operation nor a transaction needs it */

void hd_link_check_process(
    hd_link *link); /* in the child of a fork: the connection is the parent's */

/* link_transaction.c */
int hd_link_prefix_add(hd_link *link, const char *text); /* -1: out of memory */
void hd_link_prefix_drop(hd_link *link, size_t count);   /* the oldest */
void hd_link_control(hd_statement *statement, const char *text, bool cache);
void hd_link_forget_transaction(hd_link *link);

#endif
