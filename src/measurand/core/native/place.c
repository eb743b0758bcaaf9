/* Where cells are: move(), is_at() and watch().

   Promises: a move is one step as seen by other threads, so nothing that is recorded meanwhile is lost; memory that cells were moved to
   lives as long as a series points into it. */

#include "core.h"

#include <string.h>

void drop_cells(Series *self)
{
    double *cells = self->cells;
    PyObject *home = self->home;
    self->cells = NULL;
    self->home = NULL;
    if (cells != self->own && home == NULL) {
        PyMem_Free(cells);
    }
    Py_XDECREF(home);
}

/* -- how a gauge is written to ---------------------------------------------------------------------------------------- */

void guard(Series *self, const Root *root)
{
    uint8_t first = WAS_SET | WAS_ADDED, guarded = !root->marked ? 0 : root->expires ? first : (uint8_t)(first & ~self->ways);
    if (!root->additive) {
        guarded |= WAS_ADDED;
    }
    if (root->stamped && self->home != NULL) {
        guarded |= WAS_SET;
        if (!root->expires && self->ways & WAS_SET) {
            guarded |= ONLY_STAMPED;
        }
    }
    POKE(self->guarded, guarded);
}

void mark(Series *self, uint8_t way, double now)
{
    const Root *root = PEEK(self->root);
    POKE(self->ways, self->ways | way);
    if (root->marked && self->home != NULL) {
        if (root->stamped) {
            cell_write(&self->cells[STAMP], now);
        }
        cell_write(&self->cells[WAYS], self->ways);
    }
    guard(self, root);
}

/* -- moving ------------------------------------------------------------------------------------------------------------ */

typedef enum { KEEP, ADD, LEAVE } How;

static int take_how(State *state, PyObject *given, How *how)
{
    static const char *const names[] = {"keep", "add", "leave"};
    for (int i = 0; PyUnicode_Check(given) && i < 3; i++) {
        if (PyUnicode_CompareWithASCIIString(given, names[i]) == 0) {
            *how = (How)i;
            return 0;
        }
    }
    PyObject *result = call_support(state, "no_way_to_move", given, NULL, NULL);
    Py_XDECREF(result);
    return -1;
}

/* The one step. What the cells were before is released by the caller. */
static void put_cells(Series *self, double *to, How how, double now)
{
    const Root *root = PEEK(self->root);
    const double *from = self->cells;
    bool marked_before = root->marked && self->home != NULL, add = how == ADD && !(self->ways & WAS_SET);
    for (Py_ssize_t i = 0; how != LEAVE && i < root->width; i++) {
        cell_write(&to[i], (add ? cell_read(&to[i]) : 0.0) + cell_read(&from[i]));
    }
    if (root->marked) {
        uint8_t there = (uint8_t)cell_read(&to[WAYS]) & (WAS_SET | WAS_ADDED), mine = self->ways;
        self->ways = how == KEEP ? mine : how == ADD ? mine | there : there;
        if (how == KEEP || (how == ADD && mine != 0)) { /* else it was last written to when its marks say */
            cell_write(&to[STAMP], marked_before ? cell_read(&from[STAMP]) : mine != 0 ? now : 0.0);
        }
        cell_write(&to[WAYS], self->ways);
    }
    POKE(self->cells, to);
}

/* The cells at an offset of memory that is as it should be, held in the buffer; false without an exception for all else. */
static bool find_section(PyObject *memory, PyObject *offset, Py_ssize_t count, Py_buffer *buffer, double **cells)
{
    if (!PyMemoryView_Check(memory) || !PyLong_CheckExact(offset)) {
        return false;
    }
    Py_ssize_t at = PyLong_AsSsize_t(offset);
    if ((at == -1 && PyErr_Occurred()) || PyObject_GetBuffer(memory, buffer, PyBUF_FORMAT | PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0) {
        PyErr_Clear();
        return false;
    }
    if (buffer->ndim != 1 || buffer->format == NULL || strcmp(buffer->format, "d") != 0 || at < 0 ||
        at > buffer->len / (Py_ssize_t)sizeof(double) - count) {
        PyBuffer_Release(buffer);
        return false;
    }
    *cells = (double *)buffer->buf + at;
    return true;
}

/* The same for whatever else is memory; what is not is refused. Runs Python code. */
static bool ask_for_section(State *state, PyObject *memory, PyObject *offset, Py_ssize_t count, Py_buffer *buffer, double **cells)
{
    PyObject *number = PyLong_FromSsize_t(count);
    PyObject *section = number == NULL ? NULL : call_support(state, "section", memory, offset, number);
    bool found = section != NULL && PyObject_GetBuffer(section, buffer, PyBUF_WRITABLE) == 0;
    Py_XDECREF(section); /* the buffer keeps it */
    Py_XDECREF(number);
    if (found) {
        *cells = buffer->buf;
    }
    return found;
}

static const Signature move_signature = {"move", 0, 4, 4, {"series", "memory", "offset", "how"}};

PyObject *core_move(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[4];
    How how;
    if (take_arguments(&move_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    Series *self = series_argument(module, given[0]);
    if (self == NULL || (PEEK(self->cells) == NULL && missing_labels(self) < 0)) {
        return NULL;
    }
    Root *root = hold_root(PEEK(self->root));
    Py_ssize_t count = root->width + (root->marked ? MARKS : 0);
    double now = 0.0, *to = NULL, *old_cells = NULL;
    PyObject *old_home = NULL;
    int status = -1;
    Py_buffer buffer;
    if (take_how(root->state, given[3], &how) == 0 && (!root->marked || monotonic(root->state, &now) == 0) &&
        (find_section(given[1], given[2], count, &buffer, &to) ||
         ask_for_section(root->state, given[1], given[2], count, &buffer, &to))) {
        close_root(root);
        if (self->root == root && self->cells != NULL) { /* nobody has defined the instrument anew */
            old_cells = self->cells == self->own || self->home != NULL ? NULL : self->cells;
            old_home = self->home;
            if (to != self->cells) { /* else it is there already */
                put_cells(self, to, how, now);
            }
            self->home = Py_NewRef(given[1]);
            guard(self, root);
            root->state->tick = 0; /* the stamp may be a parent process' */
        }
        open_root(root);
        PyBuffer_Release(&buffer);
        status = 0;
    }
    PyMem_Free(old_cells);
    Py_XDECREF(old_home);
    release_root(root);
    return none_or_error(status);
}

static const Signature is_at_signature = {"is_at", 0, 3, 3, {"series", "memory", "offset"}};

PyObject *core_is_at(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[3];
    Py_buffer buffer;
    if (take_arguments(&is_at_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    Series *self = series_argument(module, given[0]);
    Py_ssize_t offset = self == NULL ? -1 : PyNumber_AsSsize_t(given[2], PyExc_ValueError);
    if (self == NULL || (offset == -1 && PyErr_Occurred())) {
        return NULL;
    }
    Root *root = lock_root_of(self);
    const double *cells = self->home == given[1] ? self->cells : NULL;
    UNLOCK(&root->lock);
    bool is = false;
    if (cells != NULL) {
        if (PyObject_GetBuffer(given[1], &buffer, PyBUF_SIMPLE) < 0) {
            return NULL;
        }
        is = cells == (double *)buffer.buf + offset;
        PyBuffer_Release(&buffer);
    }
    return PyBool_FromLong(is);
}

/* -- watching ---------------------------------------------------------------------------------------------------------- */

static const Signature watch_signature = {"watch", 0, 2, 2, {"instrument", "watcher"}};

PyObject *core_watch(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[2];
    if (take_arguments(&watch_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    Series *self = series_argument(module, given[0]);
    if (self == NULL) {
        return NULL;
    }
    Root *root = PEEK(self->root);
    LOCK(&root->lock);
    PyObject *old = root->watcher;
    root->watcher = given[1] == Py_None ? NULL : Py_NewRef(given[1]);
    UNLOCK(&root->lock);
    Py_XDECREF(old);
    return none();
}
