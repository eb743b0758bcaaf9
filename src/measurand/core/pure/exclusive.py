"""What keeps a step whole between threads.

With the interpreter lock nothing has to: CPython switches threads and runs signal handlers only at calls, at function entry and at backward
jumps, and a step has none of these where it matters. Builds without that lock take a re-entrant lock instead. Within one thread the same
argument keeps a signal handler out of the step.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import nullcontext
from typing import Any

__all__ = ["lock", "step"]

lock: Any = None if getattr(sys, "_is_gil_enabled", lambda: True)() else threading.RLock()
"""What a step takes; ``None`` with the interpreter lock. Held across no code of anybody else's."""

step: Any = nullcontext() if lock is None else lock
"""The same for ``with``, where that one call more does not matter."""

if lock is not None and hasattr(os, "register_at_fork"):  # a child has no other thread that could give it back
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
