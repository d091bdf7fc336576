/* Simple case folding of one character (Unicode 14: CaseFolding.txt, status C and S). */
#ifndef HD_SQLITE_CASEFOLD_H
#define HD_SQLITE_CASEFOLD_H

#include <stdint.h>

uint32_t hd_sqlite_casefold(uint32_t character);

#endif
