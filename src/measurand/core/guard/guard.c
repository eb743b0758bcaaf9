/* Surviving that a mapped file is truncated; see guarding.py.

   Promises: a write to, or a read from, a part of a guarded region that the file no longer has (SIGBUS) finds memory of the process' own
   there, zeroed, and goes on. A SIGBUS at any other address, or one that somebody sent, has the effect that it had before. The handler takes
   no lock and calls nothing but mmap(), sigaction() and raise(). */

#define _GNU_SOURCE
#include <Python.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#define MOST 256 /* regions: a process has one lane, and those it has outgrown as long as anything points into them */

static struct {
    _Atomic uintptr_t begin, end; /* end is 0 where there is none */
} regions[MOST];

static struct sigaction before;
static uintptr_t page_size;

static void handle(int number, siginfo_t *info, void *context)
{
    if (info->si_code > 0) { /* from the hardware, not from another process */
        uintptr_t at = (uintptr_t)info->si_addr;
        for (int i = 0; i < MOST; i++) {
            if (at < atomic_load(&regions[i].end) && at >= atomic_load(&regions[i].begin)) {
                void *page = (void *)(at & ~(page_size - 1));
                if (mmap(page, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) {
                    return; /* the instruction is run again */
                }
                break;
            }
        }
    }
    sigaction(SIGBUS, &before, NULL);
    if (info->si_code <= 0) {
        raise(number); /* it arrives when this handler returns; the others come again by themselves */
    }
}

/* Have the handler in place; whoever came after it is the one before it from now on. */
static int install(void)
{
    struct sigaction now, ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaction(SIGBUS, NULL, &now) < 0) {
        return -1;
    }
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handle) {
        return 0;
    }
    before = now;
    ours.sa_sigaction = handle;
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGBUS, &ours, NULL);
}

static PyObject *add(PyObject *module, PyObject *memory)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(memory, &buffer, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    uintptr_t begin = (uintptr_t)buffer.buf, end = begin + (uintptr_t)buffer.len;
    PyBuffer_Release(&buffer); /* whoever maps it tells when it is unmapped */
    if (begin % page_size != 0) {
        PyErr_SetString(PyExc_ValueError, "only what begins where a page does can be guarded");
        return NULL;
    }
    if (install() < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    for (int i = 0; i < MOST; i++) {
        uintptr_t none = 0;
        if (atomic_load(&regions[i].end) == 0 && atomic_compare_exchange_strong(&regions[i].begin, &none, begin)) {
            atomic_store(&regions[i].end, end);
            return PyLong_FromLong(i);
        }
    }
    return PyLong_FromLong(-1);
}

static PyObject *drop(PyObject *module, PyObject *number)
{
    long i = PyLong_AsLong(number);
    if (i == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (i >= 0 && i < MOST) {
        atomic_store(&regions[i].end, 0);
        atomic_store(&regions[i].begin, 0);
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"add", add, METH_O, "add(memory)\n--\n\nGuard a mapped region until it is dropped; its number, or -1 where there is no room for one."},
    {"drop", drop, METH_O, "drop(number)\n--\n\nGuard a region no longer."},
    {NULL, NULL, 0, NULL},
};

static int start(PyObject *module)
{
    page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, start},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "measurand.core._guard",
    .m_doc = "Guarding mapped files; see measurand.core.guarding.",
    .m_methods = functions,
    .m_slots = slots,
};

__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit__guard(void)
{
    return PyModuleDef_Init(&definition);
}
