/* The module: its state, its types, its functions.

   Promise: nothing is shared between interpreters; importing registers nothing but the follower of measurand.clock. */

#include "core.h"

static struct PyModuleDef native_module;

State *state_of_module(PyObject *module)
{
    return (State *)PyModule_GetState(module);
}

State *state_of_type(PyTypeObject *type)
{
    for (; type != NULL; type = (PyTypeObject *)slot_of(type, Py_tp_base)) {
        if (!(PyType_GetFlags(type) & Py_TPFLAGS_HEAPTYPE)) {
            break;
        }
        PyObject *module = PyType_GetModule(type);
        if (module == NULL) { /* a class of Python's */
            PyErr_Clear();
        }
        else if (PyModule_GetDef(module) == &native_module) {
            return state_of_module(module);
        }
    }
    PyErr_SetString(PyExc_TypeError, "not a type of measurand's core");
    return NULL;
}

/* -- building -------------------------------------------------------------------------------------------------------- */

/* Make one type, and export it if it has a name to be exported by. */
static int add_type(PyObject *module, PyTypeObject **place, PyType_Spec *spec, PyTypeObject *base, bool exported)
{
    *place = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    if (*place == NULL) {
        return -1;
    }
    return exported ? PyModule_AddType(module, *place) : 0;
}

static int add_types(PyObject *module, State *state)
{
    if (add_type(module, &state->root_type, &root_spec, NULL, false) < 0 ||
        add_type(module, &state->instrument_type, &instrument_spec, NULL, true) < 0 ||
        add_type(module, &state->timer_type, &timer_spec, NULL, true) < 0 ||
        add_type(module, &state->outcomes_type, &outcomes_spec, NULL, true) < 0 ||
        add_type(module, &state->frozen_type, &frozen_spec, NULL, true) < 0 ||
        add_type(module, &state->layout_type, &layout_spec, NULL, true) < 0) {
        return -1;
    }
    PyTypeObject *base = state->instrument_type;
    state->method = PyObject_GetAttr((PyObject *)base, state->name_labels);
    return state->method == NULL || add_type(module, &state->counter_type, &counter_spec, base, true) < 0 ||
                   add_type(module, &state->gauge_type, &gauge_spec, base, true) < 0 ||
                   add_type(module, &state->summary_type, &summary_spec, base, true) < 0 ||
                   add_type(module, &state->histogram_type, &histogram_spec, base, true) < 0
               ? -1
               : 0;
}

static PyObject *imported(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *object = module == NULL || name == NULL ? module : PyObject_GetAttrString(module, name);
    if (name != NULL) {
        Py_XDECREF(module);
    }
    return object;
}

static int fill_state(PyObject *module, State *state)
{
    state->support = imported("measurand.core.support", NULL);
    state->around = state->support == NULL ? NULL : imported("measurand.core.wrapping", "around");
    state->clock = state->around == NULL ? NULL : imported("measurand.clock", NULL);
    state->now = state->clock == NULL ? NULL : PyObject_GetAttrString(module, "now");
    state->no_arguments = PyTuple_New(0);
    state->layouts = PyDict_New();
    state->name_observe = PyUnicode_InternFromString("observe");
    state->name_set = PyUnicode_InternFromString("set");
    state->name_labels = PyUnicode_InternFromString("labels");
    state->name_since = PyUnicode_InternFromString("since");
    return state->now == NULL || state->no_arguments == NULL || state->layouts == NULL || state->name_observe == NULL ||
                   state->name_set == NULL || state->name_labels == NULL || state->name_since == NULL
               ? -1
               : 0;
}

/* What `from measurand.core._native import *` and measurand.core take: everything but what is the module's own. */
static const char *const exported[] = {
    "CounterBase", "Frozen",  "GaugeBase",     "HistogramBase", "Instrument",     "Layout", "OutcomeTimer", "SummaryBase", "Timer",
    "children",    "created", "define",        "dropped",       "exemplars",      "format_number", "freeze", "implementation", "is_at",
    "key",         "move",    "now",           "payload",       "read",           "root",   "set_exemplars", "set_payload", "spec",
    "stands",      "watch",   "write",
};

static int add_all(PyObject *module)
{
    PyObject *all = PyList_New(0);
    for (size_t i = 0; all != NULL && i < sizeof exported / sizeof *exported; i++) {
        PyObject *name = PyUnicode_FromString(exported[i]);
        if (name == NULL || PyList_Append(all, name) < 0) {
            Py_CLEAR(all);
        }
        Py_XDECREF(name);
    }
    int status = all == NULL ? -1 : PyModule_AddObjectRef(module, "__all__", all);
    Py_XDECREF(all);
    return status;
}

static int native_exec(PyObject *module)
{
    State *state = state_of_module(module);
    if (rcu_start() < 0 || !MAKE_LOCK(&state->lock) || fill_state(module, state) < 0 || add_types(module, state) < 0 || add_all(module) < 0 ||
        PyModule_AddStringConstant(module, "implementation", "c") < 0) {
        return -1;
    }
    return follow_clock(module); /* last: it cannot be undone */
}

/* -- living with the garbage collector ------------------------------------------------------------------------------- */

/* Every object in the state. */
#define EACH_OBJECT(DO)                                                                                                              \
    DO(support) DO(around) DO(now) DO(clock) DO(monotonic) DO(no_arguments) DO(layouts) DO(root_type) DO(instrument_type) DO(counter_type) \
    DO(gauge_type) DO(summary_type) DO(histogram_type) DO(timer_type) DO(outcomes_type) DO(frozen_type) DO(layout_type) DO(method)                      \
    DO(name_observe) DO(name_set) DO(name_labels) DO(name_since)

static int native_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = state_of_module(module);
#define VISIT(name) Py_VISIT(state->name);
    EACH_OBJECT(VISIT)
    return 0;
}

static int native_clear(PyObject *module)
{
    State *state = state_of_module(module);
    if (state->spare_timer != NULL) {
        PyObject_GC_Del(state->spare_timer);
        state->spare_timer = NULL;
    }
#define CLEAR(name) Py_CLEAR(state->name);
    EACH_OBJECT(CLEAR)
    return 0;
}

static void native_free(void *module)
{
    native_clear((PyObject *)module);
}

static PyModuleDef_Slot native_slots[] = {
    {Py_mod_exec, native_exec},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef native_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "measurand.core._native",
    .m_doc = DOC_module,
    .m_size = sizeof(State),
    .m_methods = module_functions,
    .m_slots = native_slots,
    .m_traverse = native_traverse,
    .m_clear = native_clear,
    .m_free = native_free,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&native_module);
}
