/* Layout: how the rows of one instrument become lines of text.

   Promises: the label block of a series is escaped and encoded once and then kept with the series; a rendering looks at memory that it holds itself, so that Python
   code may do what it likes meanwhile; on long renderings other threads get the interpreter lock about every millisecond, on short ones
   nothing is spent on that. */

#include "core.h"

#include <string.h>

#include "buffer.h"

#define AHEAD 8               /* series to fetch from memory while writing */
#define LINES_PER_LOOK 64     /* lines between two looks at the clock */
#define SLICE 0.001           /* seconds to hold the interpreter lock at a stretch */
#define LARGE ((size_t)1 << 18) /* bytes that are worth copying without the interpreter lock */

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
    uint64_t layout;
    uint32_t lead, tail; /* bytes */
    char text[];
};

void free_block(Block *block)
{
    PyMem_Free(block);
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
    if (!PyArg_ParseTuple(source, "SOnn", &head, &mid, &line->number, &line->exemplar) || take_text(head, &line->head, &line->head_length) < 0) {
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
    PyObject *known = PyDict_GetItemWithError(state->layouts, key);
    if (known != NULL) {
        *number = PyLong_AsUnsignedLongLong(known);
    }
    else if (!PyErr_Occurred()) {
        *number = ++state->last_layout;
        known = PyLong_FromUnsignedLongLong(*number);
        if (known != NULL) {
            PyDict_SetItem(state->layouts, key, known);
            Py_DECREF(known);
        }
    }
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

/* The block of a series in this layout; borrowed, and gone as soon as Python code runs. NULL with an exception set. */
static Block *block_of(Layout *self, Series *series, Buffer *scratch)
{
    if (LIKELY(series->block != NULL && series->block->layout == self->number)) {
        return series->block;
    }
    scratch->used = 0;
    if (buffer_add(scratch, "{", 1) < 0 || add_pieces(self, series->key, 0, self->split, scratch) < 0) {
        return NULL;
    }
    size_t lead = scratch->used;
    if (add_pieces(self, series->key, self->split, self->piece_count, scratch) < 0 || buffer_add(scratch, "} ", 2) < 0) {
        return NULL;
    }
    Block *block = scratch->used > UINT32_MAX ? NULL : PyMem_Malloc(sizeof *block + scratch->used);
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    block->layout = self->number;
    block->lead = (uint32_t)lead;
    block->tail = (uint32_t)(scratch->used - lead);
    memcpy(block->text, scratch->start, scratch->used);
    free_block(series->block);
    series->block = block;
    return block;
}

/* -- rendering ------------------------------------------------------------------------------------------------------- */

typedef struct {
    Layout *layout;
    Rows *rows;
    PyObject *exemplar; /* NULL: leave them out */
    Buffer out, scratch;
} Rendering;

/* What stands before the number. There is room for it. */
static inline char *write_prefix(char *to, const Line *line, const Block *block)
{
    memcpy(to, line->head, line->head_length);
    to += line->head_length;
    if (line->mid == NULL) {
        if (block->lead + block->tail == 3) { /* "{" and "} " */
            *to++ = ' ';
            return to;
        }
        memcpy(to, block->text, (size_t)block->lead + block->tail);
        return to + block->lead + block->tail;
    }
    memcpy(to, block->text, block->lead);
    to += block->lead;
    if (block->lead > 1) {
        *to++ = ',';
    }
    memcpy(to, line->mid, line->mid_length);
    to += line->mid_length;
    if (block->lead == 1 && block->tail > 2) {
        *to++ = ',';
    }
    memcpy(to, block->text + block->lead, block->tail);
    return to + block->tail;
}

/* Let the caller's function write a line's exemplar, if there is one. Runs Python code. */
static int write_exemplar(Rendering *self, const Line *line, Series *series)
{
    if (line->exemplar < 0 || series->exemplars == NULL) {
        return 0;
    }
    PyObject *cell = PyLong_FromSsize_t(line->exemplar);
    PyObject *known = cell == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(series->exemplars, cell));
    Py_XDECREF(cell);
    if (known == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *written = PyObject_CallFunctionObjArgs(self->exemplar, known, NULL);
    const char *text;
    size_t length;
    int status = written == NULL || take_text(written, &text, &length) < 0 ? -1 : buffer_add(&self->out, text, length);
    Py_DECREF(known);
    Py_XDECREF(written);
    return status;
}

static inline int write_line(Rendering *self, const Line *line, Series *series, const double *cells)
{
    LOCK(&series->root->lock);
    const Block *block = block_of(self->layout, series, &self->scratch);
    if (block == NULL ||
        buffer_reserve(&self->out, line->head_length + line->mid_length + block->lead + block->tail + NUMBER_SIZE + 4) < 0) {
        UNLOCK(&series->root->lock);
        return -1;
    }
    char *to = write_prefix(self->out.start + self->out.used, line, block);
    UNLOCK(&series->root->lock);
    Py_ssize_t length = format_number(line->number < 0 ? series->created : cells[line->number], to);
    if (length < 0) {
        PyErr_NoMemory();
        return -1;
    }
    self->out.used = (size_t)(to + length - self->out.start);
    if (UNLIKELY(self->exemplar != NULL) && write_exemplar(self, line, series) < 0) {
        return -1;
    }
    return buffer_add(&self->out, "\n", 1);
}

static int write_rows(Rendering *self)
{
    const Rows *rows = self->rows;
    const Layout *layout = self->layout;
    double since = system_monotonic();
    Py_ssize_t lines = 0;
    for (Py_ssize_t row = 0; row < rows->count; row++) {
        if (row + 2 * AHEAD < rows->count) {
            PREFETCH(&rows->series[row + 2 * AHEAD]->block);
            PREFETCH(rows->series[row + AHEAD]->block);
        }
        for (Py_ssize_t i = 0; i < layout->line_count; i++) {
            if (write_line(self, &layout->lines[i], rows->series[row], rows->cells + row * rows->width) < 0) {
                return -1;
            }
        }
        lines += layout->line_count;
        if (lines >= LINES_PER_LOOK) {
            lines = 0;
            if (system_monotonic() - since > SLICE) {
                let_others_run();
                since = system_monotonic();
            }
        }
    }
    return 0;
}

static int check_indices(const Layout *layout, const Rows *rows)
{
    for (Py_ssize_t i = 0; rows->count > 0 && i < layout->line_count; i++) {
        if (layout->lines[i].number >= rows->width) {
            PyErr_SetString(PyExc_IndexError, "tuple index out of range");
            return -1;
        }
    }
    return 0;
}

/* The text as bytes; gives the buffer back. */
static PyObject *finish(Buffer *out)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)out->used);
    char *to = result == NULL ? NULL : PyBytes_AsString(result);
    if (to != NULL && out->used >= LARGE) { /* nobody else knows the two */
        Py_BEGIN_ALLOW_THREADS
        memcpy(to, out->start, out->used);
        buffer_free(out);
        Py_END_ALLOW_THREADS
    }
    else if (to != NULL && out->used > 0) {
        memcpy(to, out->start, out->used);
    }
    buffer_free(out);
    return result;
}

static const Signature render_signature = {"Layout.render", 1, 1, 2, {"frozen", "exemplar"}};

static PyObject *layout_render(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[2];
    State *state = state_of_type(Py_TYPE(object));
    if (state == NULL || take_arguments(&render_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    if (Py_TYPE(given[0]) != state->frozen_type) {
        PyErr_SetString(PyExc_TypeError, "render() takes what freeze() returned");
        return NULL;
    }
    Rendering rendering = {
        .layout = (Layout *)object,
        .rows = hold_rows((Frozen *)given[0]),
        .exemplar = given[1] == NULL || given[1] == Py_None ? NULL : given[1],
    };
    int status = check_indices(rendering.layout, rendering.rows);
    status = status < 0 ? status : write_rows(&rendering);
    release_rows(rendering.rows);
    buffer_free(&rendering.scratch);
    if (status == 0) {
        return finish(&rendering.out);
    }
    buffer_free(&rendering.out);
    return NULL;
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
