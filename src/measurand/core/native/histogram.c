/* HistogramBase and SummaryBase.

   Promise: observe() with a plain float or int allocates nothing, takes no lock and looks nothing up. */

#include "core.h"

#include <math.h>

#define BY_HALVES 32 /* with more bounds than this, halve before counting */

/* The first bound that is not below the amount, as bisect_left finds it. Counting all bounds has no branch to guess wrong. */
static inline Py_ssize_t bucket_of(const Root *root, double amount)
{
    const double *bound = root->bound;
    Py_ssize_t bounds = root->bounds, first = 0;
    while (bounds > BY_HALVES) {
        Py_ssize_t half = bounds / 2;
        first = bound[first + half - 1] < amount ? first + half : first;
        bounds -= half;
    }
    int64_t below = 0;
    for (Py_ssize_t i = 0; i < bounds; i += BOUND_STEP) { /* the padding is +Inf, which is below nothing */
        for (int j = 0; j < BOUND_STEP; j++) {
            below += bound[first + i + j] < amount;
        }
    }
    return first + (Py_ssize_t)below;
}

static int ignore_nan(Series *self)
{
    Root *root = hold_root(PEEK(self->root));
    PyObject *result = call_support(root->state, "ignore_nan", root->spec, NULL, NULL);
    release_root(root);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Count a number; the bucket, or -1 without an exception if there is none or it is NaN. */
static inline Py_ssize_t count(Series *self, double amount)
{
    Py_ssize_t bucket = -1;
    begin_step(self);
    if (LIKELY(self->cells != NULL && !isnan(amount))) {
        const Root *root = PEEK(self->root);
        bucket = bucket_of(root, amount);
        cell_add(&self->cells[bucket], 1.0);
        cell_add(&self->cells[root->width - 1], amount);
    }
    end_step();
    return bucket;
}

static int not_counted(Series *self)
{
    return PEEK(self->cells) == NULL ? missing_labels(self) : ignore_nan(self);
}

int histogram_observe(Series *self, double amount)
{
    return LIKELY(count(self, amount) >= 0) ? 0 : not_counted(self);
}

int summary_observe(Series *self, double amount)
{
    begin_step(self);
    bool counts = self->cells != NULL && !isnan(amount);
    if (LIKELY(counts)) {
        cell_add(&self->cells[0], 1.0);
        cell_add(&self->cells[1], amount);
    }
    end_step();
    return LIKELY(counts) ? 0 : not_counted(self);
}

/* The amount of a call as a double: plain numbers here, the rest through support. */
static inline int observed(Series *self, PyObject *given, double *amount)
{
    int plain = plain_number(given, amount);
    if (LIKELY(plain > 0)) {
        return 0;
    }
    if (plain < 0) {
        return -1;
    }
    if (self->root == NULL) {
        undefined_instrument((PyObject *)self);
        return -1;
    }
    PyObject *number = real_number(self->root->state, given, amount);
    Py_XDECREF(number);
    return number == NULL ? -1 : 0;
}

static const Signature histogram_signature = {"HistogramBase.observe", 1, 1, 2, {"amount", "exemplar"}};
static const Signature summary_signature = {"SummaryBase.observe", 1, 1, 1, {"amount"}};

static PyObject *histogram_observe_any(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Series *self = (Series *)object;
    PyObject *given[2];
    double amount;
    if (LIKELY(names == NULL && nargs == 1)) {
        given[0] = args[0];
        given[1] = NULL;
    }
    else if (take_arguments(&histogram_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    if (observed(self, given[0], &amount) < 0) {
        return NULL;
    }
    Py_ssize_t bucket = count(self, amount);
    if (UNLIKELY(bucket < 0)) {
        return none_or_error(not_counted(self));
    }
    return LIKELY(given[1] == NULL) ? none() : none_or_error(keep_exemplar(self, given[1], amount, bucket));
}

static PyObject *summary_observe_any(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Series *self = (Series *)object;
    PyObject *given;
    double amount;
    if (LIKELY(names == NULL && nargs == 1)) {
        given = args[0];
    }
    else if (take_arguments(&summary_signature, args, nargs, names, &given) < 0) {
        return NULL;
    }
    return observed(self, given, &amount) < 0 ? NULL : none_or_error(summary_observe(self, amount));
}

static PyObject *histogram_time(PyObject *object, PyObject *unused)
{
    return new_timer((Series *)object, HISTOGRAM_OBSERVE);
}

static PyObject *summary_time(PyObject *object, PyObject *unused)
{
    return new_timer((Series *)object, SUMMARY_OBSERVE);
}

PyMethodDef histogram_methods[] = {
    METHOD("observe", histogram_observe_any, DOC_HistogramBase_observe),
    {"time", histogram_time, METH_NOARGS, DOC_HistogramBase_time},
    {NULL, NULL, 0, NULL},
};

PyMethodDef summary_methods[] = {
    METHOD("observe", summary_observe_any, DOC_SummaryBase_observe),
    {"time", summary_time, METH_NOARGS, DOC_SummaryBase_time},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot histogram_slots[] = {{Py_tp_doc, DOC_HistogramBase}, {Py_tp_methods, histogram_methods}, INSTRUMENT_SLOTS, {0, NULL}};
static PyType_Slot summary_slots[] = {{Py_tp_doc, DOC_SummaryBase}, {Py_tp_methods, summary_methods}, INSTRUMENT_SLOTS, {0, NULL}};

PyType_Spec histogram_spec = INSTRUMENT_TYPE("measurand.core._native.HistogramBase", histogram_slots);
PyType_Spec summary_spec = INSTRUMENT_TYPE("measurand.core._native.SummaryBase", summary_slots);
