/* Texts that were written before: a context's flushes mostly write the same few statements, and
 * finding a text costs less than writing it. Texts are copied on their way in and out, so that
 * nobody depends on what is kept. */
#ifndef HD_WRITE_TEXTS_H
#define HD_WRITE_TEXTS_H

#include "write_shape.h"

enum { HD_WRITE_TEXTS = 32 };

typedef struct hd_write_text hd_write_text;

typedef struct hd_write_texts {
    const hd_allocator *mem;
    hd_write_text *kept[HD_WRITE_TEXTS]; /* by hash; a newer one takes an older one's place */
} hd_write_texts;

void hd_write_texts_init(hd_write_texts *texts, const hd_allocator *mem);
void hd_write_texts_free(hd_write_texts *texts);

/* Sets text, length and hash of the statement, the text in the arena. False: it is not known, or
 * there is no memory for it. */
bool hd_write_texts_find(hd_write_texts *texts, const hd_write_shape *shape, hd_write_form form,
                         uint32_t rows, hd_arena *arena, hd_statement *out);
/* Keeps the statement's text, unless it holds the program's own SQL, is long, or memory is short. */
void hd_write_texts_keep(hd_write_texts *texts, const hd_write_shape *shape, hd_write_form form,
                         uint32_t rows, const hd_statement *statement);

#endif
