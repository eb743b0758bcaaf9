/* The label table; see table.h. */

#include "table.h"

#include <string.h>

#include "atomic.h"

#define EMPTY UINT32_MAX
#define GAP (UINT32_MAX - 1)
#define MOST (UINT32_MAX / 4) /* entries that positions and index can address */

int key_values_take(KeyValues *into, PyObject *key, Py_ssize_t labels)
{
    into->values = into->few;
    if (!PyTuple_Check(key) || PyTuple_Size(key) != labels) {
        PyErr_SetString(PyExc_TypeError, "a series key must be a tuple with one string per label name");
        return -1;
    }
    if ((size_t)labels > sizeof into->few / sizeof *into->few) {
        into->values = ALLOCATE((size_t)labels * sizeof(PyObject *));
        if (into->values == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < labels; i++) {
        into->values[i] = PyTuple_GetItem(key, i);
        if (!PyUnicode_CheckExact(into->values[i])) {
            PyErr_SetString(PyExc_TypeError, "a series key must be a tuple with one string per label name");
            key_values_drop(into);
            return -1;
        }
    }
    return 0;
}

void key_values_drop(KeyValues *values)
{
    if (values->values != values->few) {
        FREE(values->values);
    }
}

Table new_table(Py_ssize_t labels)
{
    size_t size = sizeof(Entry) + (size_t)labels * sizeof(PyObject *);
    return (Table){.labels = labels, .step = (size + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t)};
}

uint64_t table_hash(PyObject *const *values, Py_ssize_t labels)
{
    uint64_t hash = 0x27d4eb2f165667c5u;
    for (Py_ssize_t i = 0; i < labels; i++) {
        hash ^= (uint64_t)PyObject_Hash(values[i]); /* strings keep theirs, and it cannot fail */
        hash *= 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

static inline int same_values(PyObject *const *left, PyObject *const *right, Py_ssize_t labels)
{
    for (Py_ssize_t i = 0; i < labels; i++) {
        if (left[i] != right[i] && PyUnicode_Compare(left[i], right[i]) != 0) {
            return 0;
        }
    }
    return 1;
}

/* The index slot that leads to the key, or NULL. */
static inline uint32_t *find_slot(const Table *table, uint64_t hash, PyObject *const *values)
{
    if (table->index == NULL) {
        return NULL;
    }
    for (uint32_t at = (uint32_t)hash & table->mask;; at = (at + 1) & table->mask) {
        uint32_t position = table->index[at];
        if (position == EMPTY) {
            return NULL;
        }
        if (position != GAP) {
            const Entry *entry = table_entry(table, position);
            if (entry->hash == hash && same_values(entry->values, values, table->labels)) {
                return &table->index[at];
            }
        }
    }
}

Series *table_find(const Table *table, uint64_t hash, PyObject *const *values)
{
    const uint32_t *slot = find_slot(table, hash, values);
    return slot == NULL ? NULL : table_entry(table, *slot)->series;
}

static void point_at(uint32_t *index, uint32_t mask, uint64_t hash, uint32_t position)
{
    uint32_t at = (uint32_t)hash & mask;
    while (index[at] < GAP) {
        at = (at + 1) & mask;
    }
    index[at] = position;
}

int table_reserve(Table *table)
{
    if (table->used < table->room) {
        return 0;
    }
    /* Room for a part more than live here, so that a table whose series come and go is swept, not enlarged. */
    size_t room = (size_t)table->live + table->live / 4 + 4, slots = 8, size = table->step;
    if (room > MOST || room > PY_SSIZE_T_MAX / size) {
        return -1;
    }
    while (slots < room + room / 2) {
        slots *= 2;
    }
    uint32_t *index = ALLOCATE(slots * sizeof *index);
    char *entries = ALLOCATE(room * size);
    if (index == NULL || entries == NULL) {
        FREE(index);
        FREE(entries);
        return -1;
    }
    memset(index, 0xff, slots * sizeof *index);
    uint32_t used = 0, mask = (uint32_t)(slots - 1);
    for (uint32_t position = 0; position < table->used; position++) {
        const Entry *entry = table_entry(table, position);
        if (entry->series != NULL) {
            memcpy(entries + used * size, entry, size);
            point_at(index, mask, entry->hash, used++);
        }
    }
    table_free(table);
    table->index = index;
    table->entries = entries;
    table->mask = mask;
    table->room = (uint32_t)room;
    table->used = table->live = used;
    return 0;
}

void table_insert(Table *table, uint64_t hash, PyObject *const *values, Series *series)
{
    Entry *entry = table_entry(table, table->used);
    entry->hash = hash;
    entry->series = series;
    memcpy(entry->values, values, (size_t)table->labels * sizeof *values);
    point_at(table->index, table->mask, hash, table->used++);
    table->live++;
}

Series *table_remove(Table *table, uint64_t hash, PyObject *const *values)
{
    uint32_t *slot = find_slot(table, hash, values);
    if (slot == NULL) {
        return NULL;
    }
    Entry *entry = table_entry(table, *slot);
    Series *series = entry->series;
    entry->series = NULL;
    *slot = GAP;
    table->live--;
    return series;
}

void table_free(Table *table)
{
    FREE(table->index);
    FREE(table->entries);
    table->index = NULL;
    table->entries = NULL;
    table->mask = table->room = table->used = table->live = 0;
}
