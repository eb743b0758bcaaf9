/* Layout: how the rows of one instrument become lines of text; and the label blocks of series.

   Promises: the label block of a series is escaped and encoded once and then kept with the series; layouts whose label blocks are
   equal share it. */

#include "layout.h"

#include <string.h>
#ifndef _WIN32
#include <unistd.h>
#endif

#define MOST_KNOWN 10000 /* label blocks to tell apart: about as many as there are metrics */

/* -- blocks that nobody needs ---------------------------------------------------------------------------------------- */

void free_block(Block *block)
{
    PyMem_Free(block);
}

static void free_all(Block *block)
{
    while (block != NULL) {
        Block *next = block->of.next;
        free_block(block);
        block = next;
    }
}

/* With the lock held: what is to be freed without it. */
static Block *take_retired(State *state)
{
    Block *retired = state->retired;
    state->retired = NULL;
    return retired;
}

/* Give up a block that a rendering without the interpreter lock may still be reading. */
void retire_block(State *state, Block *block)
{
    LOCK(&state->lock);
    bool may_be_read = block != NULL && state->renderings > 0;
    if (may_be_read) {
        block->of.next = state->retired;
        state->retired = block;
    }
    UNLOCK(&state->lock);
    if (!may_be_read) {
        free_block(block);
    }
}

/* From here to end_rendering() no block is freed. In between no Python code runs in this thread, so that what a forked child finds
   under way was under way in threads that it does not have. */
void begin_rendering(State *state)
{
    Block *retired = NULL;
    LOCK(&state->lock);
#ifndef _WIN32
    if (state->process != getpid()) {
        state->process = getpid();
        state->renderings = 0;
        retired = take_retired(state);
    }
#endif
    state->renderings++;
    UNLOCK(&state->lock);
    free_all(retired);
}

void end_rendering(State *state)
{
    LOCK(&state->lock);
    Block *retired = --state->renderings == 0 ? take_retired(state) : NULL;
    UNLOCK(&state->lock);
    free_all(retired);
}

/* -- making a layout ------------------------------------------------------------------------------------------------- */

static int take_text(PyObject *bytes, const char **text, size_t *length)
{
    char *start;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(bytes, &start, &size) < 0) {
        return -1;
    }
    *text = start;
    *length = (size_t)size;
    return 0;
}

static int take_piece(PyObject *source, Piece *piece)
{
    PyObject *text;
    return PyArg_ParseTuple(source, "Sn", &text, &piece->index) ? take_text(text, &piece->text, &piece->length) : -1;
}

static int take_line(PyObject *source, Line *line)
{
    PyObject *head, *mid;
    if (!PyArg_ParseTuple(source, "SOnn", &head, &mid, &line->number, &line->exemplar) ||
        take_text(head, &line->head, &line->head_length) < 0) {
        return -1;
    }
    return mid == Py_None ? 0 : take_text(mid, &line->mid, &line->mid_length);
}

/* A list of our own of what an iterable of tuples holds, so that nobody changes it; NULL with an exception set. */
static PyObject *tuples_of(PyObject *given, Py_ssize_t *count)
{
    PyObject *list = PySequence_List(given);
    *count = list == NULL ? 0 : PyList_Size(list);
    for (Py_ssize_t i = 0; i < *count; i++) {
        if (!PyTuple_Check(PyList_GetItem(list, i))) {
            PyErr_SetString(PyExc_TypeError, "a layout is made of tuples");
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

/* The number for these pieces: known, or new. */
static int number_layout(State *state, PyObject *pieces, Py_ssize_t split, uint64_t *number)
{
    PyObject *tuple = PyList_AsTuple(pieces), *key = tuple == NULL ? NULL : Py_BuildValue("Nn", tuple, split);
    if (key == NULL) {
        return -1;
    }
    PyObject *known = find_in(state->layouts, key);
    if (known != NULL) {
        *number = PyLong_AsUnsignedLongLong(known);
    }
    else if (!PyErr_Occurred()) {
        if (PyDict_Size(state->layouts) >= MOST_KNOWN) { /* numbers are not used twice, so that all that is lost is the sharing */
            PyDict_Clear(state->layouts);
        }
        LOCK(&state->lock);
        *number = ++state->last_layout;
        UNLOCK(&state->lock);
        known = PyLong_FromUnsignedLongLong(*number);
        if (known != NULL) {
            PyDict_SetItem(state->layouts, key, known);
        }
    }
    Py_XDECREF(known);
    Py_DECREF(key);
    return PyErr_Occurred() ? -1 : 0;
}

static int fill_layout(State *state, Layout *self, PyObject *pieces, PyObject *lines)
{
    self->pieces = PyMem_Calloc((size_t)self->piece_count + 1, sizeof *self->pieces);
    self->lines = PyMem_Calloc((size_t)self->line_count + 1, sizeof *self->lines);
    if (self->pieces == NULL || self->lines == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < self->piece_count; i++) {
        if (take_piece(PyList_GetItem(pieces, i), &self->pieces[i]) < 0) {
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < self->line_count; i++) {
        if (take_line(PyList_GetItem(lines, i), &self->lines[i]) < 0) {
            return -1;
        }
    }
    Py_ssize_t split = self->split + (self->split < 0 ? self->piece_count : 0); /* as a slice has it */
    self->split = split < 0 ? 0 : split > self->piece_count ? self->piece_count : split;
    return number_layout(state, pieces, self->split, &self->number);
}

static PyObject *layout_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"pieces", "split", "lines", NULL};
    PyObject *pieces, *lines;
    Py_ssize_t split;
    State *state = state_of_type(type);
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, keywords, "OnO:Layout", names, &pieces, &split, &lines)) {
        return NULL;
    }
    allocfunc alloc = (allocfunc)slot_of(type, Py_tp_alloc);
    Layout *self = (Layout *)alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->split = split;
    PyObject *own_pieces = tuples_of(pieces, &self->piece_count);
    PyObject *own_lines = own_pieces == NULL ? NULL : tuples_of(lines, &self->line_count);
    self->sources = own_lines == NULL ? NULL : PyTuple_Pack(2, own_pieces, own_lines);
    Py_XDECREF(own_pieces);
    Py_XDECREF(own_lines);
    if (self->sources == NULL || fill_layout(state, self, own_pieces, own_lines) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void layout_dealloc(PyObject *object)
{
    Layout *self = (Layout *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyMem_Free(self->pieces);
    PyMem_Free(self->lines);
    Py_XDECREF(self->sources);
    freefunc release = (freefunc)slot_of(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* -- the label block of a series ------------------------------------------------------------------------------------- */

static int add_escaped(Buffer *to, PyObject *value)
{
    PyObject *encoded = PyUnicode_AsUTF8String(value); /* not kept with the string, as AsUTF8AndSize would */
    const char *text;
    size_t length;
    if (encoded == NULL || take_text(encoded, &text, &length) < 0 || buffer_reserve(to, 2 * length) < 0) {
        Py_XDECREF(encoded);
        return -1;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\' || text[i] == '"' || text[i] == '\n') {
            buffer_put(to, '\\');
        }
        buffer_put(to, text[i] == '\n' ? 'n' : text[i]);
    }
    Py_DECREF(encoded);
    return 0;
}

static int add_pieces(Layout *self, PyObject *key, Py_ssize_t first, Py_ssize_t last, Buffer *to)
{
    for (Py_ssize_t i = first; i < last; i++) {
        const Piece *piece = &self->pieces[i];
        if (buffer_add(to, piece->text, piece->length) < 0) {
            return -1;
        }
        if (piece->index >= 0) {
            if (key == NULL || piece->index >= PyTuple_Size(key)) {
                PyErr_SetString(PyExc_IndexError, "tuple index out of range");
                return -1;
            }
            if (add_escaped(to, PyTuple_GetItem(key, piece->index)) < 0 || buffer_add(to, "\"", 1) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static Block *make_block(Layout *self, PyObject *key, Buffer *scratch)
{
    scratch->used = 0;
    if (buffer_add(scratch, "{", 1) < 0 || add_pieces(self, key, 0, self->split, scratch) < 0) {
        return NULL;
    }
    size_t lead = scratch->used;
    if (add_pieces(self, key, self->split, self->piece_count, scratch) < 0 || buffer_add(scratch, "} ", 2) < 0) {
        return NULL;
    }
    Block *block = scratch->used > UINT32_MAX ? NULL : PyMem_Malloc(sizeof *block + scratch->used);
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    block->of.layout = self->number;
    block->lead = (uint32_t)lead;
    block->tail = (uint32_t)(scratch->used - lead);
    memcpy(block->text, scratch->start, scratch->used);
    return block;
}

/* The block that a series has, if it is one of this layout. */
static inline Block *known_block(const Layout *self, Series *series)
{
    return series->block != NULL && series->block->of.layout == self->number ? series->block : NULL;
}

/* The block of a series in this layout, made if need be; borrowed, until end_rendering(). NULL with an exception set. Runs no Python code. */
Block *block_of(State *state, Layout *self, Series *series, Buffer *scratch)
{
    Root *root = lock_root_of(series);
    Block *block = known_block(self, series);
    UNLOCK(&root->lock);
    if (LIKELY(block != NULL)) {
        return block;
    }
    Block *fresh = make_block(self, series->key, scratch), *before;
    if (fresh == NULL) {
        return NULL;
    }
    root = lock_root_of(series);
    block = known_block(self, series); /* another thread may have made one meanwhile */
    before = block == NULL ? series->block : fresh;
    if (block == NULL) {
        block = fresh;
        POKE(series->block, fresh);
    }
    UNLOCK(&root->lock);
    retire_block(state, before);
    return block;
}

static PyMethodDef layout_methods[] = {
    METHOD("render", layout_render, DOC_Layout_render),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot layout_slots[] = {
    {Py_tp_doc, DOC_Layout},
    {Py_tp_new, layout_new},
    {Py_tp_methods, layout_methods},
    {Py_tp_dealloc, layout_dealloc},
    {0, NULL},
};

PyType_Spec layout_spec = {
    .name = "measurand.core._native.Layout",
    .basicsize = sizeof(Layout),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = layout_slots,
};
