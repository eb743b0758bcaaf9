"""The end of a process, however it was started.

Exit handlers (``atexit``) do not run in processes of ``multiprocessing``, which several servers use for their workers: such a process runs
the finalizers of ``multiprocessing`` and is gone. :func:`run_at_exit` registers with both.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable

__all__ = ["run_at_exit"]

FIRST = 100
"""The priority of our finalizer: before those that take away queues, pools and child processes."""


def run_at_exit(call: Callable[[], object]) -> Callable[[], None]:
    """Call a function when this process ends in an orderly way.

    To be registered in the process itself: what a process of ``multiprocessing`` inherits from its parent is forgotten at its start. It is
    not called in a process that is killed, or dies of a signal.

    Args:
        call: The function; it may be called twice.

    Returns:
        A function that takes the registration back.
    """
    atexit.register(call)
    process = sys.modules.get("multiprocessing.process")  # in a process that was started by it, it is there
    finalizer = None
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize  # noqa: PLC0415 - only where it is in use

        finalizer = Finalize(None, call, exitpriority=FIRST)

    def undo() -> None:
        atexit.unregister(call)
        if finalizer is not None:
            finalizer.cancel()

    return undo
