/* Growing byte buffer. Every append may fail; failure is remembered in `failed`, later appends do
 * nothing, so that a writer checks once at its end. Holds any byte; never NUL-terminated unless
 * hd_buffer_text is asked. */
#ifndef HD_BUFFER_H
#define HD_BUFFER_H

#include <stdbool.h>

#include "alloc.h"

typedef struct hd_buffer {
    const hd_allocator *mem;
    char *data;
    size_t len, capacity;
    bool failed; /* out of memory */
} hd_buffer;

void hd_buffer_init(hd_buffer *buf, const hd_allocator *mem); /* allocates nothing */
void hd_buffer_free(hd_buffer *buf);
void hd_buffer_clear(hd_buffer *buf);              /* length 0, memory kept, failed reset */
char *hd_buffer_room(hd_buffer *buf, size_t more); /* pointer to `more` writable bytes or NULL */
void hd_buffer_add(hd_buffer *buf, const char *bytes, size_t len);
void hd_buffer_str(hd_buffer *buf, const char *text); /* NUL-terminated text */
void hd_buffer_char(hd_buffer *buf, char c);
void hd_buffer_int(hd_buffer *buf, long long value);
void hd_buffer_fmt(hd_buffer *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hd_buffer_ident(hd_buffer *buf, const char *name, size_t len); /* "name", quotes doubled */
const char *hd_buffer_text(hd_buffer *buf); /* NUL-terminated view, "" when failed */

#endif
