/* Reading the monotonic clock in C, as measurand.clock does in Python, and following it when a test replaces it.

   Promise: the same origin and unit as `time.perf_counter()`, so that values of both twins and of Python code compare. Wall time is
   read where series come to be, not where they record: there measurand.clock is asked each time, which hears whoever replaced
   `time.time()`. */

#include "core.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

double system_monotonic(void)
{
    static double frequency; /* fixed while the machine runs; computing it twice does no harm */
    LARGE_INTEGER now;
    if (frequency == 0.0) {
        LARGE_INTEGER ticks;
        QueryPerformanceFrequency(&ticks);
        frequency = (double)ticks.QuadPart;
    }
    QueryPerformanceCounter(&now);
    return (double)now.QuadPart / frequency;
}

#else
#include <time.h>

double system_monotonic(void)
{
#if defined(__APPLE__)
    const clockid_t clock = CLOCK_UPTIME_RAW;
#else
    const clockid_t clock = CLOCK_MONOTONIC;
#endif
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif

/* The exact clock takes as long as the rest of a call. So it is read once for each tick of the coarse one (4 ms or less): the first of the
   values that are set in a tick has its exact time, which tells the processes apart that set one now and then. Those that follow it have
   each the next greater number, so that no two stamps are equal. */
bool quick_stamp(State *state, double *seconds)
{
#if defined(CLOCK_MONOTONIC_COARSE) && !defined(Py_GIL_DISABLED)
    struct timespec now;
    if (state->monotonic != NULL || clock_gettime(CLOCK_MONOTONIC_COARSE, &now) < 0) {
        return false;
    }
    int64_t tick = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (UNLIKELY(tick != state->tick)) {
        state->tick = tick;
        state->stamp = system_monotonic();
    }
    else {
        uint64_t bits;
        memcpy(&bits, &state->stamp, sizeof bits);
        bits++;
        memcpy(&state->stamp, &bits, sizeof bits);
    }
    *seconds = state->stamp;
    return true;
#else
    (void)state;
    (void)seconds;
    return false;
#endif
}

/* What a call gives; takes the reference. */
static int seconds_from(PyObject *method, double *seconds)
{
    PyObject *result = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    if (result == NULL) {
        return -1;
    }
    *seconds = PyFloat_AsDouble(result);
    Py_DECREF(result);
    return *seconds == -1.0 && PyErr_Occurred() ? -1 : 0;
}

int python_clock(State *state, double *seconds)
{
    LOCK(&state->lock);
    PyObject *method = Py_XNewRef(state->monotonic); /* it may be replaced while it runs */
    UNLOCK(&state->lock);
    if (method == NULL) {
        *seconds = system_monotonic();
        return 0;
    }
    return seconds_from(method, seconds);
}

int wall(State *state, double *seconds)
{
    if (state->clock == NULL) {
        shutting_down();
        return -1;
    }
    PyObject *method = PyObject_GetAttrString(state->clock, "wall");
    return method == NULL ? -1 : seconds_from(method, seconds);
}

static const Signature now_signature = {"now", 0, 0, 0, {NULL}};

/* Not METH_NOARGS: CPython 3.11 has no quick way to call a function of that kind. */
PyObject *core_now(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    double seconds;
    if (UNLIKELY(nargs > 0 || names != NULL) && take_arguments(&now_signature, args, nargs, names, NULL) < 0) {
        return NULL;
    }
    return monotonic(state_of_module(module), &seconds) < 0 ? NULL : PyFloat_FromDouble(seconds);
}

/* What measurand.clock calls with the clock in use, now and at every change; None means the system's. */
static PyObject *follow(PyObject *module, PyObject *clock)
{
    State *state = state_of_module(module);
    PyObject *method = clock == Py_None ? NULL : PyObject_GetAttrString(clock, "monotonic");
    if (method == NULL && clock != Py_None) {
        return NULL;
    }
    LOCK(&state->lock);
    PyObject *old = state->monotonic;
    POKE(state->monotonic, method);
    UNLOCK(&state->lock);
    Py_XDECREF(old);
    return none();
}

static PyMethodDef follower = {"follow", follow, METH_O, NULL};

int follow_clock(PyObject *module)
{
    PyObject *function = PyCFunction_NewEx(&follower, module, NULL);
    PyObject *result = function == NULL ? NULL : PyObject_CallMethod(state_of_module(module)->clock, "subscribe", "O", function);
    Py_XDECREF(function);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
