/* gauge.replace(): all series of a gauge exchanged in one step.

   Promise: everything that can fail or run Python code happens first; then cells are set and the table is swapped without an
   interruption; what the old table held is released last. */

#include "core.h"

typedef struct {
    PyObject *key;       /* all owned */
    Series *series;
    PyObject *discarded; /* to be released at the end */
    PyObject *payload;   /* likewise */
    bool fresh;          /* did not stand in the table before */
    double value;
} Row;

typedef struct {
    Py_ssize_t count;
    Row *rows;
    Table table;
    Series *overflow; /* borrowed from it, or NULL */
} Replacement;

static void release_replacement(Replacement *new)
{
    for (Py_ssize_t i = 0; i < new->count; i++) {
        Py_XDECREF(new->rows[i].key);
        release_series(new->rows[i].series);
        Py_XDECREF(new->rows[i].discarded);
        Py_XDECREF(new->rows[i].payload);
    }
    PyMem_Free(new->rows);
    release_table(&new->table);
}

/* Take the keys and numbers out of what support made of the caller's mapping. */
static int take_rows(Replacement *new, PyObject *values)
{
    PyObject *items = PyDict_Items(values);
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t count = PyList_Size(items);
    new->rows = PyMem_Calloc((size_t)count + 1, sizeof *new->rows);
    if (new->rows == NULL) {
        PyErr_NoMemory();
    }
    for (; new->rows != NULL && new->count < count; new->count++) {
        Row *row = &new->rows[new->count];
        PyObject *item = PyList_GetItem(items, new->count); /* a pair */
        row->key = Py_NewRef(PyTuple_GetItem(item, 0));
        row->value = PyFloat_AsDouble(PyTuple_GetItem(item, 1));
    }
    Py_DECREF(items);
    return new->rows == NULL || PyErr_Occurred() ? -1 : 0;
}

/* With the lock held. A new reference; NULL with an exception set or without. */
static Series *find_by_key(Root *root, PyObject *key)
{
    KeyValues key_values;
    if (key_values_take(&key_values, key, root->labels) < 0) {
        return NULL;
    }
    Series *series = hold_series(table_find(&root->table, table_hash(key_values.values, root->labels), key_values.values));
    key_values_drop(&key_values);
    return series;
}

/* The series of all rows: those that exist, and new ones, which runs Python code. */
static int take_series(Replacement *new, Root *root)
{
    for (Py_ssize_t i = 0; i < new->count; i++) {
        Row *row = &new->rows[i];
        LOCK(&root->lock);
        row->series = find_by_key(root, row->key);
        UNLOCK(&root->lock);
        if (row->series == NULL && !PyErr_Occurred()) {
            row->series = new_series(root, row->key);
        }
        if (row->series == NULL) {
            return -1;
        }
    }
    return 0;
}

/* With the lock held: prefer what others, or a re-entrant call, put into the table meanwhile, and build the new table. Runs no Python code. */
static int fill_table(Replacement *new, Root *root)
{
    for (Py_ssize_t i = 0; i < new->count; i++) {
        Row *row = &new->rows[i];
        Series *found = find_by_key(root, row->key);
        if (found != NULL) {
            row->discarded = (PyObject *)row->series; /* the same one, as a rule */
            row->series = found;
        }
        KeyValues key_values;
        if (key_values_take(&key_values, row->series->key, root->labels) < 0) {
            return -1;
        }
        uint64_t hash = table_hash(key_values.values, root->labels);
        int status = table_reserve(&new->table);
        if (status == 0) {
            table_insert(&new->table, hash, key_values.values, hold_series(row->series));
            new->overflow = is_overflow(root, hash, key_values.values) ? row->series : new->overflow;
        }
        key_values_drop(&key_values);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

/* The exchange, with the root closed; leaves in `new` what is to be released. */
static void swap_in(Replacement *new, Root *root, double now)
{
    for (Py_ssize_t i = 0; i < new->count; i++) {
        new->rows[i].fresh = !new->rows[i].series->attached;
    }
    Table old = take_table(root);
    for (Py_ssize_t i = 0; i < new->count; i++) {
        Row *row = &new->rows[i];
        Series *series = row->series;
        row->payload = series->payload;
        series->payload = NULL;
        if (series->cells != NULL) {
            cell_write(series->cells, row->value);
            mark(series, WAS_SET, now);
        }
        if (root->expires) {
            cell_write(&series->own[TOUCHED], now);
        }
        POKE(series->attached, true);
    }
    root->table = new->table;
    POKE(root->overflow, new->overflow);
    new->table = old;
}

/* The one step: 0, or -1 with an exception set and nothing changed. */
static int exchange(Replacement *new, Root *root, double now)
{
    close_root(root);
    int status = fill_table(new, root);
    if (status == 0) {
        swap_in(new, root, now);
    }
    open_root(root);
    if (status < 0) {
        PyErr_NoMemory();
    }
    return status;
}

static int announce_fresh(const Replacement *new, Root *root)
{
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < new->count; i++) {
        status = new->rows[i].fresh ? announce(root, new->rows[i].series) : 0;
    }
    return status;
}

static const Signature replace_signature = {"GaugeBase.replace", 1, 1, 1, {"values"}};

PyObject *gauge_replace(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    Series *self = (Series *)object;
    PyObject *given;
    if (take_arguments(&replace_signature, args, nargs, names, &given) < 0 || labelled_root(self) < 0) {
        return NULL;
    }
    Root *root = hold_root(PEEK(self->root));
    PyObject *values = call_support(root->state, "replacement", root->spec, given, NULL);
    release_root(root);
    root = hold_root(PEEK(self->root)); /* the numbers' conversion may have defined the instrument anew */
    Replacement new = {.table = new_table(root->labels)};
    double now;
    int status = -1;
    if (values != NULL && take_rows(&new, values) == 0 && monotonic(root->state, &now) == 0 && take_series(&new, root) == 0 &&
        exchange(&new, root, now) == 0) {
        status = announce_fresh(&new, root);
    }
    release_replacement(&new);
    Py_XDECREF(values);
    release_root(root);
    return none_or_error(status);
}
