/* What a Python subclass of an instrument gets of its own: our methods, once more.

   Why: an interpreter calls a C method without detours only on objects of the very class that owns the method (CPython 3.11 to 3.13
   specialise for that class alone), and what users have are instances of subclasses. So each subclass is given methods of its own,
   made of the same definitions, wherever it would have inherited ours; a method that a class in between defines stays what it is.
   What is assigned later to a class in between does not reach the classes that were made before: assign it to the class whose
   objects are used. */

#include "core.h"

/* Whether an attribute of a class is the method of `owner` with that name, be it the original or a subclass's own. */
int is_our_method(State *state, PyTypeObject *owner, PyTypeObject *type, PyObject *attribute, const char *name)
{
    if (Py_TYPE(attribute) != Py_TYPE(state->method)) {
        return 0;
    }
    PyObject *its_class = PyObject_GetAttrString(attribute, "__objclass__");
    PyObject *its_name = its_class == NULL ? NULL : PyObject_GetAttrString(attribute, "__name__");
    int ours = its_name == NULL ? -1
                                : PyType_IsSubtype((PyTypeObject *)its_class, owner) && PyType_IsSubtype(type, (PyTypeObject *)its_class) &&
                                      PyUnicode_CompareWithASCIIString(its_name, name) == 0;
    Py_XDECREF(its_class);
    Py_XDECREF(its_name);
    return ours;
}

/* It is for speed only: where a metaclass will not have it, the inherited method serves. */
static void give_methods(State *state, PyTypeObject *type, PyTypeObject *owner, PyMethodDef *methods)
{
    for (PyMethodDef *method = methods; method->ml_name != NULL && PyType_IsSubtype(type, owner); method++) {
        if (method->ml_flags & METH_CLASS) {
            continue;
        }
        PyObject *inherited = PyObject_GetAttrString((PyObject *)type, method->ml_name);
        int status = inherited == NULL ? -1 : is_our_method(state, owner, type, inherited, method->ml_name);
        Py_XDECREF(inherited);
        if (status > 0) {
            PyObject *own = PyDescr_NewMethod(type, method);
            status = own == NULL ? -1 : PyObject_SetAttrString((PyObject *)type, method->ml_name, own);
            Py_XDECREF(own);
        }
        if (status < 0) {
            PyErr_Clear();
        }
    }
}

/* The rest of the chain of __init_subclass__. */
static int call_next(State *state, PyObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *rest = PyObject_CallFunctionObjArgs((PyObject *)&PySuper_Type, state->instrument_type, type, NULL);
    PyObject *function = rest == NULL ? NULL : PyObject_GetAttrString(rest, "__init_subclass__");
    PyObject *result = function == NULL ? NULL : PyObject_Call(function, args, keywords);
    Py_XDECREF(rest);
    Py_XDECREF(function);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

PyObject *instrument_init_subclass(PyObject *object, PyObject *args, PyObject *keywords)
{
    PyTypeObject *type = (PyTypeObject *)object;
    State *state = state_of_type(type);
    if (state == NULL || call_next(state, object, args, keywords) < 0) {
        return NULL;
    }
    give_methods(state, type, state->instrument_type, instrument_methods);
    give_methods(state, type, state->counter_type, counter_methods);
    give_methods(state, type, state->gauge_type, gauge_methods);
    give_methods(state, type, state->summary_type, summary_methods);
    give_methods(state, type, state->histogram_type, histogram_methods);
    return none();
}
