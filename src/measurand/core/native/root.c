/* What all series of one instrument share: its specification in C, its limit, its table.

   Promises: what a call needs to know of the specification is read once, here, and checked against what the recording functions
   rely on; two roots never share anything. */

#include "core.h"

#include <math.h>

static int root_traverse(PyObject *object, visitproc visit, void *arg)
{
    Root *self = (Root *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->instrument);
    Py_VISIT(self->spec);
    Py_VISIT(self->adopt);
    Py_VISIT(self->watcher);
    Py_VISIT(self->record);
    Py_VISIT(self->labelnames);
    Py_VISIT(self->overflow_key);
    for (uint32_t i = 0; i < self->table.used; i++) {
        Py_VISIT(table_entry(&self->table, i)->series);
    }
    for (int i = 0; i < REMEMBERED_CALLS; i++) {
        Py_VISIT(self->remembered[i].names);
    }
    return 0;
}

static int root_clear(PyObject *object)
{
    Root *self = (Root *)object;
    Table table = take_table_locking(self);
    Py_CLEAR(self->instrument);
    Py_CLEAR(self->watcher);
    release_table(&table);
    return 0;
}

static void root_dealloc(PyObject *object)
{
    Root *self = (Root *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->has_lock) {
        root_clear(object);
        FREE_LOCK(&self->lock);
    }
    for (int i = 0; i < REMEMBERED_CALLS; i++) {
        Py_CLEAR(self->remembered[i].names);
    }
    Py_CLEAR(self->spec);
    Py_CLEAR(self->adopt);
    Py_CLEAR(self->record);
    Py_CLEAR(self->labelnames);
    Py_CLEAR(self->overflow_key);
    PyMem_Free(self->bound);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyType_Slot root_slots[] = {
    {Py_tp_traverse, root_traverse},
    {Py_tp_clear, root_clear},
    {Py_tp_dealloc, root_dealloc},
    {0, NULL},
};

PyType_Spec root_spec = {
    .name = "measurand.core._native.Root",
    .basicsize = sizeof(Root),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = root_slots,
};

static int spec_size(PyObject *spec, const char *name, Py_ssize_t *value)
{
    PyObject *number = PyObject_GetAttrString(spec, name);
    if (number == NULL) {
        return -1;
    }
    *value = number == Py_None ? PY_SSIZE_T_MAX : PyNumber_AsSsize_t(number, NULL);
    Py_DECREF(number);
    if (*value == -1 && PyErr_Occurred()) {
        return -1;
    }
    *value = *value < 0 ? 0 : *value;
    return 0;
}

static int spec_truth(PyObject *spec, const char *name, bool *value)
{
    PyObject *object = PyObject_GetAttrString(spec, name);
    int truth = object == NULL ? -1 : PyObject_IsTrue(object);
    Py_XDECREF(object);
    *value = truth > 0;
    return truth < 0 ? -1 : 0;
}

static int spec_bounds(Root *self, PyObject *spec)
{
    PyObject *given = PyObject_GetAttrString(spec, "bounds"), *bounds = given == NULL ? NULL : PySequence_Tuple(given);
    Py_XDECREF(given);
    if (bounds == NULL) {
        return -1;
    }
    self->bounds = PyTuple_Size(bounds);
    size_t padded = (size_t)self->bounds + BOUND_STEP;
    self->bound = PyMem_Malloc(padded * sizeof(double));
    if (self->bound == NULL) {
        Py_DECREF(bounds);
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < padded; i++) {
        self->bound[i] = i < (size_t)self->bounds ? PyFloat_AsDouble(PyTuple_GetItem(bounds, (Py_ssize_t)i)) : (double)INFINITY;
        if (self->bound[i] == -1.0 && PyErr_Occurred()) {
            Py_DECREF(bounds);
            return -1;
        }
    }
    Py_DECREF(bounds);
    return 0;
}

static int read_spec(Root *self, PyObject *spec)
{
    PyObject *names = PyObject_GetAttrString(spec, "labelnames");
    self->labelnames = names == NULL ? NULL : PySequence_Tuple(names);
    Py_XDECREF(names);
    self->adopt = self->labelnames == NULL ? NULL : PyObject_GetAttrString(spec, "adopt");
    if (self->adopt == NULL) {
        return -1;
    }
    if (self->adopt == Py_None) {
        Py_CLEAR(self->adopt);
    }
    self->labels = PyTuple_Size(self->labelnames);
    self->table = new_table(self->labels);
    PyObject *after = PyObject_GetAttrString(spec, "expire_after");
    if (after == NULL) {
        return -1;
    }
    self->expires = after != Py_None;
    self->expire_after = self->expires ? PyFloat_AsDouble(after) : 0.0;
    Py_DECREF(after);
    if (self->expire_after == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (spec_size(spec, "width", &self->width) < 0 || spec_size(spec, "max_series", &self->limit) < 0 ||
        spec_truth(spec, "additive", &self->additive) < 0 || spec_truth(spec, "stamped", &self->stamped) < 0 ||
        spec_bounds(self, spec) < 0) {
        return -1;
    }
    PyObject *kind = PyObject_GetAttrString(spec, "kind");
    if (kind == NULL) {
        return -1;
    }
    self->buckets = PyUnicode_Check(kind) && PyUnicode_CompareWithASCIIString(kind, "histogram") == 0;
    self->stamped |= self->expires; /* which everybody who reads shared cells must see */
    self->marked = PyUnicode_Check(kind) && PyUnicode_CompareWithASCIIString(kind, "gauge") == 0;
    Py_DECREF(kind);
    return 0;
}

/* The key of the series that takes what is beyond the limit. */
static int name_overflow(Root *self)
{
    PyObject *value = PyObject_GetAttrString(self->state->support, "OVERFLOW_VALUE");
    self->overflow_key = value == NULL ? NULL : PyTuple_New(self->labels);
    for (Py_ssize_t i = 0; self->overflow_key != NULL && i < self->labels; i++) {
        PyTuple_SetItem(self->overflow_key, i, Py_NewRef(value));
    }
    Py_XDECREF(value);
    KeyValues key_values;
    if (self->overflow_key == NULL || key_values_take(&key_values, self->overflow_key, self->labels) < 0) {
        return -1;
    }
    self->overflow_hash = table_hash(key_values.values, self->labels);
    key_values_drop(&key_values);
    return 0;
}

Root *new_root(State *state, PyObject *instrument, PyObject *spec)
{
    allocfunc alloc = (allocfunc)slot_of(state->root_type, Py_tp_alloc);
    Root *self = (Root *)alloc(state->root_type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->has_lock = MAKE_LOCK(&self->lock);
    if (!self->has_lock) {
        Py_DECREF(self);
        return (Root *)PyErr_NoMemory();
    }
    self->state = state;
    self->instrument = Py_NewRef(instrument);
    self->spec = Py_NewRef(spec);
    if (read_spec(self, spec) < 0 || name_overflow(self) < 0 || take_recorder(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    Py_ssize_t least = self->bounds > 0 ? self->bounds + 2 : PyObject_TypeCheck(instrument, state->summary_type) ? 2 : 0;
    if (self->width < least || (size_t)self->width > PY_SSIZE_T_MAX / sizeof(double)) {
        PyErr_Format(PyExc_ValueError, "%R: the width must be at least %zd and fit into memory", spec, least);
        Py_DECREF(self);
        return NULL;
    }
    return self;
}
