/* OutcomeTimer: a duration is recorded on one of two series, after what became of the thing timed.

   Promise: it records where labels() would lead at that moment. The series found last is used again while it stands in the table of
   the metric as that is defined now; a metric whose labels() is not ours is asked each time. A labels() that its
   class is given later goes unnoticed while that series stands. */

#include "core.h"

typedef struct {
    PyObject_HEAD
    State *state;      /* NULL before __init__ */
    PyObject *metric;
    PyObject *method;
    PyObject *keys[2]; /* the label values of success and of failure; empty for a metric that needs none */
    PyObject *found[2]; /* the series for them, or NULL */
    Recorder recorder; /* for a series found before */
    bool ours;         /* whether the metric's labels() is ours */
} OutcomeTimer;

static int outcomes_traverse(PyObject *object, visitproc visit, void *arg)
{
    OutcomeTimer *self = (OutcomeTimer *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->metric);
    for (int i = 0; i < 2; i++) {
        Py_VISIT(self->keys[i]);
        Py_VISIT(self->found[i]);
    }
    return 0;
}

static int outcomes_clear(PyObject *object)
{
    OutcomeTimer *self = (OutcomeTimer *)object;
    Py_CLEAR(self->metric);
    Py_CLEAR(self->method);
    for (int i = 0; i < 2; i++) {
        Py_CLEAR(self->keys[i]);
        Py_CLEAR(self->found[i]);
    }
    return 0;
}

static void outcomes_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    outcomes_clear(object);
    PyObject_GC_Del(object); /* what tp_free is, in subclasses too */
    Py_DECREF(type);
}

static int has_our_labels(State *state, PyObject *metric)
{
    if (!PyObject_TypeCheck(metric, state->instrument_type)) {
        return 0;
    }
    PyTypeObject *type = Py_TYPE(metric);
    PyObject *labels = PyObject_GetAttr((PyObject *)type, state->name_labels);
    int ours = labels == NULL ? -1 : is_our_method(state, state->instrument_type, type, labels, "labels");
    Py_XDECREF(labels);
    return ours;
}

static int outcomes_init(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"metric", "callback_name", "succeeded", "failed", NULL};
    PyObject *metric, *method, *succeeded, *failed;
    State *state = state_of_type(Py_TYPE(object));
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, keywords, "OUO!O!:OutcomeTimer", names, &metric, &method, &PyTuple_Type,
                                                      &succeeded, &PyTuple_Type, &failed)) {
        return -1;
    }
    int ours = has_our_labels(state, metric);
    if (ours < 0) {
        return -1;
    }
    outcomes_clear(object);
    OutcomeTimer *self = (OutcomeTimer *)object;
    self->state = state;
    self->metric = Py_NewRef(metric);
    self->method = Py_NewRef(method);
    self->keys[0] = Py_NewRef(succeeded);
    self->keys[1] = Py_NewRef(failed);
    self->ours = ours > 0;
    self->recorder = recorder_for(state, metric, method);
    return 0;
}

/* Where the series found last is to be used again: a new reference, or NULL. */
static inline PyObject *found_before(const OutcomeTimer *self, int outcome)
{
#ifndef Py_GIL_DISABLED
    const Series *found = (const Series *)self->found[outcome], *metric = (const Series *)self->metric;
    if (LIKELY(found != NULL && found->attached && found->root != NULL && found->root == metric->root && !metric->patched)) {
        return Py_NewRef(self->found[outcome]);
    }
#endif
    return NULL;
}

static void remember_found(OutcomeTimer *self, int outcome, PyObject *series)
{
#ifndef Py_GIL_DISABLED
    const Root *root = ((Series *)self->metric)->root;
    PyObject *old = self->found[outcome];
    bool lasting = root != NULL && ((Series *)series)->root == root && (Series *)series != root->overflow;
    self->found[outcome] = lasting ? Py_NewRef(series) : NULL;
    Py_XDECREF(old);
#endif
}

/* What to record on: a new reference, or NULL with an exception set. */
static PyObject *series_for(OutcomeTimer *self, int outcome)
{
    PyObject *key = Py_NewRef(self->keys[outcome]), *metric = Py_NewRef(self->metric), *series = NULL;
    if (PyTuple_Size(key) == 0) {
        Py_DECREF(key);
        return metric;
    }
    PyObject *labels = PyObject_GetAttr(metric, self->state->name_labels);
    if (labels != NULL) {
        series = PyObject_Call(labels, key, NULL);
        Py_DECREF(labels);
    }
    if (series != NULL && self->ours && metric == self->metric && PyObject_TypeCheck(series, self->state->instrument_type)) {
        remember_found(self, outcome, series);
    }
    Py_DECREF(key);
    Py_DECREF(metric);
    return series;
}

static const Signature since_signature = {"OutcomeTimer.since", 1, 1, 2, {"start", "exc"}};

static PyObject *outcomes_since(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    OutcomeTimer *self = (OutcomeTimer *)object;
    PyObject *given[2] = {NULL, NULL};
    double seconds;
    if (LIKELY(names == NULL && nargs == 2)) {
        given[0] = args[0];
        given[1] = args[1];
    }
    else if (take_arguments(&since_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    double start = PyFloat_AsDouble(given[0]);
    if (start == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (self->metric == NULL) {
        PyErr_SetString(PyExc_AttributeError, "'OutcomeTimer' object has no attribute '_metric'");
        return NULL;
    }
    if (seconds_since(self->state, start, &seconds) < 0) {
        return NULL;
    }
    int outcome = given[1] != NULL && given[1] != Py_None;
    PyObject *series = found_before(self, outcome), *method = Py_NewRef(self->method);
    Recorder recorder = self->recorder;
    if (UNLIKELY(series == NULL)) {
        series = series_for(self, outcome); /* anything, where labels() is somebody else's */
        recorder = series == NULL ? BY_NAME : recorder_for(self->state, series, method);
    }
    int status = series == NULL ? -1 : record_seconds(self->state, series, recorder, method, seconds);
    Py_XDECREF(series);
    Py_DECREF(method);
    return status < 0 ? NULL : PyFloat_FromDouble(seconds);
}

static PyMethodDef outcomes_methods[] = {
    METHOD("since", outcomes_since, DOC_OutcomeTimer_since),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot outcomes_slots[] = {
    {Py_tp_doc, DOC_OutcomeTimer},
    {Py_tp_init, outcomes_init},
    {Py_tp_methods, outcomes_methods},
    {Py_tp_traverse, outcomes_traverse},
    {Py_tp_clear, outcomes_clear},
    {Py_tp_dealloc, outcomes_dealloc},
    {0, NULL},
};

PyType_Spec outcomes_spec = {
    .name = "measurand.core._native.OutcomeTimer",
    .basicsize = sizeof(OutcomeTimer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = outcomes_slots,
};
