/* freeze(): a consistent copy of an instrument's numbers.

   Promise: the copy is one step as seen by other threads, and what has expired is dropped in the same step. */

#include "core.h"

#define AHEAD 8                 /* series to fetch from memory while copying */
#define LARGE ((size_t)1 << 18) /* bytes that are worth being paged in without the interpreter lock */
#define PAGE 4096

static void copy_row(Rows *rows, Series *series, bool buckets)
{
    double *to = rows->cells + rows->count * rows->width;
    double sum = 0.0;
    for (Py_ssize_t i = 0; i < rows->width; i++) {
        double value = series->cells == NULL ? 0.0 : cell_read(&series->cells[i]);
        sum += value;
        to[i] = buckets && i < rows->width - 1 ? sum : value;
    }
    rows->series[rows->count++] = hold_series(series);
}

/* Have the system find memory for many rows before the copy, while other threads run: it takes longer than the copy. */
static void page_in(Rows *rows)
{
    volatile char *start = (volatile char *)rows->series;
    size_t size = (size_t)((char *)(rows->cells + rows->room * rows->width) - (char *)rows->series);
    if (size >= LARGE) {
        Py_BEGIN_ALLOW_THREADS
        for (size_t at = 0; at < size; at += PAGE) {
            start[at] = 0;
        }
        Py_END_ALLOW_THREADS
    }
}

/* Take an expired series out of its table; it starts anew if it comes back. The reference goes to the caller. */
static Series *expire(Root *root, Series *series, const Entry *entry)
{
    drop_series(root, entry->hash, entry->values);
    if (series->cells != NULL) {
        cell_write(series->cells, 0.0);
    }
    return series;
}

/* With the root closed: copy what a labelled one has. What has expired is put into `gone`, as many as `went`. */
static void copy_table(Root *root, double limit, Rows *rows, Series **gone, Py_ssize_t *went)
{
    Table *table = &root->table;
    for (uint32_t i = 0; i < table->used; i++) {
        const Entry *entry = table_entry(table, i);
        Series *series = entry->series;
        if (i + AHEAD < table->used) {
            PREFETCH(table_entry(table, i + AHEAD)->series);
        }
        if (series == NULL) {
            continue;
        }
        if (root->expires && cell_read(&series->own[TOUCHED]) < limit) {
            gone[(*went)++] = expire(root, series, entry);
        }
        else {
            copy_row(rows, series, root->buckets);
        }
    }
}

static Rows *copy_labelled(Root *root, double limit)
{
    Rows *rows = NULL;
    Series **gone = NULL;
    Py_ssize_t went = 0;
    for (bool enough = false; !enough;) {
        LOCK(&root->lock);
        Py_ssize_t room = (Py_ssize_t)root->table.live;
        UNLOCK(&root->lock);
        room += room / 64; /* for what is made while memory is found */
        PyMem_Free(rows);
        PyMem_Free(gone);
        rows = new_rows(room, root->width);
        gone = root->expires ? PyMem_Malloc(((size_t)room + 1) * sizeof *gone) : NULL;
        if (rows == NULL || (root->expires && gone == NULL)) {
            PyMem_Free(rows);
            PyMem_Free(gone);
            return NULL;
        }
        page_in(rows);
        close_root(root);
        enough = (Py_ssize_t)root->table.live <= room;
        if (enough) {
            copy_table(root, limit, rows, gone, &went);
        }
        open_root(root);
    }
    for (Py_ssize_t i = 0; i < went; i++) {
        release_series(gone[i]);
    }
    PyMem_Free(gone);
    return rows;
}

static Rows *copy_unlabelled(Series *self, Root *root, double now)
{
    Rows *rows = new_rows(1, root->width);
    if (rows == NULL) {
        return NULL;
    }
    close_root(root);
    bool is_idle = root->expires && now - cell_read(&self->own[TOUCHED]) > root->expire_after;
    if (self->root == root && !is_idle) { /* else another thread defined it anew, and it has no numbers yet */
        copy_row(rows, self, root->buckets);
    }
    else if (self->root == root && self->cells != NULL) {
        cell_write(self->cells, 0.0);
    }
    open_root(root);
    return rows;
}

static const Signature freeze_signature = {"freeze", 0, 1, 1, {"instrument"}};

PyObject *core_freeze(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given;
    if (take_arguments(&freeze_signature, args, nargs, names, &given) < 0) {
        return NULL;
    }
    Series *self = series_argument(module, given);
    if (self == NULL) {
        return NULL;
    }
    Root *root = PEEK(self->root);
    State *state = root->state;
    double limit = 0.0, now = 0.0;
    if (state->frozen_type == NULL) {
        shutting_down();
        return NULL;
    }
    if (root->expires) { /* first: the clock may be Python's */
        double after = root->expire_after;
        if (monotonic(state, &limit) < 0 || (PEEK(self->root)->labels == 0 && monotonic(state, &now) < 0)) {
            return NULL;
        }
        limit -= after;
    }
    Frozen *frozen = PyObject_GC_New(Frozen, state->frozen_type); /* may run the garbage collector, so before the copy */
    if (frozen == NULL) {
        return NULL;
    }
    root = hold_root(PEEK(self->root));
    frozen->rows = root->labels == 0 ? copy_unlabelled(self, root, now)
                   : self->key == NULL ? copy_labelled(root, limit)
                                       : new_rows(0, root->width);
    release_root(root);
    if (frozen->rows == NULL) {
        Py_DECREF(frozen);
        return PyErr_NoMemory();
    }
    PyObject_GC_Track((PyObject *)frozen);
    return (PyObject *)frozen;
}
