/* Layout.render(): rows as text.

   Promises: what runs with the interpreter lock is short; other threads are let in about every millisecond. In three steps:

   - collect, with the lock: each row's label block (made at the first rendering) and whatever needs Python: times of creation,
     exemplars;
   - write the numbers, then
   - put the lines together, both without the lock where the text is long.

   What the last two read belongs to the rendering or is kept from changing: it holds the rows, which are copied before a change,
   and the blocks, which are freed after the last rendering only. */

#include "layout.h"

#include <string.h>

#define AHEAD 8               /* rows to fetch from memory while working */
#define LINES_PER_LOOK 64     /* lines between two looks at the clock */
#define SLICE 0.001           /* seconds to hold the interpreter lock at a stretch */
#define LONG_TEXT 1000        /* lines that are worth giving the interpreter lock away for */
#define MANY_ROWS 20000       /* rows that took long to copy */

typedef struct {
    State *state;
    Layout *layout;
    Rows *rows;
    PyObject *exemplar;    /* NULL: leave exemplars out */
    const Block **blocks;  /* by row */
    double *created;       /* by row; NULL if no line shows it */
    PyObject **exemplars;  /* by row and line, owned, each NULL or bytes; NULL if there are none */
    Buffer scratch;
    char *numbers;         /* one after the other: a byte for the length, then the text */
    bool needs_python;     /* some number is not our own to write */
    size_t size;           /* of the text */
} Rendering;

/* When the interpreter lock was taken, and how many lines ago the clock was looked at. */
typedef struct {
    double since;
    Py_ssize_t lines;
} Slice;

static inline void let_others_run_at_times(Slice *slice, Py_ssize_t lines)
{
    slice->lines += lines;
    if (UNLIKELY(slice->lines >= LINES_PER_LOOK)) {
        slice->lines = 0;
        if (system_monotonic() - slice->since > SLICE) {
            let_others_run();
            slice->since = system_monotonic();
        }
    }
}

static inline double number_of(const Rendering *self, Py_ssize_t row, const Line *line)
{
    return line->number < 0 ? self->created[row] : self->rows->cells[row * self->rows->width + line->number];
}

static inline size_t prefix_size(const Line *line, const Block *block)
{
    if (line->mid == NULL) {
        return line->head_length + (block->lead + block->tail == 3 ? 1 : block->lead + block->tail); /* 3: "{" and "} " */
    }
    return line->head_length + line->mid_length + block->lead + block->tail + (block->lead > 1) + (block->lead == 1 && block->tail > 2);
}

/* -- collecting, with the interpreter lock --------------------------------------------------------------------------- */

/* What the caller's function makes of a line's exemplar, if there is one. Runs Python code. */
static int collect_exemplar(Rendering *self, Series *series, const Line *line, PyObject **place)
{
    PyObject *exemplars = line->exemplar < 0 ? NULL : hold_exemplars(series);
    if (exemplars == NULL) {
        return 0;
    }
    PyObject *cell = PyLong_FromSsize_t(line->exemplar);
    PyObject *known = cell == NULL ? NULL : find_in(exemplars, cell);
    Py_XDECREF(cell);
    Py_DECREF(exemplars);
    if (known == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    *place = PyObject_CallFunctionObjArgs(self->exemplar, known, NULL);
    Py_DECREF(known);
    if (*place == NULL) {
        return -1;
    }
    Py_ssize_t length = PyBytes_Size(*place);
    self->size += length < 0 ? 0 : (size_t)length;
    return length < 0 ? -1 : 0;
}

static int collect_exemplars(Rendering *self)
{
    const Layout *layout = self->layout;
    bool any = false;
    for (Py_ssize_t row = 0; self->exemplar != NULL && !any && row < self->rows->count; row++) {
        any = PEEK(self->rows->series[row]->exemplars) != NULL;
    }
    if (!any) {
        return 0;
    }
    self->exemplars = PyMem_Calloc((size_t)self->rows->count * (size_t)layout->line_count + 1, sizeof *self->exemplars);
    if (self->exemplars == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t row = 0; row < self->rows->count; row++) {
        for (Py_ssize_t i = 0; i < layout->line_count; i++) {
            if (collect_exemplar(self, self->rows->series[row], &layout->lines[i], &self->exemplars[row * layout->line_count + i]) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int collect_row(Rendering *self, Py_ssize_t row)
{
    Series *series = self->rows->series[row];
    const Layout *layout = self->layout;
    const Block *block = block_of(self->state, self->layout, series, &self->scratch);
    if (block == NULL) {
        return -1;
    }
    self->blocks[row] = block;
    if (self->created != NULL) {
        self->created[row] = cell_read(&series->created);
    }
    for (Py_ssize_t i = 0; i < layout->line_count; i++) {
        self->size += prefix_size(&layout->lines[i], block) + 1;
        self->needs_python |= !is_own_number(number_of(self, row, &layout->lines[i]));
    }
    return 0;
}

/* Check the layout against the rows, and find memory. */
static int make_room(Rendering *self)
{
    const Layout *layout = self->layout;
    const Rows *rows = self->rows;
    size_t count = (size_t)rows->count, lines = (size_t)layout->line_count;
    bool shows_created = false;
    for (size_t i = 0; i < lines; i++) {
        if (layout->lines[i].number >= rows->width && count > 0) {
            PyErr_SetString(PyExc_IndexError, "tuple index out of range");
            return -1;
        }
        shows_created |= layout->lines[i].number < 0;
    }
    if (count > 0 && lines > PY_SSIZE_T_MAX / (NUMBER_SIZE + 1) / count) {
        PyErr_NoMemory();
        return -1;
    }
    self->blocks = PyMem_Malloc((count + 1) * sizeof *self->blocks);
    self->created = shows_created ? PyMem_Malloc((count + 1) * sizeof *self->created) : NULL;
    self->numbers = malloc(count * lines * (NUMBER_SIZE + 1) + 1);
    if (self->blocks == NULL || (shows_created && self->created == NULL) || self->numbers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static int collect_rows(Rendering *self)
{
    const Layout *layout = self->layout;
    const Rows *rows = self->rows;
    if (rows->count >= MANY_ROWS) { /* whoever waited for them to be copied */
        let_others_run();
    }
    Slice slice = {system_monotonic(), 0};
    for (Py_ssize_t row = 0; row < rows->count; row++) {
        if (row + 2 * AHEAD < rows->count) {
            PREFETCH(&rows->series[row + 2 * AHEAD]->block);
            PREFETCH(PEEK(rows->series[row + AHEAD]->block));
        }
        if (collect_row(self, row) < 0) {
            return -1;
        }
        let_others_run_at_times(&slice, layout->line_count);
    }
    return 0;
}

/* -- writing --------------------------------------------------------------------------------------------------------- */

/* All numbers as text, with the interpreter lock or without it. 0, or -1 without memory. */
static int write_numbers(Rendering *self, bool locked)
{
    char *to = self->numbers;
    Slice slice = {system_monotonic(), 0};
    for (Py_ssize_t row = 0; row < self->rows->count; row++) {
        for (Py_ssize_t i = 0; i < self->layout->line_count; i++) {
            Py_ssize_t length = format_number(number_of(self, row, &self->layout->lines[i]), to + 1);
            if (length < 0) {
                return -1;
            }
            *to = (char)length;
            to += 1 + length;
            self->size += (size_t)length;
        }
        if (locked) {
            let_others_run_at_times(&slice, self->layout->line_count);
        }
    }
    return 0;
}

static inline char *put(char *to, const char *text, size_t length)
{
    memcpy(to, text, length);
    return to + length;
}

static inline char *write_prefix(char *to, const Line *line, const Block *block)
{
    to = put(to, line->head, line->head_length);
    if (line->mid == NULL) {
        if (block->lead + block->tail == 3) { /* "{" and "} " */
            *to++ = ' ';
            return to;
        }
        return put(to, block->text, (size_t)block->lead + block->tail);
    }
    to = put(to, block->text, block->lead);
    if (block->lead > 1) {
        *to++ = ',';
    }
    to = put(to, line->mid, line->mid_length);
    if (block->lead == 1 && block->tail > 2) {
        *to++ = ',';
    }
    return put(to, block->text + block->lead, block->tail);
}

/* Put the lines together. There is room for them. */
static void write_lines(const Rendering *self, char *to, PyObject *const *exemplars)
{
    const char *number = self->numbers;
    for (Py_ssize_t row = 0; row < self->rows->count; row++) {
        if (row + AHEAD < self->rows->count) {
            PREFETCH(self->blocks[row + AHEAD]);
        }
        for (Py_ssize_t i = 0; i < self->layout->line_count; i++) {
            to = write_prefix(to, &self->layout->lines[i], self->blocks[row]);
            to = put(to, number + 1, (size_t)*number);
            number += 1 + *number;
            PyObject *exemplar = exemplars == NULL ? NULL : exemplars[row * self->layout->line_count + i];
            if (exemplar != NULL) {
                to = put(to, PyBytes_AsString(exemplar), (size_t)PyBytes_Size(exemplar));
            }
            *to++ = '\n';
        }
    }
}

static PyObject *write_text(Rendering *self)
{
    bool is_long = self->rows->count * self->layout->line_count >= LONG_TEXT;
    int status;
    if (is_long && !self->needs_python) {
        Py_BEGIN_ALLOW_THREADS
        status = write_numbers(self, false);
        Py_END_ALLOW_THREADS
    }
    else {
        status = write_numbers(self, true);
    }
    PyObject *text = status < 0 ? PyErr_NoMemory() : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->size);
    char *to = text == NULL ? NULL : PyBytes_AsString(text);
    if (to != NULL && is_long && self->exemplars == NULL) {
        Py_BEGIN_ALLOW_THREADS
        write_lines(self, to, NULL);
        Py_END_ALLOW_THREADS
    }
    else if (to != NULL) {
        write_lines(self, to, self->exemplars);
    }
    return text;
}

static PyObject *render(Rendering *self)
{
    if (make_room(self) < 0 || collect_exemplars(self) < 0) {
        return NULL;
    }
    begin_rendering(self->state);
    PyObject *text = collect_rows(self) < 0 ? NULL : write_text(self);
    end_rendering(self->state);
    return text;
}

static void release(Rendering *self)
{
    size_t places = (size_t)self->rows->count * (size_t)self->layout->line_count;
    for (size_t i = 0; self->exemplars != NULL && i < places; i++) {
        Py_XDECREF(self->exemplars[i]);
    }
    PyMem_Free(self->exemplars);
    PyMem_Free(self->blocks);
    PyMem_Free(self->created);
    free(self->numbers);
    buffer_free(&self->scratch);
    release_rows(self->rows);
}

static const Signature render_signature = {"Layout.render", 1, 1, 2, {"frozen", "exemplar"}};

PyObject *layout_render(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
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
        .state = state,
        .layout = (Layout *)object,
        .rows = hold_rows((Frozen *)given[0]),
        .exemplar = given[1] == NULL || given[1] == Py_None ? NULL : given[1],
    };
    PyObject *text = render(&rendering);
    release(&rendering);
    return text;
}
