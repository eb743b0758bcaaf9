/* Growing text and yielding; see buffer.h. */

#include "buffer.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <time.h>
#endif

int buffer_grow(Buffer *buffer, size_t more)
{
    size_t room = buffer->room + buffer->room / 2 + 1024;
    if (more > (size_t)PY_SSIZE_T_MAX - buffer->used) {
        PyErr_NoMemory();
        return -1;
    }
    room = room < buffer->used + more ? buffer->used + more : room;
    char *start = realloc(buffer->start, room);
    if (start == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    buffer->start = start;
    buffer->room = room;
    return 0;
}

void buffer_free(Buffer *buffer)
{
    free(buffer->start);
    buffer->start = NULL;
    buffer->used = buffer->room = 0;
}

/* Releasing the lock and taking it again at once is not enough: the thread that waits has to wake up first, and by then the lock is
   gone again. */
void let_others_run(void)
{
    PyThreadState *thread = PyEval_SaveThread();
#ifdef _WIN32
    Sleep(0);
#else
    struct timespec moment = {0, 20000};
    nanosleep(&moment, NULL);
#endif
    PyEval_RestoreThread(thread);
}
