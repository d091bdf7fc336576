/* JSON reader: one event a call, no tree, no recursion. The only memory of what was opened is one
 * bit a level. A string without escapes is borrowed from the document as it stands, after a look at
 * every byte; the others are decoded into `scratch`. An error is final: later calls repeat it. */
#include "json.h"

#include <string.h>

#include "json_scan.h"
#include "text.h"

enum {
    EXPECT_VALUE, /* at the start, behind ':' and behind ',' in an array */
    EXPECT_FIRST, /* behind '[' or '{': the first member or the end */
    AFTER_VALUE,  /* ',' or the end of what is open */
    FAILED
};

void hd_json_read(hd_json_reader *reader, const char *text, size_t len, const hd_allocator *mem) {
    memset(reader, 0, sizeof *reader);
    hd_buffer_init(&reader->scratch, mem);
    reader->at = reader->start = text;
    reader->end = text + len;
    reader->state = EXPECT_VALUE;
}

void hd_json_reader_free(hd_json_reader *reader) {
    hd_buffer_free(&reader->scratch);
}

static hd_json_event fail(hd_json_reader *reader, const char *problem) {
    reader->problem = problem;
    reader->state = FAILED;
    return HD_JSON_ERROR;
}

/* ---- nesting ---- */

static bool in_object(const hd_json_reader *reader) {
    int level = reader->depth - 1;
    return reader->stack[level / 8] >> (level % 8) & 1;
}

static hd_json_event open_container(hd_json_reader *reader, bool object) {
    if (reader->depth >= HD_JSON_DEPTH) return fail(reader, "nested too deeply");
    int level = reader->depth++;
    unsigned char bit = (unsigned char)(1u << (level % 8));
    if (object) {
        reader->stack[level / 8] |= bit;
    } else {
        reader->stack[level / 8] &= (unsigned char)~bit;
    }
    reader->at++;
    reader->state = EXPECT_FIRST;
    return object ? HD_JSON_OBJECT_OPEN : HD_JSON_ARRAY_OPEN;
}

static hd_json_event close_container(hd_json_reader *reader) {
    bool object = in_object(reader);
    reader->at++;
    reader->depth--;
    reader->state = AFTER_VALUE;
    return object ? HD_JSON_OBJECT_CLOSE : HD_JSON_ARRAY_CLOSE;
}

/* ---- strings ---- */

static int read_hex4(const char *at, const char *end) {
    if (end - at < 4) return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int letter = at[i] | 0x20;
        if (at[i] >= '0' && at[i] <= '9') {
            value = value * 16 + (at[i] - '0');
        } else if (letter >= 'a' && letter <= 'f') {
            value = value * 16 + (letter - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

static void add_code_point(hd_buffer *out, unsigned code) {
    char bytes[4];
    if (code < 0x80) {
        hd_buffer_char(out, (char)code);
    } else if (code < 0x800) {
        bytes[0] = (char)(0xC0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3F));
        hd_buffer_add(out, bytes, 2);
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xE0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (code & 0x3F));
        hd_buffer_add(out, bytes, 3);
    } else {
        bytes[0] = (char)(0xF0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 0x3F));
        bytes[2] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[3] = (char)(0x80 | (code & 0x3F));
        hd_buffer_add(out, bytes, 4);
    }
}

/* Behind "\u": four digits, and for a high surrogate the low one's escape as well. */
static const char *decode_unicode(hd_json_reader *reader) {
    int code = read_hex4(reader->at, reader->end);
    if (code < 0) return "four hexadecimal digits expected";
    if (code >= 0xDC00 && code <= 0xDFFF) return "lone surrogate";
    if (code >= 0xD800 && code <= 0xDBFF) {
        const char *low = reader->at + 4;
        if (reader->end - low < 2 || low[0] != '\\' || low[1] != 'u') return "lone surrogate";
        int second = read_hex4(low + 2, reader->end);
        if (second < 0xDC00 || second > 0xDFFF) return "lone surrogate";
        code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
        reader->at += 6;
    }
    reader->at += 4;
    add_code_point(&reader->scratch, (unsigned)code);
    return NULL;
}

static const char *decode_escape(hd_json_reader *reader) {
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    reader->at++;
    if (reader->at == reader->end) return "unfinished string";
    char letter = *reader->at;
    const char *known = letter ? strchr(from, letter) : NULL;
    if (!known && letter != 'u') return "unknown escape";
    reader->at++;
    if (letter == 'u') return decode_unicode(reader);
    hd_buffer_char(&reader->scratch, to[known - from]);
    return NULL;
}

/* Moves over characters that stand for themselves, to a quote or a backslash. */
static const char *pass_plain(hd_json_reader *reader) {
    const char *at = reader->at, *end = reader->end;
    while ((at = hd_json_plain(at, end)) < end && (unsigned char)*at >= 0x80) {
        size_t n = hd_utf8_length(at, (size_t)(end - at));
        if (n == 0) break;
        at += n;
    }
    reader->at = at;
    if (at == end) return "unfinished string";
    if (*at == '"' || *at == '\\') return NULL;
    return (unsigned char)*at < 0x20 ? "control character in a string" : "malformed UTF-8";
}

/* Leaves the string in text, len. The opening quote stands at `at`. */
static const char *read_string(hd_json_reader *reader) {
    const char *from = ++reader->at;
    const char *problem = pass_plain(reader);
    if (problem) return problem;
    if (*reader->at == '"') {
        reader->text = from;
        reader->len = (size_t)(reader->at++ - from);
        return NULL;
    }
    hd_buffer_clear(&reader->scratch);
    while (*reader->at == '\\') {
        hd_buffer_add(&reader->scratch, from, (size_t)(reader->at - from));
        if ((problem = decode_escape(reader))) return problem;
        from = reader->at;
        if ((problem = pass_plain(reader))) return problem;
    }
    hd_buffer_add(&reader->scratch, from, (size_t)(reader->at++ - from));
    if (reader->scratch.failed) return "out of memory";
    reader->text = reader->scratch.data;
    reader->len = reader->scratch.len;
    return NULL;
}

static hd_json_event string_event(hd_json_reader *reader) {
    const char *problem = read_string(reader);
    if (problem) return fail(reader, problem);
    reader->state = AFTER_VALUE;
    return HD_JSON_STRING;
}

/* ---- numbers ---- */

static const char *pass_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at;
}

/* The end of the number that begins at `at`, NULL when its form is wrong. */
static const char *number_end(const char *at, const char *end, bool *integer) {
    if (at < end && *at == '-') at++;
    const char *stop = pass_digits(at, end);
    if (stop == at || (*at == '0' && stop - at > 1)) return NULL;
    *integer = true;
    if (stop < end && *stop == '.') {
        *integer = false;
        at = stop + 1;
        stop = pass_digits(at, end);
        if (stop == at) return NULL;
    }
    if (stop < end && (*stop == 'e' || *stop == 'E')) {
        *integer = false;
        at = stop + 1;
        if (at < end && (*at == '+' || *at == '-')) at++;
        stop = pass_digits(at, end);
        if (stop == at) return NULL;
    }
    return stop;
}

/* Would writing the double give this integer again? It does for "1" and twenty zeros, which jsonb
 * makes of 1e+20, and does not for 2^64 - 1: compare the digits that count. */
static bool spelled_by(double number, const char *text, size_t len) {
    char shortest[40];
    size_t n = hd_double_format(number, shortest);
    size_t at = 0;
    for (size_t i = 0; i < n && shortest[i] != 'e'; i++) {
        if (shortest[i] == '.') continue;
        if (at == len || text[at++] != shortest[i]) return false;
    }
    while (at < len && text[at] == '0') at++;
    return at == len;
}

static hd_json_event read_number(hd_json_reader *reader) {
    bool integer;
    const char *from = reader->at;
    const char *stop = number_end(from, reader->end, &integer);
    if (!stop) return fail(reader, "malformed number");
    size_t len = (size_t)(stop - from);
    bool negative_zero = len == 2 && from[0] == '-' && from[1] == '0';
    hd_json_event event = HD_JSON_NUMBER;
    reader->big_integer = false;
    if (integer && (negative_zero || hd_integer_parse(from, len, &reader->integer) == 0)) {
        if (negative_zero) reader->integer = 0;
        event = HD_JSON_INTEGER;
    } else if (hd_double_parse(from, len, &reader->number) != 0) {
        return fail(reader, "number out of range");
    } else {
        reader->big_integer = integer && !spelled_by(reader->number, from, len);
    }
    reader->text = from;
    reader->len = len;
    reader->at = stop;
    reader->state = AFTER_VALUE;
    return event;
}

/* ---- grammar ---- */

static void pass_space(hd_json_reader *reader) {
    const char *at = reader->at;
    while (at < reader->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    reader->at = at;
}

static hd_json_event read_word(hd_json_reader *reader, const char *word, hd_json_event event) {
    size_t len = strlen(word);
    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0) {
        return fail(reader, "value expected");
    }
    reader->at += len;
    reader->state = AFTER_VALUE;
    return event;
}

static hd_json_event read_value(hd_json_reader *reader) {
    switch (*reader->at) {
    case '"':
        return string_event(reader);
    case '{':
        return open_container(reader, true);
    case '[':
        return open_container(reader, false);
    case 't':
        return read_word(reader, "true", HD_JSON_TRUE);
    case 'f':
        return read_word(reader, "false", HD_JSON_FALSE);
    case 'n':
        return read_word(reader, "null", HD_JSON_NULL);
    default:
        break;
    }
    char c = *reader->at;
    if (c == '-' || (c >= '0' && c <= '9')) return read_number(reader);
    return fail(reader, "value expected");
}

static hd_json_event read_key(hd_json_reader *reader) {
    if (*reader->at != '"') return fail(reader, "member name expected");
    const char *problem = read_string(reader);
    if (problem) return fail(reader, problem);
    pass_space(reader);
    if (reader->at == reader->end || *reader->at != ':') return fail(reader, "':' expected");
    reader->at++;
    reader->state = EXPECT_VALUE;
    return HD_JSON_KEY;
}

/* A comma and what must follow it, or the end of what is open. */
static hd_json_event read_next(hd_json_reader *reader) {
    bool object = in_object(reader);
    if (*reader->at == (object ? '}' : ']')) return close_container(reader);
    if (*reader->at != ',') return fail(reader, "',' or the end of the container expected");
    reader->at++;
    pass_space(reader);
    if (reader->at == reader->end) return fail(reader, "unfinished document");
    return object ? read_key(reader) : read_value(reader);
}

static hd_json_event read_first(hd_json_reader *reader) {
    bool object = in_object(reader);
    if (*reader->at == (object ? '}' : ']')) return close_container(reader);
    return object ? read_key(reader) : read_value(reader);
}

hd_json_event hd_json_next(hd_json_reader *reader) {
    if (reader->state == FAILED) return HD_JSON_ERROR;
    pass_space(reader);
    bool over = reader->at == reader->end;
    if (reader->state == AFTER_VALUE && reader->depth == 0) {
        return over ? HD_JSON_END : fail(reader, "text behind the document");
    }
    if (over) return fail(reader, "unfinished document");
    switch (reader->state) {
    case EXPECT_FIRST:
        return read_first(reader);
    case AFTER_VALUE:
        return read_next(reader);
    default:
        return read_value(reader);
    }
}
