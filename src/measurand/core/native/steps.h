/* Steps on a root's series, and its lock; in the midst of core.h. With the interpreter lock all of this is nothing. */

#ifndef MEASURAND_STEPS_H
#define MEASURAND_STEPS_H

/* Between these two a thread uses the cells of one series, and nothing else of ours or of Python's. Without the interpreter lock a closed
   root is waited for. */
static inline void begin_step(Series *self)
{
#ifdef Py_GIL_DISABLED
    for (;;) {
        rcu_enter();
        Root *root = __atomic_load_n(&self->root, __ATOMIC_ACQUIRE);
        if (LIKELY(root == NULL || !__atomic_load_n(&root->closed, __ATOMIC_SEQ_CST))) {
            return;
        }
        rcu_leave();
        LOCK(&root->lock);
        UNLOCK(&root->lock);
    }
#else
    (void)self;
#endif
}

static inline void end_step(void)
{
    rcu_leave();
}

/* With the root's lock held: have all steps on its series over, and no other begin, until it is opened. */
static inline void close_locked(Root *root)
{
#ifdef Py_GIL_DISABLED
    __atomic_store_n(&root->closed, true, __ATOMIC_SEQ_CST);
    rcu_synchronize();
#else
    (void)root;
#endif
}

static inline void close_root(Root *root)
{
    LOCK(&root->lock);
    close_locked(root);
}

static inline void open_root(Root *root)
{
#ifdef Py_GIL_DISABLED
    __atomic_store_n(&root->closed, false, __ATOMIC_SEQ_CST);
#endif
    UNLOCK(&root->lock);
}

/* Take the lock of a series' root, which may be defined anew meanwhile; NULL, and no lock, if it has none: what the garbage collector
   has cleared. */
static inline Root *lock_root_of(Series *series)
{
    for (;;) {
        Root *root = PEEK(series->root);
        if (root == NULL) {
            return NULL;
        }
        LOCK(&root->lock);
        if (LIKELY(series->root == root)) {
            return root;
        }
        UNLOCK(&root->lock);
    }
}

/* What hangs on a series: a new reference, or NULL. */
static inline PyObject *hold_payload(Series *series)
{
    Root *root = lock_root_of(series);
    PyObject *payload = Py_XNewRef(series->payload);
    if (root != NULL) {
        UNLOCK(&root->lock);
    }
    return payload;
}

static inline PyObject *hold_exemplars(Series *series)
{
    Root *root = PEEK(series->exemplars) == NULL ? NULL : lock_root_of(series);
    if (root == NULL) {
        return NULL;
    }
    PyObject *exemplars = Py_XNewRef(series->exemplars);
    UNLOCK(&root->lock);
    return exemplars;
}

/* What a dictionary has for a key: a new reference; NULL, with an exception set or without. */
static inline PyObject *find_in(PyObject *dictionary, PyObject *key)
{
#ifdef Py_GIL_DISABLED
    PyObject *value;
    return PyDict_GetItemRef(dictionary, key, &value) > 0 ? value : NULL;
#else
    return Py_XNewRef(PyDict_GetItemWithError(dictionary, key));
#endif
}

#endif
