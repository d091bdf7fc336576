/* Runs the program of a regular expression.
 *
 * All states of the program go through the text together: the time is at most the text's length
 * times the program's, whatever the pattern is. */
#include <string.h>

#include "casefold.h"
#include "regexp_program.h"

typedef struct place {
    uint32_t before, after; /* characters; NOTHING at the ends */
    int32_t number;
} place;

static bool is_word(uint32_t c) {
    return c != NOTHING && (c >= 0x80 || c == '_' || (c >= '0' && c <= '9') ||
                            ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'));
}

static bool holds(int op, const place *p) {
    bool before = is_word(p->before), after = is_word(p->after);
    switch (op) {
    case BEGIN:
        return p->before == NOTHING;
    case END:
        return p->after == NOTHING;
    case EDGE:
        return before != after;
    case NO_EDGE:
        return before == after;
    case WORD_BEGIN:
        return !before && after;
    default:
        return before && !after;
    }
}

static bool takes(const hd_regexp *re, const step *it, uint32_t c) {
    if (it->op == ANY) return true;
    if (it->op == CHAR) return (uint32_t)it->a == c;
    const range *ranges = re->ranges + it->a;
    for (int32_t i = 0; i < it->b; i++) {
        if (c >= ranges[i].low && c <= ranges[i].high) return !it->negated;
    }
    return it->negated;
}

/* Adds what is reached from `from` without a character to the list; true when that is the end. */
static bool reach(const hd_regexp *re, int32_t from, const place *p, int32_t *count) {
    int32_t n = re->count, *list = re->work, *marks = list + 2 * n, *stack = list + 3 * n, top = 0;
    stack[top++] = from;
    while (top > 0) {
        int32_t at = stack[--top];
        const step *it = re->steps + at;
        if (marks[at] == p->number) continue;
        marks[at] = p->number;
        if (it->op == DONE) return true;
        if (it->op <= SET) {
            list[(*count)++] = at;
        } else if (it->op == JUMP) {
            stack[top++] = at + it->a;
        } else if (it->op == SPLIT) {
            stack[top++] = at + it->b;
            stack[top++] = at + it->a;
        } else if (holds(it->op, p)) {
            stack[top++] = at + 1;
        }
    }
    return false;
}

bool hd_regexp_matches(const hd_regexp *re, const unsigned char *text, size_t len) {
    const unsigned char *end = text + len;
    int32_t n = re->count, *list = re->work, *pending = list + n, waiting = 0;
    place p = {.before = NOTHING, .number = 1};
    memset(list + 2 * n, 0, (size_t)n * sizeof *list);
    for (;; p.number++) {
        int32_t count = 0;
        p.after = NOTHING;
        if (text < end) text += hd_sqlite_decode(text, end, &p.after);
        for (int32_t i = 0; i < waiting; i++) {
            if (reach(re, pending[i], &p, &count)) return true;
        }
        if (reach(re, 0, &p, &count)) return true;
        if (p.after == NOTHING) return false;
        waiting = 0;
        for (int32_t i = 0; i < count; i++) {
            if (takes(re, re->steps + list[i], p.after)) pending[waiting++] = list[i] + 1;
        }
        p.before = p.after;
    }
}
