/* Byte buffer: see buffer.h. Capacity doubles; the first failed growth sets `failed` and every
 * later append does nothing, so what stands in the buffer is then a prefix that nobody should
 * use. */
#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void hd_buffer_init(hd_buffer *buf, const hd_allocator *mem) {
    memset(buf, 0, sizeof *buf);
    buf->mem = mem;
}

void hd_buffer_free(hd_buffer *buf) {
    hd_free(buf->mem, buf->data);
    hd_buffer_init(buf, buf->mem);
}

void hd_buffer_clear(hd_buffer *buf) {
    buf->len = 0;
    buf->failed = false;
}

/* Makes sure that `more` bytes fit behind the end; counts nothing as written. */
static bool reserve(hd_buffer *buf, size_t more) {
    if (buf->failed) return false;
    if (more <= buf->capacity - buf->len) return true;
    if (more > SIZE_MAX - buf->len) {
        buf->failed = true;
        return false;
    }
    void *data = buf->data;
    if (hd_grow(buf->mem, &data, &buf->capacity, buf->len + more, 1) != 0) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    return true;
}

char *hd_buffer_room(hd_buffer *buf, size_t more) {
    if (!reserve(buf, more ? more : 1)) return NULL;
    char *room = buf->data + buf->len;
    buf->len += more;
    return room;
}

void hd_buffer_add(hd_buffer *buf, const char *bytes, size_t len) {
    if (len == 0 || !reserve(buf, len)) return;
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
}

void hd_buffer_str(hd_buffer *buf, const char *text) {
    hd_buffer_add(buf, text, strlen(text));
}

void hd_buffer_char(hd_buffer *buf, char c) {
    if (reserve(buf, 1)) buf->data[buf->len++] = c;
}

void hd_buffer_int(hd_buffer *buf, long long value) {
    char digits[24];
    char *at = digits + sizeof digits;
    unsigned long long rest = (unsigned long long)value;
    if (value < 0) rest = 0 - rest;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) *--at = '-';
    hd_buffer_add(buf, at, (size_t)(digits + sizeof digits - at));
}

void hd_buffer_fmt(hd_buffer *buf, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0) {
        buf->failed = true;
    } else if (reserve(buf, (size_t)len + 1)) {
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void hd_buffer_ident(hd_buffer *buf, const char *name, size_t len) {
    hd_buffer_char(buf, '"');
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '"') hd_buffer_char(buf, '"');
        hd_buffer_char(buf, name[i]);
    }
    hd_buffer_char(buf, '"');
}

const char *hd_buffer_text(hd_buffer *buf) {
    if (!reserve(buf, 1)) return "";
    buf->data[buf->len] = '\0';
    return buf->data;
}
