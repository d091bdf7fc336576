/* Dates, times and timestamps: known instants, every day of ten thousand years, and properties over
 * random values, the same in every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/text.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define FIRST_US     (INT64_C(-210866803200) * 1000000)

static uint64_t random_state = UINT64_C(1181783497276652981);

static uint64_t random_u64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(2685821657736338717);
}

/* ---- Known instants ---------------------------------------------------------------------- */

typedef struct instant {
    const char *text, *sql, *iso;
    int64_t us;
} instant;

static const instant instants[] = {
    {"1970-01-01", "1970-01-01 00:00:00.000000", "1970-01-01T00:00:00Z", 0},
    {"1969-12-31T23:59:59.999999Z", "1969-12-31 23:59:59.999999", "1969-12-31T23:59:59.999999Z",
     -1},
    {"1969-12-31 23:59:59", "1969-12-31 23:59:59.000000", "1969-12-31T23:59:59Z", -1000000},
    {"2026-01-31t10:00z", "2026-01-31 10:00:00.000000", "2026-01-31T10:00:00Z", 1769853600000000},
    {"2026-01-31 10:00:00.123456+02:00", "2026-01-31 08:00:00.123456",
     "2026-01-31T08:00:00.123456Z", 1769846400123456},
    {"2026-01-31 10:00:00.5-0330", "2026-01-31 13:30:00.500000", "2026-01-31T13:30:00.500000Z",
     1769866200500000},
    {"2026-01-31 10:00:00+02", "2026-01-31 08:00:00.000000", "2026-01-31T08:00:00Z",
     1769846400000000},
    {"1900-01-01 00:00:00+00:19:32", "1899-12-31 23:40:28.000000", "1899-12-31T23:40:28Z",
     -2208989972000000},
    {"2026-01-31 10:00:00.12000000", "2026-01-31 10:00:00.120000", "2026-01-31T10:00:00.120000Z",
     1769853600120000},
    {"2000-02-29", "2000-02-29 00:00:00.000000", "2000-02-29T00:00:00Z", 951782400000000},
    {"0001-01-01", "0001-01-01 00:00:00.000000", "0001-01-01T00:00:00Z", -62135596800000000},
    {"0000-12-31", "0000-12-31 00:00:00.000000", "0000-12-31T00:00:00Z", -62135683200000000},
    {"0001-12-31 BC", "0000-12-31 00:00:00.000000", "0000-12-31T00:00:00Z", -62135683200000000},
    {"0005-02-29 BC", "-000004-02-29 00:00:00.000000", "-000004-02-29T00:00:00Z",
     -62288352000000000},
    {"0044-03-15 12:00:00+00 BC", "-000043-03-15 12:00:00.000000", "-000043-03-15T12:00:00Z",
     -63517780800000000},
    {"-0043-03-15T12:00:00Z", "-000043-03-15 12:00:00.000000", "-000043-03-15T12:00:00Z",
     -63517780800000000},
    {"9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999", "9999-12-31T23:59:59.999999Z",
     253402300799999999},
    {"10000-01-01", "+010000-01-01 00:00:00.000000", "+010000-01-01T00:00:00Z", 253402300800000000},
    {"+12026-01-01", "+012026-01-01 00:00:00.000000", "+012026-01-01T00:00:00Z",
     317336745600000000},
    {"4714-11-24 BC", "-004713-11-24 00:00:00.000000", "-004713-11-24T00:00:00Z", FIRST_US},
    {"294247-01-10T04:00:54.775807Z", "+294247-01-10 04:00:54.775807",
     "+294247-01-10T04:00:54.775807Z", INT64_MAX},
};

static void timestamps_are_known(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(instants); i++) {
        const instant *known = &instants[i];
        char text[HD_TIMESTAMP_TEXT];
        int64_t us = 77;
        assert_int_equal(hd_timestamp_parse(known->text, strlen(known->text), &us), 0);
        assert_true(us == known->us);
        assert_int_equal(hd_timestamp_format_sql(us, text), strlen(known->sql));
        assert_memory_equal(text, known->sql, strlen(known->sql));
        assert_int_equal(hd_timestamp_format_iso(us, text), strlen(known->iso));
        assert_memory_equal(text, known->iso, strlen(known->iso));
    }
}

static void timestamps_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-01",
                                      "2026-1-31",
                                      "26-01-31",
                                      "2026-01-3",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-01-00",
                                      "2026-01-32",
                                      "2026-04-31",
                                      "2026-02-29",
                                      "1900-02-29",
                                      "2100-02-29",
                                      "0004-02-29 BC",
                                      "2026/01/31",
                                      "20260131",
                                      "2026-01-31 ",
                                      " 2026-01-31",
                                      "2026-01-31T",
                                      "2026-01-31T10",
                                      "2026-01-31T10:",
                                      "2026-01-31T1:00",
                                      "2026-01-31T10:00:",
                                      "2026-01-31T10:00:60",
                                      "2026-01-31T10:60:00",
                                      "2026-01-31T24:00:00",
                                      "2026-01-31T10:00:00.",
                                      "2026-01-31T10:00:00.1234567",
                                      "2026-01-31T10:00:00,5",
                                      "2026-01-31  10:00:00",
                                      "2026-01-31_10:00:00",
                                      "2026-01-31T10:00:00 Z",
                                      "2026-01-31T10:00:00ZZ",
                                      "2026-01-31T10:00:00+",
                                      "2026-01-31T10:00:00+2",
                                      "2026-01-31T10:00:00+02:",
                                      "2026-01-31T10:00:00+02:60",
                                      "2026-01-31T10:00:00+16:00",
                                      "2026-01-31T10:00:00+020",
                                      "2026-01-31T10:00:00+02:00:60",
                                      "2026-01-31Z",
                                      "2026-01-31+02",
                                      "2026-01-31BC",
                                      "2026-01-31 bc",
                                      "2026-01-31 BC ",
                                      "-0044-03-15 BC",
                                      "0000-01-01 BC",
                                      "--0044-03-15",
                                      "4714-11-23 BC",
                                      "4714-11-24 00:00:00+00:01 BC",
                                      "-4714-11-24",
                                      "294247-01-10 04:00:54.775808",
                                      "294247-01-11",
                                      "5874897-12-31",
                                      "99999999-01-01",
                                      "infinity",
                                      "-infinity",
                                      "now"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t us;
        assert_int_equal(hd_timestamp_parse(bad[i], strlen(bad[i]), &us), -1);
    }
    int64_t us;
    assert_int_equal(hd_timestamp_parse("2026-01-31\0", 11, &us), -1);
}

/* ---- The calendar ------------------------------------------------------------------------ */

static unsigned month_length(int year, unsigned month) {
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap);
}

/* One day of the walk below: numbers and texts, both ways. */
static bool day_holds(int64_t days, int year, unsigned month, unsigned day) {
    char expected[32], text[HD_TIMESTAMP_TEXT];
    int64_t y, us;
    unsigned m, d;
    size_t n;
    hd_civil_from_days(days, &y, &m, &d);
    if (y != year || m != month || d != day) return false;
    if (hd_days_from_civil(year, month, day) != days) return false;
    snprintf(expected, sizeof expected, "%04d-%02u-%02u", year, month, day);
    if (hd_date_format(days, text) != 10 || memcmp(text, expected, 10) != 0) return false;
    if (hd_date_normalize(expected, 10, text, &n) != 0 || n != 10) return false;
    if (memcmp(text, expected, 10) != 0) return false;
    return hd_timestamp_parse(expected, 10, &us) == 0 && us == days * INT64_C(86400000000);
}

static void every_day_of_ten_thousand_years(void **state) {
    (void)state;
    int64_t days = -719162; /* 0001-01-01 */
    for (int year = 1; year <= 9999; year++) {
        for (unsigned month = 1; month <= 12; month++) {
            unsigned length = month_length(year, month);
            for (unsigned day = 1; day <= length; day++, days++) {
                if (!day_holds(days, year, month, day)) fail_msg("%d-%u-%u", year, month, day);
            }
            char text[32];
            int64_t us;
            snprintf(text, sizeof text, "%04d-%02u-%02u", year, month, length + 1);
            assert_int_equal(hd_timestamp_parse(text, 10, &us), -1);
        }
    }
    assert_int_equal(days, 2932897); /* 10000-01-01 */
}

static void calendar_agrees_with_the_c_library(void **state) {
    (void)state;
    for (int i = 0; i < 100000; i++) {
        int64_t us = (int64_t)random_u64() >> random_u64() % 40, year;
        time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
        struct tm tm;
        unsigned month, day;
        assert_non_null(gmtime_r(&seconds, &tm));
        int64_t days = ((int64_t)seconds - (tm.tm_hour * 60 + tm.tm_min) * 60 - tm.tm_sec) / 86400;
        hd_civil_from_days(days, &year, &month, &day);
        assert_true(year == (int64_t)tm.tm_year + 1900);
        assert_int_equal(month, tm.tm_mon + 1);
        assert_int_equal(day, tm.tm_mday);
        assert_true(hd_days_from_civil(year, month, day) == days);
        char text[HD_TIMESTAMP_TEXT], clock[32];
        size_t n = hd_timestamp_format_sql(us, text);
        int64_t fraction = us - (int64_t)seconds * 1000000;
        snprintf(clock, sizeof clock, "%02d:%02d:%02d.%06d", tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (int)fraction);
        assert_memory_equal(text + n - 15, clock, 15);
    }
}

/* ---- Properties -------------------------------------------------------------------------- */

static int64_t random_us(void) {
    int64_t us = (int64_t)random_u64() >> random_u64() % 50;
    return us < FIRST_US ? FIRST_US + (us & INT64_MAX) % INT64_C(1000000000000000) : us;
}

static void timestamps_survive_both_ways(void **state) {
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char text[HD_TIMESTAMP_TEXT], again[HD_TIMESTAMP_TEXT];
        int64_t us = random_us(), back = ~us;
        size_t n = hd_timestamp_format_sql(us, text);
        if (hd_timestamp_parse(text, n, &back) != 0 || back != us) fail_msg("%.*s", (int)n, text);
        n = hd_timestamp_format_iso(us, text);
        if (hd_timestamp_parse(text, n, &back) != 0 || back != us) fail_msg("%.*s", (int)n, text);
        assert_int_equal(hd_timestamp_format_iso(back, again), n);
        assert_memory_equal(text, again, n);
    }
}

static void every_integer_has_a_text(void **state) {
    (void)state;
    static const char first[] = "-290308-12-21 19:59:05.224192";
    char text[HD_TIMESTAMP_TEXT];
    assert_int_equal(hd_timestamp_format_sql(INT64_MIN, text), strlen(first));
    assert_memory_equal(text, first, strlen(first));
}

static void storage_form_sorts_as_text(void **state) {
    (void)state;
    for (int i = 0; i < 100000; i++) {
        char x[HD_TIMESTAMP_TEXT], y[HD_TIMESTAMP_TEXT];
        int64_t span = INT64_C(315569519999999999), first = INT64_C(-62167219200000000);
        int64_t a = first + (int64_t)(random_u64() % (uint64_t)span);
        int64_t b = a + ((int64_t)random_u64() >> (20 + random_u64() % 44));
        if (b < first || b > first + span) continue;
        size_t n = hd_timestamp_format_sql(a, x);
        assert_int_equal(n, 26);
        assert_int_equal(hd_timestamp_format_sql(b, y), n);
        int order = memcmp(x, y, n);
        assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
    }
}

static void offsets_are_subtracted(void **state) {
    (void)state;
    for (int i = 0; i < 50000; i++) {
        char text[HD_TIMESTAMP_TEXT + 16];
        int64_t local = random_us() / 2, us = 0;
        int hours = (int)(random_u64() % 16), minutes = (int)(random_u64() % 60);
        bool west = random_u64() % 2;
        size_t n = hd_timestamp_format_sql(local, text);
        int zone = snprintf(text + n, 16, "%c%02d:%02d", west ? '-' : '+', hours, minutes);
        int64_t offset = (hours * 60 + minutes) * INT64_C(60000000) * (west ? -1 : 1);
        assert_int_equal(hd_timestamp_parse(text, n + (size_t)zone, &us), 0);
        assert_true(us == local - offset);
    }
}

/* Whatever stands in a text, parsing reads nothing outside it, and what it takes it gives back. */
static void damaged_texts_do_no_harm(void **state) {
    (void)state;
    static const char letters[] = "0123456789-+:.TZ BC";
    for (int i = 0; i < 200000; i++) {
        const char *whole = instants[random_u64() % COUNT(instants)].text;
        size_t len = strlen(whole) - random_u64() % (strlen(whole) + 1);
        char *text = malloc(len ? len : 1), out[HD_TIMESTAMP_TEXT];
        memcpy(text, whole, len);
        if (len && i % 4) text[random_u64() % len] = letters[random_u64() % (sizeof letters - 1)];
        int64_t us, back;
        size_t n;
        if (hd_timestamp_parse(text, len, &us) == 0) {
            n = hd_timestamp_format_iso(us, out);
            assert_int_equal(hd_timestamp_parse(out, n, &back), 0);
            assert_true(us == back);
        }
        if (hd_date_normalize(text, len, out, &n) == 0) assert_in_range(n, 10, 16);
        if (hd_time_normalize(text, len, out, &n) == 0) assert_in_range(n, 8, 15);
        free(text);
    }
}

/* ---- Dates and times --------------------------------------------------------------------- */

typedef struct form {
    const char *text, *normal; /* NULL: refused */
} form;

typedef int normalizer(const char *text, size_t len, char out[HD_TIMESTAMP_TEXT], size_t *n);

static void check_forms(const form *forms, size_t count, normalizer *normalize) {
    for (size_t i = 0; i < count; i++) {
        char out[HD_TIMESTAMP_TEXT], again[HD_TIMESTAMP_TEXT];
        size_t n = 0, m = 0;
        int result = normalize(forms[i].text, strlen(forms[i].text), out, &n);
        assert_int_equal(result, forms[i].normal ? 0 : -1);
        if (result != 0) continue;
        assert_int_equal(n, strlen(forms[i].normal));
        assert_memory_equal(out, forms[i].normal, n);
        assert_int_equal(normalize(out, n, again, &m), 0);
        assert_int_equal(n, m);
        assert_memory_equal(out, again, n);
    }
}

static void dates_have_one_form(void **state) {
    (void)state;
    static const form forms[] = {
        {"2026-01-31", "2026-01-31"},
        {"2024-02-29", "2024-02-29"},
        {"+2026-01-31", "2026-01-31"},
        {"12026-01-31", "12026-01-31"},
        {"+012026-01-31", "12026-01-31"},
        {"0044-03-15 BC", "0044-03-15 BC"},
        {"-0043-03-15", "0044-03-15 BC"},
        {"0000-01-01", "0001-01-01 BC"},
        {"4714-11-24 BC", "4714-11-24 BC"},
        {"5874897-12-31", "5874897-12-31"},
        {"4714-11-23 BC", NULL},
        {"5874898-01-01", NULL},
        {"2026-02-29", NULL},
        {"2026-1-31", NULL},
        {"2026-01-31T00:00:00", NULL},
        {"2026-01-31 ", NULL},
        {"", NULL},
        {"infinity", NULL},
    };
    check_forms(forms, COUNT(forms), hd_date_normalize);
}

static void times_have_one_form(void **state) {
    (void)state;
    static const form forms[] = {
        {"00:00", "00:00:00"},
        {"10:30", "10:30:00"},
        {"23:59:59", "23:59:59"},
        {"23:59:59.999999", "23:59:59.999999"},
        {"23:59:59.000001", "23:59:59.000001"},
        {"12:00:00.5", "12:00:00.500000"},
        {"12:00:00.000", "12:00:00"},
        {"12:00:00.1234560", "12:00:00.123456"},
        {"24:00:00", NULL},
        {"23:60:00", NULL},
        {"23:59:60", NULL},
        {"12:00:00.1234567", NULL},
        {"12:00:00.", NULL},
        {"12:00.5", NULL},
        {"1:00", NULL},
        {"12", NULL},
        {"12:00:00Z", NULL},
        {"12:00:00+02", NULL},
        {"", NULL},
    };
    check_forms(forms, COUNT(forms), hd_time_normalize);
    char text[HD_TIMESTAMP_TEXT];
    assert_int_equal(hd_time_format(INT64_C(86400000000), text), 8);
    assert_memory_equal(text, "24:00:00", 8);
}

/* The usual forms are read in a way of their own, those with a small "t" in the general one: they must agree on whatever
 * stands in the text. */
static void the_quick_way_reads_what_the_general_one_does(void **state) {
    (void)state;
    static const char *const forms[] = {
        "2017-07-14 02:40:00",         "2024-02-29T23:59:59Z",
        "1900-02-28 00:00:00+00",      "0001-01-01 00:00:00.000001",
        "9999-12-31T23:59:59.999999Z", "1969-12-31 23:59:59.123456+00:00",
        "2017-07-14 02:40:00.5",       "2017-07-14 02:40:00.123456+01",
        "2017-07-14 02:40:00.1234567",
    };
    static const char bytes[] = "0123456789-: .TtZ+x";
    uint32_t seed = 17;
    for (int i = 0; i < 300000; i++) {
        char text[40];
        const char *usual = forms[(seed >> 7) % (sizeof forms / sizeof *forms)];
        size_t len = strlen(usual);
        memcpy(text, usual, len);
        for (int k = (int)(seed >> 21) % 4; k > 0; k--) {
            seed = seed * 1664525u + 1013904223u;
            text[(seed >> 8) % len] = bytes[(seed >> 16) % (sizeof bytes - 1)];
        }
        seed = seed * 1664525u + 1013904223u;
        if (text[10] != ' ' && text[10] != 'T') text[10] = ' ';
        int64_t quick = 0, general = 0;
        int read = hd_timestamp_parse(text, len, &quick);
        text[10] = 't';
        assert_int_equal(read, hd_timestamp_parse(text, len, &general));
        assert_true(quick == general);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamps_are_known),
        cmocka_unit_test(timestamps_are_refused),
        cmocka_unit_test(every_day_of_ten_thousand_years),
        cmocka_unit_test(calendar_agrees_with_the_c_library),
        cmocka_unit_test(timestamps_survive_both_ways),
        cmocka_unit_test(every_integer_has_a_text),
        cmocka_unit_test(storage_form_sorts_as_text),
        cmocka_unit_test(offsets_are_subtracted),
        cmocka_unit_test(damaged_texts_do_no_harm),
        cmocka_unit_test(the_quick_way_reads_what_the_general_one_does),
        cmocka_unit_test(dates_have_one_form),
        cmocka_unit_test(times_have_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
