/* Read-copy-update on builds without the interpreter lock; see rcu.h. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "rcu.h"

#ifdef Py_GIL_DISABLED

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

_Thread_local RcuReader *rcu_reader;

static _Atomic(RcuReader *) readers; /* every one there ever was, to be used again by later threads */
static pthread_key_t ending;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int failure;

/* A thread ends. In a forked child the parent's other threads never do: theirs stay, outside of any section. */
static void give_back(void *reader)
{
    rcu_reader = NULL;
    atomic_store(&((RcuReader *)reader)->taken, 0);
}

static void make_key(void)
{
    failure = pthread_key_create(&ending, give_back);
}

int rcu_start(void)
{
    pthread_once(&once, make_key);
    if (failure != 0) {
        PyErr_SetString(PyExc_ImportError, "the system has no room for another kind of thread-specific data");
        return -1;
    }
    return 0;
}

static RcuReader *find_free(void)
{
    for (RcuReader *reader = atomic_load(&readers); reader != NULL; reader = reader->next) {
        int taken = 0;
        if (atomic_load(&reader->taken) == 0 && atomic_compare_exchange_strong(&reader->taken, &taken, 1)) {
            return reader;
        }
    }
    return NULL;
}

RcuReader *rcu_register(void)
{
    RcuReader *reader = find_free();
    if (reader == NULL) {
        reader = aligned_alloc(_Alignof(RcuReader), sizeof *reader);
        if (reader == NULL) { /* a thread that could not be waited for would record on memory that is given back */
            Py_FatalError("measurand: no memory for a thread that records for the first time");
        }
        atomic_init(&reader->count, 0);
        atomic_init(&reader->taken, 1);
        reader->next = atomic_load(&readers);
        while (!atomic_compare_exchange_weak(&readers, &reader->next, reader)) {
        }
    }
    rcu_reader = reader;
    (void)pthread_setspecific(ending, reader);
    return reader;
}

void rcu_synchronize(void)
{
    for (RcuReader *reader = atomic_load(&readers); reader != NULL; reader = reader->next) {
        uint64_t count = atomic_load(&reader->count);
        while (count % 2 == 1 && atomic_load(&reader->count) == count) {
            sched_yield();
        }
    }
}

#else

typedef int nothing_here; /* a file must hold something */

#endif
