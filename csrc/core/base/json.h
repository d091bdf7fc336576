/* JSON without a tree: a pull reader and an appending writer. The binding builds Lua values from
 * the reader's events and feeds the writer; the core never sees a document as a whole. RFC 8259,
 * UTF-8, integers of 64 bits exact, other numbers as shortest round-trip doubles. */
#ifndef HD_JSON_H
#define HD_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"

#define HD_JSON_DEPTH 512 /* deeper documents are refused, read or written */

typedef enum hd_json_event {
    HD_JSON_ERROR = -1,
    HD_JSON_END = 0, /* the whole document was read */
    HD_JSON_NULL,
    HD_JSON_TRUE,
    HD_JSON_FALSE,
    HD_JSON_INTEGER, /* integer: no fraction, no exponent, fits int64 */
    HD_JSON_NUMBER,  /* number; see big_integer */
    HD_JSON_STRING,  /* text,len: decoded */
    HD_JSON_KEY,     /* text,len: decoded member name; its value follows */
    HD_JSON_ARRAY_OPEN,
    HD_JSON_ARRAY_CLOSE,
    HD_JSON_OBJECT_OPEN,
    HD_JSON_OBJECT_CLOSE
} hd_json_event;

typedef struct hd_json_reader {
    const char *at, *end, *start;
    hd_buffer scratch; /* decoded strings that had escapes */
    int depth;
    unsigned char stack[(HD_JSON_DEPTH + 7) / 8]; /* bit: 1 object, 0 array */
    unsigned char state;
    const char *text; /* borrowed: from the document or scratch, until the next event */
    size_t len;       /* of a string or key decoded, of a number as it is written */
    int64_t integer;
    double number;
    bool big_integer;    /* an integer beyond int64 that writing `number` would change: use text */
    const char *problem; /* static text, on HD_JSON_ERROR; the offset is at - start */
} hd_json_reader;

void hd_json_read(hd_json_reader *reader, const char *text, size_t len, const hd_allocator *mem);
/* \u0000 is decoded to NUL; 1e999 and 1e-999, which no double holds, are errors. Members of one
 * name are all given. An error is final. */
hd_json_event hd_json_next(hd_json_reader *reader);
void hd_json_reader_free(hd_json_reader *reader);

/* Writer: plain appends; commas and colons are the writer's business, nesting is the caller's order
 * of calls. What is refused (-1) leaves the buffer as it was; out of memory is the buffer's
 * `failed`. */
typedef struct hd_json_writer {
    hd_buffer *out;
    int depth;
    bool comma; /* a value stands before, at this level */
} hd_json_writer;

void hd_json_write(hd_json_writer *writer, hd_buffer *out);
void hd_json_put_null(hd_json_writer *writer);
void hd_json_put_bool(hd_json_writer *writer, bool value);
void hd_json_put_integer(hd_json_writer *writer, int64_t value);
/* -1: NaN or infinity. 3.0 is written "3.0". */
int hd_json_put_number(hd_json_writer *writer, double value);
/* -1: not UTF-8. NUL is written \u0000. */
int hd_json_put_string(hd_json_writer *writer, const char *text, size_t len);
int hd_json_put_key(hd_json_writer *writer, const char *text, size_t len);
int hd_json_open_array(hd_json_writer *writer); /* -1: too deep */
void hd_json_close_array(hd_json_writer *writer);
int hd_json_open_object(hd_json_writer *writer);
void hd_json_close_object(hd_json_writer *writer);

/* Structural hash, 128 bits: the same for documents that are equal as values whatever the order of
 * keys; 3 equals 3.0; an empty array equals an empty object. Combine bottom-up. */
typedef struct hd_hash128 {
    uint64_t a, b;
} hd_hash128;
hd_hash128 hd_hash_null(void);
hd_hash128 hd_hash_bool(bool value);
hd_hash128 hd_hash_number(double value, bool is_integer, int64_t integer);
hd_hash128 hd_hash_string(const char *text, size_t len);
hd_hash128 hd_hash_array_start(void);
hd_hash128 hd_hash_array_add(hd_hash128 array, hd_hash128 item); /* order counts */
hd_hash128 hd_hash_object_start(void);
/* Order does not count; each name at most once. */
hd_hash128 hd_hash_object_add(hd_hash128 object, const char *key, size_t len, hd_hash128 value);
/* count 0: same for both */
hd_hash128 hd_hash_close(hd_hash128 container, uint64_t count, bool is_array);
/* Hash of a JSON text, by the reader: the last of two members of one name counts, a big_integer is
 * hashed as the string of its digits. -1: malformed or out of memory. */
int hd_json_hash(const char *text, size_t len, const hd_allocator *mem, hd_hash128 *out);

#endif
