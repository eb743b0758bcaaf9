/* Taking arguments apart, and the way to the slow paths that both twins share (measurand.core.support).

   Promise: wrong calls raise what the interpreter raises for the Python twin, in the same words. */

#include "core.h"

static int name_index(const Signature *signature, PyObject *name)
{
    for (int i = 0; i < signature->count; i++) {
        if (PyUnicode_CompareWithASCIIString(name, signature->names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static void too_many(const Signature *signature, Py_ssize_t given)
{
    int most = signature->count + signature->self, least = signature->required + signature->self;
    given += signature->self;
    const char *verb = given == 1 ? "was" : "were";
    if (least < most) {
        PyErr_Format(PyExc_TypeError, "%s() takes from %d to %d positional arguments but %zd %s given", signature->function, least, most,
                     given, verb);
    }
    else {
        PyErr_Format(PyExc_TypeError, "%s() takes %d positional argument%s but %zd %s given", signature->function, most,
                     most == 1 ? "" : "s", given, verb);
    }
}

static void missing(const Signature *signature, PyObject *const *into)
{
    const char *names[4];
    int count = 0;
    for (int i = 0; i < signature->required; i++) {
        if (into[i] == NULL) {
            names[count++] = signature->names[i];
        }
    }
    const char *form = count == 1 ? "%s() missing %d required positional argument: '%s'"
                       : count == 2 ? "%s() missing %d required positional arguments: '%s' and '%s'"
                                    : "%s() missing %d required positional arguments: '%s', '%s', and '%s'";
    PyErr_Format(PyExc_TypeError, form, signature->function, count, names[0], count > 1 ? names[1] : "", count > 2 ? names[2] : "");
}

/* Sort the arguments of a call into `into`, borrowed; NULL where none was given. */
int take_arguments(const Signature *signature, PyObject *const *args, Py_ssize_t nargs, PyObject *names, PyObject **into)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);
    for (int i = 0; i < signature->count; i++) {
        into[i] = i < nargs ? args[i] : NULL;
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        int at = name_index(signature, name);
        if (at < 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", signature->function, name);
            return -1;
        }
        if (into[at] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", signature->function, name);
            return -1;
        }
        into[at] = args[nargs + i];
    }
    if (nargs > signature->count) {
        too_many(signature, nargs);
        return -1;
    }
    for (int i = 0; i < signature->required; i++) {
        if (into[i] == NULL) {
            missing(signature, into);
            return -1;
        }
    }
    return 0;
}

void shutting_down(void)
{
    PyErr_SetString(PyExc_RuntimeError, "measurand's core is being unloaded");
}

PyObject *call_support(State *state, const char *function, PyObject *first, PyObject *second, PyObject *third)
{
    if (state->support == NULL) {
        shutting_down();
        return NULL;
    }
    PyObject *callable = PyObject_GetAttrString(state->support, function);
    if (callable == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallFunctionObjArgs(callable, first, second, third, NULL);
    Py_DECREF(callable);
    return result;
}

int missing_labels(Series *self)
{
    Root *root = PEEK(self->root);
    if (root == NULL) {
        undefined_instrument((PyObject *)self);
        return -1;
    }
    hold_root(root);
    PyObject *result = call_support(root->state, "missing_labels", root->spec, NULL, NULL);
    release_root(root);
    if (result != NULL) { /* a series without any cells; support always raises */
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "measurand.core.support.missing_labels() did not raise");
    }
    return -1;
}

PyObject *real_number(State *state, PyObject *amount, double *value)
{
    int plain = plain_number(amount, value);
    if (plain < 0) {
        return NULL;
    }
    if (plain > 0) {
        return Py_NewRef(amount);
    }
    PyObject *converted = call_support(state, "real", amount, NULL, NULL);
    if (converted == NULL) {
        return NULL;
    }
    *value = PyFloat_AsDouble(converted);
    if (*value == -1.0 && PyErr_Occurred()) {
        Py_DECREF(converted);
        return NULL;
    }
    return converted;
}

PyObject *undefined_instrument(PyObject *object)
{
    PyObject *name = PyType_GetName(Py_TYPE(object));
    if (name != NULL) {
        PyErr_Format(PyExc_AttributeError, "'%U' object has no attribute '_root'", name);
        Py_DECREF(name);
    }
    return NULL;
}

Series *series_argument(PyObject *module, PyObject *object)
{
    State *state = state_of_module(module);
    if (!PyObject_TypeCheck(object, state->instrument_type) || PEEK(((Series *)object)->root) == NULL) {
        undefined_instrument(object);
        return NULL;
    }
    return (Series *)object;
}
