/* The structures of the C twin and what its files offer each other.

   Promises that every file keeps:

   - `series->cells != NULL` implies `series->root != NULL`: recording checks the one and may follow the other.
   - A series' key never changes, and neither do a root's label count and width; defining an instrument again makes a new root.
   - Whatever may run Python code (every call into support, `adopt`, allocation of objects that the garbage collector tracks,
     releasing a reference) may re-enter this module on the same root. So nothing found in a table is used after it without a
     reference, decisions are taken again afterwards, and references are given up last.
   - Recording is a step (begin_step). What has to be one step to all others closes the root (close_root); where cells are, and how
     they are guarded, changes nowhere else. Without the interpreter lock a root whose instrument was defined anew is never freed, as
     other threads may be looking at it. */

#ifndef MEASURAND_CORE_H
#define MEASURAND_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "docs.h"
#include "rcu.h"
#include "table.h"

typedef struct Block Block; /* the label values of a series as text, see layout.h */
typedef struct Root Root;

/* -- what one interpreter's copy of the module keeps ----------------------------------------------------------------- */

typedef struct {
    PyObject *support;        /* measurand.core.support */
    PyObject *around;         /* measurand.core.wrapping.around */
    PyObject *now;            /* our own function, for decorated functions */
    PyObject *clock;          /* measurand.clock */
    PyObject *monotonic;      /* a replacement clock's method, or NULL: read the system's clock */
    int64_t tick;             /* of the coarse clock at which `stamp` was read, 0 for none */
    double stamp;
    PyObject *no_arguments;   /* () */
    PyObject *layouts;        /* what makes label blocks equal -> the number under which series cache them */
    uint64_t last_layout;
    Py_ssize_t renderings;    /* under way, which may read blocks without the interpreter lock */
    Block *retired;           /* blocks to be freed after them */
    long process;             /* whose renderings these are */
    Lock lock;                /* monotonic, last_layout, and these three */
    PyTypeObject *root_type, *instrument_type, *counter_type, *gauge_type, *summary_type, *histogram_type;
    PyObject *spare_timer;    /* no object: the memory of the last timer that went, or NULL */
    PyTypeObject *timer_type, *outcomes_type, *frozen_type, *layout_type;
    PyObject *method;         /* any method of a C type, to know its kind by */
    PyObject *name_observe, *name_set, *name_labels, *name_since;
} State;

State *state_of_module(PyObject *module);
State *state_of_type(PyTypeObject *type); /* of a type of ours or a Python subclass; NULL with TypeError set */

/* -- a root's share -------------------------------------------------------------------------------------------------- */

#define REMEMBERED_CALLS 4
#define MOST_REMEMBERED_LABELS 8

/* One call site of labels(name=value, …): its tuple of names, and where each label's value stands. */
typedef struct {
    PyObject *names; /* owned; known by identity */
    uint8_t position[MOST_REMEMBERED_LABELS];
} RememberedCall;

struct Root {
    PyObject_HEAD
    State *state;
    PyObject *instrument; /* the Series that was defined */
    PyObject *spec;
    PyObject *adopt;      /* spec.adopt, NULL for none */
    PyObject *watcher;    /* called with each child once it stands in the table, NULL for nobody */
    PyObject *record;     /* observe() or set() of the instrument's class while it is ours, for timers; NULL: it is not */
    PyObject *labelnames;
    Py_ssize_t labels;    /* how many label names */
    Py_ssize_t width;     /* cells per series */
    Py_ssize_t limit;     /* on series; PY_SSIZE_T_MAX for none */
    double expire_after;
    bool expires, additive, stamped, marked, buckets, warned; /* marked: a gauge, whose shared cells have marks behind them */
    Py_ssize_t bounds;    /* how many, without padding */
    double *bound;        /* and BOUND_STEP times +Inf behind */
    uint64_t overflow_hash;
    PyObject *overflow_key;
    Series *overflow;     /* borrowed: it stands in the table, outside the limit */
    Py_ssize_t dropped;
    Lock lock;            /* table, overflow, dropped, remembered, watcher, warned, and the objects of its series */
    bool has_lock;
    bool closed;          /* the lock's holder reads or changes cells; used without the interpreter lock only */
    unsigned next_remembered;
    Table table;
    RememberedCall remembered[REMEMBERED_CALLS];
};

#define BOUND_STEP 4

/* -- an instrument or one of its series ------------------------------------------------------------------------------ */

#define TOUCHED 1

struct Series {
    PyObject_HEAD
    double *cells; /* `own`, memory apart, or in `home`; NULL: a root with labels, or not defined */
    double own[2]; /* up to two cells, or one and TOUCHED: where the instrument expires, when the series was last written to */
    Root *root;
    PyObject *key; /* a child's label values; NULL for a root */
    Block *block;
    bool attached; /* stands in its root's table */
    uint8_t guarded; /* WAS_SET, WAS_ADDED: a gauge's set() or inc() takes more than writing; ONLY_STAMPED */
    uint8_t ways;    /* WAS_SET, WAS_ADDED: how a gauge has been written to */
    bool patched;  /* observe or set was assigned on the object itself */
    double created;
    PyObject *payload;   /* NULL for None */
    PyObject *exemplars; /* dict, or NULL */
    PyObject *home;      /* whose memory the cells are in, if they were moved; NULL: our own */
};

#include "steps.h"

/* What stands behind the cell of a gauge that was moved, see contract.py. */
#define STAMP 1
#define WAYS 2
#define MARKS 2 /* how many they are */
#define WAS_SET 1
#define WAS_ADDED 2
#define ONLY_STAMPED 4 /* in `guarded`: set() takes a time stamp and no more */

/* instrument.c */
int labelled_root(Series *self); /* 0, or -1 with an exception: no labels, or a child */

/* place.c: where cells are */
PyObject *core_move(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
PyObject *core_is_at(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
PyObject *core_watch(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
void drop_cells(Series *self);                            /* leaves the series without any */
void guard(Series *self, const Root *root);               /* which writes are no plain ones */
void mark(Series *self, uint8_t way, double now);         /* that a gauge was written to; `now` matters where that is noted */

/* series.c: how series come and go */
Series *new_series(Root *root, PyObject *key);                           /* a new child in no table */
int announce(Root *root, Series *series);                                /* tell the watcher of one that now stands in it: 0, or -1 */
Series *find_series(Root *root, PyObject *key);                          /* the child for a checked key, new if need be */
Series *drop_series(Root *root, uint64_t hash, PyObject *const *values); /* out of the table; the caller releases it */
bool is_overflow(Root *root, uint64_t hash, PyObject *const *values);    /* whether these are the overflow series' labels */
Series *attach(Series *self);     /* whoever now stands for its labels, back in the table if nobody did; NULL with MemoryError set */
Series **all_series(Root *root, Py_ssize_t *count); /* new references in order of creation, to be freed by release_all */
void release_all(Series **series, Py_ssize_t count);
Table take_table(Root *root);     /* with the lock held, empty the root's table; the caller releases what was in it */
Table take_table_locking(Root *root);
void release_table(Table *table);
PyObject *core_define(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);

/* root.c */
Root *new_root(State *state, PyObject *instrument, PyObject *spec);

/* support.c: arguments, amounts, and calls of the shared slow paths */
typedef struct {
    const char *function;
    int self;     /* 1 for methods: messages count it */
    int required;
    int count;
    const char *names[4];
} Signature;

int take_arguments(const Signature *signature, PyObject *const *args, Py_ssize_t nargs, PyObject *names, PyObject **into);
/* A slow path; the arguments end with the first that is NULL. */
PyObject *call_support(State *state, const char *function, PyObject *first, PyObject *second, PyObject *third);
void shutting_down(void);                                    /* RuntimeError, where the module's state is gone already */
PyObject *undefined_instrument(PyObject *object);            /* AttributeError; always NULL */
int missing_labels(Series *self);                            /* LabelError, or AttributeError if not defined; always -1 */
/* An amount as int or float, a new reference, and its value; NULL if it is no number or an int too large. */
PyObject *real_number(State *state, PyObject *amount, double *value);
Series *series_argument(PyObject *module, PyObject *object); /* borrowed; AttributeError if it is not a defined instrument */

/* clocks.c */
PyObject *core_now(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
double system_monotonic(void);
int follow_clock(PyObject *module);

int python_clock(State *state, double *seconds);
int wall(State *state, double *seconds); /* always asks Python, see clocks.c */
bool quick_stamp(State *state, double *seconds); /* when it is, exact to a tick; false: ask monotonic(), which may run Python code */

static inline int monotonic(State *state, double *seconds)
{
    if (UNLIKELY(PEEK(state->monotonic) != NULL)) {
        return python_clock(state, seconds);
    }
    *seconds = system_monotonic();
    return 0;
}

/* recording.c, gauge.c, replace.c, histogram.c: 0, or -1 with an exception set */
void no_cell_first(Series *self, PyObject *amount); /* after an int too large for a cell: where there is none, that is what to say */
int attach_payload(Series *self, PyObject *value);
int keep_exemplar(Series *self, PyObject *labels, double value, Py_ssize_t cell);
int any_number(PyObject *value, double *number); /* what float(value) gives */
int gauge_set(Series *self, double value);
int histogram_observe(Series *self, double amount);
int summary_observe(Series *self, double amount);
PyObject *gauge_replace(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names);

/* timer.c: what time() returns */
typedef enum { BY_NAME, GAUGE_SET, SUMMARY_OBSERVE, HISTOGRAM_OBSERVE } Recorder;
PyObject *new_timer(Series *series, Recorder recorder);
Recorder recorder_for(State *state, PyObject *object, PyObject *method);
int seconds_since(State *state, double start, double *seconds); /* never below zero */
/* By the method that the series has at that moment; the caller holds the series. */
int record_seconds(State *state, PyObject *series, Recorder recorder, PyObject *method, double seconds);
int take_recorder(Root *root); /* fill in root->record */

/* frozen.c: the copied rows, kept alive by whoever looks at them */
typedef struct {
    Py_ssize_t references, room, count, width;
    double *cells;
    Series *series[];
} Rows;

typedef struct {
    PyObject_HEAD
    Rows *rows;
} Frozen;

Rows *new_rows(Py_ssize_t room, Py_ssize_t width); /* NULL without an exception if there is no memory */
Rows *hold_rows(Frozen *frozen);
void release_rows(Rows *rows);

/* freeze.c */
PyObject *core_freeze(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);

/* number.c */
#define NUMBER_SIZE 32 /* bytes that format_number may write */
bool is_own_number(double value);                    /* whether format_number takes no memory, needs no lock and cannot fail */
Py_ssize_t format_number(double value, char *into);  /* the length, or -1 without memory */
PyObject *core_format_number(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);

/* layout.c */
void free_block(Block *block); /* of a series that nobody has any more */
void retire_block(State *state, Block *block);
void begin_rendering(State *state);
void end_rendering(State *state);

/* functions.c: what looks at one series */
extern PyMethodDef module_functions[];

/* instrument.c: what the four kinds of instruments share */
int instrument_traverse(PyObject *object, visitproc visit, void *arg);
int instrument_clear(PyObject *object);
void instrument_dealloc(PyObject *object);

extern PyMethodDef instrument_methods[], counter_methods[], gauge_methods[], summary_methods[], histogram_methods[];

/* subclass.c */
PyObject *instrument_init_subclass(PyObject *type, PyObject *args, PyObject *keywords);
int is_our_method(State *state, PyTypeObject *owner, PyTypeObject *type, PyObject *attribute, const char *name);

#define INSTRUMENT_SLOTS {Py_tp_traverse, instrument_traverse}, {Py_tp_clear, instrument_clear}, {Py_tp_dealloc, instrument_dealloc}
#define INSTRUMENT_TYPE(qualified_name, its_slots)                                                                     \
    {                                                                                                                  \
        .name = qualified_name, .basicsize = sizeof(Series), .slots = its_slots,                                       \
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,                                        \
    }

/* The types. */
extern PyType_Spec root_spec, instrument_spec, counter_spec, gauge_spec, summary_spec, histogram_spec, timer_spec, outcomes_spec, frozen_spec, layout_spec;

/* -- small helpers --------------------------------------------------------------------------------------------------- */

#define METHOD(name, function, doc) {name, (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS, doc}

static inline Root *hold_root(Root *root)
{
    Py_INCREF((PyObject *)root);
    return root;
}

/* NULL is left alone. */
static inline Series *hold_series(Series *series)
{
    Py_XINCREF((PyObject *)series);
    return series;
}

static inline void release_root(Root *root)
{
    Py_XDECREF((PyObject *)root);
}

static inline void release_series(Series *series)
{
    Py_XDECREF((PyObject *)series);
}

static inline PyObject *none(void)
{
    return Py_NewRef(Py_None);
}

static inline PyObject *none_or_error(int status)
{
    return status < 0 ? NULL : none();
}

static inline void *slot_of(PyTypeObject *type, int slot)
{
    return PyType_GetSlot(type, slot);
}

/* An exact float's or int's value; -1 with an exception set if the int is too large, 0 for any other type. */
static inline int plain_number(PyObject *amount, double *value)
{
    if (LIKELY(PyFloat_CheckExact(amount))) {
        *value = PyFloat_AsDouble(amount);
        return 1;
    }
    if (LIKELY(PyLong_CheckExact(amount)) || PyBool_Check(amount)) {
        *value = PyLong_AsDouble(amount);
        return UNLIKELY(*value == -1.0 && PyErr_Occurred()) ? -1 : 1;
    }
    return 0;
}

#endif
