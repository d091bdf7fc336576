/* The lower case of one character, as PostgreSQL's lower() has it (Unicode 14); see casefold.c. */
#ifndef HD_SQLITE_CASEFOLD_H
#define HD_SQLITE_CASEFOLD_H

#include <stdint.h>

uint32_t hd_sqlite_casefold(uint32_t character);

#endif
