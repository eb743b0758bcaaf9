/* What adding to a cell means, on builds with and without the interpreter lock.

   With the interpreter lock, C code that calls nothing of Python's runs as one step: plain loads and stores are exact, and the locks below
   are nothing at all. Without it a cell is a double that all threads add to by compare-and-swap on its bits (relaxed: a cell orders nothing
   but itself), and a root's table is guarded by a mutex that is never held across a call into Python. */

#ifndef MEASURAND_ATOMIC_H
#define MEASURAND_ATOMIC_H

#include <stdint.h>
#include <string.h>

#ifdef Py_GIL_DISABLED

#include <stdatomic.h>

typedef PyMutex Lock;
#define LOCK(lock) PyMutex_Lock(lock)
#define UNLOCK(lock) PyMutex_Unlock(lock)

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

/* Counts of the holders of shared memory: up, and down to what is left. */
#define COUNT_UP(count) (void)atomic_fetch_add((_Atomic Py_ssize_t *)(void *)&(count), 1)
#define COUNT_DOWN(count) (atomic_fetch_sub((_Atomic Py_ssize_t *)(void *)&(count), 1) - 1)

#else

typedef char Lock; /* the interpreter lock is the lock */
#define LOCK(lock) ((void)(lock))
#define UNLOCK(lock) ((void)(lock))
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
