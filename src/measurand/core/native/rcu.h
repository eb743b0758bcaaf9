/* Read-copy-update: how one thread changes what others use without a lock, on builds without the interpreter lock.

   A thread that uses it is in a section from rcu_enter() to rcu_leave(). A section is short, calls nothing of Python's, waits for nothing
   and has no other inside. Whoever took something away calls rcu_synchronize(), outside: when that returns, every section that may still
   have seen it is over.

   Sections end before a thread reaches a point at which the interpreter may stop it, so that a forked child finds none under way.

   Source: M. Desnoyers and others, "User-Level Implementations of Read-Copy Update", IEEE TPDS 23 (2012), with a full barrier at each
   entry. With the interpreter lock every stretch of C code that calls nothing of Python's is such a section, and all this is nothing. */

#ifndef MEASURAND_RCU_H
#define MEASURAND_RCU_H

#include "atomic.h"

#ifdef Py_GIL_DISABLED

typedef struct RcuReader RcuReader;

/* A thread's; nobody else writes to it. */
struct RcuReader {
    _Alignas(64) _Atomic uint64_t count; /* of entries and exits: odd inside a section */
    _Atomic int taken;                   /* by a thread that lives */
    RcuReader *next;
};

extern _Thread_local RcuReader *rcu_reader;
RcuReader *rcu_register(void);

static inline void rcu_enter(void)
{
    RcuReader *reader = LIKELY(rcu_reader != NULL) ? rcu_reader : rcu_register();
    uint64_t count = atomic_load_explicit(&reader->count, memory_order_relaxed);
    (void)atomic_exchange(&reader->count, count + 1); /* what is read inside is read after it */
}

static inline void rcu_leave(void)
{
    uint64_t count = atomic_load_explicit(&rcu_reader->count, memory_order_relaxed);
    atomic_store_explicit(&rcu_reader->count, count + 1, memory_order_release);
}

void rcu_synchronize(void);
int rcu_start(void); /* once for each import: 0, or -1 with an exception set */

#else

#define rcu_enter() ((void)0)
#define rcu_leave() ((void)0)
#define rcu_synchronize() ((void)0)
#define rcu_start() 0

#endif

#endif
