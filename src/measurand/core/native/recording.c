/* What series carry besides cells, and CounterBase.

   Promise: inc() with a plain float or int (or nothing) allocates nothing, takes no lock and looks nothing up; everything that can fail
   has happened before a cell changes. */

#include "core.h"

/* -- what series carry besides cells --------------------------------------------------------------------------------- */

int attach_payload(Series *self, PyObject *value)
{
    if (PEEK(self->cells) == NULL) {
        return missing_labels(self);
    }
    PyObject *fresh = value == Py_None ? NULL : Py_NewRef(value);
    Root *root = lock_root_of(self);
    PyObject *old = self->payload;
    self->payload = fresh;
    UNLOCK(&root->lock);
    Py_XDECREF(old);
    return 0;
}

/* The series' dictionary of exemplars, made if need be: a new reference. Making it may run Python code. */
static PyObject *known_exemplars(Series *self)
{
    PyObject *fresh = PEEK(self->exemplars) == NULL ? PyDict_New() : NULL;
    if (fresh == NULL && PyErr_Occurred()) {
        return NULL;
    }
    Root *root = lock_root_of(self);
    if (root == NULL) {
        Py_XDECREF(fresh);
        return undefined_instrument((PyObject *)self);
    }
    if (self->exemplars == NULL) {
        POKE(self->exemplars, fresh);
        fresh = NULL;
    }
    PyObject *known = Py_XNewRef(self->exemplars);
    UNLOCK(&root->lock);
    Py_XDECREF(fresh);
    return known;
}

/* Check an exemplar and keep it for a cell. */
int keep_exemplar(Series *self, PyObject *labels, double value, Py_ssize_t cell)
{
    int given = PyObject_IsTrue(labels);
    if (given <= 0) {
        return given;
    }
    if (self->root == NULL) { /* asking may have run Python code */
        return 0;
    }
    PyObject *number = PyFloat_FromDouble(value), *position = PyLong_FromSsize_t(cell), *exemplar = NULL, *known = NULL;
    int status = -1;
    if (number != NULL && position != NULL) {
        exemplar = call_support(self->root->state, "exemplar", labels, number, (PyObject *)self);
    }
    if (exemplar != NULL) {
        known = known_exemplars(self);
        status = known == NULL ? -1 : PyDict_SetItem(known, position, exemplar);
    }
    Py_XDECREF(known);
    Py_XDECREF(exemplar);
    Py_XDECREF(position);
    Py_XDECREF(number);
    return status;
}

/* What float(value) gives. */
int any_number(PyObject *value, double *number)
{
    PyObject *converted = PyNumber_Float(value);
    if (converted == NULL) {
        return -1;
    }
    *number = PyFloat_AsDouble(converted);
    Py_DECREF(converted);
    return 0;
}

/* Add to the first cell; false if there is none. */
static inline bool add_to(Series *self, double amount)
{
    begin_step(self);
    double *cells = self->cells;
    if (LIKELY(cells != NULL)) {
        cell_add(cells, amount);
    }
    end_step();
    return LIKELY(cells != NULL);
}

void no_cell_first(Series *self, PyObject *amount)
{
    if (PEEK(self->cells) == NULL && PyLong_CheckExact(amount) && PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        missing_labels(self);
    }
}

/* -- Counter --------------------------------------------------------------------------------------------------------- */

static const Signature counter_inc_signature = {"CounterBase.inc", 1, 0, 2, {"amount", "exemplar"}};

static int refuse_increment(Series *self, PyObject *amount)
{
    Root *root = PEEK(self->root);
    if (PEEK(self->cells) == NULL) {
        return missing_labels(self);
    }
    hold_root(root);
    PyObject *result = call_support(root->state, "refuse_increment", root->spec, amount, NULL);
    release_root(root);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "measurand.core.support.refuse_increment() did not raise");
    }
    return -1;
}

static NOINLINE PyObject *counter_inc_any(Series *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[2];
    double value = 1.0;
    if (take_arguments(&counter_inc_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    if (self->root == NULL) {
        return undefined_instrument((PyObject *)self);
    }
    PyObject *amount = given[0];
    if (amount != NULL) {
        amount = real_number(self->root->state, amount, &value);
        if (amount == NULL) {
            no_cell_first(self, given[0]);
            return NULL;
        }
        int refused = !(value >= 0.0) && refuse_increment(self, amount) < 0;
        Py_DECREF(amount);
        if (refused) {
            return NULL;
        }
    }
    if (!add_to(self, value)) {
        missing_labels(self);
        return NULL;
    }
    return given[1] == NULL ? none() : none_or_error(keep_exemplar(self, given[1], value, 0));
}

static NOINLINE PyObject *counter_inc_by(Series *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    double value;
    if (LIKELY(names == NULL && nargs == 1 && PEEK(self->cells) != NULL)) {
        int plain = plain_number(args[0], &value);
        if (LIKELY(plain > 0 && value >= 0.0 && add_to(self, value))) {
            return none();
        }
        if (plain < 0) {
            return NULL;
        }
    }
    return counter_inc_any(self, args, nargs, names);
}

static PyObject *counter_inc(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Series *self = (Series *)object;
    if (LIKELY(nargs == 0 && names == NULL && add_to(self, 1.0))) {
        return none();
    }
    return counter_inc_by(self, args, nargs, names);
}

static PyObject *counter_reset(PyObject *object, PyObject *unused)
{
    Series *self = (Series *)object;
    double created;
    if (PEEK(self->cells) == NULL) {
        missing_labels(self);
        return NULL;
    }
    if (wall(self->root->state, &created) < 0) {
        return NULL;
    }
    begin_step(self);
    if (self->cells != NULL) { /* the clock may be Python's */
        cell_write(self->cells, 0.0);
        cell_write(&self->created, created);
    }
    end_step();
    return none();
}

/* -- the type -------------------------------------------------------------------------------------------------------- */

PyMethodDef counter_methods[] = {
    METHOD("inc", counter_inc, DOC_CounterBase_inc),
    {"reset", counter_reset, METH_NOARGS, DOC_CounterBase_reset},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot counter_slots[] = {{Py_tp_doc, DOC_CounterBase}, {Py_tp_methods, counter_methods}, INSTRUMENT_SLOTS, {0, NULL}};

PyType_Spec counter_spec = INSTRUMENT_TYPE("measurand.core._native.CounterBase", counter_slots);
