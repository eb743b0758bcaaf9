/* What adding to a cell means, on builds with and without the interpreter lock.

   With the interpreter lock, C code that calls nothing of Python's runs as one step: plain loads and stores are exact, and the locks below
   are nothing at all. Without it a cell is a double that all threads add to by compare-and-swap on its bits (relaxed: a cell orders nothing
   but itself), and a root's table is guarded by a mutex. How more than one cell is read or changed as one step then stands in rcu.h and
   core.h.

   Whoever holds such a mutex calls nothing of Python's, its memory included, and so reaches no point at which the interpreter may stop it.
   That is why it is the system's and not PyMutex: those who wait need not let the interpreter go on without them, and a mutex of the
   interpreter's may be handed over to a thread that a forked child does not have. */

#ifndef MEASURAND_ATOMIC_H
#define MEASURAND_ATOMIC_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#ifdef Py_GIL_DISABLED

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef pthread_mutex_t Lock;
#define MAKE_LOCK(lock) (pthread_mutex_init((lock), NULL) == 0)
#define FREE_LOCK(lock) ((void)pthread_mutex_destroy(lock))
#define LOCK(lock) ((void)pthread_mutex_lock(lock))
#define UNLOCK(lock) ((void)pthread_mutex_unlock(lock))

/* Memory that is taken and given back with a lock held. */
#define ALLOCATE(size) malloc((size) > 0 ? (size) : 1)
#define FREE(memory) free(memory)

static inline double cell_read(const double *cell)
{
    uint64_t bits = atomic_load_explicit((const _Atomic uint64_t *)(const void *)cell, memory_order_relaxed);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void cell_write(double *cell, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit((_Atomic uint64_t *)(void *)cell, bits, memory_order_relaxed);
}

static inline void cell_add(double *cell, double amount)
{
    _Atomic uint64_t *target = (_Atomic uint64_t *)(void *)cell;
    uint64_t before = atomic_load_explicit(target, memory_order_relaxed), after;
    double value;
    do {
        memcpy(&value, &before, sizeof value);
        value += amount;
        memcpy(&after, &value, sizeof after);
    } while (!atomic_compare_exchange_weak_explicit(target, &before, after, memory_order_relaxed, memory_order_relaxed));
}

/* What one thread writes while others look, and it does not matter which of two values they see. */
#define PEEK(variable) __atomic_load_n(&(variable), __ATOMIC_RELAXED)
#define POKE(variable, value) __atomic_store_n(&(variable), (value), __ATOMIC_RELAXED)

/* Nobody else is between these two with the same object. */
#define BEGIN_ALONE(object) Py_BEGIN_CRITICAL_SECTION(object)
#define END_ALONE() Py_END_CRITICAL_SECTION()

/* Counts of the holders of shared memory: up, and down to what is left. */
#define COUNT_UP(count) (void)atomic_fetch_add((_Atomic Py_ssize_t *)(void *)&(count), 1)
#define COUNT_DOWN(count) (atomic_fetch_sub((_Atomic Py_ssize_t *)(void *)&(count), 1) - 1)

#else

typedef char Lock; /* the interpreter lock is the lock */
#define MAKE_LOCK(lock) true
#define FREE_LOCK(lock) ((void)(lock))
#define ALLOCATE(size) PyMem_Malloc(size)
#define FREE(memory) PyMem_Free(memory)
#define LOCK(lock) ((void)(lock))
#define UNLOCK(lock) ((void)(lock))
#define PEEK(variable) (variable)
#define POKE(variable, value) ((void)((variable) = (value)))
#define BEGIN_ALONE(object) {
#define END_ALONE() }
#define COUNT_UP(count) (void)((count)++)
#define COUNT_DOWN(count) (--(count))

static inline double cell_read(const double *cell)
{
    return *cell;
}

static inline void cell_write(double *cell, double value)
{
    *cell = value;
}

static inline void cell_add(double *cell, double amount)
{
    *cell += amount;
}

#endif

#if defined(__GNUC__) || defined(__clang__)
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define PREFETCH(address) __builtin_prefetch(address)
#define NOINLINE __attribute__((noinline)) /* for what must not burden the hot path with its registers */
#else
#define LIKELY(condition) (condition)
#define UNLIKELY(condition) (condition)
#define PREFETCH(address) ((void)(address))
#define NOINLINE
#endif

#endif
