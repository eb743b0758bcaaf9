/* Frozen: the copied rows of an instrument, as Python sees them.

   Promise: rows are memory of their own, which whoever iterates over them keeps alive and unchanged, whatever runs meanwhile. */

#include "core.h"

#include <string.h>

#define AHEAD 8 /* series to fetch from memory while working */

/* -- rows ------------------------------------------------------------------------------------------------------------ */

Rows *new_rows(Py_ssize_t room, Py_ssize_t width)
{
    size_t row = sizeof(Series *) + (size_t)width * sizeof(double);
    if ((size_t)room > (PY_SSIZE_T_MAX - 2 * sizeof(Rows)) / row) {
        return NULL;
    }
    size_t head = sizeof(Rows) + (size_t)room * sizeof(Series *);
    head = (head + sizeof(double) - 1) / sizeof(double) * sizeof(double); /* where pointers are smaller than doubles */
    Rows *rows = PyMem_Malloc(head + (size_t)room * (size_t)width * sizeof(double));
    if (rows != NULL) {
        rows->references = 1;
        rows->room = room;
        rows->count = 0;
        rows->width = width;
        rows->cells = (double *)(void *)((char *)rows + head);
    }
    return rows;
}

void release_rows(Rows *rows)
{
    if (rows == NULL || COUNT_DOWN(rows->references) > 0) {
        return;
    }
    for (Py_ssize_t i = 0; i < rows->count; i++) {
        if (i + AHEAD < rows->count) {
            PREFETCH(rows->series[i + AHEAD]);
        }
        release_series(rows->series[i]);
    }
    PyMem_Free(rows);
}

Rows *hold_rows(Frozen *self)
{
    COUNT_UP(self->rows->references);
    return self->rows;
}

/* -- Frozen ---------------------------------------------------------------------------------------------------------- */

static int frozen_traverse(PyObject *object, visitproc visit, void *arg)
{
    Rows *rows = ((Frozen *)object)->rows;
    Py_VISIT(Py_TYPE(object));
    for (Py_ssize_t i = 0; rows->references == 1 && i < rows->count; i++) {
        Py_VISIT(rows->series[i]);
    }
    return 0;
}

/* There is no tp_clear: every cycle through a copy runs through one of its series, which lets go of all it has. */

static void frozen_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    release_rows(((Frozen *)object)->rows);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static Py_ssize_t frozen_length(PyObject *object)
{
    return ((Frozen *)object)->rows->count;
}

static PyObject *numbers_of(const Rows *rows, Py_ssize_t row)
{
    PyObject *numbers = PyTuple_New(rows->width);
    for (Py_ssize_t i = 0; numbers != NULL && i < rows->width; i++) {
        PyObject *number = PyFloat_FromDouble(rows->cells[row * rows->width + i]);
        if (number == NULL) {
            Py_CLEAR(numbers);
            break;
        }
        PyTuple_SetItem(numbers, i, number);
    }
    return numbers;
}

static int append_pair(PyObject *list, PyObject *first, PyObject *second)
{
    PyObject *pair = first == NULL || second == NULL ? NULL : PyTuple_Pack(2, first, second);
    int status = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(first);
    Py_XDECREF(second);
    Py_XDECREF(pair);
    return status;
}

static int add_row(State *state, PyObject *list, const Rows *rows, Py_ssize_t row)
{
    Series *series = rows->series[row];
    return append_pair(list, Py_NewRef(series->key == NULL ? state->no_arguments : series->key), numbers_of(rows, row));
}

static int add_payload(State *state, PyObject *list, const Rows *rows, Py_ssize_t row)
{
    PyObject *payload = hold_payload(rows->series[row]);
    return payload == NULL ? 0 : append_pair(list, PyLong_FromSsize_t(row), payload);
}

static int add_exemplars(State *state, PyObject *list, const Rows *rows, Py_ssize_t row)
{
    PyObject *exemplars = hold_exemplars(rows->series[row]);
    if (exemplars == NULL) {
        return 0;
    }
    int status = PyDict_Size(exemplars) == 0 ? 0 : append_pair(list, PyLong_FromSsize_t(row), PyDict_Copy(exemplars));
    Py_DECREF(exemplars);
    return status;
}

static int add_created(State *state, PyObject *list, const Rows *rows, Py_ssize_t row)
{
    PyObject *created = PyFloat_FromDouble(cell_read(&rows->series[row]->created));
    int status = created == NULL ? -1 : PyList_Append(list, created);
    Py_XDECREF(created);
    return status;
}

/* A list of what `add` makes of each row. */
static PyObject *list_of(PyObject *object, int (*add)(State *, PyObject *, const Rows *, Py_ssize_t))
{
    Frozen *self = (Frozen *)object;
    State *state = state_of_type(Py_TYPE(object));
    PyObject *list = state == NULL ? NULL : PyList_New(0);
    Rows *rows = hold_rows(self);
    for (Py_ssize_t row = 0; list != NULL && row < rows->count; row++) {
        if (row + AHEAD < rows->count) {
            PREFETCH(&rows->series[row + AHEAD]->payload);
        }
        if (add(state, list, rows, row) < 0) {
            Py_CLEAR(list);
        }
    }
    release_rows(rows);
    return list;
}

static PyObject *frozen_rows(PyObject *self, PyObject *unused)
{
    return list_of(self, add_row);
}

static PyObject *frozen_payloads(PyObject *self, PyObject *unused)
{
    return list_of(self, add_payload);
}

static PyObject *frozen_exemplars(PyObject *self, PyObject *unused)
{
    return list_of(self, add_exemplars);
}

static PyObject *frozen_created(PyObject *self, PyObject *unused)
{
    return list_of(self, add_created);
}

/* A copy without the rows that are marked; `marks` may be NULL. */
static Rows *rows_without(const Rows *rows, const char *marks)
{
    Rows *kept = new_rows(rows->count, rows->width);
    for (Py_ssize_t row = 0; kept != NULL && row < rows->count; row++) {
        if (marks == NULL || !marks[row]) {
            memcpy(kept->cells + kept->count * kept->width, rows->cells + row * rows->width, (size_t)rows->width * sizeof(double));
            kept->series[kept->count++] = hold_series(rows->series[row]);
        }
    }
    return kept;
}

/* Before a change: rows that a rendering is reading stay as they are. */
static int own_rows(Frozen *self)
{
    if (self->rows->references > 1) {
        Rows *shared = self->rows, *copy = rows_without(shared, NULL);
        if (copy == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        self->rows = copy;
        release_rows(shared);
    }
    return 0;
}

static const Signature put_signature = {"Frozen.put", 1, 2, 2, {"row", "value"}};

static PyObject *frozen_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Frozen *self = (Frozen *)object;
    PyObject *given[2];
    double value;
    if (take_arguments(&put_signature, args, nargs, names, given) < 0 || any_number(given[1], &value) < 0) {
        return NULL;
    }
    Py_ssize_t row = PyNumber_AsSsize_t(given[0], PyExc_IndexError);
    if (row == -1 && PyErr_Occurred()) {
        return NULL;
    }
    row += row < 0 ? self->rows->count : 0;
    if (row < 0 || row >= self->rows->count || self->rows->width == 0) {
        PyErr_SetString(PyExc_IndexError, "list index out of range");
        return NULL;
    }
    if (own_rows(self) < 0) {
        return NULL;
    }
    self->rows->cells[row * self->rows->width] = value;
    return none();
}

/* Mark the rows that an iterable names; numbers that are no rows are ignored. */
static int mark_rows(PyObject *named, Py_ssize_t count, char *marks)
{
    PyObject *iterator = PyObject_GetIter(named), *item;
    if (iterator == NULL) {
        return -1;
    }
    while ((item = PyIter_Next(iterator)) != NULL) {
        Py_ssize_t row = PyIndex_Check(item) ? PyNumber_AsSsize_t(item, NULL) : -1;
        Py_DECREF(item);
        if (row >= 0 && row < count) {
            marks[row] = 1;
        }
        else if (PyErr_Occurred()) {
            break;
        }
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static const Signature drop_signature = {"Frozen.drop", 1, 1, 1, {"rows"}};

static PyObject *frozen_drop(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Frozen *self = (Frozen *)object;
    PyObject *given;
    if (take_arguments(&drop_signature, args, nargs, names, &given) < 0) {
        return NULL;
    }
    Rows *rows = hold_rows(self), *kept = NULL;
    char *marks = PyMem_Calloc((size_t)rows->count + 1, 1);
    int status = marks == NULL ? -1 : mark_rows(given, rows->count, marks);
    if (status == 0) {
        kept = rows_without(rows, marks);
    }
    PyMem_Free(marks);
    if (kept == NULL && !PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    if (kept != NULL) {
        Rows *old = self->rows;
        self->rows = kept;
        release_rows(old);
    }
    release_rows(rows);
    return none_or_error(kept == NULL ? -1 : 0);
}

static PyMethodDef frozen_methods[] = {
    {"rows", frozen_rows, METH_NOARGS, DOC_Frozen_rows},
    {"payloads", frozen_payloads, METH_NOARGS, DOC_Frozen_payloads},
    {"exemplars", frozen_exemplars, METH_NOARGS, DOC_Frozen_exemplars},
    {"created", frozen_created, METH_NOARGS, DOC_Frozen_created},
    METHOD("put", frozen_put, DOC_Frozen_put),
    METHOD("drop", frozen_drop, DOC_Frozen_drop),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot frozen_slots[] = {
    {Py_tp_doc, DOC_Frozen},
    {Py_sq_length, frozen_length},
    {Py_tp_methods, frozen_methods},
    {Py_tp_traverse, frozen_traverse},
    {Py_tp_dealloc, frozen_dealloc},
    {0, NULL},
};

PyType_Spec frozen_spec = {
    .name = "measurand.core._native.Frozen",
    .basicsize = sizeof(Frozen),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = frozen_slots,
};
