/* Text that grows, in memory that may be given back without the interpreter lock; and how to let other threads have that lock. */

#ifndef MEASURAND_BUFFER_H
#define MEASURAND_BUFFER_H

#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"

typedef struct {
    char *start;
    size_t used, room;
} Buffer;

int buffer_grow(Buffer *buffer, size_t more); /* 0, or -1 with MemoryError set */
void buffer_free(Buffer *buffer);

static inline int buffer_reserve(Buffer *buffer, size_t more)
{
    return LIKELY(buffer->room - buffer->used >= more) ? 0 : buffer_grow(buffer, more);
}

/* After buffer_reserve. */
static inline void buffer_put(Buffer *buffer, char character)
{
    buffer->start[buffer->used++] = character;
}

static inline int buffer_add(Buffer *buffer, const char *text, size_t length)
{
    if (buffer_reserve(buffer, length) < 0) {
        return -1;
    }
    if (length > 0) {
        memcpy(buffer->start + buffer->used, text, length);
    }
    buffer->used += length;
    return 0;
}

/* Give the interpreter lock away for long enough that a thread which waits for it gets it. */
void let_others_run(void);

#endif
