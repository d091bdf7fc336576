/* op.matches: `text REGEXP pattern`, which SQLite leaves to a function.
 *
 * A pattern, in PostgreSQL's language without what needs backtracking, becomes a program whose jumps
 * are relative, so that a fragment can be moved and copied. regexp_match.c runs it. A compiled
 * pattern stays with the statement as long as the pattern does. */
#include "regexp.h"

#include <string.h>

#include "casefold.h"
#include "regexp_program.h"

enum { MOST_STEPS = 10000, MOST_DEPTH = 100, MOST_TIMES = 255, NO_END = -1 };

#define LAST 0x10FFFFu

typedef struct reader {
    hd_regexp *re;
    const unsigned char *at, *end;
    int depth;
    const char *wrong;
} reader;

static bool fail(reader *r, const char *wrong) {
    if (!r->wrong) r->wrong = wrong;
    return false;
}

/* ---- writing the program ---- */

static bool reserve(reader *r, int32_t more) {
    hd_regexp *re = r->re;
    if (re->count + more > MOST_STEPS) return fail(r, HD_REGEXP_UNSUPPORTED "it is too large");
    if (re->count + more <= re->room) return true;
    int32_t room = (re->count + more) * 2;
    step *steps = sqlite3_realloc64(re->steps, (size_t)room * sizeof *steps);
    if (!steps) return fail(r, HD_REGEXP_NO_MEMORY);
    re->steps = steps;
    re->room = room;
    return true;
}

static bool insert(reader *r, int32_t at, step it) {
    if (!reserve(r, 1)) return false;
    step *to = r->re->steps + at;
    memmove(to + 1, to, (size_t)(r->re->count - at) * sizeof *to);
    *to = it;
    r->re->count++;
    return true;
}

static bool emit(reader *r, int op, int32_t a, int32_t b) {
    return insert(r, r->re->count, (step){.op = op, .a = a, .b = b});
}

static bool add_range(reader *r, uint32_t low, uint32_t high) {
    hd_regexp *re = r->re;
    if (re->range_count == re->range_room) {
        if (re->range_room > MOST_STEPS) return fail(r, HD_REGEXP_UNSUPPORTED "it is too large");
        int32_t room = re->range_room * 2 + 8;
        range *ranges = sqlite3_realloc64(re->ranges, (size_t)room * sizeof *ranges);
        if (!ranges) return fail(r, HD_REGEXP_NO_MEMORY);
        re->ranges = ranges;
        re->range_room = room;
    }
    re->ranges[re->range_count++] = (range){low, high};
    return true;
}

/* ---- classes ---- */

/* Pairs of ends; characters beyond ASCII are letters (`wide`). */
typedef struct named {
    const char *name, *pairs;
    bool wide;
} named;

static const named classes[] = {
    {"alpha", "AZaz", true},
    {"digit", "09", false},
    {"alnum", "09AZaz", true},
    {"word", "09AZ__az", true},
    {"upper", "AZ", false},
    {"lower", "az", false},
    {"space", "\t\r  ", false},
    {"blank", "\t\t  ", false},
    {"punct", "!/:@[`{~", false},
    {"xdigit", "09AFaf", false},
    {"cntrl", "\001\037\177\177", false},
    {"print", " ~", true},
    {"graph", "!~", true},
};

static bool add_class(reader *r, const char *name, size_t len) {
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len) != 0) continue;
        for (const char *p = classes[i].pairs; *p; p += 2) {
            if (!add_range(r, (unsigned char)p[0], (unsigned char)p[1])) return false;
        }
        return !classes[i].wide || add_range(r, 0x80, LAST);
    }
    return fail(r, HD_REGEXP_WRONG "there is no character class of this name");
}

static const char *class_of(unsigned char c) {
    switch (c | 0x20) {
    case 'd':
        return "digit";
    case 'w':
        return "word";
    case 's':
        return "space";
    default:
        return NULL;
    }
}

static bool end_set(reader *r, int32_t first, bool negated) {
    if (!emit(r, SET, first, r->re->range_count - first)) return false;
    r->re->steps[r->re->count - 1].negated = negated;
    return true;
}

/* ---- reading the pattern ---- */

static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

static bool is_alnum(unsigned char c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static uint32_t next_char(reader *r) {
    uint32_t c;
    r->at += hd_sqlite_decode(r->at, r->end, &c);
    return c;
}

/* The character behind a backslash. */
static bool escaped(reader *r, uint32_t *c) {
    static const char names[] = "abefnrtv", values[] = "\a\b\033\f\n\r\t\v";
    const char *found;
    if (r->at == r->end) return fail(r, HD_REGEXP_WRONG "it ends with a backslash");
    if (!is_alnum(*r->at)) {
        *c = next_char(r);
        return true;
    }
    if (!(found = strchr(names, *r->at))) {
        return fail(r, HD_REGEXP_UNSUPPORTED "it has an escape or a back reference unknown here");
    }
    r->at++;
    *c = (uint32_t)values[found - names];
    return true;
}

/* One member of [...]: a character into *c, or a class, after which *c is NOTHING. */
static bool read_member(reader *r, uint32_t *c) {
    *c = NOTHING;
    if (r->end - r->at > 1 && r->at[0] == '[' && r->at[1] && strchr(":.=", r->at[1])) {
        const unsigned char *name = r->at + 2, *end = name;
        if (r->at[1] != ':') return fail(r, HD_REGEXP_UNSUPPORTED "it has a collating element");
        while (end < r->end && *end != ':') end++;
        if (r->end - end < 2 || end[1] != ']') return fail(r, HD_REGEXP_WRONG "a [ is not closed");
        r->at = end + 2;
        return add_class(r, (const char *)name, (size_t)(end - name));
    }
    if (*r->at != '\\') {
        *c = next_char(r);
        return true;
    }
    r->at++;
    const char *class = r->at < r->end ? class_of(*r->at) : NULL;
    if (!class) return escaped(r, c);
    if (*r->at < 'a') return fail(r, HD_REGEXP_WRONG "a negated class stands in [...]");
    r->at++;
    return add_class(r, class, strlen(class));
}

static bool read_set(reader *r) {
    int32_t first = r->re->range_count;
    bool negated = r->at < r->end && *r->at == '^';
    if (negated) r->at++;
    for (bool is_first = true;; is_first = false) {
        uint32_t low, high;
        if (r->at == r->end) return fail(r, HD_REGEXP_WRONG "a [ is not closed");
        if (*r->at == ']' && !is_first) break;
        if (!read_member(r, &low)) return false;
        high = low;
        if (r->end - r->at > 1 && r->at[0] == '-' && r->at[1] != ']') {
            r->at++;
            if (!read_member(r, &high)) return false;
            if (low == NOTHING || high == NOTHING || low > high) {
                return fail(r, HD_REGEXP_WRONG "a range in [...] has no order");
            }
        }
        if (low != NOTHING && !add_range(r, low, high)) return false;
    }
    r->at++;
    return end_set(r, first, negated);
}

static bool read_alternatives(reader *r);

static bool read_group(reader *r) {
    if (r->at < r->end && *r->at == '?') {
        if (r->end - r->at < 2 || r->at[1] != ':') {
            return fail(r, HD_REGEXP_UNSUPPORTED "it looks around, or has options");
        }
        r->at += 2;
    }
    if (++r->depth > MOST_DEPTH) return fail(r, HD_REGEXP_UNSUPPORTED "it is nested too deeply");
    if (!read_alternatives(r)) return false;
    r->depth--;
    if (r->at == r->end) return fail(r, HD_REGEXP_WRONG "a ( is not closed");
    r->at++;
    return true;
}

/* Behind a backslash; *repeats: whether it can be repeated. */
static bool read_escape(reader *r, bool *repeats) {
    static const char names[] = "AZyYmM";
    static const int ops[] = {BEGIN, END, EDGE, NO_EDGE, WORD_BEGIN, WORD_END};
    unsigned char c = r->at < r->end ? *r->at : 0;
    const char *class = class_of(c), *found = c ? strchr(names, c) : NULL;
    if (class) {
        int32_t first = r->re->range_count;
        r->at++;
        return add_class(r, class, strlen(class)) && end_set(r, first, c < 'a');
    }
    if (found) {
        r->at++;
        *repeats = false;
        return emit(r, ops[found - names], 0, 0);
    }
    uint32_t plain;
    return escaped(r, &plain) && emit(r, CHAR, (int32_t)plain, 0);
}

/* Whether {2} and the like begin here; any other { is a character. */
static bool at_times(const reader *r) {
    return r->end - r->at > 1 && r->at[0] == '{' && is_digit(r->at[1]);
}

static bool read_atom(reader *r, bool *repeats) {
    *repeats = true;
    if (at_times(r)) return fail(r, HD_REGEXP_WRONG "there is nothing to repeat");
    switch (*r->at) {
    case '(':
        r->at++;
        return read_group(r);
    case '[':
        r->at++;
        return read_set(r);
    case '.':
        r->at++;
        return emit(r, ANY, 0, 0);
    case '^':
    case '$':
        *repeats = false;
        return emit(r, *r->at++ == '^' ? BEGIN : END, 0, 0);
    case '\\':
        r->at++;
        return read_escape(r, repeats);
    case '*':
    case '+':
    case '?':
        return fail(r, HD_REGEXP_WRONG "there is nothing to repeat");
    default:
        return emit(r, CHAR, (int32_t)next_char(r), 0);
    }
}

/* ---- repeating ---- */

static bool read_times(reader *r, int *times) {
    int n = 0;
    if (r->at == r->end || !is_digit(*r->at))
        return fail(r, HD_REGEXP_WRONG "a {...} has no number");
    while (r->at < r->end && is_digit(*r->at) && n <= MOST_TIMES) n = n * 10 + (*r->at++ - '0');
    if (n > MOST_TIMES) return fail(r, HD_REGEXP_WRONG "a {...} has a number above 255");
    *times = n;
    return true;
}

/* *least is NO_END where no quantifier stands. */
static bool read_quantifier(reader *r, int *least, int *most) {
    unsigned char c = r->at < r->end ? *r->at : 0;
    *least = NO_END;
    if (c == '*' || c == '+' || c == '?') {
        r->at++;
        *least = c == '+';
        *most = c == '?' ? 1 : NO_END;
    } else if (at_times(r)) {
        r->at++;
        if (!read_times(r, least)) return false;
        *most = *least;
        if (r->at < r->end && *r->at == ',') {
            r->at++;
            *most = NO_END;
            if (r->at < r->end && *r->at != '}' && !read_times(r, most)) return false;
        }
        if (r->at == r->end || *r->at++ != '}') return fail(r, HD_REGEXP_WRONG "a { is not closed");
        if (*most != NO_END && *most < *least) {
            return fail(r, HD_REGEXP_WRONG "a {...} has no order");
        }
    } else {
        return true;
    }
    if (r->at < r->end && *r->at == '?') r->at++; /* shortest first: the same answer */
    return true;
}

/* A copy of the steps from `start`, `size` of them, behind what there is. */
static bool copy(reader *r, int32_t start, int32_t size) {
    if (!reserve(r, size)) return false;
    memcpy(r->re->steps + r->re->count, r->re->steps + start, (size_t)size * sizeof(step));
    r->re->count += size;
    return true;
}

/* The fragment from `start` to the end, `least` to `most` times. */
static bool repeat(reader *r, int32_t start, int least, int most) {
    int32_t size = r->re->count - start;
    if (most == 0) {
        r->re->count = start;
        return true;
    }
    if (most == NO_END && least == 0) {
        return insert(r, start, (step){.op = SPLIT, .a = 1, .b = size + 2}) &&
               emit(r, JUMP, -size - 1, 0);
    }
    if (least == 0 && !insert(r, start, (step){.op = SPLIT, .a = 1, .b = size + 1})) return false;
    int32_t first = least == 0 ? start + 1 : start;
    for (int i = 1; i < least; i++) {
        if (!copy(r, first, size)) return false;
    }
    if (most == NO_END) return emit(r, SPLIT, -size, 1);
    for (int i = least > 1 ? least : 1; i < most; i++) {
        if (!emit(r, SPLIT, 1, size + 1) || !copy(r, first, size)) return false;
    }
    return true;
}

static bool read_piece(reader *r) {
    int32_t start = r->re->count;
    bool repeats;
    int least, most = NO_END;
    if (!read_atom(r, &repeats) || !read_quantifier(r, &least, &most)) return false;
    if (least == NO_END) return true;
    if (!repeats) return fail(r, HD_REGEXP_WRONG "there is nothing to repeat");
    return repeat(r, start, least, most);
}

static bool read_sequence(reader *r) {
    while (r->at < r->end && *r->at != '|' && (*r->at != ')' || r->depth == 0)) {
        if (*r->at == ')') return fail(r, HD_REGEXP_WRONG "a ) closes nothing");
        if (!read_piece(r)) return false;
    }
    return true;
}

static bool read_alternatives(reader *r) {
    int32_t start = r->re->count;
    if (!read_sequence(r)) return false;
    while (r->at < r->end && *r->at == '|') {
        int32_t size = r->re->count - start, jump;
        r->at++;
        if (!insert(r, start, (step){.op = SPLIT, .a = 1, .b = size + 2})) return false;
        jump = r->re->count;
        if (!emit(r, JUMP, 0, 0) || !read_sequence(r)) return false;
        r->re->steps[jump].a = r->re->count - jump;
    }
    return true;
}

void hd_regexp_free(void *regexp) {
    hd_regexp *re = regexp;
    if (!re) return;
    sqlite3_free(re->steps);
    sqlite3_free(re->ranges);
    sqlite3_free(re->work);
    sqlite3_free(re);
}

hd_regexp *hd_regexp_make(const unsigned char *pattern, size_t len, const char **wrong) {
    hd_regexp *re = sqlite3_malloc64(sizeof *re);
    reader r = {.re = re, .at = pattern, .end = pattern + len};
    *wrong = HD_REGEXP_NO_MEMORY;
    if (!re) return NULL;
    *re = (hd_regexp){0};
    if (len >= 3 && memcmp(pattern, "***", 3) == 0) {
        fail(&r, HD_REGEXP_UNSUPPORTED "it has options");
    } else if (read_alternatives(&r) && emit(&r, DONE, 0, 0)) {
        size_t slots = (size_t)re->count * 5 + 1;
        re->work = sqlite3_malloc64(slots * sizeof *re->work);
        if (re->work) return re;
        fail(&r, HD_REGEXP_NO_MEMORY);
    }
    *wrong = r.wrong;
    hd_regexp_free(re);
    return NULL;
}
