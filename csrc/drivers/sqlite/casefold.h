/* The lower case of one character, as PostgreSQL's lower() has it (Unicode 14); see casefold.c. */
#ifndef HD_SQLITE_CASEFOLD_H
#define HD_SQLITE_CASEFOLD_H

#include <stdint.h>

uint32_t hd_sqlite_casefold(uint32_t character);

/* One character from `at`; gives its length in bytes. What is not UTF-8 gives 1 and *c = 0. */
int hd_sqlite_decode(const unsigned char *at, const unsigned char *end, uint32_t *c);

#endif
