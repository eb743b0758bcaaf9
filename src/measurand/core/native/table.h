/* The label table: a root's series by label values, in the order of their creation.

   Hashed on the argument strings themselves, so that a look-up builds nothing. Nothing here runs Python code, except where a
   comment says so; all strings are exact `str` objects. An index of positions (open addressing, linear probing) leads to entries
   that stand in order of insertion. A removed entry leaves a gap, and its slot a mark, until the table grows or is rebuilt. */

#ifndef MEASURAND_TABLE_H
#define MEASURAND_TABLE_H

#include <Python.h>
#include <stdint.h>

typedef struct Series Series;

typedef struct {
    uint64_t hash;
    Series *series;     /* owned; NULL: removed */
    PyObject *values[]; /* borrowed from the series' key, which never changes while it is in a table */
} Entry;

typedef struct {
    uint32_t *index;   /* positions of entries; NULL while the table never had one */
    char *entries;
    uint32_t mask;     /* number of index slots - 1 */
    uint32_t room;     /* for how many entries there is memory */
    uint32_t used;     /* entries, gaps included */
    uint32_t live;     /* entries without gaps */
    Py_ssize_t labels; /* strings in a key */
    size_t step;       /* bytes from one entry to the next */
} Table;

/* The strings of a key as a plain array. */
typedef struct {
    PyObject *few[12];
    PyObject **values; /* borrowed from the key */
} KeyValues;

static inline Entry *table_entry(const Table *table, size_t position)
{
    return (Entry *)(void *)(table->entries + position * table->step);
}

int key_values_take(KeyValues *into, PyObject *key, Py_ssize_t labels); /* 0, or -1 with TypeError or MemoryError set */
void key_values_drop(KeyValues *values);

Table new_table(Py_ssize_t labels); /* without entries, which needs no memory */
uint64_t table_hash(PyObject *const *values, Py_ssize_t labels);
Series *table_find(const Table *table, uint64_t hash, PyObject *const *values); /* borrowed, or NULL */
int table_reserve(Table *table);                                                /* memory for one more: 0, or -1 without an exception set */
void table_insert(Table *table, uint64_t hash, PyObject *const *values, Series *series); /* after table_reserve; takes the reference */
Series *table_remove(Table *table, uint64_t hash, PyObject *const *values);     /* hands its reference over, or NULL */
void table_free(Table *table); /* frees the arrays, not the references */

#endif
