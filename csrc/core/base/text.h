/* Canonical texts of values, both ways, exact. Pure functions; `out` buffers are the caller's. All
 * return 0 or -1 (not of that form / out of range); nothing is rounded in silence. */
#ifndef HD_TEXT_H
#define HD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HD_TIMESTAMP_TEXT 40 /* room that every timestamp text fits in */
#define HD_UUID_TEXT      36

/* UTF-8 (RFC 3629: no surrogates, no overlong forms, up to U+10FFFF). Counts characters into *chars
 * (may be NULL). -1 when malformed or when a NUL byte stands in it. */
int hd_utf8_check(const char *text, size_t len, size_t *chars);
/* Bytes of the well-formed character that text begins with (NUL is one), 0 when there is none. */
size_t hd_utf8_length(const char *text, size_t len);

/* ISO 8601 to microseconds since the epoch: "2026-01-31", "2026-01-31T10:00:00Z",
 * "... 10:00:00.123456+02:00"; 'T', 't' or a space between; no zone means UTC; up to 6 fraction
 * digits (more: -1 unless zeros). Years beyond 9999 with a sign (astronomical: -0043 is 44 BC)
 * or as PostgreSQL writes them (12026, suffix " BC"). From PostgreSQL's first instant,
 * 4714-11-24 BC, to INT64_MAX microseconds, early 294247 (PostgreSQL's own range ends 30 years
 * later). Leap second :60 is -1. */
int hd_timestamp_parse(const char *text, size_t len, int64_t *us);
/* "2026-01-31 10:00:00.000000" (UTC, always six digits): SQLite's storage form, sorts as text for
 * the years 0-9999. Other years have a sign and six digits, here and in the next:
 * "-000043-03-15 ...". Every int64 has a text; the parser takes those in its range. */
size_t hd_timestamp_format_sql(int64_t us, char out[HD_TIMESTAMP_TEXT]);
/* "2026-01-31T10:00:00.123456Z"; the fraction is left out when zero. */
size_t hd_timestamp_format_iso(int64_t us, char out[HD_TIMESTAMP_TEXT]);
/* Days since the epoch <-> civil date; proleptic Gregorian, year 0 is 1 BC. */
int64_t hd_days_from_civil(int64_t year, unsigned month, unsigned day);
void hd_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day);

/* Date "YYYY-MM-DD" and time "HH:MM[:SS[.ffffff]]" to canonical form in out; *n is its length.
 * "24:00:00" is -1. Dates are in PostgreSQL's range and beyond the years 1-9999 in its spelling,
 * which its input takes back: "12026-01-31", "0044-03-15 BC". The fraction has six digits or is
 * left out. */
int hd_date_normalize(const char *text, size_t len, char out[HD_TIMESTAMP_TEXT], size_t *n);
int hd_time_normalize(const char *text, size_t len, char out[HD_TIMESTAMP_TEXT], size_t *n);
size_t hd_time_format(int64_t us_of_day, char out[HD_TIMESTAMP_TEXT]);
size_t hd_date_format(int64_t days, char out[HD_TIMESTAMP_TEXT]); /* days: 32 bits are enough */

/* Hyphens, no hyphens, braces, upper case taken; canonical out. From/to 16 raw bytes likewise. */
int hd_uuid_normalize(const char *text, size_t len, char out[HD_UUID_TEXT]);
void hd_uuid_format(const unsigned char bytes[16], char out[HD_UUID_TEXT]);
int hd_uuid_parse(const char *text, size_t len, unsigned char bytes[16]);

/* Canonical integer: optional '-', no leading zeros, no '+', no "-0", fits in int64. */
int hd_integer_parse(const char *text, size_t len, int64_t *value);
size_t hd_integer_format(int64_t value, char out[24]);
/* Shortest text that reads back as the same double ("0.1", "1e+308"); "inf", "-inf", "nan". */
size_t hd_double_format(double value, char out[40]);
/* Locale-independent; whole text, any case, "infinity" too. -1 also when the number is too large
 * or, not being zero, too small for a double. */
int hd_double_parse(const char *text, size_t len, double *value);

/* Decimals as text. Normal form: optional '-', digits without leading zeros (at least one), '.'
 * and exactly `scale` digits when scale > 0; no "-0". Input takes '+', leading zeros, exponents
 * ("1e3"), ".5", "5."; NaN and infinities are malformed. */
typedef enum hd_decimal_result {
    HD_DECIMAL_OK = 0,
    HD_DECIMAL_MALFORMED = -1,
    HD_DECIMAL_SCALE = -2,
    HD_DECIMAL_PRECISION = -3,
    HD_DECIMAL_ROOM = -4
} hd_decimal_result;
/* precision 0: any number of digits; scale < 0: keep the digits that are there (trailing zeros
 * too). More non-zero digits behind the point than `scale`: HD_DECIMAL_SCALE, never rounded. out
 * has room for cap bytes. */
hd_decimal_result hd_decimal_normalize(const char *text, size_t len, int precision, int scale,
                                       char *out, size_t cap, size_t *n);
/* As numbers: -1, 0, 1. A total order over any texts: -Infinity, numbers, Infinity, NaN, then
 * what is no decimal, by its bytes. */
int hd_decimal_compare(const char *a, size_t alen, const char *b, size_t blen);
/* PostgreSQL's binary numeric to text; -1 malformed, -2 no room, "NaN"/"Infinity"/"-Infinity" as
 * they are. */
int hd_decimal_from_pg(const unsigned char *bytes, size_t len, char *out, size_t cap, size_t *n);

#endif
