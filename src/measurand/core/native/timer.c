/* Timer: what time() returns.

   Promises: a duration is never negative; it is recorded by the method that the metric has at that moment. The C function of
   observe() or set() is called directly while the metric's class still has ours and nobody assigned another to the metric itself; a
   method put straight into the metric's `__dict__` is the one thing that goes unnoticed. */

#include "core.h"

typedef struct {
    PyObject_HEAD
    State *state;     /* NULL before __init__ */
    PyObject *series; /* anything with a recording method */
    PyObject *method;
    double start, duration;
    Recorder recorder;
    bool ended;
} Timer;

static int timer_traverse(PyObject *object, visitproc visit, void *arg)
{
    Timer *self = (Timer *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->series);
    Py_VISIT(self->method);
    return 0;
}

static int timer_clear(PyObject *object)
{
    Timer *self = (Timer *)object;
    Py_CLEAR(self->series);
    Py_CLEAR(self->method);
    return 0;
}

static void timer_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    timer_clear(object);
#ifndef Py_GIL_DISABLED
    State *state = ((Timer *)object)->state;
    if (state != NULL && type == state->timer_type && state->spare_timer == NULL) {
        state->spare_timer = object;
        Py_DECREF(type);
        return;
    }
#endif
    PyObject_GC_Del(object); /* what tp_free is, in subclasses too */
    Py_DECREF(type);
}

/* Memory for a timer: that of the last one, if it is gone. */
static Timer *make_timer(State *state)
{
    PyObject *spare = state->spare_timer;
    if (UNLIKELY(state->timer_type == NULL)) {
        shutting_down();
        return NULL;
    }
    if (spare == NULL) {
        return PyObject_GC_New(Timer, state->timer_type);
    }
    state->spare_timer = NULL;
    return (Timer *)PyObject_Init(spare, state->timer_type);
}

/* -- choosing the recording function --------------------------------------------------------------------------------- */

static Recorder recorder_of(State *state, PyObject *object)
{
    return PyObject_TypeCheck(object, state->histogram_type) ? HISTOGRAM_OBSERVE
           : PyObject_TypeCheck(object, state->summary_type) ? SUMMARY_OBSERVE
           : PyObject_TypeCheck(object, state->gauge_type)   ? GAUGE_SET
                                                             : BY_NAME;
}

Recorder recorder_for(State *state, PyObject *object, PyObject *method)
{
    Recorder recorder = recorder_of(state, object);
    const char *name = recorder == GAUGE_SET ? "set" : "observe";
    return PyUnicode_CompareWithASCIIString(method, name) == 0 ? recorder : BY_NAME;
}

/* Remember the method that a class of instruments has now, if it is ours. */
int take_recorder(Root *root)
{
    State *state = root->state;
    PyTypeObject *type = Py_TYPE(root->instrument);
    Recorder recorder = recorder_of(state, root->instrument);
    if (recorder == BY_NAME) {
        return 0;
    }
    PyTypeObject *owner = recorder == HISTOGRAM_OBSERVE ? state->histogram_type
                          : recorder == SUMMARY_OBSERVE ? state->summary_type
                                                        : state->gauge_type;
    PyObject *method = PyObject_GetAttr((PyObject *)type, recorder == GAUGE_SET ? state->name_set : state->name_observe);
    int ours = method == NULL ? -1 : is_our_method(state, owner, type, method, recorder == GAUGE_SET ? "set" : "observe");
    if (ours > 0) {
        root->record = method;
        return 0;
    }
    Py_XDECREF(method);
    return ours;
}

/* Whether the metric's class still has our method; -1 with an exception set. */
static inline int is_ours(State *state, Series *series, Recorder recorder)
{
    if (recorder == BY_NAME || PEEK(series->patched) || series->root == NULL || series->root->record == NULL) {
        return 0;
    }
    PyObject *name = recorder == GAUGE_SET ? state->name_set : state->name_observe;
    PyObject *method = PyObject_GetAttr((PyObject *)Py_TYPE((PyObject *)series), name);
    if (method == NULL) {
        return -1;
    }
    Py_DECREF(method);
    return series->root != NULL && method == series->root->record;
}

static int record_by_name(PyObject *series, PyObject *method, double seconds)
{
    PyObject *value = PyFloat_FromDouble(seconds);
    PyObject *result = value == NULL ? NULL : PyObject_CallMethodObjArgs(series, method, value, NULL);
    Py_XDECREF(value);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int record_seconds(State *state, PyObject *object, Recorder recorder, PyObject *method, double seconds)
{
    Series *series = (Series *)object;
    int status = is_ours(state, series, recorder);
    if (LIKELY(status > 0)) {
        status = recorder == HISTOGRAM_OBSERVE ? histogram_observe(series, seconds)
                 : recorder == SUMMARY_OBSERVE ? summary_observe(series, seconds)
                                               : gauge_set(series, seconds);
    }
    else if (status == 0) {
        Py_INCREF(method);
        status = record_by_name(object, method, seconds);
        Py_DECREF(method);
    }
    return status;
}

static int record(Timer *self, double seconds)
{
    PyObject *series;
    Recorder recorder;
    BEGIN_ALONE((PyObject *)self);
    series = Py_NewRef(self->series);
    recorder = self->recorder;
    END_ALONE();
    int status = record_seconds(self->state, series, recorder, self->method, seconds);
    Py_DECREF(series);
    return status;
}

int seconds_since(State *state, double start, double *seconds)
{
    double now;
    if (monotonic(state, &now) < 0) {
        return -1;
    }
    now -= start;
    *seconds = now < 0.0 ? 0.0 : now;
    return 0;
}

/* -- making one ------------------------------------------------------------------------------------------------------ */

PyObject *new_timer(Series *series, Recorder recorder)
{
    if (UNLIKELY(series->root == NULL)) {
        return undefined_instrument((PyObject *)series);
    }
    State *state = series->root->state;
    Timer *self = make_timer(state);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->series = Py_NewRef((PyObject *)series);
    self->method = Py_NewRef(recorder == GAUGE_SET ? state->name_set : state->name_observe);
    self->recorder = recorder;
    self->start = 0.0;
    self->ended = false;
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

static int timer_init(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"metric", "callback_name", NULL};
    Timer *self = (Timer *)object;
    PyObject *series, *method;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OU:Timer", names, &series, &method)) {
        return -1;
    }
    State *state = state_of_type(Py_TYPE(object));
    if (state == NULL) {
        return -1;
    }
    PyObject *old_series = self->series, *old_method = self->method;
    self->recorder = recorder_for(state, series, method);
    self->series = Py_NewRef(series);
    self->method = Py_NewRef(method);
    self->state = state;
    self->start = 0.0;
    self->ended = false;
    Py_XDECREF(old_series);
    Py_XDECREF(old_method);
    return 0;
}

/* -- using it -------------------------------------------------------------------------------------------------------- */

static inline int check(Timer *self)
{
    if (UNLIKELY(self->series == NULL)) {
        PyErr_SetString(PyExc_AttributeError, "'Timer' object has no attribute '_series'");
        return -1;
    }
    return 0;
}

static PyObject *timer_enter(PyObject *object, PyObject *unused)
{
    Timer *self = (Timer *)object;
    if (check(self) < 0 || monotonic(self->state, &self->start) < 0) {
        return NULL;
    }
    return Py_NewRef(object);
}

static const Signature exit_signature = {"Timer.__exit__", 1, 0, 3, {"exc_type", "exc", "traceback"}};

static PyObject *timer_exit(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Timer *self = (Timer *)object;
    PyObject *given[3];
    if (UNLIKELY(names != NULL || nargs > 3) && take_arguments(&exit_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    if (check(self) < 0 || seconds_since(self->state, self->start, &self->duration) < 0) {
        return NULL;
    }
    self->ended = true;
    return none_or_error(record(self, self->duration));
}

static const Signature since_signature = {"Timer.since", 1, 1, 2, {"start", "exc"}};

static PyObject *timer_since(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Timer *self = (Timer *)object;
    PyObject *given[2];
    double seconds;
    if (LIKELY(names == NULL && (nargs == 2 || nargs == 1))) {
        given[0] = args[0];
    }
    else if (take_arguments(&since_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    double start = PyFloat_AsDouble(given[0]);
    if ((start == -1.0 && PyErr_Occurred()) || check(self) < 0 || seconds_since(self->state, start, &seconds) < 0) {
        return NULL;
    }
    return none_or_error(record(self, seconds));
}

static PyObject *timer_labels(PyObject *object, PyObject *args, PyObject *keywords)
{
    Timer *self = (Timer *)object;
    if (check(self) < 0) {
        return NULL;
    }
    PyObject *timed;
    BEGIN_ALONE(object);
    timed = Py_NewRef(self->series);
    END_ALONE();
    PyObject *labels = PyObject_GetAttr(timed, self->state->name_labels);
    Py_DECREF(timed);
    PyObject *series = labels == NULL ? NULL : PyObject_Call(labels, args, keywords);
    Py_XDECREF(labels);
    if (series == NULL) {
        return NULL;
    }
    PyObject *old;
    Recorder recorder = recorder_for(self->state, series, self->method);
    BEGIN_ALONE(object);
    old = self->series;
    self->recorder = recorder;
    self->series = series;
    END_ALONE();
    Py_XDECREF(old);
    return none();
}

static PyObject *timer_call(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"f", NULL};
    Timer *self = (Timer *)object;
    PyObject *function;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:__call__", names, &function) || check(self) < 0) {
        return NULL;
    }
    PyObject *since = PyObject_GetAttr(object, self->state->name_since);
    PyObject *result = since == NULL ? NULL : PyObject_CallFunctionObjArgs(self->state->around, function, self->state->now, since, NULL);
    Py_XDECREF(since);
    return result;
}

static PyObject *timer_duration(PyObject *object, void *unused)
{
    Timer *self = (Timer *)object;
    return self->ended ? PyFloat_FromDouble(self->duration) : none();
}

static PyMethodDef timer_methods[] = {
    {"__enter__", timer_enter, METH_NOARGS, DOC_Timer_enter},
    METHOD("__exit__", timer_exit, DOC_Timer_exit),
    METHOD("since", timer_since, DOC_Timer_since),
    {"labels", (PyCFunction)(void (*)(void))timer_labels, METH_VARARGS | METH_KEYWORDS, DOC_Timer_labels},
    {"__call__", (PyCFunction)(void (*)(void))timer_call, METH_VARARGS | METH_KEYWORDS | METH_COEXIST, DOC_Timer_call},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef timer_attributes[] = {
    {"duration", timer_duration, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot timer_slots[] = {
    {Py_tp_doc, DOC_Timer},
    {Py_tp_init, timer_init},
    {Py_tp_call, timer_call},
    {Py_tp_methods, timer_methods},
    {Py_tp_getset, timer_attributes},
    {Py_tp_traverse, timer_traverse},
    {Py_tp_clear, timer_clear},
    {Py_tp_dealloc, timer_dealloc},
    {0, NULL},
};

PyType_Spec timer_spec = {
    .name = "measurand.core._native.Timer",
    .basicsize = sizeof(Timer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = timer_slots,
};
