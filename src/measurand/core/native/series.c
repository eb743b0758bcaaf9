/* How instruments and their series come and go: define(), creation under the limit, removal.

   Promises: two threads, or a call and its own re-entry, that ask for the same labels get the same series; the limit on series is
   exact, because the last check and the insertion have no Python code between them. */

#include "core.h"

/* -- making series --------------------------------------------------------------------------------------------------- */

/* Where a series of this root has its cells, zeroed: in memory apart, in itself, or nowhere (NULL). -1 with MemoryError set. */
static int find_cells(Series *self, const Root *root, double **cells)
{
    Py_ssize_t own = root->expires ? 1 : 2;
    *cells = root->width == 0 ? NULL : root->width <= own ? self->own : PyMem_Calloc((size_t)root->width, sizeof(double));
    if (*cells == NULL && root->width > 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Call somebody with a series, if there is anybody. */
static int tell(PyObject *listener, PyObject *series)
{
    PyObject *result = listener == NULL ? none() : PyObject_CallFunctionObjArgs(listener, series, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* A key is replaced by an equal one, whose strings other series may have, too. */
Series *new_series(Root *root, PyObject *key)
{
    State *state = root->state;
    if (root->instrument == NULL || state->no_arguments == NULL) {
        shutting_down();
        return NULL;
    }
    PyTypeObject *type = Py_TYPE(root->instrument);
    newfunc make = (newfunc)slot_of(type, Py_tp_new);
    PyObject *object = make(type, state->no_arguments, NULL);
    if (object == NULL) {
        return NULL;
    }
    Series *self = (Series *)object;
    if (!PyObject_TypeCheck(object, state->instrument_type) || self->root != NULL) {
        PyErr_SetString(PyExc_TypeError, "__new__() of an instrument must return a new instrument");
        Py_DECREF(object);
        return NULL;
    }
    if (wall(state, &self->created) < 0 || monotonic(state, &self->own[TOUCHED]) < 0 || find_cells(self, root, &self->cells) < 0) {
        Py_DECREF(object);
        return NULL;
    }
    self->root = hold_root(root);
    self->key = call_support(state, "shared", key, NULL, NULL);
    if (self->key == NULL) {
        Py_DECREF(object);
        return NULL;
    }
    guard(self, root);
    if (!root->expires) {
        self->own[TOUCHED] = 0.0;
    }
    if (tell(root->adopt, object) < 0) {
        Py_DECREF(object);
        return NULL;
    }
    return self;
}

int announce(Root *root, Series *series)
{
    LOCK(&root->lock);
    PyObject *watcher = Py_XNewRef(root->watcher);
    UNLOCK(&root->lock);
    int status = tell(watcher, (PyObject *)series);
    Py_XDECREF(watcher);
    return status;
}

/* The keys of all series but the overflow series. */
static PyObject *own_keys(Root *root)
{
    Py_ssize_t count;
    Series **series = all_series(root, &count);
    PyObject *keys = series == NULL ? NULL : PyList_New(0);
    for (Py_ssize_t i = 0; keys != NULL && i < count; i++) {
        if (series[i] != PEEK(root->overflow) && PyList_Append(keys, series[i]->key) < 0) {
            Py_CLEAR(keys);
        }
    }
    if (series != NULL) {
        release_all(series, count);
    }
    return keys;
}

/* Have it said that the limit is reached, and which label did it; the specification remembers that it was said. */
static int warn_of_overflow(Root *root)
{
    PyObject *keys = own_keys(root);
    PyObject *result = keys == NULL ? NULL : call_support(root->state, "overflowed", root->spec, keys, NULL);
    Py_XDECREF(keys);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

bool is_overflow(Root *root, uint64_t hash, PyObject *const *values)
{
    for (Py_ssize_t i = 0; hash == root->overflow_hash && i < root->labels; i++) {
        if (PyUnicode_Compare(values[i], PyTuple_GetItem(root->overflow_key, i)) != 0) {
            return false;
        }
    }
    return hash == root->overflow_hash;
}

/* With the lock held, after table_reserve. */
static void put_series(Root *root, uint64_t hash, PyObject *const *values, Series *series)
{
    table_insert(&root->table, hash, values, hold_series(series));
    POKE(series->attached, true);
    if (is_overflow(root, hash, values)) {
        POKE(root->overflow, series);
    }
}

/* With the lock held: the series for a key; if there is none, a given new one is put there. A new reference, or NULL; -1 without memory. */
static int found_or_put(Root *root, uint64_t hash, PyObject *const *values, Series *fresh, Series **result)
{
    *result = hold_series(table_find(&root->table, hash, values));
    if (*result == NULL && fresh != NULL) {
        if (table_reserve(&root->table) < 0) {
            return -1;
        }
        put_series(root, hash, values, fresh);
        *result = hold_series(fresh);
    }
    return 0;
}

/* The series for a key, made if need be and there is a place; else NULL without an exception. */
static Series *find_or_make(Root *root, PyObject *key)
{
    KeyValues key_values;
    if (key_values_take(&key_values, key, root->labels) < 0) {
        return NULL;
    }
    uint64_t hash = table_hash(key_values.values, root->labels);
    bool beyond = is_overflow(root, hash, key_values.values);
    Series *fresh = NULL, *result = NULL;
    for (;;) {
        LOCK(&root->lock);
        bool full = !beyond && (Py_ssize_t)root->table.live - (root->overflow != NULL) >= root->limit;
        int status = found_or_put(root, hash, key_values.values, full ? NULL : fresh, &result);
        POKE(root->dropped, root->dropped + (result == NULL && full));
        UNLOCK(&root->lock);
        if (status < 0) {
            PyErr_NoMemory();
        }
        if (status < 0 || result != NULL || full) {
            break;
        }
        fresh = new_series(root, key); /* runs Python code: look again */
        if (fresh == NULL) {
            break;
        }
        key_values_drop(&key_values);
        if (key_values_take(&key_values, fresh->key, root->labels) < 0) { /* what stands in a table belongs to its series */
            release_series(fresh);
            return NULL;
        }
    }
    key_values_drop(&key_values);
    bool made = result != NULL && result == fresh;
    release_series(fresh);
    if (made && announce(root, result) < 0) {
        release_series(result);
        return NULL;
    }
    return result;
}

Series *find_series(Root *root, PyObject *key)
{
    Series *series = find_or_make(root, key);
    if (series != NULL || PyErr_Occurred()) {
        return series;
    }
    LOCK(&root->lock);
    bool warned = root->warned;
    root->warned = true;
    UNLOCK(&root->lock);
    if (!warned && warn_of_overflow(root) < 0) {
        return NULL;
    }
    return find_or_make(root, root->overflow_key);
}

/* -- removing series ------------------------------------------------------------------------------------------------- */

/* The lock is the caller's, if it shares the root. The reference from the table is handed to the caller. */
Series *drop_series(Root *root, uint64_t hash, PyObject *const *values)
{
    Series *series = table_remove(&root->table, hash, values);
    if (series != NULL) {
        POKE(series->attached, false);
        if (series == root->overflow) {
            POKE(root->overflow, NULL);
        }
    }
    return series;
}

Series *attach(Series *self)
{
    Root *root = PEEK(self->root);
    KeyValues key_values;
    Series *result = NULL;
    if (root->instrument == NULL || ((Series *)root->instrument)->root != root) { /* defined anew since */
        return hold_series(self);
    }
    if (key_values_take(&key_values, self->key, root->labels) < 0) {
        return NULL;
    }
    uint64_t hash = table_hash(key_values.values, root->labels);
    LOCK(&root->lock);
    bool away = !self->attached;
    int status = found_or_put(root, hash, key_values.values, self, &result);
    UNLOCK(&root->lock);
    key_values_drop(&key_values);
    if (status < 0) {
        PyErr_NoMemory();
    }
    if (result == self && away && announce(root, self) < 0) {
        release_series(result);
        return NULL;
    }
    return result;
}

Series **all_series(Root *root, Py_ssize_t *count)
{
    LOCK(&root->lock);
    Series **all = ALLOCATE(((size_t)root->table.live + 1) * sizeof *all);
    *count = 0;
    for (uint32_t i = 0; all != NULL && i < root->table.used; i++) {
        Series *series = table_entry(&root->table, i)->series;
        if (series != NULL) {
            all[(*count)++] = hold_series(series);
        }
    }
    UNLOCK(&root->lock);
    if (all == NULL) {
        PyErr_NoMemory();
    }
    return all;
}

void release_all(Series **series, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        release_series(series[i]);
    }
    FREE(series);
}

Table take_table(Root *root)
{
    Table table = root->table;
    root->table = new_table(root->labels);
    for (uint32_t i = 0; i < table.used; i++) {
        Series *series = table_entry(&table, i)->series;
        if (series != NULL) {
            POKE(series->attached, false);
        }
    }
    POKE(root->overflow, NULL);
    return table;
}

Table take_table_locking(Root *root)
{
    LOCK(&root->lock);
    Table table = take_table(root);
    UNLOCK(&root->lock);
    return table;
}

void release_table(Table *table)
{
    for (uint32_t i = 0; i < table->used; i++) {
        release_series(table_entry(table, i)->series);
    }
    table_free(table);
}

/* -- defining an instrument ------------------------------------------------------------------------------------------ */

/* Let an instrument be what the new root says, and nothing of what it was. Runs no Python code before all is in place. */
static void begin_again(Series *self, Root *root, double *cells, double created, double touched)
{
    Root *old_root = lock_root_of(self);
    if (old_root != NULL) {
        close_locked(old_root);
    }
    LOCK(&root->lock); /* whoever finds the new root sees what is written before */
    double *old_cells = self->cells == self->own || self->home != NULL ? NULL : self->cells;
    PyObject *home = self->home, *payload = self->payload, *exemplars = self->exemplars;
    Block *block = self->block;
    Table table = old_root == NULL ? new_table(0) : take_table(old_root);
    self->home = NULL;
    cell_write(&self->own[0], 0.0);
    cell_write(&self->own[TOUCHED], root->expires ? touched : 0.0);
    self->payload = NULL;
    POKE(self->exemplars, NULL);
    cell_write(&self->created, created);
    POKE(self->ways, 0);
    self->block = NULL;
    guard(self, root);
    POKE(self->cells, cells);
#ifdef Py_GIL_DISABLED
    __atomic_store_n(&self->root, root, __ATOMIC_RELEASE); /* see begin_step() */
#else
    self->root = root;
#endif
    UNLOCK(&root->lock);
    if (old_root != NULL) {
        open_root(old_root);
    }
    retire_block(root->state, block);
    PyMem_Free(old_cells);
    Py_XDECREF(home);
    Py_XDECREF(payload);
    Py_XDECREF(exemplars);
    release_table(&table);
#ifndef Py_GIL_DISABLED /* see core.h */
    release_root(old_root);
#endif
}

static const Signature define_signature = {"define", 0, 2, 2, {"instrument", "spec"}};

PyObject *core_define(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    State *state = state_of_module(module);
    PyObject *given[2];
    if (take_arguments(&define_signature, args, nargs, names, given) < 0) {
        return NULL;
    }
    if (!PyObject_TypeCheck(given[0], state->instrument_type)) {
        return undefined_instrument(given[0]);
    }
    Series *self = (Series *)given[0];
    if (self->key != NULL) {
        PyErr_SetString(PyExc_TypeError, "a series of an instrument cannot be defined as an instrument");
        return NULL;
    }
    double created, touched, *cells = NULL;
    Root *root = new_root(state, given[0], given[1]);
    if (root == NULL || wall(state, &created) < 0 || monotonic(state, &touched) < 0 ||
        (root->labels == 0 && find_cells(self, root, &cells) < 0)) {
        release_root(root);
        return NULL;
    }
    begin_again(self, root, cells, created, touched);
    return none();
}
