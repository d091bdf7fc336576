/* What the tests of the JSON codec share: a document read and written again, event by event. */
#ifndef JSON_SUPPORT_H
#define JSON_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Copies a document through reader and writer: its canonical text, or the reader's last event. */
static inline hd_json_event rewrite(const char *text, size_t len, const hd_allocator *mem,
                                    hd_buffer *out) {
    hd_json_reader r;
    hd_json_writer w;
    hd_json_event event;
    char *exact = malloc(len ? len : 1); /* so that reading outside it is seen */
    memcpy(exact, text, len);
    hd_json_read(&r, exact, len, mem);
    hd_json_write(&w, out);
    while ((event = hd_json_next(&r)) > HD_JSON_END) {
        switch (event) {
        case HD_JSON_NULL:
            hd_json_put_null(&w);
            break;
        case HD_JSON_TRUE:
            hd_json_put_bool(&w, true);
            break;
        case HD_JSON_FALSE:
            hd_json_put_bool(&w, false);
            break;
        case HD_JSON_INTEGER:
            hd_json_put_integer(&w, r.integer);
            break;
        case HD_JSON_NUMBER:
            assert_int_equal(hd_json_put_number(&w, r.number), 0);
            break;
        case HD_JSON_STRING:
            assert_int_equal(hd_json_put_string(&w, r.text, r.len), 0);
            break;
        case HD_JSON_KEY:
            assert_int_equal(hd_json_put_key(&w, r.text, r.len), 0);
            break;
        case HD_JSON_ARRAY_OPEN:
            assert_int_equal(hd_json_open_array(&w), 0);
            break;
        case HD_JSON_ARRAY_CLOSE:
            hd_json_close_array(&w);
            break;
        case HD_JSON_OBJECT_OPEN:
            assert_int_equal(hd_json_open_object(&w), 0);
            break;
        default:
            hd_json_close_object(&w);
        }
    }
    assert_int_equal(hd_json_next(&r), event);
    assert_in_range(r.at - r.start, 0, len);
    if (event == HD_JSON_ERROR) assert_non_null(r.problem);
    hd_json_reader_free(&r);
    free(exact);
    return event;
}

#endif
