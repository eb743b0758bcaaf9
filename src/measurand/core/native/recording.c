/* CounterBase and GaugeBase.

   Promise: inc(), dec() and set() with a plain float or int (or nothing) allocate nothing, take no lock and look nothing up;
   everything that can fail has happened before a cell changes. */

#include "core.h"

/* -- what series carry besides cells --------------------------------------------------------------------------------- */

int attach_payload(Series *self, PyObject *value)
{
    if (self->cells == NULL) {
        return missing_labels(self);
    }
    PyObject *fresh = value == Py_None ? NULL : Py_NewRef(value);
    LOCK(&self->root->lock);
    PyObject *old = self->payload;
    self->payload = fresh;
    UNLOCK(&self->root->lock);
    Py_XDECREF(old);
    return 0;
}

/* The series' dictionary of exemplars, made if need be: a new reference. Making it may run Python code. */
static PyObject *known_exemplars(Series *self)
{
    PyObject *fresh = self->exemplars == NULL ? PyDict_New() : NULL;
    if (fresh == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (self->root == NULL) {
        Py_XDECREF(fresh);
        return undefined_instrument((PyObject *)self);
    }
    LOCK(&self->root->lock);
    if (self->exemplars == NULL) {
        self->exemplars = fresh;
        fresh = NULL;
    }
    PyObject *known = Py_XNewRef(self->exemplars);
    UNLOCK(&self->root->lock);
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

/* After an int too large for a cell: where there is no cell, that is what to say. */
static void no_cell_first(Series *self, PyObject *amount)
{
    if (self->cells == NULL && PyLong_CheckExact(amount) && PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        missing_labels(self);
    }
}

/* -- Counter --------------------------------------------------------------------------------------------------------- */

static const Signature counter_inc_signature = {"CounterBase.inc", 1, 0, 2, {"amount", "exemplar"}};

static int refuse_increment(Series *self, PyObject *amount)
{
    Root *root = self->root;
    if (self->cells == NULL) {
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
    if (self->cells == NULL) {
        missing_labels(self);
        return NULL;
    }
    cell_add(self->cells, value);
    return given[1] == NULL ? none() : none_or_error(keep_exemplar(self, given[1], value, 0));
}

static NOINLINE PyObject *counter_inc_by(Series *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    double value;
    if (LIKELY(names == NULL && nargs == 1 && self->cells != NULL)) {
        int plain = plain_number(args[0], &value);
        if (LIKELY(plain > 0 && value >= 0.0)) {
            cell_add(self->cells, value);
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
    if (LIKELY(nargs == 0 && names == NULL && self->cells != NULL)) {
        cell_add(self->cells, 1.0);
        return none();
    }
    return counter_inc_by(self, args, nargs, names);
}

static PyObject *counter_reset(PyObject *object, PyObject *unused)
{
    Series *self = (Series *)object;
    double created;
    if (self->cells == NULL) {
        missing_labels(self);
        return NULL;
    }
    if (wall(self->root->state, &created) < 0) {
        return NULL;
    }
    if (self->cells != NULL) { /* the clock may be Python's */
        cell_write(self->cells, 0.0);
        self->created = created;
    }
    return none();
}

/* -- Gauge ----------------------------------------------------------------------------------------------------------- */

/* The series to write to: where the gauge expires, the one that stands for its labels now, with its time of writing renewed. A new
   reference. */
static Series *touch(Series *self)
{
    Root *root = self->root;
    double now = 0.0;
    if (!root->expires) {
        return hold_series(self);
    }
    if (monotonic(root->state, &now) < 0) {
        return NULL;
    }
    Series *series = self->key == NULL || self->attached || self->root == NULL ? hold_series(self) : attach(self);
    if (series != NULL) {
        cell_write(&series->own[TOUCHED], now);
    }
    return series;
}

static int gauge_write(Series *self, double value, bool add)
{
    double now = 0.0;
    if (self->root != NULL && self->root->stamped && monotonic(self->root->state, &now) < 0) {
        return -1;
    }
    Series *series = self->root == NULL ? NULL : touch(self);
    if (series == NULL) {
        return self->root == NULL && !PyErr_Occurred() ? missing_labels(self) : -1;
    }
    int status = 0;
    if (series->cells == NULL) {
        status = missing_labels(series);
    }
    else {
        if (add) {
            cell_add(series->cells, value);
        }
        else {
            cell_write(series->cells, value);
        }
        mark(series, add ? WAS_ADDED : WAS_SET, now);
    }
    Py_DECREF(series);
    return status;
}

static int not_additive(Root *root, const char *method)
{
    PyObject *name = PyUnicode_FromString(method);
    PyObject *result = name == NULL ? NULL : call_support(root->state, "not_additive", root->spec, name, NULL);
    Py_XDECREF(name);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "measurand.core.support.not_additive() did not raise");
    }
    return -1;
}

static const Signature gauge_inc_signature = {"GaugeBase.inc", 1, 0, 1, {"amount"}};
static const Signature gauge_dec_signature = {"GaugeBase.dec", 1, 0, 1, {"amount"}};

static NOINLINE PyObject *gauge_add_any(Series *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names, bool down)
{
    PyObject *amount;
    double value = 1.0;
    if (take_arguments(down ? &gauge_dec_signature : &gauge_inc_signature, args, nargs, names, &amount) < 0) {
        return NULL;
    }
    Root *root = self->root;
    if (root == NULL) {
        return undefined_instrument((PyObject *)self);
    }
    if (!root->additive) {
        not_additive(root, down ? "dec" : "inc");
        return NULL;
    }
    if (amount != NULL) {
        PyObject *number = real_number(root->state, amount, &value);
        if (number == NULL) {
            no_cell_first(self, amount);
            return NULL;
        }
        Py_DECREF(number);
    }
    return none_or_error(gauge_write(self, down ? -value : value, true));
}

static inline PyObject *gauge_add(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names, bool down)
{
    Series *self = (Series *)object;
    if (LIKELY(names == NULL && self->cells != NULL && !(self->guarded & WAS_ADDED))) {
        double value = 1.0;
        int plain = nargs == 0 ? 1 : nargs == 1 ? plain_number(args[0], &value) : 0;
        if (LIKELY(plain > 0)) {
            cell_add(self->cells, down ? -value : value);
            return none();
        }
        if (plain < 0) {
            return NULL;
        }
    }
    return gauge_add_any(self, args, nargs, names, down);
}

static PyObject *gauge_inc(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    return gauge_add(object, args, nargs, names, false);
}

static PyObject *gauge_dec(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    return gauge_add(object, args, nargs, names, true);
}

int gauge_set(Series *self, double value)
{
    if (LIKELY(self->cells != NULL && !(self->guarded & WAS_SET))) {
        cell_write(self->cells, value);
        return 0;
    }
    double now;
    if (self->cells != NULL && self->guarded & ONLY_STAMPED && quick_stamp(self->root->state, &now)) {
        cell_write(self->cells, value);
        cell_write(&self->cells[STAMP], now);
        return 0;
    }
    return self->cells == NULL ? missing_labels(self) : gauge_write(self, value, false);
}

static const Signature gauge_set_signature = {"GaugeBase.set", 1, 1, 1, {"value"}};

static PyObject *gauge_set_any(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Series *self = (Series *)object;
    PyObject *given;
    double value;
    if (LIKELY(names == NULL && nargs == 1)) {
        given = args[0];
    }
    else if (take_arguments(&gauge_set_signature, args, nargs, names, &given) < 0) {
        return NULL;
    }
    if (self->cells == NULL) {
        missing_labels(self);
        return NULL;
    }
    int plain = plain_number(given, &value);
    if (plain < 0 || (plain == 0 && any_number(given, &value) < 0)) {
        return NULL;
    }
    return none_or_error(gauge_set(self, value));
}

static PyObject *gauge_set_to_current_time(PyObject *object, PyObject *unused)
{
    Series *self = (Series *)object;
    double now;
    if (self->root == NULL) {
        return undefined_instrument(object);
    }
    State *state = self->root->state;
    if (wall(state, &now) < 0) {
        return NULL;
    }
    PyObject *value = PyFloat_FromDouble(now); /* through set(), which a subclass may have made its own */
    PyObject *result = value == NULL ? NULL : PyObject_CallMethodObjArgs(object, state->name_set, value, NULL);
    Py_XDECREF(value);
    Py_XDECREF(result);
    return result == NULL ? NULL : none();
}

static const Signature set_function_signature = {"GaugeBase.set_function", 1, 1, 1, {"f"}};

static PyObject *gauge_set_function(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *function;
    if (take_arguments(&set_function_signature, args, nargs, names, &function) < 0) {
        return NULL;
    }
    return none_or_error(attach_payload((Series *)object, function));
}

static PyObject *gauge_time(PyObject *object, PyObject *unused)
{
    return new_timer((Series *)object, GAUGE_SET);
}

/* -- types ----------------------------------------------------------------------------------------------------------- */

PyMethodDef counter_methods[] = {
    METHOD("inc", counter_inc, DOC_CounterBase_inc),
    {"reset", counter_reset, METH_NOARGS, DOC_CounterBase_reset},
    {NULL, NULL, 0, NULL},
};

PyMethodDef gauge_methods[] = {
    METHOD("inc", gauge_inc, DOC_GaugeBase_inc),
    METHOD("dec", gauge_dec, DOC_GaugeBase_dec),
    METHOD("set", gauge_set_any, DOC_GaugeBase_set),
    METHOD("replace", gauge_replace, DOC_GaugeBase_replace),
    METHOD("set_function", gauge_set_function, DOC_GaugeBase_set_function),
    {"set_to_current_time", gauge_set_to_current_time, METH_NOARGS, DOC_GaugeBase_set_to_current_time},
    {"time", gauge_time, METH_NOARGS, DOC_GaugeBase_time},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot counter_slots[] = {{Py_tp_doc, DOC_CounterBase}, {Py_tp_methods, counter_methods}, INSTRUMENT_SLOTS, {0, NULL}};
static PyType_Slot gauge_slots[] = {{Py_tp_doc, DOC_GaugeBase}, {Py_tp_methods, gauge_methods}, INSTRUMENT_SLOTS, {0, NULL}};

PyType_Spec counter_spec = INSTRUMENT_TYPE("measurand.core._native.CounterBase", counter_slots);
PyType_Spec gauge_spec = INSTRUMENT_TYPE("measurand.core._native.GaugeBase", gauge_slots);
