/* The Instrument type: labels(), remove(), remove_by_labels(), clear().

   Promise: labels() with exact strings that are known finds its series without building anything and without running Python code.
   Whatever else it is given goes through measurand.core.support, as in the Python twin. */

#include "core.h"

/* -- the object ------------------------------------------------------------------------------------------------------ */

int instrument_traverse(PyObject *object, visitproc visit, void *arg)
{
    Series *self = (Series *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->root);
    Py_VISIT(self->payload);
    Py_VISIT(self->exemplars);
    return 0; /* the key holds strings only, so it is in no cycle */
}

int instrument_clear(PyObject *object)
{
    Series *self = (Series *)object;
    drop_cells(self);
    Py_CLEAR(self->root);
    Py_CLEAR(self->payload);
    Py_CLEAR(self->exemplars);
    return 0; /* a table that still knows this series refers to the strings of its key */
}

void instrument_dealloc(PyObject *object)
{
    Series *self = (Series *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    instrument_clear(object);
    Py_CLEAR(self->key);
    free_block(self->block);
    PyObject_GC_Del(object); /* what tp_free is, in subclasses too */
    Py_DECREF(type);
}

/* Timers call the C functions directly unless somebody gave this very object another observe(), set() or labels(), as
   mock.patch.object does. */
static int instrument_setattro(PyObject *object, PyObject *name, PyObject *value)
{
    if (PyUnicode_Check(name) &&
        (PyUnicode_CompareWithASCIIString(name, "observe") == 0 || PyUnicode_CompareWithASCIIString(name, "set") == 0 ||
         PyUnicode_CompareWithASCIIString(name, "labels") == 0)) {
        POKE(((Series *)object)->patched, true);
    }
    return PyObject_GenericSetAttr(object, name, value);
}

/* -- labels ---------------------------------------------------------------------------------------------------------- */

static PyObject *tuple_of(PyObject *const *items, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyTuple_SetItem(tuple, i, Py_NewRef(items[i]));
    }
    return tuple;
}

int labelled_root(Series *self)
{
    Root *root = PEEK(self->root);
    if (root == NULL) {
        undefined_instrument((PyObject *)self);
        return -1;
    }
    if (root->labels > 0 && self->key == NULL) {
        return 0;
    }
    hold_root(root);
    PyObject *result = root->labels == 0 ? call_support(root->state, "unlabelled", root->spec, NULL, NULL)
                                         : call_support(root->state, "chained", root->spec, self->key, NULL);
    release_root(root);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "measurand.core.support did not refuse labels");
    }
    return -1;
}

/* The key of a call through support; NULL with an exception set. Runs Python code, after which the instrument may have another root. */
static PyObject *key_of_call(Series *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);
    PyObject *values = tuple_of(args, nargs), *keywords = named == 0 ? NULL : PyDict_New(), *key = NULL;
    Py_ssize_t i = 0;
    while (keywords != NULL && i < named && PyDict_SetItem(keywords, PyTuple_GetItem(names, i), args[nargs + i]) == 0) {
        i++;
    }
    if (values != NULL && i == named) {
        Root *root = hold_root(PEEK(self->root));
        key = call_support(root->state, named == 0 ? "by_position" : "by_keyword", root->spec, values, keywords);
        release_root(root);
    }
    Py_XDECREF(values);
    Py_XDECREF(keywords);
    return key;
}

static PyObject *labels_slow(Series *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *key = labelled_root(self) < 0 ? NULL : key_of_call(self, args, nargs, names);
    if (key == NULL) {
        return NULL;
    }
    Root *root = hold_root(PEEK(self->root));
    Series *series = find_series(root, key);
    Py_DECREF(key);
    release_root(root);
    return (PyObject *)series;
}

/* As known_series, for a mixture of strings and integers: a status code is the commonest label value that is no string. Making the
   text of an exact int runs no Python code. */
static PyObject *known_with_integers(Root *root, PyObject *const *values)
{
    PyObject *texts[MOST_REMEMBERED_LABELS], *made[MOST_REMEMBERED_LABELS];
    Py_ssize_t count = 0, i = 0;
    Series *series = NULL;
    if (root->labels > MOST_REMEMBERED_LABELS) {
        return NULL;
    }
    for (; i < root->labels; i++) {
        texts[i] = values[i];
        if (PyUnicode_CheckExact(values[i])) {
            continue;
        }
        if (!PyLong_CheckExact(values[i])) {
            break;
        }
        texts[i] = made[count] = PyObject_Str(values[i]);
        if (texts[i] == NULL) { /* too long: the slow path says so */
            PyErr_Clear();
            break;
        }
        count++;
    }
    if (i == root->labels) {
        uint64_t hash = table_hash(texts, root->labels);
        LOCK(&root->lock);
        series = hold_series(table_find(&root->table, hash, texts));
        UNLOCK(&root->lock);
    }
    while (count > 0) {
        Py_DECREF(made[--count]);
    }
    return (PyObject *)series;
}

/* The series for exact strings in the order of the label names: a new reference, or NULL without an exception. */
static inline PyObject *known_series(Root *root, PyObject *const *values)
{
    for (Py_ssize_t i = 0; i < root->labels; i++) {
        if (UNLIKELY(!PyUnicode_CheckExact(values[i]))) {
            return known_with_integers(root, values);
        }
    }
    uint64_t hash = table_hash(values, root->labels);
    LOCK(&root->lock);
    Series *series = table_find(&root->table, hash, values);
    hold_series(series);
    UNLOCK(&root->lock);
    return (PyObject *)series;
}

/* Fill in where each label's value stands in a call with these names; false if they are not exactly the root's. */
static bool place_names(Root *root, PyObject *names, RememberedCall *call)
{
    for (Py_ssize_t i = 0; i < root->labels; i++) {
        PyObject *wanted = PyTuple_GetItem(root->labelnames, i);
        Py_ssize_t at = 0;
        while (at < root->labels && PyTuple_GetItem(names, at) != wanted) {
            at++;
        }
        for (at = at == root->labels ? 0 : at; at < root->labels; at++) {
            PyObject *name = PyTuple_GetItem(names, at);
            if (name == wanted || (PyUnicode_CheckExact(name) && PyUnicode_CheckExact(wanted) && PyUnicode_Compare(name, wanted) == 0)) {
                break;
            }
        }
        if (at == root->labels) {
            return false;
        }
        call->position[i] = (uint8_t)at;
    }
    return true;
}

/* Remember a call site by its tuple of names. Only tuples of exact strings are kept, so that letting one go runs no Python code. */
static void remember(Root *root, PyObject *names, const RememberedCall *call)
{
    for (Py_ssize_t i = 0; i < root->labels; i++) {
        if (!PyUnicode_CheckExact(PyTuple_GetItem(names, i))) {
            return;
        }
    }
    LOCK(&root->lock);
    RememberedCall *place = &root->remembered[root->next_remembered++ % REMEMBERED_CALLS];
    PyObject *old = place->names;
    *place = *call;
    place->names = Py_NewRef(names);
    UNLOCK(&root->lock);
    Py_XDECREF(old);
}

static PyObject *known_by_keyword(Root *root, PyObject *const *args, PyObject *names)
{
    PyObject *values[MOST_REMEMBERED_LABELS];
    RememberedCall call;
    if (PyTuple_Size(names) != root->labels || root->labels > MOST_REMEMBERED_LABELS) {
        return NULL;
    }
    call.names = NULL;
    LOCK(&root->lock);
    for (int i = 0; i < REMEMBERED_CALLS; i++) {
        if (root->remembered[i].names == names) {
            call = root->remembered[i];
            break;
        }
    }
    UNLOCK(&root->lock);
    if (call.names == NULL) {
        if (!place_names(root, names, &call)) {
            return NULL;
        }
        remember(root, names, &call);
    }
    for (Py_ssize_t i = 0; i < root->labels; i++) {
        values[i] = args[call.position[i]];
    }
    return known_series(root, values);
}

static PyObject *instrument_labels(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Series *self = (Series *)object;
    Root *root = PEEK(self->root);
    if (LIKELY(root != NULL && root->labels > 0 && self->key == NULL)) {
        PyObject *series = NULL;
        if (names == NULL) {
            if (LIKELY(nargs == root->labels)) {
                series = known_series(root, args);
            }
        }
        else if (nargs == 0) {
            series = known_by_keyword(root, args, names);
        }
        if (LIKELY(series != NULL)) {
            return series;
        }
    }
    return labels_slow(self, args, nargs, names);
}

/* -- removal --------------------------------------------------------------------------------------------------------- */

static int drop_key(Series *self, PyObject *key)
{
    Root *root = hold_root(PEEK(self->root));
    KeyValues key_values;
    if (key_values_take(&key_values, key, root->labels) < 0) {
        release_root(root);
        return -1;
    }
    uint64_t hash = table_hash(key_values.values, root->labels);
    LOCK(&root->lock);
    Series *dropped = drop_series(root, hash, key_values.values);
    UNLOCK(&root->lock);
    key_values_drop(&key_values);
    release_series(dropped);
    release_root(root);
    return 0;
}

static PyObject *instrument_remove(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Series *self = (Series *)object;
    PyObject *key = labelled_root(self) < 0 ? NULL : key_of_call(self, args, nargs, NULL);
    int status = key == NULL ? -1 : drop_key(self, key);
    Py_XDECREF(key);
    return none_or_error(status);
}

static int drop_matching(Series *self, PyObject *matches)
{
    Py_ssize_t count;
    Series **series = all_series(PEEK(self->root), &count);
    int status = series == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; status == 0 && i < count; i++) {
        PyObject *answer = PyObject_CallFunctionObjArgs(matches, series[i]->key, NULL);
        int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
        Py_XDECREF(answer);
        status = truth > 0 ? drop_key(self, series[i]->key) : truth;
    }
    if (series != NULL) {
        release_all(series, count);
    }
    return status;
}

static const Signature remove_by_labels_signature = {"Instrument.remove_by_labels", 1, 1, 1, {"labels"}};

static PyObject *instrument_remove_by_labels(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Series *self = (Series *)object;
    PyObject *labels;
    if (take_arguments(&remove_by_labels_signature, args, nargs, names, &labels) < 0 || labelled_root(self) < 0) {
        return NULL;
    }
    Root *root = hold_root(PEEK(self->root));
    PyObject *matches = call_support(root->state, "partial_match", root->spec, labels, NULL);
    release_root(root);
    int status = matches == NULL ? -1 : drop_matching(self, matches);
    Py_XDECREF(matches);
    return none_or_error(status);
}

static PyObject *instrument_remove_all(PyObject *object, PyObject *unused)
{
    Series *self = (Series *)object;
    if (self->root != NULL && self->root->labels == 0) {
        return none();
    }
    if (labelled_root(self) < 0) {
        return NULL;
    }
    Table table = take_table_locking(PEEK(self->root));
    release_table(&table);
    return none();
}

PyMethodDef instrument_methods[] = {
    METHOD("labels", instrument_labels, DOC_Instrument_labels),
    {"remove", (PyCFunction)(void (*)(void))instrument_remove, METH_FASTCALL, DOC_Instrument_remove},
    METHOD("remove_by_labels", instrument_remove_by_labels, DOC_Instrument_remove_by_labels),
    {"clear", instrument_remove_all, METH_NOARGS, DOC_Instrument_clear},
    {"__init_subclass__", (PyCFunction)(void (*)(void))instrument_init_subclass, METH_CLASS | METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot instrument_slots[] = {
    {Py_tp_doc, DOC_Instrument},
    {Py_tp_methods, instrument_methods},
    {Py_tp_setattro, instrument_setattro},
    INSTRUMENT_SLOTS,
    {0, NULL},
};

PyType_Spec instrument_spec = INSTRUMENT_TYPE("measurand.core._native.Instrument", instrument_slots);
