/* Layouts and label blocks, between layout.c, which makes them, and render.c, which writes lines with them. */

#ifndef MEASURAND_LAYOUT_H
#define MEASURAND_LAYOUT_H

#include "buffer.h"
#include "core.h"

typedef struct {
    const char *text;
    size_t length;
    Py_ssize_t index; /* of the label value that follows; negative: none */
} Piece;

typedef struct {
    const char *head, *mid; /* mid: NULL for none */
    size_t head_length, mid_length;
    Py_ssize_t number;      /* index in the row; negative: the time of creation */
    Py_ssize_t exemplar;    /* cell; negative: none */
} Line;

typedef struct {
    PyObject_HEAD
    PyObject *sources; /* owns the bytes that pieces and lines point into */
    Piece *pieces;
    Line *lines;
    Py_ssize_t piece_count, line_count, split;
    uint64_t number; /* equal for layouts whose label blocks are equal */
} Layout;

/* A series' label block: "{before" and "after} ". */
struct Block {
    union {
        uint64_t layout;
        Block *next; /* once retired */
    } of;
    uint32_t lead, tail; /* bytes */
    char text[];
};

Block *block_of(State *state, Layout *layout, Series *series, Buffer *scratch);

/* render.c */
PyObject *layout_render(PyObject *layout, PyObject *const *args, Py_ssize_t nargs, PyObject *names);

#endif
