/* Numbers between text and binary, in no locale. The C library's strtod and snprintf do the exact
 * work but speak the host program's locale; so strtod only ever sees whole digits and an exponent
 * ("12.5" is asked as "125e-1"), and whatever snprintf put between the digits becomes a point.
 * The numbers of daily life, few digits and a small exponent, need neither: a product or quotient
 * of two exact doubles is correctly rounded by the processor. */
#include "text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- integers ---- */

int hd_integer_parse(const char *text, size_t len, int64_t *value) {
    bool negative = len > 0 && text[0] == '-';
    const char *at = text + negative, *end = text + len;
    if (at == end || end - at > 19 || (*at == '0' && len > 1)) return -1;
    uint64_t sum = 0; /* 19 digits always fit */
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') return -1;
        sum = sum * 10 + (uint64_t)(*at - '0');
    }
    if (sum > (uint64_t)INT64_MAX + negative) return -1;
    *value = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return 0;
}

/* Writes digits that end before `end`; gives their first. Two at a time: division is slow. */
static char *digits_before(char *end, uint64_t value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    for (; value >= 100; value /= 100) {
        end -= 2;
        memcpy(end, pairs + value % 100 * 2, 2);
    }
    if (value < 10) {
        *--end = (char)('0' + value);
        return end;
    }
    end -= 2;
    memcpy(end, pairs + value * 2, 2);
    return end;
}

size_t hd_integer_format(int64_t value, char out[24]) {
    char digits[24];
    char *end = digits + sizeof digits;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char *at = digits_before(end, magnitude);
    if (value < 0) *--at = '-';
    memcpy(out, at, (size_t)(end - at));
    return (size_t)(end - at);
}

/* ---- doubles: common ground ---- */

/* Powers of ten that are doubles. Wider intermediates would round twice, so no short cut there. */
static const double exact_power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define LAST_EXACT_POWER (FLT_EVAL_METHOD == 0 ? 22 : -1)

/* ---- doubles: reading ---- */

/* A double lies between its neighbours' halves, whose expansions end within 768 digits: more than
 * that can only say "a little above". */
#define DIGITS_THAT_COUNT 780
#define EXPONENT_LIMIT    INT64_C(100000000000)

typedef struct scan {
    char digits[DIGITS_THAT_COUNT + 32]; /* significant, no point; room for the exponent */
    size_t count;
    int64_t exponent; /* of the last digit kept */
    bool more;        /* a digit that is not zero was left out */
} scan;

static void scan_digit(scan *s, char digit, bool behind_point) {
    if (s->count == 0 && digit == '0') {
        s->exponent -= behind_point;
    } else if (s->count < DIGITS_THAT_COUNT) {
        s->digits[s->count++] = digit;
        s->exponent -= behind_point;
    } else {
        s->more = s->more || digit != '0';
        s->exponent += !behind_point;
    }
}

static const char *scan_mantissa(scan *s, const char *at, const char *end) {
    bool point = false, any = false;
    for (; at < end; at++) {
        if (*at == '.' && !point) {
            point = true;
        } else if (*at >= '0' && *at <= '9') {
            any = true;
            scan_digit(s, *at, point);
        } else {
            break;
        }
    }
    return any ? at : NULL;
}

static const char *scan_exponent(scan *s, const char *at, const char *end) {
    bool negative = at < end && *at == '-';
    int64_t exponent = 0;
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end) return NULL;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (exponent < EXPONENT_LIMIT) exponent = exponent * 10 + (*at - '0');
    }
    s->exponent += negative ? -exponent : exponent;
    return at;
}

/* Short mantissa, small exponent: one correctly rounded operation. */
static bool scan_quick(const scan *s, double *value) {
    int64_t away = s->exponent < 0 ? -s->exponent : s->exponent;
    if (s->count > 15 || away > LAST_EXACT_POWER) return false;
    uint64_t mantissa = 0;
    for (size_t i = 0; i < s->count; i++) mantissa = mantissa * 10 + (uint64_t)(s->digits[i] - '0');
    double power = exact_power[away]; /* mantissa and power are both exact */
    *value = s->exponent < 0 ? (double)mantissa / power : (double)mantissa * power;
    return true;
}

static int scan_value(scan *s, double *value) {
    if (s->count == 0) {
        *value = 0.0;
        return 0;
    }
    if (scan_quick(s, value)) return 0;
    if (s->exponent > 400 || s->exponent < -400 - DIGITS_THAT_COUNT) return -1;
    if (s->more) {
        s->digits[s->count++] = '1';
        s->exponent--;
    }
    snprintf(s->digits + s->count, 24, "e%d", (int)s->exponent);
    *value = strtod(s->digits, NULL);
    return isinf(*value) || *value == 0.0 ? -1 : 0;
}

static bool same_word(const char *at, const char *end, const char *lower) {
    for (; at < end && *lower; at++, lower++) {
        if ((*at | 0x20) != *lower) return false;
    }
    return at == end && *lower == '\0';
}

static int parse_word(const char *at, const char *end, double *value) {
    if (same_word(at, end, "inf") || same_word(at, end, "infinity")) {
        *value = HUGE_VAL;
        return 0;
    }
    if (!same_word(at, end, "nan")) return -1;
    *value = (double)NAN;
    return 0;
}

int hd_double_parse(const char *text, size_t len, double *value) {
    const char *at = text, *end = text + len;
    bool negative = len > 0 && *at == '-';
    if (len > 0 && (*at == '-' || *at == '+')) at++;
    scan s;
    s.count = 0;
    s.exponent = 0;
    s.more = false;
    const char *rest = scan_mantissa(&s, at, end);
    if (!rest) {
        if (parse_word(at, end, value) != 0) return -1;
    } else {
        if (rest < end && (*rest == 'e' || *rest == 'E')) rest = scan_exponent(&s, rest + 1, end);
        if (rest != end || scan_value(&s, value) != 0) return -1;
    }
    if (negative) *value = -*value;
    return 0;
}

/* ---- doubles: writing ---- */

/* Up to six decimals and fifteen digits: the scaled number is an integer, and dividing it again
 * gives the double back, so those digits are its text and there is none shorter. */
static size_t format_quick(double value, char out[40]) {
    char digits[32];
    char *end = digits + sizeof digits;
    double magnitude = fabs(value);
    for (int places = 0; places <= 6 && places <= LAST_EXACT_POWER; places++) {
        double scaled = rint(magnitude * exact_power[places]);
        if (scaled >= 1e15) return 0;
        if (scaled / exact_power[places] != magnitude) continue;
        if (places && magnitude < 1e-4) return 0; /* is written with an exponent */
        char *at = digits_before(end, (uint64_t)scaled);
        while (end - at <= places) *--at = '0';
        size_t n = 0, whole = (size_t)(end - at) - (size_t)places;
        if (signbit(value)) out[n++] = '-';
        memcpy(out + n, at, whole);
        n += whole;
        if (places) out[n++] = '.';
        memcpy(out + n, at + whole, (size_t)places);
        return n + (size_t)places;
    }
    return 0;
}

/* "%.*g" as the C locale writes it. */
static size_t print_plain(double value, int precision, char out[40]) {
    char text[64];
    snprintf(text, sizeof text, "%.*g", precision, value);
    size_t n = 0;
    bool foreign = false;
    for (const char *at = text; *at; at++) {
        bool known = (*at >= '0' && *at <= '9') || *at == '-' || *at == '+' || *at == 'e';
        if (known || !foreign) out[n++] = known ? *at : '.';
        foreign = !known;
    }
    return n;
}

size_t hd_double_format(double value, char out[40]) {
    if (isnan(value) || isinf(value)) {
        const char *word = isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
        size_t n = strlen(word);
        memcpy(out, word, n);
        return n;
    }
    size_t n = format_quick(value, out);
    if (n) return n;
    /* Fifteen digits survive any normal double; denormals have fewer. */
    double back = 0.0;
    for (int precision = fabs(value) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        n = print_plain(value, precision, out);
        if (hd_double_parse(out, n, &back) == 0 && back == value) break;
    }
    return n;
}
