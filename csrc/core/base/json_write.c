/* JSON writer: appends to a buffer. It knows one thing about its past, whether a value stands
 * before at this level, and so places every comma; the order of calls is the caller's. Out of
 * memory is remembered by the buffer and asked there, once, at the end. */
#include "json.h"

#include <math.h>
#include <stdio.h>

#include "json_scan.h"
#include "text.h"

void hd_json_write(hd_json_writer *writer, hd_buffer *out) {
    writer->out = out;
    writer->depth = 0;
    writer->comma = false;
}

static void begin_value(hd_json_writer *writer) {
    if (writer->comma) hd_buffer_char(writer->out, ',');
    writer->comma = true;
}

/* ---- scalars ---- */

void hd_json_put_null(hd_json_writer *writer) {
    begin_value(writer);
    hd_buffer_add(writer->out, "null", 4);
}

void hd_json_put_bool(hd_json_writer *writer, bool value) {
    begin_value(writer);
    hd_buffer_str(writer->out, value ? "true" : "false");
}

void hd_json_put_integer(hd_json_writer *writer, int64_t value) {
    char text[24];
    begin_value(writer);
    hd_buffer_add(writer->out, text, hd_integer_format(value, text));
}

/* Integral doubles in the range of integers keep a ".0", and no exponent: jsonb would resolve it
 * and hand back an integer. Beyond that range every number is read as a double. */
int hd_json_put_number(hd_json_writer *writer, double value) {
    char text[48];
    size_t n;
    if (isnan(value) || isinf(value)) return -1;
    bool integral = value == rint(value) && fabs(value) < 0x1p63;
    if (integral && fabs(value) >= 1e15) {
        n = hd_integer_format((int64_t)value, text);
    } else {
        n = hd_double_format(value, text);
    }
    begin_value(writer);
    hd_buffer_add(writer->out, text, n);
    if (integral) hd_buffer_add(writer->out, ".0", 2);
    return 0;
}

/* ---- strings ---- */

static void put_escape(hd_buffer *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn\0fr"; /* for 8 to 13; 11 has none */
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    if (c == '"' || c == '\\') {
        text[1] = (char)c;
    } else if (c >= 8 && c <= 13 && letters[c - 8]) {
        text[1] = letters[c - 8];
    } else {
        hd_buffer_add(out, text, 6);
        return;
    }
    hd_buffer_add(out, text, 2);
}

/* Passes over characters that stand for themselves; NULL where the text is not UTF-8. */
static const char *plain_characters(const char *at, const char *end) {
    while ((at = hd_json_plain(at, end)) < end && (unsigned char)*at >= 0x80) {
        size_t n = hd_utf8_length(at, (size_t)(end - at));
        if (n == 0) return NULL;
        at += n;
    }
    return at;
}

static int put_quoted(hd_buffer *out, const char *text, size_t len) {
    const char *at = text, *end = text + len;
    hd_buffer_char(out, '"');
    while (at < end) {
        const char *stop = plain_characters(at, end);
        if (!stop) return -1;
        hd_buffer_add(out, at, (size_t)(stop - at));
        if (stop < end) put_escape(out, (unsigned char)*stop++);
        at = stop;
    }
    hd_buffer_char(out, '"');
    return 0;
}

/* Text that is refused leaves nothing behind. */
int hd_json_put_string(hd_json_writer *writer, const char *text, size_t len) {
    size_t before = writer->out->len;
    bool comma = writer->comma;
    begin_value(writer);
    if (put_quoted(writer->out, text, len) == 0) return 0;
    if (!writer->out->failed) writer->out->len = before;
    writer->comma = comma;
    return -1;
}

int hd_json_put_key(hd_json_writer *writer, const char *text, size_t len) {
    if (hd_json_put_string(writer, text, len) != 0) return -1;
    hd_buffer_char(writer->out, ':');
    writer->comma = false;
    return 0;
}

/* ---- nesting ---- */

static int open_container(hd_json_writer *writer, char bracket) {
    if (writer->depth >= HD_JSON_DEPTH) return -1;
    begin_value(writer);
    hd_buffer_char(writer->out, bracket);
    writer->depth++;
    writer->comma = false;
    return 0;
}

static void close_container(hd_json_writer *writer, char bracket) {
    hd_buffer_char(writer->out, bracket);
    writer->depth--;
    writer->comma = true;
}

int hd_json_open_array(hd_json_writer *writer) {
    return open_container(writer, '[');
}

void hd_json_close_array(hd_json_writer *writer) {
    close_container(writer, ']');
}

int hd_json_open_object(hd_json_writer *writer) {
    return open_container(writer, '{');
}

void hd_json_close_object(hd_json_writer *writer) {
    close_container(writer, '}');
}
