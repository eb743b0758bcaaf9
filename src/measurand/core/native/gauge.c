/* GaugeBase.

   Promise: inc(), dec() and set() with a plain float or int (or nothing) allocate nothing, take no lock and look nothing up, but for the
   first write of its kind, and where writes are noted: on gauges that expire, or whose processes combine by the most recent value. */

#include "core.h"

#define MOST_TRIES 3 /* to write to a series that others take out of its table at the same moment */

/* Write to a gauge's series and note when and how, with the lock held; 1: that has to be tried again, as others came between. */
static int write_noting(Root *root, Series *series, double value, bool add, double now, bool last_try)
{
    bool came_between = series->root != root || (root->expires && series->key != NULL && !series->attached && !last_try);
    if (series->cells == NULL || came_between) {
        return came_between;
    }
    if (add) {
        cell_add(series->cells, value);
    }
    else {
        cell_write(series->cells, value);
    }
    if (root->expires) {
        cell_write(&series->own[TOUCHED], now);
    }
    mark(series, add ? WAS_ADDED : WAS_SET, now);
    return 0;
}

/* The same on the series that now stands for the gauge's labels: where it expires, another may. */
static int gauge_write(Series *self, double value, bool add)
{
    for (int tries = 1;; tries++) {
        Root *root = PEEK(self->root);
        double now = 0.0;
        if (root == NULL) {
            return missing_labels(self);
        }
        if (root->stamped && monotonic(root->state, &now) < 0) {
            return -1;
        }
        bool is_here = !root->expires || self->key == NULL || PEEK(self->attached) || self->root == NULL;
        Series *series = is_here ? hold_series(self) : attach(self);
        if (series == NULL) {
            return -1;
        }
        LOCK(&root->lock);
        int status = write_noting(root, series, value, add, now, tries >= MOST_TRIES);
        UNLOCK(&root->lock);
        if (status == 0 && PEEK(series->cells) == NULL) {
            status = missing_labels(series);
        }
        Py_DECREF(series);
        if (status <= 0) {
            return status;
        }
    }
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
    Root *root = PEEK(self->root);
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

/* Add to the cell or set it, if that needs no more; false if it does. */
static inline bool add_plainly(Series *self, double amount)
{
    begin_step(self);
    bool is_plain = self->cells != NULL && !(PEEK(self->guarded) & WAS_ADDED);
    if (LIKELY(is_plain)) {
        cell_add(self->cells, amount);
    }
    end_step();
    return is_plain;
}

static inline bool set_plainly(Series *self, double value)
{
    begin_step(self);
    bool is_plain = self->cells != NULL && !(PEEK(self->guarded) & WAS_SET);
    if (LIKELY(is_plain)) {
        cell_write(self->cells, value);
    }
    end_step();
    return is_plain;
}

static inline PyObject *gauge_add(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names, bool down)
{
    Series *self = (Series *)object;
    if (LIKELY(names == NULL && PEEK(self->cells) != NULL)) {
        double value = 1.0;
        int plain = nargs == 0 ? 1 : nargs == 1 ? plain_number(args[0], &value) : 0;
        if (LIKELY(plain > 0 && add_plainly(self, down ? -value : value))) {
            return none();
        }
        if (UNLIKELY(plain < 0)) {
            PyErr_Clear(); /* there may be something else to say first */
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
    if (LIKELY(set_plainly(self, value))) {
        return 0;
    }
    double now;
    double *cells = PEEK(self->cells);
    if (cells != NULL && PEEK(self->guarded) & ONLY_STAMPED && quick_stamp(self->root->state, &now)) { /* never without the lock */
        cell_write(cells, value);
        cell_write(&cells[STAMP], now);
        return 0;
    }
    return cells == NULL ? missing_labels(self) : gauge_write(self, value, false);
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
    if (PEEK(self->cells) == NULL) {
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

/* -- the type -------------------------------------------------------------------------------------------------------- */

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

static PyType_Slot gauge_slots[] = {{Py_tp_doc, DOC_GaugeBase}, {Py_tp_methods, gauge_methods}, INSTRUMENT_SLOTS, {0, NULL}};

PyType_Spec gauge_spec = INSTRUMENT_TYPE("measurand.core._native.GaugeBase", gauge_slots);
