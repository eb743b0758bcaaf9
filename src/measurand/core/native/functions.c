/* The module's functions that look at one instrument or series. */

#include "core.h"

#define TAKES_SERIES(function, parameter)                                                                      \
    static const Signature function##_signature = {#function, 0, 1, 1, {parameter}};                           \
    static PyObject *core_##function(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names) \
    {                                                                                                          \
        PyObject *object;                                                                                      \
        if (take_arguments(&function##_signature, args, nargs, names, &object) < 0) {                          \
            return NULL;                                                                                       \
        }                                                                                                      \
        Series *self = series_argument(module, object);                                                        \
        return self == NULL ? NULL : function##_of(self);                                                      \
    }

static PyObject *spec_of(Series *self)
{
    return Py_NewRef(self->root->spec);
}

static PyObject *root_of(Series *self)
{
    return Py_NewRef(self->root->instrument == NULL ? Py_None : self->root->instrument);
}

static PyObject *key_of(Series *self)
{
    return Py_NewRef(self->key == NULL ? Py_None : self->key);
}

static PyObject *created_of(Series *self)
{
    return PyFloat_FromDouble(cell_read(&self->created));
}

static PyObject *dropped_of(Series *self)
{
    return PyLong_FromSsize_t(PEEK(self->root->dropped));
}

static PyObject *children_of(Series *self)
{
    if (self->key != NULL) {
        return PyList_New(0);
    }
    Py_ssize_t count;
    Series **series = all_series(PEEK(self->root), &count);
    if (series == NULL) {
        return NULL;
    }
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyList_SetItem(list, i, Py_NewRef((PyObject *)series[i]));
    }
    release_all(series, count);
    return list;
}

static PyObject *stands_of(Series *self)
{
    return PyBool_FromLong(self->key == NULL || PEEK(self->attached));
}

static PyObject *read_of(Series *self)
{
    Root *root = hold_root(PEEK(self->root));
    Py_ssize_t width = PEEK(self->cells) == NULL ? 0 : root->width;
    PyObject *numbers = PyTuple_New(width);
    double few[32], *copy = width > 32 ? PyMem_Malloc((size_t)width * sizeof(double)) : few;
    if (copy == NULL) {
        Py_CLEAR(numbers);
        PyErr_NoMemory();
    }
    if (numbers != NULL) {
        close_root(root);
        bool is_same = self->root == root && self->cells != NULL; /* making the tuple may have run Python code */
        for (Py_ssize_t i = 0; i < width; i++) {
            copy[i] = is_same ? cell_read(&self->cells[i]) : 0.0;
        }
        open_root(root);
    }
    for (Py_ssize_t i = 0; numbers != NULL && i < width; i++) {
        PyObject *number = PyFloat_FromDouble(copy[i]);
        if (number == NULL) {
            Py_CLEAR(numbers);
            break;
        }
        PyTuple_SetItem(numbers, i, number);
    }
    if (copy != few) {
        PyMem_Free(copy);
    }
    release_root(root);
    return numbers;
}

static PyObject *payload_of(Series *self)
{
    PyObject *payload = hold_payload(self);
    return payload == NULL ? none() : payload;
}

static PyObject *exemplars_of(Series *self)
{
    PyObject *exemplars = hold_exemplars(self);
    PyObject *copy = exemplars == NULL ? PyDict_New() : PyDict_Copy(exemplars);
    Py_XDECREF(exemplars);
    return copy;
}

TAKES_SERIES(spec, "series")
TAKES_SERIES(root, "series")
TAKES_SERIES(key, "series")
TAKES_SERIES(created, "series")
TAKES_SERIES(children, "instrument")
TAKES_SERIES(dropped, "instrument")
TAKES_SERIES(stands, "series")
TAKES_SERIES(read, "series")
TAKES_SERIES(payload, "series")
TAKES_SERIES(exemplars, "series")

static const Signature set_payload_signature = {"set_payload", 0, 2, 2, {"series", "value"}};

static PyObject *core_set_payload(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[2];
    if (take_arguments(&set_payload_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    Series *self = series_argument(module, given[0]);
    return self == NULL ? NULL : none_or_error(attach_payload(self, given[1]));
}

static const Signature set_exemplars_signature = {"set_exemplars", 0, 2, 2, {"series", "exemplars"}};

static PyObject *core_set_exemplars(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[2], *old = NULL;
    if (take_arguments(&set_exemplars_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    Series *self = series_argument(module, given[0]);
    PyObject *fresh = self == NULL ? NULL : PyDict_New();
    if (fresh != NULL && PyDict_Update(fresh, given[1]) < 0) {
        Py_CLEAR(fresh);
    }
    Root *root = fresh == NULL ? NULL : lock_root_of(self); /* updating may have run Python code */
    if (root != NULL) {
        old = self->exemplars;
        POKE(self->exemplars, fresh);
        UNLOCK(&root->lock);
        Py_XDECREF(old);
        return none();
    }
    if (fresh != NULL) {
        Py_DECREF(fresh);
        return undefined_instrument(given[0]);
    }
    return NULL;
}

static const Signature write_signature = {"write", 0, 3, 3, {"series", "index", "value"}};

static PyObject *core_write(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[3];
    if (take_arguments(&write_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    Series *self = series_argument(module, given[0]);
    if (self == NULL || (self->cells == NULL && missing_labels(self) < 0)) {
        return NULL;
    }
    double value;
    if (any_number(given[2], &value) < 0) {
        return NULL;
    }
    if (!PyIndex_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "a cell is known by its index, an integer");
        return NULL;
    }
    Py_ssize_t index = PyNumber_AsSsize_t(given[1], PyExc_IndexError);
    if (index == -1 && PyErr_Occurred()) {
        return NULL;
    }
    begin_step(self);
    Py_ssize_t width = self->cells == NULL ? 0 : self->root->width; /* converting may have run Python code */
    index += index < 0 ? width : 0;
    bool is_cell = index >= 0 && index < width;
    if (is_cell) {
        cell_write(&self->cells[index], value);
    }
    end_step();
    if (!is_cell) {
        PyErr_SetString(PyExc_IndexError, "list assignment index out of range");
        return NULL;
    }
    return none();
}

PyMethodDef module_functions[] = {
    METHOD("define", core_define, DOC_define),
    METHOD("spec", core_spec, DOC_spec),
    METHOD("root", core_root, DOC_root),
    METHOD("key", core_key, DOC_key),
    METHOD("created", core_created, DOC_created),
    METHOD("children", core_children, DOC_children),
    METHOD("dropped", core_dropped, DOC_dropped),
    METHOD("read", core_read, DOC_read),
    METHOD("write", core_write, DOC_write),
    METHOD("stands", core_stands, DOC_stands),
    METHOD("move", core_move, DOC_move),
    METHOD("is_at", core_is_at, DOC_is_at),
    METHOD("watch", core_watch, DOC_watch),
    METHOD("payload", core_payload, DOC_payload),
    METHOD("set_payload", core_set_payload, DOC_set_payload),
    METHOD("exemplars", core_exemplars, DOC_exemplars),
    METHOD("set_exemplars", core_set_exemplars, DOC_set_exemplars),
    METHOD("freeze", core_freeze, DOC_freeze),
    METHOD("format_number", core_format_number, DOC_format_number),
    METHOD("now", core_now, DOC_now),
    {NULL, NULL, 0, NULL},
};
