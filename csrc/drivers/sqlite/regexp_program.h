/* What a regular expression becomes: regexp.c writes it, regexp_match.c runs it. */
#ifndef HD_SQLITE_REGEXP_PROGRAM_H
#define HD_SQLITE_REGEXP_PROGRAM_H

#include <stdint.h>

#include "regexp.h"

enum { CHAR, ANY, SET, BEGIN, END, EDGE, NO_EDGE, WORD_BEGIN, WORD_END, SPLIT, JUMP, DONE };

#define NOTHING 0xFFFFFFFFu /* where there is no character */

typedef struct step {
    int op;
    int32_t a, b; /* CHAR: character; SET: first range, their number; SPLIT, JUMP: how far */
    bool negated;
} step;

typedef struct range {
    uint32_t low, high;
} range;

struct hd_regexp {
    step *steps;
    range *ranges;
    int32_t *work; /* list, pending, marks, stack */
    int32_t count, room, range_count, range_room;
};

#endif
