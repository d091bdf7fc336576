/* Dates, times and timestamps between text and numbers. Everything is proleptic Gregorian and UTC;
 * an instant is a count of microseconds, a date a count of days, both floored, so that what lies
 * before 1970 is as exact as what lies after. A reader moves a cursor and gives false at the first
 * byte that does not fit; whether all of the text was used is asked once, at the end. */
#include "text.h"

#include <string.h>

#define DAY_SECONDS INT64_C(86400)
#define SECOND_US   INT64_C(1000000)
#define DAY_US      (DAY_SECONDS * SECOND_US)
#define FIRST_DAY   INT64_C(-2440588)   /* 4714-11-24 BC, day zero of PostgreSQL's calendar */
#define LAST_DAY    INT64_C(2145042905) /* 5874897-12-31, the last of PostgreSQL's dates */
#define LAST_SECOND (INT64_MAX / SECOND_US)

typedef struct cursor {
    const char *at, *end;
} cursor;

typedef struct civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    unsigned month, day;
    bool has_sign;
} civil;

/* ---- calendar ---- */

/* Both directions count from 1 March of year 0, so that the leap day ends its year. */
#define MARCH_OF_YEAR_0   INT64_C(719468) /* days from there to 1970-01-01 */
#define DAYS_OF_400_YEARS INT64_C(146097)
#define DAYS_OF_100_YEARS INT64_C(36524)
#define DAYS_OF_4_YEARS   INT64_C(1461)

static int64_t floor_div(int64_t value, int64_t by) {
    return value / by - (value % by < 0);
}

int64_t hd_days_from_civil(int64_t year, unsigned month, unsigned day) {
    int64_t from_march = (int64_t)month - 3;
    if (from_march < 0) {
        from_march += 12;
        year--;
    }
    int64_t leap_days = floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400);
    int64_t day_of_year = (from_march * 153 + 2) / 5 + (int64_t)day - 1;
    return year * 365 + leap_days + day_of_year - MARCH_OF_YEAR_0;
}

void hd_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day) {
    int64_t rest = days + MARCH_OF_YEAR_0;
    int64_t y = floor_div(rest, DAYS_OF_400_YEARS) * 400;
    rest -= y / 400 * DAYS_OF_400_YEARS;
    /* 400 years and 4 years end with a leap day, which must not begin a century or a year. */
    int64_t centuries = rest / DAYS_OF_100_YEARS;
    if (centuries == 4) centuries = 3;
    rest -= centuries * DAYS_OF_100_YEARS;
    int64_t fours = rest / DAYS_OF_4_YEARS;
    rest -= fours * DAYS_OF_4_YEARS;
    int64_t years = rest / 365;
    if (years == 4) years = 3;
    rest -= years * 365;
    y += centuries * 100 + fours * 4 + years;
    int64_t from_march = (rest * 5 + 2) / 153;
    *day = (unsigned)(rest - (from_march * 153 + 2) / 5 + 1);
    *month = (unsigned)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = y + (from_march >= 10);
}

static unsigned days_in_month(int64_t year, unsigned month) {
    if (month == 2) {
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        return leap ? 29 : 28;
    }
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* ---- reading ---- */

static bool take(cursor *c, char expected) {
    if (c->at == c->end || *c->at != expected) return false;
    c->at++;
    return true;
}

static bool at_digit(const cursor *c, size_t ahead) {
    return (size_t)(c->end - c->at) > ahead && c->at[ahead] >= '0' && c->at[ahead] <= '9';
}

/* Reads at least `min` and at most `max` digits. */
static bool take_number(cursor *c, int min, int max, int64_t *value) {
    int n = 0;
    *value = 0;
    for (; n < max && at_digit(c, 0); n++) *value = *value * 10 + (*c->at++ - '0');
    return n >= min;
}

static bool take_pair(cursor *c, int64_t limit, int64_t *value) {
    return take_number(c, 2, 2, value) && *value < limit;
}

static bool take_date(cursor *c, civil *date) {
    int64_t month, day;
    bool minus = take(c, '-');
    date->has_sign = minus || take(c, '+');
    if (!take_number(c, 4, 7, &date->year) || !take(c, '-')) return false;
    if (minus) date->year = -date->year;
    if (!take_pair(c, 13, &month) || !take(c, '-') || !take_pair(c, 32, &day)) return false;
    date->month = (unsigned)month;
    date->day = (unsigned)day;
    return month > 0 && day > 0;
}

/* What may stand behind everything else: " BC". Then the text must be over and the day exist. */
static bool finish_date(cursor *c, civil *date, int64_t *days) {
    if (c->end - c->at == 3 && memcmp(c->at, " BC", 3) == 0) {
        if (date->has_sign || date->year == 0) return false;
        date->year = 1 - date->year;
        c->at = c->end;
    }
    if (c->at != c->end || date->day > days_in_month(date->year, date->month)) return false;
    *days = hd_days_from_civil(date->year, date->month, date->day);
    return *days >= FIRST_DAY && *days <= LAST_DAY;
}

/* Fraction behind its point. Digits beyond the sixth may only be zeros. */
static bool take_fraction(cursor *c, int64_t *us) {
    const char *first = c->at;
    if (!take_number(c, 1, 6, us)) return false;
    for (long digits = c->at - first; digits < 6; digits++) *us *= 10;
    while (take(c, '0')) continue;
    return true;
}

static bool take_clock(cursor *c, int64_t *seconds, int64_t *us) {
    int64_t hour, minute, second = 0;
    *us = 0;
    if (!take_pair(c, 24, &hour) || !take(c, ':') || !take_pair(c, 60, &minute)) return false;
    if (take(c, ':')) {
        if (!take_pair(c, 60, &second)) return false;
        if (take(c, '.') && !take_fraction(c, us)) return false;
    }
    *seconds = (hour * 60 + minute) * 60 + second;
    return true;
}

/* Seconds east of Greenwich: "Z", "+02", "+0230", "+02:30", "+00:19:32"; nothing is UTC. */
static bool take_zone(cursor *c, int64_t *offset) {
    int64_t hours, minutes = 0, seconds = 0;
    *offset = 0;
    if (take(c, 'Z') || take(c, 'z')) return true;
    bool west = take(c, '-');
    if (!west && !take(c, '+')) return true;
    if (!take_pair(c, 16, &hours)) return false;
    bool colon = take(c, ':');
    if (colon || at_digit(c, 0)) {
        if (!take_pair(c, 60, &minutes)) return false;
        if (colon && take(c, ':') && !take_pair(c, 60, &seconds)) return false;
    }
    *offset = (hours * 60 + minutes) * 60 + seconds;
    if (west) *offset = -*offset;
    return true;
}

/* Two digits, or more than 99. */
static unsigned pair_at(const char *text) {
    unsigned tens = (unsigned char)text[0] - '0', ones = (unsigned char)text[1] - '0';
    return tens > 9 || ones > 9 ? 100 : tens * 10 + ones;
}

/* Does nothing stand there but what says UTC? */
static bool is_utc(const char *text, size_t len) {
    return len == 0 || (len == 1 && *text == 'Z') || (len == 3 && memcmp(text, "+00", 3) == 0) ||
           (len == 6 && memcmp(text, "+00:00", 6) == 0);
}

/* "2017-07-14 02:40:00", perhaps ".000000", in UTC: what programs write, read without a cursor. False: it may be
 * something else. */
static bool parse_usual(const char *text, size_t len, int64_t *us) {
    if (len < 19 || text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':')
        return false;
    if (text[10] != ' ' && text[10] != 'T') return false;
    unsigned century = pair_at(text), year = pair_at(text + 2), month = pair_at(text + 5);
    unsigned day = pair_at(text + 8), hour = pair_at(text + 11), minute = pair_at(text + 14);
    unsigned second = pair_at(text + 17), high = 0, middle = 0, low = 0;
    size_t used = 19;
    if (len >= 26 && text[19] == '.') {
        high = pair_at(text + 20);
        middle = pair_at(text + 22);
        low = pair_at(text + 24);
        used = 26;
    }
    if (!is_utc(text + used, len - used)) return false;
    if (century > 99 || year > 99 || month - 1 > 11 || day - 1 > 30 || hour > 23 || minute > 59 ||
        second > 59 || high > 99 || middle > 99 || low > 99)
        return false;
    year += century * 100;
    if (day > 28 && day > days_in_month(year, month)) return false;
    int64_t days = hd_days_from_civil(year, month, day);
    *us = ((days * 24 + hour) * 60 + minute) * 60 + second;
    *us = *us * SECOND_US + (high * 100 + middle) * 100 + low;
    return true;
}

int hd_timestamp_parse(const char *text, size_t len, int64_t *us) {
    if (parse_usual(text, len, us)) return 0;
    cursor c = {text, text + len};
    civil date;
    int64_t days, second = 0, fraction = 0, offset = 0;
    if (!take_date(&c, &date)) return -1;
    bool has_clock = take(&c, 'T') || take(&c, 't');
    if (!has_clock && at_digit(&c, 1)) has_clock = take(&c, ' ');
    if (has_clock && !(take_clock(&c, &second, &fraction) && take_zone(&c, &offset))) return -1;
    if (!finish_date(&c, &date, &days)) return -1;
    second += days * DAY_SECONDS - offset;
    if (second < FIRST_DAY * DAY_SECONDS || second > LAST_SECOND) return -1;
    if (second == LAST_SECOND && fraction > INT64_MAX % SECOND_US) return -1;
    *us = second * SECOND_US + fraction;
    return 0;
}

/* ---- writing ---- */

static char *put_digits(char *out, uint64_t value, int width) {
    for (int i = width; i-- > 0; value /= 10) out[i] = (char)('0' + value % 10);
    return out + width;
}

static char *put_pair(char *out, unsigned value) {
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    return out + 2;
}

static char *put_number(char *out, uint64_t value, int min_width) {
    int width = min_width;
    uint64_t limit = 1;
    for (int i = 0; i < min_width; i++) limit *= 10;
    for (; value >= limit && width < 19; width++) limit *= 10;
    return put_digits(out, value, width);
}

static char *put_month_and_day(char *out, unsigned month, unsigned day) {
    *out++ = '-';
    out = put_pair(out, month);
    *out++ = '-';
    return put_pair(out, day);
}

static char *put_clock(char *out, int64_t us_of_day) {
    unsigned second = (unsigned)(us_of_day / SECOND_US);
    out = put_pair(out, second / 3600);
    *out++ = ':';
    out = put_pair(out, second / 60 % 60);
    *out++ = ':';
    return put_pair(out, second % 60);
}

static char *put_fraction(char *out, int64_t us_of_day) {
    unsigned us = (unsigned)(us_of_day % SECOND_US);
    *out++ = '.';
    out = put_pair(out, us / 10000);
    out = put_pair(out, us / 100 % 100);
    return put_pair(out, us % 100);
}

/* Date and clock to whole seconds; gives the microseconds of the day. */
static char *put_instant(char *out, int64_t us, char between, int64_t *us_of_day) {
    int64_t year, days = us / DAY_US, rest = us - days * DAY_US;
    unsigned month, day;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    *us_of_day = rest;
    hd_civil_from_days(days, &year, &month, &day);
    if (year >= 0 && year <= 9999) {
        out = put_pair(out, (unsigned)year / 100);
        out = put_pair(out, (unsigned)year % 100);
    } else {
        *out++ = year < 0 ? '-' : '+';
        out = put_digits(out, (uint64_t)(year < 0 ? -year : year), 6);
    }
    out = put_month_and_day(out, month, day);
    *out++ = between;
    return put_clock(out, *us_of_day);
}

size_t hd_timestamp_format_sql(int64_t us, char out[HD_TIMESTAMP_TEXT]) {
    int64_t us_of_day;
    char *end = put_instant(out, us, ' ', &us_of_day);
    return (size_t)(put_fraction(end, us_of_day) - out);
}

size_t hd_timestamp_format_iso(int64_t us, char out[HD_TIMESTAMP_TEXT]) {
    int64_t us_of_day;
    char *end = put_instant(out, us, 'T', &us_of_day);
    if (us_of_day % SECOND_US) end = put_fraction(end, us_of_day);
    *end++ = 'Z';
    return (size_t)(end - out);
}

size_t hd_date_format(int64_t days, char out[HD_TIMESTAMP_TEXT]) {
    int64_t year;
    unsigned month, day;
    hd_civil_from_days(days, &year, &month, &day);
    char *end = put_number(out, (uint64_t)(year > 0 ? year : 1 - year), 4);
    end = put_month_and_day(end, month, day);
    if (year <= 0) {
        memcpy(end, " BC", 3);
        end += 3;
    }
    return (size_t)(end - out);
}

size_t hd_time_format(int64_t us_of_day, char out[HD_TIMESTAMP_TEXT]) {
    char *end = put_clock(out, us_of_day);
    if (us_of_day % SECOND_US) end = put_fraction(end, us_of_day);
    return (size_t)(end - out);
}

/* ---- normal forms ---- */

int hd_date_normalize(const char *text, size_t len, char out[HD_TIMESTAMP_TEXT], size_t *n) {
    cursor c = {text, text + len};
    civil date;
    int64_t days;
    if (!take_date(&c, &date) || !finish_date(&c, &date, &days)) return -1;
    *n = hd_date_format(days, out);
    return 0;
}

int hd_time_normalize(const char *text, size_t len, char out[HD_TIMESTAMP_TEXT], size_t *n) {
    cursor c = {text, text + len};
    int64_t second, fraction;
    if (!take_clock(&c, &second, &fraction) || c.at != c.end) return -1;
    *n = hd_time_format(second * SECOND_US + fraction, out);
    return 0;
}
